"""`NAdam`: Adam with a look ahead."""

from __future__ import annotations

from typing import Any

import numpy as np

from gradviz.core.ops.table import TABLE
from gradviz.core.tensor import Tensor
from gradviz.nn.parameter import born
from gradviz.optim.moments import Moments, check_moments
from gradviz.optim.optimizer import accepted, check


class NAdam(Moments):
    """`Adam` with Nesterov's momentum. Source: T. Dozat, 2016.

    momentum_decay: how fast the momentum comes to its full size. decoupled_weight_decay: as in `AdamW`.
    """

    def __init__(
        self,
        params: Any,
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False,
        **options: Any,
    ) -> None:
        check_moments(lr, betas, eps, weight_decay)
        check("momentum_decay value", momentum_decay)
        more = accepted(
            "NAdam",
            options,
            "momentum_decay decoupled_weight_decay maximize foreach capturable differentiable",
            momentum_decay=momentum_decay,
            decoupled_weight_decay=decoupled_weight_decay,
        )
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, **more})

    def _update(self, tensor: Tensor, array: Any, grad: Any, group: dict[str, Any]) -> None:
        kind = array.dtype.type
        keep, keep_square = group["betas"]
        count = self._count(tensor)
        state = self.state[tensor]
        if "mu_product" not in state:
            state["mu_product"] = born(np.ones((), np.float32), False, Tensor, TABLE["ones"])
        grad = self._prepared(array, grad, group)
        momentum, coming = (
            keep * (1 - 0.5 * 0.96 ** (step * group["momentum_decay"])) for step in (count, count + 1)
        )
        product = state["mu_product"]._array()
        product *= np.float32(momentum)
        mean, square, _ = self._moments(tensor, grad, group)
        divisor = np.sqrt(square / kind(1 - keep_square**count)) + kind(group["eps"])
        array -= grad / divisor * kind(group["lr"] * (1 - momentum) / (1 - float(product)))
        array -= mean / divisor * kind(group["lr"] * coming / (1 - float(product) * coming))
