"""Where and how tensors lie in memory: what programs ask of it, and the layouts and kinds of numbers that are lacking.

There is one device and one layout, so most of these questions have one answer.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gradviz.core.public import FUNCTIONS, METHODS, both, function, method
from gradviz.core.spelling import spelling
from gradviz.core.tensor import Tensor
from gradviz.errors import NotWrittenError


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
