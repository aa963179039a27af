"""`Size`: the shape of a tensor, as a tuple that prints as PyTorch's does."""

from __future__ import annotations

from gradviz.core.spelling import spelling


class Size(tuple[int, ...]):
    """A shape. A tuple that prints as PyTorch's does."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"{spelling.name}.Size({list(self)})"

    def numel(self) -> int:
        """The number of elements in a tensor of this shape."""
        count = 1
        for length in self:
            count *= length
        return count
