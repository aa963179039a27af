"""The PDF view: the SVG's marks as vectors on one page that is as large as the drawing; no font file, no library.

A page of a standard PDF ends at 200 inches; where a drawing is longer, the page's unit grows with it.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from gradviz.progress import step
from gradviz.views import svg
from gradviz.views.pdf_text import FONTS, line, short, text_string
from gradviz.views.svg_paths import Step
from gradviz.views.svg_reading import Paint, read_svg

if TYPE_CHECKING:
    from gradviz.diagnose import Finding
    from gradviz.graphs import Graph
    from gradviz.views import Options

POINTS = 0.75
"""A pixel in points: 1/96 of an inch in 1/72."""

_LONGEST = 14_400
"""Longest side of a page, in the page's units."""

_OPERATORS = {"M": "m", "L": "l", "C": "c", "Z": "h"}


def draw(graph: Graph, options: Options, findings: Sequence[Finding] | None = None) -> bytes:
    """The graph as a PDF file."""
    return write(svg.draw(graph, options, findings))


def write(drawn: str) -> bytes:
    """The SVG `drawn` as a PDF file."""
    page = _Page()
    with step("writing the page"):
        read_svg(drawn, page)
        return page.file()


class _Page:
    """A page's content, mark by mark; what is set is only said where it changes."""

    def __init__(self) -> None:
        self._content: list[str] = []
        self._set: dict[str, str] = {}
        self._size = (0.0, 0.0)
        self._title = self._description = ""

    def begin(self, width: float, height: float) -> None:
        self._size = width * POINTS, height * POINTS
        unit = self._unit
        scale, top = POINTS / unit, self._size[1] / unit
        self._content.append(f"{_exact(scale)} 0 0 -{_exact(scale)} 0 {_exact(top)} cm")

    def heading(self, title: str, description: str) -> None:
        self._title, self._description = title, description

    def shape(self, steps: Sequence[Step], paint: Paint) -> None:
        if not (paint.fill or paint.stroke):
            return
        if paint.fill:
            self._state("rg", _color(paint.fill))
        if paint.stroke:
            self._state("RG", _color(paint.stroke))
            self._state("w", short(paint.width))
            self._state("d", f"[{' '.join(map(short, paint.dash))}] 0")
            self._state("J", "1" if paint.round else "0")
        for letter, points in steps:
            numbers = [short(number) for point in points for number in point]
            self._content.append(" ".join((*numbers, _OPERATORS[letter])))
        self._content.append("B" if paint.fill and paint.stroke else "f" if paint.fill else "S")

    def line(self, x: float, y: float, words: str, paint: Paint, fitted: float | None) -> None:
        self._state("rg", _color(paint.fill))
        self._state("RG", _color(paint.fill))
        self._content += line(x, y, words, paint.font, paint.size, middle=paint.middle, fitted=fitted)

    def _state(self, operator: str, value: str) -> None:
        if self._set.get(operator) != value:
            self._set[operator] = value
            self._content.append(f"{value} {operator}")

    @property
    def _unit(self) -> float:
        return max(1.0, *(side / _LONGEST for side in self._size))

    def file(self) -> bytes:
        """The whole file."""
        unit = self._unit
        fonts = {name: number for number, name in enumerate(FONTS, 6)}
        listed = " ".join(f"/{name} {number} 0 R" for name, number in fonts.items())
        sides = " ".join(_exact(side / unit) for side in self._size)
        content = zlib.compress("\n".join(self._content).encode("latin-1"), 6)
        objects = [
            b"<< /Type /Catalog /Pages 2 0 R /ViewerPreferences << /DisplayDocTitle true >> >>",
            b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 {sides}] /UserUnit {_exact(unit)} "
            f"/Resources << /Font << {listed} >> >> /Contents 4 0 R >>".encode(),
            b"<< /Length %d /Filter /FlateDecode >>\nstream\n%b\nendstream" % (len(content), content),
            f"<< /Title {text_string(self._title)} /Subject {text_string(self._description)} "
            "/Producer (gradviz) >>".encode(),
        ]
        for font in FONTS.values():
            encoding = "" if font == "Symbol" else " /Encoding /WinAnsiEncoding"
            objects.append(f"<< /Type /Font /Subtype /Type1 /BaseFont /{font}{encoding} >>".encode())
        return _assembled(objects)


def _assembled(objects: Sequence[bytes]) -> bytes:
    """Objects 1, 2, ... as a file: the first is the catalog, the fifth tells of the document."""
    # The second line says to whoever transfers the file that it is no text.
    out = bytearray(b"%PDF-1.6\n%\xe2\xe3\xcf\xd3\n")
    places = []
    for number, body in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%b\nendobj\n" % (number, body)
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % place for place in places)
    out += b"trailer\n<< /Size %d /Root 1 0 R /Info 5 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, start)
    return bytes(out)


def _color(color: str) -> str:
    """`#rrggbb` as red, green and blue between 0 and 1."""
    return " ".join(short(int(color[at : at + 2], 16) / 255) for at in (1, 3, 5))


def _exact(value: float) -> str:
    return f"{value:.8f}".rstrip("0").rstrip(".")
