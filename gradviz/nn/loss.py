"""What losses as modules share, and those of the difference of two tensors: `MSELoss`, `L1Loss`, `HuberLoss`, ..."""

from __future__ import annotations

from typing import Any

from gradviz.core.tensor import Tensor
from gradviz.nn import functional
from gradviz.nn.module import Module


class Loss(Module):
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


class WeightedLoss(Loss):
    """The same with a weight for each class or element."""

    weight: Tensor | None

    def __init__(
        self, weight: Tensor | None = None, size_average: Any = None, reduce: Any = None, reduction: str = "mean"
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.register_buffer("weight", weight)


class MSELoss(Loss):
    """The squared difference."""

    _call = "mse_loss"


class L1Loss(Loss):
    """The absolute difference."""

    _call = "l1_loss"


class SmoothL1Loss(Loss):
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


class HuberLoss(Loss):
    """Squared below `delta`, `delta` times absolute above."""

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__(reduction=reduction)
        self.delta = delta

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Both of one shape."""
        result: Tensor = functional.huber_loss(input, target, reduction=self.reduction, delta=self.delta)
        return result
