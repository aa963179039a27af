"""The HTML view: a page to send to somebody, with the drawing, the findings and all that is known of each box.

One file that fetches nothing, and whose policy forbids it to. The drawing and the findings need no script; `page.js`
adds zoom, search and the details, and tells what it has from `html_data`.
"""

from __future__ import annotations

import re
from base64 import b64encode
from hashlib import sha256
from importlib.resources import files
from math import ceil
from typing import TYPE_CHECKING

from gradviz.layout.drawing import Rectangle
from gradviz.layout.measure import one_line
from gradviz.picture.records import BoxKind
from gradviz.picture.wording import clean
from gradviz.views.html_data import data_pieces
from gradviz.views.svg import lay_out, marks
from gradviz.views.svg_legend import legend_items
from gradviz.views.svg_marks import escape
from gradviz.views.svg_style import PAINTS, style_sheet

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gradviz.diagnose import Finding
    from gradviz.graphs import Graph
    from gradviz.layout.drawing import Drawing
    from gradviz.picture.records import Remark
    from gradviz.views import Options

_MARGIN = 16
_LEGIBLE = 0.3
_TEXT_LIMIT = 2000
_FIRST = {BoxKind.OUTPUT: 0, BoxKind.OP: 1}
_SIGNS = {"error": "✕", "warning": "!", "note": "i"}

_KEYS = (
    ("click on a box", "what it is, what leads to it, where it goes"),
    ("drag, <kbd>←</kbd> <kbd>↓</kbd> <kbd>↑</kbd> <kbd>→</kbd>", "move"),
    ("wheel, pinch, <kbd>+</kbd> <kbd>-</kbd>", "zoom"),
    ("<kbd>0</kbd>", "fit to the page"),
    ("<kbd>/</kbd>", "search"),
    ("<kbd>Enter</kbd>, <kbd>Shift</kbd>+<kbd>Enter</kbd>", "next hit, the one before"),
    ("<kbd>Escape</kbd>", "clear"),
)


def draw(graph: Graph, options: Options, findings: Sequence[Finding] | None = None) -> str:
    """The graph as an HTML document."""
    return "".join(draw_pieces(graph, options, findings))


def draw_pieces(graph: Graph, options: Options, findings: Sequence[Finding] | None = None) -> Iterator[str]:
    """The document in pieces, for a file that need not be held in memory."""
    return write_pieces(lay_out(graph, options, findings), graph, findings)


def write_pieces(drawing: Drawing, graph: Graph, findings: Sequence[Finding] | None = None) -> Iterator[str]:
    """The document that shows `drawing`, a picture of `graph`, in pieces."""
    picture = drawing.picture
    title, summary = (escape(one_line(text)) for text in (picture.title, picture.summary))
    script = _resource("page.js")
    size = [ceil(max(side, 40)) + 2 * _MARGIN for side in (drawing.width, drawing.height)]
    # Without the script, too, a long drawing is not so small that nothing could be read.
    style = f"{_style(drawing)}#view>svg{{min-width:{round(_LEGIBLE * size[0])}px}}\n"
    yield _HEAD.format(policy=_policy(style, script), title=title, style=style)
    yield _HEADER.format(title=title, summary=summary)
    yield _DRAWING.format(
        start=_start(drawing), corner=-_MARGIN, width=size[0], height=size[1],
        title=title, description=escape(one_line(picture.description)),
    )
    for part in marks(drawing):
        if part:
            yield part + "\n"
    yield _BESIDE
    if findings is not None:
        yield from _findings(graph, findings, picture.remarks)
    yield from _section("notes", "Notes", [_told(note) for note in picture.notes])
    yield from _section("legend", "Legend", _legend(drawing))
    keys = "".join(f"<dt>{keys}</dt><dd>{what}</dd>\n" for keys, what in _KEYS)
    yield f'<section id="keys" hidden>\n<h2>On this page</h2>\n<dl>\n{keys}</dl>\n</section>\n'
    yield '</aside>\n<script id="data" type="application/json">\n'
    yield from data_pieces(drawing, graph, findings or ())
    yield f"</script>\n<script>{script}</script>\n</body>\n</html>\n"


# The head


_HEAD = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>gradviz: {title}</title>
<style>{style}</style>
</head>
<body>
"""

_HEADER = """\
<header>
<div>
<h1>{title}</h1>
<p>{summary}</p>
</div>
<form id="tools" role="search" hidden>
<input id="find" type="search" placeholder="name, op, scope or file:line" autocomplete="off" spellcheck="false" \
aria-label="Find boxes by name, op, scope or file:line" aria-describedby="hits" aria-keyshortcuts="/">
<output id="hits" for="find"></output>
<span role="group" aria-label="Zoom">
<button id="out" type="button" title="Zoom out" aria-label="Zoom out" aria-keyshortcuts="-">−</button>
<button id="fit" type="button" title="Fit to the page" aria-keyshortcuts="0">Fit</button>
<button id="in" type="button" title="Zoom in" aria-label="Zoom in" aria-keyshortcuts="+">+</button>
</span>
</form>
</header>
"""

_DRAWING = """\
<main id="view" tabindex="0" aria-label="Drawing" data-at="{start}">
<svg xmlns="http://www.w3.org/2000/svg" class="gv" viewBox="{corner} {corner} {width} {height}" width="{width}" \
height="{height}" role="img" aria-labelledby="name description">
<title id="name">gradviz: {title}</title>
<desc id="description">{description}</desc>
<g>
"""


_BESIDE = """\
</g>
</svg>
</main>
<aside aria-label="Details, findings and legend">
<section id="box" aria-live="polite" hidden></section>
"""


def _start(drawing: Drawing) -> str:
    """What the page shows first, across the flow of data: the first culprit, or else a root, or an op; `x y`.

    Along the flow it is the beginning.
    """
    areas = [placed.area for placed in drawing.boxes if placed.box.findings]
    if not areas and drawing.boxes:
        areas = [min(drawing.boxes, key=lambda placed: _FIRST.get(placed.box.kind, 2)).area]
    area = areas[0] if areas else Rectangle(0, 0, 0, 0)
    x, y = round(area.x + area.width / 2), round(area.y + area.height / 2)
    return f"0 {y}" if drawing.direction == "LR" else f"{x} 0"


def _resource(name: str) -> str:
    """A file of this package, without indentation and without the lines that are comments."""
    lines = files("gradviz.views").joinpath(name).read_text(encoding="utf-8").splitlines()
    told = [line.strip() for line in lines if line.strip() and not line.lstrip().startswith(("//", "/*"))]
    return "\n".join(("", *told, ""))


def _style(drawing: Drawing) -> str:
    """The page's own rules after those of the drawing, whose paints it has as `--ink` and so on."""
    light, dark = (
        "".join(f"--{name.replace(' ', '-')}:{paint[mode]};" for name, paint in PAINTS.items()) for mode in (0, 1)
    )
    folds = any(placed.box.fold is not None for placed in drawing.boxes)
    hooks = any(placed.box.hooked for placed in drawing.boxes)
    return (
        f"\n{style_sheet(findings=bool(drawing.picture.remarks), folds=folds, hooks=hooks)}\n"
        f":root{{{light}}}\n@media (prefers-color-scheme:dark){{:root{{{dark}}}}}{_resource('page.css')}"
    )


def _policy(style: str, script: str) -> str:
    """Nothing may be fetched, sent or run but this style and this script, which are told by their hashes."""
    hashes = [f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'" for text in (style, script)]
    return f"default-src 'none'; style-src {hashes[0]}; script-src {hashes[1]}; base-uri 'none'; form-action 'none'"


# What stands beside the drawing


def _section(id: str, heading: str, items: Sequence[str]) -> Iterator[str]:
    """A list of HTML under a heading; nothing where there are no items."""
    if items:
        listed = "\n".join(f"<li>{item}</li>" for item in items)
        yield f'<section id="{id}">\n<h2>{heading}</h2>\n<ul>\n{listed}\n</ul>\n</section>\n'


def _legend(drawing: Drawing) -> list[str]:
    return [
        f'<svg class="gv" viewBox="-1 -13 {item.sample_width + 2} 18" width="{item.sample_width + 2}" height="18" '
        f'aria-hidden="true">{item.sample}</svg>{escape(item.words)}'
        for item in legend_items(drawing)
    ]


def _findings(graph: Graph, findings: Sequence[Finding], remarks: Sequence[Remark]) -> Iterator[str]:
    """Every finding as `gradviz check` tells it, with the number that is drawn on its culprit."""
    from gradviz.diagnose import Findings
    from gradviz.diagnose.formats.text import summary_line

    numbers = {remark.finding: remark.number for remark in remarks}
    whole = findings if isinstance(findings, Findings) else Findings(findings, graph)
    yield f'<section id="findings">\n<h2>Findings</h2>\n<p>{escape(one_line(summary_line(whole)))}</p>\n<ol>\n'
    for at, finding in enumerate(findings):
        yield _finding(finding, numbers.get(at))
    yield "</ol>\n</section>\n"


def _finding(finding: Finding, number: int | None) -> str:
    code = f"[{escape(clean(finding.code))}]" if finding.code else ""
    column = f":{finding.column}" if finding.column else ""
    parts = [f'<b class="tag">{number or _SIGNS[finding.severity]}</b> {finding.severity}{code}']
    if finding.line:
        parts.append(f"<span>{_told(finding.path)}:{finding.line}{column}</span>")
    head = " ".join(parts)
    lines = [f'<a href="#finding={number}">{head}</a>' if number else f"<div>{head}</div>"]
    lines.append(f"<p>{_told(finding.message)}</p>")
    if finding.line and finding.source.strip():
        lines.append(_excerpt(finding))
    for other in finding.related:
        lines.append(f"<p><span>{_told(other.path)}:{other.line}</span> {_told(other.text)}</p>")
    if finding.help:
        lines.append(f"<p><strong>help:</strong> {_told(finding.help)}</p>")
    return f'<li class="{finding.severity}">{"".join(lines)}</li>\n'


def _excerpt(finding: Finding) -> str:
    """The source line behind its number, without indentation, the culprit marked in it."""
    from gradviz.diagnose.formats.text import span

    source = finding.source.replace("\t", " ").rstrip()
    start, end = span(finding)
    parts = source[:start], source[start:end], source[end:]
    before, culprit, after = (escape(clean(part, _TEXT_LIMIT)) for part in parts)
    return f"<pre>{finding.line}  {before.lstrip()}<mark>{culprit}</mark>{after}</pre>"


def _told(text: str) -> str:
    """Text as HTML, what stands in backticks as code."""
    return re.sub("`([^`]+)`", r"<code>\1</code>", escape(clean(text, _TEXT_LIMIT)))
