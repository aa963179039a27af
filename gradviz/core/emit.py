"""From the core to events: what a recording hears while ops run.

It is told of each Trace or Node as it is made. What happened before a recording began is walked back to, through the
records that are still linked, when it is first used.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from types import FrameType
from typing import Any

from gradviz import events
from gradviz.callees import function_name
from gradviz.core.grad_mode import Region, current
from gradviz.core.handing import Handing
from gradviz.core.holdings import Holdings
from gradviz.core.lane import Lane
from gradviz.core.listeners import Deed, Holder, listen, observers, unlisten
from gradviz.core.measuring import Measures, measure_gradient
from gradviz.core.signatures import inputs_of, literals_of, needs_of, outputs_of, saved_by, types_of
from gradviz.core.tensor import Tensor
from gradviz.core.trace import ALIAS, INNER, INPLACE, KEEPS_NODE, LATE, LEAF_GRAD, PART, Node, Trace, seen, told_of
from gradviz.core.values import made_by, raw_value_id
from gradviz.ids import next_id
from gradviz.interning import FIRST_LINE, Interner, OpSink, Sink
from gradviz.sites import Spot, call_path, decode, spot_at
from gradviz.targets import single_target, unpacked_target

VARIANT_LIMIT = 64
"""How many settings of plain arguments a row is told with; a loop over `x[i]` must not grow the book."""


class Emitter:
    """Listens to the core and emits events into a sink; each site, signature and context is emitted once.

    began    ids below this one are of ops that ran before the recording
    older    those of them that were told of all the same, because something used them
    flags    for leaves among them, `requires_grad` as it was told
    """

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._interner = Interner.of(sink)
        self._numbers = self._interner.numbers
        self._lock = threading.RLock()
        self._measures = Measures() if getattr(sink, "values", False) else None
        self._began = self._latest = 0
        self._older: set[int] = set()
        self._flags: dict[int, bool] = {}
        self._signatures: dict[tuple[Any, ...], int] = {}
        self._variants: dict[str, set[tuple[str, ...]]] = {}
        self._regions: dict[int, int] = {}
        self._holdings = Holdings(self)
        self._handing = Handing(self)
        self._lane: Lane | None = None
        if isinstance(sink, OpSink) and self._measures is None:  # what an op's results hold is told right after it
            self._lane = Lane(sink, self._older, self._flags)

    # ---- as a listener of the core

    def install(self) -> None:
        """Start to listen, in all threads."""
        with self._lock:
            # In this order: an op of another thread that is not heard has an id from before the beginning.
            listen(self)
            if self._measures is not None:
                observers.append(self)
            self._handing.install()
            self._began = next_id()
            if self._lane is not None:
                self._lane.began = self._began

    def uninstall(self) -> None:
        """Stop listening."""
        unlisten(self)
        self._handing.uninstall()
        if self in observers:
            observers.remove(self)

    def saw(self, step: Trace, results: tuple[Any, ...]) -> None:
        """Measure what an op gave, until it is told of."""
        if self._measures is not None:
            self._guarded("values", self._measures.saw, step, results)

    def op_ran(self, step: Trace, frame: FrameType) -> None:
        """Emit an op that has just run."""
        with self._lock:
            try:
                path, lane = call_path(frame), self._lane
                if lane is None or (found := lane.plan_of(step, path)) is None:
                    self._op(step, path)
                    return
                plan, inputs = found
                if step.id > self._latest:
                    self._latest = step.id
                region = step.region if step.rare is not None or not step.tracked else None  # quicker than `Rare`
                lane.add((step.id, plan.signature, plan.site, self._context_in(region), inputs))
            except Exception as failure:
                self._sink.failed("recording an op", failure)

    def named(self, tensors: Sequence[Any], frame: FrameType) -> None:
        """Emit the names that the results of several inner ops are assigned to."""
        self._guarded("a name", self._named, tensors, frame)

    def region_opened(self, region: Region, frame: FrameType) -> None:
        """Emit a switch of the grad mode."""
        self._guarded("a grad mode", self._region, region, frame)

    def region_closed(self, region: Region) -> None:
        """Emit its end."""
        self._guarded("a grad mode", self._region_end, region)

    def flag_set(self, leaf: Tensor, frame: FrameType) -> None:
        """Emit a change of a leaf's `requires_grad`."""
        self._guarded("requires_grad", self._flag, leaf, frame)

    def acted(self, kind: str, tensor: Tensor, frame: FrameType, hook: Any = None) -> None:
        """Emit that `.grad` was read or written, or a hook was put on a tensor."""
        self._guarded(f"`{kind}`", self._act, kind, tensor, frame, hook)

    def sweep_ran(self, sweep: Any, frame: FrameType) -> None:
        """Emit a backward pass."""
        self._guarded("a backward pass", self._sweep, sweep, frame)

    def held(self, deed: Deed, holder: Any, frame: FrameType, *more: Any) -> None:
        """Emit what a module or an optimizer did."""
        self._guarded("a module or an optimizer", self._holdings.take, deed, holder, frame, *more)

    def name(self, value: object, name: str, role: events.Role | None = None) -> bool:
        """Emit the user's name for a value. True where `value` is a tensor of the core."""
        if issubclass(type(value), Holder):  # `isinstance` would ask a `__class__` of the object's own
            with self._lock:
                self._holdings.name(value, name)
            return True
        if not issubclass(type(value), Tensor):
            return False
        assert isinstance(value, Tensor)
        with self._lock:
            self._holdings.name_tensor(value, name, role)
        return True

    def _guarded(self, what: str, step: Callable[..., None], *arguments: Any) -> None:
        with self._lock:
            try:
                step(*arguments)
            except Exception as failure:
                self._sink.failed(f"recording {what}", failure)

    # ---- one method an event

    def _op(self, step: Trace, path: tuple[Spot, ...]) -> None:
        if step.id < self._began:  # it ran while the recording began
            if step.id in self._older:
                return
            self._older.update(range(step.id, step.id + 1 + len(step.more)))
        if step.flags & PART:
            if self._measures is not None:
                self._measures.of(step)
            return
        for link in told_of(step)[0]:
            origin, _ = seen(link, step.id)
            if origin is not None and (origin.id < self._began or origin.flags & LATE):
                self.history((origin,))
        site = self._interner.site(path, bool(step.flags & INNER))
        signature = self._emit_op(step, site, self._context_in(step.region))
        if self._lane is not None:
            self._lane.keep(step, path, signature, site)
        if self._measures is not None:
            for measure in self._measures.of(step):
                self._sink.emit(measure)

    def add(self, event: events.Name | events.Act | events.Sweep) -> None:
        """Emit what comes between ops; it may wait in the same queue."""
        if self._lane is None:
            self._sink.emit(event)
        else:
            self._lane.add(event)

    def _context_in(self, region: Region | None) -> int:
        """What this thread is in, where `region` is the innermost one."""
        here = self._holdings.here
        told, scopes = here.told, here.scopes
        scope = scopes[-1] if scopes else ""
        if told is not None and told[0] is region and told[1] == scope:
            return told[2]
        number = None if region is None else self._region_id(region)
        context = self._interner.context(self._numbers.thread(), scope, number)
        here.told = region, scope, context
        return context

    def _emit_op(self, step: Trace, site: int | None, context: int) -> int:
        self._latest, inputs = max(self._latest, step.id), inputs_of(step)
        merges = step.row.key == "copy_slices"  # what it needs of the part is not the part's flag
        for item, need in zip(inputs, needs_of(step), strict=True):
            if isinstance(item, int) and self._flags.get(item, need) != need and not merges:
                self._tell_flag(item, need)
        signature = self._signature(step)
        self._sink.emit(events.Op(step.id, signature, site, context, inputs, step.forgotten))
        if step.flags & LATE:
            self._holdings.told(step)
        if (step.id < self._began or step.flags & LATE) and not step.tracked and not step.flags & KEEPS_NODE:
            flag = bool(step.flags & LEAF_GRAD)
            self._flags.update((step.id + number, flag) for number in range(1 + len(step.more)))
        return signature

    def _named(self, tensors: Sequence[Any], frame: FrameType) -> None:
        target = self._interner.target(call_path(frame))
        for index, tensor in enumerate(tensors):
            name = unpacked_target(target, index, len(tensors))
            if name and isinstance(tensor, Tensor) and tensor._origin.flags & INNER:
                self._sink.emit(events.Name(raw_value_id(tensor), name))

    def _flag(self, leaf: Tensor, frame: FrameType) -> None:
        self._know(leaf)
        self._tell_flag(raw_value_id(leaf), leaf._requires_grad, self._interner.site(call_path(frame)))
        if leaf._requires_grad:
            self._name_flagged(leaf._origin)

    def _act(self, kind: str, tensor: Tensor, frame: FrameType, hook: Any) -> None:
        value, site = self._know(tensor), self._interner.site(call_path(frame))
        text = "" if hook is None else function_name(hook)
        self.add(events.Act(kind, (value,), site, self._context_in(current()), after=self._latest, text=text))

    def _name_flagged(self, origin: Trace) -> None:
        """Name what `W1 = (...).requires_grad_()` gave: the op that made it is not what was assigned.

        A library's parameter is called by its place in the module, and not as the loop that thaws it does.
        """
        place = None if origin.flags & LATE else getattr(origin, "flagged", None)
        if place is not None and not decode(origin.code, origin.lasti).target:
            name = single_target(decode(*place).target)
            if name:
                self._sink.emit(events.Name(origin.id, name))

    def _tell_flag(self, value: int, flag: bool, site: int | None = None) -> None:
        self._sink.emit(events.RequiresGrad(value, flag, site))
        if value in self._flags:
            self._flags[value] = flag

    def _region(self, region: Region, frame: FrameType) -> None:
        spots = call_path(frame)
        if region.lasti == FIRST_LINE and region.code is not None:
            spots = (spot_at(region.code, FIRST_LINE), *spots)
        self._region_id(region, self._interner.site(spots, True), self._numbers.thread())

    def _region_id(self, region: Region, site: int | None = None, thread: int | None = None) -> int:
        known = self._regions.get(region.id)
        if known is not None:
            return known
        parent = None if region.parent is None else self._region_id(region.parent, thread=thread)
        if site is None and region.code is not None:
            site = self._interner.site((spot_at(region.code, region.lasti),), True)
        known = self._numbers.region()
        here = self._numbers.thread() if thread is None else thread
        self._sink.emit(events.Region(known, region.kind, region.enabled, site, here, parent))
        self._regions[region.id] = known
        return known

    def _region_end(self, region: Region) -> None:
        known = self._regions.pop(region.id, None)
        if known is not None:
            self._sink.emit(events.RegionEnd(known))

    def _sweep(self, sweep: Any, frame: FrameType) -> None:
        roots = tuple([self._know(root) for root in sweep.roots])
        inputs = None if sweep.inputs is None else tuple([self._know(tensor) for tensor in sweep.inputs])
        leaves = [self._know(leaf) for leaf, _ in sweep.fed]
        site = self._interner.site(call_path(frame))
        gradients = []
        for value, (leaf, grad) in zip(leaves, sweep.fed, strict=True):
            gradients.append(measure_gradient(value, grad))
            name = self._holdings.leaf_name(leaf) if grad is leaf._grad else ""
            if name:
                self._holdings.tell_name(grad, f"{name}.grad")
        self.add(
            events.Sweep(
                id=self._numbers.sweep(),
                kind=sweep.kind,
                roots=roots,
                site=site,
                context=self._context_in(current()),
                inputs=inputs,
                gradients=tuple(gradients),
                freed=not sweep.retain_graph,
                create_graph=sweep.create_graph,
                error=sweep.error,
                concerned=tuple(id for id in sweep.concerned if id >= self._began or id in self._older),
            )
        )

    def _know(self, tensor: Tensor) -> int:
        """See to it that the value that a tensor is was told of; gives its id."""
        origin, number = made_by(tensor)
        if (origin.id < self._began and origin.id not in self._older) or origin.flags & LATE:
            self.history((origin,))
        return origin.id + number

    def history(self, origins: Iterable[Trace]) -> None:
        """Emit the ops that lead to `origins` and were not emitted yet, oldest first."""
        queue: list[Trace] = []
        for origin in origins:
            self._visit(origin, queue)
        for step in queue:
            for link in told_of(step)[0]:
                found, _ = seen(link, step.id)
                if found is not None:
                    self._visit(found, queue)
        queue.sort(key=_by_id)
        for step in queue:
            path = self._holdings.path_of(step) or (spot_at(step.code, step.lasti),)
            site = self._interner.site(path, bool(step.flags & INNER))
            region = None if step.region is None else self._region_id(step.region, thread=0)
            self._emit_op(step, site, self._interner.context(0, "", region))
            self._name_flagged(step)
        for step in queue:
            if isinstance(step, Node):
                self.settle(leaf for leaf in step.leaves or () if leaf is not None)

    def _visit(self, origin: Trace, queue: list[Trace]) -> None:
        if (origin.id < self._began or origin.flags & LATE) and origin.id not in self._older:
            self._older.update(range(origin.id, origin.id + 1 + len(origin.more)))
            queue.append(origin)

    def settle(self, tensors: Iterable[Tensor]) -> None:
        """Tell of leaves from before whose `requires_grad` is not what was told."""
        for leaf in tensors:
            value = raw_value_id(leaf)
            if self._flags.get(value, leaf.requires_grad) != leaf.requires_grad:
                self._tell_flag(value, leaf.requires_grad)

    # ---- what is emitted once

    def _signature(self, step: Trace) -> int:
        row = step.row
        literals = self._literals(step)
        key = (
            row.key,
            step.op_name,
            step.tracked,
            step.cause,
            needs_of(step),
            step.flags & (ALIAS | INPLACE | LEAF_GRAD | KEEPS_NODE),
            step.shape,
            step.array_type,
            step.more,
            literals,
            types_of(step) if row.saved_names and step.tracked else tuple(link is None for link in step.links),
        )
        known = self._signatures.get(key)
        if known is None:
            known = self._numbers.signature()
            self._sink.emit(
                events.Signature(
                    id=known,
                    name=step.op_name,
                    node=type(step).__name__ if step.tracked else "",
                    tracked=step.tracked,
                    cause=step.cause,
                    needs=needs_of(step),
                    outputs=outputs_of(step),
                    alias=0 if step.flags & ALIAS and step.links and step.whole is None else None,
                    inplace=bool(step.flags & INPLACE and step.links),
                    saved=saved_by(step) if isinstance(step, Node) else (),
                    attrs=tuple((name, text) for name, text in zip(row.static, literals, strict=True) if text),
                )
            )
            self._signatures[key] = known
        return known

    def _literals(self, step: Trace) -> tuple[str, ...]:
        """The texts of an op's plain arguments; empty ones where its row was called in too many ways."""
        texts = literals_of(step)
        known = self._variants.setdefault(step.row.key, set())
        if texts not in known:
            if len(known) >= VARIANT_LIMIT:
                return ("",) * len(texts)
            known.add(texts)
        return texts


def _by_id(step: Trace) -> int:
    return step.id
