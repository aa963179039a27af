"""Images read between their elements: `grid_sample`, and `affine_grid`, which says where.

Shapes: x (N, C, H, W) or (N, C, D, H, W); grid (N, places..., 2 or 3) with coordinates from -1 to 1, the last dimension
of the image first; result (N, C, places...).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from gradviz.core.apply import apply
from gradviz.core.dual import added_at, array_of, taken_at
from gradviz.core.ops.normalising import wide
from gradviz.core.ops.resizing import cubic, cubic_slope
from gradviz.core.ops.samples import grid as some
from gradviz.core.ops.samples import unit
from gradviz.core.ops.table import Row, op, sample
from gradviz.core.public import functional
from gradviz.core.tensor import Tensor

# ---- where


def _ends(length: int, align_corners: bool) -> Any:
    """Coordinates of the elements of one dimension. (length,)"""
    if align_corners:
        return np.linspace(-1, 1, length) if length > 1 else np.zeros(1)
    return (np.arange(length) * 2 + 1) / length - 1


def _base(size: tuple[int, ...], align_corners: bool, kind: Any) -> Any:
    """Coordinates of every place, and a 1 behind them. (places, 3 or 4)"""
    axes = np.meshgrid(*(_ends(length, align_corners) for length in size), indexing="ij")
    return np.stack([axis.reshape(-1) for axis in (*axes[::-1], np.ones(size))], -1).astype(kind)


AFFINE_GRID: Row = op(
    "affine_grid(theta, *, size, align_corners)",
    lambda theta, size, align_corners: (
        _base(size[2:], align_corners, theta.dtype) @ np.swapaxes(theta, 1, 2)
    ).reshape(size[0], *size[2:], len(size) - 2),
    node="AffineGridGeneratorBackward0",
    call="nn.functional.affine_grid",
    theta=lambda g, size, align_corners: np.swapaxes(g.reshape((size[0], -1, len(size) - 2)), 1, 2)
    @ _base(size[2:], align_corners, array_of(g).dtype),
    samples=lambda: [sample(some(2, 2, 3), (2, 1, 3, 4), False), sample(some(1, 3, 4), (1, 2, 2, 3, 2), True)],
)


@functional
def affine_grid(theta: Tensor, size: Sequence[int], align_corners: bool | None = None) -> Tensor:
    """The grid that `grid_sample` needs to turn and stretch images of a size by `theta` (N, 2, 3) or (N, 3, 4).

    align_corners: -1 and 1 are the middles of the elements at the ends, not their edges.
    """
    if not theta.is_floating_point():
        raise ValueError(f"Expected theta to have floating point type, but got {theta.dtype}")
    wanted = tuple(int(length) for length in size)
    if len(wanted) not in (4, 5):
        raise NotImplementedError(
            "affine_grid only supports 4D and 5D sizes, for 2D and 3D affine transforms, respectively. Got size "
            f"{size}."
        )
    count = len(wanted) - 2
    if tuple(theta.shape[-2:]) != (count, count + 1) or theta.ndim != 3:
        raise ValueError(
            f"Expected a batch of {count}D affine matrices of shape Nx{count}x{count + 1} for size {size}. Got "
            f"{theta.shape}."
        )
    if theta.shape[0] != wanted[0]:
        raise RuntimeError(
            f"Expected size for first two dimensions of batch2 tensor to be: [{wanted[0]}, {count + 1}] but got: "
            f"[{theta.shape[0]}, {count + 1}]."
        )
    if min(wanted) <= 0:
        raise ValueError(f"Expected non-zero, positive output size. Got {size}")
    return apply(AFFINE_GRID, (theta,), (wanted, bool(align_corners)))


# ---- what is there


class _Axis(NamedTuple):
    """One dimension of the image, read at every place: the element before, the part of the way to the next one.

    slope   how fast the place moves with its coordinate
    """

    first: Any
    part: Any
    slope: Any
    length: int


def _axis(coordinate: Any, length: int, padding_mode: str, align_corners: bool, mode: str) -> _Axis:
    """Raw coordinates may be Tensors; what is not differentiated is not."""
    scale = (length - 1) / 2 if align_corners else length / 2
    place = (coordinate + 1) * scale - (0 if align_corners else 0.5)
    slope: Any = np.full(coordinate.shape, scale)
    plain = array_of(place)
    if mode == "bicubic":  # beyond the ends each neighbour is found by itself
        first = np.floor(np.clip(np.where(np.isfinite(plain), plain, -1.0), -_FAR, _FAR))
        return _Axis(first.astype(np.int64), place - first, slope, length)
    near = mode == "nearest"
    if padding_mode == "reflection":
        low, span = _mirrors(length, align_corners)
        turns = np.floor((plain - low) / span) if span else np.zeros(plain.shape)
        odd = turns % 2 == 1
        place = np.where(odd, span - (place - low - turns * span) + low, place - turns * span) if span else place * 0
        slope = np.where(odd, -slope, slope)
        plain = array_of(place)
    if padding_mode != "zeros":
        outside = (plain < 0) | (plain > length - 1)
        slope = np.where(outside, 0.0, slope)
        place = np.where(plain < 0, 0.0, np.where(plain > length - 1, length - 1.0, place))
        plain = array_of(place)
    plain = np.where(np.isfinite(plain), plain, -1.0)
    plain = np.clip(plain, -2.0, length + 1.0)
    first = np.rint(plain) if near else np.floor(plain)
    part = place * 0 if near else place - first
    return _Axis(first.astype(np.int64), part, slope, length)


def _axes(shape: tuple[int, ...], grid: Any, mode: str, padding_mode: str, align_corners: bool) -> list[_Axis]:
    count = len(shape) - 2
    return [
        _axis(grid[..., count - 1 - axis], shape[2 + axis], padding_mode, align_corners, mode)
        for axis in range(count)
    ]


_FAR = float(1 << 40)
"""A place so far beyond the ends that it makes no difference how far."""


def _mirrors(length: int, align_corners: bool) -> tuple[float, float]:
    """Where the first mirror stands, and how far from it the second one."""
    return (0.0, length - 1.0) if align_corners else (-0.5, float(length))


_OFFSETS = {"nearest": (0,), "bilinear": (0, 1), "bicubic": (-1, 0, 1, 2)}


def _corners(
    axes: list[_Axis], mode: str, padding_mode: str, align_corners: bool
) -> Iterator[tuple[tuple[int, ...], Any, tuple[Any, ...]]]:
    """Each neighbour: how far it is along each dimension; where it is inside; its position."""
    for offset in itertools.product(_OFFSETS[mode], repeat=len(axes)):
        places = [axis.first + step for axis, step in zip(axes, offset, strict=True)]
        if mode == "bicubic" and padding_mode != "zeros":
            places = [
                _brought_in(place, axis.length, padding_mode == "reflection", align_corners)
                for axis, place in zip(axes, places, strict=True)
            ]
        inside = np.ones(places[0].shape, np.bool_)
        for axis, place in zip(axes, places, strict=True):
            inside &= (place >= 0) & (place < axis.length)
        yield offset, inside, tuple(np.where(inside, place, 0) for place in places)


def _brought_in(place: Any, length: int, reflects: bool, align_corners: bool) -> Any:
    """Whole places beyond the ends as the places inside that stand for them."""
    if reflects:
        low, span = _mirrors(length, align_corners)
        way = np.abs(place - low) % (2 * span) if span else place * 0
        place = (np.minimum(way, 2 * span - way) + low).astype(np.int64)
    return np.clip(place, 0, length - 1)


def _share(axes: list[_Axis], offset: tuple[int, ...], mode: str, without: int | None = None) -> Any:
    """How much a neighbour counts; or by how much that changes with the part of the way along one dimension."""
    total: Any = 1.0
    for number, (axis, step) in enumerate(zip(axes, offset, strict=True)):
        if mode == "bicubic":
            distance = axis.part - step
            total = total * (cubic_slope(distance) if number == without else cubic(distance))
        elif number == without:
            total = total * (1.0 if step else -1.0)
        else:
            total = total * (axis.part if step else 1 - axis.part)
    return total


def _key(position: tuple[Any, ...]) -> tuple[Any, ...]:
    """Of all channels at a position, which is one for each sample and place: their channels come last."""
    batch = np.arange(len(position[0])).reshape(-1, *(1,) * (position[0].ndim - 1))
    return (batch, slice(None), *position)


def _read(x: Any, grid: Any, mode: str, padding_mode: str, align_corners: bool) -> Any:
    image = wide(x)
    axes = _axes(x.shape, wide(grid), mode, padding_mode, align_corners)
    out = np.zeros((*grid.shape[:-1], x.shape[1]), image.dtype)
    for offset, inside, position in _corners(axes, mode, padding_mode, align_corners):
        out += image[_key(position)] * np.asarray(_share(axes, offset, mode) * inside, image.dtype)[..., None]
    return np.ascontiguousarray(np.moveaxis(out, -1, 1), x.dtype)


def _of_image(
    g: Any, grid: Any, shape: tuple[int, ...], mode: str, padding_mode: str, align_corners: bool
) -> Any:
    axes = _axes(tuple(shape), wide(grid), mode, padding_mode, align_corners)
    channels_last = np.moveaxis(wide(g), 1, -1)
    total: Any = 0
    for offset, inside, position in _corners(axes, mode, padding_mode, align_corners):
        share = _share(axes, offset, mode) * inside
        total = total + added_at(channels_last * share[..., None], tuple(shape), _key(position))
    return total


def _of_grid(g: Any, x: Any, grid: Any, mode: str, padding_mode: str, align_corners: bool) -> Any:
    axes = _axes(tuple(x.shape), wide(grid), mode, padding_mode, align_corners)
    if mode == "nearest":
        return grid * 0
    channels_last = np.moveaxis(wide(g), 1, -1)
    slopes: list[Any] = [0] * len(axes)
    for offset, inside, position in _corners(axes, mode, padding_mode, align_corners):
        felt = np.add.reduce(channels_last * taken_at(wide(x), _key(position)), axis=-1) * inside
        for number in range(len(axes)):
            slopes[number] = slopes[number] + felt * _share(axes, offset, mode, number)
    return np.stack([slope * axis.slope for slope, axis in reversed([*zip(slopes, axes, strict=True)])], -1)


def _apart(places: Any) -> Any:
    """Coordinates that float16 holds, and none of which lies on an element, where the slope changes."""
    return (np.floor(places * 16) * 2 + 1) / 32


def _row(count: int) -> Row:
    places = (1, 2, 2, 1)[: count + 1]
    where, beyond = _apart(unit(*places, count)), _apart(unit(*places, count) * 1.6)
    x = some(1, 2, *(3, 4, 2)[:count]) / 8
    return op(
        "grid_sample(x, grid, *, mode, padding_mode, align_corners)",
        _read,
        key=f"grid_sample.{count}d",
        node=f"GridSampler{count}DBackward0",
        call="nn.functional.grid_sample",
        x=_of_image,
        grid=_of_grid,
        samples=lambda: [
            sample(x, where, align_corners=True),
            *(sample(x, beyond, "bilinear", padding, False) for padding in ("zeros", "border", "reflection")),
            sample(x, beyond, "bilinear", "reflection", True),
            sample(x, where, "nearest", "border", False),
            *(
                sample(x, beyond[:, :1, :1] * 2, "bicubic", padding, align_corners)
                for padding in ("zeros", "border", "reflection")
                for align_corners in (False, True)
                if count == 2
            ),
        ],
    )


GRID_SAMPLER: dict[int, Row] = {2: _row(2), 3: _row(3)}


@functional
def grid_sample(
    input: Tensor,
    grid: Tensor,
    mode: str = "bilinear",
    padding_mode: str = "zeros",
    align_corners: bool | None = None,
) -> Tensor:
    """`input` read at the places that `grid` names, between its elements.

    mode: "bilinear", "nearest", or of images "bicubic". padding_mode: beyond the ends are "zeros", the nearest
    element ("border"), or the image turned round ("reflection"). align_corners: as in `affine_grid`.
    """
    if mode not in ("bilinear", "nearest", "bicubic"):
        raise ValueError(
            "nn.functional.grid_sample(): expected mode to be 'bilinear', 'nearest' or 'bicubic', but got: "
            f"'{mode}'"
        )
    if padding_mode not in ("zeros", "border", "reflection"):
        raise ValueError(
            "nn.functional.grid_sample(): expected padding_mode to be 'zeros', 'border', or 'reflection', but got: "
            f"'{padding_mode}'"
        )
    if input.ndim not in (4, 5) or input.ndim != grid.ndim:
        raise RuntimeError(
            "grid_sampler(): expected 4D or 5D input and grid with same number of dimensions, but got input with "
            f"sizes {list(input.shape)} and grid with sizes {list(grid.shape)}"
        )
    count = input.ndim - 2
    if input.shape[0] != grid.shape[0]:
        raise RuntimeError(
            "grid_sampler(): expected grid and input to have same batch size, but got input with sizes "
            f"{list(input.shape)} and grid with sizes {list(grid.shape)}"
        )
    if grid.shape[-1] != count:
        raise RuntimeError(
            f"grid_sampler(): expected grid to have size {count} in last dimension, but got grid with sizes "
            f"{list(grid.shape)}"
        )
    if mode == "bicubic" and count == 3:
        raise RuntimeError("grid_sampler(): bicubic interpolation only supports 4D input")
    if 0 in input.shape[2:]:
        raise RuntimeError(
            "grid_sampler(): expected input to have non-empty spatial dimensions, but input has sizes "
            f"{list(input.shape)} with dimension {2 + list(input.shape[2:]).index(0)} being empty"
        )
    if input.dtype is not grid.dtype:
        names = [one.dtype.type_name.removesuffix("Tensor") for one in (input, grid)]
        raise RuntimeError(f"expected scalar type {names[0]} but found {names[1]}")
    return apply(GRID_SAMPLER[count], (input, grid), (mode, padding_mode, bool(align_corners)))


