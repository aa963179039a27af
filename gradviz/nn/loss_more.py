"""Losses that are met less often, as modules: of margins, of distributions, of sequences."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gradviz.core.tensor import Tensor
from gradviz.nn import functional
from gradviz.nn.loss import _Loss, _WeightedLoss
from gradviz.nn.module import Module


class SoftMarginLoss(_Loss):
    """log(1 + exp(-target * input)), for targets 1 and -1."""

    _call = "soft_margin_loss"


class MultiLabelMarginLoss(_Loss):
    """How much less than 1 each right class is above each wrong one. Targets: classes up to the first -1."""

    _call = "multilabel_margin_loss"


class MultiLabelSoftMarginLoss(_WeightedLoss):
    """Cross entropy of each class by itself, averaged over the classes."""

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Both (n, classes)."""
        result: Tensor = functional.multilabel_soft_margin_loss(input, target, self.weight, reduction=self.reduction)
        return result


class MultiMarginLoss(_WeightedLoss):
    """How much less than `margin` the right class is above the others, to the power `p`."""

    def __init__(
        self,
        p: int = 1,
        margin: float = 1.0,
        weight: Tensor | None = None,
        size_average: Any = None,
        reduce: Any = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(weight, size_average, reduce, reduction)
        if p not in (1, 2):
            raise ValueError("only p == 1 and p == 2 supported")
        self.p = p
        self.margin = margin

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Input (n, classes), target (n,)."""
        result: Tensor = functional.multi_margin_loss(
            input, target, self.p, self.margin, self.weight, reduction=self.reduction
        )
        return result


class MarginRankingLoss(_Loss):
    """How much less than `margin` the one that should be larger is above the other."""

    def __init__(
        self, margin: float = 0.0, size_average: Any = None, reduce: Any = None, reduction: str = "mean"
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.margin = margin

    def forward(self, input1: Tensor, input2: Tensor, target: Tensor) -> Tensor:  # type: ignore[override]
        """All of one shape; the target is 1 where `input1` should be larger, else -1."""
        result: Tensor = functional.margin_ranking_loss(
            input1, input2, target, self.margin, reduction=self.reduction
        )
        return result


class HingeEmbeddingLoss(_Loss):
    """The input where the target is 1, how much less than `margin` it is where the target is -1."""

    def __init__(
        self, margin: float = 1.0, size_average: Any = None, reduce: Any = None, reduction: str = "mean"
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.margin = margin

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Both of one shape."""
        result: Tensor = functional.hinge_embedding_loss(input, target, self.margin, reduction=self.reduction)
        return result


class PoissonNLLLoss(_Loss):
    """The negated log likelihood of counts at rates exp(input), or input unless `log_input`."""

    def __init__(
        self,
        log_input: bool = True,
        full: bool = False,
        size_average: Any = None,
        eps: float = 1e-8,
        reduce: Any = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.log_input = log_input
        self.full = full
        self.eps = eps

    def forward(self, log_input: Tensor, target: Tensor) -> Tensor:
        """Both of one shape."""
        result: Tensor = functional.poisson_nll_loss(
            log_input, target, self.log_input, self.full, eps=self.eps, reduction=self.reduction
        )
        return result


class GaussianNLLLoss(_Loss):
    """The negated log likelihood of the target under normal distributions."""

    def __init__(self, *, full: bool = False, eps: float = 1e-6, reduction: str = "mean") -> None:
        super().__init__(reduction=reduction)
        self.full = full
        self.eps = eps

    def forward(self, input: Tensor, target: Tensor, var: Any) -> Tensor:  # type: ignore[override]
        """Means, targets and variances of one shape."""
        result: Tensor = functional.gaussian_nll_loss(
            input, target, var, self.full, self.eps, reduction=self.reduction
        )
        return result


class CTCLoss(_Loss):
    """How unlikely a sequence of labels is, whichever way it is spread over the steps."""

    def __init__(self, blank: int = 0, reduction: str = "mean", zero_infinity: bool = False) -> None:
        super().__init__(reduction=reduction)
        self.blank = blank
        self.zero_infinity = zero_infinity

    def forward(  # type: ignore[override]
        self, log_probs: Tensor, targets: Tensor, input_lengths: Any, target_lengths: Any
    ) -> Tensor:
        """log_probs (steps, n, classes), targets (n, labels)."""
        result: Tensor = functional.ctc_loss(
            log_probs, targets, input_lengths, target_lengths, self.blank, self.reduction, self.zero_infinity
        )
        return result


class TripletMarginWithDistanceLoss(_Loss):
    """How much nearer than `margin` the negative is, compared with the positive, by a distance of your own."""

    def __init__(
        self,
        *,
        distance_function: Callable[[Tensor, Tensor], Tensor] | None = None,
        margin: float = 1.0,
        swap: bool = False,
        reduction: str = "mean",
    ) -> None:
        super().__init__(reduction=reduction)
        self.distance_function = PairwiseDistance() if distance_function is None else distance_function
        self.margin = margin
        self.swap = swap

    def forward(self, anchor: Tensor, positive: Tensor, negative: Tensor) -> Tensor:  # type: ignore[override]
        """All (n, m)."""
        result: Tensor = functional.triplet_margin_with_distance_loss(
            anchor,
            positive,
            negative,
            distance_function=self.distance_function,
            margin=self.margin,
            swap=self.swap,
            reduction=self.reduction,
        )
        return result


class PairwiseDistance(Module):
    """The p-norm of the difference along the last dimension."""

    def __init__(self, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> None:
        super().__init__()
        self.norm = p
        self.eps = eps
        self.keepdim = keepdim

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        """Both (n, m). Returns (n,)."""
        result: Tensor = functional.pairwise_distance(x1, x2, self.norm, self.eps, self.keepdim)
        return result
