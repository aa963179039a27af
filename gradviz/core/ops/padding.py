"""Borders around a tensor, by `pad`: of a constant, or of what lies inside (reflect, replicate, circular)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from gradviz.core.apply import apply
from gradviz.core.composites import called
from gradviz.core.dual import run_row
from gradviz.core.ops.samples import grid
from gradviz.core.ops.table import Row, op, sample
from gradviz.core.public import first_tensor, functional
from gradviz.core.tensor import Tensor


def _pairs(pad: Sequence[int], ndim: int) -> list[tuple[int, int]]:
    """What is added before and after each dimension; `pad` gives the last dimension first."""
    given = list(zip(pad[::2], pad[1::2], strict=True))
    return [(0, 0)] * (ndim - len(given)) + given[::-1]


def _with_constant(x: Any, pad: tuple[int, ...], value: Any) -> Any:
    """Negative padding cuts."""
    pairs = _pairs(pad, x.ndim)
    shape = [length + before + after for length, (before, after) in zip(x.shape, pairs, strict=True)]
    if any(length + min(before, 0) + min(after, 0) < 0 for length, (before, after) in zip(x.shape, pairs, strict=True)):
        raise RuntimeError("narrow(): length must be non-negative.")
    if min(shape, default=1) < 0:
        axis = next(axis for axis, length in enumerate(shape) if length < 0)
        raise RuntimeError(
            f"The input size {x.shape[axis]}, plus negative padding {pairs[axis][0]} and {pairs[axis][1]} resulted in "
            "a negative output size, which is invalid. Check dimension "
            f"{axis} of your input."
        )
    out = np.full(shape, value, x.dtype)
    source = tuple(
        slice(max(-before, 0), length - max(-after, 0))
        for length, (before, after) in zip(x.shape, pairs, strict=True)
    )
    target = tuple(
        slice(max(before, 0), length - max(after, 0)) for length, (before, after) in zip(shape, pairs, strict=True)
    )
    out[target] = x[source]
    return out


CONSTANT_PAD: Row = op(
    "pad(x, *, pad, value=0)",
    _with_constant,
    node="ConstantPadNdBackward0",
    call="nn.functional.pad",
    x=lambda g, pad: run_row(CONSTANT_PAD, (g,), (tuple(-length for length in pad), 0)),
    samples=lambda: [
        sample(grid(2, 3), (1, 2)),
        sample(grid(2, 3), (-1, 2, 1, -1), value=0.5),
        sample(grid(3), [0, 1], "constant", 2),
    ],
)

_MODES = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}
"""numpy's names for the ways to fill a border."""


def _border(x: Any, pad: tuple[int, ...], mode: str) -> Any:
    return np.take(x, _sources(x.shape, pad, mode))


def _sources(shape: tuple[int, ...], pad: tuple[int, ...], mode: str) -> Any:
    """For each element of the result, where in the flat input it comes from."""
    flat = np.arange(int(np.prod(shape))).reshape(shape)
    pairs = _pairs(pad, len(shape))
    inside = flat[
        tuple(
            slice(max(-before, 0), length - max(-after, 0))
            for length, (before, after) in zip(shape, pairs, strict=True)
        )
    ]
    return np.pad(inside, [(max(before, 0), max(after, 0)) for before, after in pairs], mode=_MODES[mode])  # type: ignore[call-overload]


def _folded_in(g: Any, shape: tuple[int, ...], pad: tuple[int, ...], mode: str) -> Any:
    sources = _sources(tuple(shape), pad, mode).reshape(-1)
    if g.dtype == np.float16:  # PyTorch adds up in float16 here
        whole = np.zeros(int(np.prod(shape)), g.dtype)
        np.add.at(whole, sources, g.reshape(-1))
        return whole.reshape(shape)
    kept = np.bincount(sources, g.reshape(-1), int(np.prod(shape)))
    return kept.astype(g.dtype).reshape(shape)


BORDER_GRAD: Row = op(
    "pad_backward(g, *, shape, pad, mode)",
    _folded_in,
    key="pad.border_grad",
    node="ReflectionPad2DBackwardBackward0",
    g=lambda g, pad, mode: run_row(BORDERS["reflect", 2], (g,), (pad, mode)),
)


def _border_row(mode: str, name: str, count: int) -> Row:
    shape = (2, 3, 4, 5, 3)[: count + 2]
    return op(
        "pad(x, *, pad, mode)",
        _border,
        key=f"pad.{mode}{count}",
        node=f"{name}Pad{count}DBackward0",
        call="nn.functional.pad",
        x=lambda g, shape, pad, mode: run_row(BORDER_GRAD, (g,), (tuple(shape), pad, mode)),
        samples=lambda: [sample(grid(*shape), (1, 2) * count, mode), sample(grid(*shape[1:]), (1, 0) * count, mode)],
    )


BORDERS: dict[tuple[str, int], Row] = {
    (mode, count): _border_row(mode, name, count)
    for mode, name in (("reflect", "Reflection"), ("replicate", "Replication"))
    for count in (1, 2, 3)
}


@functional
@called("pad")
def pad(input: Tensor, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Tensor:
    """`input` with borders: `pad` gives what is added before and after the last dimension, then the one before, ...

    mode: "constant" (of `value`, by default 0; negative widths cut), "reflect", "replicate" or "circular". Raises
    RuntimeError for widths that do not fit, NotImplementedError for a mode or a number of dimensions that is not there.
    """
    first_tensor("pad", input)
    widths = tuple(int(width) for width in pad)
    if len(widths) % 2:
        raise RuntimeError("Padding length must be divisible by 2")
    if mode == "constant":
        if len(widths) > 2 * input.ndim:
            raise RuntimeError(
                "Padding length should be less than or equal to two times the input dimension but got padding length "
                f"{len(widths)} and input of dimension {input.ndim}"
            )
        return apply(CONSTANT_PAD, (input,), (widths, 0 if value is None else value))
    if value is not None and value != 0:
        raise ValueError(f'Padding mode "{mode}" doesn\'t take in value argument')
    count = len(widths) // 2
    if mode not in _MODES or not 1 <= count <= 3 or input.ndim not in (count + 1, count + 2):
        if mode not in _MODES:
            raise NotImplementedError(f"Unrecognised padding mode {mode}")
        raise NotImplementedError(
            "Only 2D, 3D, 4D, 5D padding with non-constant padding are supported for now"
        )
    _check_widths(input, widths, mode)
    if mode == "circular":
        return _circular(input, widths)
    return apply(BORDERS[mode, count], (input,), (widths, mode))


def _check_widths(input: Tensor, widths: tuple[int, ...], mode: str) -> None:
    count = len(widths) // 2
    shape = list(input.shape)
    if 0 in (shape if len(shape) == count + 1 else shape[1:]):
        raise RuntimeError(
            f"Expected {count + 1}D or {count + 2}D (batch mode) tensor with possibly 0 batch size and other non-zero "
            f"dimensions for input, but got: {shape}"
        )
    for axis, (length, (before, after)) in enumerate(zip(shape, _pairs(widths, input.ndim), strict=True)):
        if mode == "circular" and max(before, after) > length:
            raise RuntimeError("Padding value causes wrapping around more than once.")
        if mode == "reflect" and max(before, after) >= max(length, 1):
            raise RuntimeError(
                "Argument #4: Padding size should be less than the corresponding input dimension, but got: padding "
                f"({before}, {after}) at dimension {axis} of input {shape}"
            )
        if length + before + after < 1 and (before or after):
            raise RuntimeError(f"input (dimension {axis} has size {length}) is too small for padding {widths}")


def _circular(input: Any, widths: tuple[int, ...]) -> Tensor:
    """Written piece by piece, as PyTorch does: the inside, then both borders of each dimension, the last one first."""
    pairs = _pairs(widths, input.ndim)
    whole = [length + before + after for length, (before, after) in zip(input.shape, pairs, strict=True)]
    out: Any = input.new_empty(whole)
    inside, source = out, input
    for axis, (before, after) in enumerate(pairs):
        if before or after:
            inside = inside.narrow(axis, max(before, 0), whole[axis] - max(before, 0) - max(after, 0))
            source = source.narrow(axis, max(-before, 0), inside.shape[axis])
    inside.copy_(source)
    for axis in reversed(range(input.ndim)):
        before, after = pairs[axis]
        if before > 0:
            end = out.narrow(axis, whole[axis] - before - max(after, 0), before)
            out.narrow(axis, 0, before).copy_(end)
        if after > 0:
            out.narrow(axis, whole[axis] - after, after).copy_(out.narrow(axis, max(before, 0), after))
    result: Tensor = out
    return result
