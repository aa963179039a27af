"""Mixed precision: `GradScaler`, and an `autocast` that changes no type, since there is one device and no bfloat16."""

from __future__ import annotations

import contextlib
import sys
import warnings
from collections import defaultdict
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

import numpy as np

from gradviz.core import dtypes
from gradviz.core.listeners import Deed, listeners
from gradviz.core.public import FUNCTIONS
from gradviz.core.tensor import Tensor
from gradviz.errors import missing_name
from gradviz.nn.parameter import fill
from gradviz.sites import user_frame

_NAMES = ("GradScaler", "autocast", "custom_bwd", "custom_fwd", "is_autocast_available")

_enabled: ContextVar[bool] = ContextVar("gradviz.autocast", default=False)


def __getattr__(name: str) -> Any:
    raise missing_name(__name__, name, _NAMES)


def is_autocast_available(device_type: str) -> bool:
    """Whether there is such a device."""
    return device_type == "cpu"


def is_autocast_enabled(device_type: str = "cuda") -> bool:
    """Whether an `autocast` for the device is open."""
    return device_type == "cpu" and _enabled.get()


def get_autocast_dtype(device_type: str) -> dtypes.dtype:
    """What an `autocast` for the device would compute in."""
    return dtypes.bfloat16 if device_type == "cpu" else dtypes.float16


class autocast(contextlib.ContextDecorator):
    """A block whose ops PyTorch runs in bfloat16. Here they keep their types, and a warning says so.

    For a GPU, which is not there, it is disabled with PyTorch's warning.
    """

    def __init__(
        self, device_type: str, dtype: Any = None, enabled: bool = True, cache_enabled: bool | None = None
    ) -> None:
        if not isinstance(device_type, str):
            raise ValueError(f"Expected `device_type` of type `str`, got: `{type(device_type)}`")
        if device_type not in ("cpu", "cuda"):
            raise RuntimeError(f"User specified an unsupported autocast device_type '{device_type}'")
        if enabled and device_type == "cuda":
            _warn("CUDA is not available or torch_xla is imported. Disabling autocast.")
            enabled = False
        if enabled:
            _warn(
                f"gradviz's own tensors have no {(dtype or dtypes.bfloat16).name}: inside of `autocast` every "
                "operation keeps the type of its inputs; run the script with PyTorch installed to see the casts"
            )
        self.device, self.fast_dtype = device_type, dtype or get_autocast_dtype(device_type)
        self._enables = enabled
        self._outer: list[bool] = []

    def __enter__(self) -> autocast:
        self._outer.append(_enabled.get())
        if self.device == "cpu":
            _enabled.set(self._enables)
        return self

    def __exit__(self, *error: object) -> None:
        _enabled.set(self._outer.pop())


def custom_fwd(fwd: Callable[..., Any] | None = None, *, device_type: str, cast_inputs: Any = None) -> Any:
    """Mark the `forward` of a `Function` for `autocast`: it runs as it is written."""
    return custom_bwd(fwd, device_type=device_type)


def custom_bwd(bwd: Callable[..., Any] | None = None, *, device_type: str) -> Any:
    """Mark the `backward` of a `Function` for `autocast`: it runs as it is written."""
    if not isinstance(device_type, str):
        raise ValueError(f"Expected `device_type` of type `str`, got: `{type(device_type)}`")
    return (lambda bwd: bwd) if bwd is None else bwd


def _warn(text: str) -> None:
    frame = user_frame(sys._getframe(1))
    warnings.warn_explicit(text, UserWarning, frame.f_code.co_filename, frame.f_lineno)


class GradScaler:
    """Multiplies losses, so that small gradients do not vanish in few digits, and divides the gradients again.

    A step whose gradients hold NaN or infinity is left out, and the factor becomes `backoff_factor` times what it was;
    after `growth_interval` steps without any it becomes `growth_factor` times that. For "cuda", which is not there, it
    is disabled: losses are what they are, and `step` is the optimizer's.
    """

    def __init__(
        self,
        device: str = "cuda",
        init_scale: float = 2.0**16,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
        enabled: bool = True,
    ) -> None:
        if enabled and device == "cuda":
            _warn("torch.cuda.amp.GradScaler is enabled, but CUDA is not available.  Disabling.")
            enabled = False
        self._enabled = enabled
        self._scale = np.float32(init_scale)
        self._growth_factor = growth_factor
        self._backoff_factor = backoff_factor
        self._growth_interval = growth_interval
        self._good_steps = 0
        self._has_scaled = False
        self._stages: defaultdict[int, str] = defaultdict(str)
        self._found: dict[int, bool] = {}

    def scale(self, outputs: Any) -> Any:
        """A loss, or several in a tuple or list, times the factor."""
        if not self._enabled:
            return outputs
        self._has_scaled = True
        if isinstance(outputs, Tensor):
            return outputs * FUNCTIONS["tensor"](float(self._scale))
        return type(outputs)(map(self.scale, outputs))

    def unscale_(self, optimizer: Any) -> None:
        """Divide the gradients of an optimizer's parameters by the factor, for those who look at them before the step.

        Raises RuntimeError where that was done since the last `update`.
        """
        if not self._enabled:
            return
        stage = self._stages[id(optimizer)]
        self._need_scale("unscale_")
        if stage == "unscaled":
            raise RuntimeError("unscale_() has already been called on this optimizer since the last update().")
        if stage == "stepped":
            raise RuntimeError("unscale_() is being called after step().")
        inverse = np.float32(1.0 / float(self._scale))
        found = False
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                if parameter._grad is not None:
                    array = parameter._grad._data
                    found = found or not np.isfinite(array).all()
                    fill(parameter._grad, array * array.dtype.type(inverse))
        self._found[id(optimizer)] = bool(found)
        self._stages[id(optimizer)] = "unscaled"
        for listener in tuple(listeners):
            listener.held(Deed.UNSCALED, optimizer, sys._getframe(1))

    def step(self, optimizer: Any, *args: Any, **kwargs: Any) -> Any:
        """The optimizer's step, unless a gradient holds NaN or infinity. Raises RuntimeError for a second one."""
        if not self._enabled:
            return optimizer.step(*args, **kwargs)
        if "closure" in kwargs:
            raise RuntimeError("Closure use is not currently supported if GradScaler is enabled.")
        if self._stages[id(optimizer)] == "stepped":
            raise RuntimeError("step() has already been called since the last update().")
        if self._stages[id(optimizer)] != "unscaled":
            self.unscale_(optimizer)
        result = None if self._found[id(optimizer)] else optimizer.step(*args, **kwargs)
        self._stages[id(optimizer)] = "stepped"
        return result

    def update(self, new_scale: float | Tensor | None = None) -> None:
        """Choose the factor for what comes next, or take the one that is given."""
        if not self._enabled:
            return
        self._need_scale("update")
        if new_scale is not None:
            self._scale = np.float32(float(new_scale))
        elif not self._found:
            raise AssertionError("No inf checks were recorded prior to update.")
        elif any(self._found.values()):
            self._scale *= np.float32(self._backoff_factor)
            self._good_steps = 0
        else:
            self._good_steps += 1
            if self._good_steps == self._growth_interval:
                self._scale *= np.float32(self._growth_factor)
                self._good_steps = 0
        self._stages.clear()
        self._found.clear()

    def _need_scale(self, name: str) -> None:
        if not self._has_scaled:
            raise AssertionError(
                f"Attempted {name} but _scale is None.  This may indicate your script did not use scaler.scale(loss or "
                "outputs) earlier in the iteration."
            )

    def get_scale(self) -> float:
        """The factor; 1 where this is disabled."""
        return float(self._scale) if self._enabled else 1.0

    def get_growth_factor(self) -> float:
        """By what the factor grows."""
        return self._growth_factor

    def get_backoff_factor(self) -> float:
        """By what it falls."""
        return self._backoff_factor

    def get_growth_interval(self) -> int:
        """After how many steps it grows."""
        return self._growth_interval

    def is_enabled(self) -> bool:
        """False for a device that is not there."""
        return self._enabled

    def state_dict(self) -> dict[str, Any]:
        """What the scaler knows; nothing where it is disabled."""
        if not self._enabled:
            return {}
        return {
            "scale": self.get_scale(),
            "growth_factor": self._growth_factor,
            "backoff_factor": self._backoff_factor,
            "growth_interval": self._growth_interval,
            "_growth_tracker": self._good_steps,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from what `state_dict` gave. Raises RuntimeError where that is nothing."""
        if not self._enabled:
            return
        if not state_dict:
            raise RuntimeError(
                "The source state dict is empty, possibly because it was saved from a disabled instance of GradScaler."
            )
        self._scale = np.float32(state_dict["scale"])
        self._growth_factor = state_dict["growth_factor"]
        self._backoff_factor = state_dict["backoff_factor"]
        self._growth_interval = state_dict["growth_interval"]
        self._good_steps = state_dict["_growth_tracker"]
