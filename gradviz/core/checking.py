"""`gradcheck` and `gradgradcheck`: whether derivatives agree with central differences of the function itself."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from gradviz.core.engine import grad
from gradviz.core.ops.creation import born
from gradviz.core.tensor import Tensor
from gradviz.errors import NotWrittenError


class GradcheckError(RuntimeError):
    """A derivative is not what central differences say."""


def gradcheck(
    func: Callable[..., Any],
    inputs: Any,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False,
    check_batched_grad: bool = False,
    check_forward_ad: bool = False,
    check_backward_ad: bool = True,
    fast_mode: bool = False,
) -> bool:
    """True where the gradient of `func` at `inputs`, which should be float64, agrees with central differences.

    eps: half the distance of the two points. raise_exception: raise GradcheckError rather than return False.
    nondet_tol: how far two backward passes may differ.
    """
    if check_batched_grad or check_forward_ad:
        raise NotWrittenError("`check_batched_grad` and `check_forward_ad` of `gradcheck` are not written yet")
    try:
        _check(func, inputs, eps, atol, rtol, nondet_tol)
    except GradcheckError:
        if raise_exception:
            raise
        return False
    return True


def gradgradcheck(
    func: Callable[..., Any],
    inputs: Any,
    grad_outputs: Any = None,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    gen_non_contig_grad_outputs: bool = False,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    **options: Any,
) -> bool:
    """`gradcheck` of the gradient of `func`, for its inputs and for the cotangents of its outputs.

    grad_outputs: these cotangents; by default numbers drawn with a fixed seed.
    """
    points = _tuple(inputs)
    if grad_outputs is None:
        draw = np.random.RandomState(0)
        outputs = [one for one in _outputs(func, points) if one.is_floating_point()]
        given = tuple(
            born("tensor", np.asarray(draw.standard_normal(one.shape)).astype(one._data.dtype), True) for one in outputs
        )
    else:
        given = _tuple(grad_outputs)
    count = len(points)

    def slope(*arguments: Any) -> Any:
        arguments, cotangents = arguments[:count], arguments[count:]
        outputs = [one for one in _outputs(func, arguments) if one.is_floating_point()]
        asked = [one for one in arguments if isinstance(one, Tensor) and one.requires_grad]
        found = grad(outputs, asked, cotangents, create_graph=True, allow_unused=True)
        return tuple(one for one in found if one is not None)

    return gradcheck(
        slope, (*points, *given), eps=eps, atol=atol, rtol=rtol, raise_exception=raise_exception,
        nondet_tol=nondet_tol, **options,
    )  # fmt: skip


def _tuple(values: Any) -> tuple[Any, ...]:
    return tuple(values) if isinstance(values, (tuple, list)) else (values,)


def _outputs(func: Callable[..., Any], points: tuple[Any, ...]) -> list[Tensor]:
    return [one for one in _tuple(func(*points)) if isinstance(one, Tensor)]


def _check(
    func: Callable[..., Any], inputs: Any, eps: float, atol: float, rtol: float, nondet_tol: float
) -> None:
    points = _tuple(inputs)
    asked = [place for place, one in enumerate(points) if isinstance(one, Tensor) and one.requires_grad]
    if not asked:
        raise ValueError(
            "gradcheck expects at least one input tensor to require gradient, but none of them have "
            "requires_grad=True."
        )
    for place in asked:
        if points[place]._data.dtype != np.float64:
            warnings.warn(
                f"Input #{place} requires gradient and is not a double precision floating point or complex. This check "
                "will likely fail if all the inputs are not of double precision floating point or complex. ",
                UserWarning,
                stacklevel=3,
            )
    outputs = [one for one in _outputs(func, points) if one.requires_grad]
    for number, output in enumerate(outputs):
        numerical = [_differences(func, points, place, number, eps) for place in asked]
        analytical = _rows(output, [points[place] for place in asked])
        again = _rows(output, [points[place] for place in asked])
        for place, ours, twice, theirs in zip(asked, analytical, again, numerical, strict=True):
            if np.abs(ours - twice).max(initial=0) > nondet_tol:
                raise GradcheckError(
                    "Backward is not reentrant, i.e., running backward with same input and grad_output multiple times "
                    "gives different values, although analytical gradient matches numerical gradient."
                )
            if not np.allclose(ours, theirs, rtol, atol, equal_nan=True):
                raise GradcheckError(
                    f"Jacobian mismatch for output {number} with respect to input {place},\nnumerical:{theirs}\n"
                    f"analytical:{ours}\n"
                )


def _rows(output: Tensor, asked: list[Tensor]) -> list[Any]:
    """The Jacobian of one output for each input: (elements of the input, elements of the output)."""
    size = output.numel()
    jacobians = [np.zeros((one.numel(), size)) for one in asked]
    for column in range(size):
        cotangent = np.zeros(output.shape, output._data.dtype)
        cotangent.reshape(-1)[column] = 1
        found = grad(output, asked, born("tensor", cotangent, False), retain_graph=True, allow_unused=True)
        for jacobian, one in zip(jacobians, found, strict=True):
            if one is not None:
                jacobian[:, column] = np.asarray(one._data).reshape(-1)
    return jacobians


def _differences(func: Callable[..., Any], points: tuple[Any, ...], place: int, number: int, eps: float) -> Any:
    """The same by central differences, with the user's own tensor moved and put back."""
    memory = points[place]._array()
    rows = []
    for index in np.ndindex(*memory.shape):
        here = memory[index]
        ends = []
        for step in (eps, -eps):
            memory[index] = here + step
            output = [one for one in _outputs(func, points) if one.requires_grad][number]
            ends.append(np.array(output._data, dtype=np.float64).reshape(-1))
        memory[index] = here
        rows.append((ends[0] - ends[1]) / (2 * eps))
    return np.stack(rows) if rows else np.zeros((0, 0))
