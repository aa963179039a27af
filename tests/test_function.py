"""`autograd.Function`: everything that a custom function does, and every mistake in one, as PyTorch has it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from alike import assert_alike

import gradviz

LIBRARIES = {
    id(gradviz): (gradviz.autograd.Function, gradviz.autograd.function.once_differentiable),
    id(torch): (torch.autograd.Function, torch.autograd.function.once_differentiable),
}


def function(library: Any, forward: Any, backward: Any = None, setup: Any = None, *, once: bool = False) -> Any:
    """A class called Custom with these static methods."""
    base, once_differentiable = LIBRARIES[id(library)]
    members: dict[str, Any] = {"forward": staticmethod(forward)}
    if backward is not None:
        members["backward"] = staticmethod(once_differentiable(backward) if once else backward)
    if setup is not None:
        members["setup_context"] = staticmethod(setup)
    return type("Custom", (base,), members)


def leaf(library: Any, *values: float) -> Any:
    return library.tensor(list(values) or [1.0, 2.0], requires_grad=True)


def caught(call: Any) -> Any:
    try:
        return call()
    except Exception as error:
        return error


def times(ctx: Any, x: Any, y: Any) -> Any:
    ctx.save_for_backward(x, y)
    ctx.note = "kept"
    return x * y


def times_back(ctx: Any, g: Any) -> Any:
    x, y = ctx.saved_tensors
    return g * y, g * x if ctx.needs_input_grad[1] else None


def test_a_function_is_one_node_and_gives_gradients() -> None:
    def program(library: Any) -> Any:
        x, y = leaf(library), leaf(library, 3.0, 4.0)
        out = function(library, times, times_back).apply(x * 1, y)
        node = out.grad_fn
        seen = node.name(), [(one.name(), number) for one, number in node.next_functions], node.note
        saved = [one.tolist() for one in node.saved_tensors]
        out.sum().backward()
        return out, seen, saved, node.needs_input_grad, x.grad, y.grad, caught(lambda: node.saved_tensors)

    assert_alike(program)


def test_it_can_be_differentiated_twice() -> None:
    def program(library: Any) -> Any:
        x, y = leaf(library), leaf(library, 3.0, 4.0)
        out = function(library, times, times_back).apply(x * x, y)
        slopes = library.autograd.grad((out * out).sum(), [x, y], create_graph=True)
        return slopes, library.autograd.grad(slopes[0].sum() + (slopes[1] ** 2).sum(), [x, y])

    assert_alike(program)


def test_a_saved_result_is_differentiated_through() -> None:
    def program(library: Any) -> Any:
        def forward(ctx: Any, x: Any) -> Any:
            out = x.exp()
            ctx.save_for_backward(out)
            return out

        x = leaf(library)
        out = function(library, forward, lambda ctx, g: g * ctx.saved_tensors[0]).apply(x)
        (slope,) = library.autograd.grad(out.sum(), x, create_graph=True)
        (curve,) = library.autograd.grad(slope.sum(), x, create_graph=True)
        return out, slope, curve, library.autograd.grad(curve.sum(), x)

    assert_alike(program)


def test_once_differentiable() -> None:
    def program(library: Any) -> Any:
        x = leaf(library)
        custom = function(library, lambda ctx, x: x * 2, lambda ctx, g: g * 2, once=True)
        (plain,) = library.autograd.grad(custom.apply(x).sum(), x)
        (slope,) = library.autograd.grad((custom.apply(x) ** 2).sum(), x, create_graph=True)
        return plain, slope, caught(lambda: slope.sum().backward())

    assert_alike(program)


@pytest.mark.parametrize(
    "backward",
    [
        lambda ctx, g: g,
        lambda ctx, g: (g, g),
        lambda ctx, g: (g, None, None, None),
        lambda ctx, g: (g, None, g),
        lambda ctx, g: (g[:1], None),
        lambda ctx, g: (2.0, None),
        lambda ctx, g: (g.double(), None),
        lambda ctx, g: (None, None),
        None,
    ],
)
def test_what_a_backward_may_return(backward: Any) -> None:
    def program(library: Any) -> Any:
        x = leaf(library)
        custom = function(library, lambda ctx, x, k: x * k, backward)
        return caught(lambda: custom.apply(x, 3).sum().backward()), x.grad

    assert_alike(program)


@pytest.mark.parametrize("result", [lambda x: x, lambda x: (x * 2, 5, None), lambda x: 5, lambda x: (x, x * 2)])
def test_what_a_forward_may_return(result: Any) -> None:
    def program(library: Any) -> Any:
        return function(library, lambda ctx, x: result(x), lambda ctx, *g: g[0]).apply(leaf(library) * 1)

    assert_alike(program)


def test_inputs_written_in_place() -> None:
    def program(library: Any) -> Any:
        def forward(ctx: Any, x: Any, *rest: Any) -> Any:
            ctx.mark_dirty(x)
            x.mul_(3)
            return x * 1 if rest else x

        custom = function(library, forward, lambda ctx, g, *rest: (g * 3, *[None] * len(ctx.needs_input_grad[1:])))
        w = leaf(library)
        h = w * 1
        out = custom.apply(h)
        (out * out).sum().backward()
        return out is h, out, h._version, w.grad, caught(lambda: custom.apply(w)), caught(lambda: custom.apply(h, 1))

    assert_alike(program)


def test_outputs_without_a_derivative_and_gradients_that_did_not_come() -> None:
    def program(library: Any) -> Any:
        def forward(ctx: Any, x: Any, materialize: bool) -> Any:
            ctx.set_materialize_grads(materialize)
            fixed, index = x * 2, x.argmax()
            ctx.mark_non_differentiable(fixed, index)
            return x * 1, fixed, index, x * 5

        seen: list[Any] = []
        x = leaf(library)
        custom = function(library, forward, lambda ctx, *g: seen.append(g) or (g[0], None))
        results = [custom.apply(x, flag) for flag in (True, False)]
        for result in results:
            result[0].sum().backward()
        return results, seen, x.grad

    assert_alike(program)


def test_a_context_that_is_set_up_apart() -> None:
    def program(library: Any) -> Any:
        def setup(ctx: Any, inputs: Any, output: Any) -> None:
            ctx.save_for_backward(*inputs, output)

        custom = function(library, lambda x: x.exp(), lambda ctx, g: g * ctx.saved_tensors[1], setup)
        x = leaf(library)
        custom.apply(x).sum().backward()
        return x.grad

    assert_alike(program)


def test_mistakes() -> None:
    def program(library: Any) -> Any:
        x = leaf(library)
        custom = function(library, times, times_back)
        kept = x * 1
        out = custom.apply(kept, x)
        kept.add_(1)
        twice = custom.apply(x, x).sum()
        twice.backward()
        number = function(library, lambda ctx, x: ctx.save_for_backward(x, 3) or x * 1)
        return (
            caught(lambda: out.sum().backward()), caught(twice.backward), caught(lambda: number.apply(x)),
            caught(lambda: custom()(x)), caught(lambda: LIBRARIES[id(library)][0].apply(x)),
        )  # fmt: skip

    assert_alike(program)


def test_without_grad_it_is_one_untracked_op() -> None:
    def program(library: Any) -> Any:
        custom = function(library, times, times_back)
        x = leaf(library)
        with library.no_grad():
            quiet = custom.apply(x, x)
        return quiet, custom.apply(x.detach(), x.detach()), library.is_grad_enabled()

    assert_alike(program)


def test_it_is_told_as_pytorchs_front_end_tells_it() -> None:
    told = []
    for library in (gradviz, torch):
        with gradviz.record() as rec:
            x, w = leaf(library), leaf(library, 2.0, 3.0)
            y = function(library, times, times_back).apply(x, w)
            y.sum().backward()
        graph = rec.graph()
        graph.validate()
        order = {value: number for number, value in enumerate(graph.values)}
        kinds = {region.id: region.kind for region in graph.regions.values()}
        told.append([
            (op.name, op.node, op.tracked, kinds.get(op.region or 0), [order.get(one, one) for one in op.inputs],
             [graph.values[value].name for value in op.outputs])
            for op in graph.ops.values() if op.inputs
        ])  # fmt: skip
    assert [op[:5] for op in told[0]] == [op[:5] for op in told[1]]
    assert told[0][0] == ("Custom", "CustomBackward", True, None, [0, 1], ["y"])


def test_a_picture_of_one() -> None:
    x = leaf(gradviz)
    graph = gradviz.graph(function(gradviz, times, times_back).apply(x, x).sum())
    graph.validate()
    assert [op.name for op in graph.ops.values() if op.inputs] == ["Custom", "sum"]


@pytest.mark.parametrize("materialize", [True, False])
def test_a_function_runs_although_nothing_came_to_it(materialize):
    """PyTorch calls its backward with zeros, or with None where it asked for that."""

    def program(library):
        class Half(library.autograd.Function):
            @staticmethod
            def forward(ctx, a, b):
                return a * b

            @staticmethod
            def backward(ctx, g):
                return g, None

        class Double(library.autograd.Function):
            @staticmethod
            def forward(ctx, a):
                ctx.set_materialize_grads(materialize)
                return a * 2

            @staticmethod
            def backward(ctx, g):
                given.append(g if g is None else g.tolist())
                return g if g is None else g * 2

        given = []
        w, v = library.ones(3, requires_grad=True), library.ones(3, requires_grad=True)
        Half.apply(w, Double.apply(v) + 1).sum().backward()
        return given, w.grad.tolist(), v.grad if v.grad is None else v.grad.tolist()

    assert program(gradviz) == program(torch)


def test_an_output_without_a_derivative_leads_nowhere_though_it_is_the_first() -> None:
    def program(library: Any) -> Any:
        def forward(ctx: Any, x: Any) -> Any:
            fixed = x * 2
            ctx.mark_non_differentiable(fixed)
            return fixed, x * 3

        came: list[Any] = []
        x, w = leaf(library), leaf(library)
        custom = function(library, forward, lambda ctx, *g: came.append(g) or g[1] * 3)
        fixed, other = custom.apply(x)
        (fixed * w).sum().backward()
        ((fixed * w).exp() + fixed * 2).sum().backward(retain_graph=True)
        alone = list(came)
        (other * fixed * w).sum().backward()
        return alone, came, x.grad, w.grad

    assert_alike(program)
