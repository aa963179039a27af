"""`spectral_norm`: a layer whose weight is divided by its largest singular value each time that it runs.

Source: T. Miyato and others, "Spectral normalization for generative adversarial networks", arXiv:1802.05957.
"""

from __future__ import annotations

from typing import Any

from gradviz.core.grad_mode import no_grad
from gradviz.nn import functional
from gradviz.nn.convolution import ConvTranspose1d, ConvTranspose2d, ConvTranspose3d
from gradviz.nn.parameter import Parameter


class SpectralNorm:
    """The hook that computes a module's weight from `<name>_orig` before the module runs.

    The two vectors `<name>_u` and `<name>_v` come nearer to the singular ones with each run in training.
    """

    def __init__(self, name: str, n_power_iterations: int, dim: int, eps: float) -> None:
        if n_power_iterations <= 0:
            raise ValueError(
                "Expected n_power_iterations to be positive, but got n_power_iterations="
                f"{n_power_iterations}"
            )
        self.name = name
        self.n_power_iterations = n_power_iterations
        self.dim = dim
        self.eps = eps

    def matrix(self, weight: Any) -> Any:
        """The weight with `dim` as rows and everything else as columns."""
        if self.dim:
            order = [self.dim, *(axis for axis in range(weight.ndim) if axis != self.dim)]
            weight = weight.permute(*order)
        return weight.reshape(weight.shape[0], -1)

    def compute(self, module: Any, improve: bool) -> Any:
        """The weight divided by the estimate of its largest singular value. improve: better the estimate first."""
        weight = getattr(module, f"{self.name}_orig")
        u, v = getattr(module, f"{self.name}_u"), getattr(module, f"{self.name}_v")
        matrix = self.matrix(weight)
        if improve:
            with no_grad():
                for _ in range(self.n_power_iterations):
                    v.copy_(functional.normalize(matrix.t().mv(u), dim=0, eps=self.eps))
                    u.copy_(functional.normalize(matrix.mv(v), dim=0, eps=self.eps))
                u, v = u.clone(), v.clone()
        return weight / u.dot(matrix.mv(v))

    def __call__(self, module: Any, inputs: Any) -> None:
        setattr(module, self.name, self.compute(module, module.training))


def spectral_norm(
    module: Any, name: str = "weight", n_power_iterations: int = 1, eps: float = 1e-12, dim: int | None = None
) -> Any:
    """Let a module's weight be divided by its largest singular value whenever it runs; returns the module.

    dim: the dimension of the outputs; by default the first, for transposed convolutions the second.
    Raises RuntimeError where that is done already.
    """
    if _hook_of(module, name) is not None:
        raise RuntimeError(f"Cannot register two spectral_norm hooks on the same parameter {name}")
    if dim is None:
        dim = int(isinstance(module, (ConvTranspose1d, ConvTranspose2d, ConvTranspose3d)))
    hook = SpectralNorm(name, n_power_iterations, dim, eps)
    weight = getattr(module, name)
    rows, columns = hook.matrix(weight.detach()).shape
    with no_grad():
        u, v = (
            functional.normalize(weight.new_empty(length).normal_(0, 1), dim=0, eps=eps) for length in (rows, columns)
        )
    delattr(module, name)
    module.register_parameter(f"{name}_orig", weight)
    setattr(module, name, weight.data)
    module.register_buffer(f"{name}_u", u)
    module.register_buffer(f"{name}_v", v)
    module.register_forward_pre_hook(hook)
    return module


def remove_spectral_norm(module: Any, name: str = "weight") -> Any:
    """Undo `spectral_norm`: the weight is a parameter again, with the values that it had last."""
    found = _hook_of(module, name)
    if found is None:
        raise ValueError(f"spectral_norm of '{name}' not found in {module}")
    number, hook = found
    with no_grad():
        weight = hook.compute(module, False)
    delattr(module, name)
    for part in ("u", "v", "orig"):
        delattr(module, f"{name}_{part}")
    module.register_parameter(name, Parameter(weight.detach()))
    del module._hooks.by_kind["before"][number]
    return module


def _hook_of(module: Any, name: str) -> tuple[int, SpectralNorm] | None:
    """The hook that `spectral_norm` attached for a name, with its number."""
    for number, hook in module._hooks.of("before"):
        if isinstance(hook, SpectralNorm) and hook.name == name:
            return number, hook
    return None
