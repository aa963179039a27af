"""Compiled code against the general definition: for every sample of every row, all that can be observed is the same."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import op_checks
import pytest

import gradviz
import gradviz.core
from gradviz.core.apply import apply_general
from gradviz.core.ops.table import TABLE, Row
from gradviz.core.public import METHODS
from gradviz.core.saving import LINKED, saved_by
from gradviz.core.tensor import Tensor
from gradviz.core.trace import GENERAL, HOOKED, LATE, SEVERAL, SHAPE_LIMIT, SHAPES, Node, Trace, origin_of

KEYS = sorted(key for key, row in TABLE.items() if row.samples is not None)
_FLAGS = ~(GENERAL | HOOKED | LATE | SEVERAL)


@contextmanager
def uncompiled(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every op runs as the general definition says."""

    def general(row: Row, count: int) -> Callable[..., Any]:
        return lambda *arguments: apply_general(row, arguments[:count], arguments[count:])

    with monkeypatch.context() as patch:
        for row in TABLE.values():
            patch.setattr(row, "runs", {count: general(row, count) for count in range(8)})
        for name, call in METHODS.items():
            if hasattr(call, "runs"):
                patch.setattr(Tensor, name, _general_method(*call.runs))
        yield


def _general_method(row: Row, static: tuple[Any, ...]) -> Callable[..., Any]:
    return lambda *inputs: apply_general(row, inputs, static)


def told(value: Any) -> Any:
    """Plain data that says all of an array, or of what is no array."""
    if isinstance(value, tuple):
        return tuple(map(told, value))
    if isinstance(value, (np.ndarray, np.generic)):
        return str(value.dtype), value.shape, value.tobytes()
    return value


def record_of(step: Trace, seen: dict[int, Any]) -> Any:
    """Plain data that says all of a record, and of those behind it; ids are counted from 0."""
    if id(step) in seen:
        return seen[id(step)]
    seen[id(step)] = len(seen)
    links = []
    for link in step.links:
        origin, number = origin_of(link)
        links.append(told(link) if origin is None else (record_of(origin, seen), number))
    kept: tuple[Any, ...] = ()
    if isinstance(step, Node):
        saved = saved_by(step)
        marks = tuple(None if mark is None else mark[1] for mark in step.marks[: len(saved)] if not _several(mark))
        kept = told(saved), marks, None if step.leaves is None else [leaf is not None for leaf in step.leaves]
    return (
        (type(step), step.row.key, step.needs, told(step.static), step.cause, step.shape, step.array_type, step.more)
        + (step.flags & _FLAGS, step.forgotten, step.op_name, step.region is None, tuple(links))
        + (() if isinstance(step, Node) else (step.past,))
        + kept
    )


def _several(mark: Any) -> bool:
    return isinstance(mark, tuple) and (not mark or not hasattr(mark[0], "version"))


def outcome(row: Row, sample: Any, mode: str) -> Any:
    """All that one call leaves: its results, its records, its gradients, or its error."""
    region = {"grad": gradviz.enable_grad, "no_grad": gradviz.no_grad, "inference": gradviz.inference_mode}[mode]
    gradviz.manual_seed(0)
    with region():
        outcome = op_checks.run(op_checks.GRADVIZ, row.call, sample, backward=False)
    if outcome.error is not None:
        return type(outcome.error), str(outcome.error)
    results = [part for part in op_checks.flat(outcome.result) if isinstance(part, Tensor)]
    seen: dict[int, Any] = {}
    found = [
        (
            told(part._data),
            part._number,
            part.requires_grad,
            None if part.is_inference() else part._version,
            part.is_leaf,
            part._is_view(),
            record_of(part._origin, seen),
        )
        for part in results
    ]
    try:
        gradients = op_checks.pull(op_checks.GRADVIZ, outcome.result, list(outcome.tensors)) if mode == "grad" else ()
    except RuntimeError as error:
        return found, str(error)
    return found, tuple(None if gradient is None else told(gradient._data) for gradient in gradients)


@pytest.mark.parametrize("key", KEYS)
def test_both_ways_give_the_same(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    row = TABLE[key]
    assert row.samples is not None
    for sample in row.samples():
        for dtype in ("float32", "float16"):
            cast = op_checks.cast(sample, dtype)
            for mode in ("grad", "no_grad", "inference"):
                compiled = outcome(row, cast, mode)
                with uncompiled(monkeypatch):
                    general = outcome(row, cast, mode)
                assert compiled == general


def test_what_is_compiled_is_used_and_its_nodes_are_not_general() -> None:
    x = gradviz.tensor([1.0, 2.0], requires_grad=True)
    for y in (x * x, x * 2, x.exp(), x.sum(), x[0], gradviz.add(x, x)):
        assert y.grad_fn is not None
        assert not y.grad_fn.flags & GENERAL


@pytest.mark.parametrize("number", [2.0, 2, True])
def test_a_tensor_that_was_saved_before_it_had_a_storage_is_still_watched(number: Any) -> None:
    x = gradviz.tensor([1.0, 2.0], requires_grad=True)
    y, z = x * 2, x * 3
    product, root, scaled = y * z, y.exp(), y * number
    z += 1
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        product.sum().backward()
    root += 2
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        root.sum().backward()
    scaled.sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [2.0 * number] * 2


@pytest.mark.parametrize("later", [False, True])
@pytest.mark.parametrize("swapped", [False, True])
def test_of_two_saved_tensors_each_is_watched_whether_it_has_a_storage_or_not(later: bool, swapped: bool) -> None:
    x = gradviz.tensor([1.0, 2.0], requires_grad=True)
    stored, fresh = x * 2, x * 3
    stored += 1
    product = fresh * stored if swapped else stored * fresh
    again, scaled = stored * fresh, stored * 2.0
    product.sum().backward(retain_graph=True)
    written = fresh if later else stored
    written += 1
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        again.sum().backward()
    scaled.sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [19.0, 31.0]


def test_an_operand_that_is_neither_tensor_nor_number_is_left_to_the_other() -> None:
    x = gradviz.tensor([1.0])
    for _ in range(2):  # the first call compiles
        with pytest.raises(TypeError, match="unsupported operand type"):
            x * object()  # type: ignore[operator]
        assert (x * np.array([2.0], np.float32)).tolist() == [2.0]


def test_a_method_that_the_user_replaced_stays_replaced() -> None:
    program = """
import gradviz
for name in ("exp", "sum", "__mul__"):
    kept = getattr(gradviz.Tensor, name)
    setattr(gradviz.Tensor, name, lambda *given, kept=kept: ("mine", kept(*given)))
x = gradviz.tensor([1.0])
for _ in range(2):
    assert [x.exp()[0], x.sum()[0], (x * x)[0]] == ["mine"] * 3
    assert (x * x)[1].tolist() == [1.0]
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_program_of_many_shapes_does_not_grow() -> None:
    for length in range(SHAPE_LIMIT + 100):
        gradviz.zeros(length)
    assert len(SHAPES) <= SHAPE_LIMIT + 1


def test_a_number_that_a_node_needs_for_its_backward_is_not_kept_twice() -> None:
    x = gradviz.tensor([1.0, 2.0], requires_grad=True)
    for node in ((x * 1.5).grad_fn, (x / 4).grad_fn):
        assert node.saved is LINKED
        assert saved_by(node)[-1] == node.links[1]
    assert (x * x).grad_fn.saved is not LINKED
    (x * 1.5 / 4).sum().backward()
    assert x.grad.tolist() == [0.375, 0.375]
