"""`gradviz.check`: the findings on a graph, on a recording, and on a function that it runs."""

from __future__ import annotations

import functools
import traceback
from typing import Any

import pytest
import torch
from test_formats import starved
from torch import nn

import gradviz
from gradviz.diagnose import Findings, diagnose
from gradviz.errors import UsageError
from gradviz.recorder import active


def test_a_graph_and_a_recording_are_diagnosed() -> None:
    graph = starved().graph()
    assert gradviz.check(graph) == diagnose(graph)
    assert [finding.code for finding in gradviz.check(graph, select="GV4")] == ["GV401"]
    assert [finding.code for finding in gradviz.check(graph, ignore=["GV4,GV5"])] == ["GV101"]
    with gradviz.record() as recording:
        step()
    assert [finding.code for finding in gradviz.check(recording)] == ["GV101"]


def step(scale: float = 3.0, *, cut: bool = True) -> None:
    w = gradviz.tensor([1.0, 2.0], requires_grad=True)
    v = gradviz.tensor([1.0, 2.0], requires_grad=True)
    h = w * scale
    if cut:
        h = h.detach()
    (h * v).sum().backward()


def test_a_function_is_run_and_diagnosed() -> None:
    found = gradviz.check(step)
    assert isinstance(found, Findings)
    (finding,) = found
    assert (finding.code, finding.names, finding.source.strip()) == ("GV101", ("w",), "h = h.detach()")
    assert finding.path.endswith("test_checkup.py")
    assert found.graph.sweeps
    assert active() == ()
    assert gradviz.check(step, 2.0, cut=False) == ()


def test_names_come_from_around_the_function_and_from_its_arguments() -> None:
    weight = gradviz.tensor([1.0, 2.0], requires_grad=True)
    other = gradviz.tensor([1.0, 2.0], requires_grad=True)

    def train(given: Any) -> None:
        (weight.detach() * given).sum().backward()

    assert gradviz.check(train, other)[0].names == ("weight",)
    assert gradviz.check(functools.partial(train, other))[0].names == ("weight",)

    def feed(given: Any, other: Any) -> None:
        (given.detach() * other).sum().backward()

    made = gradviz.tensor([1.0], requires_grad=True), gradviz.tensor([1.0], requires_grad=True)
    assert gradviz.check(feed, made[0], other=made[1])[0].names == ("given",)


def test_torch() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    def train(x: torch.Tensor) -> None:
        with torch.no_grad():
            h = model[0](x)
        model[1](h).sum().backward()
        optimizer.step()

    found = gradviz.check(train, torch.ones(2, 3))
    assert [(finding.code, finding.severity.value) for finding in found] == [("GV201", "error")]
    assert found[0].names == ("model.0.weight", "model.0.bias")


def test_an_exception_goes_on_with_the_findings_as_its_note() -> None:
    def train() -> None:
        w = gradviz.tensor(2.0, requires_grad=True)
        with gradviz.no_grad():
            loss = w * 3
        loss.backward()

    with pytest.raises(RuntimeError, match="element 0 of tensors does not require grad") as caught:
        gradviz.check(train)
    (note,) = caught.value.__notes__
    assert "error[GV201]: backward cannot start at `loss`: `w` went into it" in note
    assert "with gradviz.no_grad():" in note
    shown = "".join(traceback.format_exception(caught.value))
    assert note.strip().splitlines()[0] in shown
    assert "gradviz/core/" not in shown
    assert active() == ()


def test_an_exception_that_no_finding_explains_has_no_note() -> None:
    def fails() -> None:
        raise ValueError("mine")

    with pytest.raises(ValueError, match="mine") as caught:
        gradviz.check(fails)
    assert not hasattr(caught.value, "__notes__")

    def stops() -> None:
        raise SystemExit(3)

    with pytest.raises(SystemExit):
        gradviz.check(stops)
    assert active() == ()


@pytest.mark.parametrize(
    ("subject", "arguments", "options", "message"),
    [
        (3, (), {}, "a `int` can be neither diagnosed nor called"),
        (torch.ones(1), (), {}, "a `Tensor` can be neither"),
        (starved().graph(), (1,), {}, "a graph takes no arguments"),
        (starved().graph(), (), {"select": "GV9"}, "no rule has a code that begins with `GV9`"),
        (starved().graph(), (), {"ignore": ["Gv1", " , "]}, ""),
        (starved().graph(), (), {"ignore": " , "}, "`ignore` names no rule"),
    ],
)
def test_usage(subject: Any, arguments: tuple[Any, ...], options: dict[str, Any], message: str) -> None:
    if not message:
        gradviz.check(subject, *arguments, **options)
        return
    with pytest.raises(UsageError, match=message):
        gradviz.check(subject, *arguments, **options)
