"""What a graph's picture shows and says, whatever view draws it."""

from __future__ import annotations

import time

import pytest
from building import Builder
from canonical import CANONICAL, NO_GRAD_FN, chain, detach, mixed, named, no_grad, training, untrained

from gradviz.events import Cause, Gradient, Role, Saved, Status
from gradviz.graphs import Graph
from gradviz.picture.composing import compose
from gradviz.picture.records import Box, BoxKind, Picture
from gradviz.picture.wording import TITLE_LIMIT, Wording, clean, clip, join, plural, shorten
from gradviz.roads import MANY, count_roads
from gradviz.views import Options


def draw(graph: Graph, **options: object) -> Picture:
    return compose(graph, Options(**options))  # type: ignore[arg-type]


def box(picture: Picture, title: str, kind: BoxKind | None = None) -> Box:
    found = [box for box in picture.boxes if box.title == title and kind in (None, box.kind)]
    assert len(found) == 1, [(box.kind, box.title) for box in picture.boxes]
    return found[0]


def wires(picture: Picture) -> list[tuple[str, str, str]]:
    """(title of the tail, kind, title of the head), with `!` after the kind where gradient was lost."""
    titles = {box.id: box.title for box in picture.boxes}
    return [(titles[wire.tail], wire.kind + "!" * wire.lost, titles[wire.head]) for wire in picture.wires]


@pytest.mark.parametrize("name", CANONICAL)
def test_golden(name, golden):
    picture = draw(CANONICAL[name](), show_saved=True)
    lines = [picture.title, picture.summary, picture.description, *(f"note: {note}" for note in picture.notes)]
    lines += [f"{frame.id} {frame.kind} {frame.title!r} in {frame.parent}" for frame in picture.frames]
    lines += [f"{b.id} {b.kind} {b.title!r} {b.detail!r} in {b.frame}" for b in picture.boxes]
    lines += [f"{w.tail} {w.kind}{' lost' * w.lost} {w.head} {w.label}".rstrip() for w in picture.wires]
    golden(f"{name}.picture.txt", "\n".join(lines) + "\n")


@pytest.mark.parametrize("name", CANONICAL)
def test_every_wire_joins_boxes_and_every_box_lies_in_a_frame_that_exists(name):
    picture = draw(CANONICAL[name](), show_saved=True)
    ids = [box.id for box in picture.boxes]
    assert ids == [f"b{number}" for number in range(len(ids))]
    assert {end for wire in picture.wires for end in (wire.tail, wire.head)} <= set(ids)
    frames = [frame.id for frame in picture.frames]
    assert {box.frame for box in picture.boxes} <= {None, *frames}
    assert all(frame.parent in [None, *frames[:index]] for index, frame in enumerate(picture.frames))


def test_a_detach_is_a_badge_between_the_value_and_its_detached_self():
    picture = draw(detach())
    assert box(picture, "detach · line 6").kind is BoxKind.CUT
    assert ("x", "cut", "detach · line 6") in wires(picture)
    assert ("detach · line 6", "shadow", "x.detach()") in wires(picture)
    assert ("x.detach()", "shadow", "z = add") in wires(picture)
    assert ("y = mul", "gradient", "add") in wires(picture)
    assert box(picture, "x.detach()").detail == "same storage as x"
    assert picture.summary == "5 ops · 1 leaf that requires grad · 1 cut · gradient reaches x by 1 of 2 roads"
    assert "detach at line 6" in picture.description


@pytest.mark.parametrize(
    ("cause", "op", "title"),
    [
        (Cause.DETACH, "detach", "c = x.detach()"),
        (Cause.DATA, "data", "c = x.data"),
        (Cause.RETENSOR, "tensor", "c = tensor(x)"),
        (Cause.INTEGER, "long", "c = x.long()"),
    ],
)
def test_each_cut_names_what_it_gives(cause, op, title):
    b = Builder()
    x = b.leaf("x", requires_grad=True, line=1)
    b.op(op, x, name="c", line=2, cause=cause)
    assert (f"{op} · line 2", "shadow", title) in wires(draw(b.graph()))


def test_a_skipped_op_lies_in_the_box_of_its_region():
    picture = draw(no_grad())
    (frame,) = picture.frames
    assert frame.title == "no_grad · line 8"
    inside = [(box.title, box.detail, box.kind) for box in picture.boxes if box.frame == frame.id]
    assert inside == [
        ("mul", "line 9 · skipped", BoxKind.OFF),
        ("z = add", "line 9 · skipped", BoxKind.OFF),
    ]
    assert box(picture, "z").detail == "no grad_fn"
    assert picture.summary == "4 ops · 2 tracked, 2 skipped under no_grad · 2 leaves that require grad"
    assert not any(wire.lost for wire in picture.wires), "nothing was asked of what ran under no_grad"


def test_gradient_is_lost_where_a_road_to_a_root_enters_a_region():
    picture = draw(untrained())
    assert wires(picture).count(("w", "shadow!", "mul")) == 2
    assert ("mul", "shadow", "loss = sum") in wires(picture)
    assert "no_grad, opened at line 4" in picture.description


def test_an_update_under_no_grad_loses_nothing():
    picture = draw(training())
    assert not any(wire.lost for wire in picture.wires)
    leaves = [box.detail for box in picture.boxes if box.kind is BoxKind.LEAF]
    assert leaves == ["() float32 · line 2", "() float32 · version 1", "() float32 · version 2"]
    assert picture.summary.endswith("2 values left for Python"), "the two `item()`, which cut no road"


def test_a_write_with_grad_off_keeps_the_history_of_what_is_no_leaf():
    b = Builder()
    x = b.leaf("x", requires_grad=True, line=1)
    h = b.op("mul", x, "2", name="h", line=2)
    with b.region("no_grad", line=3):
        h = b.inplace("clamp_", h, name="h", line=4)
    y = b.op("sum", h, name="y", line=5)
    b.sweep(y)
    graph = b.graph()
    assert ("h = mul", "gradient", "y = sum") in wires(draw(graph))
    assert ("h = clamp_", "shadow", "y = sum") in wires(draw(graph))
    assert count_roads(graph).gradient[x] == 1
    assert "cut" not in draw(graph).summary


def test_a_backward_that_raised_is_marked_at_its_root_and_told_once():
    picture = draw(untrained())
    mark = box(picture, "backward() raised · line 7", BoxKind.ERROR)
    assert mark.detail == "element 0 of tensors does not require grad…"
    assert ("message", NO_GRAD_FN) in mark.tooltip
    assert ("loss", "error", mark.title) in wires(picture)
    assert picture.notes == (f"the script raised RuntimeError at train.py:7: {NO_GRAD_FN}",)
    assert picture.summary.endswith("backward() raised")


@pytest.mark.parametrize(
    ("status", "words"),
    [(Status.INTERRUPTED, "interrupted"), (Status.EXITED, "sys.exit"), (Status.RAISED, "raised")],
)
def test_the_end_of_a_script_is_told(status, words):
    b = Builder()
    b.leaf("x", line=1)
    assert words in draw(b.graph(status)).notes[0]
    assert draw(b.graph()).notes == ()


def test_what_was_let_go_is_a_box_of_its_own():
    picture = draw(mixed())
    assert ("312 earlier ops let go", "shadow", "old = mul") in wires(picture)
    assert any(note.startswith("312 earlier ops let go") for note in picture.notes)
    assert "a compiled region was not seen (2 times)" in picture.notes


def test_a_history_that_was_let_go_is_no_input_that_needed_grad():
    b = Builder()
    x = b.leaf("x", requires_grad=True)
    b.op("detach", x, name="d", cause=Cause.DETACH, forgotten=1)
    assert ("1 earlier op let go", "shadow", "d = x.detach()") in wires(draw(b.graph()))


def test_a_leaf_made_from_a_tracked_tensor_stands_behind_its_cut():
    b = Builder()
    h = b.op("exp", b.leaf("x", requires_grad=True), name="h")
    w = b.op("tensor", h, name="w", cause=Cause.RETENSOR, requires_grad=True, line=3)
    b.sweep(b.op("sin", w, name="y"))
    picture = draw(b.graph())
    assert box(picture, "w = tensor(h)").kind is BoxKind.LEAF
    assert ("w = tensor(h)", "gradient", "y = sin") in wires(picture)
    assert "2 leaves that require grad" in picture.summary


def test_a_leaf_that_was_frozen_after_its_use_still_shows_its_gradient():
    b = Builder()
    x = b.leaf("x", requires_grad=True, line=1)
    b.op("exp", x, name="y", line=2)
    b.set_requires_grad(x, False, line=3)
    picture = draw(b.graph())
    assert (box(picture, "x").kind, box(picture, "x").detail) == (BoxKind.LEAF, "() float32 · line 1 · frozen later")
    assert ("x", "gradient", "y = exp") in wires(picture)


@pytest.mark.parametrize(
    ("op", "cause", "words"),
    [
        ("item", Cause.ITEM, "left as Python number"),
        ("tolist", Cause.ITEM, "left as Python list"),
        ("numpy", Cause.NUMPY, "left as numpy array"),
    ],
)
def test_data_that_leaves_is_shown_and_cuts_no_road(op, cause, words):
    b = Builder()
    x, c = b.leaf("x", requires_grad=True), b.leaf("c")
    b.op(op, x, cause=cause, outputs=0, line=2)
    b.op(op, c, outputs=0, line=3)
    picture = draw(b.graph())
    assert wires(picture) == [("x", "shadow", words), ("c", "shadow", words)]
    assert [box.detail for box in picture.boxes if box.kind is BoxKind.EXIT] == [f"{op} · line 2", f"{op} · line 3"]
    assert picture.summary == "2 ops · 1 leaf that requires grad · 2 values left for Python"


def test_a_comparison_is_muted_and_no_badge():
    picture = draw(mixed())
    assert box(picture, "mask = gt").kind is BoxKind.OFF
    assert box(picture, "mask = gt").detail == "line 3 · not differentiable"
    assert ("flat = view", "shadow", "mask = gt") in wires(picture)


def test_a_buffer_that_a_region_saw_first_lies_in_no_frame():
    b = Builder()
    x = b.leaf("x", requires_grad=True, line=1)
    with b.region("no_grad", line=4):
        mean = b.leaf("model.bn.running_mean", line=2, op="zeros", role=Role.BUFFER)
        noise = b.leaf("noise", line=5, op="randn")
        y = b.op("batch_norm", x, mean, noise, name="y", line=6)
    b.sweep(b.op("mul", y, x, name="z", line=7))
    picture = draw(b.graph())
    (frame,) = picture.frames
    assert [box.title for box in picture.boxes if box.frame == frame.id] == ["noise", "y = batch_norm"]
    assert box(picture, "model.bn.running_mean").frame is None


def test_what_runs_inside_enable_grad_is_tracked_in_a_frame_of_its_own():
    picture = draw(mixed())
    off, on = picture.frames
    assert (off.title, on.title, on.parent) == ("no_grad · line 6", "enable_grad · line 8", off.id)
    assert box(picture, "again = exp").frame == on.id


def test_a_write_through_an_alias_is_joined_to_its_base():
    assert ("x", "alias", "d = zero_") in wires(draw(mixed()))


def test_turns_of_a_loop_share_a_frame_only_where_no_op_came_between():
    b = Builder()
    x = b.leaf("x", requires_grad=True, line=1)
    for _ in range(3):
        with b.region("no_grad", line=3):
            b.op("mul", x, "2", line=4)
    assert [frame.title for frame in draw(b.graph()).frames] == ["no_grad · line 3 · 3 times"]
    b.op("exp", x, line=5)
    with b.region("no_grad", line=3):
        b.op("mul", x, "2", line=4)
    assert [frame.title for frame in draw(b.graph()).frames] == ["no_grad · line 3 · 3 times", "no_grad · line 3"]


def test_saved_tensors_hang_on_their_op_when_asked_for():
    b = Builder()
    x = b.leaf("x", (3,), requires_grad=True, line=1)
    b.op("exp", x, name="y", line=2, saved=[Saved("result", (3,), "float32", 12, -1)], attrs=[("base", "e" * 80)])
    assert not [box for box in draw(b.graph()).boxes if box.kind is BoxKind.SAVED]
    picture = draw(b.graph(), show_saved=True, show_attrs=True, max_attr_chars=10)
    assert ("y = exp", "saved", "saved result") in wires(picture)
    assert ("keeps", "y") in box(picture, "saved result").tooltip
    assert ("base", "e" * 9 + "…") in box(picture, "y = exp").tooltip


def test_a_tooltip_tells_place_source_and_value():
    pairs = dict(box(draw(detach()), "y = mul").tooltip)
    assert pairs["at"] == "detach.py:5:1"
    assert pairs["source"] == "y = mul(...)"
    assert (pairs["shape"], pairs["dtype"], pairs["bytes"], pairs["node"]) == ("()", "float32", "4", "MulBackward0")


def test_a_literal_is_a_box_for_each_use():
    b = Builder()
    x = b.leaf("x", requires_grad=True, line=1)
    b.op("mul", b.op("mul", x, "2", line=2), "2", line=2)
    assert [box.title for box in draw(b.graph()).boxes if box.kind is BoxKind.CONST] == ["2", "2"]


def test_roads_are_counted_without_end():
    b = Builder()
    x = b.leaf("x", requires_grad=True, line=1)
    h = x
    for _ in range(200):
        h = b.op("add", h, h, line=2)
    b.sweep(b.op("add", h, b.detach(x, line=3), line=3))
    roads = count_roads(b.graph())
    assert roads.data[x] == roads.gradient[x] == MANY


def test_a_leaf_without_any_road_is_told():
    b = Builder()
    x, w = b.leaf("x", requires_grad=True), b.leaf("w", requires_grad=True)
    b.sweep(b.op("add", x, b.detach(w), name="y"))
    assert draw(b.graph()).summary.endswith("no gradient reaches w")


def test_names_that_come_from_outside_are_made_printable():
    assert clean("a\nb\x1b[31m\u202e\ud800") == r"a\nb\x1b[31m\u202e\ud800"
    assert clean("👩\u200d🔬") == "👩\u200d🔬"
    assert len(clean("x" * 10_000)) == TITLE_LIMIT
    assert clip("one two three", 9) == "one two…"
    joined = ["", "a", "a and b", "a, b and c", "a, b, c and d", "a, b, c and 2 more"]
    assert [join(list("abcde"[:count])) for count in range(6)] == joined
    assert [plural(n, "leaf", "leaves") for n in (0, 1, 2000)] == ["no leaves", "1 leaf", "2,000 leaves"]
    for shown in draw(named("\x00\n\ud800" * 5000), show_saved=True, show_attrs=True).boxes:
        assert shown.title.isprintable()
        assert len(shown.title) <= TITLE_LIMIT


def test_a_long_name_keeps_its_end_and_the_whole_of_it_is_in_the_tooltip():
    layer = "model.bert.encoder.layer.11.attention.output.LayerNorm"
    b = Builder()
    weight, bias = (b.leaf(f"{layer}.{name}", requires_grad=True) for name in ("weight", "bias"))
    b.sweep(b.op("add_", weight, bias, name=f"{layer}.weight"))
    boxes = draw(b.graph()).boxes
    short = "…layer.11.attention.output.LayerNorm"
    assert [box.title for box in boxes[:2]] == [f"{short}.weight", f"{short}.bias"]
    assert ("name", f"{layer}.weight") in boxes[0].tooltip
    assert any(box.title.endswith("LayerNorm.weight = add_") for box in boxes)
    assert len(shorten("x" * 100)) == len(shorten(f"model.{'x' * 100}")) == TITLE_LIMIT
    assert shorten("model.weight") == "model.weight"
    weight, bias = (shorten(f"model.{'x' * 100}.{name}") for name in ("weight", "bias"))
    assert (weight[-9:], bias[-7:]) == ("x….weight", "x….bias")
    assert weight[:8] == bias[:8] == "model.xx"
    assert len(weight) == len(bias) == TITLE_LIMIT
    assert shorten(f"model.{'x' * 100}.{'y' * 40}").startswith("model.xxx")


def test_files_are_named_where_there_are_several():
    b = Builder("a.py")
    x = b.leaf("x", line=1, requires_grad=True)
    b.file = "lib/b.py"
    b.op("exp", x, line=2)
    picture = draw(b.graph())
    assert [box.detail for box in picture.boxes[:2]] == ["() float32 · a.py:1", "b.py:2"]
    assert Wording(detach(), name_file=True).line(next(iter(detach().sites))) == "detach.py:4"


def test_a_hundred_thousand_ops_take_seconds():
    graph = chain(100_000)
    start = time.process_time()
    picture = draw(graph)
    assert len(picture.boxes) == 200_002
    assert time.process_time() - start < 20


def test_a_leaf_says_what_the_backward_passes_gave_it_where_that_is_not_what_one_expects():
    b = Builder()
    w, v, u = (b.leaf(name, requires_grad=True, line=line) for line, name in enumerate("wvu", 1))
    with b.region("no_grad", line=4):
        skipped = b.op("mul", v, "2", line=5)
    loss = b.op("add", b.op("mul", w, u, line=6), skipped, name="loss", line=6)
    b.sweep(loss, line=7, gradients=[Gradient(w, 0.0, zero=True), Gradient(u, float("nan"), nan=True)])
    picture = draw(b.graph())
    assert box(picture, "w").detail == "() float32 · line 1 · gradient is zero"
    assert box(picture, "u").detail == "() float32 · line 3 · gradient is NaN"
    assert box(picture, "v").detail == "() float32 · line 2 · gets no gradient"


def test_attributes_are_shown_when_asked_for():
    b = Builder()
    x = b.leaf("x", (2, 3), requires_grad=True, line=1)
    b.op("sum", x, name="y", line=2, attrs=(("dim", "1"), ("keepdim", "True")))
    assert box(draw(b.graph()), "y = sum").detail == "line 2"
    assert box(draw(b.graph(), show_attrs=True), "y = sum").detail == "line 2 · dim=1, keepdim=True"
