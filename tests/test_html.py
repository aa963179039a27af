"""The HTML view: one page that fetches nothing, is read without its script, and does what it says in a real browser."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ElementTree
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256
from html.parser import HTMLParser
from typing import Any

import pytest
from building import Builder
from canonical import CANONICAL, chain, detach, mixed, named, no_grad, untrained
from oracles import open_in_chromium
from test_findings_in_views import everywhere
from test_views import HOSTILE

from gradviz.diagnose import Finding, Severity, diagnose
from gradviz.diagnose.findings import place
from gradviz.events import Gradient, Saved
from gradviz.fold.choice import Choice
from gradviz.fold.page import fold_to_page
from gradviz.graphs import Fold, Graph
from gradviz.picture.composing import compose
from gradviz.picture.records import BoxKind
from gradviz.views import Options, draw, draw_pieces
from gradviz.views.html import lay_out, write_pieces
from gradviz.views.svg_wires import by_kind

SPACE = "{http://www.w3.org/2000/svg}"
PAGE = {
    "html", "head", "meta", "title", "style", "body", "header", "div", "h1", "p", "form", "input", "output", "span",
    "button", "main", "aside", "section", "h2", "ol", "ul", "li", "a", "b", "pre", "code", "strong", "dl", "dt", "dd",
    "kbd", "mark", "script",
}  # fmt: skip
DRAWING = {"svg", "title", "desc", "g", "path", "rect", "circle", "polygon", "text"}
VOID = {"meta", "input", "br", "hr", "img", "link"}


class Page(HTMLParser):
    """A document as an HTML parser reads it: its elements, their attributes, and the text in them.

    elements   tag, attributes, and the text of the element and of all in it, in the order in which they begin
    """

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None], list[str]]] = []
        self._open: list[tuple[str, list[str]]] = []
        self.feed(text)
        self.close()
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len({name for name, _ in attrs}) == len(attrs)
        texts: list[str] = []
        self.elements.append((tag, dict(attrs), texts))
        if tag not in VOID:
            self._open.append((tag, texts))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs), []))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop()[0] == tag

    def handle_data(self, data: str) -> None:
        for _, texts in self._open:
            texts.append(data)

    def texts(self, tag: str, **wanted: str) -> list[str]:
        """The text of each element of a kind that has these attributes."""
        found = [item for item in self.elements if item[0] == tag]
        return ["".join(texts) for _, given, texts in found if wanted.items() <= given.items()]

    def of_id(self, id: str) -> str:
        """The text of the element with an id."""
        (found,) = ["".join(texts) for _, given, texts in self.elements if given.get("id") == id]
        return found


def drawing_of(text: str) -> ElementTree.Element:
    """The SVG in a page, as an XML parser reads it."""
    return ElementTree.fromstring(text[text.index("<svg ") : text.index("</svg>") + 6])


def data_of(text: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Page(text).of_id("data"))
    return found


def places(finding: Finding) -> str:
    return f"{finding.path}:{finding.line}"


# the file


@pytest.mark.parametrize("name", CANONICAL)
def test_every_page_is_whole_and_fetches_nothing(name):
    graph = CANONICAL[name]()
    page = Page(draw(graph, "html", Options(show_saved=True), everywhere(graph)))
    ids = [given["id"] for _, given, _ in page.elements if "id" in given]
    assert len(set(ids)) == len(ids)
    tags = {tag for tag, _, _ in page.elements}
    assert not tags & {"link", "img", "iframe", "object", "embed", "base", "audio", "video", "image", "use", "source"}
    for _, given, _ in page.elements:
        assert not any(key.startswith("on") or key in ("src", "style", "srcset", "action") for key in given)
        assert (given.get("href") or "#").startswith("#")
    assert "url(" not in page.texts("style")[0]
    assert "@import" not in page.texts("style")[0]


def test_the_policy_lets_only_its_own_style_and_script_be():
    page = Page(draw(untrained(), "html", Options(), diagnose(untrained())))
    (policy,) = [given["content"] for tag, given, _ in page.elements if given.get("http-equiv")]
    hashes = {
        f"{tag}-src": f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"
        for tag, text in (("style", page.texts("style")[0]), ("script", page.texts("script")[1]))
    }
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules == {"default-src": "'none'", "base-uri": "'none'", "form-action": "'none'", **hashes}
    assert len(page.texts("style")) == 1
    assert len(page.texts("script")) == 2


@pytest.mark.parametrize("direction", ["TB", "LR"])
@pytest.mark.parametrize("name", CANONICAL)
def test_the_drawing_is_that_of_the_svg(name, direction):
    graph, options = CANONICAL[name](), Options(direction=direction, show_saved=True)
    findings = everywhere(graph)
    ours, theirs = (
        [ElementTree.tostring(item) for item in plane]
        for plane in (
            drawing_of(draw(graph, "html", options, findings)).find(f"{SPACE}g"),
            ElementTree.fromstring(draw(graph, "svg", options, findings)).find(f"{SPACE}g"),
        )
    )
    assert ours == theirs


@pytest.mark.parametrize("name", HOSTILE.values(), ids=HOSTILE)
def test_no_name_becomes_markup(name):
    graph = named(name)
    text = draw(graph, "html", Options(show_attrs=True), everywhere(graph, f"`{name}` is lost"))
    tags = [tag for tag, _, _ in Page(text).elements]
    assert set(tags) <= PAGE | DRAWING
    assert [tags.count(tag) for tag in ("script", "style", "b")] == [2, 1, len(everywhere(graph))]
    assert {item.tag.removeprefix(SPACE) for item in drawing_of(text).iter()} <= DRAWING
    titles = [box[0] for box in data_of(text)["boxes"]]
    assert titles == [box.title for box in compose(graph, Options(show_attrs=True), everywhere(graph)).boxes]
    assert "<" not in Page(text).of_id("data")


def test_a_page_is_written_in_small_pieces():
    graph = chain(3000)
    pieces = list(draw_pieces(graph, "html"))
    assert "".join(pieces) == draw(graph, "html")
    assert max(map(len, pieces)) < len("".join(pieces)) / 5


@pytest.mark.parametrize("name", ["page.js", "page.css"])
def test_what_goes_into_a_page_may_lose_its_indentation(name):
    from importlib.resources import files

    text = files("gradviz.views").joinpath(name).read_text(encoding="utf-8")
    assert "</" not in text
    assert all(line.count("`") % 2 == 0 for line in text.splitlines()), "no string goes over lines"
    assert all("*/" in line for line in text.splitlines() if "/*" in line)


def test_a_page_costs_few_bytes_besides_its_drawing():
    text = draw(detach(), "html", Options(), ())
    script = Page(text).texts("script")[1]
    besides = len(text) - len(Page(text).of_id("data")) - (text.index("</svg>") - text.index("<svg "))
    assert len(script.encode()) < 12_000
    assert besides < 25_500


# what stands beside the drawing


@pytest.mark.parametrize("severity", Severity)
def test_every_finding_is_told_as_check_tells_it(severity):
    graph = untrained()
    findings = everywhere(graph, "`w` got no gradient", severity)
    page = Page(draw(graph, "html", Options(), findings))
    entries = page.texts("li", **{"class": severity.value})
    assert len(entries) == len(findings) > 2
    for entry, finding in zip(entries, findings, strict=True):
        assert f"{severity}[{finding.code}]" in entry
        assert places(finding) in entry
        assert "w got no gradient" in entry
        assert not finding.source or f"{finding.line}  {finding.source.strip()}" in entry
        assert f"help: {finding.help.replace('`', '')}" in entry


def test_findings_have_the_numbers_of_the_drawing_and_the_others_none():
    graph = detach()
    drawn = everywhere(graph)
    elsewhere = Finding("GV101", "detach", Severity.ERROR, "about `other`", "mend it", "other.py", 3, names=("other",))
    text = draw(graph, "html", Options(), [elsewhere, *drawn])
    page = Page(text)
    links = [given["href"] for tag, given, _ in page.elements if tag == "a"]
    assert links == [f"#finding={number}" for number in range(1, len(drawn) + 1)]
    first, second, *_ = [entry for tag, _, texts in page.elements if tag == "li" and (entry := "".join(texts))]
    assert "other.py:3" in first
    assert second.startswith("1 ")
    assert len(data_of(text)["findings"]) == len(drawn)


def test_a_page_without_findings_says_so_or_nothing():
    assert "no findings" in Page(draw(detach(), "html", Options(), ())).of_id("findings")
    assert 'id="findings"' not in draw(detach(), "html")


def test_title_summary_notes_and_legend_are_there():
    graph = mixed()
    picture = compose(graph, Options())
    page = Page(draw(graph, "html"))
    assert page.texts("h1") == [picture.title]
    assert picture.summary in page.texts("p")
    assert picture.notes
    assert all(note.replace("`", "") in page.texts("li") for note in picture.notes)
    assert "gradient" in page.texts("li")
    assert drawing_of(draw(graph, "html")).findtext(f"{SPACE}desc") == picture.description


# what the script knows


@pytest.mark.parametrize("name", CANONICAL)
def test_the_data_has_every_box_and_wire_in_the_order_of_the_drawing(name):
    graph, options = CANONICAL[name](), Options(show_saved=True)
    findings = everywhere(graph)
    text = draw(graph, "html", options, findings)
    picture, data = compose(graph, options, findings), data_of(text)
    groups = [item for item in drawing_of(text).find(f"{SPACE}g").findall(f"{SPACE}g") if item.get("class") != "lost"]
    boxes = [item for item in groups if item.get("class")]
    assert [box[:2] for box in data["boxes"]] == [[box.title, box.detail] for box in picture.boxes]
    assert len(boxes) == len(picture.boxes)
    assert {item.get("class").split()[0] for item in boxes} <= set(data["kinds"])
    ids = [box.id for box in picture.boxes]
    ends = iter(data["ends"])
    told = [(ids[tail], ids[head]) for tail, head in zip(ends, ends, strict=True)]
    drawing = lay_out(graph, options, findings)
    ordered = [wire.wire for wires in by_kind(drawing).values() for wire in wires]
    assert told == [(wire.tail, wire.head) for wire in ordered]
    assert sum(count for _, count in data["wires"]) == len(told)
    assert [at for at, wire in enumerate(ordered) if wire.lost] == data["lost"]
    for remark, (blamed, frames, road) in zip(picture.remarks, data["findings"], strict=True):
        assert blamed == [at for at, box in enumerate(picture.boxes) if remark.number in box.findings]
        assert frames == [at for at, it in enumerate(drawing.frames) if remark.number in it.frame.findings]
        assert road == [at for at, wire in enumerate(ordered) if wire.road == remark.number]


def facts(text: str, title: str) -> list[tuple[str, str]]:
    """What is told of the first box of that title."""
    data = data_of(text)
    box = next(box for box in data["boxes"] if box[0] == title)
    return [tuple(data["pairs"][pair]) for pair in box[4]]


def test_a_box_tells_what_its_node_saves_and_what_gradient_came():
    b = Builder("train.py")
    w = b.leaf("w", (3,), requires_grad=True, line=1)
    saved = [Saved("self", (3,), "float32", 12, 0), Saved("other", (), "freed", 0)]
    loss = b.op("sum", b.op("mul", w, "2", name="y", line=2, saved=saved, attrs=[("alpha", "2")]), line=3, shape=())
    b.sweep(loss, line=4, gradients=[Gradient(w, 3.4641)])
    text = draw(b.graph(), "html")
    assert ("gradient", "norm 3.464") in facts(text, "w")
    told = facts(text, "y = mul")
    assert ("saves", "self: (3,) float32, 12 bytes") in told
    assert ("saves", "other: freed") in told
    assert ("alpha", "2") in told
    assert ("node", "MulBackward0") in told
    assert ("at", "train.py:2:1") in told


def test_the_source_that_the_recording_has_is_there_and_no_other():
    graph = detach()
    (name, lines), *rest = data_of(draw(graph, "html"))["files"]
    assert (name, rest) == ("detach.py", [])
    assert lines == {str(site.line): site.text for site in graph.sites.values() if site.text}
    assert len(lines) > 3


def searched(text: str, box: Sequence[Any]) -> list[str]:
    data = data_of(text)
    return [box[0], *(data["words"][word] for word in box[2])]


def test_a_box_is_found_by_name_op_scope_and_line():
    b = Builder("src/train.py")
    b.scope = "net.layers.0"
    b.op("relu", b.leaf("w", (3,), requires_grad=True, line=1), name="h", line=2)
    text = draw(b.graph(), "html")
    box = next(box for box in data_of(text)["boxes"] if box[0] == "h = relu")
    assert searched(text, box) == ["h = relu", "relu", "net.layers.0", "src/train.py:2"]


def test_a_folded_box_is_found_by_what_is_in_it():
    b = Builder("train.py")
    x = b.leaf("x", (3,), requires_grad=True, line=1)
    b.scope = "net"
    for line in range(2, 9):
        x = b.op("relu" if line == 5 else "mul", x, "2", name=f"h{line}", line=line)
    b.scope = ""
    b.sweep(b.op("sum", x, name="loss", line=20, shape=()), line=21)
    graph = fold_to_page(b.graph(), Choice(collapse=("net",)), frozenset())
    text = draw(graph, "html")
    (box,) = [box for box, drawn in zip(data_of(text)["boxes"], compose(graph, Options()).boxes, strict=True)
              if drawn.fold is not None]  # fmt: skip
    assert {"relu", "mul", "h5", "train.py:5"} <= set(searched(text, box))


def test_a_box_that_is_drawn_for_several_is_found_by_each():
    b = Builder("train.py")
    x = b.leaf("x", (3,), requires_grad=True, line=1)
    turns = []
    for block in range(3):
        b.scope = f"net.{block}"
        first = b.op("mul", x, "2", name=f"h{block}", line=2)
        turns.append((first, x := b.op("relu", first, name=f"r{block}", line=3)))
    b.sweep(x, line=4)
    graph = replace(b.graph(), folds=(Fold("siblings", "net.0-net.2", tuple(turns), open=True),))
    text = draw(graph, "html")
    data = data_of(text)
    box = next(box for box in data["boxes"] if box[0] == "r0 = relu")
    assert {"net.0", "net.1", "net.2", "r1", "r2", "train.py:3"} <= set(searched(text, box))
    assert "mul" not in searched(text, box)


def test_a_finding_shows_the_culprit_in_its_line():
    source = "        return self.head(hidden.detach())  # <b>"
    found = Finding("GV101", "detach", Severity.ERROR, "m", "", "a.py", 7, 7, 26, 41, source)
    page = Page(draw(detach(), "html", Options(), [found]))
    assert page.texts("pre") == ["7  return self.head(hidden.detach())  # <b>"]
    assert page.texts("mark") == ["hidden.detach()"]


# a real browser


def seen(text: str, fragment: str) -> Page:
    return Page(open_in_chromium(text, fragment))


@pytest.fixture(scope="module")
def two_roads() -> str:
    return draw(detach(), "html", Options(), everywhere(detach()))


def number_of(graph: Graph, title: str) -> int:
    return next(at for at, box in enumerate(compose(graph, Options()).boxes) if box.title == title)


def marks(page: Page) -> list[str | None]:
    """The classes of what lies over the drawing."""
    tags = page.elements
    start = next(at for at, (_, given, _) in enumerate(tags) if given.get("id") == "over")
    end = next(at for at, (tag, _, _) in enumerate(tags) if tag == "aside")
    return [given.get("class") for _, given, _ in tags[start + 1 : end] if given.get("class")]


def test_a_link_leads_to_a_box(two_roads):
    page = seen(two_roads, f"box={number_of(detach(), 'y = mul')}")
    told = page.of_id("box")
    assert told.startswith("y = mul")
    assert "MulBackward0" in told
    assert "y = mul(...)" in told, "its source line"
    assert "x · gradient" in told
    assert "add · gradient" in told
    assert {"veil", "here"} <= set(marks(page))
    assert "cut" not in " ".join(filter(None, marks(page))), "what is on another road is not lit"


def test_a_link_leads_to_a_finding(two_roads):
    page = seen(two_roads, "finding=2")
    current = [given["href"] for _, given, _ in page.elements if given.get("aria-current") == "true"]
    assert current == ["#finding=2"]
    assert "here" in marks(page)
    (box,) = [given for _, given, _ in page.elements if given.get("id") == "box"]
    assert "hidden" in box


@pytest.mark.parametrize(
    ("words", "told"),
    [("add", "1 of 2"), ("DETACH.py:7", "1 of 3"), ("nothing such", "no hits"), ("detach.py:", "1 of 10")],
)
def test_a_link_leads_to_what_is_found(two_roads, words, told):
    page = seen(two_roads, f"find={words.replace(' ', '+')}")
    assert page.of_id("hits") == told
    assert ("hit" in marks(page)) == (told != "no hits")


def test_line_1_is_not_line_12():
    page = seen(draw(chain(20), "html"), "find=chain.py:1")
    assert page.of_id("hits") == "1 of 1"
    assert page.of_id("box").startswith("x")


NOWHERE = ("", "box=999", "box=x", "box=-1&find=", "finding=0", "finding=99", "find=%", "what")


@pytest.mark.parametrize("fragment", NOWHERE)
def test_an_address_that_leads_nowhere_shows_the_page(two_roads, fragment):
    page = seen(two_roads, fragment)
    (tools,) = [given for _, given, _ in page.elements if given.get("id") == "tools"]
    assert "hidden" not in tools, "the script ran to its end"
    assert "here" not in marks(page) or fragment == "find=%"


def test_any_name_reaches_the_reader_as_it_is():
    b = Builder("hostile.py")
    names = [name for name in HOSTILE.values() if name and len(name) < 48 and name.isprintable()]
    for at, name in enumerate(names, 1):
        b.op("mul", b.leaf(name, requires_grad=True, line=at), "2", name=name, line=at)
    graph = b.graph()
    text = draw(graph, "html", Options(), everywhere(graph, "</script><script>document.title='got in'</script>"))
    assert len(names) > 10
    for name in [*names[:3], HOSTILE["script"]]:
        page = seen(text, f"box={number_of(graph, name)}")
        assert page.of_id("box").startswith(name)
        assert page.texts("title")[0] == "gradviz: hostile.py"


def test_what_is_put_into_a_page_is_neither_run_nor_fetched(two_roads):
    added = "<script>document.title = 'ran'</script><style>h1{color:red}</style><p id=look></p>"
    page = Page(open_in_chromium(two_roads.replace("</body>", f"{added}</body>")))
    assert page.texts("title")[0] == "gradviz: detach.py"
    free = Page(open_in_chromium(without_policy(two_roads).replace("</body>", f"{added}</body>")))
    assert free.texts("title")[0] == "ran"


def without_policy(text: str) -> str:
    found = re.sub(r"<meta http-equiv[^>]*>\n", "", text)
    assert found != text
    return found


DRIVER = """
<pre id="result"></pre><script>
const told = {};
const pause = () => new Promise(done => setTimeout(done, 150));
const say = (name, value) => { told[name] = value; };
const key = (name, more) => (document.activeElement || document.body).dispatchEvent(
  new KeyboardEvent("keydown", { key: name, bubbles: true, cancelable: true, ...more }));
const lit = () => [...over.querySelectorAll("g[class]")].map(box => box.querySelector("text")?.textContent);
(async () => {
  %s
  document.getElementById("result").textContent = JSON.stringify(told);
})().catch(error => { document.getElementById("result").textContent = JSON.stringify({ error: String(error) }); });
</script>
"""


def driven(text: str, steps: str) -> dict[str, Any]:
    """What a script of ours finds out that uses the page as a reader does."""
    page = without_policy(text).replace("</body>", DRIVER % steps + "</body>")
    result: dict[str, Any] = json.loads(Page(open_in_chromium(page, wait=10_000)).of_id("result"))
    assert "error" not in result
    return result


def test_the_page_is_searched_by_keys():
    told = driven(
        draw(detach(), "html", Options(), ()),
        """
  key("/");
  say("focus", document.activeElement.id);
  field.value = "add"; field.dispatchEvent(new Event("input"));
  say("typed", id("hits").value);
  const first = panel.textContent;
  key("Enter"); await pause();
  say("next", [id("hits").value, location.hash.startsWith("#find=add&box="), panel.textContent === first]);
  key("Enter"); await pause();
  say("around", id("hits").value);
  field.value = "detach.py:7"; field.dispatchEvent(new Event("input"));
  key("Enter", { shiftKey: true }); await pause();
  say("back", id("hits").value);
  key("+"); say("typing", scale);
  key("Escape"); await pause();
  say("cleared", [id("hits").value, field.value, location.hash, panel.hidden, over.childElementCount]);
  field.value = "relu"; field.dispatchEvent(new Event("input"));
  key("Escape"); await pause();
  say("again", [id("hits").value, field.value]);
""",
    )
    assert told == {
        "focus": "find",
        "typed": "1 of 2",
        "next": ["2 of 2", True, False],
        "around": "1 of 2",
        "back": "3 of 3",
        "typing": 1,
        "cleared": ["", "", "", True, 0],
        "again": ["", ""],
    }


def test_the_drawing_is_moved_and_zoomed():
    told = driven(
        draw(chain(40), "html"),
        """
  const middle = () => (view.scrollTop + view.clientHeight / 2) / scale;
  const near = (one, other) => Math.abs(one - other) < 3;
  say("fits", svg.getBoundingClientRect().width <= view.clientWidth);
  view.focus();
  key("+"); key("="); say("closer", scale);
  view.scrollTop = 500; const before = middle();
  key("-"); say("kept", [near(before, middle()), scale]);
  key("0"); say("fit", scale);
  const at = (x, y, type, on) => on.dispatchEvent(new PointerEvent(type,
    { clientX: x, clientY: y, bubbles: true, pointerType: "mouse" }));
  const top = view.scrollTop;
  at(300, 400, "pointerdown", view); at(300, 300, "pointermove", window); at(300, 300, "pointerup", window);
  view.click(); await pause();
  say("dragged", [view.scrollTop - top, location.hash]);
  const event = new WheelEvent("wheel", { deltaY: -100, clientX: 200, clientY: 300, cancelable: true });
  view.dispatchEvent(event);
  say("wheel", [scale > 1.1, event.defaultPrevented]);
  id("out").click(); id("fit").click(); say("buttons", scale);
  const fingers = (...places) => view.dispatchEvent(new TouchEvent("touchmove", { cancelable: true,
    touches: places.map((x, at) => new Touch({ identifier: at, target: view, clientX: x, clientY: 300 })) }));
  fingers(100); say("one finger", scale);
  fingers(100, 200); fingers(90, 210); say("pinch", scale);
""",
    )
    assert told == {
        "fits": True,
        "closer": pytest.approx(1.5625),
        "kept": [True, pytest.approx(1.25)],
        "fit": 1,
        "dragged": [100, ""],
        "wheel": [True, True],
        "buttons": 1,
        "one finger": 1,
        "pinch": pytest.approx(1.2),
    }


@pytest.mark.parametrize("direction", ["TB", "LR"])
def test_a_long_drawing_begins_legible_whichever_way_it_runs(direction):
    told = driven(draw(chain(400), "html", Options(direction=direction)), 'say("scale", scale);')
    assert told["scale"] == 1


def wide(branches: int = 60, *, culprit: int | None = None) -> tuple[Graph, list[Finding]]:
    """So many roads side by side, of which the last leads to the loss; and a finding about one of them."""
    b = Builder()
    x = b.leaf("x", (3,), requires_grad=True, line=1)
    made = [b.op("exp", x, name=f"a_result_of_its_own_{number}", line=10 + number) for number in range(branches)]
    b.sweep(b.op("sum", made[-1], name="loss", shape=(), line=2), line=3)
    graph = b.graph()
    if culprit is None:
        return graph, []
    site = graph.sites[graph.ops[made[culprit]].site or 0]
    return graph, [Finding("GV1", "some", Severity.ERROR, "wrong", "help", **place(site), values=(made[culprit],))]


@pytest.mark.parametrize("direction", ["TB", "LR"])
@pytest.mark.parametrize("culprit", [None, 20])
def test_a_wide_drawing_opens_where_its_loss_or_its_first_finding_is(direction, culprit):
    graph, findings = wide(culprit=culprit)
    page = draw(graph, "html", Options(direction=direction), findings)
    told = driven(
        page,
        """
  const seen = box => {
    const { left, right, top, bottom } = box.getBoundingClientRect(), room = view.getBoundingClientRect();
    return view.dataset.at.startsWith("0 ") ? top >= room.top && bottom <= room.bottom
      : left >= room.left && right <= room.right;
  };
  const [blamed] = data.findings.flatMap(([boxes]) => boxes);
  say("seen", seen(boxes[blamed] ?? those(".out")[0]));
  view.scrollTo(0, 0);
  say("at the start", seen(boxes[blamed] ?? those(".out")[0]));
""",
    )
    assert told == {"seen": True, "at the start": False}


def test_a_box_lights_what_leads_to_it_and_where_it_goes():
    graph = no_grad()
    told = driven(
        draw(graph, "html"),
        f"""
  const y = boxes[{number_of(graph, "y = add")}], over_ = type => new PointerEvent(type, {{ bubbles: true }});
  y.querySelector("text").dispatchEvent(over_("pointerover")); await pause();
  say("hover", lit());
  svg.dispatchEvent(over_("pointerleave")); await pause();
  say("left", over.childElementCount);
  y.dispatchEvent(new MouseEvent("click", {{ bubbles: true }})); await pause();
  say("clicked", [location.hash, lit()]);
  say("wires", [...over.querySelectorAll("path")].filter(path => /^[gd]$/.test(path.getAttribute("class")))
    .map(path => path.getAttribute("d").split("M").length - 1).reduce((a, b) => a + b));
  panel.querySelector("a").focus(); panel.querySelector("a").click(); await pause();
  say("followed", [panel.querySelector("h2").textContent, document.activeElement === panel.querySelector("h2")]);
  view.click(); await pause();
  say("nothing", [location.hash, over.childElementCount]);
""",
    )
    road = ["x", "w", "b", "mul", "y = add", "y"]
    assert sorted(told["hover"]) == sorted(road)
    assert told["left"] == 0
    assert told["clicked"][0] == f"#box={number_of(graph, 'y = add')}"
    assert sorted(told["clicked"][1]) == sorted(road)
    assert told["wires"] == 5
    assert told["followed"] == ["mul", True]
    assert told["nothing"] == ["", 0]


def test_a_finding_lights_the_road_that_it_lost():
    graph = untrained()
    findings = diagnose(graph)
    told = driven(
        draw(graph, "html", Options(), findings),
        """
  links[0].click(); await pause();
  say("lit", lit());
  say("bands", [...over.querySelectorAll(".re")].map(band => band.getAttribute("d").split("M").length - 1));
  say("crosses", over.querySelectorAll(".lost").length);
  say("ring", over.querySelectorAll(".here").length);
""",
    )
    assert {"w", "mul", "loss"} <= set(told["lit"])
    (remark, *_) = compose(graph, Options(), findings).remarks
    road = [wire for wire in compose(graph, Options(), findings).wires if wire.road == remark.number]
    assert len(road) > 1
    assert told["bands"] == [len(road)]
    assert told["ring"] == 1
    assert told["crosses"] > 0


@pytest.mark.parametrize("direction", ["TB", "LR"])
def test_a_path_is_split_into_the_wires_that_it_holds(direction):
    graph, options = mixed(), Options(direction=direction, show_saved=True)
    drawing = lay_out(graph, options)
    told = driven(
        "".join(write_pieces(drawing, graph)),
        """
  readLines();
  say("starts", lines.map(([[, way]]) => way.match(/^M(-?[\\d.]+)[ ,]?(-?[\\d.]+)/).slice(1).map(Number)));
""",
    )
    ordered = [wire for wires in by_kind(drawing).values() for wire in wires]
    assert [tuple(start) for start in told["starts"]] == [pytest.approx(wire.start, abs=0.1) for wire in ordered]


@pytest.mark.parametrize("width", [360, 1440])
def test_nothing_is_wider_than_the_page(width):
    graph = untrained()
    text = without_policy(draw(graph, "html", Options(), everywhere(graph, "very_" * 60)))
    frame = f"<iframe id=frame style='width:{width}px;height:800px;border:0'></iframe><pre id=result></pre>"
    code = (
        "<script>frame.onload = () => { const page = frame.contentDocument;"
        "document.getElementById('result').textContent = JSON.stringify([page.documentElement.scrollWidth,"
        "...['h1', '#find', '#in', '#view', '#findings'].map(name => {"
        "const area = page.querySelector(name).getBoundingClientRect(); return area.right; })]); };"
        f"frame.srcdoc = {json.dumps(text).replace('<', chr(92) + 'u003c')};</script>"
    )
    around = open_in_chromium(f"<!doctype html><body style='margin:0'>{frame}{code}</body>")
    sizes = json.loads(Page(around).of_id("result"))
    assert all(0 < size <= width for size in sizes), sizes


def test_a_drawing_of_many_boxes_opens():
    graph = chain(15_000)
    page = seen(draw(graph, "html"), f"box={2 * 15_000 - 1}")
    assert page.of_id("box").startswith("2")
    boxes = sum(box.kind is not BoxKind.MORE for box in compose(graph, Options()).boxes)
    assert boxes > 30_000
