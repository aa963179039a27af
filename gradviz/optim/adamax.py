"""`Adamax`: steps by the mean of the gradient and its largest size so far."""

from __future__ import annotations

from typing import Any

import numpy as np

from gradviz.core.tensor import Tensor
from gradviz.optim.moments import Moments, check_moments
from gradviz.optim.optimizer import accepted


class Adamax(Moments):
    """`Adam` with the largest gradient in place of the mean square. Source: D. Kingma and J. Ba, 2015."""

    def __init__(
        self,
        params: Any,
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        **options: Any,
    ) -> None:
        check_moments(lr, betas, eps, weight_decay)
        more = accepted("Adamax", options, "foreach maximize differentiable capturable")
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, **more})

    def _update(self, tensor: Tensor, array: Any, grad: Any, group: dict[str, Any]) -> None:
        kind = array.dtype.type
        keep, keep_largest = group["betas"]
        count = self._count(tensor)
        grad = self._prepared(array, grad, group)
        (mean, _), largest = self._mean(tensor, grad, group), self._kept(tensor, "exp_inf")
        np.maximum(largest * kind(keep_largest), np.abs(grad) + kind(group["eps"]), out=largest)
        array -= mean / largest * kind(group["lr"] / (1 - keep**count))
