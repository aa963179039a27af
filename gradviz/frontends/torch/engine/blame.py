"""Blame: which values an error of the engine is about. Its text names a type, a shape and two versions, no variable."""

from __future__ import annotations

import re
from typing import Any

import torch

from gradviz.frontends.torch.autograd.freed import Freed
from gradviz.frontends.torch.autograd.nodes import saved_tensors
from gradviz.frontends.torch.books.book import Book
from gradviz.frontends.torch.books.here import Here
from gradviz.frontends.torch.books.identity import version_of
from gradviz.frontends.torch.engine.walk import Walk

_WRITTEN = re.compile(
    r"modified by an inplace operation: \[[\w.]+ \[(?P<shape>[\d, ]*)\]\].* is at version (?P<version>\d+);"
)
_FREED = "backward through the graph a second time"

TOLD = 8
"""Most values that one error is said to be about."""


def concerned_by(book: Book, here: Here, walk: Walk, error: str, freed: Freed) -> tuple[int, ...]:
    """The values that an error of the engine is about; empty where its text does not lead to any.

    For a write to what a node had saved: the value of the op that saved it, then what the write made of it. For a
    second sweep over a freed graph: the values by which this sweep came to what `freed` says that another one freed.
    """
    if _FREED in error:
        return _gone(book, here, walk, freed)
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


def _gone(book: Book, here: Here, walk: Walk, freed: Freed) -> tuple[int, ...]:
    """The last values, in order, of the ops behind the roots that come first of those whose tensors are gone."""
    numbers = freed.among(node._sequence_nr() for node in walk.nodes_behind)
    found: set[int] = set()
    pending = list(walk.beginnings)
    seen = set(pending)
    while pending:
        node = pending.pop()
        if node._sequence_nr() in numbers and any(held is None for _, held in saved_tensors(node)):
            value = book.value_of_node(here, node, 0)
            if value is not None:
                found.add(value)
            continue
        for following, _ in node.next_functions:
            if following is not None and following not in seen and getattr(following, "variable", None) is None:
                seen.add(following)
                pending.append(following)
    return tuple(sorted(found)[-TOLD:])


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
