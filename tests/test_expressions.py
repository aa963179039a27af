"""Expressions that read the same in gradviz and in PyTorch give the same: operators both ways round, odd arguments."""

from __future__ import annotations

import math
import operator
import subprocess
import sys
import warnings
from collections.abc import Callable
from typing import Any

import op_checks
import pytest
import torch

import gradviz

EXPRESSIONS: dict[str, Callable[[Any, Any], Any]] = {
    "1 - t": lambda t, m: 1 - t,
    "2 / t": lambda t, m: 2 / t,
    "2**t": lambda t, m: 2**t,
    "t**2": lambda t, m: t**2,
    "t**t": lambda t, m: t**t,
    "t**0.5": lambda t, m: t**0.5,
    "3 * t + t / 4": lambda t, m: 3 * t + t / 4,
    "t % 2": lambda t, m: t % 2,
    "7 % t": lambda t, m: (7 % t).detach(),
    "t // 0.4": lambda t, m: (t // 0.4).detach(),
    "7 // t": lambda t, m: (7 // t).detach(),
    "-t": lambda t, m: -t,
    "+t": lambda t, m: +t * 1,
    "abs(t)": lambda t, m: abs(t),
    "sum([t, t])": lambda t, m: sum([t, t]),
    "(t > 1) & (t < 2)": lambda t, m: (t > 1) & (t < 2),
    "True | (t > 1)": lambda t, m: True | (t > 1),
    "~(t > 1)": lambda t, m: ~(t > 1),
    "(t > 1) ^ True": lambda t, m: (t > 1) ^ True,
    "1 < t": lambda t, m: 1 < t,  # noqa: SIM300 - the reflected operator is what is tested
    "t == None": lambda t, m: t == None,  # noqa: E711 - what a user may write
    "t != 'text'": lambda t, m: t != "text",
    "t < None": lambda t, m: t < None,
    "t + 'text'": lambda t, m: t + "text",
    "t + [1, 2]": lambda t, m: m.add(t, [1, 2]),
    "add(t, None)": lambda t, m: m.add(t, None),
    "add(t)": lambda t, m: m.add(t),
    "exp([1])": lambda t, m: m.exp([1]),
    "exp(t, out)": lambda t, m: m.exp(t, t),
    "maximum(t, 1)": lambda t, m: m.maximum(t, 1),
    "clamp(t)": lambda t, m: m.clamp(t),
    "clamp(t, t, 1)": lambda t, m: m.clamp(t, t, 1.0),
    "clamp(max=2)": lambda t, m: t.clamp(max=2),
    "t + longer": lambda t, m: t + m.ones(7),
    "t.add_(longer)": lambda t, m: (t * 1).add_(m.ones(7)),
    "where(t > 1, t, longer)": lambda t, m: m.where(t > 1, t, m.ones(7)),
    "where(t, t, t)": lambda t, m: m.where(t, t, t),
    "t.where(t > 1, 0)": lambda t, m: t.where(t > 1, 0),
    "sum(axis=0)": lambda t, m: t.sum(axis=0),
    "sum(keepdims)": lambda t, m: t.sum(0, keepdims=True),
    "sum(5)": lambda t, m: t.sum(5),
    "sum((0, 0))": lambda t, m: t.sum((0, 0)),
    "mean of ints": lambda t, m: m.tensor([1, 2]).mean(),
    "max of nothing": lambda t, m: m.zeros(0).max(),
    "argmax of nothing": lambda t, m: m.zeros(0).argmax(),
    "max(0).indices": lambda t, m: t.max(0).indices,
    "values, _ = min(0)": lambda t, m: t.min(0)[0],
    "max(t, t)": lambda t, m: m.max(t, t * 2),
    "norm('fro')": lambda t, m: m.norm(t, "fro"),
    "uint8 > -1": lambda t, m: m.tensor([200], dtype=m.uint8) > -1,
    "uint8 + 300": lambda t, m: m.tensor([200], dtype=m.uint8) + 300,
    "1 // 0": lambda t, m: m.tensor([1]) // 0,
    "1 % 0": lambda t, m: m.tensor([1]) % 0,
    "ints ** -1": lambda t, m: m.tensor([2, 3]) ** -1,
    "-bools": lambda t, m: -m.tensor([True]),
    "True - bools": lambda t, m: True - m.tensor([True]),
    "isclose of two dtypes": lambda t, m: m.isclose(t, t.double()),
    "allclose": lambda t, m: m.allclose(t, t + 1e-7),
    "equal": lambda t, m: m.equal(t, t[:1]),
    "softmax": lambda t, m: m.softmax(t, dim=0, dtype=m.float64),
    "gelu(approximate='no')": lambda t, m: m.nn.functional.gelu(t, approximate="no"),
    "hardtanh(2, 1)": lambda t, m: m.nn.functional.hardtanh(t, 2, 1),
    "relu(inplace)": lambda t, m: m.nn.functional.relu(t * 1 - 1, inplace=True),
    "relu6": lambda t, m: m.nn.functional.relu6(t * 4),
    "dropout(0)": lambda t, m: m.nn.functional.dropout(t, 0.0) * 1,
    "dropout(1)": lambda t, m: m.dropout(t, 1.0, True),
    "dropout(2)": lambda t, m: m.nn.functional.dropout(t, 2.0),
    "dropout in evaluation": lambda t, m: m.nn.functional.dropout(t, 0.9, training=False) * 1,
}


def _outcome(expression: Callable[[Any, Any], Any], library: Any) -> tuple[Any, Exception | None]:
    tensor = library.tensor([0.5, 1.25, 2.5], requires_grad=True)
    try:
        return expression(tensor, library), None
    except Exception as error:
        return None, error


@pytest.mark.parametrize("text", EXPRESSIONS)
def test_an_expression_gives_what_torch_gives(text: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wanted, refusal = _outcome(EXPRESSIONS[text], torch)
    result, error = _outcome(EXPRESSIONS[text], gradviz)
    if refusal is not None:
        assert type(error) is type(refusal), f"{error!r}, not {refusal!r}"
        words = "received an invalid combination of arguments"
        if words not in str(refusal):
            assert str(error) == str(refusal)
        return
    assert error is None, repr(error)
    op_checks.check_output(text, result, wanted, op_checks.TOLERANCE["float32"])


@pytest.mark.parametrize(
    "write", [operator.iadd, operator.isub, operator.imul, operator.itruediv, operator.ipow, operator.imod]
)
def test_an_augmented_assignment_writes_in_place(write: Callable[[Any, Any], Any]) -> None:
    for library in (gradviz, torch):
        leaf = library.tensor([0.5, 1.25], requires_grad=True)
        tensor = leaf * 3
        written = write(tensor, 2)
        assert written is tensor
        written.sum().backward()
        if library is gradviz:
            ours = tensor.grad_fn.name(), tensor._version, tensor.tolist(), leaf.grad.tolist()
    theirs = tensor.grad_fn.name(), tensor._version, tensor.tolist(), leaf.grad.tolist()
    assert ours == theirs


def test_dropout_drops_what_torch_drops() -> None:
    outcomes = []
    for library in (gradviz, torch):
        library.manual_seed(7)
        tensor = library.ones(40, requires_grad=True)
        dropped = library.nn.functional.dropout(tensor * 1, 0.3)
        dropped.sum().backward()
        node = dropped.grad_fn
        outcomes.append(
            (dropped.tolist(), tensor.grad.tolist(), node.name(), [n and n.name() for n, _ in node.next_functions])
        )
    assert outcomes[0] == outcomes[1]
    assert 0.0 in outcomes[0][0]


def test_results_with_names_print_and_unpack_as_torchs() -> None:
    result, wanted = (library.tensor([[1.0, 5.0], [7.0, 2.0]]).max(1) for library in (gradviz, torch))
    assert repr(result) == repr(wanted).replace("torch.", "gradviz.")
    values, indices = result
    assert values is result.values
    assert indices is result.indices
    assert isinstance(result, tuple)


@pytest.mark.parametrize(
    ("name", "ties"), [("max", [1.0, 3.0, 3.0]), ("amin", [0.0, 0.0, 5.0]), ("median", [2.0, 2.0, 9.0])]
)
def test_ties_share_the_gradient(name: str, ties: list[float]) -> None:
    tensor = gradviz.tensor(ties, requires_grad=True)
    getattr(tensor, name)().backward()
    assert sorted(tensor.grad.tolist()) == [0.0, 0.5, 0.5]


def test_erf_is_that_of_the_c_library_but_for_two_units_in_the_last_place() -> None:
    points = [k / 64 for k in range(-512, 513)]
    result = gradviz.erf(gradviz.tensor(points, dtype=gradviz.float64)).tolist()
    for point, found in zip(points, result, strict=True):
        assert abs(found - math.erf(point)) <= 2 * math.ulp(found), point


def test_only_the_users_own_numpy_warns() -> None:
    program = """if True:
        import gradviz, numpy
        x = gradviz.tensor([0.0, 100.0], requires_grad=True)
        (x.log() / x + (x * x).exp() + x.sqrt() * float("inf")).sum().backward()
        gradviz.tensor([3e38]) * 10
        numpy.log(numpy.zeros(1))
    """
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == ""
    assert done.stderr.count("RuntimeWarning") == 1
    assert "divide by zero encountered in log" in done.stderr
