"""`weight_norm` as a hook: a layer whose weight is made of a length and a direction each time that it runs.

Source: T. Salimans and D. Kingma, "Weight normalization", arXiv:1602.07868.
"""

from __future__ import annotations

import warnings
from typing import Any

from gradviz.core.ops.norms import weight_norm as weight_of
from gradviz.core.public import FUNCTIONS
from gradviz.nn.parameter import Parameter


class WeightNorm:
    """The hook that computes a module's weight from `<name>_g` and `<name>_v` before the module runs."""

    def __init__(self, name: str, dim: int) -> None:
        self.name = name
        self.dim = dim

    def compute_weight(self, module: Any) -> Any:
        """The weight at present."""
        lengths, directions = getattr(module, f"{self.name}_g"), getattr(module, f"{self.name}_v")
        return weight_of(directions, lengths, self.dim)

    def __call__(self, module: Any, inputs: Any) -> None:
        setattr(module, self.name, self.compute_weight(module))


def weight_norm(module: Any, name: str = "weight", dim: int | None = 0) -> Any:
    """Learn length and direction of a module's weight apart; returns the module. `parametrizations` has a later one.

    dim: the dimension of the outputs, each of which has a length of its own; None for one length.
    Raises RuntimeError where that is done already.
    """
    warnings.warn(
        "`torch.nn.utils.weight_norm` is deprecated in favor of `torch.nn.utils.parametrizations.weight_norm`.",
        FutureWarning,
        stacklevel=2,
    )
    if _hook_of(module, name) is not None:
        raise RuntimeError(f"Cannot register two weight_norm hooks on the same parameter {name}")
    hook = WeightNorm(name, -1 if dim is None else dim)
    weight = getattr(module, name)
    delattr(module, name)
    lengths = FUNCTIONS["norm_except_dim"](weight.detach(), 2, hook.dim)
    module.register_parameter(f"{name}_g", Parameter(lengths))
    module.register_parameter(f"{name}_v", Parameter(weight.detach()))
    setattr(module, name, hook.compute_weight(module))
    module.register_forward_pre_hook(hook)
    return module


def remove_weight_norm(module: Any, name: str = "weight") -> Any:
    """Undo `weight_norm`: the weight is a parameter again, with the values that it had last."""
    found = _hook_of(module, name)
    if found is None:
        raise ValueError(f"weight_norm of '{name}' not found in {module}")
    number, hook = found
    weight = hook.compute_weight(module)
    delattr(module, name)
    for part in ("g", "v"):
        delattr(module, f"{name}_{part}")
    setattr(module, name, Parameter(weight.detach()))
    del module._hooks.by_kind["before"][number]
    return module


def _hook_of(module: Any, name: str) -> tuple[int, WeightNorm] | None:
    for number, hook in module._hooks.of("before"):
        if isinstance(hook, WeightNorm) and hook.name == name:
            return number, hook
    return None
