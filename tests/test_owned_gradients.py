"""A leaf keeps what came back to it where nobody else has it: no two tensors may ever share memory for that."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import gradviz

PROGRAMS: dict[str, Callable[[Any], list[Any]]] = {}


def program(make: Callable[[Any], list[Any]]) -> Callable[[Any], list[Any]]:
    """Mark a function that gives tensors of which each has memory of its own."""
    PROGRAMS[make.__name__] = make
    return make


def matrix(lib: Any, *shape: int) -> Any:
    values = np.arange(math.prod(shape), dtype=np.float32).reshape(shape) / 7 - 1
    return lib.tensor(values.tolist(), requires_grad=True)


def leaves(lib: Any, count: int) -> list[Any]:
    return [lib.tensor([1.0, 2.0 + k], requires_grad=True) for k in range(count)]


@program
def two_leaves_of_one_sum(lib: Any) -> list[Any]:
    x, y = leaves(lib, 2)
    (x + y).sum().backward()
    return [x, y, x.grad, y.grad]


@program
def the_users_own_cotangent(lib: Any) -> list[Any]:
    (x,) = leaves(lib, 1)
    g = lib.tensor([3.0, 4.0])
    (x + 0).backward(g)
    return [x, x.grad, g]


@program
def a_cotangent_for_the_leaf_itself(lib: Any) -> list[Any]:
    (x,) = leaves(lib, 1)
    g = lib.tensor([3.0, 4.0])
    x.backward(g)
    return [x, x.grad, g]


@program
def a_view_of_a_cotangent(lib: Any) -> list[Any]:
    (x, y) = leaves(lib, 2)
    (x.reshape(2, 1) + y.reshape(2, 1)).backward(lib.ones(2, 1), retain_graph=True)
    return [x.grad, y.grad]


@program
def a_result_that_the_node_keeps(lib: Any) -> list[Any]:
    (x,) = leaves(lib, 1)
    y = x.exp()
    y.backward(lib.ones(2), retain_graph=True)
    first = x.grad.clone()
    x.grad = None
    y.backward(lib.ones(2))
    return [x, y, x.grad, first]


@program
def a_factor_that_the_user_holds(lib: Any) -> list[Any]:
    (x,) = leaves(lib, 1)
    factor = lib.tensor([5.0, 6.0])
    (x * factor).sum().backward()
    return [x, x.grad, factor]


@program
def many_uses_of_one_leaf(lib: Any) -> list[Any]:
    x, y = leaves(lib, 2)
    total = x + y
    for k in range(20):
        total = total + x * k + y
    total.sum().backward()
    return [x, y, x.grad, y.grad]


@program
def a_retained_gradient(lib: Any) -> list[Any]:
    (x,) = leaves(lib, 1)
    y = x * 1.0
    z = y + 0.0
    y.retain_grad()
    z.retain_grad()
    z.sum().backward()
    return [x.grad, y.grad, z.grad]


@program
def gradients_that_hooks_saw(lib: Any) -> list[Any]:
    x, y = leaves(lib, 2)
    seen: list[Any] = []
    x.register_hook(lambda g: seen.append(g))
    (x + y).sum().backward()
    return [x.grad, y.grad, *seen]


@program
def gradients_asked_for(lib: Any) -> list[Any]:
    x, y = leaves(lib, 2)
    return list(lib.autograd.grad((x + y).sum(), [x, y]))


@program
def a_second_pass_adds_to_the_first(lib: Any) -> list[Any]:
    x, y = leaves(lib, 2)
    for _ in range(3):
        (x + y).sum().backward()
    return [x.grad, y.grad]


@program
def scalars(lib: Any) -> list[Any]:
    x, y = lib.tensor(2.0, requires_grad=True), lib.tensor(3.0, requires_grad=True)
    (x + y).backward()
    return [x.grad, y.grad]


@program
def a_layer_and_a_product(lib: Any) -> list[Any]:
    weight, bias = matrix(lib, 3, 4), lib.tensor([0.5, 1.5, 2.5], requires_grad=True)
    x, other = matrix(lib, 2, 4), matrix(lib, 3, 5)
    (lib.nn.functional.linear(x, weight, bias) @ other).sum().backward()
    return [weight.grad, bias.grad, x.grad, other.grad]


@program
def a_layer_without_bias(lib: Any) -> list[Any]:
    weight, x = matrix(lib, 3, 4), matrix(lib, 2, 2, 4)
    lib.nn.functional.linear(x, weight).sum().backward()
    return [weight.grad, x.grad]


@program
def transposed_factors(lib: Any) -> list[Any]:
    x, y, z = matrix(lib, 4, 3), matrix(lib, 5, 4), matrix(lib, 6, 5)
    total = lib.mm(x.t(), y.t()) @ z.transpose(0, 1)
    (total * total).mean().backward()
    return [x.grad, y.grad, z.grad]


@program
def a_leaf_that_lies_by_columns(lib: Any) -> list[Any]:
    x = matrix(lib, 4, 3).detach().t().requires_grad_()
    y = matrix(lib, 3, 4)
    (x * y).sum().backward()
    return [x.grad, y.grad]


@program
def a_permuted_leaf(lib: Any) -> list[Any]:
    x = matrix(lib, 2, 3, 4)
    (x.permute(2, 0, 1) * 2.0).exp().backward(lib.ones(4, 2, 3))
    return [x.grad]


@program
def a_transposed_cotangent_twice(lib: Any) -> list[Any]:
    x, y = matrix(lib, 3, 4), matrix(lib, 3, 4)
    z = (x + y).t() * 2.0
    z.retain_grad()
    z.backward(matrix(lib, 4, 3).detach())
    return [x.grad, y.grad, z.grad]


@program
def parts_of_a_leaf(lib: Any) -> list[Any]:
    x = matrix(lib, 4, 3)
    (x[0] + x[-1] * x[2] + x[1:3].sum(0) + x[:, 1].sum() + x[0]).sum().backward()
    return [x, x.grad]


@program
def parts_of_what_shares_its_cotangent(lib: Any) -> list[Any]:
    x, u = matrix(lib, 4, 3), matrix(lib, 4, 3)
    y, v = x * 2.0, u * 1.0
    parts = y[0] * 3.0 + y[1:][1]
    y.retain_grad()
    v.retain_grad()
    (y + v).backward(lib.ones(4, 3), retain_graph=True)
    ((y + v).sum() + parts.sum()).backward()
    return [x.grad, u.grad, y.grad, v.grad]


@program
def parts_beside_the_users_own_cotangent(lib: Any) -> list[Any]:
    x = matrix(lib, 4, 3)
    y = x * 2.0
    g = lib.ones(4, 3)
    lib.autograd.backward([y, (y[1] + y[2]).sum()], [g, None])
    return [x.grad, g]


@program
def parts_of_one_of_several_outputs(lib: Any) -> list[Any]:
    x = matrix(lib, 4, 3)
    first, second = x.split(2)
    (first[0] + first[1] * 2.0 + second[0]).sum().backward()
    return [x.grad]


@program
def parts_that_a_hook_saw(lib: Any) -> list[Any]:
    x = matrix(lib, 4, 3)
    y = x * 2.0
    seen: list[Any] = []
    total = y[0] + y[1]
    total.register_hook(lambda g: seen.append(g))
    y.register_hook(lambda g: seen.append(g))
    total.sum().backward()
    return [x.grad, *seen]


@pytest.mark.parametrize("name", PROGRAMS)
def test_every_gradient_has_pytorchs_numbers_strides_and_memory_of_its_own(name: str) -> None:
    ours, theirs = PROGRAMS[name](gradviz), PROGRAMS[name](torch)
    for mine, yours in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(mine.detach().numpy(), yours.detach().numpy(), rtol=1e-5, atol=1e-6)
        if 0 not in yours.stride():  # to who asks for it, PyTorch gives a number that is seen everywhere
            assert mine.stride() == yours.stride()
    before = [one.detach().tolist() for one in ours]
    for position, one in enumerate(ours):
        with gradviz.no_grad():
            one.add_(100.0)
        for other, (then, now) in enumerate(zip(before, [one.detach().tolist() for one in ours], strict=True)):
            assert (then == now) == (other != position), f"writing to {position} changed {other}"
        before = [one.detach().tolist() for one in ours]


def test_a_gradient_of_a_large_leaf_is_not_copied() -> None:
    x = gradviz.zeros(1000, 100, requires_grad=True)
    made: list[int] = []
    whole = (x * 2.0).sum()
    copy = np.array

    def counted(array: Any, *args: Any, **kwargs: Any) -> Any:
        made.append(np.size(array))
        return copy(array, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(np, "array", counted)
        whole.backward()
    assert x.grad is not None
    assert 100_000 not in made
