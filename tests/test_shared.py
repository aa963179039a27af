"""What VJPs share is computed once a backward, where it is needed; parts of one tensor share an array for theirs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import gradviz
from gradviz.core.apply import apply
from gradviz.core.ops.table import TABLE, Row, op

Calls = list[str]


def _row(calls: Calls) -> Row:
    """x / y * exp(z), whose VJPs share the quotient, and two of them what follows from it."""

    def noted(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        calls.append(name)
        return function

    return op(
        "shared_test(x, y, z)",
        lambda x, y, z: x / y * np.exp(z),
        shared={
            "power": lambda g, z: noted("power", np.exp)(z),
            "ratio": lambda g, power, y: noted("ratio", np.divide)(power, y),
        },
        x=lambda g, ratio: g * ratio,
        y=lambda g, ratio, x, y: -g * x * ratio / y,
        z=lambda g, power, x, y: g * x / y * power,
    )


@pytest.fixture
def calls() -> Calls:
    return []


@pytest.fixture
def row(calls: Calls) -> Iterator[Row]:
    yield _row(calls)
    del TABLE["shared_test"]


def _leaves(needs: tuple[bool, ...]) -> list[Any]:
    return [gradviz.tensor([value, value + 1.0], dtype=gradviz.float64, requires_grad=need)
            for value, need in zip((3.0, 2.0, 0.5), needs, strict=True)]  # fmt: skip


def _slopes(x: Any, y: Any, z: Any) -> list[Any]:
    return [np.exp(z) / y, -x / y**2 * np.exp(z), x / y * np.exp(z)]


@pytest.mark.parametrize("way", ["compiled", "general", "graph"])
@pytest.mark.parametrize(
    ("needs", "ran"),
    [
        ((True, True, True), ["power", "ratio"]),
        ((True, False, False), ["power", "ratio"]),
        ((False, True, False), ["power", "ratio"]),
        ((False, False, True), ["power"]),
    ],
)
def test_what_is_shared_runs_once_and_only_where_it_is_needed(
    row: Row, calls: Calls, needs: tuple[bool, ...], ran: list[str], way: str
) -> None:
    given = _leaves(needs)
    out = apply(row, given)
    wanted = [one for one, need in zip(given, needs, strict=True) if need]
    if way == "compiled":
        out.sum().backward()
        slopes = tuple(one.grad for one in wanted)
    else:
        slopes = gradviz.autograd.grad(out.sum(), wanted, create_graph=way == "graph")
    assert calls == ran
    every = _slopes(*(one.detach().numpy() for one in given))
    right = [slope for slope, need in zip(every, needs, strict=True) if need]
    for slope, expected in zip(slopes, right, strict=True):
        np.testing.assert_allclose(slope.detach().numpy(), expected)


def test_second_derivatives_go_through_what_is_shared(row: Row) -> None:
    assert gradviz.autograd.gradgradcheck(lambda *given: apply(row, given), _leaves((True, True, True)))


def test_a_node_keeps_what_the_shared_reads_for_the_vjps_that_are_needed(row: Row) -> None:
    assert row.saved_names == ("x", "y", "z")
    assert [sorted(names) for names in row.reads] == [["y", "z"], ["x", "y", "z"], ["x", "y", "z"]]
    assert row.reading_order == ("z", "y", "x")
    for needs, kept in (((True, False, False), (False, True, True)), ((False, False, True), (True, True, True))):
        node: Any = apply(row, _leaves(needs)).grad_fn
        assert tuple(one is not None for one in node.saved) == kept


def test_what_was_saved_for_the_shared_is_watched(row: Row) -> None:
    x, y, z = _leaves((True, False, False))
    out = apply(row, (x, y, z))
    z += 1
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        out.sum().backward()


def test_a_shared_that_no_graph_can_be_made_of_says_so(row: Row) -> None:
    row.shared["power"] = lambda g, z: np.exp(np.asarray(z))
    given = _leaves((True, True, True))
    with pytest.raises(gradviz.errors.NotWrittenError, match="second derivative of `shared_test`"):
        gradviz.autograd.grad(apply(row, given).sum(), given, create_graph=True)


@pytest.mark.parametrize("name", ["x", "dim", "out", "g"])
def test_a_shared_has_a_name_of_its_own(name: str) -> None:
    with pytest.raises(TypeError, match=f"`{name}` under `shared`"):
        op("shared_wrong(x, *, dim)", np.exp, shared={name: lambda g: g}, x=lambda g: g)
    assert "shared_wrong" not in TABLE


@pytest.mark.parametrize("name", ["shape", "index", "later", "first"])
def test_a_shared_reads_what_is_there_before_any_vjp(name: str) -> None:
    function = eval(f"lambda g, {name}: g")
    with pytest.raises(TypeError, match=f"reads `{name}`"):
        op("shared_wrong(x)", np.exp, shared={"first": function, "later": lambda g: g}, x=lambda g, first: g)
    assert "shared_wrong" not in TABLE


# ---- parts

PARTS = sorted(key for key, row in TABLE.items() if row.parts)


@pytest.mark.parametrize("key", PARTS)
@pytest.mark.parametrize("leaf", [False, True])
def test_the_cotangents_of_equal_parts_add_up(key: str, leaf: bool) -> None:
    row = TABLE[key]
    assert row.samples is not None
    for sample in row.samples():
        slopes = []
        for count in (1, 3):
            x = gradviz.tensor(sample.args[0], requires_grad=True)
            base = x if leaf else x * 1.0
            parts = [_called(row.call, base, sample.args[1:]) for _ in range(count)]
            cotangent = gradviz.tensor(np.arange(parts[0].numel(), dtype=np.float64).reshape(parts[0].shape) + 0.5)
            gradviz.autograd.backward(parts, [cotangent] * count)
            assert x.grad is not None
            slopes.append(x.grad.numpy())
        np.testing.assert_allclose(slopes[1], 3 * slopes[0])


def _called(call: str, x: Any, arguments: tuple[Any, ...]) -> Any:
    return x[arguments[0]] if call == "operator.getitem" else getattr(gradviz, call)(x, *arguments)
