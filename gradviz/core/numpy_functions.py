"""What stands in for numpy's functions where an argument is a Tensor: numpy's arguments, gradviz's ops.

`FUNCTIONS_OF_NUMPY` is the table, by the function's name below `numpy`. A function takes the arguments of numpy's that
gradviz can honour and no others.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from gradviz.core import dtypes
from gradviz.core.apply import leaf
from gradviz.core.public import FUNCTIONS, operand
from gradviz.core.tensor import Tensor

_HELP = "help: call it on `t.detach().numpy()` where no gradient is meant to flow"


def untraced(name: str, argument: str = "") -> TypeError:
    """The error for a numpy function, or an argument of one, that gradviz has no op for."""
    what = f"`{name}`" + (f" with `{argument}`" if argument else "")
    return TypeError(f"{what} cannot be traced on a gradviz tensor\n{_HELP}")


def tensor_of(value: Any) -> Any:
    """An operand of a function that takes no numbers: a number becomes a 0-d leaf."""
    value = operand(value)
    if isinstance(value, (bool, int, float)):
        return leaf(dtypes.promote([value]).type(value), "scalar_tensor", False)
    return value


# ---- reductions


def _dtype(dtype: Any) -> dict[str, Any]:
    """`dtype` as gradviz's functions take it, if it was given."""
    return {} if dtype is None else {"dtype": dtypes.FROM_NUMPY[np.dtype(dtype)]}


def _over(axis: Any, keepdims: Any) -> dict[str, Any]:
    """`axis` and `keepdims` as gradviz's functions take them."""
    if axis is None:
        return {"dim": None, "keepdim": True} if keepdims else {}
    return {"dim": axis, "keepdim": bool(keepdims)}


def _reduction(name: str) -> Callable[..., Any]:
    def reduce(a: Any, axis: Any = None, dtype: Any = None, *, keepdims: Any = False) -> Any:
        return FUNCTIONS[name](operand(a), **_over(axis, keepdims), **_dtype(dtype))

    return reduce


def _product(a: Any, axis: Any = None, dtype: Any = None, *, keepdims: Any = False) -> Any:
    a = operand(a)
    if axis is None and keepdims:
        return a.prod(**_dtype(dtype)).reshape((1,) * a.ndim)
    return a.prod(**_over(axis, keepdims), **_dtype(dtype))


def _extreme(whole: str, along: str) -> Callable[..., Any]:
    def reduce(a: Any, axis: Any = None, *, keepdims: Any = False) -> Any:
        a = operand(a)
        if axis is None and not keepdims:
            return FUNCTIONS[whole](a)
        return FUNCTIONS[along](a, dim=() if axis is None else axis, keepdim=bool(keepdims))

    return reduce


def _spread(name: str) -> Callable[..., Any]:
    def reduce(a: Any, axis: Any = None, dtype: Any = None, *, ddof: int = 0, keepdims: Any = False) -> Any:
        a = operand(a) if dtype is None else operand(a).to(**_dtype(dtype))
        return FUNCTIONS[name](a, dim=axis, correction=ddof, keepdim=bool(keepdims))

    return reduce


def _position(name: str) -> Callable[..., Any]:
    def find(a: Any, axis: Any = None, *, keepdims: Any = False) -> Any:
        return FUNCTIONS[name](operand(a), dim=axis, keepdim=bool(keepdims))

    return find


def _running(name: str) -> Callable[..., Any]:
    def run(a: Any, axis: Any = None, dtype: Any = None) -> Any:
        a = operand(a)
        return FUNCTIONS[name](a.ravel() if axis is None else a, 0 if axis is None else axis, **_dtype(dtype))

    return run


def _first_axis(call: Callable[..., Any]) -> Callable[..., Any]:
    """A reduction or a scan as a method of a ufunc, which goes along axis 0 where none is given."""

    def reduce(a: Any, axis: Any = 0, dtype: Any = None, *, keepdims: Any = None) -> Any:
        options = {"keepdims": keepdims} if keepdims else {}
        return call(a, axis, **options) if dtype is None else call(a, axis, dtype, **options)

    return reduce


_sum, _max, _min = _reduction("sum"), _extreme("max", "amax"), _extreme("min", "amin")
_all, _any = _position("all"), _position("any")
_cumsum, _cumprod = _running("cumsum"), _running("cumprod")

# The same as methods of a ufunc.
REDUCE_AND_ACCUMULATE: dict[tuple[str, str], Callable[..., Any]] = {
    ("add", "reduce"): _first_axis(_sum),
    ("multiply", "reduce"): _first_axis(_product),
    ("maximum", "reduce"): _first_axis(_max),
    ("minimum", "reduce"): _first_axis(_min),
    ("logical_and", "reduce"): _first_axis(_all),
    ("logical_or", "reduce"): _first_axis(_any),
    ("add", "accumulate"): _first_axis(_cumsum),
    ("multiply", "accumulate"): _first_axis(_cumprod),
}


# ---- shapes, joining, products, choices


def _all_of(values: Any) -> list[Any]:
    return [tensor_of(value) for value in values]


def _reshaped(a: Any, shape: Any, order: str = "C") -> Any:
    if order != "C":
        raise untraced("numpy.reshape", f"order={order!r}")
    return a.reshape(shape)


def _raveled(a: Any, order: str = "C") -> Any:
    if order != "C":
        raise untraced("numpy.ravel", f"order={order!r}")
    return a.ravel()


def _transposed(a: Any, axes: Any = None) -> Any:
    return a.permute(tuple(range(a.ndim))[::-1] if axes is None else tuple(axes))


def _squeezed(a: Any, axis: Any = None) -> Any:
    return a.squeeze() if axis is None else a.squeeze(axis)


def _expanded(a: Any, axis: Any) -> Any:
    axes = axis if isinstance(axis, (tuple, list)) else (axis,)
    ndim = a.ndim + len(axes)
    for one in sorted(one % ndim for one in axes):
        a = a.unsqueeze(one)
    return a


def _concatenated(arrays: Sequence[Any], axis: int | None = 0) -> Any:
    tensors = _all_of(arrays)
    return FUNCTIONS["cat"]([one.ravel() for one in tensors] if axis is None else tensors, 0 if axis is None else axis)


def _split(ary: Any, indices_or_sections: Any, axis: int = 0) -> list[Any]:
    length = ary.shape[axis]
    if isinstance(indices_or_sections, int):
        if length % indices_or_sections:
            raise ValueError("array split does not result in an equal division")
        sizes: Any = [length // indices_or_sections] * indices_or_sections
    else:
        marks = [min(int(mark), length) for mark in (0, *indices_or_sections, length)]
        sizes = [stop - start for start, stop in itertools.pairwise(marks)]
    return list(ary.split(sizes, axis))


def _dot(a: Any, b: Any) -> Any:
    a, b = operand(a), operand(b)
    if not getattr(a, "ndim", 0) or not getattr(b, "ndim", 0):
        return a * b
    if b.ndim > 2:
        raise untraced("numpy.dot", "b.ndim > 2")
    return a @ b


def _inner(a: Any, b: Any) -> Any:
    return FUNCTIONS["inner"](tensor_of(a), tensor_of(b))


def _outer(a: Any, b: Any) -> Any:
    return FUNCTIONS["outer"](tensor_of(a).ravel(), tensor_of(b).ravel())


def _where(condition: Any, *choices: Any) -> Any:
    condition = operand(condition)
    if not choices:
        return condition.nonzero(as_tuple=True)
    x, y = choices
    return FUNCTIONS["where"](
        condition != 0 if condition.dtype is not dtypes.bool_ else condition, operand(x), operand(y)
    )


def _clipped(a: Any, a_min: Any = None, a_max: Any = None, *, min: Any = None, max: Any = None) -> Any:
    low, high = operand(min if a_min is None else a_min), operand(max if a_max is None else a_max)
    return FUNCTIONS["clamp"](operand(a), low, high)


def _norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    if ord is not None and (axis is None and x.ndim > 1):
        raise untraced("numpy.linalg.norm", "ord of a matrix")
    return x.norm(2 if ord is None else ord, axis, bool(keepdims))


def _rounded(a: Any, decimals: int = 0) -> Any:
    return a.round(decimals=decimals)


def _like(name: str) -> Callable[..., Any]:
    def make(a: Any, *value: Any, dtype: Any = None) -> Any:
        return FUNCTIONS[name](a, *value, **_dtype(dtype))

    return make


def _copied(a: Any) -> Any:
    return a.clone()


def _copied_to(dst: Any, src: Any) -> None:
    if isinstance(dst, Tensor):
        dst.copy_(tensor_of(src))
    else:
        # Raises for a source that requires grad.
        np.copyto(dst, src.numpy())


def _count(a: Any, axis: int | None = None) -> int:
    return int(a._data.size) if axis is None else int(a.shape[axis])


def _equal(a1: Any, a2: Any) -> bool:
    first, second = tensor_of(a1), tensor_of(a2)
    return first.shape == second.shape and bool((first == second).all())


FUNCTIONS_OF_NUMPY: dict[str, Callable[..., Any]] = {
    "sum": _sum,
    "mean": _reduction("mean"),
    "prod": _product,
    "max": _max,
    "amax": _max,
    "min": _min,
    "amin": _min,
    "var": _spread("var"),
    "std": _spread("std"),
    "argmax": _position("argmax"),
    "argmin": _position("argmin"),
    "all": _all,
    "any": _any,
    "cumsum": _cumsum,
    "cumprod": _cumprod,
    "dot": _dot,
    "inner": _inner,
    "outer": _outer,
    "trace": lambda a: a.trace(),
    "linalg.norm": _norm,
    "where": _where,
    "clip": _clipped,
    "round": _rounded,
    "around": _rounded,
    "concatenate": _concatenated,
    "stack": lambda arrays, axis=0: FUNCTIONS["stack"](_all_of(arrays), axis),
    "hstack": lambda tup: FUNCTIONS["hstack"](_all_of(tup)),
    "vstack": lambda tup: FUNCTIONS["vstack"](_all_of(tup)),
    "split": _split,
    "reshape": _reshaped,
    "ravel": _raveled,
    "transpose": _transposed,
    "swapaxes": lambda a, axis1, axis2: a.transpose(axis1, axis2),
    "moveaxis": lambda a, source, destination: FUNCTIONS["movedim"](a, source, destination),
    "squeeze": _squeezed,
    "expand_dims": _expanded,
    "broadcast_to": lambda array, shape: FUNCTIONS["broadcast_to"](
        array, (shape,) if isinstance(shape, int) else shape
    ),
    "tile": lambda A, reps: FUNCTIONS["tile"](A, (reps,) if isinstance(reps, int) else tuple(reps)),
    "flip": lambda m, axis=None: m.flip(tuple(range(m.ndim)) if axis is None else axis),
    "tril": lambda m, k=0: FUNCTIONS["tril"](m, k),
    "triu": lambda m, k=0: FUNCTIONS["triu"](m, k),
    "diag": lambda v, k=0: FUNCTIONS["diag"](v, k),
    "diagonal": lambda a, offset=0, axis1=0, axis2=1: a.diagonal(offset, axis1, axis2),
    "copy": _copied,
    "copyto": _copied_to,
    "zeros_like": _like("zeros_like"),
    "ones_like": _like("ones_like"),
    "empty_like": _like("empty_like"),
    "full_like": _like("full_like"),
    "shape": lambda a: tuple(a.shape),
    "ndim": lambda a: a.ndim,
    "size": _count,
    "array_equal": _equal,
    "allclose": lambda a, b, rtol=1e-05, atol=1e-08, equal_nan=False: FUNCTIONS["allclose"](
        tensor_of(a), tensor_of(b), rtol, atol, equal_nan
    ),
    "array_repr": lambda arr: repr(arr),
    "array_str": lambda a: str(a),
    "array2string": lambda a: str(a),
}
"""By the function's name below `numpy`, what answers, with numpy's arguments."""
