"""Layers that multiply by matrices: `Linear`, `LazyLinear`, `Bilinear`, and `Identity`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from gradviz.core import dtypes
from gradviz.core.tensor import Tensor
from gradviz.nn import functional, init
from gradviz.nn.module import Module
from gradviz.nn.parameter import Parameter, born


def zeros(shape: tuple[int, ...], dtype: dtypes.dtype | None) -> Parameter:
    """A parameter of zeros, of the default dtype where none is given."""
    kind = dtypes.get_default_dtype() if dtype is None else dtype
    return born(np.zeros(shape, kind.array_type))  # type: ignore[no-any-return]


class Identity(Module):
    """The input as it is. Takes any arguments."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()

    def forward(self, input: Any) -> Any:
        """The input."""
        return input


class Linear(Module):
    """`input @ weight.T + bias`. weight: (out_features, in_features). Input (..., in_features)."""

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        device: Any = None,
        dtype: dtypes.dtype | None = None,
    ) -> None:
        super().__init__()
        self.in_features = in_features
        self.out_features = out_features
        self.weight = zeros((out_features, in_features), dtype)
        if bias:
            self.bias = zeros((out_features,), dtype)
        else:
            self.register_parameter("bias", None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the parameters anew."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            fan_in, _ = init.fans(self.weight)
            bound = 1 / math.sqrt(fan_in) if fan_in > 0 else 0
            init.uniform_(self.bias, -bound, bound)

    def forward(self, input: Tensor) -> Tensor:
        """Input (..., in_features). Returns (..., out_features)."""
        result: Tensor = functional.linear(input, self.weight, self.bias)
        return result

    def extra_repr(self) -> str:
        """The lengths, and whether there is a bias."""
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"


class NonDynamicallyQuantizableLinear(Linear):
    """A `Linear` by the name that PyTorch gives the last layer of its attention."""


class LazyLinear(Linear):
    """A `Linear` that learns the length of its input when it is first called, and is one from then on.

    Its parameters are there from the beginning, so that an optimizer may hold them, but have no elements until then.
    """

    def __init__(
        self, out_features: int, bias: bool = True, device: Any = None, dtype: dtypes.dtype | None = None
    ) -> None:
        Module.__init__(self)
        self.in_features = 0
        self.out_features = out_features
        self.weight = zeros((0,), dtype)
        if bias:
            self.bias = zeros((0,), dtype)
        else:
            self.register_parameter("bias", None)

    def forward(self, input: Tensor) -> Tensor:
        """Input (..., any length). Returns (..., out_features)."""
        self.in_features = input.shape[-1]
        grow(self.weight, (self.out_features, self.in_features))
        if self.bias is not None:
            grow(self.bias, (self.out_features,))
        self.__class__ = Linear  # type: ignore[assignment]
        self.reset_parameters()
        return self.forward(input)


def grow(parameter: Any, shape: tuple[int, ...]) -> None:
    """Give a parameter without elements those of a shape."""
    parameter._data = np.zeros(shape, parameter._data.dtype)
    parameter._origin.shape = shape


class Bilinear(Module):
    """For each output k, `x1 @ weight[k] @ x2 + bias[k]`. weight: (out_features, in1_features, in2_features)."""

    def __init__(
        self,
        in1_features: int,
        in2_features: int,
        out_features: int,
        bias: bool = True,
        device: Any = None,
        dtype: dtypes.dtype | None = None,
    ) -> None:
        super().__init__()
        self.in1_features = in1_features
        self.in2_features = in2_features
        self.out_features = out_features
        self.weight = zeros((out_features, in1_features, in2_features), dtype)
        if bias:
            self.bias = zeros((out_features,), dtype)
        else:
            self.register_parameter("bias", None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the parameters anew."""
        bound = 1 / math.sqrt(self.in1_features)
        init.uniform_(self.weight, -bound, bound)
        if self.bias is not None:
            init.uniform_(self.bias, -bound, bound)

    def forward(self, input1: Tensor, input2: Tensor) -> Tensor:
        """Inputs (..., in1_features) and (..., in2_features). Returns (..., out_features)."""
        result: Tensor = functional.bilinear(input1, input2, self.weight, self.bias)
        return result

    def extra_repr(self) -> str:
        """The lengths, and whether there is a bias."""
        return (
            f"in1_features={self.in1_features}, in2_features={self.in2_features}, out_features={self.out_features}, "
            f"bias={self.bias is not None}"
        )
