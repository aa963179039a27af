"""What `make_dot`'s users know from torchviz, what gradviz adds to it, and that it shows itself without `dot`."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree

import graphviz
import pytest
from building import Builder
from canonical import chain, detach, named, no_grad, training
from oracles import require_dot
from test_views import HOSTILE, parse_dot

from gradviz.events import Cause, Saved
from gradviz.graphs import Graph
from gradviz.views import draw
from gradviz.views.torchviz import digraph


def value(graph: Graph, name: str) -> int:
    """The last value of that name."""
    return max(value.id for value in graph.values.values() if value.name == name)


def nodes(dot: graphviz.Digraph) -> dict[str, tuple[str, str]]:
    """Node name -> label and attributes."""
    node = re.compile(r'^\t+(n\d+) \[label=(?:"((?:[^"\\]|\\.)*)"|(\w+))(.*?)\]$', re.MULTILINE | re.DOTALL)
    found = node.findall(dot.source)
    return {name: (quoted or plain, rest.strip()) for name, quoted, plain, rest in found}


def edges(dot: graphviz.Digraph) -> list[tuple[str, str, str]]:
    """Labels of the two ends, first lines only, and the attributes."""
    labels = {name: label.partition("\n")[0] for name, (label, _) in nodes(dot).items()}
    found = re.findall(r"^\t(n\d+) -> (n\d+)(?: \[(.*)\])?$", dot.source, re.MULTILINE)
    return [(labels[tail], labels[head], rest) for tail, head, rest in found]


def squares() -> Builder:
    """`y = x * x; z = y.sum()`"""
    b = Builder()
    x = b.leaf("", (2, 3), requires_grad=True)
    saved = [Saved("other", (2, 3), "float32", 24, 1), Saved("self", (2, 3), "float32", 24, 0)]
    y = b.op("mul", x, x, saved=saved)
    b.op("sum", y, shape=(), attrs=[("dim", "0"), ("keepdim", "False" * 5)])
    return b


# as torchviz does it


def test_the_page_and_the_nodes_have_torchviz_defaults():
    dot = digraph(squares().graph(), [3])
    assert dot.node_attr == {
        "style": "filled", "shape": "box", "align": "left", "fontsize": "10", "ranksep": "0.1", "height": "0.2",
        "fontname": "monospace",
    }  # fmt: skip
    assert dot.graph_attr["size"] == "12,12"
    assert float(digraph(chain(200), [200]).graph_attr["size"].split(",")[0]) > 12, "grows with what is drawn"


def test_a_leaf_reaches_its_op_by_accumulate_grad_once_for_each_use():
    dot = digraph(squares().graph(), [3], {1: "x"})
    assert edges(dot) == [
        ("SumBackward0", "", ""),
        ("MulBackward0", "SumBackward0", ""),
        ("x", "AccumulateGrad", ""),
        ("AccumulateGrad", "MulBackward0", ""),
        ("AccumulateGrad", "MulBackward0", ""),
    ]


def test_tensors_are_labelled_by_name_and_size_and_coloured_by_what_they_are():
    dot = digraph(squares().graph(), [3], {1: "x"}, show_saved=True)
    found = sorted(nodes(dot).values())
    assert ("x\n (2, 3)", "fillcolor=lightblue") in found
    assert ("\n ()", "fillcolor=darkolivegreen1") in found, "a tensor without a name has its size alone"
    assert ("other\n (2, 3)", "fillcolor=orange") in found
    assert ("MulBackward0", "") in found, "ops keep the default fill"
    assert ("MulBackward0", "self", "dir=none") in edges(dot)
    b = Builder()
    b.op("exp", b.leaf("w", (1,), requires_grad=True), name="y")
    assert "w\n (1)" in [label for label, _ in nodes(digraph(b.graph(), [2])).values()]


def test_a_saved_leaf_stays_blue():
    dot = digraph(squares().graph(), [3], {1: "x"}, show_saved=True)
    assert sorted(rest for _, rest in nodes(dot).values()).count("fillcolor=lightblue") == 1


def test_attributes_stand_in_two_columns_under_a_rule():
    dot = digraph(squares().graph(), [3], show_attrs=True, max_attr_chars=12)
    labels = [label for label, _ in nodes(dot).values()]
    assert "SumBackward0\n---------------------\ndim    :            0\nkeepdim: FalseFals..." in labels
    assert "MulBackward0\n-------------------\nother: [saved te...\nself : [saved te..." in labels


def test_the_base_of_a_view_is_dark_green_and_joined_by_dots():
    b = Builder()
    x = b.leaf("x", (2, 3), requires_grad=True)
    y = b.op("mul", x, "2", name="y")
    v = b.view("select", b.view("view", y, shape=(6,)), name="v", shape=())
    dot = digraph(b.graph(), [v])
    assert ("y\n (2, 3)", "fillcolor=darkolivegreen3") in nodes(dot).values()
    assert ("y", "v", "style=dotted") in edges(dot)
    assert ("MulBackward0", "y", "") in edges(dot)


def test_a_leaf_may_be_its_own_base_and_an_output():
    b = Builder()
    x = b.leaf("x", (6,), requires_grad=True)
    v = b.view("view", x, name="v", shape=(2, 3))
    dot = digraph(b.graph(), [v, x])
    assert ("x", "v", "style=dotted") in edges(dot)
    assert [label for label, _ in nodes(dot).values()].count("x\n (6)") == 1
    lonely = digraph(b.graph(), [x])
    assert list(nodes(lonely).values()) == [("x\n (6)", "fillcolor=darkolivegreen1")]


def test_outputs_share_what_is_behind_them():
    b = Builder()
    h = b.op("exp", b.leaf("x", requires_grad=True), name="h")
    b.op("sin", h, name="a")
    b.op("cos", h, name="b")
    dot = digraph(b.graph(), [3, 4])
    assert [label for label, _ in nodes(dot).values()].count("ExpBackward0") == 1
    assert ("SinBackward0", "a", "") in edges(dot)
    assert ("CosBackward0", "b", "") in edges(dot)


def test_constants_do_not_show_in_what_is_tracked():
    graph = no_grad()
    assert "x\n" not in "".join(label for label, _ in nodes(digraph(graph, [value(graph, "y")])).values())


# what torchviz cannot show


def test_skipped_ops_are_dashed_inside_their_region():
    graph = no_grad()
    dot = digraph(graph, [value(graph, "z")])
    look = dict(nodes(dot).values())
    assert "style=dashed" in look["add\nno_grad.py:9 · skipped"]
    assert ("mul", "add", 'color="#6b7280" style=dashed') in edges(dot)
    assert any(tail == "w" and head == "mul" and "✂" in rest for tail, head, rest in edges(dot))
    found, _, clusters = parse_dot(dot.source)
    assert list(clusters.values()) == ["no_grad · no_grad.py:8"]
    assert len(found) == 6


def test_a_cut_is_red_with_its_cause_and_line():
    graph = detach()
    dot = digraph(graph, [value(graph, "r")])
    look = dict(nodes(dot).values())
    assert "#b91c1c" in look["✂ detach\ndetach.py:6"]
    assert ("x", "✂ detach", 'arrowhead=tee color="#b91c1c" penwidth=1.8') in edges(dot)
    assert ("x", "AccumulateGrad", "") in edges(dot)


def test_a_leaf_that_was_updated_does_not_drag_its_past_along():
    graph = training()
    dot = digraph(graph, [value(graph, "loss")])
    labels = sorted(label for label, _ in nodes(dot).values())
    assert labels == ["AccumulateGrad", "MulBackward0", "loss\n ()", "w\n ()"]


def test_a_leaf_made_from_a_tracked_tensor_shows_the_cut():
    b = Builder()
    h = b.op("exp", b.leaf("x", requires_grad=True), name="h")
    w = b.op("tensor", h, name="w", cause=Cause.RETENSOR, requires_grad=True, line=3)
    y = b.op("sin", w, name="y")
    found = edges(digraph(b.graph(), [y]))
    assert ("w", "AccumulateGrad", "") in found
    assert [(tail, head) for tail, head, _ in found if "✂ retensor" in (tail, head)] == [
        ("✂ retensor", "w"), ("ExpBackward0", "✂ retensor"),
    ]  # fmt: skip


def test_what_was_let_go_is_said():
    b = Builder()
    x = b.leaf("x", requires_grad=True)
    with b.region("no_grad"):
        y = b.op("mul", x, "2", forgotten=7)
    assert ("7 earlier ops let go", "mul") in [edge[:2] for edge in edges(digraph(b.graph(), [y]))]


# robustness


def test_a_hundred_thousand_ops_need_no_recursion():
    source = digraph(chain(100_000), [100_001]).source
    assert source.count("MulBackward0") == 100_000


def test_two_drawings_are_equal_to_the_byte():
    assert digraph(detach(), [6]).source == digraph(detach(), [6]).source


@pytest.mark.parametrize("name", HOSTILE.values(), ids=HOSTILE)
def test_graphviz_reads_any_name(name):
    graph = named(name)
    dot = digraph(graph, graph.values, {1: name}, show_attrs=True, show_saved=True)
    drawn, _, _ = parse_dot(dot.source)
    assert len(drawn) == len(set(re.findall(r"\bn\d+\b(?= \[label)", dot.source)))


# showing itself


@pytest.fixture
def without_dot(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def is_svg(text: str | bytes) -> bool:
    return ElementTree.fromstring(text).tag == "{http://www.w3.org/2000/svg}svg"


def test_a_notebook_and_a_pipe_get_svg_without_dot(without_dot):
    dot = digraph(detach(), [6])
    assert is_svg(dot._repr_mimebundle_()["image/svg+xml"])
    assert is_svg(dot._repr_image_svg_xml())
    assert isinstance(dot.pipe(format="svg"), bytes)
    assert dot.pipe("svg", encoding="utf-8") == dot.pipe(format="svg").decode()
    assert dot._repr_mimebundle_(exclude=["image/svg+xml"]) == {}


def test_svg_is_rendered_to_a_file_without_dot(without_dot):
    dot = digraph(detach(), [6])
    assert dot.render("graph", format="svg") == "graph.svg"
    assert is_svg((without_dot / "graph.svg").read_text())
    assert (without_dot / "graph").read_text() == dot.source
    assert dot.render("other.gv", "sub", format="svg", cleanup=True) == "sub/other.gv.svg"
    assert [path.name for path in (without_dot / "sub").iterdir()] == ["other.gv.svg"]
    dot = digraph(detach(), [6])
    assert dot.render(outfile="out.svg") == "out.svg"
    assert (without_dot / "out.gv").exists()
    with pytest.raises(graphviz.FileExistsError):
        dot.render(outfile="out.svg", raise_if_result_exists=True)


def test_html_is_written_without_dot_and_is_the_page_of_the_graph(without_dot):
    dot = digraph(detach(), [6])
    assert dot.render(outfile="out.html") == "out.html"
    assert (without_dot / "out.html").read_text(encoding="utf-8") == draw(detach(), "html")
    assert dot.pipe("html", encoding="utf-8") == draw(detach(), "html")
    assert dot.render("graph", format="html", cleanup=True) == "graph.html"
    dot.node("mine")
    with pytest.raises(ValueError, match="html"):
        dot.pipe("html")


def test_other_formats_need_dot_and_say_so(without_dot):
    dot = digraph(detach(), [6])
    with pytest.raises(graphviz.ExecutableNotFound):
        dot.pipe(format="png")
    with pytest.raises(graphviz.ExecutableNotFound):
        dot.render("graph")
    with pytest.raises(graphviz.ExecutableNotFound):
        dot.pipe("svg", engine="neato")


def test_graphviz_draws_other_formats_and_what_was_changed():
    require_dot()
    dot = digraph(detach(), [6])
    assert dot.pipe(format="png").startswith(b"\x89PNG")
    assert b"Generated by graphviz" not in dot.pipe(format="svg")
    dot.node("mine")
    assert b"Generated by graphviz" in dot.pipe(format="svg")


@pytest.mark.parametrize(
    "arguments",
    [{}, {"filename": "a"}, {"filename": "b.gv", "directory": "sub", "cleanup": True}, {"outfile": "c.svg"}],
)
def test_files_lie_where_graphviz_puts_them(arguments, tmp_path, monkeypatch):
    require_dot()
    theirs = graphviz.Digraph()
    theirs.node("a")
    seen = []
    for folder, dot in (("ours", digraph(detach(), [6])), ("theirs", theirs)):
        (tmp_path / folder).mkdir()
        monkeypatch.chdir(tmp_path / folder)
        path = dot.render(format="svg", **arguments)
        files = [path.relative_to(tmp_path / folder) for path in (tmp_path / folder).rglob("*")]
        seen.append((path, sorted(files)))
    assert seen[0] == seen[1]
