"""Reading an SVG that gradviz wrote: each mark in its place on the page, with the paint that the style sheet gives it.

What draws a picture by other means than a browser gets the same marks in this way, so no look is described twice. It
knows the part of SVG and CSS that the SVG view writes, in its light colours, and refuses any other element.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import sqrt
from typing import Protocol, TypeAlias
from xml.parsers import expat

from gradviz.views.svg_paths import Step, circle, polygon, read_path, rounded

Matrix: TypeAlias = tuple[float, float, float, float, float, float]
"""(a, b, c, d, e, f): a point (x, y) goes to (ax + cy + e, bx + dy + f)."""


@dataclass(frozen=True, slots=True)
class Paint:
    """How a mark looks: colours as `#rrggbb` or empty for none, lengths in pixels of the mark's own system.

    font   "mono", "sans" or "bold"
    """

    fill: str
    stroke: str
    width: float
    dash: tuple[float, ...]
    round: bool
    font: str
    size: float
    middle: bool


class Canvas(Protocol):
    """What takes the marks, in the order in which they are painted; x grows to the right, y downwards, in pixels."""

    def begin(self, width: float, height: float) -> None:
        """The page is this large."""

    def shape(self, steps: Sequence[Step], paint: Paint) -> None:
        """Fill and stroke a path."""

    def line(self, x: float, y: float, words: str, paint: Paint, fitted: float | None) -> None:
        """One line of text on the base line `y`, which is to be `fitted` pixels wide if that is given."""

    def heading(self, title: str, description: str) -> None:
        """What the page is called, and what is on it, for those who cannot see it."""


def read_svg(svg: str, canvas: Canvas) -> None:
    """Hand every mark of `svg` to `canvas`. Raises `ValueError` for what the SVG view does not write."""
    _Reader(canvas).read(svg)


def page_size(svg: str) -> tuple[float, float]:
    """Width and height of `svg` in pixels."""
    found = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg[:2000])
    if found is None:
        raise ValueError("the SVG view writes no SVG without a `viewBox`")
    return float(found[1]), float(found[2])


class _Reader:
    def __init__(self, canvas: Canvas) -> None:
        self._canvas = canvas
        self._contexts: list[_Context] = []
        self._matrices: list[Matrix] = []
        self._elements: list[tuple[str, Mapping[str, str]]] = []
        self._words: list[str] = []
        self._page = (0.0, 0.0)
        self._rules: list[_Rule] = []
        self._heading = {"title": "", "desc": ""}

    def read(self, svg: str) -> None:
        self._page = page_size(svg)
        parser = expat.ParserCreate()
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._words.append
        parser.Parse(svg.encode(), True)
        self._canvas.heading(self._heading["title"], self._heading["desc"])

    def _start(self, tag: str, given: Mapping[str, str]) -> None:
        self._words.clear()
        self._elements.append((tag, given))
        classes = given.get("class", "")
        if self._contexts:
            context = self._contexts[-1].inner(tag, classes, self._rules)
            matrix = self._matrices[-1]
        else:
            context, matrix = _Context([], tag, classes, _INITIAL, []), (1.0, 0.0, 0.0, 1.0, 0.0, 0.0)
            self._canvas.begin(*self._page)
        self._contexts.append(context)
        self._matrices.append(_product(matrix, _transform(given["transform"])) if "transform" in given else matrix)

    def _end(self, tag: str) -> None:
        _, given = self._elements.pop()
        context, matrix = self._contexts.pop(), self._matrices.pop()
        words = "".join(self._words)
        self._words.clear()
        if tag == "style":
            self._rules += _rules(words)
        elif tag == "text":
            x, y = _moved((float(given["x"]), float(given["y"])), matrix)
            fitted = float(given["textLength"]) if "textLength" in given else None
            self._canvas.line(x, y, words, context.paint, fitted)
        elif tag in self._heading:
            if len(self._elements) == 1:
                self._heading[tag] = words
        elif tag not in ("svg", "g"):
            steps = _outline(tag, given, self._page)
            self._canvas.shape([_move(step, matrix) for step in steps], _scaled(context.paint, matrix))


def _outline(tag: str, given: Mapping[str, str], page: tuple[float, float]) -> list[Step]:
    """The path of an element, in its own system."""
    def length(name: str, whole: float = 0.0) -> float:
        text = given.get(name, "0")
        return float(text[:-1]) * whole / 100 if text.endswith("%") else float(text)

    if tag == "path":
        return read_path(given["d"])
    if tag == "rect":
        area = length("x"), length("y"), length("width", page[0]), length("height", page[1])
        return rounded(*area, length("rx"))
    if tag == "polygon":
        return polygon([float(word) for word in given["points"].replace(",", " ").split()])
    if tag == "circle":
        return circle(length("cx"), length("cy"), length("r"))
    raise ValueError(f"the SVG view writes no `{tag}`")


# places


def _product(outer: Matrix, inner: Matrix) -> Matrix:
    """The matrix that does what `inner` does and then what `outer` does."""
    a, b, c, d, e, f = outer
    p, q, r, s, t, u = inner
    return a * p + c * q, b * p + d * q, a * r + c * s, b * r + d * s, a * t + c * u + e, b * t + d * u + f


def _moved(point: tuple[float, float], matrix: Matrix) -> tuple[float, float]:
    (x, y), (a, b, c, d, e, f) = point, matrix
    return a * x + c * y + e, b * x + d * y + f


def _move(step: Step, matrix: Matrix) -> Step:
    (letter, points), (a, b, c, d, e, f) = step, matrix
    return letter, tuple([(a * x + c * y + e, b * x + d * y + f) for x, y in points])


def _transform(text: str) -> Matrix:
    matrix: Matrix = (1.0, 0.0, 0.0, 1.0, 0.0, 0.0)
    for name, arguments in re.findall(r"(\w+)\(([^)]*)\)", text):
        numbers = [float(word) for word in re.split(r"[\s,]+", arguments.strip())]
        x, y = numbers[0], numbers[1] if len(numbers) > 1 else None
        if name == "translate":
            matrix = _product(matrix, (1.0, 0.0, 0.0, 1.0, x, y or 0.0))
        elif name == "scale":
            matrix = _product(matrix, (x, 0.0, 0.0, x if y is None else y, 0.0, 0.0))
        else:
            raise ValueError(f"the SVG view writes no `{name}`")
    return matrix


def _scaled(paint: Paint, matrix: Matrix) -> Paint:
    a, b, c, d, _, _ = matrix
    scale = sqrt(abs(a * d - b * c))
    if abs(scale - 1) < 1e-9:
        return paint
    dash = tuple(length * scale for length in paint.dash)
    return replace(paint, width=paint.width * scale, dash=dash)


# styles


@dataclass(frozen=True, slots=True)
class _Rule:
    """A selector as compounds, the last one first, each with what joins it to the one before; and its declarations."""

    weight: tuple[int, int]
    compounds: tuple[tuple[str, frozenset[str], str], ...]
    declared: dict[str, str]


_INITIAL = {"fill": "#000000", "stroke": "none", "font-size": "16px", "font-family": "sans-serif"}

_COMPOUND = re.compile(r"(\*|[a-z]*)((?:\.[\w-]+)*)")


def _rules(sheet: str) -> list[_Rule]:
    """The rules of a sheet by weight, without those for another page than a light one at rest."""
    plain = re.sub(r"@[^{]+\{(?:[^{}]*\{[^{}]*\})*[^{}]*\}", "", sheet)
    rules = []
    for selectors, body in re.findall(r"([^{}]+)\{([^{}]*)\}", plain):
        pairs = (line.partition(":") for line in body.split(";") if line.strip())
        declared = {name.strip(): value.strip() for name, _, value in pairs}
        for selector in selectors.split(","):
            if ":" in selector:
                continue
            compounds = []
            joined = ""
            for word in reversed(selector.replace(">", " > ").split()):
                if word == ">":
                    joined = ">"
                    continue
                match = _COMPOUND.fullmatch(word)
                if match is None:
                    raise ValueError(f"the SVG view writes no selector `{selector.strip()}`")
                classes = frozenset(filter(None, match[2].split(".")))
                compounds.append((match[1].strip("*"), classes, joined))
                joined = ""
            weight = sum(len(classes) for _, classes, _ in compounds), sum(bool(tag) for tag, _, _ in compounds)
            rules.append(_Rule(weight, tuple(compounds), declared))
    return sorted(rules, key=lambda rule: rule.weight)


class _Context:
    """An element as far as its look goes: what it is, what it stands in, and what it inherits."""

    def __init__(
        self, path: list[tuple[str, frozenset[str]]], tag: str, classes: str, inherited: dict[str, str],
        rules: Sequence[_Rule],
    ) -> None:  # fmt: skip
        self._path = [*path, (tag, frozenset(classes.split()))]
        self._values = dict(inherited)
        for rule in rules:
            if _matches(rule, self._path):
                self._values |= _spelled_out(rule.declared)
        self._inner: dict[tuple[str, str], _Context] = {}
        self.paint = _paint(self._values)

    def inner(self, tag: str, classes: str, rules: Sequence[_Rule]) -> _Context:
        """That of an element in this one."""
        found = self._inner.get((tag, classes))
        if found is None:
            found = self._inner[tag, classes] = _Context(self._path, tag, classes, self._values, rules)
        return found


def _matches(rule: _Rule, path: Sequence[tuple[str, frozenset[str]]]) -> bool:
    places = [len(path) - 1]
    for number, (tag, classes, joined) in enumerate(rule.compounds):
        if number:
            places = [place - 1 for place in places] if joined == ">" else list(range(max(places)))
        places = [
            place for place in places
            if place >= 0 and (not tag or tag == path[place][0]) and classes <= path[place][1]
        ]  # fmt: skip
        if not places:
            return False
    return True


def _spelled_out(declared: dict[str, str]) -> dict[str, str]:
    """Declarations with `font` taken apart."""
    if "font" not in declared:
        return declared
    match = re.fullmatch(r"(?:(\d+) )?(\S+) (.*)", declared["font"])
    if match is None:
        raise ValueError(f"the SVG view writes no font `{declared['font']}`")
    font = {"font-weight": match[1] or "400", "font-size": match[2], "font-family": match[3]}
    return {name: value for name, value in declared.items() if name != "font"} | font


def _paint(values: Mapping[str, str]) -> Paint:
    dash = values.get("stroke-dasharray", "none")
    bold = int(values.get("font-weight", "400")) >= 600
    font = "mono" if "monospace" in values["font-family"] else "bold" if bold else "sans"
    return Paint(
        fill="" if values["fill"] == "none" else values["fill"],
        stroke="" if values["stroke"] == "none" else values["stroke"],
        width=float(values.get("stroke-width", "1")),
        dash=() if dash == "none" else tuple(float(word) for word in re.split(r"[\s,]+", dash)),
        round=values.get("stroke-linecap") == "round",
        font=font,
        size=float(values["font-size"].removesuffix("px")),
        middle=values.get("text-anchor") == "middle",
    )
