"""Findings in every view: marked, listed, escaped, and read back by a parser, by Graphviz and by a browser."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import textwrap
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path

import pytest
from building import Builder
from canonical import CANONICAL, detach, named, untrained
from click.testing import CliRunner, Result
from gradviz_cli.main import application
from oracles import open_in_chromium, require_dot
from pictures import blamed, everything, hostile_remarks
from test_svg import contrast
from test_views import HOSTILE, parse_dot

from gradviz.diagnose import Finding, Findings, Severity, diagnose
from gradviz.diagnose.findings import place
from gradviz.diagnose.formats import as_json
from gradviz.graphs import Graph
from gradviz.layout import arrange
from gradviz.layout.check import check
from gradviz.picture.composing import compose
from gradviz.picture.records import BoxKind
from gradviz.views import VIEWS, Options, draw
from gradviz.views.svg import write
from gradviz.views.svg_style import PAINTS, style_sheet

SPACE = "{http://www.w3.org/2000/svg}"


def everywhere(graph: Graph, text: str = "`w` got no gradient", severity: Severity | None = None) -> list[Finding]:
    """A finding for each place in the graph, errors first; all of one severity where one is given."""
    sites = [site for site in graph.sites.values() if site.line]
    kinds = [severity or (Severity.WARNING if at else Severity.ERROR) for at in range(len(sites))]
    names = tuple(value.name for value in graph.values.values())
    return [
        Finding("GV101", "detach", kind, text, text[::-1], **place(site), names=names, values=tuple(graph.values))
        for site, kind in zip(sites, kinds, strict=True)
    ]  # type: ignore[arg-type]


@pytest.mark.parametrize("view", VIEWS)
class TestEveryView:
    @pytest.mark.parametrize("severity", Severity)
    @pytest.mark.parametrize("name", CANONICAL)
    def test_draws_findings_the_same_twice(self, view, name, severity):
        graph = CANONICAL[name]()
        findings = everywhere(graph, severity=severity)
        text = draw(graph, view, Options(), findings)
        assert text == draw(CANONICAL[name](), view, Options(), everywhere(graph, severity=severity))
        assert text.endswith("\n")

    @pytest.mark.parametrize("name", HOSTILE.values(), ids=HOSTILE)
    def test_stands_any_text(self, view, name):
        graph = named("w")
        text = draw(graph, view, Options(width=60), everywhere(graph, f"`{name}` is lost"))
        assert text.encode(), "what is drawn can be written to a file"
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f\u202e]", text), "nothing steers the terminal that shows it"

    def test_tells_number_severity_code_line_message_and_help(self, view):
        graph = detach()
        (site,) = (site for site in graph.sites.values() if site.line == 6 and site.target == "")
        found = Finding("GV101", "detach", Severity.ERROR, "lost it", "mend it", **place(site))
        text = draw(graph, view, Options(), [found])
        assert re.search(r'"code":"GV101".*"line":6' if view == "json" else r"error GV101 · line 6", text)
        assert "lost it" in text
        assert "mend it" in text


@pytest.mark.parametrize("name", CANONICAL)
@pytest.mark.parametrize("view", ["svg", "dot", "tree"])
def test_a_healthy_graph_is_drawn_as_if_nobody_had_asked(view, name):
    graph = CANONICAL[name]()
    asked = draw(graph, view, Options(), everywhere(graph, severity=Severity.NOTE))
    assert draw(graph, view) == draw(graph, view, Options(), []) == asked


# json


def test_json_holds_what_check_prints():
    graph = untrained()
    findings = diagnose(graph)
    assert findings
    read = json.loads(draw(graph, "json", Options(), findings))
    assert read["findings"] == json.loads(as_json(findings))["findings"]
    assert json.loads(draw(graph, "json", Options(), []))["findings"] == []
    assert json.loads(draw(graph, "json"))["findings"] is None
    noted = everywhere(graph, severity=Severity.NOTE)
    told = json.loads(draw(graph, "json", Options(), noted))["findings"]
    assert told == json.loads(as_json(Findings(noted, graph)))["findings"], "notes too: nothing is left out"


# dot


@pytest.mark.parametrize("name", CANONICAL)
def test_dot_marks_what_is_blamed_as_graphviz_reads_it(name):
    graph = CANONICAL[name]()
    findings = everywhere(graph)
    picture = compose(graph, Options(), findings)
    nodes, edges, clusters = parse_dot(draw(graph, "dot", Options(), findings))
    severity = [remark.severity for remark in picture.remarks]
    for box in picture.boxes:
        marks = [line for line in nodes[box.id].split("\n") if re.fullmatch(r"\d+ (error|warning)", line)]
        assert marks == [f"{number} {severity[number - 1]}" for number in box.findings]
    for frame in picture.frames:
        told = [frame.title, *(f"{number} {severity[number - 1]}" for number in frame.findings)]
        assert clusters[f"cluster_{frame.id}"] == " · ".join(told)
    assert len(edges) == len(picture.wires)


@pytest.mark.parametrize("name", HOSTILE.values(), ids=HOSTILE)
def test_dot_lists_any_text_letter_for_letter(name):
    graph = named("w")
    text = f"`{name}` is lost"
    source = draw(graph, "dot", Options(), everywhere(graph, text))
    done = subprocess.run([require_dot(), "-Tsvg"], input=source.encode(), capture_output=True, timeout=60, check=True)
    assert not done.stderr
    shown = "".join(ElementTree.fromstring(done.stdout).itertext()).replace("\xa0", " ")
    (remark, *_) = compose(graph, Options(), everywhere(graph, text)).remarks
    assert remark.message.split()[0][:100] in shown


# tree


@pytest.mark.parametrize("name", [*CANONICAL])
@pytest.mark.parametrize("width", [40, 60, 120, None])
def test_tree_tells_the_same_at_any_width_with_and_without_colour(name, width):
    graph = CANONICAL[name]()
    findings = everywhere(graph, "[bold]`x[mask]`[/] got no gradient, " * 4)
    plain = draw(graph, "tree", Options(width=width), findings)
    colored = draw(graph, "tree", Options(width=width, color=True), findings)
    assert [line.rstrip() for line in re.sub(r"\x1b\[[0-9;]*m", "", colored).splitlines()] == plain.splitlines()
    if width is not None:
        assert max(map(len, plain.splitlines())) <= width
    unfolded = re.sub(r"\s+[│┃┊┇]*\s*", " ", plain)
    marks = {int(number) for number in re.findall(r"◀(\d+) (?:error|warning)", unfolded)}
    picture = compose(graph, Options(), findings)
    assert marks == {number for item in (*picture.boxes, *picture.frames) for number in item.findings}


@pytest.mark.parametrize("width", [60, 120])
def test_tree_golden(width, golden):
    graph = untrained()
    golden(f"findings.tree{width}.txt", draw(graph, "tree", Options(width=width), diagnose(graph)))


def test_tree_shows_a_lost_road_without_colour():
    graph = untrained()
    assert "┃" in draw(graph, "tree", Options(), diagnose(graph)).replace("┇", "┃")
    assert not set("━┃╍┇┝┕") & set(draw(graph, "tree"))


# svg


def test_svg_has_a_tag_on_each_culprit_and_one_in_the_list():
    picture = blamed()
    root = ElementTree.fromstring(write(arrange(picture)))
    tags = [group for group in root.iter(f"{SPACE}g") if group.get("class") in ("te", "tw")]
    counts = dict.fromkeys(range(1, len(picture.remarks) + 1), 0)
    for tag in tags:
        number = int(tag.findtext(f"{SPACE}text"))
        remark = picture.remarks[number - 1]
        assert tag.get("class") == {"error": "te", "warning": "tw"}[remark.severity]
        assert tag.findtext(f"{SPACE}title").startswith(f"{remark.heading}\n{remark.message.strip()}")
        counts[number] += 1
    items = [*picture.boxes, *picture.frames]
    assert counts == {number: 1 + sum(number in item.findings for item in items) for number in counts}


@pytest.mark.parametrize("direction", ["TB", "LR"])
@pytest.mark.parametrize("name", CANONICAL)
def test_tags_have_room_of_their_own(name, direction):
    graph = CANONICAL[name]()
    assert check(arrange(compose(graph, Options(show_saved=True), everywhere(graph)), direction)) == ()


def test_the_check_sees_a_tag_that_has_no_room():
    drawing = arrange(blamed())
    box = next(placed for placed in drawing.boxes if placed.tags)
    moved = [replace(box, tags=tuple(replace(tag, x=tag.x + way) for tag in box.tags)) for way in (-40, 40)]
    for wrong in (*moved, replace(box, tags=box.tags[:1] * len(box.tags)), replace(box, tags=())):
        boxes = tuple(wrong if placed is box else placed for placed in drawing.boxes)
        assert any(" tag" in line for line in check(replace(drawing, boxes=boxes)))


def test_lost_roads_lie_below_the_wires_and_leave_them_as_they_are():
    graph = detach()
    findings = [found for found in everywhere(graph, severity=Severity.ERROR) if found.line == 6]
    text = write(arrange(compose(graph, Options(), findings)))
    wire = re.search(r'<path class="(?:g|d|c)" d="[^"]+"/>', text.partition("</style>")[2])
    band = text.index('<path class="re"')
    assert wire is not None
    assert band < text.index(wire[0])
    kinds = lambda svg: re.findall(r'<path class="(g|d|a|c)"', svg)  # noqa: E731
    assert kinds(text) == kinds(write(arrange(compose(graph, Options()))))


def test_only_a_drawing_with_findings_has_rules_for_them():
    assert style_sheet(findings=True).startswith(style_sheet().split("@media")[0].rstrip("\n"))
    assert style_sheet() in write(arrange(everything()))
    light, dark = style_sheet(findings=True).split("@media (prefers-color-scheme:dark){")
    painted = {line.split("{")[0] for line in light.splitlines() if re.search(r"(fill|stroke):#", line)}
    assert painted == {line.split("{")[0] for line in dark.splitlines() if "#" in line}
    used = set(re.findall(r'class="([^"]+)"', write(arrange(blamed()))))
    assert {"te", "tw", "re", "rw", "fh te", "fh tw", "fi"} <= used


@pytest.mark.parametrize("mode", [0, 1])
def test_a_road_is_pale_enough_for_the_wire_on_it(mode):
    for band in ("error road", "warning road"):
        for line in ("line", "faint line", "cut"):
            assert contrast(PAINTS[line][mode], PAINTS[band][mode]) >= 2.5, (line, band)


OVERLAPS = """
<meta charset="utf-8"><body style="margin:0">%s<pre id="result"></pre><script>
const found = [];
let count = 0;
for (const tag of document.querySelectorAll('svg g.te, svg g.tw')) {
  count += 1;
  const box = item => item.getBoundingClientRect();
  const own = box(tag), shape = tag.parentNode.querySelector(':scope > rect, :scope > polygon');
  for (const text of tag.parentNode.querySelectorAll(':scope > text')) {
    const it = box(text);
    if (it.left < own.right && own.left < it.right && it.top < own.bottom && own.top < it.bottom)
      found.push(['text', tag.textContent, text.textContent.slice(0, 60)]);
  }
  const around = shape && box(shape);
  if (around && (own.left < around.left || own.right > around.right || own.top < around.top
      || own.bottom > around.bottom)) found.push(['box', tag.textContent]);
  const number = box(tag.querySelector('text'));
  if (number.left < own.left + 1 || number.right > own.right - 1) found.push(['number', tag.textContent]);
}
document.getElementById('result').textContent = JSON.stringify([count, found]);
</script>
"""


def test_in_a_browser_no_tag_lies_over_a_text_or_out_of_its_box():
    drawings = [write(arrange(make(), way)) for make in (blamed, hostile_remarks) for way in ("TB", "LR")]
    page = open_in_chromium(OVERLAPS % "\n".join(drawings))
    result = re.search(r'<pre id="result">(.*?)</pre>', page, re.DOTALL)
    assert result is not None
    count, found = json.loads(result[1].replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"))
    assert count > 100
    assert found == []


def test_a_narrow_drawing_is_widened_for_its_list():
    b = Builder()
    b.sweep(b.leaf("x", requires_grad=True, line=1), line=2)
    graph = b.graph()
    text = "`x` got no gradient from any of the backward passes that this script ran, " * 3
    root = ElementTree.fromstring(draw(graph, "svg", Options(), everywhere(graph, text)))
    told = " ".join(item.text or "" for item in root.iter(f"{SPACE}text") if item.get("class") == "fi")
    assert told.split() == text.split() * 2, "every word of both findings is there"
    assert float(root.attrib["width"]) < 700


def test_a_cut_stays_red_whatever_a_rule_says_of_it():
    graph = detach()
    (box,) = (b for b in compose(graph, Options()).boxes if b.kind is BoxKind.CUT)
    site = graph.sites[graph.ops[box.op].site]
    found = Finding("GV101", "detach", Severity.WARNING, "lost", "", **place(site))
    groups = {group.get("class") for group in ElementTree.fromstring(draw(graph, "svg", Options(), [found])).iter()}
    assert "cut" in groups
    assert not any(name and name.startswith("cut ") for name in groups)


# the commands

SCRIPT = """
import gradviz
w = gradviz.tensor(2.0, requires_grad=True)
with gradviz.no_grad():
    loss = w * w
try:
    loss.backward()
except RuntimeError:
    pass
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory, with a script in it that loses a gradient."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train.py").write_text(textwrap.dedent(SCRIPT), encoding="utf-8")
    return tmp_path


def gradviz(*arguments: str) -> Result:
    return CliRunner().invoke(application, arguments, catch_exceptions=False)


def test_render_tells_three_findings_and_where_the_others_are(folder, capfd):
    lines = ["import gradviz as gv"]
    for number in range(5):
        lines += [f"w{number} = gv.tensor(1.0, requires_grad=True)", f"loss{number} = w{number} * 2"]
        lines += [f"(loss{number}.detach() * gv.tensor(1.0, requires_grad=True)).backward()"]
    (folder / "five.py").write_text("\n".join(lines), encoding="utf-8")
    gradviz("check", "five.py", "--format", "json")
    checked = [found for found in json.loads(capfd.readouterr().out)["findings"] if found["severity"] != "note"]
    assert len(checked) > 3
    told = gradviz("render", "five.py", "--", "--lr", "a b").stderr.splitlines()
    told_of = [(found["severity"], found["code"], found["message"], found["line"]) for found in checked]
    gravest = [f"{severity}[{code}]: {message} (five.py:{line})" for severity, code, message, line in told_of]
    assert told[1:4] == gravest[:3]
    assert told[4:] == [f"{len(checked) - 3} more: gradviz check five.py -- --lr 'a b'"]


def test_render_on_standard_output_and_without_findings_tells_none(folder, capfd):
    assert "GV" not in gradviz("render", "train.py", "--no-findings").stderr
    gradviz("render", "train.py", "-f", "json", "-o", "-")
    assert capfd.readouterr().err == ""


def test_render_shows_what_check_finds(folder, capfd):
    gradviz("check", "train.py", "--format", "json")
    checked = json.loads(capfd.readouterr().out)["findings"]
    done = gradviz("render", "train.py")
    assert done.exit_code == 0
    assert "1 error" in done.stderr
    assert f"error[{checked[0]['code']}]: {checked[0]['message']} (train.py:4)" in done.stderr.splitlines()
    drawn = (folder / "train.svg").read_text(encoding="utf-8")
    assert [found["code"] for found in checked] == re.findall(r">error (GV\d+) · line 4<", drawn)
    gradviz("tree", "train.py")
    assert "◀1 error" in capfd.readouterr().out
    gradviz("render", "train.py", "-f", "json", "-o", "-")
    assert json.loads(capfd.readouterr().out)["findings"] == checked


def test_findings_can_be_left_out(folder, capfd):
    def shown(*arguments: str) -> str:
        gradviz(*arguments)
        return str(capfd.readouterr().out)

    render, tree = ("render", "train.py", "-o", "-"), ("tree", "train.py")
    for command in (render, tree):
        assert "GV201" in shown(*command)
        assert "GV201" not in shown(*command, "--no-findings")
    (folder / "pyproject.toml").write_text('[tool.gradviz]\nignore = ["GV2"]\n', encoding="utf-8")
    assert shown(*render) == shown(*render, "--no-findings")
    (folder / "pyproject.toml").write_text("[tool.gradviz]\nignored = []\n", encoding="utf-8")
    assert gradviz(*tree).exit_code == 2
    assert gradviz(*tree, "--no-findings").exit_code == 0


def test_a_view_without_findings_loads_no_rules():
    code = (
        "import sys; sys.path.insert(0, 'tests'); from canonical import detach; from gradviz.views import draw;"
        "[draw(detach(), view) for view in ('svg', 'html', 'dot', 'tree', 'json')];"
        "print(any(name.startswith('gradviz.diagnose') for name in sys.modules))"
    )
    root = Path(__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root)
    assert done.stdout == "False\n"


def test_the_picture_in_the_docs_shows_what_its_command_draws(tmp_path):
    root = Path(__file__).parents[1]
    command = [sys.executable, "-m", "gradviz", "render", "samples/training_under_no_grad.py", "-o"]
    subprocess.run([*command, str(tmp_path / "finding.svg")], cwd=root, capture_output=True, check=True)
    shown, drawn = (
        [item.text for item in ElementTree.parse(path / "finding.svg").iter(f"{SPACE}text")]
        for path in (root / "docs", tmp_path)
    )
    assert shown == drawn
