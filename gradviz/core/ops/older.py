"""Tensors by their older names, `LongTensor([1, 2])`; where and how tensors lie in memory; settings without effect.

There is one device and one layout, so most of these questions have one answer. They are here for programs that ask.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from gradviz.core import dtypes
from gradviz.core.device import CPU, device
from gradviz.core.ops.creation import born
from gradviz.core.public import FUNCTIONS, METHODS, both, function, method
from gradviz.core.size import Size
from gradviz.core.spelling import spelling
from gradviz.core.tensor import Tensor
from gradviz.errors import NotWrittenError

# ---- by older names


class Kind(type):
    """The class of `FloatTensor` and its like: calling one makes a tensor, and tensors of its dtype are instances."""

    _dtype: dtypes.dtype

    def __call__(cls, *given: Any, dtype: Any = None, device: Any = None) -> Any:
        """`FloatTensor(2, 3)` makes one of a shape, `FloatTensor([1, 2])` one of values."""
        kind = cls._dtype
        if len(given) == 1 and isinstance(given[0], Tensor):
            if given[0].dtype is not kind:
                raise TypeError(f"expected a tensor of {kind} (got {given[0].dtype})")
            return given[0].detach()
        if len(given) == 1 and not isinstance(given[0], (int, Size)):
            if not isinstance(given[0], (list, tuple, np.ndarray)):
                raise TypeError(f"new(): data must be a sequence (got {type(given[0]).__name__})")
            return FUNCTIONS["tensor"](given[0], dtype=kind)
        shape = given[0] if len(given) == 1 and isinstance(given[0], Size) else given or (0,)
        return born("empty", np.zeros(shape, kind.array_type), False)

    def __instancecheck__(cls, value: Any) -> bool:
        return isinstance(value, Tensor) and value.dtype is cls._dtype


def _named(kind: dtypes.dtype) -> None:
    made = Kind(kind.type_name, (), {"_dtype": kind, "__doc__": f"Tensors of {kind.name}, by their older name."})
    FUNCTIONS[kind.type_name] = made


for _dtype in dtypes.ALL:
    _named(_dtype)


@function
def range(start: float, end: float | None = None, step: float = 1, **kwargs: Any) -> Tensor:
    """`arange` that has its end, too. Warns that it is deprecated."""
    warnings.warn(
        "torch.range is deprecated and will be removed in a future release because its behavior is inconsistent with "
        "Python's range builtin. Instead, use torch.arange, which produces values in [start, end).",
        UserWarning,
        stacklevel=2,
    )
    low, high = (0, start) if end is None else (start, end)
    kind = kwargs.pop("dtype", None) or dtypes.get_default_dtype()
    count = int(np.floor((high - low) / step)) + 1
    return FUNCTIONS["arange"](low, low + (count - 0.5) * step, step, dtype=kind, **kwargs)  # type: ignore[no-any-return]


@function
def asarray(obj: Any, *, dtype: Any = None, device: Any = None, copy: bool | None = None, requires_grad: bool = False):  # type: ignore[no-untyped-def]
    """`as_tensor`, or with `copy` a copy."""
    made = FUNCTIONS["as_tensor"](obj, dtype=dtype, device=device)
    made = made.clone() if copy else made
    return made.detach().requires_grad_() if requires_grad else made


# ---- in memory


class Named:
    """A name that programs pass on: a layout or an order of memory."""

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return f"{spelling.name}.{self._name}"

    def __reduce__(self) -> tuple[Any, ...]:
        return FUNCTIONS.__getitem__, (self._name,)


for _name in ("strided", "preserve_format", "contiguous_format", "channels_last", "channels_last_3d"):
    FUNCTIONS[_name] = Named(_name)  # type: ignore[assignment]


def _answer(name: str, answer: Any, text: str) -> None:
    def asked(self: Tensor) -> Any:
        return answer

    asked.__name__, asked.__doc__ = name, text
    METHODS[name] = property(asked)


_answer("is_cpu", True, "True: there is no other device.")
for _name in ("cuda", "mps", "xpu", "meta", "mkldnn", "sparse", "sparse_csr", "quantized", "nested"):
    _answer(f"is_{_name}", False, "False: tensors lie on the CPU, element by element.")
_answer("layout", FUNCTIONS["strided"], "`strided`: element by element.")
_answer("name", None, "None.")
METHODS["itemsize"] = property(lambda self: int(self._data.itemsize))


@both
def get_device(input: Tensor) -> int:
    """-1: the number of the CPU."""
    return -1


@method
def storage_offset(self: Tensor) -> int:
    """How many elements of the memory lie before the first one."""
    array = self._array()
    base = array
    while isinstance(base.base, np.ndarray):
        base = base.base
    return int(array.ctypes.data - base.ctypes.data) // int(array.itemsize)


@function
def is_inference(input: Tensor) -> bool:
    """Whether the tensor was made in inference mode."""
    return bool(Tensor.is_inference(input))


@both
def is_conj(input: Tensor) -> bool:
    """False: there are no complex numbers."""
    return False


METHODS["is_neg"] = FUNCTIONS["is_neg"] = METHODS["is_pinned"] = METHODS["is_shared"] = is_conj
FUNCTIONS["is_distributed"] = METHODS["is_distributed"] = is_conj


def _itself(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """The tensor itself."""
    return self


for _name in ("pin_memory", "share_memory_", "to_dense", "conj_physical", "conj_physical_"):
    METHODS[_name] = _itself
FUNCTIONS["conj_physical"] = _itself
METHODS["mH"] = METHODS["H"] = property(lambda self: self.mT)


@method
def cuda(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """Raise AssertionError: there is no such device."""
    raise AssertionError("Torch not compiled with CUDA enabled")


# ---- what is not written


def _absent(what: str, why: str) -> Any:
    def call(self: Tensor, *args: Any, **kwargs: Any) -> Any:
        raise NotWrittenError(f"`Tensor.{what}` is not written yet: gradviz's own tensors have no {why}")

    call.__name__ = what
    call.__doc__ = f"Raise NotWrittenError: there are no {why}."
    return call


for _what, _why in (
    ("bfloat16", "bfloat16"), ("cfloat", "complex numbers"), ("cdouble", "complex numbers"),
    ("to_sparse", "sparse layouts"), ("to_sparse_coo", "sparse layouts"), ("to_sparse_csr", "sparse layouts"),
    ("coalesce", "sparse layouts"), ("sparse_mask", "sparse layouts"), ("angle", "complex numbers"),
    ("stft", "complex numbers"), ("istft", "complex numbers"), ("dequantize", "quantized numbers"),
):  # fmt: skip
    METHODS[_what] = _absent(_what, _why)

# ---- settings


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
def typename(obj: Any) -> str:
    """The name of a tensor's type, `torch.FloatTensor`, or of any other thing's."""
    if isinstance(obj, Tensor):
        return str(obj.type())
    kind = type(obj)
    return kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
