"""Layout: proof that nothing lies on anything else, exact answers for small problems, and the shape we want."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pictures import ALL, Sketch, chain, detach, diamond, hostile, mlp, nested, no_grad, residual

from gradviz.layout import arrange, check, measure, order, place, rank
from gradviz.layout.check import polyline
from gradviz.layout.drawing import Drawing, PlacedBox, Rectangle
from gradviz.layout.simplex import longest_path, solve
from gradviz.picture.records import Box, BoxKind, Frame, Picture, Wire, WireKind

DIRECTIONS = ["TB", "LR"]


def by_title(drawing: Drawing, title: str, detail: str = "") -> PlacedBox:
    """The first box that reads so."""
    return next(box for box in drawing.boxes if box.box.title == title and detail in box.box.detail)


def middle(box: PlacedBox) -> float:
    return box.area.x + box.area.width / 2


# every picture

@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("name", ALL)
def test_nothing_lies_on_anything_else(name, direction):
    picture = ALL[name]()
    drawing = arrange(picture, direction)
    assert check(drawing) == ()
    assert [placed.box for placed in drawing.boxes] == list(picture.boxes)
    assert [routed.wire for routed in drawing.wires] == list(picture.wires)
    assert [placed.frame for placed in drawing.frames] == list(picture.frames)


@pytest.mark.parametrize("name", ALL)
def test_the_same_picture_gets_the_same_places(name):
    assert arrange(ALL[name]()) == arrange(ALL[name]())


@st.composite
def pictures(draw):
    """Random pictures: forward wires of every kind, frames in frames, labels, literals, several parts."""
    count = draw(st.integers(0, 14))
    frames = [
        Frame(f"f{number}", draw(st.sampled_from(["region", "module"])), "t" * draw(st.integers(0, 30)), (), parent)
        for number in range(draw(st.integers(0, 4)))
        for parent in [draw(st.sampled_from([None, *(f"f{outer}" for outer in range(number))]))]
    ]
    ids = [None, *(frame.id for frame in frames)]
    boxes = tuple(
        Box(
            f"b{number}",
            draw(st.sampled_from(list(BoxKind))),
            "x" * draw(st.integers(0, 40)),
            "y" * draw(st.sampled_from([0, 0, 5, 40])),
            (),
            draw(st.sampled_from(ids)),
        )
        for number in range(count)
    )
    pairs = st.tuples(st.integers(0, count - 1), st.integers(0, count - 1)) if count else st.nothing()
    ends = draw(st.lists(pairs, max_size=24)) if count else []
    wires = tuple(
        Wire(f"b{min(pair)}", f"b{max(pair)}", draw(st.sampled_from(list(WireKind))), label, lost)
        for pair in ends
        for label, lost in [draw(st.sampled_from([("", False), ("", False), ("", True), ("label", False)]))]
        if pair[0] != pair[1]
    )
    return Picture("title", "summary", "description", boxes, wires, tuple(frames))


@settings(max_examples=80, deadline=None)
@given(pictures(), st.sampled_from(DIRECTIONS))
def test_nothing_lies_on_anything_else_in_random_pictures(picture, direction):
    assert check(arrange(picture, direction)) == ()


@pytest.fixture(scope="class")
def _as_if_large():
    """Even the smallest picture goes the ways that are meant for large ones."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rank, "SMALL", 0)
        patch.setattr(order, "_SMALL", 0)
        patch.setattr(order, "_TINY", 0)
        patch.setattr(place, "_EXACT_LIMIT", 0)
        patch.setattr(place, "_FEW", 0)
        yield


@pytest.mark.usefixtures("_as_if_large")
class TestTheWaysOfLargePictures:
    @settings(max_examples=80, deadline=None)
    @given(pictures(), st.sampled_from(DIRECTIONS))
    def test_nothing_lies_on_anything_else_in_random_pictures(self, picture, direction):
        drawing = arrange(picture, direction)
        assert check(drawing) == ()
        assert arrange(picture, direction) == drawing

    @pytest.mark.parametrize("direction", DIRECTIONS)
    @pytest.mark.parametrize("name", ALL)
    def test_nothing_lies_on_anything_else(self, name, direction):
        assert check(arrange(ALL[name](), direction)) == ()


def in_modules(count: int) -> Picture:
    """A chain of modules, each with two leaves and a skip around it."""
    sketch = Sketch("modules", "")
    sketch.box("x", "leaf", "x", "line 1")
    before = "x"
    for number in range(count):
        frame = f"f{number}"
        sketch.frame(frame, f"block {number}", "module")
        for step, op in enumerate("ab"):
            sketch.box(f"w{op}{number}", "leaf", f"weight {step}", "(64, 64) float32", frame)
            sketch.box(f"{op}{number}", "op", "conv", f"line {number}", frame)
            sketch.wire(f"w{op}{number} -> {op}{number}")
        sketch.box(f"add{number}", "op", "add", f"line {number}", frame)
        sketch.wire(f"{before} -> a{number} -> b{number} -> add{number}")
        sketch.wire(f"{before} -> add{number}")
        before = f"add{number}"
    return sketch.picture()


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_a_large_picture_is_as_narrow_as_a_small_one(direction):
    small, large = arrange(in_modules(20), direction), arrange(in_modules(200), direction)
    assert len(small.boxes) < 150 < 1000 < len(large.boxes)
    assert check(large) == ()
    if direction == "TB":
        assert large.width <= 1.3 * small.width
    else:
        assert large.height <= 1.3 * small.height


def test_wires_that_form_a_cycle_or_a_loop_are_drawn():
    sketch = Sketch("cycle", "")
    for name in "abc":
        sketch.box(name, "op", name, "line 1")
    sketch.wire("a -> b -> c -> a")
    sketch.wire("b -> b")
    drawing = arrange(sketch.picture())
    assert check(drawing) == ()
    back = drawing.wires[2]
    assert polyline(back)[0][1] > polyline(back)[-1][1]
    loop = drawing.wires[3]
    assert loop.start[0] == loop.end[0] == by_title(drawing, "b").area.right


@pytest.mark.parametrize("make", [lambda: chain(20_000), lambda: wide(3_000)])
def test_large_pictures_need_no_recursion(make):
    drawing = arrange(make())
    assert len(drawing.boxes) > 3_000
    assert drawing.width > 0


def wide(count: int) -> Picture:
    """Many small parts in one frame, and a frame for each third box."""
    sketch = Sketch("wide", "")
    for number in range(count):
        frame = None
        if number % 3 == 0:
            frame = f"f{number}"
            sketch.frame(frame, f"no_grad · line {number}")
        sketch.box(f"a{number}", "leaf", "w", "line 1")
        sketch.box(f"b{number}", "op", "mul", "line 2", frame)
        sketch.wire(f"a{number} -> b{number}")
    return sketch.picture()


INSIDE = Box("b0", BoxKind.OP, "x", frame="f0")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"wires": (Wire("b0", "nowhere", WireKind.SHADOW),)}, "nowhere"),
        ({"boxes": (Box("b0", BoxKind.OP, "x", frame="f9"),), "wires": ()}, "f9"),
        ({"boxes": (INSIDE,), "wires": (), "frames": (Frame("f0", "region", "", (), "f0"),)}, "within itself"),
    ],
)
def test_a_picture_that_refers_to_nothing_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        arrange(replace(detach(), **change))


def test_an_unknown_direction_is_refused():
    with pytest.raises(ValueError, match="`up`"):
        arrange(detach(), "up")


# what check finds

def spoil(drawing: Drawing, index: int, area: Rectangle) -> Drawing:
    boxes = list(drawing.boxes)
    boxes[index] = replace(boxes[index], area=area)
    return replace(drawing, boxes=tuple(boxes))


def test_check_finds_boxes_that_overlap():
    drawing = arrange(detach())
    assert any("overlaps" in problem for problem in check(spoil(drawing, 0, drawing.boxes[2].area)))


def test_check_finds_a_wire_through_a_box():
    drawing = arrange(chain(3))
    first, last = drawing.wires[0].start, drawing.wires[-1].end
    straight = (*first, *first, *last, *last)
    through = replace(drawing.wires[0], wire=replace(drawing.wires[0].wire, head="b4"), steps="C", numbers=straight)
    spoiled = replace(drawing, wires=(through, *drawing.wires[1:]))
    assert any("runs over box b2" in problem for problem in check(spoiled))


def test_check_finds_a_stranger_in_a_frame_and_a_member_outside():
    drawing = arrange(no_grad())
    inside = by_title(drawing, "mul", "skipped").area
    frame = drawing.frames[0].area
    stranger = replace(inside, x=frame.x + 2, width=10)
    assert any("lies in frame f0" in problem for problem in check(spoil(drawing, 0, stranger)))
    outside = replace(inside, x=frame.right + 30)
    assert any("is not in its frame" in problem for problem in check(spoil(drawing, 5, outside)))


def test_check_finds_a_text_that_is_too_wide():
    drawing = arrange(detach())
    narrow = replace(drawing.boxes[0].area, width=30)
    assert any("text of box b0" in problem for problem in check(spoil(drawing, 0, narrow)))


# ranks and columns are exact

@settings(max_examples=60, deadline=None)
@given(st.data())
def test_network_simplex_is_exact(data):
    count = data.draw(st.integers(2, 5))
    edges = [
        (data.draw(st.integers(0, node - 1)), node, data.draw(st.integers(0, 2)), data.draw(st.integers(0, 4)))
        for node in range(1, count)
    ]
    for _ in range(data.draw(st.integers(0, 4))):
        tail = data.draw(st.integers(0, count - 2))
        edges.append((tail, data.draw(st.integers(tail + 1, count - 1)), data.draw(st.integers(0, 2)), 1))

    def cost(levels):
        return sum(weight * (levels[head] - levels[tail]) for tail, head, _, weight in edges)

    def keeps(levels):
        return all(levels[head] - levels[tail] >= length for tail, head, length, _ in edges)

    found = solve(count, edges)
    most = 2 * (count - 1)
    best = min(cost(levels) for levels in itertools.product(range(most + 1), repeat=count) if keeps(levels))
    assert keeps(found)
    assert cost(found) == best


def test_network_simplex_refuses_what_has_no_answer():
    with pytest.raises(ValueError, match="cycle"):
        longest_path(2, [(0, 1, 1, 1), (1, 0, 1, 1)])
    with pytest.raises(ValueError, match="together"):
        solve(3, [(0, 1, 1, 1)])


# the shape we want

def test_the_main_road_is_straight():
    drawing = arrange(detach())
    road = [by_title(drawing, title) for title in ("x", "y = mul", "add", "sum", "r")]
    assert len({middle(box) for box in road}) == 1
    assert [box.area.y for box in road] == sorted(box.area.y for box in road)


def test_a_residual_road_runs_straight_through_its_modules():
    drawing = arrange(residual())
    road = [drawing.wires[number] for number in range(len(drawing.wires)) if number not in (0, 2, 8)]
    assert {x for wire in road for x, _ in polyline(wire)} == {middle(by_title(drawing, "x"))}


def test_the_red_wire_ends_where_the_badge_has_its_scissors():
    drawing = arrange(detach())
    badge = by_title(drawing, "detach · line 6").area
    red = next(wire for wire in drawing.wires if wire.wire.kind is WireKind.CUT)
    assert red.end == (badge.x + measure.BADGE_AXIS, badge.y)
    grey = next(wire for wire in drawing.wires if wire.wire.tail == red.wire.head)
    assert grey.start == (badge.x + measure.BADGE_AXIS, badge.bottom)


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_literals_sit_beside_the_op_that_uses_them(direction):
    drawing = arrange(detach(), direction)
    for literal, op in (("2", "y = mul"), ("3", "z = add")):
        small, large = by_title(drawing, literal).area, by_title(drawing, op).area
        if direction == "TB":
            assert small.y + small.height / 2 == large.y + large.height / 2
            assert 0 < large.x - small.right < 40
        else:
            assert small.x + small.width / 2 == large.x + large.width / 2
            assert 0 < large.y - small.bottom < 40


def test_literals_stand_before_or_after_by_argument_position():
    sketch = Sketch("clamp", "")
    sketch.box("x", "leaf", "x", "line 1")
    sketch.box("low", "const", "0")
    sketch.box("high", "const", "1")
    sketch.box("scale", "const", "2")
    sketch.box("mul", "op", "mul", "line 2")
    sketch.box("clamp", "op", "clamp", "line 3")
    for text in ("scale ~> mul", "x -> mul -> clamp", "low ~> clamp", "high ~> clamp"):
        sketch.wire(text)
    drawing = arrange(sketch.picture())
    assert by_title(drawing, "2").area.right < by_title(drawing, "mul").area.x
    assert by_title(drawing, "0").area.x > by_title(drawing, "clamp").area.right
    assert by_title(drawing, "1").area.y > by_title(drawing, "0").area.bottom


def test_outputs_are_at_the_bottom_and_leaves_above_their_first_use():
    drawing = arrange(mlp())
    assert by_title(drawing, "loss").area.bottom == drawing.height
    for leaf, op in (("w2", "matmul"), ("b2", "logits = add"), ("labels", "cross_entropy")):
        gap = by_title(drawing, op, "line 17" if leaf == "w2" else "").area.y - by_title(drawing, leaf).area.bottom
        assert 0 < gap < 100


def test_wires_meet_boxes_at_right_angles():
    for name, direction in itertools.product(ALL, DIRECTIONS):
        drawing = arrange(ALL[name](), direction)
        areas = {placed.box.id: placed.area for placed in drawing.boxes}
        for wire in drawing.wires:
            (x0, y0), (x1, y1) = polyline(wire)[-2:]
            area = areas[wire.wire.head]
            level = y1 in (area.y, area.bottom) and x0 == x1
            upright = x1 in (area.x, area.right) and y0 == y1
            assert level or upright, (name, direction, wire.wire)


def test_wires_between_the_same_boxes_run_side_by_side():
    sketch = Sketch("square", "")
    sketch.box("x", "leaf", "x", "line 1")
    sketch.box("y", "op", "mul", "line 2")
    sketch.wire("x -> y")
    sketch.wire("x -> y")
    left, right = arrange(sketch.picture()).wires
    assert left.start[0] == left.end[0] < right.start[0] == right.end[0]


def test_a_fan_is_symmetric():
    drawing = arrange(diamond(12))
    assert abs(middle(by_title(drawing, "x")) - drawing.width / 2) <= 1
    assert abs(middle(by_title(drawing, "y = stack")) - drawing.width / 2) <= 1


def test_inner_frames_lie_in_outer_ones_with_room_between():
    outer, middle_frame, inner = (placed.area for placed in arrange(nested()).frames)
    for around, within in ((outer, middle_frame), (middle_frame, inner)):
        assert within.x - around.x >= 8
        assert around.right - within.right >= 8
        assert around.bottom - within.bottom >= 8


def test_frames_that_hold_no_box_are_left_out():
    picture = no_grad()
    drawing = arrange(replace(picture, frames=(*picture.frames, Frame("f1", "region", "empty", (), "f0"))))
    assert [placed.frame.id for placed in drawing.frames] == ["f0"]


def test_parts_of_their_own_are_packed_side_by_side():
    sketch = Sketch("parts", "")
    for number in range(30):
        sketch.box(f"b{number}", "leaf", f"w{number}", "line 1")
    drawing = arrange(sketch.picture())
    assert check(drawing) == ()
    assert 0.5 < drawing.width / drawing.height < 4


# measures

def test_long_texts_are_clipped_in_the_middle():
    text = measure.clip("a" * 5000 + "z" * 5000, "mono", 12, 200)
    assert measure.text_width(text, "mono", 12) <= 200
    assert text.startswith("aaa")
    assert text.endswith("zzz")
    assert "…" in text


def test_wide_characters_count_as_wide():
    assert measure.text_width("变", "mono", 12) > 1.5 * measure.text_width("a", "mono", 12)
    assert measure.text_width("e\u0301", "mono", 12) == measure.text_width("e", "mono", 12)


def test_one_line_makes_every_forbidden_character_visible():
    assert measure.one_line("a\nb\x00\ud800\u202e\ufffe") == r"a\nb\x00\ud800\u202e\ufffe"
    assert measure.one_line("é 变 👩\u200d👧") == "é 变 👩\u200d👧"


def test_no_box_grows_beyond_measure():
    assert max(placed.area.width for placed in arrange(hostile()).boxes) <= 300


def test_marks_of_lost_gradients_lie_apart():
    for direction in DIRECTIONS:
        sketch = Sketch("lost", "")
        sketch.box("op", "off", "addmm", "line 9 · skipped")
        for number in range(5):
            sketch.box(f"w{number}", "leaf", f"w{number}", "line 1")
            sketch.wire(f"w{number} ~x op")
        ends = sorted(wire.end for wire in arrange(sketch.picture(), direction).wires)
        assert all(abs(x0 - x1) + abs(y0 - y1) >= 14 for (x0, y0), (x1, y1) in itertools.pairwise(ends))


def test_check_finds_a_wire_over_a_tab():
    drawing = arrange(no_grad())
    frame = drawing.frames[0]
    entering = next(wire for wire in drawing.wires if frame.area.y in range_of(wire))
    tab = replace(frame.tab, x=polyline(entering)[-1][0] - 5)
    spoiled = replace(drawing, frames=(replace(frame, tab=tab),))
    assert any("runs over tab of f0" in problem for problem in check(spoiled))


def range_of(wire) -> range:
    ys = [int(y) for _, y in polyline(wire)]
    return range(min(ys), max(ys))
