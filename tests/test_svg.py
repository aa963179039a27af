"""The SVG view: well-formed, escaped, legible in both modes, and true to its measures in a real browser."""

from __future__ import annotations

import itertools
import json
import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import pytest
from canonical import detach as detach_graph
from oracles import open_in_chromium
from pictures import ALL, chain, detach, empty, everything, hostile, mlp, no_grad

from gradviz.layout import arrange
from gradviz.picture.records import Box, BoxKind, Picture, WireKind
from gradviz.views import Options
from gradviz.views.svg import draw, draw_pieces, write, write_pieces
from gradviz.views.svg_style import PAINTS, TEXT_ON, style_sheet

SPACE = "{http://www.w3.org/2000/svg}"


def parsed(picture: Picture, direction: str = "TB") -> ElementTree.Element:
    return ElementTree.fromstring(write(arrange(picture, direction)))


def words(root: ElementTree.Element) -> list[str]:
    return ["".join(item.itertext()) for item in root.iter(f"{SPACE}text")]


# the file

@pytest.mark.parametrize("direction", ["TB", "LR"])
@pytest.mark.parametrize("name", ALL)
def test_every_picture_is_well_formed_and_stable(name, direction):
    text = write(arrange(ALL[name](), direction))
    assert text == write(arrange(ALL[name](), direction))
    assert text.endswith("</svg>\n")
    root = ElementTree.fromstring(text)
    assert root.attrib["role"] == "img"
    labelled = root.attrib["aria-labelledby"].split()
    assert [root.find(f"{SPACE}{tag}").attrib["id"] for tag in ("title", "desc")] == labelled


@pytest.mark.parametrize("name", ALL)
def test_nothing_is_scripted_or_fetched(name):
    text = write(arrange(ALL[name]()))
    root = ElementTree.fromstring(text)
    assert {item.tag.removeprefix(SPACE) for item in root.iter()} <= {
        "svg", "title", "desc", "style", "defs", "marker", "path", "g", "rect", "circle", "polygon", "text"
    }  # fmt: skip
    assert not any("href" in key or key.startswith("on") for item in root.iter() for key in item.attrib)
    sheet = root.find(f"{SPACE}style").text
    assert re.findall(r"url\((.)", sheet) == ["#"] * sheet.count("url(")
    assert "var(" not in sheet
    assert "@import" not in sheet


def test_texts_reach_the_reader_as_they_are():
    names = ["<b>", "a&b", "&amp;", '"q"', "]]>", "</text><script>", "a:b|{c}[d]", "\\n"]
    boxes = tuple(
        Box(f"b{number}", BoxKind.OP, name, name, (("name", name),)) for number, name in enumerate(names)
    )
    root = parsed(Picture("<t>", "<s>", "<d>", boxes, (), (), ("<n>",)))
    assert {"<t>", "<s>", "<n>", *names} <= set(words(root))
    tooltips = {item.text for item in root.iter(f"{SPACE}title")}
    assert {f"name: {name}" for name in names} <= tooltips
    assert root.find(f"{SPACE}desc").text == "<d>"


def test_a_clipped_title_is_whole_in_the_tooltip():
    box = Box("b0", BoxKind.OP, "very_" * 100, "line 1", (("name", "short"),))
    root = parsed(Picture("t", "s", "d", (box,), (), ()))
    assert any(item.text == "very_" * 100 + "\nname: short" for item in root.iter(f"{SPACE}title"))


def test_a_box_has_its_tooltip():
    titles = [item.text for item in parsed(detach()).iter(f"{SPACE}title")]
    assert "name: y = mul\nshape: ()\ndtype: float32\nbytes: 4" in titles


def test_a_node_takes_few_bytes():
    picture = chain(200)
    bare = replace(picture, boxes=tuple(replace(box, tooltip=()) for box in picture.boxes))
    size = len(write(arrange(bare))) - len(write(arrange(replace(bare, boxes=(), wires=()))))
    assert size / 200 < 300


# the legend

SAYS = {
    BoxKind.LEAF: "requires grad",
    BoxKind.OP: "tracked op",
    BoxKind.OFF: "not tracked",
    BoxKind.OUTPUT: "output",
    BoxKind.OFF_OUTPUT: "output without grad_fn",
    BoxKind.CUT: "gradient stops",
    BoxKind.SAVED: "saved tensor",
    BoxKind.ERROR: "raised here",
    WireKind.GRADIENT: "gradient",
    WireKind.SHADOW: "data only",
    WireKind.ALIAS: "same storage",
}


@pytest.mark.parametrize("name", ["detach", "no_grad", "mlp", "residual", "everything", "empty", "single"])
def test_the_legend_says_only_what_occurs(name):
    picture = ALL[name]()
    occurring = {box.kind for box in picture.boxes} | {wire.kind for wire in picture.wires}
    shown = words(parsed(picture))
    labels = [wire.label for wire in picture.wires]
    for kind, says in SAYS.items():
        assert (shown.count(says) > labels.count(says)) == (kind in occurring), kind
    assert ("gradient lost here" in shown) == any(wire.lost for wire in picture.wires)
    assert ("grad-mode region" in shown) == any(frame.kind == "region" for frame in picture.frames)
    assert ("module" in shown) == any(frame.kind == "module" for frame in picture.frames)


def test_everything_that_colour_tells_apart_differs_in_shape_dash_or_text_too():
    root = parsed(everything())
    sheet = style_sheet().split("@media")[0]
    looks = []
    for kind in ("leaf", "const", "op", "off", "out", "offo", "cut", "exit", "err", "saved", "more"):
        group = next(item for item in root.iter(f"{SPACE}g") if item.get("class") == kind)
        shapes = [
            (shape.tag, shape.get("rx"), shape.get("class"), len(shape.get("points", "").split()))
            for shape in group
            if shape.tag.removeprefix(SPACE) in ("rect", "polygon")
        ]
        dash = re.findall(rf"\.{kind} (?:rect|\.e)[^{{]*{{[^}}]*stroke-dasharray:([\d ]+)", sheet)
        looks.append((tuple(shapes), tuple(dash)))
    assert len(set(looks)) == len(looks)


# colours

def luminance(colour: str) -> float:
    """Relative luminance as WCAG 2 defines it."""
    channels = [int(colour[index : index + 2], 16) / 255 for index in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("mode", [0, 1])
@pytest.mark.parametrize(("ink", "ground"), TEXT_ON)
def test_text_has_contrast(ink, ground, mode):
    assert contrast(PAINTS[ink][mode], PAINTS[ground][mode]) >= 4.5


@pytest.mark.parametrize("mode", [0, 1])
@pytest.mark.parametrize("line", ["line", "faint line", "leaf edge", "output edge", "saved edge", "cut"])
def test_lines_have_contrast(line, mode):
    assert contrast(PAINTS[line][mode], PAINTS["paper"][mode]) >= 3
    assert contrast(PAINTS[line][mode], PAINTS["region"][mode]) >= 3


def test_red_is_for_cuts_and_errors_only():
    for name, colours in PAINTS.items():
        for colour in colours:
            red, green, blue = (int(colour[index : index + 2], 16) for index in (1, 3, 5))
            is_red = red > 150 and red > 1.8 * max(green, blue)
            assert is_red == (name == "cut") or name == "saved edge", name


def test_every_light_colour_has_its_dark_one():
    light, dark = style_sheet().split("@media (prefers-color-scheme:dark){")
    painted = {line.split("{")[0] for line in light.splitlines() if re.search(r"(fill|stroke):#", line)}
    assert painted == {line.split("{")[0] for line in dark.splitlines() if "#" in line}


# a real browser

MEASURE = """
<meta charset="utf-8"><body style="margin:0">%s<pre id="result"></pre><script>
const found = [];
for (const svg of document.querySelectorAll('svg')) {
  const whole = svg.viewBox.baseVal;
  const root = svg.getScreenCTM().inverse();
  for (const text of svg.querySelectorAll('text')) {
    const at = item => { const b = item.getBBox(), m = root.multiply(item.getScreenCTM());
      return [b.x + m.e, b.y + m.f, b.x + m.e + b.width, b.y + m.f + b.height]; };
    const own = at(text);
    if (own[0] < 0 || own[1] < 0 || own[2] > whole.width || own[3] > whole.height)
      found.push(['page', text.textContent.slice(0, 60)]);
    const shape = [...text.parentNode.children].find(item => ['rect', 'polygon'].includes(item.tagName));
    if (text.parentNode.tagName !== 'g' || !shape || shape.classList.contains('paper')) continue;
    if (text.parentNode.getAttribute('transform')) continue;
    const box = at(shape);
    if (own[0] < box[0] + 1 || own[2] > box[2] - 1 || own[1] < box[1] - 1 || own[3] > box[3] + 1)
      found.push(['box', text.textContent.slice(0, 60), own, box]);
  }
}
document.getElementById('result').textContent = JSON.stringify([document.querySelectorAll('svg text').length, found]);
</script>
"""


def test_in_a_browser_every_text_lies_within_its_box_and_its_page():
    drawings = [write(arrange(ALL[name](), way)) for name, way in itertools.product(ALL, ("TB", "LR"))]
    page = open_in_chromium(MEASURE % "\n".join(drawings))
    result = re.search(r'<pre id="result">(.*?)</pre>', page, re.DOTALL)
    assert result is not None
    count, found = json.loads(result[1].replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"))
    assert count > 500
    assert found == []


def test_in_a_browser_the_dark_scheme_takes_effect():
    wrapped = (
        f"<body>{write(arrange(mlp()))}<pre id=result></pre><script>document.getElementById('result').textContent ="
        "getComputedStyle(document.querySelector('svg .paper')).fill"
        "+ getComputedStyle(document.querySelector('svg .leaf rect')).stroke</script>"
    )
    light = open_in_chromium(wrapped)
    dark = open_in_chromium(wrapped.replace("(prefers-color-scheme:dark)", "(prefers-color-scheme:light)"))
    assert "rgb(255, 255, 255)rgb(37, 99, 235)" in light
    assert "rgb(13, 17, 23)rgb(106, 165, 251)" in dark


# the page

@pytest.mark.parametrize("make", [empty, detach, no_grad, hostile])
def test_title_summary_notes_and_legend_fit_the_page(make):
    root = parsed(make())
    assert all(float(size) == int(float(size)) for size in (root.attrib["width"], root.attrib["height"]))
    assert root.attrib["viewBox"] == f"0 0 {root.attrib['width']} {root.attrib['height']}"


def test_a_summary_wider_than_the_page_goes_on_in_a_second_line():
    told = "12 ops · 8 tracked, 3 skipped under no_grad, 1 not tracked · 2 leaves that require grad · 2 cuts · "
    told += "gradient reaches 2 leaves by some of the roads only · 5 of 5 autograd nodes matched to recorded ops"
    root = parsed(replace(detach(), summary=told, remarks=()))
    lines = [item.text for item in root.iter(f"{SPACE}text") if item.get("class") == "s"]
    assert len(lines) == 2
    assert " ".join(lines) == told


def test_notes_are_shown_under_the_picture():
    root = parsed(everything())
    note = next(item for item in root.iter(f"{SPACE}text") if "312 earlier ops" in (item.text or ""))
    boxes = [item for item in root.iter(f"{SPACE}g") if item.get("class") == "out"]
    lowest = max(float(rect.get("y")) + float(rect.get("height")) for rect in boxes[0].iter(f"{SPACE}rect"))
    assert float(note.get("y")) > lowest + 80


def test_a_lost_gradient_has_a_cross_at_its_head():
    drawing = arrange(no_grad())
    lost = [wire for wire in drawing.wires if wire.wire.lost]
    text = write(drawing)
    for wire in lost:
        x, y = wire.end
        assert f'<g class="lost" transform="translate({x:g} {y - 18:g})">' in text
    assert text.count('class="lost"') == len(lost) + 1


# the wires

@pytest.mark.parametrize("direction", ["TB", "LR"])
@pytest.mark.parametrize("name", ["detach", "everything", "residual", "no_grad"])
def test_every_wire_is_drawn_from_its_tail_to_its_head(name, direction):
    drawing = arrange(ALL[name](), direction)
    styles = {
        WireKind.GRADIENT: ("g", "gh"), WireKind.SHADOW: ("d", "dh"), WireKind.ALIAS: ("a", "gh"),
        WireKind.SAVED: ("v", None), WireKind.CUT: ("c", None), WireKind.ERROR: ("c err", "ch"),
    }  # fmt: skip
    plane = next(item for item in ElementTree.fromstring(write(drawing)).iter(f"{SPACE}g") if item.get("transform"))
    lines = [(path.get("class"), run) for path in plane.findall(f"{SPACE}path") for run in runs(path.get("d"))]
    for kind, (style, head) in styles.items():
        routed = [wire for wire in drawing.wires if wire.wire.kind is kind]
        drawn = [run for found, run in lines if found == style]
        assert [run[0] for run in drawn] == [pytest.approx(wire.start, abs=0.1) for wire in routed]
        for wire, run in zip(routed, drawn, strict=True):
            short = 2 if head else 0
            assert sum(abs(a - b) for a, b in zip(run[-1], wire.end, strict=True)) == pytest.approx(short, abs=0.2)
    points = sorted(run[0] for style, run in lines if style in ("gh", "dh", "ch"))
    ends = sorted(wire.end for wire in drawing.wires if styles[wire.wire.kind][1])
    assert points == [pytest.approx(end, abs=0.1) for end in ends]


def runs(data: str) -> list[list[tuple[float, float]]]:
    """The ends of each stretch of a path, as absolute points, one list for each time that the pen is put down."""
    found: list[list[tuple[float, float]]] = []
    for letter, rest in re.findall(r"([A-Za-z])([^A-Za-z]*)", data):
        numbers = [float(item) for item in re.findall(r"-?(?:\d+\.?\d*|\.\d+)", rest)]
        if letter == "M":
            found.append([(numbers[0], numbers[1])])
        elif letter in "VH":
            x, y = found[-1][-1]
            found[-1].append((x, numbers[0]) if letter == "V" else (numbers[0], y))
        elif letter in "LC":
            found[-1].append((numbers[-2], numbers[-1]))
    return found


def test_a_browser_is_given_few_paths_and_none_that_spans_the_drawing():
    drawing = arrange(chain(1_000))
    plane = next(item for item in ElementTree.fromstring(write(drawing)).iter(f"{SPACE}g") if item.get("transform"))
    paths = plane.findall(f"{SPACE}path")
    assert len(paths) < len(drawing.wires) / 20
    for path in paths:
        ends = [y for run in runs(path.get("d")) for _, y in run]
        assert max(ends) - min(ends) < drawing.height / 10


def test_an_arrowhead_points_the_way_its_wire_arrives():
    for direction, along in (("TB", 1), ("LR", 0)):
        text = write(arrange(mlp(), direction))
        steps = [re.findall(r"-?\d+\.?\d*", head)[:2] for head in re.findall(r"M[\d.]+ [\d.]+(l[^z]+)z", text)]
        assert len(steps) > 5
        assert any(float(step[along]) == -9.5 for step in steps)


# in pieces

def test_a_drawing_comes_in_small_pieces():
    graph = detach_graph()
    pieces = list(draw_pieces(graph, Options()))
    assert "".join(pieces) == draw(graph, Options())
    drawing = arrange(chain(1_000))
    pieces = list(write_pieces(drawing))
    assert "".join(pieces) == write(drawing)
    assert len(pieces) > len(drawing.boxes)
    assert max(map(len, pieces)) < 10_000
    assert all(piece.endswith("\n") for piece in pieces)


def test_what_a_mark_of_text_means_is_one_text_in_the_legend():
    box = replace(mlp().boxes[0], detail="version 3")
    root = parsed(replace(mlp(), boxes=(box, *mlp().boxes[1:])))
    assert "version n = written in place n times" in words(root)
