"""`Adafactor`: steps by the mean square of the gradient, which a matrix keeps by rows and by columns."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from gradviz.core.ops.table import TABLE
from gradviz.core.tensor import Tensor
from gradviz.nn.parameter import born
from gradviz.optim.optimizer import Optimizer


class Adafactor(Optimizer):
    """x -= step * g / sqrt(mean square of g), the step as long as x is. Source: N. Shazeer and M. Stern, 2018.

    lr: the greatest relative step. beta2_decay: how fast old gradients stop to count. eps: the least mean square, by
    default that of the dtype, and the least size of x. d: the greatest size of a step. weight_decay: taken off x
    itself.
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1e-2,
        beta2_decay: float = -0.8,
        eps: tuple[float | None, float] = (None, 1e-3),
        d: float = 1.0,
        weight_decay: float = 0.0,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
    ) -> None:
        if not lr >= 0:
            raise ValueError(f"Learning rate should be >= 0 but is: {lr}")
        if not beta2_decay <= 0:
            raise ValueError(f"beta2_decay should be <= 0 but is: {beta2_decay}")
        if eps[0] is not None and not eps[0] >= 0:
            raise ValueError(f"epsilon1 should be >= 0 but is: {eps[0]}")
        if not eps[1] >= 0:
            raise ValueError(f"epsilon2 should be >= 0 but is: {eps[1]}")
        if not d >= 1:
            raise ValueError(f"Clipping threshold d should be >= 1 but is: {d}")
        if not weight_decay >= 0:
            raise ValueError(f"weight_decay should be >= 0 but is: {weight_decay}")
        super().__init__(
            params,
            {
                "lr": lr,
                "beta2_decay": beta2_decay,
                "eps": eps,
                "d": d,
                "weight_decay": weight_decay,
                "foreach": foreach,
                "maximize": maximize,
            },
        )

    def _update(self, tensor: Tensor, array: Any, grad: Any, group: dict[str, Any]) -> None:
        kind = array.dtype.type
        grad = -grad if group["maximize"] else grad
        least, smallest = group["eps"]
        least = float(np.finfo(kind).eps) if least is None else least
        count = self._count(tensor)
        share, relative = kind(count ** group["beta2_decay"]), min(group["lr"], count**-0.5)
        step = max(smallest, _size(array)) * relative
        if group["weight_decay"]:
            array *= kind(1 - group["lr"] * group["weight_decay"])
        if grad.ndim > 1:
            rows, columns = (self._kept_mean(tensor, name, axis) for name, axis in (("row_var", -1), ("col_var", -2)))
            for mean, axis in ((rows, -1), (columns, -2)):
                mean += (np.square(grad).mean(axis, keepdims=True) - mean) * share
            square = rows @ columns / np.maximum(rows.mean(-2, keepdims=True), kind(least))
        else:
            square = self._kept(tensor, "variance")
            square += (grad * grad - square) * share
        update = grad / np.sqrt(np.maximum(square, kind(least * least)))
        array -= update * kind(step / max(1.0, _size(update) / group["d"]))

    def _kept_mean(self, tensor: Tensor, name: str, axis: int) -> Any:
        """The means along one dimension that the state of a tensor holds."""
        state = self.state[tensor]
        if name not in state:
            shape = list(tensor._data.shape)
            shape[axis] = 1
            state[name] = born(np.zeros(shape, tensor._data.dtype), False, Tensor, TABLE["zeros"])
        return state[name]._array()


def _size(array: Any) -> float:
    """The root of the mean square."""
    return float(np.linalg.norm(array.ravel())) / math.sqrt(array.size)
