"""The drawing that torchviz's users know, as a `graphviz.Digraph`, with the skipped and the cut part drawn in.

What torchviz shows looks as it does there: the autograd nodes in grey, `AccumulateGrad` between a leaf and its use,
leaves light blue, outputs green, saved tensors orange. What it cannot show is gradviz's own: skipped ops dashed inside
a cluster named after the region's opener, a cut in red with its cause and line, and what gradient would come back by
but for a cut with hollow heads. What enters a tracked op and never had
a gradient to lose (data, constants) is left out, as torchviz leaves it out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import graphviz

from gradviz.events import Cause
from gradviz.graphs import Graph, Op, Value
from gradviz.picture.composing import BADGES
from gradviz.picture.framing import frame_ops
from gradviz.picture.records import Frame
from gradviz.picture.wording import Wording, clean, plural
from gradviz.roads import keeps_history, restarts
from gradviz.views import Options, draw
from gradviz.views.display import Drawing
from gradviz.views.dot import GREY, RED, quote

NODE = {
    "style": "filled", "shape": "box", "align": "left", "fontsize": "10", "ranksep": "0.1", "height": "0.2",
    "fontname": "monospace",
}  # fmt: skip
LEAF, OUTPUT, BASE, SAVED, CONST = "lightblue", "darkolivegreen1", "darkolivegreen3", "orange", "white"
CUT = {"style": "filled,bold", "fillcolor": "#fef2f2", "color": RED, "fontcolor": RED}
SKIPPED = {"style": "dashed", "color": GREY, "fontcolor": "#4b5563"}
SHADOW = {"style": "dashed", "color": GREY}
TRACKED = {"color": GREY, "arrowhead": "empty"}
LOST = {"style": "dashed", "color": RED, "penwidth": "1.8", "label": "✂", "fontcolor": RED}
STOPPED = {"color": RED, "penwidth": "1.8", "arrowhead": "tee"}

NAME_LIMIT = 200
"""Longest name of a tensor, in characters: the last part of a parameter's path says which one it is."""

INCHES_PER_ROW = 0.15
LEAST_INCHES = 12


def digraph(
    graph: Graph,
    outputs: Iterable[int],
    params: Mapping[int, str] | None = None,
    *,
    show_attrs: bool = False,
    show_saved: bool = False,
    max_attr_chars: int = 50,
) -> Drawing:
    """What leads to the values `outputs`.

    params          names by value id; other values go by the user's variable where it is known
    show_attrs      list the static arguments of each node, and which tensors it keeps
    show_saved      draw the tensors that nodes keep
    max_attr_chars  longest text of one attribute, in characters
    """
    options = Options(show_attrs=show_attrs, show_saved=show_saved, max_attr_chars=max_attr_chars)
    drawer = _Drawer(graph, dict(params or {}), options)
    drawn = list(outputs)
    for output in drawn:
        drawer.follow_gradient(output)
    for output in drawn:
        drawer.add_tensor(output, OUTPUT)
    return drawer.finish()


Key = tuple[str, int, int]
"""What a DOT node stands for: ("value", id, 0), ("op", id, 0), ("accumulate", value id, 0), ("saved", op id, index)."""


@dataclass(slots=True)
class _Drawer:
    graph: Graph
    params: dict[int, str]
    options: Options
    words: Wording = field(init=False)
    dot: Drawing = field(init=False)
    frames: Sequence[Frame] = field(init=False)
    frame_of: Mapping[int, str] = field(init=False)
    inside: dict[str | None, graphviz.Digraph] = field(init=False)
    touched: set[int] = field(init=False)
    reached: set[int] = field(default_factory=set)
    names: dict[Key, str] = field(default_factory=dict)
    waiting: list[Op] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.words = Wording(self.graph, name_file=True)
        graph, options = self.graph, self.options
        self.dot = Drawing(filename="Digraph.gv", node_attr=NODE, own=lambda format: draw(graph, format, options))
        self.frames, self.frame_of = frame_ops(self.graph, self.words)
        self.inside = {None: self.dot}
        self.touched = _find_touched(self.graph)

    def add_tensor(self, id: int, color: str) -> None:
        """The node of an output, or of the base of one, and all that leads to it."""
        value = self.graph.values[id]
        if not self._tensor(value, color):
            return
        self.follow_gradient(id)
        # The leaf that an output is was made by nothing that torchviz would show; what made any other value is drawn.
        if not (value.leaf and value.requires_grad) or self.graph.ops[value.op].cause in BADGES:
            self._join_maker(value)
        self._walk()
        base = _base_of(self.graph, value)
        if base is not None:
            self.add_tensor(base, BASE)
            self.dot.edge(self.names["value", base, 0], self.names["value", id, 0], style="dotted")

    def follow_gradient(self, id: int) -> None:
        """Add the values that a gradient comes to that starts from value `id`."""
        pending = [id]
        while pending:
            value = self.graph.values[self._with_history(pending.pop())]
            op = self.graph.ops[value.op]
            if value.id not in self.reached and op.tracked:
                pairs = zip(op.inputs, op.needs, strict=True)
                pending += [item for item, needs in pairs if needs and isinstance(item, int)]
            self.reached.add(value.id)

    def _walk(self) -> None:
        while self.waiting:
            op = self.waiting.pop()
            for position, item in enumerate(op.inputs):
                if not isinstance(item, int):
                    continue
                if op.tracked and op.needs[position]:
                    look = TRACKED if self.reached.isdisjoint(op.outputs) else {}
                    self.dot.edge(self._gradient_end(item), self.names["op", op.id, 0], **look)
                elif not op.tracked or item in self.touched:
                    self._join_data(op, position, item)
            if op.forgotten:
                more = self._node(("more", op.id, 0), f"{plural(op.forgotten, 'earlier op')} let go", SKIPPED)
                self.dot.edge(more, self.names["op", op.id, 0], **SHADOW)
            self._add_saved(op)

    def _join_maker(self, value: Value) -> None:
        """The edge into the node of a value that is not a leaf for autograd, from what made it."""
        head = self.names["value", value.id, 0]
        source = self.graph.values[self._with_history(value.id)]
        op = self.graph.ops[source.op]
        if op.tracked:
            self.dot.edge(self._op(op), head)
        elif not _is_leaf_maker(op):
            self.dot.edge(self._op(op), head, **SHADOW)

    def _gradient_end(self, id: int) -> str:
        """The node that gradient for value `id` goes to."""
        value = self.graph.values[self._with_history(id)]
        op = self.graph.ops[value.op]
        if op.tracked:
            return self._op(op)
        key = ("accumulate", value.id, 0)
        if key not in self.names:
            self._node(key, "AccumulateGrad", {})
            self._leaf(value)
            look = {} if value.id in self.reached else TRACKED
            self.dot.edge(self.names["value", value.id, 0], self.names[key], **look)
        return self.names[key]

    def _join_data(self, op: Op, position: int, id: int) -> None:
        """The edge along which data, and no gradient, came into `op`."""
        value = self.graph.values[id]
        maker = self.graph.ops[value.op]
        is_leaf = _is_leaf_maker(maker) or restarts(self.graph, maker, id)
        tail = self._leaf(value) if is_leaf else self._op(maker)
        look = SHADOW
        if op.needs[position] and not op.tracked and op.cause is not Cause.NONDIFFERENTIABLE:
            look = STOPPED if op.cause in BADGES else LOST
        self.dot.edge(tail, self.names["op", op.id, 0], **look)

    def _leaf(self, value: Value) -> str:
        """The node of a leaf; one that a cut gave a new start shows the cut."""
        maker = self.graph.ops[value.op]
        if self._tensor(value, LEAF if value.requires_grad else CONST) and maker.cause in BADGES:
            self.dot.edge(self._op(maker), self.names["value", value.id, 0], **SHADOW)
        return self.names["value", value.id, 0]

    def _tensor(self, value: Value, color: str) -> bool:
        """Add the node of a value; False where it has one."""
        key = ("value", value.id, 0)
        if key in self.names:
            return False
        name = self.params.get(value.id) or value.name
        self._node(key, f"{clean(name, NAME_LIMIT)}\n {_size(value.shape)}", {"fillcolor": color})
        return True

    def _op(self, op: Op) -> str:
        """The node of an op; what leads to it is drawn later, so that no depth of graph needs recursion."""
        key = ("op", op.id, 0)
        if key in self.names:
            return self.names[key]
        self.waiting.append(op)
        line = self.words.line(op.site)
        if op.tracked:
            return self._node(key, self._tracked_label(op), {}, self.frame_of.get(op.id))
        if op.cause in BADGES:
            label = f"✂ {clean(op.cause or op.name)}" + (f"\n{line}" if line else "")
            return self._node(key, label, CUT, self.frame_of.get(op.id))
        detail = " · ".join(part for part in (line, self.words.status(op)) if part)
        return self._node(key, f"{clean(op.name)}\n{detail}", SKIPPED, self.frame_of.get(op.id))

    def _tracked_label(self, op: Op) -> str:
        name = clean(op.node or op.name)
        return f"{name}{_attr_table(op, name, self.options.max_attr_chars)}" if self.options.show_attrs else name

    def _add_saved(self, op: Op) -> None:
        """The tensors that a node keeps; those that a custom function saved are drawn unasked, as torchviz does."""
        for index, saved in enumerate(op.saved):
            if not (self.options.show_saved or saved.name.startswith("tensors[")):
                continue
            label = f"{clean(saved.name)}\n {saved.dtype if saved.is_gone else _size(saved.shape)}"
            node = self._node(("saved", op.id, index), label, {"fillcolor": SAVED})
            self.dot.edge(self.names["op", op.id, 0], node, dir="none")

    def _with_history(self, id: int) -> int:
        """The value whose `grad_fn` value `id` has: itself, but for skipped writes in place."""
        op = self.graph.ops[self.graph.values[id].op]
        while keeps_history(self.graph, op) and op.alias is not None:
            written = op.inputs[op.alias]
            if not isinstance(written, int):
                break
            id = written
            op = self.graph.ops[self.graph.values[id].op]
        return id

    def _node(self, key: Key, label: str, look: Mapping[str, str], frame: str | None = None) -> str:
        name = self.names[key] = f"n{len(self.names)}"
        if frame is not None and frame not in self.inside:
            self.inside[frame] = graphviz.Digraph(f"cluster_{frame}")
        self.inside[frame].node(name, quote(label, newline="\n"), **look)
        return name

    def finish(self) -> Drawing:
        """Put the clusters into each other, children first, and let the page grow with its content."""
        rows = sum(len(part.body) for part in self.inside.values())
        for frame in reversed(self.frames):
            cluster = self.inside.pop(frame.id, None)
            if cluster is None:
                continue
            cluster.attr(
                label=quote(frame.title), style="dashed", color=GREY, fontcolor="#4b5563", fontsize="10",
                fontname="monospace",
            )  # fmt: skip
            if frame.parent is not None and frame.parent not in self.inside:
                self.inside[frame.parent] = graphviz.Digraph(f"cluster_{frame.parent}")
            self.inside[frame.parent].subgraph(cluster)
        inches = max(LEAST_INCHES, rows * INCHES_PER_ROW)
        self.dot.graph_attr["size"] = f"{inches:g},{inches:g}"
        self.dot.seal()
        return self.dot


def _is_leaf_maker(op: Op) -> bool:
    return op.is_source and not op.tracked and not op.forgotten


def _find_touched(graph: Graph) -> set[int]:
    """Values that require grad, and untracked ones that are computed from such values."""
    touched: set[int] = set()
    for op in graph.ops.values():
        inherits = not op.tracked and op.cause is not Cause.NONDIFFERENTIABLE
        heir = inherits and any(item in touched for item in op.inputs)
        touched.update(output for output in op.outputs if heir or graph.values[output].requires_grad)
    return touched


def _base_of(graph: Graph, value: Value) -> int | None:
    """The tensor that `value` is a view of, looking through views of views; None where it is no view."""
    base: int | None = None
    op = graph.ops[value.op]
    while op.alias is not None and op.cause not in BADGES:
        aliased = op.inputs[op.alias]
        if not isinstance(aliased, int):
            break
        # A write in place makes no view, but what was written to may be one.
        base = base if op.inplace and base is None else aliased
        op = graph.ops[graph.values[aliased].op]
    return base


def _size(shape: tuple[int, ...]) -> str:
    """`(3)`, `(2, 3)`, `()`: as torchviz writes sizes, without the comma that Python gives a tuple of one."""
    return f"({', '.join(map(str, shape))})"


def _attr_table(op: Op, name: str, limit: int) -> str:
    """A rule, then a row for each attribute in order of name, its text to the right and cut to `limit` characters."""
    rows = {clean(key): clean(text, 10_000) for key, text in op.attrs}
    for saved in op.saved:
        key, bracket, _ = saved.name.partition("[")
        rows[clean(key)] = "[saved tensors]" if bracket else "[saved tensor]"
    if not rows:
        return ""
    left = max(map(len, rows))
    right = min(max(map(len, rows.values())), max(limit, 3))
    rule = "-" * max(left + right + 2, len(name))
    lines = [
        f"{key:<{left}}: {text if len(text) <= right else text[: right - 3] + '...':>{right}}"
        for key, text in sorted(rows.items())
    ]
    return "\n".join(["", rule, *lines])
