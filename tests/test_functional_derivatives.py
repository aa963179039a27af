"""`autograd.functional` and `gradcheck`: the same derivatives, and the same complaints, as PyTorch's."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from alike import assert_alike

import gradviz


def point(library: Any, *shape: int) -> Any:
    count = 1
    for length in shape:
        count *= length
    values = library.arange(count, dtype=library.float64) * 0.37 - 0.6
    return values.reshape(*shape)


def caught(call: Any) -> Any:
    try:
        return call()
    except (RuntimeError, TypeError, ValueError) as error:
        return f"{type(error).__name__}: {error}".replace("gradviz.core.tensor.Tensor", "torch.Tensor")


FUNCTIONS = [
    (lambda library, x: (x**3).sum(), False),
    (lambda library, x: x.exp() * x, False),
    (lambda library, x: (x.sin().sum(0), x * 2), False),
    (lambda library, x, y: (x.exp() @ y).tanh(), True),
    (lambda library, x, y: (x * 2, y.detach()), True),
    (lambda library, x, y: ((x @ y) ** 2).sum(), True),
]


@pytest.mark.parametrize(("func", "two"), FUNCTIONS)
@pytest.mark.parametrize("name", ["vjp", "jvp", "jacobian", "hessian", "vhp", "hvp"])
@pytest.mark.parametrize("create_graph", [False, True])
def test_derivatives(name: str, func: Any, two: bool, create_graph: bool) -> None:
    def program(library: Any) -> Any:
        derive = getattr(library.autograd.functional, name)
        inputs: Any = point(library, 2, 3).requires_grad_(create_graph)
        if two:
            inputs = inputs, point(library, 3, 2)
        call = lambda *points: func(library, *points)  # noqa: E731
        if name in ("jacobian", "hessian"):
            return caught(lambda: derive(call, inputs, create_graph=create_graph))
        result = call(*inputs) if two else call(inputs)
        like = result if name == "vjp" else inputs
        v = tuple(one.detach() + 1 for one in like) if isinstance(like, tuple) else like.detach() + 1
        return caught(lambda: derive(call, inputs, v, create_graph=create_graph)), caught(lambda: derive(call, inputs))

    for part in (values, complaints):
        assert_alike(lambda library, part=part: part(program(library)))


def values(result: Any) -> Any:
    """Values and whether they require grad; which op came last differs where PyTorch has several in one."""
    if isinstance(result, tuple | list):
        return [values(one) for one in result]
    return [result.detach(), result.requires_grad] if hasattr(result, "detach") else None


def complaints(result: Any) -> Any:
    if isinstance(result, tuple | list):
        return [complaints(one) for one in result]
    return result if isinstance(result, str) else None


def test_gradcheck_agrees_with_pytorch_on_right_and_wrong_derivatives() -> None:
    def program(library: Any) -> Any:
        class Wrong(library.autograd.Function):
            @staticmethod
            def forward(ctx: Any, x: Any) -> Any:
                return x * 3

            @staticmethod
            def backward(ctx: Any, g: Any) -> Any:
                return g * 3.1

        x = point(library, 3).requires_grad_()
        check, twice = library.autograd.gradcheck, library.autograd.gradgradcheck
        wrong = caught(lambda: check(Wrong.apply, (x,)))
        return (
            check(library.sin, (x,)), twice(library.exp, (x,)), check(Wrong.apply, (x,), raise_exception=False),
            wrong.partition("\n")[0], caught(lambda: check(library.sin, (x.detach(),))),
            check(lambda a, b: (a * b, a + b), (x, point(library, 1).requires_grad_())),
        )  # fmt: skip

    assert_alike(program)


def test_gradgradcheck_finds_a_wrong_second_derivative() -> None:
    class Half(gradviz.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            (x,) = ctx.saved_tensors
            return g * 2 * x.detach()

    x = point(gradviz, 3).requires_grad_()
    assert gradviz.autograd.gradcheck(Half.apply, (x,))
    with pytest.raises(RuntimeError, match="Jacobian mismatch for output 0 with respect to input 0"):
        gradviz.autograd.gradgradcheck(Half.apply, (x,))
    assert torch.autograd.gradcheck(torch.sin, (point(torch, 2).requires_grad_(),))
