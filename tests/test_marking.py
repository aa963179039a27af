"""Findings in a picture: which box or frame is blamed, which road is shown as lost, and what the list says."""

from __future__ import annotations

import time
from collections.abc import Sequence

import pytest
from building import Builder
from canonical import CANONICAL, chain, detach, no_grad, untrained

from gradviz.diagnose import Finding, Severity, diagnose
from gradviz.diagnose.findings import place
from gradviz.events import Cause, Gradient
from gradviz.graphs import Graph
from gradviz.picture.aiming import missing_culprits
from gradviz.picture.composing import compose
from gradviz.picture.records import BoxKind, Picture
from gradviz.selecting import default_selection
from gradviz.views import Options


def finding(
    graph: Graph, line: int, *names: str, severity: Severity = Severity.ERROR, code: str = "GV101", message: str = "bad"
) -> Finding:
    """A finding at `line`, for the first values called `names`."""
    values = tuple(min(value.id for value in graph.values.values() if value.name == name) for name in names)
    site = min((site for site in graph.sites.values() if site.line == line), key=lambda site: site.id)
    return Finding(code, "kind", severity, message, "mend it", **place(site), names=names, values=values)  # type: ignore[arg-type]


def draw(graph: Graph, *findings: Finding) -> Picture:
    return compose(graph, Options(), findings)


def blamed(picture: Picture, number: int = 1) -> list[str]:
    """Titles of the boxes and frames that carry a number."""
    return [item.title for item in (*picture.boxes, *picture.frames) if number in item.findings]


def road(picture: Picture, number: int = 1) -> set[tuple[str, str]]:
    titles = {box.id: box.title for box in picture.boxes}
    return {(titles[wire.tail], titles[wire.head]) for wire in picture.wires if wire.road == number}


# what is blamed, and the road


def test_a_cut_is_blamed_and_its_road_leads_to_the_root():
    graph = detach()
    picture = draw(graph, finding(graph, 6, "x"))
    assert blamed(picture) == ["detach · line 6"]
    assert road(picture) == {
        ("x", "detach · line 6"), ("detach · line 6", "x.detach()"), ("x.detach()", "z = add"), ("z = add", "add"),
        ("add", "r = sum"), ("r = sum", "r"),
    }  # fmt: skip


def test_the_opener_of_a_region_is_blamed_on_its_frame():
    graph = untrained()
    picture = draw(graph, *diagnose(graph))
    assert blamed(picture) == ["no_grad · line 4"]
    assert road(picture) == {("w", "mul"), ("mul", "loss = sum"), ("loss = sum", "loss")}


def test_of_the_frames_of_one_opener_those_on_the_road_are_blamed():
    b = Builder()
    w, x = b.leaf("w", requires_grad=True, line=1), b.leaf("x", line=1)
    total = b.op("exp", w, line=2)
    for value in (x, w, x):
        with b.region("no_grad", line=3):
            extra = b.op("mul", value, "2", line=4)
        total = b.op("add", total, extra, line=5)
    b.sweep(total, line=6)
    graph = b.graph()
    picture = draw(graph, finding(graph, 3, "w"))
    assert [bool(frame.findings) for frame in picture.frames] == [False, True, False]


def test_a_cut_that_ran_in_a_loop_is_blamed_where_roads_are_lost():
    b = Builder()
    loss = b.op("exp", b.leaf("v", requires_grad=True, line=1), line=2)
    weights = [b.leaf(name, requires_grad=True, line=3) for name in ("p", "q", "unused")]
    for weight in weights:
        loss = b.op("add", loss, b.detach(weight, line=4), line=5)
    b.sweep(loss, line=6)
    graph = b.graph()
    picture = draw(graph, finding(graph, 4, "p", "q"))
    assert [bool(box.findings) for box in picture.boxes if box.kind is BoxKind.CUT] == [True, True, False]
    assert {"p", "q"} == {tail for tail, head in road(picture) if head == "detach · line 4"}


def test_what_raised_is_blamed_on_its_mark():
    b = Builder()
    w = b.leaf("w", requires_grad=True, line=1)
    loss = b.op("mul", w, w, name="loss", line=2)
    b.sweep(loss, line=3)
    b.sweep(loss, line=4, error="backward through the graph a second time")
    graph = b.graph()
    assert blamed(draw(graph, finding(graph, 4))) == ["backward() raised · line 4"]
    assert blamed(draw(graph, finding(graph, 3))) == ["loss"], "a sweep that went well is shown by its root"


def test_a_frozen_leaf_carries_the_number_of_the_line_that_froze_it():
    b = Builder()
    w = b.leaf("w", requires_grad=True, line=1)
    b.set_requires_grad(w, False, line=2)
    b.sweep(b.op("mul", w, "2", name="loss", line=3), line=4, error="element 0 of tensors does not require grad")
    graph = b.graph()
    picture = draw(graph, finding(graph, 2, "w"))
    assert blamed(picture) == ["w"]
    assert road(picture) == {("w", "loss = mul"), ("loss = mul", "loss")}


def test_where_nothing_ran_at_the_place_what_suffers_carries_the_number():
    b = Builder()
    w = b.leaf("w", requires_grad=True, line=1)
    b.optimizer(w, line=2)
    b.sweep(b.op("exp", b.leaf("x", requires_grad=True, line=3), line=4), line=5)
    graph = b.graph()
    assert blamed(draw(graph, finding(graph, 2, "w"))) == ["w"]


def test_a_leaf_that_was_written_since_is_found_at_the_version_that_is_drawn():
    b = Builder()
    w = b.leaf("w", requires_grad=True, line=1)
    for _ in range(3):
        loss = b.op("add", b.op("exp", b.leaf("x", requires_grad=True, line=2), line=3), b.detach(w, line=4), line=5)
        b.sweep(loss, line=6)
        with b.region("no_grad", line=7):
            w = b.inplace("sub_", w, "1", name="w", line=8)
    graph = b.graph()
    picture = draw(default_selection(graph), finding(graph, 4, "w"))
    assert blamed(picture) == ["detach · line 4"]
    assert ("w", "detach · line 4") in road(picture)


def test_a_road_that_leads_to_no_root_ends_where_data_left():
    b = Builder()
    w = b.leaf("w", requires_grad=True, line=1)
    b.item(b.op("neg", b.detach(w, line=2), line=3), line=4)
    b.sweep(b.op("exp", b.leaf("v", requires_grad=True, line=5), line=6), line=7)
    graph = b.graph()
    assert ("neg", "left as Python number") in road(draw(graph, finding(graph, 2, "w")))


def test_a_constant_that_is_blamed_has_a_road_to_the_root():
    b = Builder()
    taken = b.leaf("grads", line=1)
    loss = b.op("add", b.op("exp", b.leaf("w", requires_grad=True, line=2), line=3), taken, name="loss", line=4)
    b.sweep(loss, line=5)
    graph = b.graph()
    picture = draw(graph, finding(graph, 1))
    assert blamed(picture) == ["grads"]
    assert road(picture) == {("grads", "loss = add"), ("loss = add", "loss")}


def test_a_write_is_blamed_and_is_no_step_on_a_road():
    b = Builder()
    w = b.leaf("w", requires_grad=True, line=1)
    out = b.op("mul", w, w, name="out", line=2)
    with b.region("no_grad", line=3):
        b.inplace("sub_", w, "1", name="w", line=4)
    b.sweep(out, line=5, error="one of the variables needed has been modified by an inplace operation")
    graph = b.graph()
    picture = draw(graph, finding(graph, 4, "w"))
    assert blamed(picture) == ["w = sub_"]
    assert not road(picture)


def test_a_detach_in_place_is_a_step_on_the_road_that_it_cuts():
    b = Builder()
    h = b.op("exp", b.leaf("w", requires_grad=True, line=1), name="h", line=2)
    cut = b.op("detach_", h, name="h", line=3, cause=Cause.DETACH_, alias=0, inplace=True)
    b.sweep(b.op("add", b.leaf("v", requires_grad=True, line=4), cut, line=5), line=6)
    graph = b.graph()
    assert ("h = exp", "detach_ · line 3") in road(draw(graph, finding(graph, 3, "w")))


@pytest.mark.parametrize(("zero", "lost"), [(True, True), (False, False)])
def test_a_tracked_op_has_a_lost_road_where_the_leaf_got_nothing_of_use(zero, lost):
    b = Builder()
    w = b.leaf("w", requires_grad=True, line=1)
    loss = b.op("sum", b.op("sign", w, line=2), name="loss", line=3)
    b.sweep(loss, line=4, gradients=[Gradient(w, 0.0 if zero else 1.0, zero=zero)])
    graph = b.graph()
    picture = draw(graph, finding(graph, 2, "w", severity=Severity.WARNING))
    assert blamed(picture) == ["sign"]
    assert bool(road(picture)) == lost


def test_a_wire_on_several_roads_shows_the_gravest_and_a_box_all_its_numbers():
    graph = detach()
    both = finding(graph, 6, "x"), finding(graph, 6, "x", severity=Severity.WARNING, code="GV102")
    picture = draw(graph, *both)
    assert [box.findings for box in picture.boxes if box.kind is BoxKind.CUT] == [(1, 2)]
    assert {wire.road for wire in picture.wires} == {0, 1}


# the list, and what is not in it


def test_the_list_tells_each_finding_once_in_order():
    graph = detach()
    found = (
        finding(graph, 6, message="first"),
        finding(graph, 5, severity=Severity.WARNING, code="GV601", message="second"),
    )
    picture = draw(graph, *found)
    assert [(r.number, r.heading, r.message, r.help) for r in picture.remarks] == [
        (1, "error GV101 · line 6", "first", "mend it"),
        (2, "warning GV601 · line 5", "second", "mend it"),
    ]
    assert picture.summary.endswith("1 error, 1 warning")
    assert picture.description.endswith("error GV101 · line 6: first. warning GV601 · line 5: second.")


def test_a_place_in_another_file_is_told_with_its_name():
    graph = detach()
    other = Finding("GV202", "kind", Severity.ERROR, "bad", "", path="/lib/other.py", line=6)
    whole = finding(graph, 6)
    assert [r.place for r in draw(graph, other, whole).remarks] == ["line 6"], "nothing of it is in the graph"
    unplaced = Finding("", "kind", Severity.ERROR, "bad", "")
    assert draw(graph, unplaced).remarks[0].heading == "error"


@pytest.mark.parametrize("name", CANONICAL)
def test_notes_leave_a_picture_as_it_is(name):
    graph = CANONICAL[name]()
    places: Sequence[Finding] = [
        finding(graph, site.line, severity=Severity.NOTE) for site in graph.sites.values() if site.line
    ]
    assert draw(graph, *places) == draw(graph) == compose(graph, Options())


def test_what_is_about_another_part_is_counted_in_one_line():
    graph = no_grad()
    line_6, line_9 = finding(graph, 6), finding(graph, 9)
    part = graph.subset(op.id for op in graph.ops.values() if op.region is None)
    assert draw(part, line_6).notes == compose(part, Options()).notes
    picture = draw(part, line_6, line_9)
    assert [remark.place for remark in picture.remarks] == ["line 6"]
    assert picture.notes[-1] == "1 finding is about what is not drawn; `gradviz check` tells it"
    assert draw(part, line_9, line_9).notes[-1].startswith("2 findings are about")


@pytest.mark.parametrize("severity", [Severity.ERROR, Severity.WARNING])
@pytest.mark.parametrize("name", CANONICAL)
def test_no_finding_is_lost_where_its_culprit_is_drawn(name, severity):
    graph = CANONICAL[name]()
    bare = compose(graph, Options())
    for box in bare.boxes:
        if box.op is None or graph.ops[box.op].site is None or box.kind is BoxKind.MORE:
            continue
        site = graph.sites[graph.ops[box.op].site]
        picture = draw(graph, Finding("GV101", "kind", severity, "bad", "", **place(site)))  # type: ignore[arg-type]
        assert len(picture.remarks) == 1
        assert blamed(picture), f"{box.title} is drawn and not blamed"


def test_what_a_part_lacks_is_found_where_it_ran_on_the_part():
    b = Builder()
    w = b.leaf("w", requires_grad=True, line=1)
    total = b.leaf("total", line=2)
    for _ in range(4):
        loss = b.op("exp", w, name="loss", line=3)
        b.sweep(loss, line=4)
        total = b.op("add", total, loss, name="total", line=5)
    graph = b.graph()
    found = finding(graph, 5, severity=Severity.WARNING)
    part = default_selection(graph)
    assert not draw(part, found).remarks
    culprits = missing_culprits(graph, part, [found])
    assert culprits == (graph.values[total].op,)
    picture = draw(default_selection(graph, culprits), found)
    assert blamed(picture) == ["total = add"]
    assert sum(box.title == "loss = exp" for box in picture.boxes) == 1, "still one step"
    assert missing_culprits(graph, default_selection(graph, culprits), [found]) == ()
    note = finding(graph, 5, severity=Severity.NOTE)
    assert missing_culprits(graph, part, [note]) == ()


def test_what_suffers_stands_for_a_line_that_only_made_it():
    b = Builder()
    w = b.leaf("w", requires_grad=True, line=1)
    b.sweep(b.op("exp", b.leaf("x", requires_grad=True, line=2), line=3), line=4)
    graph = b.graph()
    found = finding(graph, 1, "w")
    culprits = missing_culprits(graph, default_selection(graph), [found])
    assert culprits == (graph.values[w].op,)
    assert blamed(draw(default_selection(graph, culprits), found)) == ["w"]


def test_what_suffers_is_drawn_once_however_often_it_was_written_since():
    """What an optimizer wrote is the same tensor to its user; the version that the part has stands for it."""
    b = Builder()
    w = b.leaf("w", requires_grad=True, line=1)
    for _ in range(2):
        b.sweep(b.op("exp", w, name="loss", line=3), line=4)
        last, w = w, b.op("step", w, inplace=True, alias=0, cause=Cause.NO_GRAD, line=5)
    graph = b.graph()
    found = finding(graph, 1, "w")
    part = default_selection(graph)
    assert last in part.values
    assert missing_culprits(graph, part, [found]) == ()
    assert blamed(draw(part, found)) == ["w"]


def test_what_several_places_made_is_marked_at_each():
    """A list of layers in one attribute: the finding has the place of the first."""
    b = Builder()
    first, second = b.leaf("layers[0]", requires_grad=True, line=1), b.leaf("layers[1]", requires_grad=True, line=2)
    gradients = [Gradient(first, 1.0), Gradient(second, 1.0)]
    b.sweep(b.op("mul", first, second, line=3), line=4, gradients=gradients)
    graph = b.graph()
    assert blamed(draw(graph, finding(graph, 1, "layers[0]", "layers[1]"))) == ["layers[0]", "layers[1]"]


def test_a_long_chain_is_marked_quickly():
    graph = chain(100_000)
    first = next(value.name for value in graph.values.values() if value.name)
    line = next(site.line for site in graph.sites.values() if site.line)
    bare = time.process_time()
    compose(graph, Options())
    start = time.process_time()
    picture = draw(graph, *[finding(graph, line, first)] * 5)
    assert time.process_time() - start < 3 * (start - bare) + 3
    assert len(picture.remarks) == 5
