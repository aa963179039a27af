"""Losses as modules: `CrossEntropyLoss`, `MSELoss`, ... Each calls the function of that name."""

from __future__ import annotations

from typing import Any

from gradviz.core.tensor import Tensor
from gradviz.nn import functional
from gradviz.nn.module import Module


class _Loss(Module):
    """A loss of an input and a target. reduction: "mean", "sum" or "none"."""

    reduction: str
    _call = ""

    def __init__(self, size_average: Any = None, reduce: Any = None, reduction: str = "mean") -> None:
        super().__init__()
        self.reduction = reduction

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """The loss of `input` against `target`, as a scalar unless `reduction` is "none"."""
        result: Tensor = getattr(functional, self._call)(input, target, reduction=self.reduction)
        return result


class _WeightedLoss(_Loss):
    """The same with a weight for each class or element."""

    weight: Tensor | None

    def __init__(
        self, weight: Tensor | None = None, size_average: Any = None, reduce: Any = None, reduction: str = "mean"
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.register_buffer("weight", weight)


class MSELoss(_Loss):
    """The squared difference."""

    _call = "mse_loss"


class L1Loss(_Loss):
    """The absolute difference."""

    _call = "l1_loss"


class KLDivLoss(_Loss):
    """How far the distribution `target` is from exp(input). log_target: the target is a logarithm, too."""

    def __init__(
        self, size_average: Any = None, reduce: Any = None, reduction: str = "mean", log_target: bool = False
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.log_target = log_target

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Both (...); the mean is over all elements."""
        result: Tensor = functional.kl_div(input, target, reduction=self.reduction, log_target=self.log_target)
        return result


class SmoothL1Loss(_Loss):
    """Squared below `beta`, absolute above."""

    def __init__(
        self, size_average: Any = None, reduce: Any = None, reduction: str = "mean", beta: float = 1.0
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.beta = beta

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Both of one shape."""
        result: Tensor = functional.smooth_l1_loss(input, target, reduction=self.reduction, beta=self.beta)
        return result


class HuberLoss(_Loss):
    """Squared below `delta`, `delta` times absolute above."""

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__(reduction=reduction)
        self.delta = delta

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Both of one shape."""
        result: Tensor = functional.huber_loss(input, target, reduction=self.reduction, delta=self.delta)
        return result


class BCELoss(_WeightedLoss):
    """Cross entropy of probabilities against targets from 0 to 1."""

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Both of one shape."""
        result: Tensor = functional.binary_cross_entropy(input, target, self.weight, reduction=self.reduction)
        return result


class BCEWithLogitsLoss(_Loss):
    """Cross entropy of sigmoid(input) against targets from 0 to 1. pos_weight: weight of the positive ones."""

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: Any = None,
        reduce: Any = None,
        reduction: str = "mean",
        pos_weight: Tensor | None = None,
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.register_buffer("weight", weight)
        self.register_buffer("pos_weight", pos_weight)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Both of one shape."""
        result: Tensor = functional.binary_cross_entropy_with_logits(
            input, target, self.weight, pos_weight=self.pos_weight, reduction=self.reduction
        )
        return result


class NLLLoss(_WeightedLoss):
    """The negated log probability of the target class. ignore_index: a class that does not count."""

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: Any = None,
        ignore_index: int = -100,
        reduce: Any = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(weight, size_average, reduce, reduction)
        self.ignore_index = ignore_index

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Input (n, classes, ...), target (n, ...)."""
        result: Tensor = functional.nll_loss(
            input, target, self.weight, ignore_index=self.ignore_index, reduction=self.reduction
        )
        return result


class CrossEntropyLoss(_WeightedLoss):
    """`NLLLoss` of the log softmax of the input. label_smoothing: how much of the target goes to all classes."""

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: Any = None,
        ignore_index: int = -100,
        reduce: Any = None,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(weight, size_average, reduce, reduction)
        self.ignore_index = ignore_index
        self.label_smoothing = label_smoothing

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Input (n, classes, ...), target (n, ...)."""
        result: Tensor = functional.cross_entropy(
            input,
            target,
            self.weight,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
            label_smoothing=self.label_smoothing,
        )
        return result


class CosineEmbeddingLoss(_Loss):
    """1 - cosine of pairs whose target is 1, the cosine above `margin` of pairs whose target is -1."""

    def __init__(
        self, margin: float = 0.0, size_average: Any = None, reduce: Any = None, reduction: str = "mean"
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.margin = margin

    def forward(self, input1: Tensor, input2: Tensor, target: Tensor) -> Tensor:  # type: ignore[override]
        """Inputs (n, m) or (m,), target (n,)."""
        result: Tensor = functional.cosine_embedding_loss(
            input1, input2, target, margin=self.margin, reduction=self.reduction
        )
        return result


class TripletMarginLoss(_Loss):
    """How much nearer `anchor` is to `negative` than to `positive`, plus `margin`, where that is above 0."""

    def __init__(
        self,
        margin: float = 1.0,
        p: float = 2.0,
        eps: float = 1e-6,
        swap: bool = False,
        size_average: Any = None,
        reduce: Any = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.margin = margin
        self.p = p
        self.eps = eps
        self.swap = swap

    def forward(self, anchor: Tensor, positive: Tensor, negative: Tensor) -> Tensor:  # type: ignore[override]
        """All (n, m) or (m,)."""
        result: Tensor = functional.triplet_margin_loss(
            anchor,
            positive,
            negative,
            margin=self.margin,
            p=self.p,
            eps=self.eps,
            swap=self.swap,
            reduction=self.reduction,
        )
        return result
