"""Settings that programs make and that have no effect here: threads, precision, deterministic algorithms, devices."""

from __future__ import annotations

import warnings
from typing import Any

from gradviz.core import dtypes
from gradviz.core.device import CPU, device
from gradviz.core.public import FUNCTIONS, function


@function
def get_num_threads() -> int:
    """1: numpy decides by itself."""
    return 1


@function
def set_num_threads(number: int) -> None:
    """Has no effect."""


FUNCTIONS["get_num_interop_threads"] = get_num_threads
FUNCTIONS["set_num_interop_threads"] = set_num_threads
_settings = {"deterministic": False, "precision": "highest"}


@function
def use_deterministic_algorithms(mode: bool, *, warn_only: bool = False) -> None:
    """Has no effect: all algorithms are deterministic."""
    _settings["deterministic"] = mode


@function
def are_deterministic_algorithms_enabled() -> bool:
    """What `use_deterministic_algorithms` was last called with."""
    return bool(_settings["deterministic"])


@function
def set_float32_matmul_precision(precision: str) -> None:
    """Has no effect."""
    _settings["precision"] = precision


@function
def get_float32_matmul_precision() -> str:
    """What `set_float32_matmul_precision` was last called with: "highest"."""
    return str(_settings["precision"])


@function
def get_default_device() -> device:
    """The CPU."""
    return CPU


@function
def set_default_device(device: Any) -> None:
    """Raise RuntimeError for a device other than the CPU."""
    if device is not None and not str(device).startswith("cpu"):
        raise RuntimeError(f"gradviz's own tensors live on the CPU, not on `{device}`")


@function
def set_default_tensor_type(t: Any) -> None:
    """The older way to call `set_default_dtype`: with `torch.DoubleTensor`, or its name. Warns that it is deprecated.

    Raises TypeError for what is no type of tensors, or one of whole numbers.
    """
    warnings.warn(
        "torch.set_default_tensor_type() is deprecated as of PyTorch 2.1, please use torch.set_default_dtype() and "
        "torch.set_default_device() as alternatives.",
        UserWarning,
        stacklevel=2,
    )
    name = t if isinstance(t, str) else getattr(t, "__name__", str(t))
    kind = next((one for one in dtypes.ALL if one.type_name == name.removeprefix("torch.")), None)
    if kind is None:
        raise TypeError(f"invalid type object: {t}")
    dtypes.set_default_dtype(kind)
