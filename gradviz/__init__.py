"""gradviz: see the computation graph that autograd keeps, and the part it does not keep.

Names are loaded when they are first used: `import gradviz` by itself imports neither numpy nor anything that draws.
"""

from __future__ import annotations

import importlib
import importlib.util
from typing import TYPE_CHECKING, Any

from gradviz._version import __version__ as __version__

if TYPE_CHECKING:
    from gradviz import amp as amp
    from gradviz import autograd as autograd
    from gradviz import distributions as distributions
    from gradviz import func as func
    from gradviz import linalg as linalg
    from gradviz import nn as nn
    from gradviz import optim as optim
    from gradviz import special as special
    from gradviz import testing as testing
    from gradviz import utils as utils
    from gradviz.amp import autocast as autocast
    from gradviz.amp import get_autocast_dtype as get_autocast_dtype
    from gradviz.amp import is_autocast_enabled as is_autocast_enabled
    from gradviz.checkup import check as check
    from gradviz.core.device import device as device
    from gradviz.core.dtypes import dtype as dtype
    from gradviz.core.grad_mode import enable_grad as enable_grad
    from gradviz.core.grad_mode import inference_mode as inference_mode
    from gradviz.core.grad_mode import is_grad_enabled as is_grad_enabled
    from gradviz.core.grad_mode import is_inference_mode_enabled as is_inference_mode_enabled
    from gradviz.core.grad_mode import no_grad as no_grad
    from gradviz.core.grad_mode import set_grad_enabled as set_grad_enabled
    from gradviz.core.size import Size as Size
    from gradviz.core.tensor import Tensor as Tensor
    from gradviz.func import vmap as vmap
    from gradviz.inquiry import explain as explain
    from gradviz.recorder import record as record
    from gradviz.snapshot import graph as graph
    from gradviz.snapshot import make_dot as make_dot
    from gradviz.utils.saving import load as load
    from gradviz.utils.saving import save as save

_HOMES = {
    "record": "gradviz.recorder",
    "explain": "gradviz.inquiry",
    "make_dot": "gradviz.snapshot",
    "graph": "gradviz.snapshot",
    "check": "gradviz.checkup",
    "Tensor": "gradviz.core.tensor",
    "Size": "gradviz.core.size",
    "finfo": "gradviz.core.limits",
    "iinfo": "gradviz.core.limits",
    "dtype": "gradviz.core.dtypes",
    "device": "gradviz.core.device",
    "no_grad": "gradviz.core.grad_mode",
    "enable_grad": "gradviz.core.grad_mode",
    "set_grad_enabled": "gradviz.core.grad_mode",
    "inference_mode": "gradviz.core.grad_mode",
    "is_grad_enabled": "gradviz.core.grad_mode",
    "is_inference_mode_enabled": "gradviz.core.grad_mode",
    "is_anomaly_enabled": "gradviz.core.anomaly",
    "is_anomaly_check_nan_enabled": "gradviz.core.anomaly",
    "manual_seed": "gradviz.core.random",
    "initial_seed": "gradviz.core.random",
    "Generator": "gradviz.core.random",
    "autocast": "gradviz.amp",
    "get_autocast_dtype": "gradviz.amp",
    "is_autocast_enabled": "gradviz.amp",
    "vmap": "gradviz.func",
    "save": "gradviz.utils.saving",
    "load": "gradviz.utils.saving",
    "set_printoptions": "gradviz.core.printing",
    "set_default_dtype": "gradviz.core.dtypes",
    "get_default_dtype": "gradviz.core.dtypes",
}
"""Where a public name lives, for those that are not ops."""

_PACKAGES = ("amp", "autograd", "distributions", "func", "linalg", "nn", "optim", "special", "testing", "utils")

_DTYPES = {
    "bool": "bool_",
    "uint8": "uint8",
    "int8": "int8",
    "int16": "int16",
    "short": "int16",
    "int32": "int32",
    "int": "int32",
    "int64": "int64",
    "long": "int64",
    "bfloat16": "bfloat16",
    "float16": "float16",
    "half": "float16",
    "float32": "float32",
    "float": "float32",
    "float64": "float64",
    "double": "float64",
}

_NUMBERS = ("pi", "e", "inf", "nan")


def __getattr__(name: str) -> Any:
    value = _find(name)
    globals()[name] = value
    return value


def _find(name: str) -> Any:
    if name in _PACKAGES:
        return importlib.import_module(f"gradviz.{name}")
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    if name in _DTYPES:
        return getattr(importlib.import_module("gradviz.core.dtypes"), _DTYPES[name])
    if name in _NUMBERS:
        return getattr(importlib.import_module("math"), name)
    if name.startswith("_") or importlib.util.find_spec(f"gradviz.{name}") is not None:
        # `from gradviz import events` asks here before it looks for the module: it must not load the core.
        raise AttributeError(f"module 'gradviz' has no attribute '{name}'")
    functions = importlib.import_module("gradviz.core.public").FUNCTIONS
    importlib.import_module("gradviz.core")
    if name in functions:
        return functions[name]
    raise importlib.import_module("gradviz.errors").missing_name("gradviz", name, __dir__())


def __dir__() -> list[str]:
    importlib.import_module("gradviz.core")
    functions = importlib.import_module("gradviz.core.public").FUNCTIONS
    public = [name for name in functions if not name.startswith("_")]
    return sorted({*_HOMES, *_PACKAGES, *_DTYPES, *_NUMBERS, *public, "__version__"})
