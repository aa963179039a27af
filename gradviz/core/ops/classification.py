"""Losses of a choice between classes: `nll_loss`, `cross_entropy`, and `one_hot`.

Scores have their classes along dimension 1, or along the only one: (C,), (N, C), (N, C, ...). A target is the number of
the right class, shaped like the scores without that dimension, or, for `cross_entropy`, a probability for each class.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from gradviz.core.apply import apply
from gradviz.core.composites import composite, whole
from gradviz.core.dual import array_of, array_type
from gradviz.core.ops.arithmetic import ADD, DIV, MUL
from gradviz.core.ops.losses import check_reduction, refuse_grad
from gradviz.core.ops.samples import grid, integers, positive
from gradviz.core.ops.shapes import wrap
from gradviz.core.ops.table import op, sample
from gradviz.core.public import first_tensor, functional
from gradviz.core.tensor import Tensor

# ---- rows


def _axis(scores: Any) -> int:
    return 1 if len(scores) > 1 else 0


def _weights(target: Any, weight: Any, ignore_index: int, kind: Any) -> Any:
    """What each target counts: its class's weight, 0 for those to be ignored."""
    counted = target != ignore_index
    if weight is None:
        return counted.astype(kind)
    return np.where(counted, weight[np.where(counted, target, 0)], 0).astype(kind)


def _places(target: Any, shape: tuple[int, ...], ignore_index: int) -> Any:
    """Where among all scores in a row those of the targets' classes are; of one to be ignored, that of class 0."""
    classes = shape[_axis(shape)]
    chosen = np.where(target == ignore_index, 0, target).astype(np.intp, copy=False)
    inner = math.prod(shape[2:])
    places = chosen.reshape(shape[0] if len(shape) > 1 else 1, inner)
    places = (np.arange(len(places))[:, None] * classes + places) * inner + np.arange(inner)
    return places.reshape(chosen.shape)


def _picked(x: Any, target: Any, *rest: Any) -> Any:
    """The negative score of each target's class, weighted and reduced. rest: `weight`, if there is one, and the static
    arguments."""
    *weight, ignore_index, reduction = rest
    weights = _weights(target, weight[0] if weight else None, ignore_index, x.dtype)
    losses = np.where(weights == 0, 0, -x.reshape(-1)[_places(target, x.shape, ignore_index)] * weights)
    if reduction == "none":
        return losses.astype(x.dtype)
    wide = np.float32 if x.dtype == np.float16 else x.dtype
    total = np.add.reduce(losses, axis=None, dtype=wide)
    if reduction == "mean":
        total = total / np.add.reduce(weights, axis=None, dtype=wide)
    return x.dtype.type(total)


def _put_back(g: Any, target: Any, weight: Any, shape: tuple[int, ...], ignore_index: int, reduction: str) -> Any:
    """The cotangent of the scores: nothing but at each target's class."""
    axis = _axis(shape)
    kind = array_type(g)
    weights = _weights(target, array_of(weight), ignore_index, kind)
    if reduction == "mean":
        weights = np.where(weights == 0, 0, weights / np.add.reduce(weights, axis=None)).astype(kind)
    slopes = np.zeros(shape, kind)
    slopes.reshape(-1)[_places(target, shape, ignore_index)] = -weights
    return (g if reduction != "none" else np.expand_dims(g, axis)) * slopes


NLL_LOSS = op(
    "nll_loss(x, target, weight, *, ignore_index=-100, reduction='mean')",
    _picked,
    call="nn.functional.nll_loss",
    x=lambda g, target, weight, shape, ignore_index, reduction: _put_back(
        g, target, weight, shape, ignore_index, reduction
    ),
    samples=lambda: [
        sample(grid(4, 3), integers(4, high=3)),
        sample(grid(4, 3), integers(4, high=3), reduction="sum"),
        sample(grid(4, 3), integers(4, high=3), reduction="none"),
        sample(grid(4, 3), integers(4, high=3), ignore_index=1),
        sample(grid(3), np.int64(1)),
    ],
)
NLL_LOSS_2D = op(
    "nll_loss(x, target, weight, *, ignore_index=-100, reduction='mean')",
    _picked,
    key="nll_loss2d",
    node="NllLoss2DBackward0",
    call="nn.functional.nll_loss",
    x=lambda g, target, weight, shape, ignore_index, reduction: _put_back(
        g, target, weight, shape, ignore_index, reduction
    ),
    samples=lambda: [
        sample(grid(2, 3, 2, 2), integers(2, 2, 2, high=3)),
        sample(grid(2, 3, 2, 2), integers(2, 2, 2, high=3), reduction="none", ignore_index=1),
        sample(grid(2, 3, 2, 2), integers(2, 2, 2, high=3), reduction="sum"),
    ],
)
# What PyTorch calls a product or a quotient of a tensor and a number where its own C++ code computes one.
MUL_NUMBER = op(
    "mul(x, y)",
    MUL.forward,
    key="mul.number",
    node="MulBackward1",
    call="nn.functional.cross_entropy",
    x=lambda g, y: g * y,
)
DIV_NUMBER = op(
    "div(x, y)",
    DIV.forward,
    key="div.number",
    node="DivBackward1",
    call="nn.functional.cross_entropy",
    x=lambda g, y: g / y,
    samples=lambda: [
        sample(grid(4, 3), positive(4, 3)),
        sample(grid(2, 3, 2), positive(2, 3, 2), label_smoothing=0.1),
        sample(grid(3), positive(3)),
    ],
)


def _one_hot(x: Any, num_classes: int) -> Any:
    return (x[..., None] == np.arange(num_classes)).astype(np.int64)


ONE_HOT = op(
    "one_hot(x, *, num_classes=-1)",
    _one_hot,
    call="nn.functional.one_hot",
    samples=lambda: [
        sample(integers(4)),
        sample(integers(2, 3), num_classes=7),
        sample(np.int64(2)),
    ],
)


# ---- public functions


@functional
@composite
def nll_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Tensor:
    """The negative of the scores (usually log probabilities) of the right classes.

    weight: (C,), what each class counts. ignore_index: a target that does not count. Raises ValueError for shapes that
    do not fit, IndexError for a class that does not exist.
    """
    check_reduction(reduction)
    refuse_grad("nll_loss_forward", weight=weight)
    first_tensor("nll_loss_nd", input)
    _check_choice(input, target, weight, ignore_index)
    static = (ignore_index, reduction)
    weights = [] if weight is None else [weight]
    if input.ndim <= 2:
        return apply(NLL_LOSS, [input, target, *weights], static)
    if input.ndim == 4:
        return apply(NLL_LOSS_2D, [input, target, *weights], static)
    # PyTorch has a kernel for two dimensions of positions and folds any other number into them.
    batch, classes = input.shape[:2]
    flat: Tensor = input.contiguous().view(batch, classes, 1, -1)
    losses = apply(NLL_LOSS_2D, [flat, target.contiguous().view(batch, 1, -1), *weights], static)
    return losses.view(target.shape) if reduction == "none" else losses


def _check_choice(input: Tensor, target: Tensor, weight: Tensor | None, ignore_index: int) -> None:
    """Raise PyTorch's errors where scores, targets and class weights do not fit together."""
    shape, wanted = input.shape, target.shape
    if not shape:
        raise ValueError("Expected 1 or more dimensions (got 0)")
    if len(shape) != 1 and (not wanted or shape[0] != wanted[0]):
        got = wanted[0] if wanted else 0
        raise ValueError(f"Expected input batch_size ({shape[0]}) to match target batch_size ({got}).")
    if len(shape) <= 2 and len(wanted) > 1:
        raise RuntimeError("0D or 1D target tensor expected, multi-target not supported")
    if len(shape) > 2 and wanted != (shape[0], *shape[2:]):
        raise RuntimeError(f"size mismatch (got input: {list(shape)}, target: {list(wanted)})")
    if target._data.dtype not in (np.dtype(np.int64), np.dtype(np.uint8)):
        kind = target.dtype.type_name.removesuffix("Tensor")
        raise RuntimeError(f"expected target dtype to be Long or Byte, but got {kind}")
    if len(shape) == 1 and len(wanted) == 1:
        if wanted[0] != 1:
            raise ValueError(f"For 1D input, 1D target must have size 1, but got target size: {wanted[0]}")
        raise RuntimeError(f"size mismatch (got input: {list(shape)}, target: {list(wanted)})")
    if not input.is_floating_point():
        kind = input.dtype.type_name.removesuffix("Tensor")
        raise NotImplementedError(f"\"nll_loss_out_frame\" not implemented for '{kind}'")
    classes = shape[_axis(shape)]
    if weight is not None and weight.shape != (classes,):
        raise RuntimeError(
            f"weight tensor should be defined either for all {classes} classes or no classes but got weight tensor of "
            f"shape: {list(weight.shape)}"
        )
    data = np.asarray(target._data)
    beyond = data[(data != ignore_index) & ((data < 0) | (data >= classes))]
    if beyond.size:
        raise IndexError(f"Target {beyond.flat[0]} is out of bounds.")


@functional
@whole
def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """`nll_loss` of the log probabilities that the scores stand for; `target` may also give each class a probability.

    label_smoothing: the part of every target, 0 to 1, that is spread evenly over all classes.
    """
    check_reduction(reduction)
    if not 0.0 <= label_smoothing <= 1.0:
        raise RuntimeError(f"label_smoothing must be between 0.0 and 1.0. Got: {label_smoothing:g}")
    if not input.ndim and target.ndim:
        wrap(1, 0)
    if not input.ndim and target.is_floating_point():
        raise IndexError("Dimension specified as 1 but tensor has no dimensions")
    axis = _axis(input.shape)
    if target.shape == input.shape:
        return _of_probabilities(input, target, weight, axis, ignore_index, reduction, label_smoothing)
    logs: Tensor = input.log_softmax(axis)
    loss = nll_loss(logs, target, weight, ignore_index=ignore_index, reduction=reduction)
    if not label_smoothing:
        return loss
    spread = _over_all_classes(logs, target, weight, axis, ignore_index, reduction)
    even = label_smoothing / input.shape[axis]
    return apply(ADD, (apply(MUL_NUMBER, (loss, 1 - label_smoothing)), apply(MUL_NUMBER, (spread, even))), (1,))


def _over_all_classes(logs: Any, target: Any, weight: Any, axis: int, ignore_index: int, reduction: str) -> Any:
    """The loss if every class were the right one, each by its weight."""
    losses = -(logs if weight is None else logs * _along(weight, axis, logs.ndim)).sum(axis)
    ignored = target == ignore_index
    losses.masked_fill_(ignored, 0.0)
    if reduction == "none":
        return losses
    total = losses.sum()
    if reduction == "sum":
        return total
    if weight is None:
        return total / (~ignored).sum()
    return total / weight[target[~ignored]].sum()


def _along(weight: Any, axis: int, ndim: int) -> Any:
    """Class weights shaped so that they broadcast against scores."""
    shape = [1] * ndim
    shape[axis] = weight.shape[0]
    return weight.view(shape)


def _of_probabilities(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None,
    axis: int,
    ignore_index: int,
    reduction: str,
    label_smoothing: float,
) -> Tensor:
    if not target.is_floating_point():
        kind = target.dtype.type_name.removesuffix("Tensor")
        raise RuntimeError(f"Expected floating point type for target with class probabilities, got {kind}")
    if ignore_index >= 0:
        raise RuntimeError("ignore_index is not supported for floating point target")
    classes = input.shape[axis]
    if weight is not None and weight.shape != (classes,):
        raise RuntimeError(
            f"cross_entropy: weight tensor should be defined either for all {classes} classes or no classes but got "
            f"weight tensor of shape: {list(weight.shape)}"
        )
    product: Any = input.log_softmax(axis)
    wanted: Any = target
    if label_smoothing:
        wanted = wanted * (1 - label_smoothing) + label_smoothing / classes
    product = product * wanted
    if weight is not None:
        product = product * _along(weight, axis, input.ndim)
    if reduction == "none":
        losses: Tensor = -product.sum(axis)
        return losses
    loss: Tensor = -product.sum()
    if reduction == "sum":
        return loss
    if not input.numel():
        mean: Tensor = -product.sum().fill_(math.nan)
        return mean
    return apply(DIV_NUMBER, (loss, input._data.size // classes if classes else 0))


@functional
def one_hot(tensor: Tensor, num_classes: int = -1) -> Tensor:
    """A last dimension of num_classes, zero but for a one where the class number says; int64.

    num_classes: by default one more than the largest. Raises RuntimeError for negative or too large class numbers.
    """
    data = np.asarray(tensor._data)
    if data.dtype != np.int64:
        raise RuntimeError("one_hot is only applicable to index tensor of type LongTensor.")
    if not data.size:
        if num_classes <= 0:
            raise RuntimeError("Can not infer total number of classes from empty tensor.")
    elif data.min() < 0:
        raise RuntimeError("Class values must be non-negative.")
    if num_classes == -1:
        num_classes = int(data.max()) + 1
    elif data.size and data.max() >= num_classes:
        raise RuntimeError("Class values must be smaller than num_classes.")
    return apply(ONE_HOT, (tensor,), (num_classes,))
