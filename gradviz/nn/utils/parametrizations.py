"""Parametrizations of weights: `weight_norm`, `spectral_norm` and `orthogonal`.

Sources: T. Salimans and D. Kingma, "Weight normalization", arXiv:1602.07868; T. Miyato and others, "Spectral
normalization for generative adversarial networks", arXiv:1802.05957.
"""

from __future__ import annotations

from typing import Any

from gradviz.core.grad_mode import no_grad
from gradviz.core.ops.norms import weight_norm as weight_of
from gradviz.core.public import FUNCTIONS
from gradviz.nn import functional
from gradviz.nn.convolution import ConvTranspose1d, ConvTranspose2d, ConvTranspose3d
from gradviz.nn.module import Module
from gradviz.nn.utils.orthogonal import orthogonal as orthogonal
from gradviz.nn.utils.parametrize import register_parametrization


class _WeightNorm(Module):
    """A direction and a length. dim: the dimension along which each part has a length of its own."""

    def __init__(self, dim: int | None = 0) -> None:
        super().__init__()
        self.dim = -1 if dim is None else dim

    def forward(self, weight_g: Any, weight_v: Any) -> Any:
        """weight_g: the lengths. weight_v: the directions, of any length."""
        return weight_of(weight_v, weight_g, self.dim)

    def right_inverse(self, weight: Any) -> tuple[Any, Any]:
        """The lengths of a weight, and itself."""
        return FUNCTIONS["norm_except_dim"](weight, 2, self.dim), weight


def weight_norm(module: Any, name: str = "weight", dim: int | None = 0) -> Any:
    """Learn length and direction of a module's weight apart; returns the module.

    dim: the dimension of the outputs, each of which has a length of its own; None for one length.
    """
    register_parametrization(module, name, _WeightNorm(dim), unsafe=True)
    return module


class _SpectralNorm(Module):
    """A weight divided by an estimate of its largest singular value, which gets better with each run in training."""

    def __init__(self, weight: Any, n_power_iterations: int = 1, dim: int = 0, eps: float = 1e-12) -> None:
        super().__init__()
        count = weight.ndim
        if not -count <= dim < count:
            raise IndexError(
                f"Dimension out of range (expected to be in range of [-{count}, {count - 1}] but got {dim})"
            )
        if n_power_iterations <= 0:
            raise ValueError(
                f"Expected n_power_iterations to be positive, but got n_power_iterations={n_power_iterations}"
            )
        self.dim = dim % count
        self.eps = eps
        if count > 1:
            self.n_power_iterations = n_power_iterations
            matrix = self._matrix(weight.detach())
            for name, length in zip(("_u", "_v"), matrix.shape, strict=True):
                drawn = matrix.new_empty(length).normal_(0, 1)
                self.register_buffer(name, functional.normalize(drawn, dim=0, eps=eps))
            self._improve(matrix, 15)

    def _matrix(self, weight: Any) -> Any:
        if self.dim:
            weight = weight.permute(self.dim, *(axis for axis in range(weight.ndim) if axis != self.dim))
        return weight.flatten(1)

    def _improve(self, matrix: Any, times: int) -> None:
        with no_grad():
            for _ in range(times):
                self._u.copy_(functional.normalize(matrix.mv(self._v), dim=0, eps=self.eps))
                self._v.copy_(functional.normalize(matrix.t().mv(self._u), dim=0, eps=self.eps))

    def forward(self, weight: Any) -> Any:
        """Returns the shape of `weight`."""
        if weight.ndim == 1:
            return functional.normalize(weight, dim=0, eps=self.eps)
        matrix = self._matrix(weight)
        if self.training:
            self._improve(matrix, self.n_power_iterations)
        u, v = self._u.clone(), self._v.clone()
        return weight / FUNCTIONS["vdot"](u, matrix.mv(v))

    def right_inverse(self, value: Any) -> Any:
        """A weight as it is."""
        return value


def spectral_norm(
    module: Any, name: str = "weight", n_power_iterations: int = 1, eps: float = 1e-12, dim: int | None = None
) -> Any:
    """Divide a module's weight by its largest singular value; returns the module.

    dim: the dimension of the outputs; by default the first, for transposed convolutions the second.
    """
    weight = getattr(module, name, None)
    if weight is None or not hasattr(weight, "requires_grad"):
        raise ValueError(f"Module '{module}' has no parameter or buffer with name '{name}'")
    if dim is None:
        dim = int(isinstance(module, (ConvTranspose1d, ConvTranspose2d, ConvTranspose3d)))
    register_parametrization(module, name, _SpectralNorm(weight, n_power_iterations, dim, eps))
    return module
