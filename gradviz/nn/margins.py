"""Losses with a margin, as modules: of classes, of pairs, of triplets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gradviz.core.tensor import Tensor
from gradviz.nn import functional
from gradviz.nn.distance import PairwiseDistance
from gradviz.nn.loss import Loss, WeightedLoss

# ---- classes


class SoftMarginLoss(Loss):
    """log(1 + exp(-target * input)), for targets 1 and -1."""

    _call = "soft_margin_loss"


class MultiMarginLoss(WeightedLoss):
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


class MultiLabelMarginLoss(Loss):
    """How much less than 1 each right class is above each wrong one. Targets: classes up to the first -1."""

    _call = "multilabel_margin_loss"


# ---- pairs and triplets


class MarginRankingLoss(Loss):
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


class HingeEmbeddingLoss(Loss):
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


class CosineEmbeddingLoss(Loss):
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


class TripletMarginLoss(Loss):
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


class TripletMarginWithDistanceLoss(Loss):
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
