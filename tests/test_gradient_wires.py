"""Wires on which gradient comes, and those that autograd keeps and no gradient gets to: PyTorch's hooks say which."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Protocol

import pytest
import torch
from building import Builder
from torch import Tensor

import gradviz
from gradviz.events import Role
from gradviz.fold.fit import fit
from gradviz.graphs import Graph
from gradviz.picture.composing import compose
from gradviz.picture.records import BoxKind, Picture, WireKind
from gradviz.views import Options, draw


class Watch(Protocol):
    """Told of tensors by name, remembers which gradient came to."""

    def __call__(self, **tensors: Tensor) -> None: ...


def detached(watch: Watch) -> None:
    w = torch.ones(3, requires_grad=True)
    v = torch.ones(3, requires_grad=True)
    h = w * 2
    g = h.exp()
    z = g.detach()
    out = z * v
    watch(w=w, v=v, h=h, g=g, out=out)
    out.sum().backward()


def two_losses(watch: Watch) -> None:
    w = torch.ones(3, requires_grad=True)
    h = w * 2
    first = h.exp()
    second = h.sin()
    third = second.cos()
    print(third.shape)
    watch(w=w, h=h, first=first, second=second, third=third)
    first.sum().backward()


def validated(watch: Watch) -> None:
    w = torch.ones(3, requires_grad=True)
    h = w * 2
    with torch.no_grad():
        seen = h * 3
    k = seen * w
    watch(w=w, h=h, k=k)
    k.sum().backward()


class Half(torch.autograd.Function):
    """A product whose backward forgets the second factor."""

    @staticmethod
    def forward(ctx, a, b):
        ctx.save_for_backward(b)
        return a * b

    @staticmethod
    def backward(ctx, grad):
        (b,) = ctx.saved_tensors
        return grad * b, None


def forgotten(watch: Watch) -> None:
    w = torch.ones(3, requires_grad=True)
    v = torch.ones(3, requires_grad=True)
    a = w * 2
    b = v * 2
    c = b.exp()
    out = Half.apply(a, c)
    watch(w=w, v=v, a=a, b=b, c=c, out=out)
    out.sum().backward()


def several_results(watch: Watch) -> None:
    w = torch.ones(4, requires_grad=True)
    h = w * 2
    left, right = h.chunk(2)
    unused = right.exp()
    print(unused.shape)
    watch(w=w, h=h, left=left, right=right, unused=unused)
    left.sum().backward()


def asked_for_one(watch: Watch) -> None:
    w = torch.ones(3, requires_grad=True)
    v = torch.ones(3, requires_grad=True)
    h = w * 2
    k = v * 3
    out = h * k
    watch(w=w, v=v, h=h, k=k, out=out)
    torch.autograd.grad(out.sum(), inputs=[w])


def asked_for_a_result(watch: Watch) -> None:
    w = torch.ones(3, requires_grad=True)
    v = torch.ones(3, requires_grad=True)
    h = w * 2
    k = h.exp()
    out = k * v
    watch(w=w, v=v, h=h, out=out)
    out.sum().backward(inputs=[k])


def asked_by_two(watch: Watch) -> None:
    w = torch.ones(3, requires_grad=True)
    v = torch.ones(3, requires_grad=True)
    u = torch.ones(3, requires_grad=True)
    h = w * v
    first = (h * u).exp()
    second = (h * 2).sin()
    watch(w=w, v=v, u=u, h=h, first=first, second=second)
    torch.autograd.grad(first.sum(), w, retain_graph=True)
    second.sum().backward(inputs=[v])


ASKED = (asked_for_one, asked_for_a_result, asked_by_two)
PROGRAMS = (*ASKED, detached, two_losses, validated, forgotten, several_results)


def recorded(program: Callable[[Watch], None]) -> tuple[Graph, dict[str, bool]]:
    """The graph of `program`, and of each tensor it watches whether gradient came to it."""
    came: dict[str, bool] = {}

    def watch(**tensors: Tensor) -> None:
        for name, tensor in tensors.items():
            came[name] = False
            tensor.register_hook(lambda gradient, name=name: came.update({name: gradient is not None}))

    with gradviz.record() as rec:
        program(watch)
    graph = rec.graph()
    return graph, came


def kinds_from(picture: Picture, graph: Graph, name: str) -> set[WireKind]:
    """What wires lead away from the box of the value called `name`, but for those to an output's own box."""
    own = {box.id for box in picture.boxes if box.value is not None and graph.values[box.value].name == name}
    return {wire.kind for wire in picture.wires if wire.tail in own and wire.head not in own}


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
def test_wires_say_where_gradient_came(program: Callable[[Watch], None]) -> None:
    graph, came = recorded(program)
    picture = compose(graph, Options())
    assert True in came.values()
    assert False in came.values()
    for name, arrived in came.items():
        kinds = kinds_from(picture, graph, name)
        assert (WireKind.GRADIENT in kinds) == arrived or not kinds, (name, kinds)
        if not arrived:
            assert kinds <= {WireKind.TRACKED, WireKind.SHADOW, WireKind.CUT}
    told = {kind for name in came for kind in kinds_from(picture, graph, name)}
    assert {WireKind.GRADIENT, WireKind.TRACKED} <= told


def test_the_output_that_no_backward_started_from_gets_none() -> None:
    graph, _ = recorded(two_losses)
    picture = compose(graph, Options())
    ends = {box.title: box.id for box in picture.boxes if box.kind in (BoxKind.OUTPUT, BoxKind.RESULT)}
    into = {name: {wire.kind for wire in picture.wires if wire.head == id} for name, id in ends.items()}
    assert into["third"] == {WireKind.TRACKED}
    assert {WireKind.GRADIENT} in into.values()


def test_without_a_backward_pass_gradient_would_come_from_each_result() -> None:
    b = Builder("script.py")
    w = b.leaf("w", requires_grad=True)
    b.op("exp", b.op("mul", w, "2"), name="y")
    assert {wire.kind for wire in compose(b.graph(), Options()).wires} == {WireKind.GRADIENT, WireKind.SHADOW}


@pytest.mark.parametrize(
    ("view", "sign"),
    [
        ("svg", '<path class="wh"'),
        ("dot", "arrowhead=empty"),
        ("mermaid", "--o"),
        ("tree", "╎"),
        ("html", '<path class="wh"'),
    ],
)
def test_each_view_tells_it_apart(view: str, sign: str) -> None:
    cut, whole = Builder("script.py"), Builder("script.py")
    for b in (cut, whole):
        w, v = b.leaf("w", requires_grad=True), b.leaf("v", requires_grad=True)
        h = b.op("exp", b.op("sin", w))
        b.sweep(b.op("mul", b.detach(h) if b is cut else h, v, name="loss"))
    assert sign in draw(cut.graph(), view)
    assert sign not in draw(whole.graph(), view)
    if view in ("svg", "dot", "tree", "html"):
        assert "tracked, no gradient comes" in draw(cut.graph(), view)


def test_a_folded_network_says_it_too() -> None:
    """Equal blocks before and after a cut: between two boxes gradient comes or it does not."""
    b = Builder("script.py")
    h = b.leaf("x")
    for number in range(40):
        b.scope = f"model.layers.{number}"
        weight = b.leaf(f"{b.scope}.weight", requires_grad=True, role=Role.PARAMETER)
        h = b.op("tanh", b.op("mul", h, weight))
        b.scope = ""
        h = b.detach(b.op("sin", h, name="seen")) if number == 19 else h
    b.sweep(b.op("sum", h, name="loss"))
    graph = fit(b.graph())
    assert graph.folds
    picture = compose(graph, Options())
    folds = [box.id for box in picture.boxes if box.fold is not None]
    assert [[wire.kind for wire in picture.wires if wire.tail == fold] for fold in folds] == [
        [WireKind.TRACKED],
        [WireKind.GRADIENT],
    ]


@pytest.mark.parametrize(("reduction", "seed", "kinds"), [
    ("none", None, {WireKind.TRACKED}), ("none", (4,), {WireKind.TRACKED}), ("none", (4, 2), {WireKind.GRADIENT}),
    ("mean", None, {WireKind.GRADIENT}),
])  # fmt: skip
def test_behind_a_backward_that_could_not_begin_no_gradient_flows(
    reduction: str, seed: tuple[int, ...] | None, kinds: set[WireKind]
) -> None:
    net = torch.nn.Linear(3, 2)
    with gradviz.record() as rec:
        loss = torch.nn.functional.mse_loss(net(torch.randn(4, 3)), torch.zeros(4, 2), reduction=reduction)
        with contextlib.suppress(RuntimeError):
            loss.backward(None if seed is None else torch.ones(seed))
    picture = compose(rec.graph(), Options())
    found = {wire.kind for wire in picture.wires} & {WireKind.TRACKED, WireKind.GRADIENT}
    assert found == kinds
