"""The zoo: one training step of every model is recorded whole, found healthy, and drawn in good order."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator
from functools import partial

import pytest
import torch
import zoo
from ours import folded

import gradviz
from gradviz.diagnose import diagnose
from gradviz.fold.fit import MOST, PAGE
from gradviz.fold.steps import roll_steps
from gradviz.graphs import Graph
from gradviz.layout import arrange, check, rank
from gradviz.layout.drawing import Drawing
from gradviz.picture.composing import compose
from gradviz.picture.records import BoxKind
from gradviz.selecting import default_selection
from gradviz.views import Options
from gradviz.views.svg import write

SHALLOW: dict[str, Callable[[], zoo.Exhibit]] = {
    "ResNet-152": partial(zoo.deep_resnet, 2, 3, 6, 2),
    "DenseNet-121": partial(zoo.densenet, 6, 12, 6, 4),
    "BERT-24": partial(zoo.bert, 12),
}
"""Stand-ins for the deepest, so that a test of each takes a second."""

LEFT_OUT = ("LSTM-500", "LSTM-2000")
"""A hundred steps show the same; `tests/bench/bench_models.py` checks these, too."""

CASES = {name: SHALLOW.get(name, make) for name, make in zoo.ZOO.items() if name not in LEFT_OUT}

SMALL = 300
"""Drawings of up to so many boxes are laid out from left to right, too."""


@pytest.fixture(autouse=True)
def chance_is_kept() -> Iterator[None]:
    with torch.random.fork_rng():
        yield


@pytest.fixture(scope="module", params=CASES)
def seen(request: pytest.FixtureRequest) -> tuple[Graph, zoo.Exhibit]:
    """The graph of one step, and the model as the step left it."""
    graph, _, exhibit = zoo.recorded(CASES[request.param])
    return graph, exhibit


def test_every_autograd_node_is_matched(seen: tuple[Graph, zoo.Exhibit]) -> None:
    graph, _ = seen
    graph.validate()
    (text,) = [note.text for note in graph.notes if note.kind == "coverage"]
    numbers = re.match(r"([\d,]+) of ([\d,]+) autograd nodes matched", text)
    assert numbers is not None
    assert numbers[1] == numbers[2] != "0"


def test_a_healthy_model_gets_no_error_and_no_warning(seen: tuple[Graph, zoo.Exhibit]) -> None:
    graph, _ = seen
    assert [finding for finding in diagnose(graph) if finding.severity in ("error", "warning")] == []


def test_all_parameters_that_pytorch_gave_a_gradient_are_drawn(seen: tuple[Graph, zoo.Exhibit]) -> None:
    graph, exhibit = seen
    picture = compose(default_selection(graph), Options())
    leaves = [graph.values[box.value] for box in picture.boxes if box.kind is BoxKind.LEAF and box.value is not None]
    drawn = {leaf.name.removeprefix("model.") for leaf in leaves}
    learned = [name for name, parameter in exhibit.model.named_parameters() if parameter.grad is not None]
    assert learned
    assert [name for name in learned if name not in drawn] == []


def test_nothing_lies_on_anything_else(seen: tuple[Graph, zoo.Exhibit]) -> None:
    picture = compose(default_selection(seen[0]), Options())
    drawing = arrange(picture)
    assert check(drawing) == ()
    read(drawing)
    if len(picture.boxes) <= SMALL:
        drawing = arrange(picture, "LR")
        assert check(drawing) == ()
        read(drawing)


def test_what_is_drawn_without_options_fits_a_page(seen: tuple[Graph, zoo.Exhibit]) -> None:
    picture = compose(folded(seen[0]), Options())
    assert len(picture.boxes) <= MOST
    for direction in ("TB", "LR"):
        drawing = arrange(picture, direction)
        assert check(drawing) == ()
        read(drawing)


def test_the_modules_that_a_loop_calls_fold_with_their_weights() -> None:
    """A model called for each of many batches: every call uses the same weights, and each module is one box."""
    layer = torch.nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    with gradviz.record() as rec:
        net = torch.nn.TransformerEncoder(layer, 3, enable_nested_tensor=False)
        total = torch.zeros(())
        for _ in range(12):
            total = total + net(torch.randn(2, 4, 8)).mean()
        total.backward()
    picture = compose(folded(rec.graph()), Options())
    assert any("×12" in frame.title for frame in picture.frames)
    assert "2 parameters" in next(box.detail for box in picture.boxes if box.title == "norm1")
    assert not [box.title for box in picture.boxes if box.kind is BoxKind.LEAF]
    assert "36 leaves that require grad" in picture.summary
    assert len(picture.boxes) <= PAGE
    check(arrange(picture))


def test_a_leaf_of_a_later_turn_may_be_older_than_that_of_the_first() -> None:
    """Gradients are made from the last layer to the first, and an optimizer steps from the first to the last."""
    with gradviz.record() as rec:
        model = torch.nn.Sequential(*(torch.nn.Linear(4, 4) for _ in range(4)))
        optimizer = torch.optim.AdamW(model.parameters())
        for _ in range(2):
            loss = model(torch.randn(2, 4)).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    graph = roll_steps(rec.graph())
    twins = [pair for fold in graph.folds for turn in fold.turns[1:] for pair in zip(fold.turns[0], turn, strict=True)]
    assert any(later < first for first, later in twins)
    check(arrange(compose(graph, Options())))


def read(drawing: Drawing) -> None:
    """An XML parser reads the drawing as SVG: it has a size, and in it is what every box says."""
    svg = ElementTree.fromstring(write(drawing))
    width, height = map(float, svg.attrib["viewBox"].split()[2:])
    assert width >= drawing.width
    assert height >= drawing.height
    written = {"".join(text.itertext()) for text in svg.iter("{http://www.w3.org/2000/svg}text")}
    assert [placed.title for placed in drawing.boxes if placed.title not in written] == []


@pytest.mark.parametrize("steps", [30, 48])
def test_more_steps_make_an_unrolled_network_longer_but_not_wider(steps: int) -> None:
    """What leads into a step stands beside it, not with all the others at the top, on either side of `rank.SMALL`."""
    few, many = (arrange(compose(zoo.recorded(partial(zoo.lstm, count))[0], Options())) for count in (10, steps))
    assert (len(many.boxes) <= rank.SMALL) == (steps == 30)
    assert many.width <= 1.5 * few.width
