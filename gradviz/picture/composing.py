"""Composing: from a graph to the picture of it; decides which boxes, wires and frames there are and what they say."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain, compress
from operator import attrgetter
from typing import TYPE_CHECKING, NamedTuple

from gradviz.asking import edges_taken
from gradviz.collecting import uncollected
from gradviz.events import Cause
from gradviz.graphs import Graph, Op, Value
from gradviz.picture.coming_in import join_numbers
from gradviz.picture.ending import Endings
from gradviz.picture.framing import frame_ops
from gradviz.picture.hooking import mark_hooks
from gradviz.picture.marking import mark_findings
from gradviz.picture.raising import mark_errors
from gradviz.picture.receiving import Receipts
from gradviz.picture.records import Box, BoxKind, Picture, Wire, WireKind
from gradviz.picture.repeating import repeat_leaves
from gradviz.picture.returning import cut_off
from gradviz.picture.summing import Tally, describe, heading, list_notes, summarize
from gradviz.picture.wording import (
    REASONS,
    TOOLTIP_LIMIT,
    WIDE,
    Pairs,
    Wording,
    clean,
    dots,
    plural,
    shape_dtype,
    shorten,
)
from gradviz.roads import count_roads, is_view_with_grad_off, keeps_history, restarts
from gradviz.views import Options
from gradviz.withholding import hands_on_integers

if TYPE_CHECKING:
    from gradviz.diagnose import Finding

BADGES = frozenset({Cause.DETACH, Cause.DETACH_, Cause.DATA, Cause.RETENSOR, Cause.INTEGER, Cause.ITEM, Cause.NUMPY})
"""Causes that the user wrote as an op of its own: drawn as the badge of a cut. The others show on a skipped op."""


LITERAL_LIMIT = 24

EXITS = {"numpy": "numpy array", "__array__": "numpy array", "tolist": "Python list"}
"""What data leaves as, by the op's name; otherwise as a Python number."""


class _Tail(NamedTuple):
    """Where an input of an op comes from: its box, its value (None for a literal), and whether it required grad."""

    box: str
    value: int | None = None
    needs: bool = False


@uncollected
def compose(graph: Graph, options: Options, findings: Sequence[Finding] | None = None) -> Picture:
    """The picture of all of `graph`. Equal graphs give equal pictures, box for box.

    Of `findings`, which may be those of a graph that `graph` is a part of, errors and warnings are marked on what they
    blame and listed; see `marking`.
    """
    composer = _composer(graph, options)
    composer.receipts.cut_off = cut_off(graph, findings or ())
    for op in composer.drawn_ops():
        composer.add_op(op)
    composer.add_outputs()
    mark_errors(composer)
    picture = join_numbers(composer.finish(), graph)
    picture = mark_findings(picture, graph, composer.words, composer.roads.goals, findings or ())
    return repeat_leaves(picture) if graph.folds else picture


def _composer(graph: Graph, options: Options) -> Composer:
    if not graph.folds:
        return Composer(graph, options)
    # Imported here because it builds on this module.
    from gradviz.picture.folding import FoldingComposer

    return FoldingComposer(graph, options)


class Composer:
    """The picture in the making.

    data     box that a value's numbers come from, by value id
    history  box that the gradient to it goes to: the same one, except after a skipped write in place
    ends     the box that shows a value as itself, if one does
    handles  value -> the first version of the tensor object that the user holds it by
    latest   box of the last version of each such tensor
    """

    def __init__(self, graph: Graph, options: Options) -> None:
        self.graph = graph
        self.options = options
        self.words = Wording(graph)
        self.roads, self.taken = count_roads(graph), edges_taken(graph)
        self.frames, self.frame_of = frame_ops(graph, self.words)
        self.receipts = Receipts(graph, self.roads)
        self.tally = Tally()
        self.boxes: list[Box] = []
        self.wires: list[Wire] = []
        self.data: dict[int, str] = {}
        self.history: dict[int, str] = {}
        self.ends: dict[int, str] = {}
        self.handles: dict[int, int] = {}
        self.latest: dict[int, str] = {}
        # Without a step of Python for each op, of which there may be a million.
        self.consumed = set(chain.from_iterable(map(attrgetter("inputs"), graph.ops.values())))
        self.loose = set(graph.values).difference(self.consumed)
        still = {value for value in self._sources() if not graph.values[value].requires_grad}
        users = [op for op in graph.ops.values() if op.tracked and not still.isdisjoint(op.inputs)]
        self.frozen_later = still.intersection(*[chain.from_iterable(compress(op.inputs, op.needs) for op in users)])

    def _sources(self) -> Iterable[int]:
        return chain.from_iterable(op.outputs for op in self.graph.ops.values() if not op.inputs)

    def drawn_ops(self) -> Iterable[Op]:
        """The ops that are to be added, in order."""
        return self.graph.ops.values()

    def add_op(self, op: Op) -> None:
        if op.is_source and not op.tracked and not op.forgotten:
            for output in op.outputs:
                self._add_source(op, self.graph.values[output])
        elif op.cause in BADGES and op.outputs:
            self._add_cut_value(op)
        elif not op.outputs:
            self._add_exit(op)
        else:
            self._add_step(op)

    # what an op becomes

    def _add_source(self, op: Op, value: Value) -> None:
        """An op without inputs and its value are one box."""
        frozen_later = "frozen later" if value.id in self.frozen_later else ""
        born = self.words.born(value)
        state = frozen_later or self._state(value)
        detail = dots(shape_dtype(value), born, state)
        if state and len(detail) > WIDE and not value.version:
            detail = dots(shape_dtype(value), state)
        kind = BoxKind.LEAF if value.requires_grad or frozen_later else BoxKind.CONST
        pairs = (*self.words.place_pairs(op.site), *self.words.value_pairs(value), ("made by", clean(op.name)))
        self._stand_for(value, self.add_box(kind, self.words.value(value.id), detail, pairs, op, value), alone=True)
        if kind is BoxKind.LEAF:
            self.tally.leaves.add(value.storage)

    def _state(self, value: Value) -> str:
        return self.receipts.state(value, used=value.id in self.consumed)

    def _add_step(self, op: Op) -> None:
        """An op box; where it makes a leaf that requires grad, that leaf is a box of its own after it."""
        kind = BoxKind.OP if op.tracked else BoxKind.OFF
        first = self.graph.values[op.outputs[0]]
        status = self.words.status(op)
        in_place = f"in place, version {first.version}" if op.inplace else ""
        view = "view" if op.alias is not None and not op.inplace else ""
        attrs = self._attr_pairs(op)
        told = ", ".join(f"{name}={text}" for name, text in attrs)
        detail = dots(self.words.line(op.site), in_place or view, status, told)
        pairs = (
            *self.words.place_pairs(op.site),
            *self.words.op_pairs(op),
            *attrs,
            *self.words.value_pairs(first),
        )
        tails = self._inputs(op)
        box = self.add_box(kind, self.words.op(op), detail, pairs, op, first)
        self.tally.count(op, skipped=status.startswith("skipped"), region=self._region_kind(op))
        for tail in tails:
            self._wire_input(op, tail, box)
        self._wire_write_through(op, box)
        for output in op.outputs:
            self._stand_for(self.graph.values[output], box)
            if restarts(self.graph, op, output):
                self._add_new_leaf(op, self.graph.values[output], box)
        if keeps_history(self.graph, op) and op.alias is not None:
            aliased = op.inputs[op.alias]
            if isinstance(aliased, int) and aliased in self.history:
                self.history[op.outputs[0]] = self.history[aliased]
        self._add_saved(op, box)

    def _add_new_leaf(self, op: Op, value: Value, box: str) -> None:
        version = f"version {value.version}" if op.inplace else ""
        detail = dots(shape_dtype(value), version)
        pairs = (*self.words.place_pairs(op.site), *self.words.value_pairs(value))
        leaf = self.add_box(BoxKind.LEAF, self.words.value(value.id), detail, pairs, None, value)
        self.wires.append(Wire(box, leaf, WireKind.SHADOW))
        self._stand_for(value, leaf, alone=True)
        self.tally.leaves.add(value.storage)

    def _add_cut_value(self, op: Op) -> None:
        """The badge of the cut, then the box of the value that comes out of it."""
        value = self.graph.values[op.outputs[0]]
        tails = self._inputs(op)
        badge = self._badge(op, tails)
        kind = BoxKind.LEAF if value.requires_grad else BoxKind.OFF
        pairs = (*self.words.place_pairs(op.site), *self.words.op_pairs(op), *self.words.value_pairs(value))
        box = self.add_box(kind, self.words.cut_title(op), self.words.cut_detail(op), pairs, op, value)
        self._wire_cut(tails, badge, box)
        self.tally.count(op, skipped=False)
        if kind is BoxKind.LEAF:
            self.tally.leaves.add(value.storage)
        for output in op.outputs:
            self._stand_for(self.graph.values[output], box, alone=True)

    def _add_exit(self, op: Op) -> None:
        """Data left for Python or numpy. No badge: what leads nowhere in the graph cuts no road of the graph.

        Logging a loss with `item()` is what most programs do; red is for a road that is cut.
        """
        tails = self._inputs(op)
        kind = "numpy array" if op.cause is Cause.NUMPY else EXITS.get(op.name, "Python number")
        pairs = (*self.words.place_pairs(op.site), *self.words.op_pairs(op))
        box = self.add_box(BoxKind.EXIT, f"left as {kind}", dots(clean(op.name), self.words.line(op.site)), pairs, op)
        self.wires += [Wire(tail.box, box, WireKind.SHADOW) for tail in tails]
        self.tally.exits += 1

    def _wire_cut(self, tails: list[_Tail], badge: str, box: str) -> None:
        """What required grad goes to the badge, the rest past it."""
        for tail in tails:
            if tail.needs:
                self.wires.append(Wire(tail.box, badge, WireKind.CUT))
            else:
                self.wires.append(Wire(tail.box, box, WireKind.SHADOW))
        self.wires.append(Wire(badge, box, WireKind.SHADOW))

    def _badge(self, op: Op, tails: list[_Tail]) -> str:
        cause = op.cause or Cause.ITEM
        concerned = tuple(tail.value for tail in tails if tail.value is not None and tail.needs)
        self.tally.cuts.append((op, concerned))
        pairs = (("gradient stops here", REASONS[cause]), *self.words.place_pairs(op.site))
        return self.add_box(BoxKind.CUT, dots(clean(op.name), self.words.line(op.site)), "", pairs, op)

    def _region_kind(self, op: Op) -> str:
        region = self.graph.regions.get(op.region) if op.region is not None else None
        return region.kind if region is not None else str(op.cause or "")

    # what an op is joined to

    def _inputs(self, op: Op) -> list[_Tail]:
        """The inputs by position; adds the boxes that only this op uses: literals, and what was let go before it."""
        tails: list[_Tail] = []
        for item, needs in zip(op.inputs, op.needs, strict=True):
            if isinstance(item, str):
                tails.append(_Tail(self.add_box(BoxKind.CONST, clean(item, LITERAL_LIMIT), "", (), op)))
            else:
                if item not in self.data:
                    self.data[item] = self.add_box(BoxKind.MORE, "earlier, not drawn", "", (), None)
                tails.append(_Tail(self.data[item], item, needs))
        if op.forgotten:
            self.tally.forgotten += op.forgotten
            let_go = f"{plural(op.forgotten, 'earlier op')} let go"
            tails.append(_Tail(self.add_box(BoxKind.MORE, let_go, "", (), None)))
        return tails

    def _wire_input(self, op: Op, tail: _Tail, box: str) -> None:
        if op.tracked and tail.needs and tail.value is not None:
            if self._withholds(op, tail.value):
                self.tally.cuts.append((op, (tail.value,)))
                self.wires.append(Wire(tail.box, box, WireKind.SHADOW, lost=True))
                return
            history = self.history.get(tail.value, tail.box)
            self.wires.append(Wire(history, box, self._kind_into(op, tail.value)))
            if history != tail.box:
                self.wires.append(Wire(tail.box, box, WireKind.SHADOW))
            return
        lost = tail.needs and self._loses(op) and not self._is_lost_before(tail.value)
        if lost and tail.value is not None:
            self.tally.lost.append((op, tail.value))
        self.wires.append(Wire(tail.box, box, WireKind.SHADOW, lost=lost))

    def _kind(self, tracked: bool, *outputs: int) -> WireKind:
        """What a wire is that leads to something with these `outputs`."""
        if not tracked:
            return WireKind.SHADOW
        return WireKind.TRACKED if self.roads.gradient.keys().isdisjoint(outputs) else WireKind.GRADIENT

    def _kind_into(self, op: Op, value: int) -> WireKind:
        """What the wire is by which autograd would go on from the tracked `op` to its input `value`."""
        taken = self.taken is None or (op.id, value) in self.taken
        return self._kind(True, *op.outputs) if taken else WireKind.TRACKED

    def _loses(self, op: Op) -> bool:
        """A gradient that came from a goal down to this untracked op would be missed further back."""
        if op.cause is Cause.NONDIFFERENTIABLE or keeps_history(self.graph, op):
            return False
        return any(output in self.roads.data and not restarts(self.graph, op, output) for output in op.outputs)

    def _is_lost_before(self, value: int | None) -> bool:
        """The value is a view with grad off: what it is of has lost its gradient on entering that."""
        return value is not None and is_view_with_grad_off(self.graph.ops[self.graph.values[value].op])

    def _withholds(self, op: Op, value: int) -> bool:
        """Gradient came from a goal down to this tracked op, and it hands none on to its input `value`."""
        return (op.id, value) in self.roads.withheld or hands_on_integers(self.graph, op, self.roads.data)

    def _wire_write_through(self, op: Op, box: str) -> None:
        """A write in place through a view or a detached alias also changes its base: no other wire says so."""
        if not op.inplace or op.alias is None:
            return
        written = op.inputs[op.alias]
        if not isinstance(written, int) or written not in self.graph.values:
            return
        handle = self.handles.get(written, written)
        self.handles[op.outputs[0]] = handle
        base = self.graph.values[written].storage
        if base != handle and base in self.latest:
            self.wires.append(Wire(self.latest[base], box, WireKind.ALIAS, "writes into it"))

    def _add_saved(self, op: Op, box: str) -> None:
        if not self.options.show_saved:
            return
        for saved in op.saved:
            pairs = [("bytes", f"{saved.nbytes:,}")]
            of = ""
            if saved.source is not None:
                kept = op.outputs[-1 - saved.source] if saved.source < 0 else op.inputs[saved.source]
                pairs.insert(0, ("keeps", self.words.value(kept) if isinstance(kept, int) else clean(kept)))
                of = shorten(self.graph.values[kept].name) if isinstance(kept, int) else ""
            what = saved.dtype if saved.is_gone else f"{saved.shape} {clean(saved.dtype)}"
            head = self.add_box(BoxKind.SAVED, clean(f"saved {saved.name}"), dots(of, what), tuple(pairs), op)
            self.wires.append(Wire(box, head, WireKind.SAVED))

    def _attr_pairs(self, op: Op) -> Pairs:
        if not self.options.show_attrs:
            return ()
        limit = max(1, min(self.options.max_attr_chars, TOOLTIP_LIMIT))
        return tuple((clean(name), clean(text, limit)) for name, text in op.attrs)

    # where the drawing ends

    def add_outputs(self) -> None:
        """A box for each root of a sweep and for each value that nothing consumed, unless a box stands for it alone."""
        endings = Endings(self.graph)
        for id in endings.candidates(self.loose):
            value = self.graph.values[id]
            if id in self.ends or not (id in endings.roots or self._is_end(value)):
                continue
            kind, title, detail = endings.words(value)
            op = self.graph.ops[value.op]
            pairs = (*self.words.place_pairs(op.site), *self.words.value_pairs(value))
            box = self.add_box(kind, title, detail, pairs, None, value)
            tail = self.history[value.id] if value.requires_grad else self.data[value.id]
            self.wires.append(Wire(tail, box, self._kind(value.requires_grad, value.id)))
            self.ends[value.id] = box

    def _is_end(self, value: Value) -> bool:
        """Nothing consumed the value; of an op's unnamed results, one box is enough."""
        if value.id in self.consumed:
            return False
        outputs = self.graph.ops[value.op].outputs
        unused = not any(output in self.consumed or self.graph.values[output].name for output in outputs)
        return bool(value.name) or (unused and value.index == 0)

    # keeping

    def add_box(
        self,
        kind: BoxKind,
        title: str,
        detail: str,
        pairs: Pairs,
        op: Op | None,
        value: Value | None = None,
        site: int | None = None,
    ) -> str:
        id = f"b{len(self.boxes)}"
        frame = self.frame_of.get(op.id) if op is not None else None
        own = value.id if value is not None else None
        self.boxes.append(Box(id, kind, title, detail, pairs, frame, own, op.id if op is not None else None, site))
        return id

    def _stand_for(self, value: Value, box: str, *, alone: bool = False) -> None:
        """Wires from `value` start at `box`; `alone` where the box shows the value itself and needs no output box."""
        self.data[value.id] = self.history[value.id] = box
        self.latest[self.handles.get(value.id, value.id)] = box
        if alone:
            self.ends[value.id] = box

    def finish(self) -> Picture:
        return Picture(
            title=heading(self.graph, self.options),
            summary=summarize(self.graph, self.words, self.roads, self.tally),
            description=describe(self.graph, self.words, self.roads, self.tally),
            boxes=mark_hooks(self.boxes, self.graph, self.words, self.data),
            wires=tuple(self.wires),
            frames=self.frames,
            notes=list_notes(self.graph, self.words, self.tally),
        )
