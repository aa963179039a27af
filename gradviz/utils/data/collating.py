"""Collating: entries of a data set become a batch, or tensors; and who does it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gradviz.core import dtypes
from gradviz.core.ops.joining import stack
from gradviz.core.ops.sources import as_tensor, tensor
from gradviz.core.tensor import Tensor


def default_collate(batch: Sequence[Any]) -> Any:
    """One tensor for tensors, arrays and numbers; dictionaries and tuples of such; texts as they are.

    Raises TypeError for anything else, RuntimeError for entries of different lengths.
    """
    first = batch[0]
    if isinstance(first, Tensor):
        return stack(list(batch))
    if isinstance(first, (np.ndarray, np.generic)):
        return stack([as_tensor(np.asarray(entry)) for entry in batch])
    if isinstance(first, float):
        return tensor(list(batch), dtype=dtypes.float64)
    if isinstance(first, int):
        return tensor(list(batch))
    if isinstance(first, (str, bytes)):
        return list(batch)
    if isinstance(first, Mapping):
        return {key: default_collate([entry[key] for entry in batch]) for key in first}
    if isinstance(first, tuple) and hasattr(first, "_fields"):
        return type(first)(*(default_collate(parts) for parts in zip(*batch, strict=True)))
    if isinstance(first, Sequence):
        if any(len(entry) != len(first) for entry in batch):
            raise RuntimeError("each element in list of batch should be of equal size")
        return [default_collate(parts) for parts in zip(*batch, strict=True)]
    raise TypeError(
        "default_collate: batch must contain tensors, numpy arrays, numbers, dicts or lists; found "
        f"{type(first)}"
    )


def default_convert(data: Any) -> Any:
    """Arrays as tensors, in dictionaries and sequences, too; anything else as it is."""
    if isinstance(data, (np.ndarray, np.generic)):
        array = np.asarray(data)
        return data if array.dtype.kind in "SUO" else as_tensor(array)
    if isinstance(data, Mapping):
        return {key: default_convert(value) for key, value in data.items()}
    if isinstance(data, tuple) and hasattr(data, "_fields"):
        return type(data)(*map(default_convert, data))
    if isinstance(data, Sequence) and not isinstance(data, (str, bytes)):
        return [default_convert(value) for value in data]
    return data


def get_worker_info() -> None:
    """None: all data is loaded in this process."""
