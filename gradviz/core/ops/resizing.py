"""Images at another size: `interpolate` in all its modes, and `upsample`.

Every mode is linear in the image and works along one dimension after the other: by a matrix whose rows say how much of
which elements a new element is made of.
Shapes: x (N, C, ...), result (N, C, ...).
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from gradviz.core import dtypes
from gradviz.core.apply import apply
from gradviz.core.composites import called, composite
from gradviz.core.dual import run_row
from gradviz.core.ops.pools import adaptive_avg_pool
from gradviz.core.ops.samples import grid
from gradviz.core.ops.table import Row, op, sample
from gradviz.core.ops.windows import Sizes
from gradviz.core.public import first_tensor, functional
from gradviz.core.tensor import Tensor
from gradviz.errors import NotWrittenError

_SHARPNESS = -0.75
"""The slope of the cubic at its first neighbour. Source: R. Keys, "Cubic convolution interpolation" (1981)."""


def _places(old: int, new: int, step: float, align_corners: bool, exact: bool) -> Any:
    """Where each new element lies among the old ones. (new,)"""
    if align_corners:
        return np.arange(new) * ((old - 1) / (new - 1) if new > 1 else 0.0)
    return np.arange(new) * step if not exact else (np.arange(new) + 0.5) * step - 0.5


def cubic(distance: Any) -> Any:
    """The weight of an element at a distance of at most 2."""
    a, x = _SHARPNESS, abs(distance)
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    return np.where(x <= 1, near, ((a * x - 5 * a) * x + 8 * a) * x - 4 * a)


def cubic_slope(distance: Any) -> Any:
    """How fast `cubic` changes with the distance."""
    a, x = _SHARPNESS, abs(distance)
    near = (3 * (a + 2) * x - 2 * (a + 3)) * x
    slope = np.where(x <= 1, near, (3 * a * x - 10 * a) * x + 8 * a)
    return np.where(distance < 0, -slope, slope)


@functools.lru_cache(maxsize=256)
def weights(mode: str, old: int, new: int, step: float, align_corners: bool, kind: Any) -> Any:
    """(new, old): how much of each old element a new one is made of."""
    matrix = np.zeros((new, old))
    rows = np.arange(new)
    if mode.startswith("nearest"):
        matrix[rows, nearest(mode, old, new, step)] = 1
        return matrix.astype(kind)
    place = _places(old, new, step, align_corners, True)
    if mode == "cubic":
        first = np.floor(place).astype(np.int64)
        for offset in range(-1, 3):
            column = np.clip(first + offset, 0, old - 1)
            np.add.at(matrix, (rows, column), cubic(place - (first + offset)))
        return matrix.astype(kind)
    place = np.maximum(place, 0)
    first = np.minimum(place.astype(np.int64), old - 1)
    part = place - first
    np.add.at(matrix, (rows, first), 1 - part)
    np.add.at(matrix, (rows, np.minimum(first + 1, old - 1)), part)
    return matrix.astype(kind)


def nearest(mode: str, old: int, new: int, step: float) -> Any:
    """The old element that each new one is. PyTorch computes it in float32."""
    shift = np.float32(0.5 if mode == "nearest-exact" else 0)
    index = np.floor((np.arange(new, dtype=np.float32) + shift) * np.float32(step)).astype(np.int64)
    return np.minimum(index, old - 1)


@functools.lru_cache(maxsize=256)
def _times(mode: str, old: int, new: int, step: float) -> int:
    """How often each old element is repeated, where that is all that happens, and not often; else 0."""
    times = new // old
    if not mode.startswith("nearest") or times * old != new or times > 8:
        return 0
    return times if np.array_equal(nearest(mode, old, new, step), np.arange(new) // times) else 0


def _wide(x: Any) -> Any:
    return x.astype(np.float32) if x.dtype == np.float16 else x


def _along(x: Any, axis: int, matrix: Any) -> Any:
    return np.moveaxis(np.moveaxis(x, axis, -1) @ matrix.T, -1, axis)


def _along_whole(x: Any, axis: int, matrix: Any) -> Any:
    """`_along` for uint8, in whole numbers as PyTorch does it: weights of 15 bits, rounded after each dimension."""
    bits = 0
    while bits < 22 and 0.5 + matrix.max() * (1 << (bits + 1)) < 1 << 15:
        bits += 1
    weights = np.trunc(matrix * (1 << bits) + np.where(matrix < 0, -0.5, 0.5)).astype(np.int64)
    return np.clip((_along(x.astype(np.int64), axis, weights) + (1 << (bits - 1))) >> bits, 0, 255)


def _resized(x: Any, mode: str, size: Sizes, steps: tuple[float, ...], align_corners: bool) -> Any:
    if x.dtype.kind != "f" and not (x.dtype == np.uint8 and (mode.startswith("nearest") or len(size) == 2)):
        kind = dtypes.of(x).type_name.removesuffix("Tensor")
        raise NotImplementedError(f"\"upsample_{mode}\" not implemented for '{kind}'")
    out = x if mode.startswith("nearest") else _wide(x)
    for axis, new, step in reversed([*zip(range(2, x.ndim), size, steps, strict=True)]):
        if mode.startswith("nearest"):
            out = np.take(out, nearest(mode, x.shape[axis], new, step), axis)
        elif x.dtype.kind == "u":
            out = _along_whole(out, axis, weights(mode, x.shape[axis], new, step, align_corners, np.float64))
        else:
            out = _along(out, axis, weights(mode, x.shape[axis], new, step, align_corners, out.dtype))
    return np.ascontiguousarray(out, x.dtype)


def _gathered(g: Any, mode: str, size: Sizes, steps: tuple[float, ...], align_corners: bool) -> Any:
    """What the cotangent of `_resized` says of an image of this size."""
    out = _wide(g)
    for axis, (old, step) in enumerate(zip(size, steps, strict=True), 2):
        times = _times(mode, old, g.shape[axis], step)
        if times:
            before = (slice(None),) * axis
            out = functools.reduce(np.add, [out[(*before, slice(first, None, times))] for first in range(times)])
            continue
        out = _along(out, axis, weights(mode, old, g.shape[axis], step, align_corners, out.dtype).T)
    return np.ascontiguousarray(out, g.dtype)


GATHERED: Row = op(
    "upsample_backward(g, *, mode, size, steps, align_corners)",
    _gathered,
    key="upsample.backward",
    node="UpsampleBilinear2DBackwardBackward0",
    g=lambda g, shape, mode, steps, align_corners: run_row(
        RESIZE["linear", 2], (g,), (mode, tuple(shape[2:]), steps, align_corners)
    ),
)

_NAMES = {
    ("nearest", 1): "UpsampleNearest1D",
    ("nearest", 2): "UpsampleNearest2D",
    ("nearest", 3): "UpsampleNearest3D",
    ("nearest-exact", 1): "UpsampleNearestExact1D",
    ("nearest-exact", 2): "UpsampleNearestExact2D",
    ("nearest-exact", 3): "UpsampleNearestExact3D",
    ("linear", 1): "UpsampleLinear1D",
    ("linear", 2): "UpsampleBilinear2D",
    ("linear", 3): "UpsampleTrilinear3D",
    ("cubic", 2): "UpsampleBicubic2D",
}
_SPELLED = {"linear": ("linear", 1), "bilinear": ("linear", 2), "trilinear": ("linear", 3), "bicubic": ("cubic", 2)}
"""By PyTorch's mode ours, and the number of dimensions that it is for."""


def _row(mode: str, count: int) -> Row:
    spelled = next((name for name, known in _SPELLED.items() if known == (mode, count)), mode)
    x = grid(1, 2, *(3, 4, 2)[:count])
    aligned = {} if mode.startswith("nearest") else {"align_corners": True}
    return op(
        f"upsample_{mode.replace('-', '_')}{count}d(x, *, mode, size, steps, align_corners)",
        _resized,
        node=f"{_NAMES[mode, count]}Backward0",
        call="nn.functional.interpolate",
        x=lambda g, shape, mode, steps, align_corners: run_row(
            GATHERED, (g,), (mode, tuple(shape[2:]), steps, align_corners)
        ),
        samples=lambda: [
            sample(x, scale_factor=2, mode=spelled, **aligned),
            sample(x, size=(5, 2, 3)[:count], mode=spelled),
            sample(x, scale_factor=(1.4, 0.75, 1.5)[:count], mode=spelled),
        ],
    )


RESIZE: dict[tuple[str, int], Row] = {key: _row(*key) for key in _NAMES}


def _wanted(input: Tensor, size: Any, scale_factor: Any, count: int) -> tuple[Sizes, list[float | None]]:
    """The new lengths, and what each dimension is to be multiplied by, where that was given."""
    if (size is None) == (scale_factor is None):
        which = "either" if size is None else "only one of"
        raise ValueError(f"{which} size or scale_factor should be defined")
    for name, value in (("size", size), ("scale_factor", scale_factor)):
        if isinstance(value, (list, tuple)) and len(value) != count:
            raise ValueError(
                f"Input and {'output' if name == 'size' else name} must have the same number of spatial dimensions, "
                f"but got input with spatial dimensions of {list(input.shape[2:])} and "
                + (f"output size of {value}. " if name == "size" else f"scale_factor of shape {value}. ")
                + "Please provide input tensor in (N, C, d1, d2, ...,dK) format and "
                + f"{'output size' if name == 'size' else name} in "
                + ("(o1, o2, ...,oK) format." if name == "size" else "(s1, s2, ...,sK) format.")
            )
    if size is not None:
        lengths = (size,) * count if isinstance(size, int) else tuple(int(one) for one in size)
        return lengths, [None] * count
    factors = [float(scale_factor)] * count if isinstance(scale_factor, (int, float)) else list(scale_factor)
    shape = tuple(input.shape[2:])
    return tuple(math.floor(old * factor) for old, factor in zip(shape, factors, strict=True)), factors


@functional
@composite
def interpolate(
    input: Any,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Tensor:
    """`input` (N, C, ...) at another size.

    size: the lengths that are wanted. scale_factor: or how many times longer they are. mode: "nearest",
    "nearest-exact", "linear" (of lines), "bilinear" and "bicubic" (of images), "trilinear" (of volumes), "area".
    align_corners: the first and the last elements stay at the ends. recompute_scale_factor: the new lengths say how
    far apart elements lie, not `scale_factor`. `antialias` is not written yet.
    """
    count = first_tensor("interpolate", input).ndim - 2
    if antialias:
        raise NotWrittenError("`antialias` of `interpolate` is not written yet")
    if mode in ("nearest", "area", "nearest-exact") and align_corners is not None:
        raise ValueError(
            "align_corners option can only be set with the interpolating modes: linear | bilinear | bicubic | "
            "trilinear"
        )
    lengths, factors = _wanted(input, size, scale_factor, count)
    if mode == "area":
        result: Tensor = adaptive_avg_pool(count, input, lengths)
        return result
    known = _SPELLED.get(mode, (mode, count))
    if known not in RESIZE or known[1] != count:
        raise NotImplementedError(
            f"Input Error: Only 3D, 4D and 5D input Tensors supported (got {input.ndim}D) for the modes: nearest | "
            f"linear | bilinear | bicubic | trilinear | area | nearest-exact (got {mode})"
        )
    if min(lengths, default=1) < 1 or 0 in input.shape[2:]:
        raise RuntimeError(
            "Input and output sizes should be greater than 0, but got input "
            f"{', '.join(map(str, input.shape[2:]))} output {', '.join(map(str, lengths))}"
        )
    steps = tuple(
        old / new if factor is None or recompute_scale_factor else 1 / factor
        for old, new, factor in zip(input.shape[2:], lengths, factors, strict=True)
    )
    return apply(RESIZE[known], (input,), (known[0], lengths, steps, bool(align_corners)))


@functional
@called("")
def upsample(
    input: Any, size: Any = None, scale_factor: Any = None, mode: str = "nearest", align_corners: bool | None = None
) -> Tensor:
    """`interpolate`, under its old name."""
    return interpolate(input, size, scale_factor, mode, align_corners)
