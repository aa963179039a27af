"""How a tensor prints: character for character as in PyTorch, but for the prefix of its dtype.

The elements share one width and one notation, which the values that are shown decide. What autograd knows follows as
suffixes; one that would not fit on the line goes to the next.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from gradviz.core import dtypes
from gradviz.core.public import function
from gradviz.core.tensor import Tensor


@dataclass(slots=True)
class PrintOptions:
    """Digits after the point; number of elements from which on only `edgeitems` at each edge are shown; line width in
    characters; whether to use scientific notation, None to let the values decide."""

    precision: int = 4
    threshold: float = 1000
    edgeitems: int = 3
    linewidth: int = 80
    sci_mode: bool | None = None


options = PrintOptions()

_PROFILES = {
    "default": PrintOptions(),
    "short": PrintOptions(precision=2, edgeitems=2),
    "full": PrintOptions(threshold=math.inf),
}


@function
def set_printoptions(
    precision: int | None = None,
    threshold: float | None = None,
    edgeitems: int | None = None,
    linewidth: int | None = None,
    profile: str | None = None,
    sci_mode: bool | None = None,
) -> None:
    """Change how tensors print from here on.

    precision: digits after the point, 4 by default.
    threshold: a tensor of more elements than this (1000) prints its edges only.
    edgeitems: how many elements at each edge, 3.
    linewidth: characters a line, 80.
    profile: "default", "short" or "full", which the other arguments then refine.
    sci_mode: True or False to force or forbid scientific notation; None, set by every call that leaves it out, lets the
        values decide.
    """
    given = {"precision": precision, "threshold": threshold, "edgeitems": edgeitems, "linewidth": linewidth}
    start = _PROFILES.get(profile or "", options)
    for name, value in given.items():
        setattr(options, name, getattr(start, name) if value is None else value)
    options.sci_mode = sci_mode


@function
def get_printoptions() -> dict[str, Any]:
    """The options in effect, as keyword arguments for `set_printoptions`."""
    return asdict(options)


@function
@contextlib.contextmanager
def printoptions(**changes: Any) -> Iterator[None]:
    """`set_printoptions(**changes)` for the extent of a `with`."""
    before = asdict(options)
    set_printoptions(**changes)
    try:
        yield
    finally:
        set_printoptions(**before)


def tensor_text(tensor: Tensor) -> str:
    """What `print(tensor)` shows. Reading it is no op: the elements do not leave autograd by being looked at."""
    array = np.asarray(tensor._data)
    kind = type(tensor)
    # A user's subclass prints under its own name; Parameter is no such thing.
    prefix = ("tensor" if kind.__module__.startswith("gradviz.") else kind.__name__) + "("
    elements = _elements(array, len(prefix)) if array.size else "[]"
    return _with_suffixes(prefix + elements, _suffixes(tensor, array), len(prefix))


def _suffixes(tensor: Tensor, array: Any) -> list[str]:
    """What is said of a tensor besides its elements, each part as `name=value`."""
    implied: tuple[dtypes.dtype, ...]
    if array.size:
        implied = (dtypes.get_default_dtype(), dtypes.int64, dtypes.bool_)
        shows_size = not options.edgeitems
    else:
        implied = (dtypes.get_default_dtype(),)
        shows_size = array.ndim != 1
    suffixes = [f"size={array.shape}"] if shows_size else []
    if tensor.dtype not in implied:
        suffixes.append(f"dtype={tensor.dtype}")
    if tensor.grad_fn is not None:
        suffixes.append(f"grad_fn=<{type(tensor.grad_fn).__name__}>")
    elif tensor.requires_grad:
        suffixes.append("requires_grad=True")
    return suffixes


def _with_suffixes(text: str, suffixes: list[str], indent: int) -> str:
    """`text` with its suffixes and the closing bracket.

    A suffix goes to a line of its own where PyTorch would put it there, so `gradviz.` counts as `torch.`.
    """
    used = len(text) - text.rfind("\n") + 1
    for suffix in suffixes:
        length = len(suffix.replace("=gradviz.", "=torch."))
        if used + length + 2 > options.linewidth:
            text += ",\n" + " " * indent + suffix
            used = indent + length
        else:
            text += ", " + suffix
            used += length + 2
    return text + ")"


def _elements(array: Any, indent: int) -> str:
    """The elements in nested brackets; `indent` is the column of the first bracket."""
    summarized = array.size > options.threshold
    notation, width = _notation(_edges(array) if summarized else array)
    if not array.ndim:
        return notation(array.item())
    return _brackets(array, indent, summarized, notation, width)


def _brackets(array: Any, indent: int, summarized: bool, notation: Callable[[Any], str], width: int) -> str:
    edge = options.edgeitems
    gap = summarized and array.shape[0] > 2 * edge
    if array.ndim == 1:
        if gap and edge:
            parts = [*map(notation, array[:edge].tolist()), " ...", *map(notation, array[-edge:].tolist())]
        else:
            parts = ["..."] if gap else list(map(notation, array.tolist()))
        per_line = max(1, (options.linewidth - indent) // (width + 2))
        lines = [", ".join(parts[start : start + per_line]) for start in range(0, len(parts), per_line)]
        return "[" + (",\n" + " " * (indent + 1)).join(lines) + "]"
    rows = array if not gap else [*array[:edge], None, *array[len(array) - edge :]]
    parts = ["..." if row is None else _brackets(row, indent + 1, summarized, notation, width) for row in rows]
    separator: str = "," + "\n" * (array.ndim - 1) + " " * (indent + 1)
    return "[" + separator.join(parts) + "]"


def _edges(array: Any) -> Any:
    """The elements that a summary shows."""
    edge = options.edgeitems
    for axis, length in enumerate(array.shape):
        if length > 2 * edge:
            array = array.take([*range(edge), *range(length - edge, length)], axis=axis)
    return array


def _notation(array: Any) -> tuple[Callable[[Any], str], int]:
    """How to write one element of `array`, and the width in characters that all are padded to."""
    if array.dtype.kind != "f":
        longest = max((len(str(value)) for value in array.ravel().tolist()), default=1)
        return lambda value: str(value).rjust(longest), longest
    values = array.astype(np.float64).ravel()
    values = values[np.isfinite(values) & (values != 0)]
    form, point = ".0f", "."
    if values.size:
        smallest, largest = np.abs(values).min(), np.abs(values).max()
        whole = bool((values == np.ceil(values)).all())
        scientific = options.sci_mode
        if scientific is None:
            scientific = bool(largest / smallest > 1000.0 or largest > 1.0e8 or smallest < 1.0e-4)
        if scientific or not whole:
            form, point = f".{options.precision}{'e' if scientific else 'f'}", ""
    width = max((len(format(value, form) + point) for value in values.tolist()), default=1)

    def notation(value: float) -> str:
        return (format(value, form) + (point if math.isfinite(value) else "")).rjust(width)

    return notation, width
