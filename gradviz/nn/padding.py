"""Borders as modules: `ZeroPad2d`, `ConstantPad2d`, `ReflectionPad2d`, `ReplicationPad2d`, `CircularPad2d`."""

from __future__ import annotations

from typing import Any

from gradviz.core.tensor import Tensor
from gradviz.nn import functional
from gradviz.nn.module import Module


class _Pad(Module):
    """A border on both sides of the last dimensions. padding: one length, or two for each dimension, the last first."""

    _count = 0
    _mode = "constant"

    def __init__(self, padding: Any) -> None:
        super().__init__()
        self.padding = (padding,) * (2 * self._count) if isinstance(padding, int) else tuple(padding)

    def forward(self, input: Tensor) -> Tensor:
        """Input (n, channels, *lengths), or without n. Returns (n, channels, *longer ones)."""
        result: Tensor = functional.pad(input, self.padding, self._mode, getattr(self, "value", None))
        return result

    def extra_repr(self) -> str:
        """The lengths."""
        return f"{self.padding}"


class _ConstantPad(_Pad):
    """A border of one number."""

    def __init__(self, padding: Any, value: float) -> None:
        super().__init__(padding)
        self.value = value

    def extra_repr(self) -> str:
        """The lengths and the number."""
        return f"padding={self.padding}, value={self.value}"


class _ZeroPad(_Pad):
    """A border of zeros."""

    value = 0.0


class _ReflectionPad(_Pad):
    """A border of what lies inside, the other way round."""

    _mode = "reflect"


class _ReplicationPad(_Pad):
    """A border of the elements at the ends."""

    _mode = "replicate"


class _CircularPad(_Pad):
    """A border of the elements at the other end."""

    _mode = "circular"


class ConstantPad1d(_ConstantPad):
    __doc__ = _ConstantPad.__doc__
    _count = 1


class ConstantPad2d(_ConstantPad):
    __doc__ = _ConstantPad.__doc__
    _count = 2


class ConstantPad3d(_ConstantPad):
    __doc__ = _ConstantPad.__doc__
    _count = 3


class ZeroPad1d(_ZeroPad):
    __doc__ = _ZeroPad.__doc__
    _count = 1


class ZeroPad2d(_ZeroPad):
    __doc__ = _ZeroPad.__doc__
    _count = 2


class ZeroPad3d(_ZeroPad):
    __doc__ = _ZeroPad.__doc__
    _count = 3


class ReflectionPad1d(_ReflectionPad):
    __doc__ = _ReflectionPad.__doc__
    _count = 1


class ReflectionPad2d(_ReflectionPad):
    __doc__ = _ReflectionPad.__doc__
    _count = 2


class ReflectionPad3d(_ReflectionPad):
    __doc__ = _ReflectionPad.__doc__
    _count = 3


class ReplicationPad1d(_ReplicationPad):
    __doc__ = _ReplicationPad.__doc__
    _count = 1


class ReplicationPad2d(_ReplicationPad):
    __doc__ = _ReplicationPad.__doc__
    _count = 2


class ReplicationPad3d(_ReplicationPad):
    __doc__ = _ReplicationPad.__doc__
    _count = 3


class CircularPad1d(_CircularPad):
    __doc__ = _CircularPad.__doc__
    _count = 1


class CircularPad2d(_CircularPad):
    __doc__ = _CircularPad.__doc__
    _count = 2


class CircularPad3d(_CircularPad):
    __doc__ = _CircularPad.__doc__
    _count = 3
