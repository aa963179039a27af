"""Noise in training: `dropout`, `dropout1d` to `dropout3d`, `alpha_dropout`, `rrelu`, `gumbel_softmax`; `multinomial`.

Source of `alpha_dropout`: Klambauer et al., "Self-normalizing neural networks", arXiv:1706.02515.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from gradviz.core.apply import apply, leaf
from gradviz.core.composites import called, composite
from gradviz.core.inplace import apply_inplace
from gradviz.core.ops.arithmetic import ADD, MUL
from gradviz.core.ops.draws import drawn_into, result_of
from gradviz.core.ops.table import Row, op
from gradviz.core.public import FUNCTIONAL, FUNCTIONS, both, first_tensor, function, functional, method
from gradviz.core.random import Generator, stream
from gradviz.core.tensor import Tensor

_SATURATION = 1.7580993408473766
"""What SELU gives for minus infinity, with the sign turned."""


def _check(p: float) -> None:
    if not 0 <= p <= 1:
        raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")


def _noise(input: Tensor, p: float, whole_channels: bool) -> Any:
    """Ones where elements, or whole channels, stay."""
    shape = tuple(input.shape)
    if whole_channels:
        if len(shape) < 2:
            raise RuntimeError("Feature dropout requires at least 2 dimensions in the input")
        shape = (*shape[:2], *(1,) * (len(shape) - 2))
    return stream(None).chances(1 - p, math.prod(shape)).astype(input._data.dtype).reshape(shape)


def _times(input: Any, noise: Any, inplace: bool) -> Tensor:
    mask = leaf(noise, "bernoulli", False)
    return apply_inplace(MUL, input, (mask,)) if inplace else apply(MUL, (input, mask))


def _scaled(input: Tensor, p: float, whole_channels: bool) -> Any:
    """What to multiply with, so that the expected value stays."""
    kind = input._data.dtype.type
    return np.zeros((), kind) if p == 1 else _noise(input, p, whole_channels) / kind(1 - p)


@called("dropout")
def _dropped(input: Tensor, p: float, train: bool, inplace: bool) -> Tensor:
    data = first_tensor("dropout", input)._data
    if not train or p == 0 or not data.size:
        return input
    return _times(input, _scaled(input, p, False), inplace)


@functional
def dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Zero each element with probability `p` and scale the others by `1 / (1 - p)`; `input` itself if not training.

    inplace: write it over `input`. Raises ValueError for a probability outside 0 to 1.
    """
    _check(p)
    return _dropped(input, p, training, inplace)


def _dropout(input: Tensor, p: float, train: bool) -> Tensor:
    """Zero each element with probability `p` and scale the others by `1 / (1 - p)`; `input` itself if not `train`."""
    if not 0 <= p <= 1:
        raise RuntimeError(f"dropout probability has to be between 0 and 1, but got {p}")
    return _dropped(input, p, train, False)


FUNCTIONS["dropout"] = _dropout


@called("feature_dropout")
def _channels_dropped(input: Any, p: float, training: bool, inplace: bool) -> Tensor:
    if not training or p == 0 or not input.numel():
        result: Tensor = input
        return result
    return _times(input, _scaled(input, p, True), inplace)


def _of_channels(count: int) -> Callable[..., Tensor]:
    """A function for inputs of `count` dimensions behind the channels, with a batch or, but for images, without."""
    name = f"dropout{count}d"

    def drop(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
        _check(p)
        if first_tensor(name, input).ndim == count + 1 and count != 2:
            result: Tensor = _channels_dropped(input.unsqueeze(0), p, training, inplace).squeeze(0)
            return result
        return _channels_dropped(input, p, training, inplace)

    drop.__name__ = drop.__qualname__ = name
    drop.__doc__ = "`dropout` of whole channels, those of (N, C, ...)."
    return functional(called("")(drop))


for _count in (1, 2, 3):
    _of_channels(_count)


def _keeping_moments(input: Any, p: float, training: bool, inplace: bool, channels: bool) -> Tensor:
    """Dropout to SELU's lowest value, then scaled so that mean and variance stay."""
    _check(p)
    if not training or p == 0 or not input.numel():
        result: Tensor = input
        return result
    kind = input._data.dtype.type
    if p == 1:
        return _times(input, np.zeros((), kind), inplace)
    noise = _noise(input, p, channels)
    scale = 1 / math.sqrt((_SATURATION**2 * p + 1) * (1 - p))
    shift = (noise - kind(1)) * kind(_SATURATION * scale) + kind(_SATURATION * scale * p)
    scaled = _times(input, noise * kind(scale), inplace)
    offset = leaf(shift, "bernoulli", False)
    return apply_inplace(ADD, scaled, (offset,), (1,)) if inplace else apply(ADD, (scaled, offset), (1,))


@functional
@composite
def alpha_dropout(input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False) -> Tensor:
    """`dropout` that keeps the mean and the variance of what `selu` gives."""
    return _keeping_moments(first_tensor("alpha_dropout", input), p, training, inplace, False)


@functional
@composite
def feature_alpha_dropout(input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False) -> Tensor:
    """`alpha_dropout` of whole channels."""
    return _keeping_moments(first_tensor("feature_alpha_dropout", input), p, training, inplace, True)


# ---- slopes that are drawn

RRELU = {
    inplace: op(
        "rrelu(x, *, noise)",
        lambda x, noise: x * noise,
        key=f"rrelu{'_' * inplace}",
        node=f"RreluWithNoiseBackward{int(inplace)}",
        call="nn.functional.rrelu",
        x=(lambda g, out, noise: g * noise) if inplace else (lambda g, noise: g * noise),
    )
    for inplace in (False, True)
}
"""By whether it writes in place, where PyTorch has another node, which keeps the result."""


@functional
@composite
def rrelu(
    input: Tensor, lower: float = 1.0 / 8, upper: float = 1.0 / 3, training: bool = False, inplace: bool = False
) -> Tensor:
    """`leaky_relu` whose slope is drawn for each element in training, and is the middle one otherwise."""
    data = first_tensor("rrelu", input)._data
    if lower > upper:
        raise RuntimeError("Lower bound should be less than or equal to the upper bound")
    below = np.atleast_1d(data) <= 0
    noise = np.ones(below.shape, data.dtype)
    drawn = stream(None).uniform(int(below.sum()), np.dtype(np.float64), lower, upper) if training else None
    noise[below] = (lower + upper) / 2 if drawn is None else drawn
    static = (noise.reshape(data.shape),)
    return apply_inplace(RRELU[True], input, (), static) if inplace else apply(RRELU[False], (input,), static)


@function
@functional
def rrelu_(input: Tensor, lower: float = 1.0 / 8, upper: float = 1.0 / 3, training: bool = False) -> Tensor:
    """In-place `rrelu`."""
    return FUNCTIONAL["rrelu"](input, lower, upper, training, inplace=True)  # type: ignore[no-any-return]


# ---- choices that are drawn


EXPONENTIAL_: Row = op(
    "exponential_(x, *, lambd=1.0)", lambda array: array, node="ExponentialBackward0", x=lambda g: g * 0
)


@method
def exponential_(self: Tensor, lambd: float = 1.0, *, generator: Generator | None = None) -> Tensor:
    """Fill with numbers of the exponential distribution of mean `1 / lambd`, in place."""
    if lambd <= 0:
        raise RuntimeError(f"exponential_ expects lambda > 0.0, but found lambda={lambd:g}")
    drawn = stream(generator).uniform(self._data.size, np.dtype(np.float64))
    return drawn_into(self, EXPONENTIAL_, (lambd,), (-np.log1p(-drawn) / lambd).reshape(self._data.shape))


@functional
@composite
def gumbel_softmax(logits: Any, tau: float = 1, hard: bool = False, eps: float = 1e-10, dim: int = -1) -> Tensor:
    """A random choice between classes as shares that have a gradient. tau: the larger, the more even they are.

    hard: give the choice itself, with the gradient of the shares.
    """
    noise = FUNCTIONS["empty_like"](logits).exponential_().log()
    soft = FUNCTIONS["softmax"]((logits - noise) / tau, dim)
    if not hard:
        result: Tensor = soft
        return result
    index = soft.detach().argmax(dim, keepdim=True)
    chosen = FUNCTIONS["zeros_like"](logits).scatter_(dim, index, 1.0)
    straight: Tensor = chosen - soft.detach() + soft
    return straight


MULTINOMIAL: Row = op("multinomial(x)", lambda array: array)


@both
def multinomial(
    input: Tensor, num_samples: int, replacement: bool = False, *, generator: Generator | None = None
) -> Tensor:
    """Indices drawn with the probabilities, or weights, in each row: (..., num_samples), int64.

    Without `replacement` no index is drawn twice from a row. These, and a single one, are drawn by `exponential_`.
    """
    weights = first_tensor("multinomial", input)._data
    if weights.dtype.kind != "f":
        raise RuntimeError(
            f"multinomial only supports floating-point dtypes for input, got: {input.dtype.type_name}"
        )
    if not 1 <= weights.ndim <= 2:
        raise RuntimeError("prob_dist must be 1 or 2 dim")
    if num_samples <= 0:
        raise RuntimeError("cannot sample n_sample <= 0 samples")
    if not np.isfinite(weights).all() or (weights < 0).any():
        raise RuntimeError("probability tensor contains either `inf`, `nan` or element < 0")
    if (np.add.reduce(weights, axis=-1) <= 0).any():
        raise RuntimeError("invalid multinomial distribution (sum of probabilities <= 0)")
    if not replacement and num_samples > weights.shape[-1]:
        raise RuntimeError("cannot sample n_sample > prob_dist.size(-1) samples without replacement")
    source = stream(generator)
    rows = weights.reshape(-1, weights.shape[-1]).astype(np.float64)
    if replacement and num_samples > 1:
        ends = np.cumsum(rows / np.add.reduce(rows, axis=1, keepdims=True), axis=1)
        drawn = source.uniform(len(rows) * num_samples, np.dtype(np.float64)).reshape(len(rows), num_samples)
        found = np.stack([np.searchsorted(end, part, "left") for end, part in zip(ends, drawn, strict=True)])
        found = np.minimum(found, rows.shape[1] - 1)
    else:
        waits = -np.log1p(-source.uniform(rows.size, np.dtype(np.float64)).reshape(rows.shape))
        speeds = rows.astype(weights.dtype) / waits.astype(weights.dtype)
        found = np.argsort(-speeds, axis=1, kind="stable")[:, :num_samples]
    return result_of(MULTINOMIAL, [input], found.reshape(*weights.shape[:-1], num_samples).astype(np.int64))
