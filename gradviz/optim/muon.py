"""`Muon`: steps of matrices along the nearest orthogonal matrix to their momentum."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from gradviz.core.tensor import Tensor
from gradviz.optim.optimizer import Optimizer


class Muon(Optimizer):
    """x -= lr * (the momentum with all its singular values near 1). Source: K. Jordan and others, 2024.

    momentum: how much of the mean gradient is kept. nesterov: look ahead. ns_coefficients, ns_steps: the polynomial
    that brings singular values to 1, and how often it is applied. eps: the least size of a momentum. adjust_lr_fn: how
    the step depends on the shape, "original" or "match_rms_adamw". weight_decay: taken off x itself. Raises ValueError
    for parameters that are no matrices.

    The polynomial is computed with 8 binary digits, as in PyTorch, so steps agree to two decimal ones.
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_coefficients: tuple[float, float, float] = (3.4445, -4.775, 2.0315),
        eps: float = 1e-7,
        ns_steps: int = 5,
        adjust_lr_fn: str | None = None,
    ) -> None:
        if not lr >= 0:
            raise ValueError(f"Learning rate should be >= 0 but is: {lr}")
        if not momentum >= 0:
            raise ValueError(f"momentum should be >= 0 but is: {momentum}")
        if not weight_decay >= 0:
            raise ValueError(f"weight decay should be >= 0 but is: {weight_decay}")
        if adjust_lr_fn not in (None, "original", "match_rms_adamw"):
            raise ValueError(f"Adjust learning rate function {adjust_lr_fn} is not supported")
        super().__init__(
            params,
            {
                "lr": lr,
                "weight_decay": weight_decay,
                "momentum": momentum,
                "nesterov": nesterov,
                "ns_coefficients": ns_coefficients,
                "eps": eps,
                "ns_steps": ns_steps,
                "adjust_lr_fn": adjust_lr_fn,
            },
        )
        for group in self.param_groups:
            for tensor in group["params"]:
                if tensor.ndim != 2:
                    raise ValueError(
                        f"Muon only supports 2D parameters whereas we found a parameter with size: {tensor.size()}"
                    )

    def _update(self, tensor: Tensor, array: Any, grad: Any, group: dict[str, Any]) -> None:
        kind = array.dtype.type
        momentum = group["momentum"]
        mean = self._kept(tensor, "momentum_buffer")
        mean += (grad - mean) * kind(1 - momentum)
        update = grad + (mean - grad) * kind(momentum) if group["nesterov"] else mean
        if group["ns_steps"] >= 100:
            raise ValueError("Number of steps must be less than 100 for computational efficiency")
        if len(group["ns_coefficients"]) != 3:
            raise ValueError("Coefficients must be a tuple of exactly 3 values")
        update = _orthogonal(update, group["ns_coefficients"], group["ns_steps"], group["eps"])
        height, width = array.shape
        match group["adjust_lr_fn"]:
            case "match_rms_adamw":
                factor = 0.2 * math.sqrt(max(height, width))
            case _:
                factor = math.sqrt(max(1, height / width))
        array *= kind(1 - group["lr"] * group["weight_decay"])
        array -= (update * np.float32(group["lr"] * factor)).astype(kind)


def _orthogonal(matrix: Any, coefficients: tuple[float, float, float], steps: int, least: float) -> Any:
    """The orthogonal matrix that is nearest to one, nearly; in float32."""
    first, second, third = map(np.float32, coefficients)
    is_high = matrix.shape[0] > matrix.shape[1]
    x = _narrowed(np.asarray(matrix.T if is_high else matrix, np.float32))
    x = _narrowed(x / np.maximum(_narrowed(np.linalg.norm(x)), np.float32(least)))
    for _ in range(steps):
        gram = _narrowed(x @ x.T)
        change = _narrowed(second * gram + third * (gram @ gram))
        x = _narrowed(first * x + change @ x)
    return x.T if is_high else x


def _narrowed(x: Any) -> Any:
    """float32 values rounded to the 8 binary digits of a bfloat16, halves to the even one."""
    bits = np.ascontiguousarray(x, np.float32).view(np.uint32)
    rounded = bits + (0x7FFF + (bits >> 16 & 1)).astype(np.uint32)
    return (rounded & np.uint32(0xFFFF0000)).view(np.float32).reshape(np.shape(x))
