"""Backward passes whose gradients have a graph of their own: `create_graph=True`.

The same VJPs run on Tensors. What a node saved becomes a Tensor again that stands where the saved one stood: for an
input, at the op that made it; for the result, at the node itself. So each cotangent knows what it was made from, and
can be differentiated like any other result.
"""

from __future__ import annotations

import math
import sys
import warnings
from typing import Any

import numpy as np

from gradviz.core.apply import leaf as new_leaf
from gradviz.core.apply import wrap
from gradviz.core.complaints import REFERENCE_CYCLE, SECOND_TIME, check_versions, noted
from gradviz.core.dual import cast
from gradviz.core.feeding import Leaves, Sweep, accumulate, run_node_hooks
from gradviz.core.pullback import _input_shapes, _output_shape
from gradviz.core.sweeping import Graphed
from gradviz.core.tensor import Tensor
from gradviz.core.trace import FREED, Node, Storage, Trace, origin_of
from gradviz.errors import NotWrittenError
from gradviz.sites import user_frame


def pull(sweep: Sweep, seeds: list[Any], given: tuple[Any, ...], keep: bool) -> list[Tensor | None]:
    """Run every node behind the roots, newest first; feed leaves, or collect for `sweep.inputs`.

    seeds: the cotangents of the roots as arrays. given: as the Tensors that the user gave, or None.
    """
    if sweep.kind == "backward":
        _warn(REFERENCE_CYCLE)
    with Graphed(sweep) as graphed:
        started = [
            new_leaf(np.array(seed), "grad", False, inner=True) if one is None else one
            for seed, one in zip(seeds, given or (None,) * len(seeds), strict=False)
        ]
        results = _pull(sweep, started, keep)
        graphed.made(results)
    return results


def _warn(text: str) -> None:
    """A UserWarning at the user's line, however many of gradviz's own calls lie between."""
    frame = user_frame(sys._getframe(1))
    registry = frame.f_globals.setdefault("__warningregistry__", {})
    warnings.warn_explicit(text, UserWarning, frame.f_code.co_filename, frame.f_lineno, registry=registry)


def _pull(sweep: Sweep, seeds: list[Tensor], keep: bool) -> list[Tensor | None]:
    wanted: dict[Any, list[int]] | None = None
    if sweep.inputs is not None:
        wanted = {}
        for position, tensor in enumerate(sweep.inputs):
            node = tensor.grad_fn
            wanted.setdefault(id(tensor) if node is None else (node, tensor._number), []).append(position)
    collected: dict[int, Any] = {}
    leaves = Leaves(sweep, wanted, collected)
    pending: dict[Node, list[Any]] = {}
    for root, seed in zip(sweep.roots, seeds, strict=True):
        origin = root.grad_fn
        if origin is None:
            leaves.expect(root)
            leaves.add(root, seed)
        else:
            _receive(pending.setdefault(origin, [None] * (1 + len(origin.more))), root._number, seed)

    order = list(pending)
    for node in order:
        for leaf in node.leaves or ():
            leaves.expect(leaf)
        for link, need in zip(node.links, node.needs, strict=True):
            behind, _ = origin_of(link) if need else (None, 0)
            if isinstance(behind, Node) and behind not in pending:
                pending[behind] = [None] * (1 + len(behind.more))
                order.append(behind)
    order.sort(key=lambda node: -node.id)

    useful = set(order) if wanted is None else _useful(order, wanted)
    for root in sweep.roots:
        if root.grad_fn is None:
            leaves.release(root)
    for node in order:
        slots = pending.pop(node)
        if node.hooks is not None:
            run_node_hooks(node, slots)
        for number, slot in enumerate(slots):
            for position in (wanted or {}).get((node, number), ()):
                collected[position] = slot
        if node in useful and any(slot is not None for slot in slots):
            _run_node(node, slots, pending, leaves, keep)
        for leaf in node.leaves or ():
            leaves.release(leaf)
    results = [collected.get(position) for position in range(len(sweep.inputs or ()))]
    for tensor, result in zip(sweep.inputs or (), results, strict=True):
        if result is not None and sweep.kind == "backward":
            accumulate(tensor, result, sweep)
    return results if sweep.kind == "grad" else []


def _receive(slots: list[Any], number: int, cotangent: Tensor) -> None:
    slots[number] = cotangent if slots[number] is None else slots[number] + cotangent


def _useful(order: list[Node], wanted: dict[Any, list[int]]) -> set[Node]:
    """The nodes on a road to an asked-for input."""
    useful: set[Node] = set()
    for node in reversed(order):
        for position, (link, need) in enumerate(zip(node.links, node.needs, strict=True)):
            leaf = None if node.leaves is None else node.leaves[position]
            place = origin_of(link)
            if need and ((leaf is not None and id(leaf) in wanted) or place in wanted or place[0] in useful):
                useful.add(node)
                break
    return useful


def _run_node(node: Node, slots: list[Any], pending: dict[Node, list[Any]], leaves: Leaves, keep: bool) -> None:
    """Pull the cotangents of a node's outputs back to its inputs, by ops."""
    row = node.row
    if node.saved is FREED:
        raise noted(RuntimeError(SECOND_TIME), node)
    check_versions(node)
    g: Any = slots[0] if not node.more else tuple(slots)
    known = _saved_tensors(node)
    known.update(zip(row.static, node.static, strict=True))
    formulas = row.formulas_of(len(node.needs))
    for position, (link, need, formula) in enumerate(zip(node.links, node.needs, formulas, strict=True)):
        origin, number = origin_of(link)
        leaf = None if node.leaves is None else node.leaves[position]
        if not need or formula is None or origin is None or (leaf is None and not origin.tracked):
            continue
        shape, array_type = (origin.shape, origin.array_type) if number == 0 else origin.more[number - 1]
        about: dict[str, Any] = {"shape": shape, "index": position}
        if "shapes" in formula[1]:
            about["shapes"] = _input_shapes(node)
        if "outputs" in formula[1]:
            about["outputs"] = _output_shape(node, "outputs")
        cotangent = _derivative(node, formula, g, about | known)
        if cotangent is None:
            continue
        if cotangent._data.shape != shape:
            cotangent = sum_to(cotangent, shape)
        cotangent = cast(cotangent, array_type)
        if leaf is not None:
            leaves.add(leaf, cotangent)
        elif isinstance(origin, Node):
            _receive(pending[origin], number, cotangent)
    if not keep and row.saved_names:
        node.saved = FREED
        node.marks = ()


def _derivative(node: Node, formula: Any, g: Any, known: dict[str, Any]) -> Tensor | None:
    """One VJP run on Tensors. Raises NotWrittenError where it was written for arrays only."""
    vjp, names = formula
    failure: Exception | None = None
    try:
        cotangent = vjp(g, *[known[name] for name in names])
        if cotangent is None or isinstance(cotangent, Tensor):
            return cotangent
    except (TypeError, AttributeError) as error:
        failure = error
    except RuntimeError as error:
        if not str(error).startswith("Can't call numpy() on Tensor"):
            raise
        failure = error
    raise NotWrittenError(
        f"the second derivative of `{node.op_name}` (row `{node.row.key}`) is not written yet in gradviz's core",
        help="run the script with PyTorch installed, or leave out `create_graph=True`",
    ) from failure


# ---- what a node saved, as Tensors


def _saved_tensors(node: Node) -> dict[str, Any]:
    row = node.row
    marks = dict(zip(row.saved_names, node.marks, strict=False))
    known: dict[str, Any] = {}
    for name, kept in zip(row.saved_names, node.saved, strict=True):
        if kept is None or (row.variadic and name == row.inputs[-1]) or name == "node":
            known[name] = kept
        elif name in ("out", "out1"):
            known[name] = _restored(kept, node, int(name == "out1"), True, marks.get(name))
        else:
            position = row.inputs.index(name)
            known[name] = _restored_input(node, position, kept, marks.get(name))
    return known


def _restored_input(node: Node, position: int, kept: Any, mark: Any) -> Any:
    origin, number = origin_of(node.links[position])
    if origin is None:
        return kept
    leaf = None if node.leaves is None else node.leaves[position]
    if leaf is not None and leaf._data is kept:
        return leaf
    if leaf is not None:
        return cast(leaf, kept.dtype)
    return _restored(kept, origin, number, node.needs[position] and origin.tracked, mark)


def _restored(kept: Any, origin: Trace, number: int, requires_grad: bool, mark: tuple[Storage, int] | None) -> Any:
    """A saved array as the Tensor that it was; what is no number with a fraction stays an array."""
    if kept.dtype.kind != "f":
        return kept
    tensor = wrap(kept, origin, number, requires_grad)
    if mark is not None:
        tensor._storage = mark[0]
    return tensor


def sum_to(cotangent: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Undo broadcasting: sum over the dimensions that `shape` lacks or has as 1; spread where it is the smaller one."""
    have = cotangent._data.shape
    extra = len(have) - len(shape)
    if extra >= 0:
        axes = tuple(range(extra)) + tuple(
            axis + extra for axis, length in enumerate(shape) if length == 1 and have[axis + extra] != 1
        )
        if axes:
            cotangent = cotangent.sum(axes, keepdim=True)
        if math.prod(cotangent._data.shape) == math.prod(shape):
            return cotangent if cotangent._data.shape == shape else cotangent.reshape(shape)
    result: Tensor = cotangent.expand(shape)
    return result
