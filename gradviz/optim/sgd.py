"""`SGD`: steps against the gradient, with momentum."""

from __future__ import annotations

from typing import Any

from gradviz.core.ops.table import TABLE
from gradviz.core.tensor import Tensor
from gradviz.nn.parameter import born
from gradviz.optim.optimizer import Optimizer, check


class SGD(Optimizer):
    """x -= lr * g, with g the gradient plus `weight_decay` * x; with momentum, the running sum of these.

    dampening: how much less of each new gradient goes into the sum. nesterov: look one step ahead. maximize: step along
    the gradient. `foreach`, `differentiable` and `fused` are accepted for programs that name them.
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        check("learning rate", lr)
        check("momentum value", momentum)
        check("weight_decay value", weight_decay)
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ValueError("Nesterov momentum requires a momentum and zero dampening")
        super().__init__(
            params,
            {
                "lr": lr,
                "momentum": momentum,
                "dampening": dampening,
                "weight_decay": weight_decay,
                "nesterov": nesterov,
                "maximize": maximize,
                "foreach": foreach,
                "differentiable": differentiable,
                "fused": fused,
            },
        )

    def _update(self, tensor: Tensor, array: Any, grad: Any, group: dict[str, Any]) -> None:
        kind = array.dtype.type
        grad = self._prepared(array, grad, group)
        momentum = group["momentum"]
        if momentum:
            state = self.state[tensor]
            held = state.get("momentum_buffer")
            if held is None:
                state["momentum_buffer"] = born(grad.copy(), False, Tensor, TABLE["zeros"])
                summed = grad
            else:
                summed = held._array()
                summed *= kind(momentum)
                summed += grad if not group["dampening"] else grad * kind(1 - group["dampening"])
            grad = grad + summed * kind(momentum) if group["nesterov"] else summed
        array -= grad * kind(group["lr"])
