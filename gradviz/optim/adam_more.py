"""Optimizers of Adam's kind: `Adamax`, `NAdam`, `RAdam`; and `Adadelta`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from gradviz.core.ops.table import TABLE
from gradviz.core.tensor import Tensor
from gradviz.nn.parameter import born
from gradviz.optim.optimizer import Optimizer, check

_ACCEPTED: dict[str, Any] = {"maximize": False, "foreach": None, "capturable": False, "differentiable": False}
"""What is accepted by name; only `maximize` makes a difference."""


def _options(name: str, given: dict[str, Any], order: str, **own: Any) -> dict[str, Any]:
    """`_ACCEPTED` with what was given, and an optimizer's own, in the order that PyTorch's groups have.

    Raises TypeError for an option that is none.
    """
    unknown = set(given) - set(_ACCEPTED)
    if unknown:
        raise TypeError(f"{name}.__init__() got an unexpected keyword argument '{min(unknown)}'")
    options = {**_ACCEPTED, **given, **own}
    return {key: options[key] for key in order.split()}


def _check(lr: float, betas: tuple[float, float], eps: float, weight_decay: float) -> None:
    check("learning rate", lr)
    check("epsilon value", eps)
    for index, beta in enumerate(betas):
        if not 0.0 <= beta < 1.0:
            raise ValueError(f"Invalid beta parameter at index {index}: {beta}")
    check("weight_decay value", weight_decay)


class _Moments(Optimizer):
    """What shares Adam's running mean and mean square."""

    def _decayed(self, array: Any, grad: Any, group: dict[str, Any]) -> Any:
        """The gradient, with the weight decay in it unless that is taken off `array` itself."""
        kind, decay = array.dtype.type, group["weight_decay"]
        if group["maximize"]:
            grad = -grad
        if decay and group.get("decoupled_weight_decay"):
            array *= kind(1 - group["lr"] * decay)
        elif decay:
            grad = grad + array * kind(decay)
        return grad

    def _moments(self, tensor: Tensor, grad: Any, group: dict[str, Any]) -> tuple[Any, Any]:
        kind = grad.dtype.type
        keep, keep_square = group["betas"]
        mean, square = self._kept(tensor, "exp_avg"), self._kept(tensor, "exp_avg_sq")
        mean += (grad - mean) * kind(1 - keep)
        square *= kind(keep_square)
        square += grad * grad * kind(1 - keep_square)
        return mean, square


class Adamax(_Moments):
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
        _check(lr, betas, eps, weight_decay)
        more = _options("Adamax", options, "foreach maximize differentiable capturable")
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, **more})

    def _update(self, tensor: Tensor, array: Any, grad: Any, group: dict[str, Any]) -> None:
        kind = array.dtype.type
        keep, keep_largest = group["betas"]
        count = self._count(tensor)
        grad = self._decayed(array, grad, group)
        mean, largest = self._kept(tensor, "exp_avg"), self._kept(tensor, "exp_inf")
        mean += (grad - mean) * kind(1 - keep)
        np.maximum(largest * kind(keep_largest), np.abs(grad) + kind(group["eps"]), out=largest)
        array -= mean / largest * kind(group["lr"] / (1 - keep**count))


class NAdam(_Moments):
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
        _check(lr, betas, eps, weight_decay)
        check("momentum_decay value", momentum_decay)
        more = _options(
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
        grad = self._decayed(array, grad, group)
        momentum, coming = (
            keep * (1 - 0.5 * 0.96 ** (step * group["momentum_decay"])) for step in (count, count + 1)
        )
        product = state["mu_product"]._array()
        product *= np.float32(momentum)
        mean, square = self._moments(tensor, grad, group)
        divisor = np.sqrt(square / kind(1 - keep_square**count)) + kind(group["eps"])
        array -= grad / divisor * kind(group["lr"] * (1 - momentum) / (1 - float(product)))
        array -= mean / divisor * kind(group["lr"] * coming / (1 - float(product) * coming))


class RAdam(_Moments):
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
        _check(lr, betas, eps, weight_decay)
        more = _options(
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
        grad = self._decayed(array, grad, group)
        mean, square = self._moments(tensor, grad, group)
        correction, correction_square = 1 - keep**count, 1 - keep_square**count
        longest = 2 / (1 - keep_square) - 1
        length = longest - 2 * count * keep_square**count / correction_square
        step = mean / kind(correction) * kind(group["lr"])
        if length > 5:
            rectified = (length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length)
            step = step * kind(math.sqrt(correction_square)) / (np.sqrt(square) + kind(group["eps"]))
            step = step * kind(math.sqrt(rectified))
        array -= step


class Adadelta(_Moments):
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
        more = _options("Adadelta", options, "maximize capturable foreach differentiable")
        super().__init__(params, {"lr": lr, "rho": rho, "eps": eps, "weight_decay": weight_decay, **more})

    def _update(self, tensor: Tensor, array: Any, grad: Any, group: dict[str, Any]) -> None:
        kind = array.dtype.type
        rho, eps = group["rho"], kind(group["eps"])
        self._count(tensor)
        grad = self._decayed(array, grad, group)
        square, steps = self._kept(tensor, "square_avg"), self._kept(tensor, "acc_delta")
        square *= kind(rho)
        square += grad * grad * kind(1 - rho)
        step = np.sqrt(steps + eps) / np.sqrt(square + eps) * grad
        steps *= kind(rho)
        steps += step * step * kind(1 - rho)
        array -= step * kind(group["lr"])
