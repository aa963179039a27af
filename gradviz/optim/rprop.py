"""`Rprop`: steps by the sign of the gradient, each element with a step size of its own."""

from __future__ import annotations

from typing import Any

import numpy as np

from gradviz.core.tensor import Tensor
from gradviz.optim.optimizer import Optimizer, check


class Rprop(Optimizer):
    """Step sizes that grow while the sign stays and shrink where it turns. Source: M. Riedmiller and H. Braun, 1993.

    lr: the first step size. etas: by how much they shrink and grow. step_sizes: the smallest and the largest.
    `capturable`, `foreach` and `differentiable` are accepted for programs that name them.
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1e-2,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50),
        *,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check("learning rate", lr)
        if not 0.0 < etas[0] < 1.0 < etas[1]:
            raise ValueError(f"Invalid eta values: {etas[0]}, {etas[1]}")
        super().__init__(
            params,
            {
                "lr": lr,
                "etas": etas,
                "step_sizes": step_sizes,
                "foreach": foreach,
                "maximize": maximize,
                "differentiable": differentiable,
                "capturable": capturable,
            },
        )

    def _update(self, tensor: Tensor, array: Any, grad: Any, group: dict[str, Any]) -> None:
        kind = array.dtype.type
        shrink, grow = group["etas"]
        self._count(tensor)
        grad = self._prepared(array, grad, group)
        before, size = self._kept(tensor, "prev"), self._kept(tensor, "step_size", group["lr"])
        agreement = grad * before
        size *= np.where(agreement > 0, kind(grow), np.where(agreement < 0, kind(shrink), kind(1)))
        np.clip(size, *group["step_sizes"], out=size)
        grad = np.where(agreement < 0, kind(0), grad)
        array -= np.sign(grad) * size
        before[...] = grad
