"""Derivatives of functions of trees of tensors: `grad`, `grad_and_value`, `vjp`, `jvp`, `jacrev`, `jacfwd`, `hessian`.

Each differentiates for points of its own, so that they may stand inside each other. What they give has a history only
where that leads to something outside: to a point of a function around, or to a leaf that requires grad.
"""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable
from typing import Any

from gradviz.core.engine import grad as gradients
from gradviz.core.grad_mode import enable_grad, is_grad_enabled
from gradviz.core.public import FUNCTIONS
from gradviz.core.tensor import Tensor
from gradviz.core.trace import Node, origin_of
from gradviz.func.trees import leaves_of, mapped, rebuilt

Function = Callable[..., Any]

_spent: dict[int, weakref.ref[Tensor]] = {}
"""By `id()`, points of functions that have ended: a history that leads to them leads nowhere any more."""


def grad(func: Function, argnums: Any = 0, has_aux: bool = False) -> Function:
    """A function that gives the gradient of `func`, which is to give one number.

    argnums: for which of its arguments, a number or a tuple of numbers. has_aux: `func` gives a pair, and so does the
    function: the gradient and the second one.
    """

    @functools.wraps(func)
    def run(*args: Any, **kwargs: Any) -> Any:
        found, rest = grad_and_value(func, argnums, has_aux)(*args, **kwargs)
        return (found, rest[1]) if has_aux else found

    return run


def grad_and_value(func: Function, argnums: Any = 0, has_aux: bool = False) -> Function:
    """`grad` that gives a pair: the gradient, and what `func` gives."""

    @functools.wraps(func)
    def run(*args: Any, **kwargs: Any) -> Any:
        open_ended = is_grad_enabled()
        with enable_grad():
            taken, points = _points(args, argnums)
            output = func(*_replaced(args, argnums, taken), **kwargs)
            name, aux = "grad_and_value(f)(*args)", None
            if has_aux:
                if not (isinstance(output, tuple) and len(output) == 2):
                    raise RuntimeError(
                        f"{name}: output of function f should be a tuple: (output, aux) if has_aux is True"
                    )
                output, aux = output
            if not isinstance(output, Tensor):
                raise RuntimeError(f"{name}: Expected f(*args) to return a Tensor, got {type(output)}")
            if output.ndim:
                raise RuntimeError(
                    f"{name}: Expected f(*args) to return a scalar Tensor, got tensor with {output.ndim} dims. Maybe "
                    "you wanted to use the vjp or jacrev APIs instead?"
                )
            found = rebuilt(taken, _slopes([output], points, None, open_ended and _leads_out([output], points)))
        value, aux = _finished((output, aux), points, open_ended)
        return found, (value, aux) if has_aux else value

    return run


def vjp(func: Function, *primals: Any, has_aux: bool = False) -> Any:
    """What `func` gives, and a function that takes what comes back for it to what comes back for `primals`."""
    open_ended = is_grad_enabled()
    with enable_grad():
        taken, points = _points(primals, tuple(range(len(primals))))
        output = func(*taken)
        output, aux = output if has_aux else (output, None)
        roots = leaves_of(output)

    def pull(cotangents: Any, retain_graph: bool = True, create_graph: bool | None = None) -> Any:
        vectors = leaves_of(cotangents)
        for number, (root, vector) in enumerate(zip(roots, vectors, strict=True)):
            if root.shape != vector.shape:
                raise RuntimeError(
                    f"Mismatch in shape: grad_output[{number}] has a shape of torch.Size({list(vector.shape)}) and "
                    f"output[{number}] has a shape of torch.Size({list(root.shape)})."
                )
        makes = create_graph
        if makes is None:
            makes = is_grad_enabled() and _leads_out([*roots, *vectors], points)
        with enable_grad():
            return rebuilt(taken, _slopes(roots, points, vectors, makes))

    value, aux = _finished((output, aux), points, open_ended)
    return (value, pull, aux) if has_aux else (value, pull)


def jvp(func: Function, primals: tuple[Any, ...], tangents: tuple[Any, ...], *, has_aux: bool = False) -> Any:
    """What `func` gives, and how it changes with `primals` along `tangents`."""
    open_ended = is_grad_enabled()
    with enable_grad():
        taken, points = _points(primals, tuple(range(len(primals))))
        output = func(*taken)
        output, aux = output if has_aux else (output, None)
        roots, vectors = leaves_of(output), leaves_of(tangents)
        doubles = [FUNCTIONS["zeros_like"](root).requires_grad_() for root in roots]
        slopes = _slopes(roots, points, doubles, True)
        makes = open_ended and _leads_out([*roots, *vectors], points)
        pushed = rebuilt(output, _slopes(slopes, doubles, vectors, makes))
    value, aux = _finished((output, aux), [*points, *doubles], open_ended)
    return (value, pushed, aux) if has_aux else (value, pushed)


def linearize(func: Function, *primals: Any) -> tuple[Any, Function]:
    """What `func` gives, and a function of tangents that gives how that changes along them."""
    output = func(*primals)

    def along(*tangents: Any) -> Any:
        return jvp(func, primals, tangents)[1]

    return output, along


def jacrev(func: Function, argnums: Any = 0, *, has_aux: bool = False, chunk_size: int | None = None) -> Function:
    """A function that gives the Jacobian of `func`: of each output for each argument, the output's shape first."""

    @functools.wraps(func)
    def run(*args: Any, **kwargs: Any) -> Any:
        open_ended = is_grad_enabled()
        with enable_grad():
            taken, points = _points(args, argnums)
            output = func(*_replaced(args, argnums, taken), **kwargs)
            output, aux = output if has_aux else (output, None)
            makes = open_ended and _leads_out(leaves_of(output), points)
            found = mapped(lambda root: rebuilt(taken, _rows(root, points, makes)), output)
        aux = _finished(aux, points, open_ended)
        return (found, aux) if has_aux else found

    return run


def jacfwd(
    func: Function, argnums: Any = 0, has_aux: bool = False, *, randomness: str = "error", chunk_size: int | None = None
) -> Function:
    """`jacrev`: here there is one way to the same numbers."""
    return jacrev(func, argnums, has_aux=has_aux)


def hessian(func: Function, argnums: Any = 0) -> Function:
    """A function that gives the second derivatives of `func`."""
    return jacfwd(jacrev(func, argnums), argnums)


# ---- what they share


def _points(args: tuple[Any, ...], argnums: Any) -> tuple[Any, list[Tensor]]:
    """The chosen arguments with points of their own in place of their tensors, and these points."""
    for number in argnums if isinstance(argnums, tuple) else (argnums,):
        if not -len(args) <= number < len(args):
            raise RuntimeError(f"Got argnum={number}, but only {len(args)} positional inputs")
    chosen = tuple(args[number] for number in argnums) if isinstance(argnums, tuple) else args[argnums]
    for leaf in leaves_of(chosen):
        if not isinstance(leaf, Tensor):
            raise ValueError(f"Thing passed to transform API must be Tensor, got {type(leaf)}")
    taken = mapped(lambda one: one.view_as(one) if one.requires_grad else one.detach().requires_grad_(), chosen)
    return taken, leaves_of(taken)


def _replaced(args: tuple[Any, ...], argnums: Any, taken: Any) -> list[Any]:
    given = list(args)
    for number, one in zip(argnums, taken, strict=True) if isinstance(argnums, tuple) else [(argnums, taken)]:
        given[number] = one
    return given


def _slopes(roots: Any, points: list[Tensor], vectors: list[Tensor] | None, makes: bool) -> list[Tensor]:
    """The gradient for each point, zeros where no root depends on it."""
    places = [place for place, root in enumerate(roots) if root.requires_grad]
    if not places:
        return [FUNCTIONS["zeros_like"](point) for point in points]
    cotangents = None if vectors is None else [vectors[place] for place in places]
    found = gradients([roots[place] for place in places], points, cotangents, True, makes, allow_unused=True)
    return [
        FUNCTIONS["zeros_like"](point) if one is None else one for one, point in zip(found, points, strict=True)
    ]


def _rows(root: Any, points: list[Tensor], makes: bool) -> list[Tensor]:
    rows = [_slopes([element], points, None, makes) for element in root.reshape(-1)]
    return [
        FUNCTIONS["stack"]([row[place] for row in rows]).reshape((*root.shape, *point.shape))
        if rows
        else FUNCTIONS["zeros"](*root.shape, *point.shape, dtype=point.dtype)
        for place, point in enumerate(points)
    ]


def _leads_out(roots: list[Any], points: list[Tensor]) -> bool:
    """Whether there is a leaf behind the roots that is none of the points, nor of those of a function that ended."""
    own = {id(point) for point in points}

    def is_outside(leaf: Tensor) -> bool:
        return id(leaf) not in own and id(leaf) not in _spent

    tensors = [root for root in roots if isinstance(root, Tensor) and root.requires_grad]
    if any(root.is_leaf and is_outside(root) for root in tensors):
        return True
    nodes = [root.grad_fn for root in tensors if root.grad_fn is not None]
    known = set(map(id, nodes))
    for node in nodes:
        if any(leaf is not None and is_outside(leaf) for leaf in node.leaves or ()):
            return True
        for link, need in zip(node.links, node.needs, strict=True):
            origin, _ = origin_of(link)
            if need and isinstance(origin, Node) and id(origin) not in known:
                known.add(id(origin))
                nodes.append(origin)
    return False


def _spend(point: Tensor) -> None:
    key = id(point)
    _spent[key] = weakref.ref(point, lambda _: _spent.pop(key, None))


def _finished(tree: Any, points: list[Tensor], open_ended: bool) -> Any:
    """What a function gave, without a history that leads to its own points only; the points are spent now."""
    for one in leaves_of(tree):
        if not isinstance(one, Tensor):
            raise RuntimeError(f"Expected tensors, got unsupported type {type(one)}")
    kept = [
        one
        for one in leaves_of(tree)
        if isinstance(one, Tensor) and one.requires_grad and not (open_ended and _leads_out([one], points))
    ]
    for point in points:
        if point.is_leaf:
            _spend(point)
    closed = set(map(id, kept))
    return mapped(lambda one: one.detach() if id(one) in closed else one, tree)
