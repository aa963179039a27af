"""Ops: from a call that a torch function mode saw to the event that tells of it."""

from __future__ import annotations

from types import FrameType
from typing import Any

import torch

from gradviz import events
from gradviz.events import Cause
from gradviz.frontends.torch.autograd.nodes import grad_fn_of, guess_node, is_leaf, output_of
from gradviz.frontends.torch.autograd.nodes import node_name as name_of_node
from gradviz.frontends.torch.books.book import Book
from gradviz.frontends.torch.books.here import Here, cause_of_mode
from gradviz.frontends.torch.books.identity import tensors_in, version_of
from gradviz.frontends.torch.books.origins import Origins
from gradviz.frontends.torch.calls.gathered import Gathered
from gradviz.frontends.torch.calls.keeping import kept_by, memory_of
from gradviz.frontends.torch.calls.literals import literal
from gradviz.frontends.torch.calls.naming import Call, named_arguments, op_name
from gradviz.frontends.torch.calls.writes import Writes
from gradviz.frontends.torch.places.frames import is_in_construction, place_of_call
from gradviz.targets import unpacked_target

VARIANT_LIMIT = 64
"""How many different settings of plain arguments a function is told with; a loop over `x[i]` must not grow the book."""

EACH = frozenset({"broadcast_tensors", "meshgrid", "atleast_1d", "atleast_2d", "atleast_3d"})
"""Functions that do to each of several tensors what they do to one: no result has to do with another's tensor."""

_NUMBERS = (int, float, bool, complex)


class Ops:
    """Tells of calls that make or write tensors, and of those by which data leaves."""

    def __init__(self, book: Book, origins: Origins, writes: Writes) -> None:
        self._book = book
        self._origins = origins
        self._writes = writes
        self._signatures: dict[tuple[Any, ...], int] = {}
        self._node_names: dict[str, str] = {}

    def gather(
        self, here: Here, call: Call, args: tuple[Any, ...], kwargs: dict[str, Any], frame: FrameType
    ) -> Gathered | None:
        """Look at the arguments of a call, before it runs: it may write to them. None where it is not told of."""
        target = _to_be_written(call, args, kwargs)
        written = args[0] if call.inplace and args else target
        if self._is_preparation(here, call, written, args, kwargs, frame):
            return None
        found = Gathered()
        if target is not None:
            found.version = version_of(target)
        if call.name == "new_tensor":  # the first one only says of which type and where
            args = args[1:]
        args, names = named_arguments(call.name, args) if len(args) > 1 else (args, ())
        for position, item in enumerate(args):
            name = names[position] if position < len(names) else ""
            self._take(here, call, found, item, name, position, frame)
        for name, item in kwargs.items():
            if item is not None and not name.startswith("_") and (name, item) != ("inplace", False):
                self._take(here, call, found, item, name, len(args), frame)
        return found

    def _is_preparation(
        self, here: Here, call: Call, written: Any, args: tuple[Any, ...], kwargs: dict[str, Any], frame: FrameType
    ) -> bool:
        """A library works on tensors that it made itself and that nobody has used: untold, as long as it is untracked.

        So an initial weight is one source, however it was drawn, and so are a mask and a batch.
        """
        tensors = self._book.tensors
        given = tensors_in((*args, *kwargs.values()))
        if here.loading and (written is None or id(written) not in tensors):  # what is written to is told of
            return not any(tensor.requires_grad for tensor in given)
        for tensor in given:
            known = tensors.get(id(tensor))
            if known is None or known.value:
                return False
        if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in given):
            # `weight.data.uniform_()`, by which a module of a library fills its weights.
            return call.cause is Cause.DATA and is_in_construction(frame)
        return not place_of_call(frame)[1]

    def prepared(self, here: Here, call: Call, result: Any, frame: FrameType) -> None:
        """Put off what such a call made."""
        name = "DataLoader" if here.loading else call.name
        path, _ = place_of_call(frame)
        for output in tensors_in(result):
            if id(output) not in self._book.tensors:
                self._origins.put_off(name, output, path)

    def _take(
        self, here: Here, call: Call, found: Gathered, item: Any, name: str, position: int, frame: FrameType
    ) -> None:
        if isinstance(item, torch.Tensor):
            if not (call.source or (call.one and found.tensors)):
                self.add(here, found, item, frame)
        elif position < call.operands and type(item) in _NUMBERS:
            found.inputs.append(repr(item))
            found.tensors.append(None)
            found.needs.append(False)
            found.key.append(0)
        elif isinstance(item, (tuple, list, dict)) and not call.source and (parts := tensors_in(item)):
            for part in parts:
                self.add(here, found, part, frame)
        elif not call.copies:
            text = literal(item) if call.variants < VARIANT_LIMIT else ""
            found.key.append(text)
            if text and name:
                found.attrs.append((name, text))

    def add(self, here: Here, found: Gathered, tensor: torch.Tensor, frame: FrameType) -> None:
        """Make a tensor one of the inputs of a call."""
        known = self._book.tensors.get(id(tensor))
        if known is None or not known.value:
            known = self._origins.know(here, tensor)
        if known.base is not None and version_of(tensor) != known.version:
            self._writes.renew(here, tensor, known, self._book.interner.site(place_of_call(frame)[0], True))
        needs = tensor.requires_grad
        found.inputs.append(known.value)
        found.tensors.append(tensor)
        found.needs.append(needs)
        found.key.append(-known.kind if needs else known.kind)

    def ran(
        self,
        here: Here,
        call: Call,
        args: tuple[Any, ...],
        found: Gathered,
        result: Any,
        nodes: tuple[int, int],
        frame: FrameType,
    ) -> int | None:
        """Tell of a call that has returned; `nodes` are the sequence numbers before and after it.

        Returns the number of the signature that it was told of with, None where it was not told of.
        """
        outputs = [result] if isinstance(result, torch.Tensor) else tensors_in(result)
        if call.inplace and nodes[1] == nodes[0] and args and isinstance(args[0], (list, tuple)):
            self._tell_each_write(here, call, args, found, len(args[0]), nodes, frame)
            return None
        if call.inplace and found.tensors and found.tensors[0] is not None:
            return self._tell(here, call, args, found, [found.tensors[0]], nodes, frame, written=0)
        if call.name in EACH and len(outputs) == len(found.tensors):
            self._tell_each(here, call, args, found, outputs, nodes, frame)
            return None
        held = self._book.tensors
        made = [output for output in outputs if id(output) not in held]
        if made and len(made) < len(outputs):
            # Some of them are new: the op is told of with all but what it was given, and those become new values.
            given = set(map(id, found.tensors))
            made = [output for output in outputs if id(output) not in given]
        if made:
            return self._tell(here, call, args, found, made, nodes, frame)
        if outputs and (nodes[1] != nodes[0] or _wrote(found, outputs[0])):
            # It gave back what it was given, and somebody took note: a write in place by another name.
            signature: int | None = None
            for output in outputs if found.version is not None else outputs[:1]:
                target = next((at for at, tensor in enumerate(found.tensors) if tensor is output), None)
                if target is not None:
                    signature = self._tell(here, call, args, found, [output], nodes, frame, written=target)
            return signature
        if outputs and call.cause is Cause.DETACH_:
            return self._tell(here, call, args, found, outputs[:1], nodes, frame)
        return None

    def _tell_each(
        self,
        here: Here,
        call: Call,
        args: tuple[Any, ...],
        found: Gathered,
        outputs: list[torch.Tensor],
        nodes: tuple[int, int],
        frame: FrameType,
    ) -> None:
        """A call that makes one result of each tensor that it is given: as many ops, less those that made nothing."""
        path, direct = place_of_call(frame)
        target = self._book.interner.target(path) if direct else ""
        start = nodes[0]
        for index, output in enumerate(outputs):
            if id(output) in self._book.tensors:
                continue
            part = found.part([index])
            node = grad_fn_of(output)
            end = start if node is None else max(start, node._sequence_nr() + 1)
            self._tell(here, call, args, part, [output], (start, end), frame)
            start = end
            name = unpacked_target(target, index, len(outputs))
            if name:
                self._book.tell_name(self._book.tensors[id(output)], name)

    def _tell_each_write(
        self,
        here: Here,
        call: Call,
        args: tuple[Any, ...],
        found: Gathered,
        count: int,
        nodes: tuple[int, int],
        frame: FrameType,
    ) -> None:
        """A call that writes to each of `count` tensors, such as `torch._foreach_add_(weights, steps)`."""
        for index in range(count):
            part = found.part(range(index, len(found.tensors) - len(found.tensors) % count, count))
            first = part.tensors[0]
            if first is not None:
                self._tell(here, call, args, part, [first], nodes, frame, written=0)

    def _tell(
        self,
        here: Here,
        call: Call,
        args: tuple[Any, ...],
        found: Gathered,
        outputs: list[torch.Tensor],
        nodes: tuple[int, int],
        frame: FrameType,
        written: int | None = None,
    ) -> int:
        """One op; `written` is the position of the input that it wrote to, None where its outputs are new.

        Returns the number of its signature.
        """
        book = self._book
        first = outputs[0]
        path, direct = place_of_call(frame)
        tracked = nodes[1] != nodes[0] and any(output.requires_grad for output in outputs)
        cause = None if tracked else self._cause(call, here, found, outputs, direct)
        alias = self._alias(first, found, call) if written is None else written
        kinds = [book.kinds.of(output) for output in outputs]
        key = (
            call, cause, tracked, alias, written is None, tuple(found.key),
            *(-kind if output.requires_grad else kind for kind, output in zip(kinds, outputs, strict=True)),
        )  # fmt: skip
        signature = self._signatures.get(key)
        if signature is None:
            call.variants += 1
            name = op_name(call, args)
            # Autograd puts the node of a write to a view inside of the base's `CopySlices`, where nobody can look.
            hidden = tracked and written is not None and first._is_view()
            node = self._node_names.get(name) or guess_node(name) if hidden else ""
            signature = self._signatures[key] = self._describe(
                name, found, outputs, tracked, cause, alias, nodes, written is not None, node
            )
        site = book.interner.site(path, not direct)
        value = book.tell_op(here, signature, site, found.inputs, len(outputs))
        if tracked:
            _trace(here, nodes, value, outputs)
        if written is not None:
            known = book.tensors[id(first)]
            self._writes.became(here, first, known, value)
            if known.base is not None:
                self._writes.pass_on(here, first, known, site, nodes[1] - 1 if tracked else None)
            return signature
        for index, (output, kind) in enumerate(zip(outputs, kinds, strict=True)):
            known = book.tensors.learn(output, value + index, kind)
            if alias is not None and call.cause is None:
                base = book.tensors.get(id(found.tensors[alias]))
                if base is not None:
                    known.base = base.base or base
                    known.version = version_of(output)
            if not tracked and site is not None and output.requires_grad:
                known.target = book.interner.targets[site]
        return signature

    def _cause(
        self, call: Call, here: Here, found: Gathered, outputs: list[torch.Tensor], direct: bool
    ) -> Cause | None:
        """Why an untracked call stops a gradient, None where none could have come to it.

        Inside of the engine, that is where the user's own code, which calls directly, wrote a cut down.
        """
        if True not in found.needs or (here.is_switched_off() and (call.cause is None or not direct)):
            return None
        if call.cause is not None:
            return call.cause
        cause = cause_of_mode(here)
        if cause is not None:
            return cause
        if all(is_integer(output.dtype) for output in outputs):
            return Cause.INTEGER
        return call.unlike

    def _alias(self, first: torch.Tensor, found: Gathered, call: Call) -> int | None:
        """The position of the input whose memory the result shares."""
        if not found.tensors:
            return None
        if call.cause in (Cause.DETACH, Cause.DETACH_, Cause.DATA):
            return 0
        if first.is_inference():  # it is a view of nothing, as far as PyTorch knows
            memories = [None if tensor is None else memory_of(tensor) for tensor in found.tensors]
            return memories.index(memory_of(first)) if memory_of(first) in memories else None
        if not first._is_view():
            return None
        base = first._base
        for position, tensor in enumerate(found.tensors):
            if tensor is not None and (tensor is base or (tensor._is_view() and tensor._base is base)):
                return position
        return None

    def _describe(
        self,
        name: str,
        found: Gathered,
        outputs: list[torch.Tensor],
        tracked: bool,
        cause: Cause | None,
        alias: int | None,
        nodes: tuple[int, int],
        inplace: bool,
        node_name: str,
    ) -> int:
        node: Any = None
        if tracked and not node_name:
            node = next(node for node in map(grad_fn_of, outputs) if node is not None)
            node_name = self._node_names[name] = name_of_node(node)
        return self._book.new_signature(
            lambda id: events.Signature(
                id=id,
                name=name,
                node=node_name,
                tracked=tracked,
                cause=cause,
                needs=tuple(found.needs),
                outputs=tuple(
                    output_of(output, requires_grad=output.requires_grad, leaf=is_leaf(output)) for output in outputs
                ),
                alias=alias,
                inplace=inplace,
                saved=tuple(kept_by(node, found.tensors, outputs, nodes)),
                attrs=tuple(found.attrs),
            )
        )

    def left(
        self, here: Here, name: str, cause: Cause | None, tensors: list[torch.Tensor], frame: FrameType
    ) -> None:
        """Data of these tensors left for Python or numpy, by an op of that name."""
        found = Gathered()
        for tensor in tensors:
            self.add(here, found, tensor, frame)
        cause = cause if True in found.needs else None
        signature = self._book.signature(
            ("left", name, cause, *found.needs),
            lambda id: events.Signature(id, name, cause=cause, needs=tuple(found.needs)),
        )
        self._book.tell_op(here, signature, self._book.interner.site(place_of_call(frame)[0]), found.inputs, 0)


def _to_be_written(call: Call, args: tuple[Any, ...], kwargs: dict[str, Any]) -> torch.Tensor | None:
    """The tensor that a call is asked to write to, by `out=` or by `inplace=True`."""
    target = kwargs.get("out")
    if isinstance(target, (list, tuple)) and target:
        target = target[0]
    elif target is None and call.asks >= 0 and args:
        asked = args[call.asks] if len(args) > call.asks else kwargs.get("inplace")
        target = args[0] if asked is True else None
    return target if isinstance(target, torch.Tensor) else None


def _wrote(found: Gathered, output: torch.Tensor) -> bool:
    """A call that was asked to write did so; of a tensor without a version counter that is taken for granted."""
    return found.version is not None and (found.version < 0 or found.version != version_of(output))


def is_integer(dtype: torch.dtype) -> bool:
    """Of whole numbers; truth values are none."""
    return not (dtype is torch.bool or dtype.is_floating_point or dtype.is_complex)


def _trace(here: Here, nodes: tuple[int, int], value: int, outputs: list[torch.Tensor]) -> None:
    """Take note that these nodes belong to an op, and which one leads to which of its results."""
    start = nodes[0]
    if len(outputs) > 1:
        # Results of one node are told apart by their number there; those of several nodes are all number 0.
        ends: dict[int, tuple[int, int]] = {}
        for index, output in enumerate(outputs):
            node = grad_fn_of(output)
            if node is not None and index != output.output_nr:
                ends[node._sequence_nr()] = value + index - output.output_nr, output.output_nr + 1
        for number in sorted(ends):
            if start <= number < nodes[1]:
                if start < number:
                    here.trail.add(start, number, value, len(outputs))
                here.trail.add(number, number + 1, *ends[number])
                start = number + 1
    if start < nodes[1]:
        here.trail.add(start, nodes[1], value, len(outputs))
