"""Optimizers that scale each element by its past gradients: `RMSprop`, `Adagrad`, `Adadelta`."""

from __future__ import annotations

from typing import Any

import numpy as np

from gradviz.core.tensor import Tensor
from gradviz.optim.optimizer import Optimizer, accepted, check


class RMSprop(Optimizer):
    """x -= lr * g / (sqrt(mean square of g) + eps). Source: T. Hinton's lectures, 2012.

    alpha: how much of the mean is kept. centered: the variance in place of the mean square. momentum: step by the
    running sum. `foreach`, `capturable` and `differentiable` are accepted for programs that name them.
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check("learning rate", lr)
        check("epsilon value", eps)
        check("momentum value", momentum)
        check("weight_decay value", weight_decay)
        check("alpha value", alpha)
        super().__init__(
            params,
            {
                "lr": lr,
                "momentum": momentum,
                "alpha": alpha,
                "eps": eps,
                "centered": centered,
                "weight_decay": weight_decay,
                "capturable": capturable,
                "foreach": foreach,
                "maximize": maximize,
                "differentiable": differentiable,
            },
        )

    def _update(self, tensor: Tensor, array: Any, grad: Any, group: dict[str, Any]) -> None:
        kind = array.dtype.type
        alpha, lr = group["alpha"], kind(group["lr"])
        self._count(tensor)
        grad = self._prepared(array, grad, group)
        square = self._kept(tensor, "square_avg")
        square *= kind(alpha)
        square += grad * grad * kind(1 - alpha)
        summed = self._kept(tensor, "momentum_buffer") if group["momentum"] > 0 else None
        spread = square
        if group["centered"]:
            mean = self._kept(tensor, "grad_avg")
            mean += (grad - mean) * kind(1 - alpha)
            spread = square - mean * mean
        scaled = grad / (np.sqrt(spread) + kind(group["eps"]))
        if summed is not None:
            summed *= kind(group["momentum"])
            summed += scaled
            scaled = summed
        array -= scaled * lr


class Adagrad(Optimizer):
    """x -= lr * g / (sqrt(sum of g * g) + eps). Source: J. Duchi and others, 2011.

    lr_decay: how fast lr falls. initial_accumulator_value: what the sums begin with. `foreach`, `differentiable` and
    `fused` are accepted for programs that name them.
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1e-2,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        check("learning rate", lr)
        check("lr_decay value", lr_decay)
        check("weight_decay value", weight_decay)
        check("initial_accumulator_value value", initial_accumulator_value)
        check("epsilon value", eps)
        super().__init__(
            params,
            {
                "lr": lr,
                "lr_decay": lr_decay,
                "eps": eps,
                "weight_decay": weight_decay,
                "initial_accumulator_value": initial_accumulator_value,
                "foreach": foreach,
                "maximize": maximize,
                "differentiable": differentiable,
                "fused": fused,
            },
        )
        for group in self.param_groups:
            for tensor in group["params"]:
                self._count(tensor)
                self.state[tensor]["step"]._array()[...] = 0
                self._kept(tensor, "sum", group["initial_accumulator_value"])

    def _update(self, tensor: Tensor, array: Any, grad: Any, group: dict[str, Any]) -> None:
        kind = array.dtype.type
        count = self._count(tensor)
        grad = self._prepared(array, grad, group)
        lr = group["lr"] / (1 + (count - 1) * group["lr_decay"])
        summed = self._kept(tensor, "sum", group["initial_accumulator_value"])
        summed += grad * grad
        array -= grad * kind(lr) / (np.sqrt(summed) + kind(group["eps"]))


class Adadelta(Optimizer):
    """Steps as long as past ones were for past gradients. Source: M. Zeiler, 2012.

    rho: how much of the past is kept.
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0,
        **options: Any,
    ) -> None:
        check("learning rate", lr)
        if not 0.0 <= rho <= 1.0:
            raise ValueError(f"Invalid rho value: {rho}")
        check("epsilon value", eps)
        check("weight_decay value", weight_decay)
        more = accepted("Adadelta", options, "maximize capturable foreach differentiable")
        super().__init__(params, {"lr": lr, "rho": rho, "eps": eps, "weight_decay": weight_decay, **more})

    def _update(self, tensor: Tensor, array: Any, grad: Any, group: dict[str, Any]) -> None:
        kind = array.dtype.type
        rho, eps = group["rho"], kind(group["eps"])
        self._count(tensor)
        grad = self._prepared(array, grad, group)
        square, steps = self._kept(tensor, "square_avg"), self._kept(tensor, "acc_delta")
        square *= kind(rho)
        square += grad * grad * kind(1 - rho)
        step = np.sqrt(steps + eps) / np.sqrt(square + eps) * grad
        steps *= kind(rho)
        steps += step * step * kind(1 - rho)
        array -= step * kind(group["lr"])
