"""`RAdam`: Adam that begins with the mean alone."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from gradviz.core.tensor import Tensor
from gradviz.optim.moments import Moments, check_moments
from gradviz.optim.optimizer import accepted


class RAdam(Moments):
    """`Adam` that waits until the mean square is known well enough. Source: L. Liu and others, 2020."""

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        decoupled_weight_decay: bool = False,
        **options: Any,
    ) -> None:
        check_moments(lr, betas, eps, weight_decay)
        more = accepted(
            "RAdam",
            options,
            "maximize foreach capturable decoupled_weight_decay differentiable",
            decoupled_weight_decay=decoupled_weight_decay,
        )
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, **more})

    def _update(self, tensor: Tensor, array: Any, grad: Any, group: dict[str, Any]) -> None:
        kind = array.dtype.type
        keep, keep_square = group["betas"]
        count = self._count(tensor)
        grad = self._prepared(array, grad, group)
        mean, square, _ = self._moments(tensor, grad, group)
        correction, correction_square = 1 - keep**count, 1 - keep_square**count
        longest = 2 / (1 - keep_square) - 1
        length = longest - 2 * count * keep_square**count / correction_square
        step = mean / kind(correction) * kind(group["lr"])
        if length > 5:
            rectified = (length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length)
            step = step * kind(math.sqrt(correction_square)) / (np.sqrt(square) + kind(group["eps"]))
            step = step * kind(math.sqrt(rectified))
        array -= step
