"""`torch.compile` on the core: nothing is compiled, and what is called runs as it is written."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gradviz.nn.module import Module


class OptimizedModule(Module):
    """A module around another, `_orig_mod`, whose attributes it has, as PyTorch puts one around a compiled module."""

    def __init__(self, mod: Module) -> None:
        super().__init__()
        self._orig_mod = mod
        self.training = mod.training

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the module inside gives."""
        return self._modules["_orig_mod"](*args, **kwargs)  # type: ignore[misc]

    def __getattr__(self, name: str) -> Any:
        if name == "_orig_mod":
            return self._modules["_orig_mod"]
        return getattr(self._modules["_orig_mod"], name)


def compile(model: Callable[..., Any] | None = None, **options: Any) -> Any:
    """A module inside of an `OptimizedModule`, a function itself, or without either what decorates one."""
    if model is None:
        return lambda model: compile(model, **options)
    if isinstance(model, Module):
        return OptimizedModule(model)
    if not callable(model):
        raise RuntimeError(f"torch.compile() requires a callable argument, but got {type(model)}")
    return model
