"""`Adam` and `AdamW`: steps by running means of the gradient and of its square."""

from __future__ import annotations

from typing import Any

import numpy as np

from gradviz.core.tensor import Tensor
from gradviz.optim.moments import Moments, check_moments


class Adam(Moments):
    """x -= lr * mean / (sqrt(mean square) + eps), both corrected for their start. Source: D. Kingma and J. Ba, 2015.

    betas: how much of each mean is kept. amsgrad: use the greatest mean square so far. weight_decay: added to the
    gradient, or with `decoupled_weight_decay` taken off x itself. `foreach`, `capturable`, `differentiable` and `fused`
    are accepted for programs that name them.
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        decoupled_weight_decay: bool = False,
    ) -> None:
        check_moments(lr, betas, eps, weight_decay)
        super().__init__(
            params,
            {
                "lr": lr,
                "betas": betas,
                "eps": eps,
                "weight_decay": weight_decay,
                "amsgrad": amsgrad,
                "maximize": maximize,
                "foreach": foreach,
                "capturable": capturable,
                "differentiable": differentiable,
                "fused": fused,
                "decoupled_weight_decay": decoupled_weight_decay,
            },
        )

    def _update(self, tensor: Tensor, array: Any, grad: Any, group: dict[str, Any]) -> None:
        keep, keep_square = group["betas"]
        count = self._count(tensor)
        grad = self._prepared(array, grad, group)
        mean, square, part = self._moments(tensor, grad, group)
        if group["amsgrad"]:
            greatest = self._kept(tensor, "max_exp_avg_sq")
            np.maximum(greatest, square, out=greatest)
            square = greatest
        correction, correction_square = 1 - keep**count, 1 - keep_square**count
        np.sqrt(square, out=part)
        part /= correction_square**0.5
        part += group["eps"]
        np.divide(mean, part, out=part)
        part *= group["lr"] / correction
        array -= part


class AdamW(Adam):
    """`Adam` whose weight decay is taken off x itself. Source: I. Loshchilov and F. Hutter, 2019."""

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(
            params, lr, betas, eps, weight_decay, amsgrad, decoupled_weight_decay=True, **options
        )
