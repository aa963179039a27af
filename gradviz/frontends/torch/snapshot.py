"""From a tensor at hand to events, without a recording: all that autograd still knows of what led to it.

Autograd keeps the nodes behind a tensor and nothing else, so there are no lines here, no names of variables, no skipped
ops and no data that never needed a gradient. For those, record.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch

from gradviz import events
from gradviz.frontends.torch.autograd import nodes
from gradviz.frontends.torch.autograd.depth import make_room


class Snapshot:
    """The events that lead to `tensors`, and which value each tensor is.

    names: the user's names for tensors, by identity; those that have no part in the graph are passed over.
    """

    def __init__(self, tensors: Sequence[torch.Tensor], names: Mapping[str, Any] | None = None) -> None:
        self.events: list[events.Event] = [events.Header("torch"), events.Context(0)]
        self._next = 1
        self._signatures: dict[events.Signature, int] = {}
        self._ops: dict[Any, int] = {}
        self._leaves: dict[int, int] = {}
        # A leaf is known by its `id`, which is its own for as long as it is held.
        self._held: list[torch.Tensor] = []
        # Without this, a recording would take the reads of `shape` and `grad_fn` for the user's.
        with torch._C.DisableTorchFunction():
            self._take(tensors)
            for name, tensor in (names or {}).items():
                value = self.value_of(tensor)
                if value is not None:
                    role = events.Role.PARAMETER if isinstance(tensor, torch.nn.Parameter) else None
                    self.events.append(events.Name(value, name, role))
        self.events.append(events.End())

    def value_of(self, tensor: Any) -> int | None:
        """The value that a tensor is in these events, None where it has no part in them."""
        if not isinstance(tensor, torch.Tensor):
            return None
        with torch._C.DisableTorchFunction():
            if nodes.is_leaf(tensor):
                return self._leaves.get(id(tensor))
            op = self._ops.get(nodes.grad_fn_of(tensor))
            return None if op is None else op + tensor.output_nr

    def _take(self, tensors: Sequence[torch.Tensor]) -> None:
        bases = [tensor._base for tensor in tensors if tensor._is_view() and tensor._base is not None]
        ends = [*bases, *tensors]
        found = _nodes_behind(node for node in map(nodes.grad_fn_of, ends) if node is not None)
        views = {node for tensor in tensors for node in _road_to_base(tensor)}
        counts = _count_outputs(found, ends)
        for node in _by_age(found):
            self._take_node(node, counts[node], is_view=node in views)
        for tensor in ends:
            if nodes.is_leaf(tensor):
                self._take_leaf(tensor, tensor.requires_grad)

    def _take_node(self, node: Any, count: int, *, is_view: bool) -> None:
        inputs: list[int] = []
        for source, number in node.next_functions:
            variable = getattr(source, "variable", None)
            if variable is not None:
                inputs.append(self._take_leaf(variable, True))
            elif source is not None:
                inputs.append(self._ops[source] + number)
        outputs = nodes.outputs_of(node)[:count]
        unknown = events.Output((), "", 0, requires_grad=True, leaf=False)
        name = nodes.node_name(node)
        signature = events.Signature(
            0, nodes.op_name(name), name, tracked=True, needs=(True,) * len(inputs),
            outputs=(*outputs, *(unknown,) * (count - len(outputs))), alias=0 if is_view and inputs else None,
            saved=tuple(self._saved(node, inputs)), attrs=nodes.attributes_of(node),
        )  # fmt: skip
        self._ops[node] = self._emit(signature, inputs)

    def _saved(self, node: Any, inputs: list[int]) -> Iterator[events.Saved]:
        for name, held in nodes.saved_tensors(node):
            source = None
            leaf = self._leaves.get(id(held))
            if leaf in inputs:
                source = inputs.index(leaf)
            elif name == "result":
                source = -1
            yield nodes.describe_saved(name, held, source)

    def _take_leaf(self, leaf: torch.Tensor, required: bool) -> int:
        """The id of a leaf, which is emitted where it is first met; `required` says whether gradient was asked for."""
        known = self._leaves.get(id(leaf))
        if known is not None:
            return known
        base = leaf._base if leaf._is_view() else None
        output = nodes.output_of(leaf, requires_grad=required, leaf=True)
        if base is None:
            made = self._emit(events.Signature(0, "tensor", outputs=(output,)), ())
        else:
            source = self._take_leaf(base, base.requires_grad) if base.grad_fn is None else self.value_of(base)
            assert source is not None, "the base of a tensor is walked to before the tensor"
            # Only with grad mode off does a view of what requires grad get no node.
            cause = events.Cause.NO_GRAD if base.requires_grad else None
            made = self._emit(
                events.Signature(0, "view", cause=cause, needs=(base.requires_grad,), outputs=(output,), alias=0),
                (source,),
            )
        self._leaves[id(leaf)] = made
        self._held.append(leaf)
        if required and not leaf.requires_grad:
            self.events.append(events.RequiresGrad(made, False))
        return made

    def _emit(self, signature: events.Signature, inputs: Sequence[int]) -> int:
        number = self._signatures.get(signature)
        if number is None:
            number = self._signatures[signature] = len(self._signatures)
            self.events.append(replace(signature, id=number))
        made = self._next
        self._next += len(signature.outputs)
        self.events.append(events.Op(made, number, None, 0, tuple(inputs)))
        return made


def _nodes_behind(roots: Iterable[Any]) -> list[Any]:
    """Every node that `roots` lead to, once, without the ones that only collect a leaf's gradient."""
    found = {node: None for node in roots if not hasattr(node, "variable")}
    pending = list(found)
    while pending:
        for source, _ in pending.pop().next_functions:
            if source is not None and source not in found and not hasattr(source, "variable"):
                found[source] = None
                pending.append(source)
    make_room(len(found))
    return list(found)


def _count_outputs(found: Iterable[Any], ends: Iterable[torch.Tensor]) -> dict[Any, int]:
    """How many results each node has: those that it tells of, and at least those that something uses."""
    counts = {node: max(1, len(nodes.outputs_of(node))) for node in found}
    used = [edge for node in counts for edge in node.next_functions]
    used += [(nodes.grad_fn_of(tensor), tensor.output_nr) for tensor in ends]
    for node, number in used:
        if node in counts:
            counts[node] = max(counts[node], number + 1)
    return counts


def _by_age(found: Sequence[Any]) -> Iterator[Any]:
    """The nodes in the order in which their ops ran, as far as that agrees with what leads to what.

    Sequence numbers count in each thread by itself, so they alone do not put an op behind its inputs.
    """
    places = {node: place for place, node in enumerate(found)}
    waiting = dict.fromkeys(found, 0)
    users: dict[Any, list[Any]] = {node: [] for node in found}
    for node in found:
        for source, _ in node.next_functions:
            if source in places:
                waiting[node] += 1
                users[source].append(node)
    ready = [(node._sequence_nr(), places[node]) for node in found if not waiting[node]]
    heapq.heapify(ready)
    while ready:
        node = found[heapq.heappop(ready)[1]]
        yield node
        for user in users[node]:
            waiting[user] -= 1
            if not waiting[user]:
                heapq.heappush(ready, (user._sequence_nr(), places[user]))


def _road_to_base(tensor: torch.Tensor) -> Iterator[Any]:
    """The nodes of the views by which a tensor came from its base; none where it is no view."""
    base = tensor._base if tensor._is_view() else None
    if base is None:
        return
    road = []
    node = nodes.grad_fn_of(tensor)
    while node is not None and node != base.grad_fn:
        if getattr(node, "variable", None) is base:
            break
        road.append(node)
        node = node.next_functions[0][0] if node.next_functions else None
    if node is not None:
        yield from road
