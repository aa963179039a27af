"""Losses that are negated log likelihoods, as modules: `CrossEntropyLoss`, `BCELoss`, `KLDivLoss`, `CTCLoss`, ..."""

from __future__ import annotations

from typing import Any

from gradviz.core.tensor import Tensor
from gradviz.nn import functional
from gradviz.nn.loss import Loss, WeightedLoss


class NLLLoss(WeightedLoss):
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


class CrossEntropyLoss(WeightedLoss):
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


class BCELoss(WeightedLoss):
    """Cross entropy of probabilities against targets from 0 to 1."""

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Both of one shape."""
        result: Tensor = functional.binary_cross_entropy(input, target, self.weight, reduction=self.reduction)
        return result


class BCEWithLogitsLoss(Loss):
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


class MultiLabelSoftMarginLoss(WeightedLoss):
    """Cross entropy of each class by itself, averaged over the classes."""

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Both (n, classes)."""
        result: Tensor = functional.multilabel_soft_margin_loss(input, target, self.weight, reduction=self.reduction)
        return result


class KLDivLoss(Loss):
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


class PoissonNLLLoss(Loss):
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


class GaussianNLLLoss(Loss):
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


class CTCLoss(Loss):
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
