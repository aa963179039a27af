"""numpy's functions on a Tensor: `np.exp(t)`, `np.add.reduce(t)`, `np.ones(3) * t`, `np.concatenate([t, array])`.

numpy asks a foreign operand for the result, of its ufuncs by `__array_ufunc__` and of its other functions by
`__array_function__` (NEPs 13 and 18). Two tables say which op of gradviz answers; the arguments are numpy's, dtypes and
gradients are gradviz's. What is in neither table raises TypeError: a result computed past the graph would lose its
gradient without a word.
"""

from __future__ import annotations

import inspect
import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from gradviz.core.numpy_functions import FUNCTIONS_OF_NUMPY, REDUCE_AND_ACCUMULATE, tensor_of, untraced
from gradviz.core.public import FUNCTIONS, METHODS, operand
from gradviz.core.tensor import Tensor


def _array_ufunc(self: Tensor, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
    name = ufunc.__name__
    out = options.pop("out", None)
    if method == "__call__":
        call = _UFUNCS.get(name)
        if isinstance(call, str):
            call = FUNCTIONS.get(call)
            inputs = tuple(map(tensor_of, inputs)) if len(inputs) > 1 else inputs
        shown = f"numpy.{name}"
    else:
        call = REDUCE_AND_ACCUMULATE.get((name, method))
        shown = f"numpy.{name}.{method}"
        if call is not None and not isinstance(inputs[0], Tensor):
            call = None
    if call is None:
        raise untraced(shown)
    if method == "__call__" and options:
        raise untraced(shown, min(options))
    result = _answered(shown, call, tuple(map(operand, inputs)), options)
    if result is NotImplemented or out is None:
        return result
    return _written(shown, out[0] if isinstance(out, tuple) else out, result)


def _array_function(self: Tensor, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
    name = f"{func.__module__}.{func.__name__}"
    call = FUNCTIONS_OF_NUMPY.get(name.removeprefix("numpy."))
    if call is None:
        raise untraced(name)
    kwargs = {key: value for key, value in kwargs.items() if value is not np._NoValue}
    out = kwargs.pop("out", None)
    result = _answered(name, call, args, kwargs)
    return result if out is None else _written(name, out, result)


METHODS["__array_ufunc__"] = _array_ufunc
METHODS["__array_function__"] = _array_function


def _answered(name: str, call: Callable[..., Any], args: Any, kwargs: dict[str, Any]) -> Any:
    """Call what stands in for a numpy function; an argument of numpy's that it lacks is one that cannot be traced."""
    try:
        return call(*args, **kwargs)
    except TypeError:
        signature = inspect.signature(call)
        try:
            signature.bind(*args, **kwargs)
        except TypeError:
            unknown = sorted(set(kwargs) - set(signature.parameters))
            raise untraced(name, unknown[0] if unknown else "these arguments") from None
        raise


def _written(name: str, out: Any, result: Any) -> Any:
    """Put a result where numpy's `out` says: in place of a Tensor's values. An array cannot carry a gradient on."""
    if isinstance(out, Tensor):
        return out.copy_(result)
    if result.requires_grad:
        raise untraced(name, "out")
    np.copyto(out, result.numpy())
    return out


# ---- ufuncs


_UFUNCS: dict[str, Any] = {
    "add": operator.add,
    "subtract": operator.sub,
    "multiply": operator.mul,
    "divide": operator.truediv,
    "true_divide": operator.truediv,
    "floor_divide": operator.floordiv,
    "remainder": operator.mod,
    "power": operator.pow,
    "float_power": operator.pow,
    "matmul": operator.matmul,
    "negative": operator.neg,
    "positive": operator.pos,
    "absolute": operator.abs,
    "invert": operator.invert,
    "bitwise_and": operator.and_,
    "bitwise_or": operator.or_,
    "bitwise_xor": operator.xor,
    "equal": operator.eq,
    "not_equal": operator.ne,
    "less": operator.lt,
    "less_equal": operator.le,
    "greater": operator.gt,
    "greater_equal": operator.ge,
    "rint": "round",
    "fabs": "abs",
    "arcsin": "asin",
    "arccos": "acos",
    "arctan": "atan",
    "arctan2": "atan2",
    "arcsinh": "asinh",
    "arccosh": "acosh",
    "arctanh": "atanh",
}
"""By the ufunc's name, what answers: an operator, where the operand that knows better may be either, or a function."""
_SAME_NAME = (
    "exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sqrt", "square", "reciprocal",
    "sign", "sin", "cos", "tan", "sinh", "cosh", "tanh", "floor", "ceil", "trunc",
    "isnan", "isinf", "isfinite", "maximum", "minimum", "fmod",
    "logical_and", "logical_or", "logical_xor", "logical_not",
)  # fmt: skip
_UFUNCS |= {name: name for name in _SAME_NAME}
