"""Ops: from a call that a torch function mode saw to the event that tells of it."""

from __future__ import annotations

from collections.abc import Iterator
from types import FrameType
from typing import Any

import torch

from gradviz import events
from gradviz.events import Cause
from gradviz.frontends.torch.book import Book, Here
from gradviz.frontends.torch.frames import place_of_call
from gradviz.frontends.torch.identity import Known, tensors_in, version_of
from gradviz.frontends.torch.literals import literal
from gradviz.frontends.torch.naming import Call, argument_names, op_name
from gradviz.frontends.torch.nodes import describe_saved, node_name, output_of, saved_tensors

VARIANT_LIMIT = 64
"""How many different settings of plain arguments a function is told with; a loop over `x[i]` must not grow the book."""

Key = tuple[Any, ...]


class Gathered:
    """The arguments of a call: values and operands for the op, and all that its signature depends on.

    tensors   the tensor at each position of `inputs`, None for a literal
    needs     which of them required grad before the call
    """

    __slots__ = ("attrs", "inputs", "key", "needs", "tensors")

    def __init__(self) -> None:
        self.inputs: list[events.Input] = []
        self.tensors: list[torch.Tensor | None] = []
        self.needs: list[bool] = []
        self.key: list[Any] = []
        self.attrs: list[tuple[str, str]] = []


class Ops:
    """Tells of calls, and knows where tensors came from whose making nobody saw."""

    def __init__(self, book: Book) -> None:
        self.book = book
        self._signatures: dict[Key, int] = {}

    # before and after a call

    def gather(self, here: Here, call: Call, args: tuple[Any, ...], kwargs: dict[str, Any], frame: FrameType) -> Gathered:
        """Look at the arguments of a call; for a call that writes in place, before it does."""
        found = Gathered()
        names = argument_names(call.name, len(args)) if len(args) > 1 else ()
        for position, item in enumerate(args):
            self._gather_one(here, call, found, item, names[position] if position < len(names) else "", position, frame)
        for name, item in kwargs.items():
            if not name.startswith("_") and item is not None:
                self._gather_one(here, call, found, item, name, len(args), frame)
        return found

    def _gather_one(
        self, here: Here, call: Call, found: Gathered, item: Any, name: str, position: int, frame: FrameType
    ) -> None:
        if isinstance(item, torch.Tensor):
            if call.source:
                return
            known = self.know(here, item, frame)
            needs = item.requires_grad
            found.inputs.append(known.value)
            found.tensors.append(item)
            found.needs.append(needs)
            found.key.append(known.kind if not needs else -known.kind)
        elif position < call.operands and type(item) in (int, float, bool, complex):
            found.inputs.append(repr(item))
            found.tensors.append(None)
            found.needs.append(False)
            found.key.append(0)
        elif isinstance(item, (tuple, list)) and any(True for _ in tensors_in(item)):
            for part in tensors_in(item):
                self._gather_one(here, call, found, part, "", position, frame)
        elif not call.copies:
            text = literal(item) if call.variants < VARIANT_LIMIT else ""
            found.key.append(text)
            if text and name:
                found.attrs.append((name, text))

    def ran(
        self,
        here: Here,
        call: Call,
        args: tuple[Any, ...],
        found: Gathered,
        result: Any,
        nodes: tuple[int, int],
        frame: FrameType,
    ) -> None:
        """Tell of a call that has returned; `nodes` are the sequence numbers around it."""
        outputs = [result] if isinstance(result, torch.Tensor) else tensors_in(result)
        if not outputs:
            return
        tensors = self.book.tensors
        first = outputs[0]
        held = tensors.get(id(first))
        if held is not None:
            target = next((at for at, tensor in enumerate(found.tensors) if tensor is first), None)
            if target is not None and (call.inplace or self._was_written(first, held)):
                self._written(here, call, args, found, target, nodes, frame)
            return
        tracked = nodes[1] != nodes[0] and any(output.requires_grad for output in outputs)
        cause = None if tracked else self.cause_of(here, call, found, first)
        alias = self._alias(first, found, call)
        path, direct = place_of_call(frame)
        key = (
            call, cause, tracked, alias, *found.key, "->",
            *(-self.book.kinds.of(output) if output.requires_grad else self.book.kinds.of(output) for output in outputs),
        )
        signature = self._signatures.get(key)
        if signature is None:
            signature = self._signatures[key] = self._new_signature(
                call, op_name(call, args), found, outputs, tracked, cause, alias, nodes
            )
        site = self.book.interner.site(path, not direct)
        value = self._emit(here, signature, site, found.inputs, len(outputs))
        for index, output in enumerate(outputs):
            known = tensors.learn(output, value + index, self.book.kinds.of(output))
            if not tracked and output.requires_grad and site is not None:
                known.target = self.book.interner.targets[site]
            if alias is not None:
                base = tensors.get(id(found.tensors[alias]))
                if base is not None and call.cause is None:
                    known.base = base.base or base
                    known.version = version_of(output)
        if tracked:
            here.trail.add(*nodes, value)

    def _was_written(self, tensor: torch.Tensor, held: Known) -> bool:
        return held.version >= 0 and version_of(tensor) != held.version

    def _written(
        self,
        here: Here,
        call: Call,
        args: tuple[Any, ...],
        found: Gathered,
        target: int,
        nodes: tuple[int, int],
        frame: FrameType,
    ) -> None:
        """The call wrote to one of its arguments: the same tensor is a new value."""
        tensor = found.tensors[target]
        assert tensor is not None
        tracked = nodes[1] != nodes[0] and tensor.requires_grad
        cause = None if tracked else self.cause_of(here, call, found, tensor)
        path, direct = place_of_call(frame)
        kind = self.book.kinds.of(tensor)
        key = (call, cause, tracked, target, True, *found.key, "->", -kind if tensor.requires_grad else kind, tensor.is_leaf)
        signature = self._signatures.get(key)
        if signature is None:
            signature = self._signatures[key] = self._new_signature(
                call, op_name(call, args), found, [tensor], tracked, cause, target, nodes, inplace=True
            )
        value = self._emit(here, signature, self.book.interner.site(path, not direct), found.inputs, 1)
        known = self.book.tensors.get(id(tensor)) or self.book.tensors.learn(tensor, value, kind)
        known.value, known.kind, known.version = value, kind, version_of(tensor)
        if tracked:
            here.trail.add(*nodes, value)

    def _emit(self, here: Here, signature: int, site: int | None, inputs: list[events.Input], count: int) -> int:
        context = self.book.context(here)
        value = self.book.new_values(max(count, 1))
        self.book.sink.emit(events.Op(value, signature, site, context, tuple(inputs)))
        return value

    # what a signature says

    def _alias(self, first: torch.Tensor, found: Gathered, call: Call) -> int | None:
        """The position of the input whose memory the result shares."""
        if not found.tensors:
            return None
        if call.cause in (Cause.DETACH, Cause.DETACH_, Cause.DATA):
            return 0
        if not first._is_view():
            return None
        base = first._base
        for position, tensor in enumerate(found.tensors):
            if tensor is not None and (tensor is base or (tensor._is_view() and tensor._base is base)):
                return position
        return None

    def cause_of(self, here: Here, call: Call, found: Gathered, first: torch.Tensor | None) -> Cause | None:
        """Why an untracked call stops a gradient, None where none could have come to it."""
        if True not in found.needs:
            return None
        if call.cause is not None:
            return call.cause
        if not torch.is_grad_enabled():
            region = here.region
            while region is not None and region.cause is None:
                region = region.parent
            return Cause.NO_GRAD if region is None or region.cause is None else region.cause
        if first is not None and not (first.dtype.is_floating_point or first.dtype.is_complex):
            return Cause.NONDIFFERENTIABLE if first.dtype is torch.bool else Cause.INTEGER
        return Cause.NONDIFFERENTIABLE

    def _new_signature(
        self,
        call: Call,
        name: str,
        found: Gathered,
        outputs: list[torch.Tensor],
        tracked: bool,
        cause: Cause | None,
        alias: int | None,
        nodes: tuple[int, int],
        *,
        inplace: bool = False,
    ) -> int:
        call.variants += 1
        node = next((output.grad_fn for output in outputs if output.grad_fn is not None), None) if tracked else None
        told = tuple(
            output_of(output, requires_grad=output.requires_grad, leaf=output.is_leaf) for output in outputs
        )
        return self.book.new_signature(
            lambda id: events.Signature(
                id=id,
                name=name,
                node="" if node is None else node_name(node),
                tracked=tracked,
                cause=cause,
                needs=tuple(found.needs),
                outputs=told,
                alias=alias,
                inplace=inplace,
                saved=tuple(_saved(node, found, outputs, nodes)),
                attrs=tuple(found.attrs),
            )
        )

    # calls that are no ops of the graph

    def left(self, here: Here, call: Call, tensor: torch.Tensor, frame: FrameType) -> None:
        """Data left for Python or numpy."""
        found = Gathered()
        self._gather_one(here, call, found, tensor, "", 0, frame)
        cause = call.cause if found.needs[0] else None
        path, _ = place_of_call(frame)
        key = (call, cause, *found.key)
        signature = self._signatures.get(key)
        if signature is None:
            signature = self._signatures[key] = self.book.new_signature(
                lambda id: events.Signature(id=id, name=call.name, cause=cause, needs=tuple(found.needs))
            )
        self._emit(here, signature, self.book.interner.site(path), found.inputs, 0)

    def source(
        self, here: Here, name: str, tensor: torch.Tensor, path: Any, direct: bool, node: str = ""
    ) -> Known:
        """A tensor that comes from nowhere that was seen."""
        kind = self.book.kinds.of(tensor)
        key = ("source", name, kind, tensor.requires_grad)
        signature = self._signatures.get(key)
        if signature is None:
            told = output_of(tensor, requires_grad=tensor.requires_grad, leaf=True)
            signature = self._signatures[key] = self.book.new_signature(
                lambda id: events.Signature(id=id, name=name, outputs=(told,))
            )
        value = self._emit(here, signature, self.book.interner.site(path, not direct), [], 1)
        return self.book.tensors.learn(tensor, value, kind)

    def know(self, here: Here, tensor: torch.Tensor, frame: FrameType) -> Known:
        """What is known of a tensor; one that nobody saw made is told of as far as autograd remembers."""
        known = self.book.tensors.get(id(tensor))
        if known is None:
            path, _ = place_of_call(frame)
            known = self.source(here, "tensor of unknown origin", tensor, path, False)
        return known


def _saved(node: Any, found: Gathered, outputs: list[torch.Tensor], nodes: tuple[int, int]) -> Iterator[events.Saved]:
    """What the nodes of one op keep, from the last one back to the first."""
    if node is None:
        return
    places: dict[int, int] = {}
    for position, tensor in enumerate(found.tensors):
        if tensor is not None:
            places.setdefault(_memory(tensor), position)
    for index, output in enumerate(outputs):
        places.setdefault(_memory(output), -1 - index)
    pending, seen = [node], {node}
    while pending:
        current = pending.pop()
        for name, held in saved_tensors(current):
            source = places.get(_memory(held)) if isinstance(held, torch.Tensor) else None
            shown = name if current is node else f"{node_name(current)}.{name}"
            yield describe_saved(shown, held, source)
        for following, _ in current.next_functions:
            if following is not None and following not in seen and nodes[0] <= following._sequence_nr() < nodes[1]:
                seen.add(following)
                pending.append(following)


def _memory(tensor: torch.Tensor) -> int:
    try:
        return tensor.untyped_storage()._cdata
    except (RuntimeError, NotImplementedError):  # a wrapper without memory of its own
        return id(tensor)
