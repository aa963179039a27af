"""`ASGD`: steps against the gradient, and the average of where they came by."""

from __future__ import annotations

from typing import Any

import numpy as np

from gradviz.core.ops.table import TABLE
from gradviz.core.tensor import Tensor
from gradviz.nn.parameter import born
from gradviz.optim.optimizer import Optimizer, check


class ASGD(Optimizer):
    """x -= eta * g, with eta falling from `lr`; `ax` in the state averages x. Source: B. Polyak and A. Juditsky, 1992.

    lambd: how much x decays. alpha: the power by which eta falls. t0: the step from which on the average is taken.
    `foreach`, `differentiable` and `capturable` are accepted for programs that name them.
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1e-2,
        lambd: float = 1e-4,
        alpha: float = 0.75,
        t0: float = 1e6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        check("learning rate", lr)
        check("weight_decay value", weight_decay)
        super().__init__(
            params,
            {
                "lr": lr,
                "lambd": lambd,
                "alpha": alpha,
                "t0": t0,
                "weight_decay": weight_decay,
                "foreach": foreach,
                "maximize": maximize,
                "differentiable": differentiable,
                "capturable": capturable,
            },
        )

    def _update(self, tensor: Tensor, array: Any, grad: Any, group: dict[str, Any]) -> None:
        kind = array.dtype.type
        count, state = self._count(tensor), self.state[tensor]
        eta = self._number(state, "eta", group["lr"])
        weight = self._number(state, "mu", 1.0)
        average = self._kept(tensor, "ax")
        grad = self._prepared(array, grad, group)
        array *= kind(1 - group["lambd"] * float(eta))
        array -= grad * kind(float(eta))
        if weight == 1:
            average[...] = array
        else:
            average += (array - average) * kind(float(weight))
        eta[...] = group["lr"] / (1 + group["lambd"] * group["lr"] * count) ** group["alpha"]
        weight[...] = 1 / max(1, count - group["t0"])

    def _number(self, state: dict[str, Any], name: str, value: float) -> Any:
        if name not in state:
            state[name] = born(np.full((), value, np.float32), False, Tensor, TABLE["zeros"])
        return state[name]._array()
