"""A reader sees where a hook stands that may change a gradient: at the box of its value, in every view."""

from __future__ import annotations

import functools
import inspect
import xml.etree.ElementTree as ET
from types import ModuleType
from typing import Any

import pytest
import torch

import gradviz
from gradviz.diagnose import diagnose
from gradviz.fold.fit import fit
from gradviz.graphs import Graph
from gradviz.picture.composing import compose
from gradviz.picture.hooking import WORD
from gradviz.picture.records import Box
from gradviz.roads import count_roads
from gradviz.views import Options, draw

both = pytest.mark.parametrize("library", [gradviz, torch], ids=["core", "torch"])


def zero(grad):
    return grad * 0


class Watcher:
    def note(self, leaf):
        self.norm = leaf.grad


def seen(module, taken, given):
    return tuple(None if grad is None else grad * 0 for grad in taken)


def before(module, given):
    return given


def hooked(graph: Graph) -> dict[str, str]:
    """The boxes with a hook by their titles, each with what the tooltip says of it."""
    return {box.title: dict(box.tooltip)[WORD] for box in compose(graph, Options()).boxes if box.hooked}


def line_of(function: Any, text: str) -> int:
    lines, first = inspect.getsourcelines(function)
    return first + next(number for number, line in enumerate(lines) if text in line)


def on_tensors(library: ModuleType) -> Graph:
    with gradviz.record() as recording:
        w = library.ones(3, requires_grad=True)
        v = library.ones(3, requires_grad=True)
        w.register_hook(zero)
        v.register_post_accumulate_grad_hook(Watcher().note)
        h = w * v
        h.register_hook(functools.partial(zero))
        loss = (h.exp() * 2).sum()
        loss.retain_grad()
        loss.backward()
    return recording.graph()


@both
def test_hooks_on_tensors_are_marked_and_named(library):
    found = hooked(on_tensors(library))
    assert set(found) == {"w", "v", "h = mul"}
    for title, name, text in (("w", "zero", "w.reg"), ("v", "Watcher.note", "v.reg"), ("h = mul", "zero", "h.reg")):
        assert found[title].startswith(f"{name}, ")
        assert found[title].endswith(str(line_of(on_tensors, text)))


@both
def test_a_hook_on_a_module_stands_where_its_gradient_is_changed(library):
    model = library.nn.Sequential(library.nn.Linear(3, 4), library.nn.ReLU(), library.nn.Linear(4, 1))
    with gradviz.record() as recording:
        model[1].register_full_backward_hook(seen)
        model[2].register_full_backward_pre_hook(before)
        model(library.ones(2, 3)).sum().backward()
    graph = recording.graph()
    told = {box.op: dict(box.tooltip)[WORD] for box in compose(graph, Options()).boxes if box.hooked}
    # PyTorch passes what the activation takes, and what the last layer gives, through a function of its own.
    order = list(graph.ops)
    names = [
        (graph.ops[order[order.index(op) + 1]].name, words.partition(",")[0]) for op, words in sorted(told.items())
    ]
    assert names == [("relu", "seen"), ("sum", "before")]
    assert model[0].weight.grad is not None
    assert not model[0].weight.grad.any()


def trained(library: ModuleType, hook: bool = True) -> Graph:
    w = library.ones(3, requires_grad=True)
    with gradviz.record() as recording:
        if hook:
            w.register_hook(zero)
        for _ in range(3):
            (w * 2).sum().backward()
            with library.no_grad():
                w.sub_(w.grad)
    return recording.graph()


@both
def test_the_hook_of_a_parameter_stays_when_a_step_was_taken(library):
    graph = trained(library)
    leaves = [box.value for box in compose(graph, Options()).boxes if box.hooked]
    versions = [v.id for v in graph.values.values() if v.leaf and v.requires_grad and v.name == "w"]
    assert leaves == versions
    assert len(versions) >= 3
    last = graph.subset(op for op in graph.ops if op >= versions[1])
    assert [box.value for box in compose(last, Options()).boxes if box.hooked]
    last.validate()


def test_a_fold_that_holds_a_hook_says_so():
    model = torch.nn.Sequential(*[torch.nn.Linear(3, 3) for _ in range(24)])
    with gradviz.record() as recording:
        for layer in model:
            layer.bias.register_hook(zero)
        model(torch.ones(2, 3)).sum().backward()
    boxes = compose(fit(recording.graph(), most=8), Options()).boxes
    assert any(box.hooked and box.fold is not None for box in boxes)


VIEWS = ("tree", "dot", "mermaid")


@pytest.mark.parametrize("view", VIEWS)
def test_text_views_say_it_and_explain_it_only_where_it_occurs(view):
    text, without = draw(on_tensors(gradviz), view), draw(trained(gradviz, hook=False), view)
    assert text.count(f"· {WORD}") == 3
    assert "a function gets the gradient here" in text
    assert f"· {WORD}" not in without


@pytest.mark.parametrize("view", ["svg", "html"])
def test_drawings_have_a_hook_at_each_such_box_and_in_the_legend(view):
    text, without = draw(on_tensors(gradviz), view), draw(trained(gradviz, hook=False), view)
    assert text.count('class="hk"') == 4
    assert ".hk circle" in text
    assert "hk" not in without.partition("<script")[0]
    if view == "svg":
        groups = list(ET.fromstring(text).iter("{http://www.w3.org/2000/svg}g"))
        marked = [group for group in groups if any(inner.get("class") == "hk" for inner in group)]
        tooltips = [group.findtext("{http://www.w3.org/2000/svg}title") or "" for group in marked]
        assert sum("hook: zero, " in tooltip for tooltip in tooltips) == 2


def test_a_hostile_name_of_a_hook_does_no_harm():
    with gradviz.record() as recording:
        w = gradviz.ones(3, requires_grad=True)
        w.register_hook(named := lambda grad: grad)
        named.__qualname__ = "</script>[bold]\n" + "x" * 9000
        h = w * 2
        h.register_hook(named)
        h.sum().backward()
    for view in ("svg", "html", "tree", "dot", "mermaid", "json"):
        assert draw(recording.graph(), view)
    ET.fromstring(draw(recording.graph(), "svg"))
    assert max(len(pair[1]) for box in compose(recording.graph(), Options()).boxes for pair in _pairs(box)) < 300


def _pairs(box: Box) -> list[tuple[str, str]]:
    return [pair for pair in box.tooltip if pair[0] == WORD]


@both
def test_what_passes_gradients_to_a_modules_hooks_is_no_custom_function(library):
    """Stepping in a hook leaves no gradient behind, and nobody has withheld one."""

    def step(parameter):
        with library.no_grad():
            parameter -= 0.1 * parameter.grad
        parameter.grad = None

    model = library.nn.Sequential(library.nn.Linear(3, 4), library.nn.ReLU(), library.nn.Linear(4, 1))
    with gradviz.record() as recording:
        model[1].register_full_backward_hook(lambda module, taken, given: None)
        for parameter in model.parameters():
            parameter.register_post_accumulate_grad_hook(step)
        model(library.ones(2, 3)).sum().backward()
    assert "GV110" not in [finding.code for finding in diagnose(recording.graph())]
    assert not count_roads(recording.graph()).withheld
