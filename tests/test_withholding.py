"""Ops that autograd recorded and that hand no gradient on: custom functions that give None, indices beside values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

import gradviz as gv
from gradviz.accounts import Account, State, account_of, look_up
from gradviz.diagnose import Finding, diagnose
from gradviz.fold.choice import Choice
from gradviz.fold.page import fold_to_page
from gradviz.fold.telling import telling_ops
from gradviz.graphs import Graph
from gradviz.picture.composing import compose
from gradviz.picture.records import Picture
from gradviz.views import Options
from gradviz.withholding import withheld


def functions(library: Any) -> tuple[Any, Any]:
    """Two custom products: one gives no gradient for its second factor, one gives both."""

    class Half(library.autograd.Function):
        @staticmethod
        def forward(ctx, a, b):
            ctx.save_for_backward(a, b)
            return a * b

        @staticmethod
        def backward(ctx, g):
            _, b = ctx.saved_tensors
            return g * b, None

    class Whole(Half):
        @staticmethod
        def backward(ctx, g):
            a, b = ctx.saved_tensors
            return g * b, g * a

    return Half, Whole


LIBRARIES = pytest.mark.parametrize("library", [torch, gv], ids=["torch", "core"])


def recorded(program: Callable[[], object], **names: Any) -> tuple[Graph, tuple[Finding, ...]]:
    """The recording of a program whose tensors are held as `names`, and its findings."""
    recording = gv.record()
    recording.start()
    try:
        program()
    finally:
        recording.stop(namespace=names)
    graph = recording.graph()
    return graph, diagnose(graph)


def explained(graph: Graph, name: str) -> Account:
    value = look_up(graph, name).value
    assert value is not None
    return account_of(graph, value)


def lost(picture: Picture) -> list[tuple[str, str]]:
    """The boxes that the crosses stand between, by title."""
    titles = {box.id: box.title for box in picture.boxes}
    return [(titles[wire.tail], titles[wire.head]) for wire in picture.wires if wire.lost]


@LIBRARIES
@pytest.mark.parametrize("whole", [False, True])
def test_a_custom_function_that_gives_none_is_a_cut_everywhere(library: Any, whole: bool) -> None:
    custom = functions(library)[whole]
    w, v = (library.ones(3, requires_grad=True) for _ in range(2))

    def train() -> None:
        h = v * 2
        loss = custom.apply(w, h).sum()
        loss.backward()

    graph, findings = recorded(train, w=w, v=v)
    assert w.grad is not None
    assert (v.grad is None) is not whole
    starved = [] if whole else ["v"]
    assert [finding.code for finding in findings] == ["GV110"] * len(starved)
    picture = compose(graph, Options(), findings)
    account = explained(graph, "v")
    assert lost(picture) == ([] if whole else [("h = mul", "Half")])
    assert ("gets no gradient" in " ".join(box.detail for box in picture.boxes)) is not whole
    assert account.state is (State.VALUE if whole else State.NONE)
    cuts = [step.title for road in account.passages[0].roads for step in road.cuts]
    assert cuts == ([] if whole else ["Half"])
    if not whole:
        assert "`Half`" in findings[0].message
        assert "`Half.backward`" in findings[0].help
        assert [box.title for box in picture.boxes if box.findings] == ["Half"]
        assert "1 cut" in picture.summary
        assert "no gradient reaches" in picture.summary
        steps = account.passages[0].roads[0].steps
        assert [step.flows for step in steps] == [False, False, True, True, True]
        assert explained(graph, "h").state is State.NONE


@LIBRARIES
def test_a_function_behind_one_that_gives_none_is_not_blamed(library: Any) -> None:
    """PyTorch gives the backward of the inner one zeros: the leaves get zeros, and no None."""
    half, whole = functions(library)
    w, v = (library.ones(3, requires_grad=True) for _ in range(2))

    def train() -> None:
        half.apply(w, whole.apply(v, v * 3)).sum().backward()

    graph, _ = recorded(train)
    assert v.grad is not None
    assert withheld(graph) == frozenset()


def test_what_a_second_road_brings_is_no_cut() -> None:
    half, _ = functions(torch)
    w, v = (torch.ones(3, requires_grad=True) for _ in range(2))
    graph, _ = recorded(lambda: (half.apply(w, v) + v).sum().backward())
    assert v.grad is not None
    assert withheld(graph) == frozenset()


def test_a_backward_that_was_asked_for_one_leaf_says_nothing_of_the_others() -> None:
    _, whole = functions(torch)
    w, v = (torch.ones(3, requires_grad=True) for _ in range(2))
    graph, _ = recorded(lambda: torch.autograd.grad(whole.apply(w, v).sum(), [w]))
    assert withheld(graph) == frozenset()


PICKS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "topk": lambda scores: scores.topk(2).indices,
    "sort": lambda scores: scores.sort()[1],
    "max": lambda scores: scores.max(-1, keepdim=True)[1],
}


@pytest.mark.parametrize("op", PICKS)
def test_a_picture_marks_where_only_the_indices_went_on(op: str) -> None:
    score, table = nn.Linear(4, 3), nn.Embedding(3, 2)
    graph, findings = recorded(lambda: table(PICKS[op](score(torch.ones(5, 4)))).sum().backward())
    picture = compose(graph, Options(), findings)
    ((tail, head),) = lost(picture)
    assert tail.endswith("linear")
    assert head.endswith(op)
    assert "1 cut" in picture.summary
    assert op in picture.description


def test_a_picture_marks_nothing_where_values_went_on_too() -> None:
    score, table = nn.Linear(4, 3), nn.Embedding(3, 2)

    def train() -> None:
        weights, chosen = score(torch.ones(5, 4)).topk(2)
        (table(chosen) * weights.unsqueeze(-1)).sum().backward()

    graph, findings = recorded(train)
    assert lost(compose(graph, Options(), findings)) == []


def test_what_is_withheld_in_a_closed_fold_is_marked_too() -> None:
    half, _ = functions(torch)

    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Linear(4, 4)
            self.scale = nn.Parameter(torch.ones(4))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            out: torch.Tensor = half.apply(self.inner(x), self.scale * 2)
            return out

    model = nn.Sequential(*(Scaled() for _ in range(40)))
    graph, findings = recorded(lambda: model(torch.ones(3, 4)).sum().backward(), model=model)
    assert len(withheld(graph)) == 40
    folded = fold_to_page(graph, Choice(), telling_ops(graph, findings))
    assert folded.folds
    picture = compose(folded, Options(), findings)
    assert lost(picture)
    assert "40 cuts" in picture.summary
