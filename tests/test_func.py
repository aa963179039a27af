"""Functions made of functions: what `gradviz.func` gives, and what has a history, is as in `torch.func`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import gradviz

CALLS: dict[str, Callable[[Any, Any, Any], Any]] = {
    "grad": lambda lib, f, x: f.grad(lambda x: (x**2).sum())(x),
    "grad of two arguments": lambda lib, f, x: f.grad(lambda x, y: (x * y.sin()).sum(), argnums=(0, 1))(x, x + 1),
    "grad of the last argument": lambda lib, f, x: f.grad(lambda x, y: (x * y.sin()).sum(), -1)(x, x + 1),
    "grad of a dictionary": lambda lib, f, x: f.grad(lambda d: (d["a"] ** 2).sum())({"a": x, "b": [x]}),
    "grad and another result": lambda lib, f, x: f.grad(lambda x: ((x**2).sum(), {"y": x * 3}), has_aux=True)(x),
    "grad and value": lambda lib, f, x: f.grad_and_value(lambda x, *, power: (x**power).sum())(x, power=3),
    "grad of grad": lambda lib, f, x: f.grad(f.grad(lambda x: x**4))(x[0]),
    "grad of grad of grad": lambda lib, f, x: f.grad(f.grad(f.grad(lambda x: x.exp() * x)))(x[1]),
    "grad inside a function": lambda lib, f, x: f.grad(
        lambda y: (f.grad(lambda z: (z * y).sum() ** 2)(x) * y).sum()
    )(x),
    "grad under no_grad": lambda lib, f, x: lib.no_grad()(f.grad(lambda x: (x**2).sum()))(x),
    "vjp": lambda lib, f, x: f.vjp(lambda x: x**3, x)[1](x),
    "vjp, value": lambda lib, f, x: f.vjp(lambda x: {"y": x**3}, x)[0],
    "vjp of several": lambda lib, f, x: f.vjp(lambda x, y: (x * y, y.sum()), x, x)[1]((x, x[0])),
    "vjp twice": lambda lib, f, x: [pull(x) for pull in [f.vjp(lambda x: x.sin(), x)[1]] for _ in range(2)],
    "jvp": lambda lib, f, x: f.jvp(lambda x: x.exp(), (x,), (x * 2,)),
    "jvp of several": lambda lib, f, x: f.jvp(lambda x, y: (x * y, y.sum()), (x, x), (x, x + 1)),
    "jacrev": lambda lib, f, x: f.jacrev(lambda x: x.outer(x))(x),
    "jacrev of trees": lambda lib, f, x: f.jacrev(lambda x, y: {"a": x * y.sum()}, argnums=(0, 1))(x, x),
    "jacfwd": lambda lib, f, x: f.jacfwd(lambda x: x.cumsum(0) ** 2)(x),
    "jacrev of a constant": lambda lib, f, x: f.jacrev(lambda x: lib.ones(2) + 0 * x.detach().sum())(x),
    "hessian": lambda lib, f, x: f.hessian(lambda x: (x**3).sum() * x[0])(x),
    "vmap": lambda lib, f, x: f.vmap(lambda x: x**2)(x),
    "vmap with a constant": lambda lib, f, x: f.vmap(lambda x, y: x + y, in_dims=(0, None))(x, x),
    "vmap along others": lambda lib, f, x: f.vmap(lambda x: x * 2, in_dims=1, out_dims=1)(x.outer(x + 1)),
    "vmap of trees": lambda lib, f, x: f.vmap(lambda d, y: (d["a"] * y, {"s": y}), out_dims=(0, 0))({"a": x}, x),
    "vmap by keyword": lambda lib, f, x: f.vmap(lambda x, y: x * y.sum())(x, y=x.outer(x)),
    "vmap of grad": lambda lib, f, x: f.vmap(f.grad(lambda x: x.sin()))(x),
    "jacobian by vmap": lambda lib, f, x: f.vmap(f.vjp(lambda x: x.sin() * x[0], x)[1])(lib.eye(3).double()),
    "vmap in vmap": lambda lib, f, x: f.vmap(f.vmap(lambda x, y: x * y, (None, 0)), (0, None))(x, x),
}
WRONG: dict[str, Callable[[Any, Any, Any], Any]] = {
    "grad of no number": lambda lib, f, x: f.grad(lambda x: x * 2)(x),
    "grad of no tensor": lambda lib, f, x: f.grad(lambda x: 2)(x),
    "no such argument": lambda lib, f, x: f.grad(lambda x: x.sum(), argnums=3)(x),
    "grad for no tensor": lambda lib, f, x: f.grad(lambda x: x)(2.0),
    "no second result": lambda lib, f, x: f.grad(lambda x: x.sum(), has_aux=True)(x),
    "a second result that is no tensor": lambda lib, f, x: f.grad(lambda x: (x.sum(), 1), has_aux=True)(x),
    "vjp of another shape": lambda lib, f, x: f.vjp(lambda x: x**2, x)[1](x[:2]),
    "vmap gives no tensor": lambda lib, f, x: f.vmap(_constant)(x),
    "vmap over two lengths": lambda lib, f, x: f.vmap(lambda x, y: x * y)(x, x[:2]),
    "vmap over no dimension": lambda lib, f, x: f.vmap(_constant)(x[0]),
    "vmap over nothing": lambda lib, f, x: f.vmap(_constant)(),
    "vmap with no dimension": lambda lib, f, x: f.vmap(_constant, in_dims=None)(x),
    "vmap over a number": lambda lib, f, x: f.vmap(_constant)(2),
    "vmap at random": lambda lib, f, x: f.vmap(_constant, randomness="often")(x),
}


def _constant(*args: Any) -> int:
    return 3


def plain(value: Any) -> Any:
    """Trees of numbers, and whether each tensor has a history."""
    if isinstance(value, dict):
        return {key: plain(part) for key, part in value.items()}
    if isinstance(value, tuple | list):
        return [plain(part) for part in value]
    if isinstance(value, torch.Tensor | gradviz.Tensor):
        return np.round(value.detach().numpy(), 9).tolist(), value.requires_grad
    return value


@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated")
@pytest.mark.parametrize("needs", [False, True], ids=["plain", "of a leaf"])
@pytest.mark.parametrize("name", CALLS)
def test_results_and_histories_are_torchs(name: str, needs: bool) -> None:
    told = []
    for library in (gradviz, torch):
        x = library.tensor([0.5, -1.25, 2.0], dtype=library.float64, requires_grad=needs)
        told.append(plain(CALLS[name](library, library.func, x)))
    assert told[0] == told[1]


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_told_in_torchs_words(name: str) -> None:
    told = []
    for library in (gradviz, torch):
        with pytest.raises((RuntimeError, ValueError)) as caught:
            WRONG[name](library, library.func, library.tensor([0.5, -1.25, 2.0]))
        told.append((caught.type.__name__, str(caught.value)))
    assert told[0] == told[1]


def network(library: Any) -> Any:
    library.manual_seed(4)
    nn = library.nn
    return nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.BatchNorm1d(3), nn.Linear(3, 1)).double()


def test_a_module_is_called_with_other_parameters() -> None:
    told = []
    for library in (gradviz, torch):
        net, func = network(library).eval(), library.func
        x = library.linspace(-1, 1, 8, dtype=library.float64).reshape(4, 2)
        before = plain(dict(net.state_dict()))
        others = {name: one.detach() * 2 for name, one in net.named_parameters()}
        buffers = {name: one.clone() for name, one in net.named_buffers()}

        def loss(
            parameters: Any, x: Any, net: Any = net, func: Any = func, buffers: Any = buffers
        ) -> Any:
            return (func.functional_call(net, (parameters, buffers), (x,)) ** 2).sum()

        seen: list[Any] = [plain(loss(others, x)), plain(func.grad(loss)(others, x)), plain(buffers)]
        seen.append(plain(loss(dict(net.named_parameters()), x)))
        seen += [before == plain(dict(net.state_dict())), plain(func.functional_call(net, {}, x))]
        told.append(seen)
    assert told[0] == told[1]


def test_gradients_of_each_sample_and_an_ensemble() -> None:
    told = []
    for library in (gradviz, torch):
        func, nn = library.func, library.nn
        library.manual_seed(0)
        nets = [nn.Linear(2, 1).double() for _ in range(3)]
        x = library.linspace(-1, 1, 8, dtype=library.float64).reshape(4, 2)
        parameters = {name: one.detach() for name, one in nets[0].named_parameters()}

        def loss(parameters: Any, x: Any, net: Any = nets[0], func: Any = func) -> Any:
            return func.functional_call(net, parameters, (x,)).sum() ** 2

        seen: list[Any] = [plain(func.vmap(func.grad(loss), in_dims=(None, 0))(parameters, x))]
        stacked, buffers = func.stack_module_state(nets)
        seen += [plain(stacked), buffers]

        def together(p: Any, b: Any, x: Any, net: Any = nets[0], func: Any = func) -> Any:
            return func.functional_call(net, (p, b), (x,))

        seen.append(plain(func.vmap(together, in_dims=(0, 0, None))(stacked, buffers, x)))
        told.append(seen)
    assert told[0] == told[1]


def test_tied_weights_are_replaced_under_both_names() -> None:
    told = []
    for library in (gradviz, torch):
        nn = library.nn
        net = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False))
        net[1].weight = net[0].weight
        given = {"0.weight": library.eye(2) * 2}
        x = library.ones(1, 2)
        call = library.func.functional_call
        told.append([plain(call(net, given, (x,))), net[0].weight is net[1].weight])
    assert told[0] == told[1]


MISCALLED: dict[str, Callable[[Any, Any, Any], Any]] = {
    "missing": lambda lib, f, net: f.functional_call(net, {"weight": lib.ones(1, 2)}, lib.ones(2), strict=True),
    "unknown": lambda lib, f, net: f.functional_call(
        net, {"weight": lib.ones(1, 2), "q": lib.ones(1)}, lib.ones(2), strict=True
    ),
    "twice": lambda lib, f, net: f.functional_call(net, ({"weight": net.weight}, {"weight": net.weight}), lib.ones(2)),
    "no models": lambda lib, f, net: f.stack_module_state([]),
    "other models": lambda lib, f, net: f.stack_module_state([net, lib.nn.ReLU()]),
    "other modes": lambda lib, f, net: f.stack_module_state([net, lib.nn.Linear(2, 1).eval()]),
}


@pytest.mark.parametrize("name", MISCALLED)
def test_modules_are_refused_in_torchs_words(name: str) -> None:
    told = []
    for library in (gradviz, torch):
        with pytest.raises((RuntimeError, ValueError)) as caught:
            MISCALLED[name](library, library.func, library.nn.Linear(2, 1))
        told.append((caught.type.__name__, str(caught.value)))
    assert told[0] == told[1]


def test_a_deep_function_is_differentiated() -> None:
    def deep(x: Any) -> Any:
        for _ in range(20_000):
            x = x + 1
        return x

    assert gradviz.func.grad(deep)(gradviz.tensor(1.0)).item() == 1


def test_the_same_numbers_are_drawn_where_they_are_asked_for() -> None:
    same = gradviz.func.vmap(lambda x: x * 0 + gradviz.rand(2), randomness="same")(gradviz.ones(3, 2))
    assert same[0].tolist() == same[1].tolist() == same[2].tolist()
    others = gradviz.func.vmap(lambda x: x * 0 + gradviz.rand(2), randomness="different")(gradviz.ones(3, 2))
    assert others[0].tolist() != others[1].tolist()
