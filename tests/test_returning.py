"""Data that left for Python or numpy on its way to the loss: the picture draws the broken road and marks the leaves."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest
import torch

import gradviz
from gradviz.diagnose import diagnose
from gradviz.graphs import Graph
from gradviz.layout import arrange
from gradviz.layout.check import check
from gradviz.layout.measure import box_texts
from gradviz.picture.aiming import missing_culprits
from gradviz.picture.composing import compose
from gradviz.picture.records import BoxKind, Picture, WireKind
from gradviz.selecting import default_selection
from gradviz.views import Options

PROGRAMS = Path(__file__).parent / "programs"


def recorded(name: str) -> Graph:
    with torch.random.fork_rng(), gradviz.record() as rec:
        runpy.run_path(str(PROGRAMS / f"{name}.py"))
    return rec.graph()


def drawn(graph: Graph) -> Picture:
    """What `gradviz render` draws."""
    findings = diagnose(graph)
    culprits = missing_culprits(graph, default_selection(graph), findings)
    picture = compose(default_selection(graph, culprits), Options(), findings)
    assert check(arrange(picture)) == ()
    return picture


def returns(picture: Picture) -> list[tuple[str, str]]:
    """The places between which data probably went without the graph."""
    boxes = {box.id: box for box in picture.boxes}
    wires = [wire for wire in picture.wires if boxes[wire.tail].kind is BoxKind.EXIT]
    assert all(wire.kind is WireKind.SHADOW for wire in wires)
    assert any(wire.road for wire in wires), "the road is shown as lost to its end"
    numbers = {wire.tail: wire.head for wire in picture.wires if boxes[wire.tail].value is None}
    ends = [(wire.tail, numbers.get(wire.head, wire.head)) for wire in wires]  # past the number that an op was given
    return [(re.sub(r"\w+\.py:", "line ", boxes[tail].detail), boxes[head].title) for tail, head in ends]


@pytest.mark.parametrize(
    ("name", "expected", "starved"),
    [
        ("summed_items", [("item · line 24", "loss")] * 3, 8),
        ("loss_made_of_numbers", [("item · line 12", "loss")] * 2, 2),
        ("numpy_in_loss", [("numpy · line 18", "loss"), ("item · line 19", "loss")], 4),
    ],
)
def test_a_broken_road_goes_on_to_the_loss(name: str, expected: list[tuple[str, str]], starved: int) -> None:
    picture = drawn(recorded(name))
    assert returns(picture) == expected
    leaves = [box for box in picture.boxes if box.kind is BoxKind.LEAF and box.title.startswith("model")]
    assert len(leaves) == starved
    assert [box.title for box in leaves if not box_texts(box)[1].endswith("gets no gradient")] == []
    assert not any("…" in box_texts(box)[1] for box in leaves)


def test_leaves_behind_a_copy_of_the_numbers_are_marked() -> None:
    model = torch.nn.Linear(2, 1)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    with gradviz.record() as rec:
        losses = model(torch.ones(3, 2))
        with pytest.warns(UserWarning, match="copy construct"):
            loss = torch.tensor(losses.sum(), requires_grad=True)
        loss.backward()
        optimizer.step()
    picture = drawn(rec.graph())
    told = {box.title: box.detail for box in picture.boxes if box.kind is BoxKind.LEAF}
    assert told["model.weight"].endswith("gets no gradient")
    assert told["model.bias"].endswith("gets no gradient")
    assert sum("gets no gradient" in detail for detail in told.values()) == 2


def test_a_number_that_is_only_printed_comes_back_nowhere() -> None:
    model = torch.nn.Linear(2, 1)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    with gradviz.record() as rec:
        loss = model(torch.ones(3, 2)).sum()
        loss.backward()
        optimizer.step()
        print(loss.item())
    picture = compose(rec.graph(), Options(), diagnose(rec.graph()))
    assert not [wire for wire in picture.wires if wire.label]
    assert not [box for box in picture.boxes if "gets no gradient" in box.detail]


def test_a_number_that_is_added_as_a_term_comes_back_there() -> None:
    model = torch.nn.Linear(2, 1)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    with gradviz.record() as rec:
        penalty = model.weight.abs().sum().item()
        loss = model(torch.ones(3, 2)).sum() + 0.1 * penalty
        loss.backward()
        optimizer.step()
    picture = drawn(rec.graph())
    ((_, head),) = returns(picture)
    assert head == "loss = add"
    assert not [box for box in picture.boxes if "gets no gradient" in box.detail]


def test_an_expert_that_was_sent_nothing_says_so() -> None:
    experts = torch.nn.ModuleList(torch.nn.Linear(2, 1) for _ in range(3))
    optimizer = torch.optim.SGD(experts.parameters(), 0.1)
    with gradviz.record() as rec:
        experts[1](torch.ones(3, 2)).sum().backward()
        optimizer.step()
    leaves = {box.title: box_texts(box)[1] for box in drawn(rec.graph()).boxes if box.kind is BoxKind.LEAF}
    assert {title for title, told in leaves.items() if told.endswith("not used in this pass")} == {
        "experts.0.weight", "experts.0.bias", "experts.2.weight", "experts.2.bias",
    }  # fmt: skip
    assert len(leaves) == 6


# without a finding: the source says where a number comes in


def joined(picture: Picture) -> list[tuple[str, str, str]]:
    """What the boxes that data left by lead to: the title there, that of the box after it, and the wire's label."""
    boxes = {box.id: box for box in picture.boxes}
    onward = {wire.tail: boxes[wire.head].title for wire in picture.wires}
    wires = [wire for wire in picture.wires if boxes[wire.tail].kind is BoxKind.EXIT]
    assert all(wire.kind is WireKind.SHADOW and not wire.lost for wire in wires)
    return [(boxes[wire.head].title, onward.get(wire.head, ""), wire.label) for wire in wires]


def leaf() -> torch.Tensor:
    return torch.tensor([1.0, 2.0], requires_grad=True)


def inside() -> None:
    w = leaf()
    (w * (w.sum().item() / 2) + 1).sum().backward()


def by_name() -> None:
    w = leaf()
    scale = (w * 3).sum().item()
    out = w * scale
    out.sum().backward()


def anew() -> None:
    w = leaf()
    factor = torch.tensor((w * 3).sum().item())
    (w * factor).sum().backward()


def other_variable() -> None:
    w = leaf()
    scale = (w * 3).sum().item()
    print(scale)
    (w * 9.0).sum().backward()


def overwritten() -> None:
    w = leaf()
    scale = (w * 3).sum().item()
    scale = w.sum()
    (w * 9.0 * scale).sum().backward()


def _scaled(w: torch.Tensor) -> torch.Tensor:
    scale = 2.0
    return w * scale


def another_function() -> None:
    w = leaf()
    scale = (w * 3).sum().item()
    print(scale)
    _scaled(w).sum().backward()


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        (inside, [("1.5", "mul", "")]),
        (by_name, [("9.0", "out = mul", "probable")]),
        (anew, [("factor", "mul", "")]),
        (other_variable, []),
        (overwritten, []),
        (another_function, []),
    ],
)
def test_a_number_is_joined_to_where_the_source_uses_it(program, expected) -> None:
    with gradviz.record() as rec:
        program()
    assert joined(drawn(rec.graph())) == expected


def test_turns_of_a_loop_are_joined_each_to_its_own() -> None:
    w = leaf()
    with gradviz.record() as rec:
        for _ in range(40):
            scale = w.sum().item()
            (w * scale).sum().backward()
    graph = rec.graph()
    assert joined(compose(graph, Options())) == [("3.0", "mul", "probable")] * 40


def test_what_a_cut_gives_is_called_as_the_line_has_it_where_nothing_has_a_name() -> None:
    state = [torch.ones(3, requires_grad=True)]
    with gradviz.record() as rec:
        for _ in range(2):
            state = [(state[0] * 2).detach() * leaf().sum()]
            state[0].sum().backward()
    titles = [box.title for box in compose(rec.graph(), Options()).boxes]
    assert titles.count("(state[0] * 2).detach()") == 2
    assert "detach" not in titles
