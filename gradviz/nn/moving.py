"""Moving: what is done to all parameters of a module at once: modes, flags, gradients, dtypes."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Self, cast

import numpy as np

from gradviz.core import dtypes
from gradviz.core.listeners import Deed, listeners
from gradviz.core.tensor import Tensor

if TYPE_CHECKING:
    from gradviz.nn.module import Module


class Moving:
    """The part of `Module` that changes what it holds."""

    training: bool

    def train(self, mode: bool = True) -> Self:
        """Set the module and those in it to training, or with `mode` False to evaluation."""
        if not isinstance(mode, bool):
            raise ValueError("training mode is expected to be boolean")
        self.training = mode
        for module in cast("Module", self).children():
            module.train(mode)
        frame = sys._getframe(1)
        if listeners and frame.f_code.co_filename != __file__:
            for listener in tuple(listeners):
                listener.held(Deed.SWITCHED, self, frame, "train" if self.training else "eval")
        return self

    def eval(self) -> Self:
        """Set the module and those in it to evaluation: no dropout, running statistics."""
        self.train(False)
        for listener in tuple(listeners):
            listener.held(Deed.SWITCHED, self, sys._getframe(1), "eval")
        return self

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Set `requires_grad` of every parameter."""
        for parameter in cast("Module", self).parameters():
            parameter.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradient of every parameter, or with `set_to_none` False fill it with zeros."""
        for parameter in cast("Module", self).parameters():
            clear(parameter, set_to_none)
        for listener in tuple(listeners):
            listener.held(Deed.CLEARED, self, sys._getframe(1))

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """Change the dtype of floating parameters and buffers, `to(gradviz.float64)`. A device is "cpu"."""
        kind = next((given for given in (*args, *kwargs.values()) if isinstance(given, dtypes.dtype)), None)
        like = next((given for given in (*args, *kwargs.values()) if isinstance(given, Tensor)), None)
        kind = like.dtype if like is not None else kind
        for given in args:
            if isinstance(given, str) and given.partition(":")[0] != "cpu":
                raise RuntimeError(f"gradviz's tensors are on the CPU: there is no device '{given}'")
        if kind is not None and not kind.is_floating_point:
            raise TypeError(f"nn.Module.to only accepts floating point or complex dtypes, but got desired dtype={kind}")
        return self if kind is None else self._cast(kind)

    def float(self) -> Self:
        """Make every floating parameter and buffer float32."""
        return self._cast(dtypes.float32)

    def double(self) -> Self:
        """Make every floating parameter and buffer float64."""
        return self._cast(dtypes.float64)

    def half(self) -> Self:
        """Make every floating parameter and buffer float16."""
        return self._cast(dtypes.float16)

    def bfloat16(self) -> Self:
        """Raise NotWrittenError: there is no bfloat16."""
        return self._cast(dtypes.bfloat16)

    def type(self, dst_type: dtypes.dtype) -> Self:
        """Make every floating parameter and buffer `dst_type`."""
        return self._cast(dst_type)

    def cpu(self) -> Self:
        """The module as it is: there is no other device."""
        return self

    def share_memory(self) -> Self:
        """The module as it is: threads share memory anyway."""
        return self

    def _cast(self, kind: dtypes.dtype) -> Self:
        """Cast what is floating in place: each parameter stays the same object, so an optimizer still owns it."""

        def fitted(tensor: Tensor) -> None:
            if tensor._data.dtype.kind == "f" and tensor._data.dtype != kind.array_type:
                tensor._data = np.asarray(tensor._data).astype(kind.array_type)
                tensor._origin.array_type = tensor._data.dtype

        self._apply(fitted)
        return self

    def _apply(self, fn: Callable[[Tensor], None]) -> Self:
        for module in cast("Module", self).modules():
            for parameter in module._parameters.values():
                if parameter is not None:
                    fn(parameter)
                    if parameter._grad is not None:
                        fn(parameter._grad)
            for buffer in module._buffers.values():
                if buffer is not None:
                    fn(buffer)
        return self


def clear(parameter: Tensor, to_none: bool) -> None:
    """Forget the gradient of a parameter, or fill it with zeros."""
    grad = parameter._grad
    if grad is None:
        return
    if to_none:
        parameter._grad = None
        return
    grad._array()[...] = 0
    if grad._storage.version is not None:
        grad._storage.version += 1
