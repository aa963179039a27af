"""The picture: which boxes, wires and frames a drawing has and what they say, before anyone decides where they go.

Every view draws the same Picture, so that a cut is a cut in SVG, in DOT and in the terminal. `composing.compose` turns
a Graph into one; layout gives the boxes places; a view writes it down.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class BoxKind(StrEnum):
    """What a box stands for; each kind has its own shape, dash or text, never colour alone."""

    LEAF = "leaf"            # a leaf that requires grad
    CONST = "const"          # a leaf that does not, or a literal
    OP = "op"                # an op that autograd tracked
    OFF = "off"              # an op or a value that it did not
    OUTPUT = "output"        # a value that the drawing leads to, and that requires grad
    RESULT = "result"        # a value that requires grad, that no backward pass started from, and that nothing used
    OFF_OUTPUT = "off-output"  # such a value without grad_fn
    CUT = "cut"              # the badge of a cut: gradient stops here
    EXIT = "exit"            # data that left for Python or numpy
    ERROR = "error"          # where backward or the script raised
    SAVED = "saved"          # a tensor that a node keeps for its backward
    MORE = "more"            # stands for what is not drawn ("312 earlier ops let go")


class WireKind(StrEnum):
    """The four kinds of edge, never confused, and three that lead to marks."""

    GRADIENT = "gradient"    # autograd follows it, and gradient comes back by it
    TRACKED = "tracked"      # autograd would follow it, but no gradient gets as far as this
    SHADOW = "shadow"        # data flowed, gradient will not
    ALIAS = "alias"          # same storage
    CUT = "cut"              # gradient's last stretch, from the value to the badge of its cut
    SAVED = "saved"          # a node and what it keeps
    ERROR = "error"          # to the mark of an error


@dataclass(frozen=True, slots=True)
class Box:
    """One box. `id` is dense and stable (`b0`, `b1`, ...); `title` and `detail` are its one or two lines of text.

    `tooltip` holds label and text pairs. `frame` is the id of the innermost frame it lies in. `value` and `op` say
    what it stands for in the graph, for views and tests that want to look it up; `site` says where in the source it
    comes from, where no op says that. `findings` are the numbers of the remarks whose culprit it is. A box that stands
    for a fold of the graph says which in `fold`, and in `cuts` how many cuts it holds. `hooked` says that a function of
    the program's is called with the gradient that comes to it.
    """

    id: str
    kind: BoxKind
    title: str
    detail: str = ""
    tooltip: tuple[tuple[str, str], ...] = ()
    frame: str | None = None
    value: int | None = None
    op: int | None = None
    site: int | None = None
    findings: tuple[int, ...] = ()
    fold: int | None = None
    cuts: int = 0
    hooked: bool = False


@dataclass(frozen=True, slots=True)
class Wire:
    """One edge from box `tail` to box `head`, drawn in the direction in which data flowed.

    `lost` is true where a value that requires grad enters, on a road to a root, a skipped op or one that hands no
    gradient back: the gradient it lost there is marked. `label` is short and mostly empty. Where several wires join
    the same two boxes, they are all here. `road` is the number of the gravest remark whose lost road runs over it, or
    0.
    """

    tail: str
    head: str
    kind: WireKind
    label: str = ""
    lost: bool = False
    road: int = 0


@dataclass(frozen=True, slots=True)
class Frame:
    """A box around boxes: a grad-mode region or a module scope. `title` goes on its tab (`no_grad · line 8`).

    `regions` are the ids of the regions that it stands for, `findings` as those of a box.
    """

    id: str
    kind: str
    title: str
    tooltip: tuple[tuple[str, str], ...] = ()
    parent: str | None = None
    regions: tuple[int, ...] = ()
    findings: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Remark:
    """A finding as the list under the picture tells it; `number` is what stands on its culprit, from 1 on.

    severity    "error", "warning" or "note"
    place       `line 5`, or empty where no line is known
    finding     its place among the findings that were given, from 0 on
    """

    number: int
    severity: str
    code: str
    place: str
    message: str
    help: str
    finding: int = 0

    @property
    def heading(self) -> str:
        """`error GV101 · line 5`"""
        told = f"{self.severity} {self.code}" if self.code else self.severity
        return f"{told} · {self.place}" if self.place else told


@dataclass(frozen=True, slots=True)
class Picture:
    """A drawing without places.

    title       the script's name
    summary     one line of counts: "6 ops · 1 leaf that requires grad · 1 cut"
    description one or two sentences for a reader who cannot see the drawing
    notes       what must be said under the picture: where the run ended, what was let go
    remarks     the findings that concern what is drawn, the gravest first; remark `n` is at `n - 1`
    """

    title: str
    summary: str
    description: str
    boxes: tuple[Box, ...]
    wires: tuple[Wire, ...]
    frames: tuple[Frame, ...]
    notes: tuple[str, ...] = ()
    remarks: tuple[Remark, ...] = ()
