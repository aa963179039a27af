"""Derivatives of functions: `vjp`, `jvp`, `vhp`, `hvp`, `jacobian`, `hessian`.

Each takes a function of tensors and the point at which to differentiate it, one tensor or a tuple, and gives tensors in
the same arrangement. With `create_graph=True` the results can be differentiated again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gradviz.core.engine import grad
from gradviz.core.grad_mode import enable_grad
from gradviz.core.public import FUNCTIONS
from gradviz.core.tensor import Tensor
from gradviz.errors import NotWrittenError


def vjp(
    func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """What `func` gives, and `v` times its Jacobian. v: shaped like the result; may be left out for one element."""
    points, outputs, shape = _evaluated("vjp", func, inputs, strict, create_graph)
    vectors = _vectors("vjp", v, outputs)
    with enable_grad():
        slopes = _slopes(outputs, points, vectors, create_graph)
    return _finished(outputs, shape[1], create_graph), _finished(slopes, shape[0], create_graph)


def jvp(
    func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """What `func` gives, and its Jacobian times `v`. v: shaped like the inputs; may be left out for one element."""
    points, outputs, shape = _evaluated("jvp", func, inputs, strict, create_graph)
    vectors = _vectors("jvp", v, points)
    with enable_grad():
        doubles = [FUNCTIONS["zeros_like"](one).requires_grad_() for one in outputs]
        slopes = _slopes(outputs, points, doubles, True)
        pushed = _slopes(slopes, doubles, vectors, create_graph)
    return _finished(outputs, shape[1], create_graph), _finished(pushed, shape[1], create_graph)


def vhp(
    func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """What `func`, of one element, gives, and `v` times its Hessian."""
    return _curved("vhp", func, inputs, v, create_graph, strict)


def _curved(
    name: str, func: Callable[..., Any], inputs: Any, v: Any, create_graph: bool, strict: bool
) -> tuple[Any, Any]:
    points, outputs, shape = _evaluated(name, func, inputs, strict, create_graph)
    vectors = _vectors(name, v, points)
    _check_single(name, outputs)
    with enable_grad():
        slopes = _slopes(outputs, points, None, True)
        curves = _slopes(slopes, points, vectors, create_graph)
    return _finished(outputs, shape[1], create_graph), _finished(curves, shape[0], create_graph)


def hvp(
    func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """What `func`, of one element, gives, and its Hessian times `v`; the Hessian is symmetric, so this is `vhp`."""
    return _curved("hvp", func, inputs, v, create_graph, strict)


def jacobian(
    func: Callable[..., Any],
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    strategy: str = "reverse-mode",
) -> Any:
    """The derivative of every element of what `func` gives for every element of `inputs`.

    Its shape is the output's followed by the input's; for tuples of outputs or inputs, tuples of these in that order.
    vectorize: accepted; the result is the same.
    """
    if strategy != "reverse-mode":
        raise NotWrittenError(f"`strategy={strategy!r}` of `jacobian` is not written yet")
    points, outputs, shape = _evaluated("jacobian", func, inputs, strict, create_graph)
    rows = []
    for output in outputs:
        found: list[list[Tensor]] = [[] for _ in points]
        with enable_grad():
            for element in output.reshape(-1):
                for place, slope in enumerate(_slopes([element], points, None, create_graph, keep=True)):
                    found[place].append(slope)
            whole = [
                FUNCTIONS["stack"](parts).reshape((*output.shape, *point.shape))
                if parts
                else FUNCTIONS["zeros"](*output.shape, *point.shape, dtype=point.dtype)
                for parts, point in zip(found, points, strict=True)
            ]
        rows.append(_finished(whole, shape[0], create_graph))
    return tuple(rows) if shape[1] else rows[0]


def hessian(
    func: Callable[..., Any],
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    outer_jacobian_strategy: str = "reverse-mode",
) -> Any:
    """The second derivatives of a function of one element, for every pair of elements of `inputs`."""

    def slope(*points: Tensor) -> Any:
        result = func(*points)
        _check_single("hessian", [result] if isinstance(result, Tensor) else list(result))
        output = result if isinstance(result, Tensor) else result[0]
        slopes = _slopes([output], points, None, True)
        return tuple(slopes) if isinstance(inputs, tuple) else slopes[0]

    return jacobian(slope, inputs, create_graph, strict, vectorize, outer_jacobian_strategy)


# ---- what they share


def _evaluated(
    name: str, func: Callable[..., Any], inputs: Any, strict: bool, create_graph: bool
) -> tuple[list[Tensor], list[Tensor], tuple[bool, bool]]:
    """Inputs that require grad, the outputs for them, and whether the user has tuples of each."""
    if strict:
        raise NotWrittenError(f"`strict=True` of `{name}` is not written yet")
    several = isinstance(inputs, (tuple, list))
    given = list(inputs) if several else [inputs]
    for place, one in enumerate(given):
        if not isinstance(one, Tensor):
            if several:
                raise TypeError(
                    f"The inputs given to {name} must be either a Tensor or a tuple of Tensors but the value at index "
                    f"{place} has type {type(one)}."
                )
            raise TypeError(
                f"The inputs given to {name} must be either a Tensor or a tuple of Tensors but the given inputs has "
                f"type {type(one)}."
            )
    with enable_grad():
        points = [
            one.view_as(one) if create_graph and one.requires_grad else one.detach().requires_grad_() for one in given
        ]
        result = func(*points)
    outputs = list(result) if isinstance(result, (tuple, list)) else [result]
    for one in outputs:
        if not isinstance(one, Tensor):
            raise TypeError(
                f"The outputs of the user-provided function given to {name} must be either a Tensor or a tuple of "
                f"Tensors but the given outputs of the user-provided function has type {type(one)}."
            )
    return points, outputs, (several, isinstance(result, (tuple, list)))


def _vectors(name: str, v: Any, like: list[Tensor]) -> list[Tensor] | None:
    if v is None:
        if len(like) != 1 or like[0].numel() != 1:
            what = "the user-provided function returns"
            if name != "vjp":
                what = "the input to the user-provided function is"
            raise RuntimeError(f"The vector v can only be None if {what} a single Tensor with a single element.")
        return [FUNCTIONS["ones_like"](like[0])]
    vectors = list(v) if isinstance(v, (tuple, list)) else [v]
    if len(vectors) != len(like):
        raise RuntimeError(
            f"v is a tuple of invalid length: should be {len(like)} but got {len(vectors)}."
            if len(like) > 1 or len(vectors) > 1
            else "The given v should contain a single Tensor."
        )
    for place, (vector, one) in enumerate(zip(vectors, like, strict=True)):
        if vector.shape != one.shape:
            entry = f"Entry {place} in " if len(like) > 1 else ""
            have, want = f"torch.Size({list(vector.shape)})", f"torch.Size({list(one.shape)})"
            raise RuntimeError(f"{entry}v has invalid size: should be {want} but got {have}.")
    return vectors


def _check_single(name: str, outputs: list[Tensor]) -> None:
    if len(outputs) != 1:
        raise RuntimeError(f"The function given to {name} should return a single Tensor")
    if outputs[0].numel() != 1:
        raise RuntimeError(f"The Tensor returned by the function given to {name} should contain a single element")


def _slopes(
    outputs: Any, points: Any, vectors: list[Tensor] | None, create_graph: bool, keep: bool = False
) -> list[Tensor]:
    """The gradient for each point, zeros where the outputs do not depend on it."""
    roots = [place for place, one in enumerate(outputs) if one.requires_grad]
    if not roots:
        return [FUNCTIONS["zeros_like"](point) for point in points]
    cotangents = None if vectors is None else [vectors[place] for place in roots]
    found = grad(
        [outputs[place] for place in roots], list(points), cotangents, create_graph or keep or None, create_graph,
        allow_unused=True,
    )  # fmt: skip
    zeros: Any = FUNCTIONS["zeros_like"]
    return [zeros(point) if one is None else one for one, point in zip(found, points, strict=True)]


def _finished(tensors: list[Tensor], several: bool, create_graph: bool) -> Any:
    kept = tuple(one if create_graph else one.detach() for one in tensors)
    return kept if several else kept[0]
