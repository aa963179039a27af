"""The fast lane: calls that go as one before them went, of which a program makes most, told of without a closer look.

What is told of an op depends on the call, on the kinds of the tensors that it is given, and on its other arguments. A
call that is met for the first time takes the road of `Ops`, which looks at everything. What came of it is kept as a
plan, and the next call like it needs no look beyond its arguments and the kind of its result. Both roads tell the same
of an op, and the other one costs five times as much.

The lane holds no lock. What it does to what threads share is one step each: it looks up, it draws a number, it appends.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import FrameType
from typing import Any

import torch
from torch.nn import Parameter

from gradviz import events
from gradviz.events import Cause
from gradviz.frontends.torch.books.book import PENDING_LIMIT, Book
from gradviz.frontends.torch.books.here import Here, cause_of_mode
from gradviz.frontends.torch.books.identity import Known, Tensors, version_of
from gradviz.frontends.torch.books.trail import COUNTS, TRAIL_LIMIT
from gradviz.frontends.torch.calls.gathered import Gathered
from gradviz.frontends.torch.calls.naming import Call
from gradviz.frontends.torch.calls.ops import Ops
from gradviz.frontends.torch.places.frames import is_inner
from gradviz.frontends.torch.places.paths import walk
from gradviz.ids import next_id

Tensor = torch.Tensor

LIMIT = 4096
"""Most settings of arguments that are remembered; a program whose shapes never repeat must not grow for it."""

_NUMBERS = frozenset({float, int, bool})
_WHOLE = {int}
_PLAIN = _NUMBERS | {str, type(None), type(...), torch.dtype, torch.device, torch.layout, torch.memory_format}
_SHAPED_BY_INPUTS = frozenset({"add", "sub", "mul", "div", "neg"})

Nodes = tuple[int, int]
"""The sequence numbers before a call and after it: the nodes that it made lie between."""


Ticket = tuple[tuple[Any, ...], tuple[events.Input, ...], bool]
"""The arguments of a call that may take the lane: what its signature depends on, which is the call, the kinds of its
tensors, negative where one requires grad, and texts; what the op tells of them; and whether one requires grad."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What came of a call.

    signature  the number that it is told with
    kind       of its result; `steady` says that it cannot differ
    written    the call wrote to its first argument, and gave it back
    view       the result is a view of its first argument
    """

    signature: int
    kind: int
    steady: bool
    written: bool
    view: bool


class Lane:
    """Tells of calls that were met before."""

    def __init__(self, book: Book, ops: Ops) -> None:
        self._book = book
        self._ops = ops
        # By key, and by what came of the call: True where it was tracked, else what cut it, False for nothing.
        self._plans: dict[tuple[Any, ...], dict[bool | Cause, Plan]] = {}
        self._texts: dict[float, str] = {}
        self._measured = type(book.tensors) is not Tensors

    def before(self, call: Call, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Ticket | None:
        """A ticket for a call that is about to run, None where no call with such arguments was met before."""
        try:
            ticket = self.ticket(call, args, kwargs)
        except Exception as failure:
            self._book.sink.failed("recording an op", failure)
            return None
        return ticket if ticket is not None and ticket[0] in self._plans else None

    def ran(
        self,
        here: Here,
        call: Call,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        ticket: Ticket | None,
        result: Any,
        start: int,
        end: int,
        frame: FrameType,
    ) -> None:
        """Tell of a call that ran; one that writes to nothing may be looked at only now, and has no ticket yet."""
        try:
            if ticket is None:
                ticket = self._pair(call, args) if len(args) == 2 and not kwargs else self.ticket(call, args, kwargs)
            if ticket is None or not self._fits(here, args, ticket, result, start, end, frame):
                self._look_closer(here, call, args, kwargs, ticket, result, (start, end), frame)
        except Exception as failure:
            self._book.sink.failed("recording an op", failure)

    def first(
        self,
        here: Here,
        call: Call,
        args: tuple[Any, ...],
        found: Gathered,
        ticket: Ticket | None,
        result: Any,
        nodes: Nodes,
        frame: FrameType,
    ) -> None:
        """Tell of a call that was looked at closely, and plan for the next one like it, if it may take the lane."""
        plan = None if ticket is None else self._plan(call, args, result)
        signature = self._ops.ran(here, call, args, found, result, nodes, frame)
        if ticket is None or plan is None or signature is None:
            return
        key, _, needs = ticket
        tracked = nodes[0] != nodes[1] and result.requires_grad
        outcome = tracked or (needs and cause_of_mode(here)) or False
        if outcome is False and needs:
            return  # why it was not tracked depends on more than the mode
        if plan.written and not call.inplace and needs and outcome is not True:
            return  # whether it is a leaf that was written is not in the key
        if len(self._plans) >= LIMIT:
            self._plans.clear()
        self._plans.setdefault(key, {})[outcome] = replace(plan, signature=signature)

    def _plan(self, call: Call, args: tuple[Any, ...], result: Any) -> Plan | None:
        """A plan for the calls that are like one that has just run, as yet without a signature."""
        if type(result) is not Tensor and type(result) is not Parameter:
            return None
        kind = self._book.kinds.of(result)
        view = result._is_view()
        if id(result) in self._book.tensors:
            written = bool(args) and result is args[0] and not view
            return Plan(-1, kind, False, written=True, view=False) if written else None
        if view:
            return Plan(-1, kind, False, written=False, view=True) if _is_view_of(result, args) else None
        tensors = [item for item in args if isinstance(item, Tensor)]
        steady = call.name in _SHAPED_BY_INPUTS and all(tensor.is_floating_point() for tensor in tensors)
        return Plan(-1, kind, steady, written=False, view=False)

    def _fits(
        self,
        here: Here,
        args: tuple[Any, ...],
        ticket: Ticket,
        result: Any,
        start: int,
        end: int,
        frame: FrameType,
    ) -> bool:
        """Tell of a call if it went as one before it; False where it did not."""
        key, inputs, needs = ticket
        plans = self._plans.get(key)
        if plans is None or (type(result) is not Tensor and type(result) is not Parameter):
            return False
        tracked = start != end and result.requires_grad
        plan = plans.get(tracked or (needs and cause_of_mode(here)) or False)
        if plan is None:
            return False
        kind, written, view = plan.kind, plan.written, plan.view
        book = self._book
        tensors = book.tensors
        known = tensors.get(id(result))
        if not plan.steady:
            if (known is not None) is not written or view is not result._is_view():
                return False
            if (written and result is not args[0]) or (view and not _is_view_of(result, args)):
                return False
            if book.kinds.of(result) != kind:
                return False
        elif known is not None:
            return False
        road = walk(here.inside, frame)
        if road is None:
            return True
        site = book.paths.sites.get(road, -1)
        if site == -1:
            site = book.paths.site(road, frame)
        # `Book.tell_op`, `Trail.add` and `Tensors.learn`, written out: since a call takes longer than what they do.
        context = here.context
        if context < 0 or here.inside is not here.context_inside or here.region is not here.context_region:
            context = book.context(here)
        value = book.last_value = next_id()
        pending = book.sink.pending
        pending.append((value, plan.signature, site, context, inputs))
        if len(pending) >= PENDING_LIMIT:
            book.sink.drain()
        if tracked:
            trail = here.trail
            if start == trail.end and len(trail.ops) < TRAIL_LIMIT:
                trail.end = end
                trail.ends.append(end)
                trail.ops.append(value * COUNTS + 1)
            else:
                trail.add(start, end, value)
        if known is None:
            if self._measured:
                known = tensors.learn(result, value, kind)
            else:
                known = Known(result, tensors.forget)
                known.tensor_id = place = id(result)
                known.value = value
                known.kind = kind
                known.base = None
                tensors[place] = known
            if view:
                source = tensors[id(args[0])]
                known.base = source.base or source
                known.version = version_of(result)
        else:
            known.value = value
            known.kind = kind
            known.version = version_of(result)
        return True

    def _look_closer(
        self,
        here: Here,
        call: Call,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        ticket: Ticket | None,
        result: Any,
        nodes: Nodes,
        frame: FrameType,
    ) -> None:
        """The other road, for a call that has returned."""
        if is_inner(frame):
            return
        with self._book.lock, torch._C.DisableTorchFunction():
            found = self._ops.gather(here, call, args, kwargs, frame)
            if found is None:
                self._ops.prepared(here, call, result, frame)
            else:
                ticket = ticket or self.ticket(call, args, kwargs)
                self.first(here, call, args, found, ticket, result, nodes, frame)

    def _pair(self, call: Call, args: tuple[Any, ...]) -> Ticket | None:
        """`ticket` for two arguments of which the first is a tensor and the other one too, or a number."""
        one, other = args
        kind = type(one)
        known = self._book.tensors.get(id(one)) if kind is Tensor or kind is Parameter else None
        if known is None or not known.value or known.base is not None:
            return self.ticket(call, args, {})
        needs = one.requires_grad
        kind = type(other)
        if kind in _NUMBERS:
            if call.operands < 2:
                return self.ticket(call, args, {})
            text = self._texts.get(other) if kind is float else None
            if text is None:
                text = self._text(other)
            return (call, -known.kind if needs else known.kind, kind), (known.value, text), needs
        second = self._book.tensors.get(id(other)) if kind is Tensor or kind is Parameter else None
        if second is None or not second.value or second.base is not None or second is known:
            return self.ticket(call, args, {})
        needs_too = other.requires_grad
        key = call, -known.kind if needs else known.kind, -second.kind if needs_too else second.kind
        return key, (known.value, second.value), needs or needs_too

    def _text(self, number: float) -> str:
        text = repr(number)
        # 0.0 and -0.0 are one key; a NaN is none that is found again.
        if type(number) is float and number and number == number:
            if len(self._texts) >= LIMIT:
                self._texts.clear()
            self._texts[number] = text
        return text

    def ticket(self, call: Call, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Ticket | None:
        """The arguments of a call; None where one of them is of a kind that has to be looked at closely."""
        tensors = self._book.tensors
        key: list[Any] = [call]
        inputs: list[events.Input] = []
        needs = False
        # Written out for what is met most; `_take` knows more.
        for item in args:
            kind = type(item)
            if kind is Tensor or kind is Parameter:
                known = tensors.get(id(item))
                if known is None or not known.value:
                    return None
                if known.base is not None and version_of(item) != known.version:
                    return None
                if item.requires_grad:
                    needs = True
                    key.append(-known.kind)
                else:
                    key.append(known.kind)
                inputs.append(known.value)
            elif kind in _NUMBERS and len(key) <= call.operands:
                key.append(kind)
                inputs.append(repr(item))
            elif kind in _PLAIN or (kind is tuple and set(map(type, item)) == _WHOLE):  # such as a stride
                key.append((kind, item))
            else:
                found = self._take(key, inputs, item)
                if found is None:
                    return None
                needs = needs or found
        if kwargs:
            if len(args) < call.operands:
                return None
            for name, item in kwargs.items():
                key.append(name)
                kind = type(item)
                if kind in _PLAIN:
                    key.append((kind, item))
                    continue
                found = self._take(key, inputs, item)
                if found is None:
                    return None
                needs = needs or found
        if not inputs:
            return None
        count = len(inputs)
        if count > 1 and (inputs[0] == inputs[1] if count == 2 else len(set(inputs)) < count):
            key.append(tuple(map(inputs.index, inputs)))  # `x * x` keeps one tensor twice, `x * y` two
        if call.inplace:
            # What is known of a view's base changes too, and what autograd makes of the write hangs on more.
            target = args[0] if args else None
            if type(target) is not Tensor or target._is_view():
                return None
            key.append(target.is_leaf)
        return tuple(key), tuple(inputs), needs

    def _take(self, key: list[Any], inputs: list[events.Input], item: Any) -> bool | None:
        """Add an argument that is no operand; returns whether it requires grad, None where it cannot be added."""
        kind = type(item)
        if kind in _PLAIN:
            key.append((kind, item))
            return False
        if kind is Tensor or kind is Parameter:
            known = self._book.tensors.get(id(item))
            if known is None or not known.value or (known.base is not None and version_of(item) != known.version):
                return None
            required: bool = item.requires_grad
            key.append(-known.kind if required else known.kind)
            inputs.append(known.value)
            return required
        if kind is slice:
            parts = (item.start, item.stop, item.step)
            key.append((kind, *parts))
            return False if all(type(part) is int or part is None for part in parts) else None
        if kind is list or kind is tuple or kind is torch.Size:
            key.append((kind, len(item)))
            found = [self._take(key, inputs, part) for part in item]
            return None if None in found else True in found
        return None


def _is_view_of(result: Tensor, args: tuple[Any, ...]) -> bool:
    """Whether a view has the memory of the first argument."""
    source = args[0] if args else None
    base = result._base
    return type(source) is Tensor and (base is source or (source._is_view() and source._base is base))
