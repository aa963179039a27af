"""Drawing folds: a closed one as one box, an open one as a frame around its first turn; see `gradviz.fold`.

What is counted, cut, lost and blamed is the same as in the picture of all ops: each op is gone through, and where it
has no box of its own, its wires go to the box that stands for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from gradviz.events import Input
from gradviz.fold.joining import stand_for
from gradviz.fold.leaves import KIND as LEAVES
from gradviz.graphs import Fold, Graph, Op, Value
from gradviz.picture.carrying import mark_turns
from gradviz.picture.composing import BADGES, Composer
from gradviz.picture.fold_frames import frame_folds
from gradviz.picture.fold_words import Content, closed_words, fold_title, tell_folds
from gradviz.picture.later_turns import later_equals, passed_over
from gradviz.picture.records import Box, BoxKind, Picture, Wire, WireKind
from gradviz.picture.tidying import in_order, without_empty_frames
from gradviz.roads import keeps_history, restarts
from gradviz.views import Options


class FoldingComposer(Composer):
    """The picture of a folded graph in the making.

    contents  what has been put into each closed fold, by its first op
    entries   the box that the inputs of an op go to, for the ops that others are drawn as
    withholding
              the custom functions that gave no gradient for some input
    equals    ops of later turns that are drawn with one of the second, by that one
    asked_for the values of those whose boxes are looked up
    """

    def __init__(self, graph: Graph, options: Options) -> None:
        super().__init__(graph, options)
        self.standing = stand_for(graph.folds)
        self.contents: dict[int, Content] = {}
        self.closed = {fold.id: fold for fold in graph.folds if not fold.open}
        self.last_turns = {fold.id: fold.times - 1 for fold in graph.folds}
        self.last_ops = {fold.id: max(op for op in fold.ops if graph.ops[op].outputs) for fold in self.closed.values()}
        self.models = set(self.standing.twins.values())
        self.entries: dict[int, str] = {}
        self.withholding = {op for op, _ in self.roads.withheld}
        self.joined: set[tuple[str, str, WireKind, bool]] = set()
        self.sharing, self.inside = self._find_sharing()
        self.unseen = self._find_unseen()
        self.equals = later_equals(graph)
        self.asked_for: set[Input] = set()
        self.frames, self.frame_of = frame_folds(graph, self.words, self.frames, self.frame_of)
        self.parents = {frame.id: frame.parent for frame in self.frames}

    def drawn_ops(self) -> Iterable[Op]:
        passed = passed_over(self.equals)
        if not passed:
            return self.graph.ops.values()
        drawn = [op for op in self.graph.ops.values() if op.id not in passed]
        self.asked_for = self._find_asked_for(drawn)
        return drawn

    def _find_asked_for(self, drawn: Iterable[Op]) -> set[Input]:
        """The values whose boxes something wants to know besides the ops that are passed over."""
        graph = self.graph
        asked: set[Input] = set().union(self.loose, *(op.inputs for op in drawn))
        asked.update(graph.values[op.outputs[0]].storage for op in drawn if op.inplace and op.outputs)
        asked.update(value for sweep in graph.sweeps for value in (*sweep.roots, *sweep.concerned))
        asked.update(value for error in graph.errors for value in error.values)
        asked.update(carried.leaves for fold in graph.folds for carried in fold.carried)
        return asked

    def add_op(self, op: Op) -> None:
        if op.id in self.unseen:
            self._count(op)
            return
        self._add_seen(op)
        if op.id in self.equals:
            self._add_equals(op, self.equals[op.id])

    def _add_seen(self, op: Op) -> None:
        shown = self.standing.shown(op.id)
        if shown in self.contents or shown in self.standing.within:
            self._absorb(op, self._content(shown))
        elif shown != op.id:
            model = self.graph.ops[shown]
            if shown not in self.entries:  # a leaf of a later turn may be older than that of the first
                self._draw(model)
            self._repeat(op, model)
        elif op.id not in self.entries:
            self._draw(op)

    def _draw(self, op: Op) -> None:
        """Draw an op as itself."""
        first, wired = len(self.boxes), len(self.wires)
        super().add_op(op)
        self.joined.update((wire.tail, wire.head, wire.kind, wire.lost) for wire in self.wires[wired:])
        if op.id in self.models:
            own = [box for box in self.boxes[first:] if box.op == op.id and not _is_literal(box)]
            self.entries[op.id] = own[0].id

    # leaves that several folds share

    def _find_sharing(self) -> tuple[dict[int, set[int]], dict[int, int]]:
        """For each shared leaf, by its op, the folds that use it unseen; and which of them an op is in."""
        sharing: dict[int, set[int]] = {}
        inside: dict[int, int] = {}
        for number, fold in enumerate(self.graph.folds):
            for source in fold.shared:
                sharing.setdefault(source, set()).add(number)
            for turn in (fold.turns[1:] if fold.open else fold.turns) if fold.shared else ():
                inside.update(dict.fromkeys(turn, number))
        return sharing, inside

    def _is_unseen(self, source: int, op: int) -> bool:
        """`op` uses the leaf that `source` makes, and no wire says so."""
        if source not in self.sharing:
            return False
        while self.inside.get(op) not in self.sharing[source]:
            if op not in self.standing.twins:
                return False
            op = self.standing.twins[op]  # a turn of a loop around the fold
        return True

    def _find_unseen(self) -> set[int]:
        """The shared leaves that have no box, because all that use them do so unseen."""
        unseen = set(self.sharing)
        for op in self.graph.ops.values() if unseen else ():
            for item in op.value_inputs:
                made = self.graph.values[item].op
                if made in unseen and not self._is_unseen(made, op.id):
                    unseen.discard(made)
        return unseen

    # one box for many ops

    def _content(self, shown: int) -> Content:
        content = self.contents.get(shown)
        if content is None:
            box = self.add_box(BoxKind.OP, "", "", (), self.graph.ops[shown])
            content = self.contents[shown] = Content(self.closed[shown], box, self._state)
        return content

    def _absorb(self, op: Op, content: Content) -> None:
        plain = op.tracked and len(op.outputs) == 1 and not op.forgotten and op.id not in self.withholding
        if plain and not self.sharing:
            self._absorb_plain(op, content)
            return
        cuts = self._count(op)
        if op.id not in self.standing.twins:
            content.add(self.graph, op, cuts, skipped=self.words.status(op).startswith("skipped"))
            for source in {self.graph.values[item].op for item in op.value_inputs} & self.sharing.keys():
                content.share(self.graph, self.graph.ops[source])
        self._join(op, content.box)
        for output in op.outputs:
            self._stand_in(output, content.box, content.box)
            if op.is_source:
                self.ends[output] = content.box
        self._keep_history(op)

    def _absorb_plain(self, op: Op, content: Content) -> None:
        """What `_absorb` does with nearly every op of a long recording, with nothing asked that cannot be so."""
        self.tally.tracked += 1
        if op.id not in self.standing.twins:
            content.add(self.graph, op, 0, skipped=False)
        box, data, history = content.box, self.data, self.history
        for item in op.inputs:
            # What the box gives itself needs no wire.
            if item in data and not (data[item] == history[item] == box):
                self._join(op, box)
                break
        self._stand_in(op.outputs[0], box, box)

    def _repeat(self, op: Op, model: Op) -> None:
        """`op` does what `model` did and is drawn as that one."""
        if not op.tracked or op.forgotten or len(op.outputs) != 1 or op.id in self.withholding:
            self._count(op)
        else:  # as `_count` would; nearly all ops of a long loop come by here
            self.tally.tracked += 1
        self._join(op, self.entries[model.id])
        for output, shown in zip(op.outputs, model.outputs, strict=True):
            self._stand_in(output, self.data[shown], self.history[shown])
            if shown in self.ends:
                self.ends[output] = self.data[shown]

    def _add_equals(self, op: Op, equals: Sequence[int]) -> None:
        """Add the ops that are drawn as `op` is and add no wire."""
        self.tally.tracked += len(equals)
        for output in op.outputs:
            beyond = output - op.id
            values = [equal + beyond for equal in equals if equal + beyond in self.asked_for]
            self.data.update(dict.fromkeys(values, self.data[output]))
            self.history.update(dict.fromkeys(values, self.history[output]))
            self.latest.update(dict.fromkeys(values, self.data[output]))
            if output in self.ends:
                self.ends.update(dict.fromkeys(values, self.ends[output]))

    def _stand_in(self, value: int, box: str, history: str) -> None:
        self.data[value], self.history[value] = box, history
        self.latest[self.handles.get(value, value)] = box

    def _join(self, op: Op, box: str) -> None:
        """The wires into a box that stands for `op` too; between two boxes one of each kind is enough."""
        data, joined, tracked, histories = self.data, self.joined, op.tracked, self.history
        for item, needs in zip(op.inputs, op.needs, strict=True):
            if type(item) is not int or item not in data:
                continue
            tail, history = data[item], histories[item]
            # Most of what turns hand to each other and take from outside has its wire already.
            kind = WireKind.GRADIENT if tracked and needs else WireKind.SHADOW
            if history == tail and (tracked or not needs) and (tail == box or (tail, box, kind, False) in joined):
                continue
            source = self.graph.values[item].op
            if self._is_unseen(source, op.id) or self.standing.is_carried(source, op.id):
                continue
            if needs and self.boxes[int(box[1:])].kind is BoxKind.CUT:
                self._wire_once(tail, box, WireKind.CUT)
            elif tracked and needs and self._withholds(op, item):
                self._wire_once(tail, box, WireKind.SHADOW, lost=True)
            elif tracked and needs:
                self._wire_once(history, box, self._kind_into(op, item))
                if history != tail:
                    self._wire_once(tail, box, WireKind.SHADOW)
            else:
                lost = needs and self._cuts(op) and not self._is_lost_before(item)
                self._wire_once(tail, box, WireKind.SHADOW, lost=lost)

    def _wire_once(self, tail: str, head: str, kind: WireKind, *, lost: bool = False) -> None:
        if tail == head or (tail, head, kind, lost) in self.joined:
            return
        self.joined.add((tail, head, kind, lost))
        self.wires.append(Wire(tail, head, kind, lost=lost))

    def _cuts(self, op: Op) -> bool:
        return (op.cause in BADGES and bool(op.outputs)) or self._loses(op)

    def _count(self, op: Op) -> int:
        """Count an op that has no box of its own; returns how many cuts it is: the scissors and crosses of it."""
        if op.tracked and op.outputs and not op.forgotten:
            self.tally.tracked += 1
            kept_back = tuple(
                item
                for item, needs in zip(op.inputs, op.needs, strict=True)
                if needs and type(item) is int and self._withholds(op, item)
            )
            self.tally.cuts += [(op, (item,)) for item in kept_back]
            return len(kept_back)
        if op.is_source and not op.tracked and not op.forgotten:
            values = [self.graph.values[output] for output in op.outputs]
            self.tally.leaves.update(value.storage for value in values if value.requires_grad)
            return 0
        pairs = zip(op.inputs, op.needs, strict=True)
        concerned = tuple(i for i, needs in pairs if needs and type(i) is int and not self._is_lost_before(i))
        self.tally.forgotten += op.forgotten
        if not op.outputs:
            self.tally.exits += 1
            return 0
        if op.cause in BADGES:
            self.tally.cuts.append((op, concerned))
            made = self.graph.values[op.outputs[0]]
            if made.requires_grad:
                self.tally.leaves.add(made.storage)
            self.tally.count(op, skipped=False)
            return 1
        skipped = self.words.status(op).startswith("skipped")
        self.tally.count(op, skipped=skipped, region=self._region_kind(op))
        for output in op.outputs:
            if restarts(self.graph, op, output):
                self.tally.leaves.add(self.graph.values[output].storage)
        if concerned and not op.tracked and self._loses(op):
            self.tally.lost += [(op, value) for value in concerned]
            return len(set(concerned))
        return 0

    def _keep_history(self, op: Op) -> None:
        if keeps_history(self.graph, op) and op.alias is not None:
            aliased = op.inputs[op.alias]
            if isinstance(aliased, int) and aliased in self.history:
                self.history[op.outputs[0]] = self.history[aliased]

    def _is_end(self, value: Value) -> bool:
        """In what is drawn once for many, only the last of all can be an end."""
        if not super()._is_end(value):
            return False
        shown = self.standing.shown(value.op)
        if shown in self.closed:
            return value.op == self.last_ops[shown]
        if shown == value.op:
            return True
        turn = self.standing.turns.get(value.op)
        model = self.graph.ops[shown].outputs[value.index]
        return turn is not None and turn[1] == self.last_turns[turn[0]] and model in self.consumed

    def add_outputs(self) -> None:
        """What a pass started from in each turn is one box."""
        roots = {root for sweep in self.graph.sweeps for root in sweep.roots}
        for root in sorted(roots):
            op = self.graph.values[root].op
            if op in self.standing.twins:
                model = self.graph.ops[self.standing.shown(op)]
                if model.outputs[self.graph.values[root].index] in roots:
                    self.ends.setdefault(root, self.data[root])
        super().add_outputs()

    # frames

    def _frame_around(self, fold: Fold) -> str | None:
        """The innermost frame that all ops of a closed fold lie in."""
        chains: list[list[str]] = []
        acting = [op for op in fold.ops if self.graph.ops[op].inputs] or fold.ops
        for frame in dict.fromkeys(map(self.frame_of.get, acting)):
            chain = []
            while frame is not None:
                chain.append(frame)
                frame = self.parents[frame]
            chains.append(chain)
        shared = set(chains[0]).intersection(*chains[1:]) if chains else set()
        return next((frame for frame in chains[0] if frame in shared), None) if chains else None

    # the end

    def finish(self) -> Picture:
        filled = {content.box: content for content in self.contents.values()}
        self.boxes = [self._filled(box, filled[box.id]) if box.id in filled else box for box in self.boxes]
        picture = replace(super().finish(), wires=tuple(self._flowing()))
        picture = replace(picture, notes=(*picture.notes, *tell_folds(self.graph)))
        return without_empty_frames(in_order(mark_turns(picture, self.graph, self.data)))

    def _flowing(self) -> Iterator[Wire]:
        """The wires; where gradient comes back by one of two between the same boxes, the other is not worth a line."""
        for wire in self.wires:
            if wire.kind is not WireKind.TRACKED or (wire.tail, wire.head, WireKind.GRADIENT, False) not in self.joined:
                yield wire

    def _filled(self, box: Box, content: Content) -> Box:
        kind = BoxKind.OP if content.tracked else BoxKind.OFF
        if content.fold.kind == LEAVES:
            kind = BoxKind.LEAF if self._require_grad(content.fold) else BoxKind.CONST
        title = fold_title(content.fold)
        detail, pairs = closed_words(self.graph, content, self.words)
        frame = self._frame_around(content.fold)
        fold = content.fold
        return replace(
            box, kind=kind, title=title, detail=detail, tooltip=pairs, frame=frame, fold=fold.id, cuts=content.cuts
        )

    def _require_grad(self, fold: Fold) -> bool:
        return any(self.graph.values[output].requires_grad for op in fold.ops for output in self.graph.ops[op].outputs)


def _is_literal(box: Box) -> bool:
    return box.kind is BoxKind.CONST and box.value is None
