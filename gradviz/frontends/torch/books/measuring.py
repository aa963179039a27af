"""Measuring: what numbers a tensor holds, in a recording that was asked for values; one that was not pays nothing.

Every tensor that gets to be a value gets it by way of `Tensors.learn` and of `Known.value`. A recording with values has
other classes for both, which look at the tensor whenever it becomes another value. Nothing is left behind by the look:
autograd, the random generators and the version counters do not notice it, and neither do a mode of the user's own, a
trace or a captured CUDA graph. Where a look could be noticed, or means nothing, there is none.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

import torch
from torch.utils import _python_dispatch

from gradviz.events import Measure
from gradviz.frontends.torch.autograd.nodes import is_wrapped
from gradviz.frontends.torch.books.identity import Known, Tensors

_VALUE: Any = Known.value
"""The slot itself."""

BLOCK = 1 << 20
"""Most elements that are looked at together: a look at a large tensor must not take another as much memory."""

_NO_DISPATCH = torch._C._disabled_torch_dispatch_impl
_WIDE = 1e150
"""Beyond this, and below its inverse, the squares of numbers are out of range."""


class MeasuredTensors(Tensors):
    """`Tensors` that tells of each value that it learns of what numbers are in it."""

    def __init__(self, tell: Callable[[Measure], None]) -> None:
        super().__init__()
        self._measured = _measured_by(tell)

    def learn(self, tensor: torch.Tensor, value: int, kind: int) -> Known:
        """Take note that `tensor` is `value`, and measure it."""
        known = self._measured(tensor, self.forget)
        known.tensor_id = place = id(tensor)
        _VALUE.__set__(known, value)  # not measured yet: another thread may look it up as soon as it is there
        known.kind = kind
        known.base = None
        self[place] = known
        known.value = value
        return known


def _measured_by(tell: Callable[[Measure], None]) -> type[Known]:
    """A class of `Known` that tells a measure whenever its tensor becomes another value."""
    class Measured(Known):
        __slots__ = ()
        __hash__ = Known.__hash__

        @property
        def value(self) -> int:
            number: int = _VALUE.__get__(self)
            return number

        @value.setter
        def value(self, number: int) -> None:
            _VALUE.__set__(self, number)
            tensor = self() if number else None  # 0 is a source that nobody has used
            found = None if tensor is None else measure(tensor, number)
            if found is not None:
                tell(found)

    return Measured


def measure(tensor: torch.Tensor, value: int) -> Measure | None:
    """What numbers are in `tensor`, as those of `value`; None where there are none to be looked at."""
    try:
        with torch._C.DisableTorchFunction():
            if not _is_plain(tensor):
                return None
            with torch.no_grad(), _undispatched():
                return _total(value, [_look(block) for block in _blocks(tensor)])
    except (RuntimeError, TypeError, NotImplementedError):  # a dtype or a device that knows no such operation
        return None


def _is_plain(tensor: torch.Tensor) -> bool:
    """It has memory of its own with numbers in it, and a look at them is seen by nobody."""
    if type(tensor).__torch_dispatch__ is not _NO_DISPATCH or is_wrapped(tensor):
        return False
    if tensor.device.type == "meta" or tensor.layout is not torch.strided or tensor.is_nested or tensor.is_quantized:
        return False
    if not tensor.numel() or not tensor.untyped_storage().nbytes():  # of a sharded tensor the memory may be taken away
        return False
    if tensor.is_cuda and torch.cuda.is_current_stream_capturing():
        return False
    return torch._C._get_tracing_state() is None and torch._C._functorch.peek_interpreter_stack() is None


def _undispatched() -> AbstractContextManager[Any]:
    """Keeps the look from a dispatch mode, such as one that counts operations."""
    if torch._C._len_torch_dispatch_stack():
        return _python_dispatch._disable_current_modes()
    return nullcontext()


def _blocks(tensor: torch.Tensor) -> Iterator[torch.Tensor]:
    """The elements of `tensor`, some at a time: a flat one, or parts of its first dimension that has several."""
    if tensor.numel() <= BLOCK:
        yield tensor
    elif tensor.is_contiguous():
        yield from torch.split(tensor.view(-1), BLOCK)
    else:
        dimension = max(range(tensor.dim()), key=tensor.size)
        length = max(1, tensor.size(dimension) * BLOCK // tensor.numel())
        yield from torch.split(tensor, length, dimension)


class _Part(NamedTuple):
    """What was seen in a part of a tensor: its elements, and of the finite ones the ends, the sum and the 2-norm."""

    size: int
    zeros: int
    nans: int = 0
    infs: int = 0
    low: float = math.inf
    high: float = -math.inf
    total: float = 0.0
    norm: float = 0.0


def _look(block: torch.Tensor) -> _Part:
    size = block.numel()
    wide = block.abs() if block.is_complex() else block
    wide = wide if wide.device.type == "mps" else wide.to(torch.float64)
    zeros = size - int(torch.count_nonzero(wide))
    low, high = (float(end) for end in torch.aminmax(wide))
    nans = infs = 0
    if not (math.isfinite(low) and math.isfinite(high)):  # a NaN is both
        nans, infs = int(torch.isnan(wide).sum()), int(torch.isinf(wide).sum())
        wide = wide[torch.isfinite(wide)]
        if not wide.numel():
            return _Part(size, zeros, nans, infs)
        low, high = (float(end) for end in torch.aminmax(wide))
    largest = max(abs(low), abs(high))
    scale = largest if largest > _WIDE or 0.0 < largest < 1 / _WIDE else 1.0
    if scale != 1.0:
        wide = wide / scale
    total, norm = scale * float(wide.sum()), scale * float(torch.linalg.vector_norm(wide))
    return _Part(size, zeros, nans, infs, low, high, total, norm)


def _total(value: int, parts: list[_Part]) -> Measure:
    """The measure of the whole, from what was seen in its parts."""
    zeros, nans, infs = (sum(counts) for counts in zip(*(part[1:4] for part in parts), strict=True))
    finite = sum(part.size for part in parts) - nans - infs
    if not finite:
        return Measure(value, zeros, nans, infs)
    low, high = min(part.low for part in parts), max(part.high for part in parts)
    mean = math.fsum(part.total / finite for part in parts)
    norm = math.hypot(*(part.norm for part in parts))
    return Measure(value, zeros, nans, infs, low + 0.0, high + 0.0, mean, norm)  # never a negative zero
