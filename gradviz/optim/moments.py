"""What the optimizers of Adam's kind share: running means of the gradient and of its square."""

from __future__ import annotations

from typing import Any

import numpy as np

from gradviz.core.tensor import Tensor
from gradviz.optim.optimizer import Optimizer, check


class Moments(Optimizer):
    """Keeps `exp_avg` and `exp_avg_sq` of each parameter. betas: how much of each is kept."""

    def _moments(self, tensor: Tensor, grad: Any, group: dict[str, Any]) -> tuple[Any, Any, Any]:
        """Both means, with the gradient in them, and an array of their shape that is free for use."""
        _, keep_square = group["betas"]
        mean, part = self._mean(tensor, grad, group)
        square = self._kept(tensor, "exp_avg_sq")
        square *= keep_square
        np.multiply(grad, grad, out=part)
        part *= 1 - keep_square
        square += part
        return mean, square, part

    def _mean(self, tensor: Tensor, grad: Any, group: dict[str, Any]) -> tuple[Any, Any]:
        mean = self._kept(tensor, "exp_avg")
        # The one array for all that is computed on the way: new memory costs more than a product. numpy gives a scalar
        # for parameters without dimensions.
        part = np.asarray(grad - mean)
        part *= 1 - group["betas"][0]
        mean += part
        return mean, part


def check_moments(lr: float, betas: tuple[float, float], eps: float, weight_decay: float) -> None:
    """Raise ValueError, in PyTorch's words, for an option that is out of range."""
    check("learning rate", lr)
    check("epsilon value", eps)
    for index, beta in enumerate(betas):
        check(f"beta parameter at index {index}", beta, 0.0, 1.0)
    check("weight_decay value", weight_decay)
