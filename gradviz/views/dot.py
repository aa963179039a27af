"""DOT: the picture as Graphviz source, in gradviz's own look; made by the `graphviz` package, needs no executable."""

from __future__ import annotations

import html
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

import graphviz

from gradviz.graphs import Graph
from gradviz.layout.drawing import MODULE_KINDS
from gradviz.picture.composing import compose
from gradviz.picture.records import Box, BoxKind, Frame, Picture, Remark, Wire, WireKind
from gradviz.picture.signs import frames, signs
from gradviz.picture.wording import clean
from gradviz.views import Options

if TYPE_CHECKING:
    from gradviz.diagnose import Finding

RED = "#b91c1c"
GREY = "#6b7280"
DARK = "#374151"

BOXES: dict[BoxKind, dict[str, str]] = {
    BoxKind.LEAF: {"style": "rounded,filled", "fillcolor": "#dbeafe", "color": "#2563eb", "penwidth": "1.5"},
    BoxKind.CONST: {"style": "rounded", "color": "#9ca3af"},
    BoxKind.OP: {"style": "filled", "fillcolor": "#f3f4f6", "color": "#9ca3af"},
    BoxKind.OFF: {"style": "dashed", "color": GREY, "fontcolor": "#4b5563"},
    BoxKind.OUTPUT: {"style": "filled", "fillcolor": "#dcfce7", "color": "#15803d", "peripheries": "2"},
    BoxKind.RESULT: {"style": "rounded", "color": "#9ca3af", "fontcolor": "#4b5563", "peripheries": "2"},
    BoxKind.OFF_OUTPUT: {"style": "dashed", "color": GREY, "fontcolor": "#4b5563", "peripheries": "2"},
    BoxKind.CUT: {"style": "rounded,bold,filled", "fillcolor": "#fef2f2", "color": RED, "fontcolor": RED},
    BoxKind.EXIT: {"shape": "cds", "style": "dashed", "color": GREY, "fontcolor": "#4b5563"},
    BoxKind.ERROR: {"style": "bold,filled", "fillcolor": "#fef2f2", "color": RED, "fontcolor": RED},
    BoxKind.SAVED: {"shape": "note", "style": "filled", "fillcolor": "#fff7ed", "color": "#c2410c"},
    BoxKind.MORE: {"shape": "plaintext", "fontcolor": "#4b5563"},
}

FOLDED = {"shape": "box3d"}
"""What sets a box apart that stands for several."""

WIRES: dict[WireKind, dict[str, str]] = {
    WireKind.GRADIENT: {"color": DARK, "penwidth": "1.5"},
    WireKind.TRACKED: {"color": GREY, "penwidth": "0.8", "arrowhead": "empty"},
    WireKind.SHADOW: {"style": "dashed", "color": GREY},
    WireKind.ALIAS: {"style": "dotted", "color": GREY, "arrowhead": "odot", "constraint": "false"},
    WireKind.CUT: {"color": RED, "penwidth": "1.8", "arrowhead": "tee"},
    WireKind.SAVED: {"color": "#c2410c", "dir": "none"},
    WireKind.ERROR: {"color": RED, "penwidth": "1.8", "arrowhead": "dot"},
}

LOST = {"style": "dashed", "color": RED, "fontcolor": RED, "penwidth": "1.8", "label": "✂ gradient lost"}

WARNING = "#8a5a00"

SEVERITIES = {"error": RED, "warning": WARNING}
"""Colour of a culprit and of its lost road; the number and the word for the severity stand in the label."""

LIST_WIDTH = 110
"""Longest line of the list of findings, in characters."""

MARKS = {BoxKind.CUT: "✂", BoxKind.ERROR: "✗"}
"""Signs before the title, for those who see no red."""

BOX_MEANING = {
    BoxKind.LEAF: "leaf that requires grad",
    BoxKind.CONST: "leaf or literal without grad",
    BoxKind.OP: "tracked op",
    BoxKind.OFF: "not tracked",
    BoxKind.OUTPUT: "output",
    BoxKind.RESULT: "another result",
    BoxKind.OFF_OUTPUT: "output without grad_fn",
    BoxKind.CUT: "gradient stops",
    BoxKind.EXIT: "left for Python or numpy",
    BoxKind.ERROR: "raised",
    BoxKind.SAVED: "saved for backward",
}

WIRE_MEANING = {
    WireKind.GRADIENT: ("──▶", "gradient"),
    WireKind.TRACKED: ("──▷", "tracked, no gradient comes"),
    WireKind.SHADOW: ("╌╌▶", "data only"),
    WireKind.ALIAS: ("┈┈○", "same storage"),
    WireKind.CUT: ("──┤", "gradient stops"),
}


def draw(graph: Graph, options: Options, findings: Sequence[Finding] | None = None) -> str:
    """DOT source; `options.show_attrs` puts the arguments into the labels."""
    return str(digraph(compose(graph, options, findings), graph, options).source)


def digraph(picture: Picture, graph: Graph, options: Options) -> graphviz.Digraph:
    """The picture as a `graphviz.Digraph`, whose nodes and clusters are called like the picture's boxes and frames."""
    lines = [picture.title, picture.summary, *(line for remark in picture.remarks for line in _entry(remark))]
    heading = "".join(f"{line}\n" for line in (*lines, *picture.notes) if line)
    dot = graphviz.Digraph(
        "gradviz",
        graph_attr={
            "rankdir": options.direction, "label": quote(heading, newline="\\l"), "labelloc": "t", "labeljust": "l",
            "fontname": "sans-serif", "fontsize": "11", "nodesep": "0.25", "ranksep": "0.35", "bgcolor": "white",
            "tooltip": quote(picture.description),
        },
        node_attr={"shape": "box", "fontname": "monospace", "fontsize": "10", "height": "0.3", "margin": "0.12,0.05"},
        edge_attr={"fontname": "sans-serif", "fontsize": "9", "arrowsize": "0.7"},
    )  # fmt: skip
    inside: dict[str | None, graphviz.Digraph] = {
        frame.id: _cluster(frame, picture) for frame in picture.frames
    }
    inside[None] = dot
    for box in picture.boxes:
        text = _label(box, graph, options, _tags(box.findings, picture))
        ring = _ring(box.findings, picture)
        look = BOXES[box.kind] | (FOLDED if box.fold is not None else {}) | ring
        inside[box.frame].node(box.id, text, tooltip=_tooltip(box.tooltip), **look)
    # Children go into their parents first: `subgraph` copies the lines that are there when it is called.
    for frame in reversed(picture.frames):
        inside[frame.parent].subgraph(inside[frame.id])
    for wire in picture.wires:
        look = (LOST if wire.lost else WIRES[wire.kind]) | _road(wire, picture)
        label = {"label": quote(wire.label)} if wire.label and not wire.lost else {}
        dot.edge(wire.tail, wire.head, **look, **label)
    if picture.boxes:
        dot.node("legend", f"<{_legend(picture)}>", shape="plaintext", tooltip="legend")
    return dot


def quote(text: str, *, newline: str = "\\n") -> str:
    """`text` as a value that Graphviz shows letter for letter; `newline` says how it justifies the lines.

    Unquoted, Graphviz takes `<b>` for HTML, a backslash for the start of an escape, and `&lt;` for `<`.
    """
    escaped = text.replace("&", "&amp;").replace("\\", "\\\\").replace("\n", newline)
    quoted: str = graphviz.nohtml(escaped)
    return quoted


def _entry(remark: Remark) -> list[str]:
    """A finding as lines of the list: its number and heading, its message and its help."""
    told = textwrap.wrap(remark.message, LIST_WIDTH)
    if remark.help:
        told += textwrap.wrap(f"help: {remark.help}", LIST_WIDTH)
    return [f"{remark.number}  {remark.heading}", *(f"    {line}" for line in told)]


def _tags(numbers: Sequence[int], picture: Picture) -> list[str]:
    return [f"{number} {picture.remarks[number - 1].severity}" for number in numbers]


def _ring(numbers: Sequence[int], picture: Picture) -> dict[str, str]:
    """What makes a culprit stand out."""
    if not numbers:
        return {}
    return {"color": SEVERITIES[picture.remarks[numbers[0] - 1].severity], "penwidth": "2.5"}


def _road(wire: Wire, picture: Picture) -> dict[str, str]:
    if not wire.road:
        return {}
    # A hollow head has to be larger to stay hollow.
    hollow = {"arrowsize": "1.1"} if wire.kind is WireKind.TRACKED else {}
    return {"color": SEVERITIES[picture.remarks[wire.road - 1].severity], "penwidth": "3", **hollow}


def _cluster(frame: Frame, picture: Picture) -> graphviz.Digraph:
    cluster = graphviz.Digraph(f"cluster_{frame.id}")
    title = " · ".join([frame.title, *_tags(frame.findings, picture)])
    cluster.attr(
        label=quote(title), tooltip=_tooltip(frame.tooltip), labeljust="l", labelloc="t", style="dashed,rounded",
        color=GREY, fontcolor="#4b5563", fontname="sans-serif", fontsize="10", bgcolor="#f9fafb",
    )  # fmt: skip
    if frame.kind in MODULE_KINDS:
        cluster.attr(style="rounded", color="#9ca3af", bgcolor="white")
    if frame.findings:
        ring = _ring(frame.findings, picture)
        cluster.attr(**ring, fontcolor=ring["color"])
    return cluster


def _label(box: Box, graph: Graph, options: Options, tags: Sequence[str]) -> str:
    lines = [f"{MARKS[box.kind]} {box.title}" if box.kind in MARKS else box.title, box.detail, *tags]
    if options.show_attrs and box.kind in (BoxKind.OP, BoxKind.OFF) and box.op is not None:
        limit = max(1, options.max_attr_chars)
        lines += [f"{clean(name)} = {clean(text, limit)}" for name, text in graph.ops[box.op].attrs]
    return quote("\n".join(line for line in lines if line))


def _tooltip(pairs: tuple[tuple[str, str], ...]) -> str:
    return quote("\n".join(f"{name}: {text}" for name, text in pairs) or " ")


def _legend(picture: Picture) -> str:
    """A table of what occurs in the picture; all of its text is gradviz's own."""
    rows = []
    kinds = {wire.kind for wire in picture.wires}
    lost = any(wire.lost for wire in picture.wires)
    for wire, (line, meaning) in WIRE_MEANING.items():
        if wire in kinds:
            rows.append((_ink(line, WIRES[wire]["color"]), meaning))
    road = min((wire.road for wire in picture.wires if wire.road), default=0)
    if road:
        rows.append((_ink("━━▶", SEVERITIES[picture.remarks[road - 1].severity]), "road of a lost gradient"))
    if lost:
        rows.append((_ink("╌✂╌▶", RED), "gradient lost here"))
    shown = {box.kind for box in picture.boxes}
    for kind, meaning in BOX_MEANING.items():
        if kind in shown:
            rows.append((_swatch(kind), meaning))
    folded = {box.kind for box in picture.boxes if box.fold is not None}
    if folded & {BoxKind.OP, BoxKind.OFF}:
        rows.append((_ink("▣", DARK), "several ops in one"))
    if folded & {BoxKind.LEAF, BoxKind.CONST}:
        rows.append((_ink("▣", DARK), "several leaves in one"))
    kinds_of_frame = {frame.kind for frame in picture.frames}
    if kinds_of_frame - set(MODULE_KINDS):
        rows.append((_ink("┌╌┐", GREY), "grad-mode region"))
    rows += [(_ink("┌─┐", GREY), words) for words in frames(kinds_of_frame)]
    rows += [(_ink(mark, GREY), words) for mark, words in signs(picture)]
    cells = "".join(f'<TR><TD ALIGN="CENTER">{mark}</TD><TD ALIGN="LEFT">{text}</TD></TR>' for mark, text in rows)
    return f'<TABLE BORDER="0" CELLSPACING="2" CELLPADDING="1">{cells}</TABLE>'


def _ink(text: str, color: str) -> str:
    return f'<FONT COLOR="{color}">{html.escape(text)}</FONT>'


def _swatch(kind: BoxKind) -> str:
    """A small cell that has the outline, dash and corners of the boxes of this kind."""
    look = BOXES[kind]
    styles = [style for style in look.get("style", "").split(",") if style in ("rounded", "dashed")]
    fill = f' BGCOLOR="{look["fillcolor"]}"' if "fillcolor" in look else ""
    style, border = ",".join(styles) or "solid", look.get("peripheries", "1")
    cell = f'BORDER="{border}" STYLE="{style}" COLOR="{look["color"]}"{fill}'
    text = _ink(MARKS.get(kind, "    "), look.get("fontcolor", DARK))
    return f'<TABLE CELLSPACING="0" CELLPADDING="0" {cell}><TR><TD BORDER="0">{text}</TD></TR></TABLE>'
