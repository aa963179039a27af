"""The memory behind tensors as PyTorch shows it: `storage()` by elements, and `untyped_storage()` by bytes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from gradviz.core import dtypes
from gradviz.core.public import method
from gradviz.core.spelling import spelling
from gradviz.core.tensor import Tensor


class _Memory:
    """What several views share, as one row of numbers."""

    _kind = ""

    def __init__(self, row: Any) -> None:
        self._row = row

    def __len__(self) -> int:
        return int(self._row.size)

    def __getitem__(self, place: int) -> Any:
        return self._row[place].item()

    def __setitem__(self, place: Any, value: Any) -> None:
        self._row[place] = value

    def __iter__(self) -> Iterator[Any]:
        return iter(self._row.tolist())

    def size(self) -> int:
        """The number of elements."""
        return len(self)

    def nbytes(self) -> int:
        """Bytes of all elements."""
        return int(self._row.nbytes)

    def element_size(self) -> int:
        """Bytes an element."""
        return int(self._row.itemsize)

    def data_ptr(self) -> int:
        """Address of the first element."""
        return int(self._row.ctypes.data)

    def tolist(self) -> list[Any]:
        """The elements as numbers."""
        return list(self._row.tolist())

    def __repr__(self) -> str:
        return "".join(f" {one}\n" for one in self) + f"[torch.storage.{self._kind} of size {len(self)}]"


class TypedStorage(_Memory):
    """Memory by elements."""

    @property
    def dtype(self) -> dtypes.dtype:
        """The element type."""
        return dtypes.of(self._row)

    @property
    def _kind(self) -> str:  # type: ignore[override]
        return f"TypedStorage(dtype={spelling.name}.{self.dtype.name}, device=cpu)"

    def untyped(self) -> UntypedStorage:
        """The same memory by bytes."""
        return UntypedStorage(self._row.view(np.uint8))


class UntypedStorage(_Memory):
    """Memory by bytes."""

    _kind = "UntypedStorage(device=cpu)"


def _row_behind(self: Tensor) -> Any:
    array = self._array()
    base = array
    while isinstance(base.base, np.ndarray) and base.base.dtype == array.dtype:
        base = base.base
    return np.lib.stride_tricks.as_strided(base, (base.size,), (base.itemsize,))


@method
def storage(self: Tensor) -> TypedStorage:
    """The memory that the tensor and its views share, as one row of elements."""
    return TypedStorage(_row_behind(self))


@method
def untyped_storage(self: Tensor) -> UntypedStorage:
    """The memory that the tensor and its views share, as bytes."""
    return UntypedStorage(_row_behind(self).view(np.uint8))
