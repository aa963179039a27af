"""Blame: which values an error of the engine is about. Its text names a type, a shape and two versions, no variable."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import torch

from gradviz.frontends.torch.book import Book, Here
from gradviz.frontends.torch.identity import version_of
from gradviz.frontends.torch.nodes import saved_tensors

if TYPE_CHECKING:
    from gradviz.frontends.torch.sweeps import Walk

_WRITTEN = re.compile(
    r"modified by an inplace operation: \[[\w.]+ \[(?P<shape>[\d, ]*)\]\].* is at version (?P<version>\d+);"
)


def concerned_by(book: Book, here: Here, walk: Walk, error: str) -> tuple[int, ...]:
    """For a write to what a node had saved: the value of the op that saved it, then what the write made of it."""
    told = _WRITTEN.search(error)
    if told is None:
        return ()
    shape = [int(extent) for extent in told["shape"].split(",") if extent.strip()]
    version = int(told["version"])
    for node in walk.nodes_behind:
        for _, held in saved_tensors(node):
            if isinstance(held, torch.Tensor) and list(held.shape) == shape and version_of(held) == version:
                saver = book.value_of_node(here, node, 0)
                writer = _last_value_in(book, held)
                if saver is not None and writer is not None and writer > saver:
                    return saver, writer
    return ()


def _last_value_in(book: Book, held: torch.Tensor) -> int | None:
    """The last value that was put into the memory of a saved tensor, as far as a tensor on it is still alive."""
    found: int | None = None
    for known in list(book.tensors.values()):
        tensor: Any = known()
        if tensor is not None and known.value and _shares_memory(tensor, held):
            found = max(found or 0, known.value)
    return found


def _shares_memory(one: torch.Tensor, other: torch.Tensor) -> bool:
    try:
        return bool(one.untyped_storage()._cdata == other.untyped_storage()._cdata)
    except (RuntimeError, NotImplementedError):
        return False
