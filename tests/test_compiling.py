"""Compiled code against the general definition: for every sample of every row, all that can be observed is the same."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
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
from gradviz.core.trace import GENERAL, HOOKED, LATE, PAIRED, SEVERAL, SHAPE_LIMIT, SHAPES, Node, Trace, origin_of

KEYS = sorted(key for key, row in TABLE.items() if row.samples is not None)
_FLAGS = ~(GENERAL | HOOKED | LATE | PAIRED | SEVERAL)


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


_PARTS: dict[str, Callable[[Any], Any]] = {
    "split": lambda x: x.split(2),
    "unbind": lambda x: x.unbind(1),
    "chunk of a view": lambda x: x.t().chunk(2),
    "cat of parts": lambda x: gradviz.cat(x.split([1, 3])[::-1], 1 if x.ndim > 2 else 0).unbind(),
    "max": lambda x: (x.max(0)[0], x.max(0)[0]),
    "sort": lambda x: x.sort(1)[::-1][1:] * 2,
}
_USES: dict[str, Callable[[Any, Any], Any]] = {
    "mul": lambda a, b: a * b,
    "number": lambda a, b: b * 3 + a,
    "view": lambda a, b: b.reshape(-1).view(-1, 1)[0] + a.unsqueeze(0).sum(),
    "exp": lambda a, b: b.exp() - a,
    "part": lambda a, b: b[0] + b[1] * b[0] + a.sum(),
    "cat": lambda a, b: gradviz.cat([b.reshape(-1), a.reshape(-1), b.reshape(-1)]),
    "max": lambda a, b: b.reshape(-1).max(0)[0] * a,
    "one only": lambda a, b: b.tanh(),
    "detached": lambda a, b: b.detach() * 2,
}


@pytest.mark.parametrize("mode", ["enable_grad", "no_grad"])
@pytest.mark.parametrize("parts", _PARTS)
@pytest.mark.parametrize("use", _USES)
def test_what_runs_on_one_of_several_outputs_is_the_same(
    parts: str, use: str, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run() -> Any:
        x = gradviz.tensor(np.arange(1.0, 17, dtype=np.float32).reshape(4, 4) % 7, requires_grad=True)
        found = []
        for given in (x, x * 1.5):
            with getattr(gradviz, mode)():
                first, *_, last = _PARTS[parts](given)
                result = _USES[use](first, last)
            found.append((told(result._data), result._number, result._version, record_of(result._origin, {})))
            if result.requires_grad:
                for _ in range(2):
                    result.sum().backward(retain_graph=True)
        return found, None if x.grad is None else told(x.grad._data)

    compiled = run()
    with uncompiled(monkeypatch):
        assert compiled == run()


def test_what_runs_on_one_of_several_outputs_is_compiled() -> None:
    x = gradviz.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    first, last = x.unbind()
    for y in (first, last, first * last, last.view(2, 1), gradviz.cat([last, last]), x.max(1)[0]):
        assert not y.grad_fn.flags & GENERAL


@pytest.mark.parametrize("heard", [False, True])
def test_an_op_that_runs_under_another_name_has_it_whether_somebody_listens_or_not(
    heard: bool, tmp_path: Path
) -> None:
    x = gradviz.zeros(2, 3, 1)
    with gradviz.record(str(tmp_path / "run.gvlog")) if heard else nullcontext():
        made = [
            x.flatten(),
            x.reshape_as(x),
            x.view_as(x),
            x.unflatten(1, (3, 1)),
            x.movedim(0, 1),
            x.expand_as(x),
            gradviz.broadcast_to(x, (2, 3, 4)),
            x.chunk(2)[0],
        ]
        x.reshape(6).flatten()  # which is that tensor itself
    names = "flatten reshape_as view_as unflatten movedim expand_as broadcast_to chunk"
    assert [y._origin.op_name for y in made] == names.split()
    assert x.reshape(6).flatten()._origin.op_name == "reshape"
