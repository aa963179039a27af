"""What every view owes its reader: the same text twice, any name as it is, an empty graph, and a size without limit."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree

import pytest
from building import Builder
from canonical import CANONICAL, chain, detach, mixed, named, no_grad, training, untrained
from oracles import require_dot

from gradviz.errors import UsageError
from gradviz.events import Gradient
from gradviz.graphs import Graph
from gradviz.picture.composing import compose
from gradviz.picture.records import BoxKind
from gradviz.views import EXTENSIONS, IMAGES, VIEWS, Options, draw, load, name_for

EVERYTHING = Options(show_saved=True, show_attrs=True)

HOSTILE = {
    "quotes": "a\"b'c`d",
    "markup": "<b>bold</b>",
    "html label": "<<TABLE></TABLE>>",
    "record": "{a|b}<c>",
    "entity": "&lt;&amp;&beta;",
    "rich": "[bold red]x[/] [link=x]y[/link]",
    "port": "a:b:c",
    "backslash": "a\\b\\n\\N\\",
    "newline": "one\ntwo\r\nthree\ttab",
    "script": "</script><script>alert(1)</script>",
    "comment": "-->]]>",
    "emoji": "x👩‍🔬🎉",
    "wide": "重み",
    "control": "\x00\x07\x1b[31mred\x7f",
    "surrogate": "\ud800",
    "right to left": "\u202egnorw",
    "percent": "%s {0} {x} ${y}",
    "keyword": "graph",
    "empty": "",
    "long": "x" * 10_000,
}


@pytest.mark.parametrize("view", VIEWS)
class TestEveryView:
    @pytest.mark.parametrize("name", CANONICAL)
    def test_draws_the_same_text_twice(self, view, name):
        first = draw(CANONICAL[name](), view, EVERYTHING)
        assert first == draw(CANONICAL[name](), view, EVERYTHING)
        assert first.endswith("\n")

    def test_leaves_the_graph_as_it_was(self, view):
        graph = mixed()
        draw(graph, view, EVERYTHING)
        assert graph == mixed()

    def test_draws_an_empty_graph(self, view):
        assert draw(CANONICAL["empty"](), view)

    @pytest.mark.parametrize("name", HOSTILE.values(), ids=HOSTILE)
    def test_stands_any_name(self, view, name):
        text = draw(named(name), view, EVERYTHING)
        assert text.encode(), "what is drawn can be written to a file"
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f\u202e]", text), "nothing steers the terminal that shows it"

    def test_both_directions(self, view):
        for direction in ("TB", "LR"):
            assert draw(detach(), view, Options(direction=direction))


@pytest.mark.parametrize("view", ["dot", "tree", "svg"])
def test_a_cut_is_told_with_its_cause_and_line_and_a_region_with_its_opener(view):
    assert re.search(r"detach.{1,3}line 6", draw(detach(), view), re.DOTALL)
    assert "no_grad · line 8" in draw(no_grad(), view)
    assert "1 cut" in draw(detach(), view)
    assert "raised" in draw(untrained(), view)


@pytest.mark.parametrize("view", ["dot", "tree", "svg"])
def test_a_title_can_be_given(view):
    assert "my title" in draw(detach(), view, Options(title="my title"))


@pytest.mark.parametrize("view", ["dot", "tree", "json"])
def test_a_hundred_thousand_ops(view):
    graph = chain(100_000)
    start = time.process_time()
    text = draw(graph, view)
    assert time.process_time() - start < 60
    assert text.count("mul") >= 100_000


# the registry


def test_a_view_goes_by_name_and_by_extension():
    assert {name_for(f"out{extension}") for extension in EXTENSIONS} == {*VIEWS, *IMAGES}
    assert name_for("a/B.SVG") == "svg"
    for name in VIEWS:
        assert callable(load(name).draw)


@pytest.mark.parametrize(("name", "near"), [("svgg", "`svg`"), ("jsn", "`json`"), ("\n", "svg, html, dot")])
def test_an_unknown_view_suggests_near_ones(name, near):
    with pytest.raises(UsageError) as caught:
        draw(detach(), name)
    assert near in caught.value.help


@pytest.mark.parametrize("path", ["picture.jpg", "picture", "picture.sgv"])
def test_an_unknown_extension_is_refused(path):
    with pytest.raises(UsageError, match="gradviz writes no such files"):
        name_for(path)


def test_naming_the_views_imports_none_of_them():
    code = "import sys, gradviz.views; print(sorted({'rich', 'graphviz', 'numpy', 'click'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


# dot


@pytest.mark.parametrize("name", CANONICAL)
def test_dot_golden(name, golden):
    golden(f"{name}.dot", draw(CANONICAL[name](), "dot", EVERYTHING))


def parse_dot(source: str) -> tuple[dict[str, str], list[tuple[str, str]], dict[str, str]]:
    """What Graphviz reads: the text of each node as it draws it, the edges, and the clusters' labels."""
    done = subprocess.run([require_dot(), "-Tsvg"], input=source.encode(), capture_output=True, timeout=60, check=True)
    assert not done.stderr, done.stderr.decode()
    space = "{http://www.w3.org/2000/svg}"
    nodes: dict[str, str] = {}
    edges: list[tuple[str, str]] = []
    clusters: dict[str, str] = {}
    for group in ElementTree.fromstring(done.stdout).iter(f"{space}g"):
        name = (group.findtext(f"{space}title") or "").replace("\xa0", " ")
        text = "\n".join((line.text or "").replace("\xa0", " ") for line in group.iter(f"{space}text"))
        if group.get("class") == "node":
            nodes[name] = text
        elif group.get("class") == "cluster":
            clusters[name] = text
        elif group.get("class") == "edge":
            tail, head = name.split("->")
            edges.append((tail, head))
    return nodes, edges, clusters


@pytest.mark.parametrize("name", CANONICAL)
def test_dot_holds_the_picture_as_graphviz_reads_it(name):
    graph = CANONICAL[name]()
    picture = compose(graph, Options(show_saved=True))
    nodes, edges, clusters = parse_dot(draw(graph, "dot", Options(show_saved=True)))
    assert set(nodes) - {"legend"} == {box.id for box in picture.boxes}
    assert sorted(edges) == sorted((wire.tail, wire.head) for wire in picture.wires)
    assert clusters == {f"cluster_{frame.id}": frame.title for frame in picture.frames}
    for box in picture.boxes:
        mark = {BoxKind.CUT: "✂ ", BoxKind.ERROR: "✗ "}.get(box.kind, "")
        assert nodes[box.id] == "\n".join(line for line in (mark + box.title, box.detail) if line)


@pytest.mark.parametrize("name", HOSTILE.values(), ids=HOSTILE)
def test_dot_shows_any_name_letter_for_letter(name):
    graph = named(name)
    picture = compose(graph, Options())
    nodes, _, clusters = parse_dot(draw(graph, "dot"))
    for box in picture.boxes:
        if box.kind is not BoxKind.CUT and box.kind is not BoxKind.ERROR:
            assert nodes[box.id] == "\n".join(line for line in (box.title, box.detail) if line)
    assert list(clusters.values()) == [frame.title for frame in picture.frames]


# tree


@pytest.mark.parametrize("name", CANONICAL)
@pytest.mark.parametrize("width", [60, 120])
def test_tree_golden(name, width, golden):
    golden(f"{name}.tree{width}.txt", draw(CANONICAL[name](), "tree", Options(show_saved=True, width=width)))


@pytest.mark.parametrize("name", CANONICAL)
@pytest.mark.parametrize("width", [40, 60, 120, None])
def test_tree_tells_the_same_at_any_width_with_and_without_colour(name, width):
    graph = CANONICAL[name]()
    plain = draw(graph, "tree", Options(width=width))
    colored = draw(graph, "tree", Options(width=width, color=True))
    assert [line.rstrip() for line in re.sub(r"\x1b\[[0-9;]*m", "", colored).splitlines()] == plain.splitlines()
    assert "\x1b" not in plain
    if width is not None:
        assert max(map(len, plain.splitlines())) <= width
    for box in compose(graph, Options()).boxes:
        assert box.title.split(" ")[0] in plain


def test_tree_writes_a_shared_value_once_and_refers_to_it():
    text = draw(detach(), "tree")
    assert len(re.findall(r"● x  .*#1$", text, re.MULTILINE)) == 1
    assert len(re.findall(r"↑1 x$", text, re.MULTILINE)) == 1


@pytest.mark.parametrize("width", [60, 140])
@pytest.mark.parametrize("name", CANONICAL)
def test_tree_explains_the_references_that_occur(name, width):
    text = draw(CANONICAL[name](), "tree", Options(width=width))
    lines = re.sub(r"[↑↓]n", "", text)
    up, down = (re.search(rf"{arrow}\d+ ", lines) is not None for arrow in "↑↓")
    told = {(True, False): "↑n = the line #n above", (False, True): "↓n = the line #n below"}
    both = {(True, True): "↑n ↓n = the line #n above or below"}
    expected = {**told, **both}.get((up, down))
    assert expected is None or expected in text
    assert up or down or "the line #n" not in text


def test_tree_says_which_wires_lost_gradient_without_colour():
    text = draw(untrained(), "tree")
    assert re.search(r"└✂ ● w ×2", text)
    assert "in no_grad · line 4" in text


def test_tree_of_a_chain_is_flat():
    lines = draw(chain(2000), "tree").splitlines()
    assert max(map(len, lines)) < 150
    assert len({len(line) - len(line.lstrip("│├└╌─┊ ")) for line in lines if "mul" in line and "op" not in line}) == 1


def test_tree_of_blocks_with_shortcuts_stays_narrow():
    b = Builder()
    h = b.leaf("x", requires_grad=True)
    for _ in range(500):
        h = b.op("add", h, b.op("relu", b.op("mul", h, "2")), name="h")
    text = draw(b.graph(), "tree", Options(width=60))
    assert max(map(len, text.splitlines())) <= 60
    assert len(re.findall("relu", text)) == 500


def test_tree_of_branches_within_branches_keeps_its_width():
    b = Builder()
    row = [b.op("exp", b.leaf("x", requires_grad=True))]
    for depth in range(40):
        row = [b.op("add", left, right) for left, right in zip([*row, row[0]], [row[-1], *row], strict=True)]
        assert len(row) == depth + 2
    text = draw(b.graph(), "tree", Options(width=60))
    assert max(map(len, text.splitlines())) <= 60
    numbers = re.findall(r"#(\d+)$", text, re.MULTILINE)
    assert len(numbers) == len(set(numbers))
    assert set(re.findall(r"[↑↓](\d+)", text)) <= set(numbers), "every reference has something to refer to"


# json


def read_json(graph: Graph) -> dict:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    return json.loads(draw(graph, "json"), parse_constant=refuse)


def test_json_holds_the_graph():
    graph = mixed()
    read = read_json(graph)
    assert list(read) == [
        "format", "version", "header", "sites", "values", "ops", "regions", "cuts", "sweeps", "optimizers", "acts",
        "errors", "notes", "folds", "findings", "end",
    ]  # fmt: skip
    assert read["format"] == "gradviz-graph"
    assert {value["id"]: value["name"] for value in read["values"]} == {v.id: v.name for v in graph.values.values()}
    assert [op["inputs"] for op in read["ops"]] == [list(op.inputs) for op in graph.ops.values()]
    assert [cut["cause"] for cut in read["cuts"]] == [str(cut.cause) for cut in graph.cuts]
    assert read["end"] == {"status": "finished", "exit_code": 0}


def test_json_has_words_for_numbers_that_are_none():
    b = Builder()
    w = b.leaf("w", requires_grad=True)
    norms = [float("nan"), float("inf"), float("-inf"), 0.5]
    b.sweep(b.op("exp", w), gradients=[Gradient(w, norm) for norm in norms])
    (sweep,) = read_json(b.graph())["sweeps"]
    assert [gradient["norm"] for gradient in sweep["gradients"]] == ["nan", "inf", "-inf", 0.5]


@pytest.mark.parametrize("name", HOSTILE.values(), ids=HOSTILE)
def test_json_keeps_any_name_to_the_letter(name):
    assert read_json(named(name))["ops"][0]["name"] == name


# svg


@pytest.mark.parametrize("name", HOSTILE.values(), ids=HOSTILE)
def test_svg_is_well_formed_whatever_the_names(name):
    root = ElementTree.fromstring(draw(named(name), "svg", EVERYTHING))
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert not list(root.iter("{http://www.w3.org/2000/svg}script"))


def test_svg_shows_every_box():
    for graph in (detach(), no_grad(), training(), mixed()):
        shown = " ".join(ElementTree.fromstring(draw(graph, "svg")).itertext())
        for box in compose(graph, Options()).boxes:
            assert box.title in shown
