"""`Size`: the shape of a tensor, as a tuple that prints as PyTorch's does."""

from __future__ import annotations

from typing import Any, SupportsIndex, overload

from gradviz.core.spelling import spelling


class Size(tuple[int, ...]):
    """A shape. A tuple that prints as PyTorch's does."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"{spelling.name}.Size({list(self)})"

    def __add__(self, other: Any) -> Any:
        return Size(tuple.__add__(self, other)) if isinstance(other, tuple) else NotImplemented

    def __radd__(self, other: Any) -> Any:
        return Size(other + tuple(self)) if type(other) is tuple else NotImplemented

    def __mul__(self, times: Any) -> Any:
        return Size(tuple.__mul__(self, times))

    __rmul__ = __mul__

    @overload
    def __getitem__(self, index: SupportsIndex) -> int: ...

    @overload
    def __getitem__(self, index: slice) -> Size: ...

    def __getitem__(self, index: Any) -> Any:
        found = tuple.__getitem__(self, index)
        return Size(found) if isinstance(index, slice) else found

    def numel(self) -> int:
        """The number of elements in a tensor of this shape."""
        count = 1
        for length in self:
            count *= length
        return count
