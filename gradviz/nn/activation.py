"""Activations as modules: `ReLU`, `GELU`, `Softmax`, ... Each calls the function of that name."""

from __future__ import annotations

from typing import Any

from gradviz.core.tensor import Tensor
from gradviz.nn import functional
from gradviz.nn.linear import zeros
from gradviz.nn.module import Module
from gradviz.nn.parameter import fill


class _Function(Module):
    """A module without state that calls `nn.functional`'s function `_call` on its input."""

    _call = ""

    def forward(self, input: Tensor) -> Tensor:
        """Elementwise. Returns the input's shape."""
        result: Tensor = getattr(functional, self._call)(input)
        return result


class _InPlace(Module):
    """The same, where the function may write over its input."""

    _call = ""
    inplace: bool

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        """Elementwise. Returns the input's shape."""
        result: Tensor = getattr(functional, self._call)(input, inplace=self.inplace)
        return result

    def extra_repr(self) -> str:
        """Whether it writes in place."""
        return "inplace=True" if self.inplace else ""


class ReLU(_InPlace):
    """max(x, 0)."""

    _call = "relu"


class ReLU6(_InPlace):
    """min(max(x, 0), 6)."""

    _call = "relu6"

    def extra_repr(self) -> str:
        """The limits, as PyTorch tells them, and whether it writes in place."""
        return "inplace=True" if self.inplace else ""


class SiLU(_InPlace):
    """x * sigmoid(x)."""

    _call = "silu"


class Mish(_InPlace):
    """x * tanh(softplus(x))."""

    _call = "mish"


class SELU(_InPlace):
    """The scaled exponential linear unit."""

    _call = "selu"


class Hardsigmoid(_InPlace):
    """relu6(x + 3) / 6."""

    _call = "hardsigmoid"

    def extra_repr(self) -> str:
        """Nothing, as in PyTorch."""
        return ""


class Hardswish(_InPlace):
    """x * relu6(x + 3) / 6."""

    _call = "hardswish"

    def extra_repr(self) -> str:
        """Nothing, as in PyTorch."""
        return ""


class Sigmoid(_Function):
    """1 / (1 + exp(-x))."""

    def forward(self, input: Tensor) -> Tensor:
        """Elementwise. Returns the input's shape."""
        result: Tensor = input.sigmoid()
        return result


class Tanh(_Function):
    """The hyperbolic tangent."""

    def forward(self, input: Tensor) -> Tensor:
        """Elementwise. Returns the input's shape."""
        result: Tensor = input.tanh()
        return result


class LogSigmoid(_Function):
    """log(sigmoid(x))."""

    _call = "logsigmoid"


class Softsign(_Function):
    """x / (1 + abs(x))."""

    _call = "softsign"


class Tanhshrink(_Function):
    """x - tanh(x)."""

    _call = "tanhshrink"


class LeakyReLU(_InPlace):
    """x where it is positive, `negative_slope` * x elsewhere."""

    def __init__(self, negative_slope: float = 1e-2, inplace: bool = False) -> None:
        super().__init__(inplace)
        self.negative_slope = negative_slope

    def forward(self, input: Tensor) -> Tensor:
        """Elementwise. Returns the input's shape."""
        result: Tensor = functional.leaky_relu(input, self.negative_slope, self.inplace)
        return result

    def extra_repr(self) -> str:
        """The slope, and whether it writes in place."""
        return f"negative_slope={self.negative_slope}" + (", inplace=True" if self.inplace else "")


class ELU(_InPlace):
    """x where it is positive, alpha * (exp(x) - 1) elsewhere."""

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__(inplace)
        self.alpha = alpha

    def forward(self, input: Tensor) -> Tensor:
        """Elementwise. Returns the input's shape."""
        result: Tensor = functional.elu(input, self.alpha, self.inplace)
        return result

    def extra_repr(self) -> str:
        """The factor, and whether it writes in place."""
        return f"alpha={self.alpha}" + (", inplace=True" if self.inplace else "")


class CELU(_InPlace):
    """max(x, 0) + min(0, alpha * (exp(x / alpha) - 1))."""

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__(inplace)
        self.alpha = alpha

    def forward(self, input: Tensor) -> Tensor:
        """Elementwise. Returns the input's shape."""
        result: Tensor = functional.celu(input, self.alpha, self.inplace)
        return result

    def extra_repr(self) -> str:
        """The factor, and whether it writes in place."""
        return f"alpha={self.alpha}" + (", inplace=True" if self.inplace else "")


class Hardtanh(_InPlace):
    """x, but no less than `min_val` and no more than `max_val`."""

    def __init__(self, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> None:
        super().__init__(inplace)
        self.min_val = min_val
        self.max_val = max_val

    def forward(self, input: Tensor) -> Tensor:
        """Elementwise. Returns the input's shape."""
        result: Tensor = functional.hardtanh(input, self.min_val, self.max_val, self.inplace)
        return result

    def extra_repr(self) -> str:
        """The limits, and whether it writes in place."""
        return f"min_val={self.min_val}, max_val={self.max_val}" + (", inplace=True" if self.inplace else "")


class Threshold(_InPlace):
    """x where it is greater than `threshold`, `value` elsewhere."""

    def __init__(self, threshold: float, value: float, inplace: bool = False) -> None:
        super().__init__(inplace)
        self.threshold = threshold
        self.value = value

    def forward(self, input: Tensor) -> Tensor:
        """Elementwise. Returns the input's shape."""
        result: Tensor = functional.threshold(input, self.threshold, self.value, self.inplace)
        return result

    def extra_repr(self) -> str:
        """The limit, the value below it, and whether it writes in place."""
        return f"threshold={self.threshold}, value={self.value}" + (", inplace=True" if self.inplace else "")


class GELU(Module):
    """x times the normal distribution function of x. approximate: "none" or "tanh"."""

    def __init__(self, approximate: str = "none") -> None:
        super().__init__()
        self.approximate = approximate

    def forward(self, input: Tensor) -> Tensor:
        """Elementwise. Returns the input's shape."""
        result: Tensor = functional.gelu(input, approximate=self.approximate)
        return result

    def extra_repr(self) -> str:
        """How it is computed."""
        return f"approximate={self.approximate!r}"


class Softplus(Module):
    """log(1 + exp(beta * x)) / beta; x itself where beta * x is above `threshold`."""

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        super().__init__()
        self.beta = beta
        self.threshold = threshold

    def forward(self, input: Tensor) -> Tensor:
        """Elementwise. Returns the input's shape."""
        result: Tensor = functional.softplus(input, self.beta, self.threshold)
        return result

    def extra_repr(self) -> str:
        """The factor and the limit."""
        return f"beta={self.beta}, threshold={self.threshold}"


class PReLU(Module):
    """x where it is positive, weight * x elsewhere, with one learned slope or one for each channel."""

    def __init__(self, num_parameters: int = 1, init: float = 0.25, device: Any = None, dtype: Any = None) -> None:
        super().__init__()
        self.num_parameters = num_parameters
        self.init = init
        self.weight = zeros((num_parameters,), dtype)
        fill(self.weight, init)

    def forward(self, input: Tensor) -> Tensor:
        """Input (n, num_parameters, ...). Returns the same shape."""
        if "prelu" in dir(functional):
            result: Tensor = functional.prelu(input, self.weight)
            return result
        slopes: Any = self.weight
        if self.num_parameters > 1 and input.ndim > 2:
            slopes = slopes.view(-1, *[1] * (input.ndim - 2))
        zero = input.clamp(min=0)
        return zero + slopes * input.clamp(max=0)  # type: ignore[no-any-return]

    def extra_repr(self) -> str:
        """How many slopes."""
        return f"num_parameters={self.num_parameters}"


class Softmax(Module):
    """exp(x) divided by its sum along `dim`."""

    _call = "softmax"

    def __init__(self, dim: int | None = None) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, input: Tensor) -> Tensor:
        """Returns the input's shape."""
        dim = self.dim if self.dim is not None else (0 if input.ndim in (0, 1, 3) else 1)
        result: Tensor = getattr(functional, self._call)(input, dim)
        return result

    def extra_repr(self) -> str:
        """Along which dimension."""
        return f"dim={self.dim}"


class LogSoftmax(Softmax):
    """The logarithm of `Softmax`."""

    _call = "log_softmax"

    def extra_repr(self) -> str:
        """Nothing, as in PyTorch."""
        return f"dim={self.dim}"


class Softmin(Softmax):
    """`Softmax` of the negated input."""

    def forward(self, input: Tensor) -> Tensor:
        """Returns the input's shape."""
        return super().forward(input.neg())


class GLU(Module):
    """The first half of the input times the sigmoid of the second half along `dim`."""

    def __init__(self, dim: int = -1) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, input: Tensor) -> Tensor:
        """Returns the input's shape with half the length along `dim`."""
        if "glu" in dir(functional):
            result: Tensor = functional.glu(input, self.dim)
            return result
        first, second = input.chunk(2, self.dim)
        return first * second.sigmoid()  # type: ignore[no-any-return]

    def extra_repr(self) -> str:
        """Along which dimension."""
        return f"dim={self.dim}"


class _Shrink(Module):
    _call = ""

    def __init__(self, lambd: float = 0.5) -> None:
        super().__init__()
        self.lambd = lambd

    def forward(self, input: Tensor) -> Tensor:
        """Elementwise. Returns the input's shape."""
        result: Tensor = getattr(functional, self._call)(input, self.lambd)
        return result

    def extra_repr(self) -> str:
        """The limit."""
        return str(self.lambd)


class Hardshrink(_Shrink):
    """0 between -lambd and lambd."""

    _call = "hardshrink"


class Softshrink(_Shrink):
    """0 between -lambd and lambd, and nearer to 0 by that beyond."""

    _call = "softshrink"


class RReLU(Module):
    """`LeakyReLU` whose slope is drawn from [lower, upper) in training, and the middle one otherwise."""

    def __init__(self, lower: float = 1.0 / 8, upper: float = 1.0 / 3, inplace: bool = False) -> None:
        super().__init__()
        self.lower = lower
        self.upper = upper
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        """Elementwise. Returns the input's shape."""
        result: Tensor = functional.rrelu(input, self.lower, self.upper, self.training, self.inplace)
        return result

    def extra_repr(self) -> str:
        """The range, and whether it writes in place."""
        return f"lower={self.lower}, upper={self.upper}{', inplace=True' if self.inplace else ''}"


class Softmax2d(Module):
    """Exponentials divided by their sum over the channels of images."""

    def forward(self, input: Tensor) -> Tensor:
        """Input (n, channels, height, width) or (channels, height, width). Returns that shape."""
        if input.ndim not in (3, 4):
            raise ValueError(f"Softmax2d: expected input to be 3D or 4D, got {input.ndim}D instead")
        result: Tensor = functional.softmax(input, -3)
        return result
