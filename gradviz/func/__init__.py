"""Functions made of functions, under PyTorch's names: `grad`, `vjp`, `jacrev`, `vmap`; and modules as functions."""

from __future__ import annotations

from typing import Any

from gradviz.errors import missing_name
from gradviz.func.calling import functional_call, stack_module_state
from gradviz.func.derivatives import grad, grad_and_value, hessian, jacfwd, jacrev, jvp, linearize, vjp
from gradviz.func.mapping import vmap

__all__ = [
    "functional_call",
    "grad",
    "grad_and_value",
    "hessian",
    "jacfwd",
    "jacrev",
    "jvp",
    "linearize",
    "stack_module_state",
    "vjp",
    "vmap",
]


def __getattr__(name: str) -> Any:
    raise missing_name(__name__, name, __all__)
