"""Reverse mode: walk from the roots to the leaves and multiply by one Jacobian at a time.

Ids grow in the order in which ops ran, so the nodes behind the roots, sorted by id from the newest down, are in the
order in which every node has received all its cotangents before it is run. No recursion, so a chain may be as long as
memory allows.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from gradviz.core.apply import leaf as new_leaf
from gradviz.core.apply import user_frame
from gradviz.core.complaints import NO_GRAD_FN, NOT_SCALAR, NOT_USED, SECOND_TIME, check_versions, noted
from gradviz.core.grad_mode import no_grad
from gradviz.core.listeners import listeners
from gradviz.core.tensor import Tensor
from gradviz.core.trace import FREED, Node, Trace, origin_of
from gradviz.errors import NotWrittenError


class Sweep:
    """What one run of the engine did, for listeners: its arguments, the leaves it fed, the error that ended it."""

    __slots__ = ("create_graph", "error", "fed", "inputs", "kind", "retain_graph", "roots")

    def __init__(self, kind: str, roots: Sequence[Tensor], inputs: Sequence[Tensor] | None, retain_graph: bool) -> None:
        self.kind = kind
        self.roots = tuple(roots)
        self.inputs = None if inputs is None else tuple(inputs)
        self.retain_graph = retain_graph
        self.create_graph = False
        self.fed: list[tuple[Tensor, Tensor]] = []
        self.error = ""


def backward(
    tensors: Tensor | Sequence[Tensor],
    grad_tensors: Tensor | Sequence[Tensor | None] | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: Tensor | Sequence[Tensor] | None = None,
) -> None:
    """Add to the `.grad` of every leaf behind `tensors` (or of `inputs` only).

    grad_tensors: one cotangent a root, shaped like it; None for a root of a single element.
    Raises RuntimeError with PyTorch's texts.
    """
    roots = _as_tuple(tensors)
    chosen = None if inputs is None else _as_tuple(inputs)
    if chosen is not None and not chosen:
        raise RuntimeError("`inputs` argument to `backward()` cannot be empty.")
    _run("backward", roots, _as_tuple(grad_tensors), retain_graph, create_graph, chosen)


def grad(
    outputs: Tensor | Sequence[Tensor],
    inputs: Tensor | Sequence[Tensor],
    grad_outputs: Tensor | Sequence[Tensor | None] | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    allow_unused: bool = False,
    materialize_grads: bool = False,
) -> tuple[Tensor | None, ...]:
    """The gradient of `outputs` for each of `inputs`, shaped like it; `.grad` is left alone.

    allow_unused: give None for an input that the outputs do not depend on, rather than raise.
    materialize_grads: give zeros instead of None.
    """
    chosen = _as_tuple(inputs)
    results = _run("grad", _as_tuple(outputs), _as_tuple(grad_outputs), retain_graph, create_graph, chosen)
    if materialize_grads:
        return tuple(
            new_leaf(np.zeros_like(tensor._data), "grad", False) if result is None else result
            for tensor, result in zip(chosen, results, strict=True)
        )
    if not allow_unused:
        for position, result in enumerate(results):
            if result is None:
                raise RuntimeError(NOT_USED.format(position))
    return tuple(results)


def _run(
    kind: str,
    roots: tuple[Tensor, ...],
    given: tuple[Any, ...],
    retain_graph: bool | None,
    create_graph: bool,
    inputs: tuple[Tensor, ...] | None,
) -> list[Tensor | None]:
    if create_graph:
        raise NotWrittenError(
            "`create_graph=True` is not written yet in gradviz's core", help="run the script with PyTorch installed"
        )
    keep = bool(create_graph if retain_graph is None else retain_graph)
    sweep = Sweep(kind, roots, inputs, keep)
    try:
        cotangents = _seeds(roots, given or (None,) * len(roots))
        if inputs is not None:
            for position, tensor in enumerate(inputs):
                if not tensor.requires_grad:
                    raise RuntimeError(
                        "One of the differentiated Tensors does not require grad"
                        if kind == "grad"
                        else f"One of the differentiated Tensors at index {position} does not require grad"
                    )
        return _pull(sweep, cotangents, keep)
    except Exception as error:
        sweep.error = str(error)
        raise
    finally:
        if listeners:
            frame = user_frame(sys._getframe(1))
            for listener in listeners:
                listener.sweep_ran(sweep, frame)


def _seeds(roots: tuple[Tensor, ...], given: tuple[Any, ...]) -> list[Any]:
    seeds = []
    for position, (root, cotangent) in enumerate(zip(roots, given, strict=True)):
        if root.grad_fn is None and not root._requires_grad:
            raise RuntimeError(NO_GRAD_FN.format(position))
        if cotangent is not None:
            if cotangent._data.shape != root._data.shape:
                have, want = list(cotangent._data.shape), list(root._data.shape)
                raise RuntimeError(
                    f"Mismatch in shape: grad_output[{position}] has a shape of torch.Size({have}) and "
                    f"output[{position}] has a shape of torch.Size({want})."
                )
            seeds.append(cotangent._data)
        elif root._data.size == 1:
            seeds.append(np.ones_like(root._data)[()])
        else:
            raise RuntimeError(NOT_SCALAR)
    return seeds


def _pull(sweep: Sweep, seeds: list[Any], keep: bool) -> list[Tensor | None]:
    """Run every node behind the roots, newest first; feed leaves, or collect for `sweep.inputs`."""
    pending: dict[Node, list[Any]] = {}
    wanted = _wanted(sweep)
    collected: dict[int, Any] = {}
    leaves = _Leaves(sweep, wanted, collected)
    order: list[Node] = []

    for root, seed in zip(sweep.roots, seeds, strict=True):
        origin = root.grad_fn
        if origin is None:
            leaves.expect(root)
            leaves.add(root, seed)
        else:
            if origin not in pending:
                pending[origin] = [None] * (1 + len(origin.more))
                order.append(origin)
            slots = pending[origin]
            slots[root._number] = seed if slots[root._number] is None else slots[root._number] + seed

    for node in order:
        for leaf in node.leaves or ():
            leaves.expect(leaf)
        for link, need in zip(node.links, node.needs, strict=True):
            if need:
                behind, _ = origin_of(link)
                if isinstance(behind, Node) and behind not in pending:
                    pending[behind] = [None] * (1 + len(behind.more))
                    order.append(behind)
    order.sort(key=_by_id, reverse=True)

    useful = _useful(order, wanted) if wanted is not None else None
    for root in sweep.roots:
        if root.grad_fn is None:
            leaves.release(root)
    for node in order:
        slots = pending.pop(node)
        if node.hooks is not None:
            _run_node_hooks(node, slots)
        if wanted is not None:
            for number, slot in enumerate(slots):
                for position in wanted.get((node, number), ()):
                    collected[position] = slot
        if (useful is None or node in useful) and any(slot is not None for slot in slots):
            _run_node(node, slots, pending, leaves, keep)
        for leaf in node.leaves or ():
            leaves.release(leaf)
    return _deliver(sweep, collected)


class _Leaves:
    """The leaves behind the roots. Each is fed as soon as no op that is still to run can add to its cotangent.

    So a leaf's hooks run early, and what an error ends has fed the leaves that PyTorch would have fed.
    """

    def __init__(self, sweep: Sweep, wanted: dict[Any, list[int]] | None, collected: dict[int, Any]) -> None:
        self._sweep = sweep
        self._wanted = wanted
        self._collected = collected
        self._cotangents: dict[Tensor, Any] = {}
        self._uses: dict[Tensor, int] = {}

    def expect(self, leaf: Tensor | None) -> None:
        """Note one more use of a leaf."""
        if leaf is not None:
            self._uses[leaf] = self._uses.get(leaf, 0) + 1

    def add(self, leaf: Tensor, cotangent: Any) -> None:
        """Add what came back from one use."""
        held = self._cotangents.get(leaf)
        self._cotangents[leaf] = cotangent if held is None else held + cotangent

    def release(self, leaf: Tensor | None) -> None:
        """Note that one use is done; feed the leaf if it was the last."""
        if leaf is None:
            return
        self._uses[leaf] -= 1
        cotangent = self._cotangents.pop(leaf, None) if not self._uses[leaf] else None
        if cotangent is None:
            return
        if leaf._requires_grad and leaf._origin.tracked:
            raise RuntimeError("leaf variable has been moved into the graph interior")
        if leaf._extras is not None:
            cotangent = _run_hooks(leaf._extras.hooks, cotangent)
        if self._wanted is not None:
            for position in self._wanted.get(id(leaf), ()):
                self._collected[position] = cotangent
        elif leaf._requires_grad:
            _accumulate(leaf, cotangent, self._sweep)


def _by_id(step: Trace) -> int:
    return step.id


def _wanted(sweep: Sweep) -> dict[Any, list[int]] | None:
    """Where the asked-for inputs sit in the graph: a leaf by `id()`, another tensor by node and output number."""
    if sweep.inputs is None:
        return None
    wanted: dict[Any, list[int]] = {}
    for position, tensor in enumerate(sweep.inputs):
        node = tensor.grad_fn
        wanted.setdefault(id(tensor) if node is None else (node, tensor._number), []).append(position)
    return wanted


def _useful(order: list[Node], wanted: dict[Any, list[int]]) -> set[Node]:
    """The nodes on a road to an asked-for input: the others need not run, and keep what they saved."""
    useful: set[Node] = set()
    for node in reversed(order):
        for position, (link, need) in enumerate(zip(node.links, node.needs, strict=True)):
            if not need:
                continue
            leaf = None if node.leaves is None else node.leaves[position]
            origin, number = origin_of(link)
            if (leaf is not None and id(leaf) in wanted) or (origin, number) in wanted or origin in useful:
                useful.add(node)
                break
    return useful


def _run_node(
    node: Node, slots: list[Any], pending: dict[Node, list[Any]], leaves: _Leaves, keep: bool
) -> None:
    """Pull the cotangents of a node's outputs back to its inputs."""
    row = node.row
    if node.saved is FREED:
        raise noted(RuntimeError(SECOND_TIME), node)
    check_versions(node)
    g = slots[0] if not node.more else tuple(slots)
    known = dict(zip(row.saved_names, node.saved, strict=True))
    known.update(zip(row.static, node.static, strict=True))
    shapes: list[Any] = []
    for position, (link, need, formula) in enumerate(
        zip(node.links, node.needs, row.formulas_of(len(node.needs)), strict=True)
    ):
        if not need or formula is None:
            continue
        origin, number = origin_of(link)
        assert origin is not None
        shape, array_type = (origin.shape, origin.array_type) if number == 0 else origin.more[number - 1]
        vjp, names = formula
        arguments = []
        for name in names:
            if name in known:
                arguments.append(known[name])
            elif name == "shape":
                arguments.append(shape)
            elif name == "index":
                arguments.append(position)
            elif name == "shapes":
                shapes = shapes or _input_shapes(node)
                arguments.append(shapes)
            else:
                arguments.append(_output_shape(node, name))
        cotangent = vjp(g, *arguments)
        if cotangent is None:
            continue
        if cotangent.shape != shape:
            cotangent = sum_to(cotangent, shape)
        if cotangent.dtype != array_type:
            cotangent = cotangent.astype(array_type)
        leaf = None if node.leaves is None else node.leaves[position]
        if leaf is not None:
            leaves.add(leaf, cotangent)
        elif isinstance(origin, Node):
            target = pending[origin]
            target[number] = cotangent if target[number] is None else target[number] + cotangent
    if not keep and row.saved_names:
        node.saved = FREED
        node.marks = ()


def _output_shape(node: Node, name: str) -> Any:
    if name == "outputs":
        return ((node.shape, node.array_type), *node.more)
    raise TypeError(f"the derivative of row `{node.row.key}` reads `{name}`, which the row does not have")


def _input_shapes(node: Node) -> list[Any]:
    shapes: list[Any] = []
    for link in node.links:
        origin, number = origin_of(link)
        if origin is None:
            shapes.append(())
        else:
            shapes.append(origin.shape if number == 0 else origin.more[number - 1][0])
    return shapes


def sum_to(cotangent: Any, shape: tuple[int, ...]) -> Any:
    """Undo broadcasting: sum over the dimensions that `shape` lacks or has as 1; spread where it is the smaller one."""
    extra = cotangent.ndim - len(shape)
    if extra < 0:
        return np.broadcast_to(cotangent, shape)
    axes = tuple(range(extra)) + tuple(
        axis + extra for axis, length in enumerate(shape) if length == 1 and cotangent.shape[axis + extra] != 1
    )
    if axes:
        cotangent = np.add.reduce(cotangent, axis=axes)
    if cotangent.shape == shape:
        return cotangent
    if math.prod(cotangent.shape) == math.prod(shape):
        return cotangent.reshape(shape)
    return np.broadcast_to(cotangent, shape)


def _run_node_hooks(node: Node, slots: list[Any]) -> None:
    hooks = node.hooks
    assert hooks is not None
    for number, slot in enumerate(slots):
        if slot is None:
            continue
        slots[number] = _run_hooks(hooks.tensor_hooks.get(number, {}), slot)
        kept = hooks.retained.get(number)
        tensor = kept() if kept is not None else None
        if tensor is not None:
            _accumulate(tensor, slots[number], None)


def _run_hooks(hooks: dict[int, Any], cotangent: Any) -> Any:
    for hook in tuple(hooks.values()):
        with no_grad():
            replacement = hook(new_leaf(np.array(cotangent), "grad", False))
        if replacement is not None:
            if replacement._data.shape != cotangent.shape:
                raise RuntimeError(
                    f"hook '{getattr(hook, '__name__', hook)}' has changed the size of value"
                )
            cotangent = replacement._data
    return cotangent


def _accumulate(tensor: Tensor, cotangent: Any, sweep: Sweep | None) -> None:
    """Add to `.grad`, in place where there is one already, so that it stays the same object."""
    if tensor._grad is None:
        tensor._grad = new_leaf(np.array(cotangent), "grad", False)
    else:
        held = tensor._grad
        held._array()[...] += cotangent
        if held._storage.version is not None:
            held._storage.version += 1
    if sweep is not None:
        sweep.fed.append((tensor, tensor._grad))
        if tensor._extras is not None:
            for hook in tuple(tensor._extras.accumulator_hooks.values()):
                with no_grad():
                    hook(tensor)


def _deliver(sweep: Sweep, collected: dict[int, Any]) -> list[Tensor | None]:
    """Turn what arrived at the asked-for inputs into results, or into their `.grad` for `backward(inputs=...)`."""
    if sweep.inputs is None:
        return []
    if sweep.kind == "backward":
        for position, tensor in enumerate(sweep.inputs):
            if collected.get(position) is not None:
                _accumulate(tensor, collected[position], sweep)
        return []
    results: list[Tensor | None] = []
    for position, tensor in enumerate(sweep.inputs):
        cotangent = collected.get(position)
        result = None if cotangent is None else new_leaf(np.array(cotangent), "grad", False)
        if result is not None:
            sweep.fed.append((tensor, result))
        results.append(result)
    return results


def _as_tuple(tensors: Any) -> tuple[Any, ...]:
    if tensors is None:
        return ()
    return (tensors,) if isinstance(tensors, Tensor) else tuple(tensors)
