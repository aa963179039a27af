"""What `torch.cuda`, `torch.backends` and their like answer under `--core`: there is a CPU, and nothing else.

Questions are answered, seeds and caches of devices that are not there are nothing, and what needs a device raises what
PyTorch raises on a machine without one.
"""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, NoReturn


def _answering(value: Any) -> Callable[..., Any]:
    return lambda *args, **kwargs: value


def _refuse(*args: Any, **kwargs: Any) -> NoReturn:
    raise AssertionError("Torch not compiled with CUDA enabled")


def _dummy(text: str) -> Callable[..., Any]:
    def refuse(*args: Any, **kwargs: Any) -> NoReturn:
        raise RuntimeError(text)

    return refuse


_no, _none, _zero = _answering(False), _answering(None), _answering(0)


def cuda() -> dict[str, Any]:
    """The names of `torch.cuda`."""
    seeds = ("manual_seed", "manual_seed_all", "seed", "seed_all", "empty_cache", "set_rng_state_all")
    bytes_ = ("memory_allocated", "max_memory_allocated", "memory_reserved", "max_memory_reserved")
    needs = ("synchronize", "current_device", "get_device_name", "get_device_properties", "get_device_capability",
             "mem_get_info", "init", "current_stream", "ipc_collect", "initial_seed", "set_device",
             "reset_peak_memory_stats", "memory_summary")  # fmt: skip
    return {
        **dict.fromkeys(("is_available", "is_initialized", "is_bf16_supported"), _no),
        **dict.fromkeys(seeds, _none),
        **dict.fromkeys((*bytes_, "device_count"), _zero),
        **dict.fromkeys(needs, _refuse),
        "get_rng_state_all": _answering([]),
        "Event": _dummy("Tried to instantiate dummy base class Event"),
        "Stream": _dummy("torch.cuda.Stream requires CUDA support"),
    }


def modules() -> dict[str, dict[str, Any]]:
    """By the name of a module of PyTorch's what it has here, made anew: programs write to it."""
    return {
        "torch.cuda": cuda(),
        "torch.mps": {"is_available": _no, "device_count": _zero, "manual_seed": _none, "empty_cache": _none},
        "torch.xpu": {"is_available": _no, "device_count": _zero, "manual_seed": _none, "empty_cache": _none},
        "torch.accelerator": {"is_available": _no, "device_count": _zero, "current_accelerator": _none},
        "torch.backends": {},
        "torch.backends.cudnn": {
            "deterministic": False,
            "benchmark": False,
            "enabled": True,
            "allow_tf32": True,
            "is_available": _no,
            "version": _none,
        },
        "torch.backends.mps": {"is_available": _no, "is_built": _no},
        "torch.backends.cuda": {"is_built": _no, "matmul": SimpleNamespace(allow_tf32=False)},
        "torch.version": {"cuda": None, "hip": None, "debug": False},
    }
