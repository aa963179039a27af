"""Recording the numpy core when things go on at once, begin late, end early, or are very large."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from opcode import opname
from types import FrameType
from typing import Any

import pytest

import gradviz
from gradviz.core.composites import untold
from gradviz.core.listeners import listeners
from gradviz.graphs import Graph


def recorded(program: Callable[[], Any]) -> tuple[Graph, Any]:
    """The valid graph of what a function does, and what it returns."""
    recorder = gradviz.record()
    recorder.start()
    try:
        result = program()
    finally:
        recorder.stop()
    assert not recorder.failures
    graph = recorder.graph()
    graph.validate()
    return graph, result


# ---- threads


def mixed_work(seed: int) -> float:
    """Ops with several outputs, composed ones, writes in place, regions and a backward pass."""
    x = gradviz.tensor([[1.0, 2.0], [3.0, 4.0 + seed]], requires_grad=True)
    total = gradviz.zeros(())
    for _ in range(15):
        values, _ = x.max(1)
        first, second = x.split(1)
        y = (first @ x + second).flatten() + values
        with gradviz.no_grad():
            total = total + y.sum()
        y = y * 1
        y[0] = 1.0
        loss = gradviz.nn.functional.cross_entropy(x @ x, gradviz.tensor([0, 1])) + y.mean()
        loss.backward()
        with gradviz.no_grad():
            x -= 0.01 * x.grad
        x.grad = None
    return total.item() + loss.item()


def test_eight_threads_at_once_give_one_valid_graph() -> None:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)  # so that threads meet in the middle of everything
    try:
        with ThreadPoolExecutor(8) as pool:
            alone = [mixed_work(seed) for seed in range(8)]
            graph, results = recorded(lambda: list(pool.map(mixed_work, range(8))))
    finally:
        sys.setswitchinterval(before)
    assert results == alone
    assert {op.thread for op in graph.ops.values()} == set(range(1, 9))
    assert len(graph.sweeps) == 8 * 15
    for op in graph.ops.values():
        for item in op.value_inputs:
            assert graph.ops[graph.values[item].op].thread == op.thread
        if op.region is not None:
            assert graph.regions[op.region].thread == op.thread


def test_recordings_begin_and_end_while_other_threads_work() -> None:
    done = threading.Event()

    def work() -> None:
        x = gradviz.ones(2, requires_grad=True)
        while not done.is_set():
            first, second = (x * 2).split(1)
            x = (gradviz.cat([first, second]) @ gradviz.eye(2)).detach().requires_grad_()

    threads = [threading.Thread(target=work) for _ in range(3)]
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        for _ in range(40):
            recorded(lambda: gradviz.ones(3).sum())
    finally:
        done.set()
        sys.setswitchinterval(before)
        for thread in threads:
            thread.join()


# ---- when a recording begins and ends


def test_what_was_made_before_is_told_when_it_is_used() -> None:
    w = gradviz.tensor([1.0, 2.0])
    frozen = gradviz.tensor(3.0, requires_grad=True)
    w.requires_grad_()
    hidden = w * 2
    with gradviz.no_grad():
        skipped = w * 3
    parts = hidden.split(1)
    unused = w * 5
    frozen.requires_grad = False

    graph, result = recorded(lambda: parts[1] * skipped + frozen)
    assert [op.name for op in graph.ops.values()] == ["tensor", "tensor", "mul", "mul", "split", "mul", "add"]
    leaf, other = list(graph.values.values())[:2]
    assert (leaf.name, leaf.requires_grad, leaf.leaf) == ("w", True, True)
    assert (other.name, other.requires_grad) == ("frozen", False)
    assert [cut.cause.value for cut in graph.cuts] == ["no_grad"]
    assert [region.kind for region in graph.regions.values()] == ["no_grad"]
    assert result.requires_grad
    assert unused.requires_grad


def test_nested_recordings_tell_the_same_of_what_both_saw() -> None:
    x = gradviz.ones(2, requires_grad=True)
    with gradviz.record() as outer:
        before = x * 2
        with gradviz.record() as inner:
            y = (before + x).sum()
            y.backward()
        after = y * 3
    seen, all_of_it = inner.graph(), outer.graph()
    seen.validate()
    all_of_it.validate()
    assert [op.name for op in seen.ops.values()] == ["ones", "mul", "add", "sum", "grad"]
    assert [op.name for op in all_of_it.ops.values()] == ["ones", "mul", "add", "sum", "grad", "mul"]
    assert seen.sweeps[0].gradients == all_of_it.sweeps[0].gradients
    assert after.requires_grad


def test_a_second_recording_knows_nothing_of_the_first() -> None:
    x = gradviz.ones(2, requires_grad=True)
    first, y = recorded(lambda: x * 2)
    second, _ = recorded(lambda: y + 1)
    assert [op.name for op in second.ops.values()] == ["ones", "mul", "add"]
    assert first.ops.keys() < second.ops.keys()


# ---- errors and interruptions


def test_an_op_that_raises_leaves_no_trace() -> None:
    a, b = gradviz.ones(2, 3, requires_grad=True), gradviz.ones(4)

    def attempts() -> Iterator[str]:
        for attempt in (lambda: a + b, lambda: a @ b, lambda: a.view(5), lambda: a.sum(7), lambda: a.reshape(-1, 4)):
            with pytest.raises((RuntimeError, IndexError)) as caught:
                attempt()
            yield str(caught.value)

    graph, texts = recorded(lambda: list(attempts()))
    assert not graph.ops
    assert texts == [
        "The size of tensor a (3) must match the size of tensor b (4) at non-singleton dimension 1",
        "size mismatch, got input (2), mat (2x3), vec (4)",
        "shape '[5]' is invalid for input of size 6",
        "Dimension out of range (expected to be in range of [-2, 1], but got 7)",
        "shape '[-1, 4]' is invalid for input of size 6",
    ]


OURS = ("gradviz.core", "gradviz.interning", "gradviz.recorder")


def interrupted(program: Callable[[], None], at: int) -> bool:
    """Run a program with a KeyboardInterrupt at the `at`-th place in our code where Python looks for one.

    It looks where a loop goes back, and after a call of a function written in C (and where a function begins, which is
    left out: nothing written in Python could be safe there). Returns False where there are fewer such places.
    """
    count = 0
    called: dict[FrameType, bool] = {}

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal count
        if event == "call" and frame.f_back in called:
            called[frame.f_back] = False
        if not frame.f_globals.get("__name__", "").startswith(OURS):
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        name = opname[frame.f_code.co_code[frame.f_lasti]] if event == "opcode" else ""
        looks = name == "JUMP_BACKWARD" or called.get(frame, False)
        called[frame] = name.startswith("CALL")
        if event == "opcode" and looks:
            count += 1
            if count == at:
                raise KeyboardInterrupt
        if event == "return":
            called.pop(frame, None)
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        program()
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(before)
    return False


def program_of_everything() -> None:
    x = gradviz.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    y = gradviz.nn.functional.linear(x, x)
    y[0] = 0.0
    part = y[1]
    part *= 2
    with gradviz.no_grad():
        z = x * 3
        z += 1
    a, _ = y.split(1)
    (a + z + part).sum().backward()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # inside the callback of a weakref
def test_ctrl_c_anywhere_inside_an_op_leaves_the_state_sane() -> None:
    at = 1
    while True:
        recorder = gradviz.record()
        recorder.start()
        try:
            caught = interrupted(program_of_everything, at)
            assert untold() is None
            assert gradviz.is_grad_enabled()
            x = gradviz.ones(2, requires_grad=True)
            (x * 2).flatten().sum().backward()
        finally:
            recorder.stop()
        assert recorder not in listeners
        assert not recorder.failures
        recorder.graph().validate()
        assert recorder.graph().values[next(reversed(recorder.graph().values))].shape == (2,)
        if not caught:
            break
        at += 11
    assert at > 1000


# ---- sizes


def test_a_long_chain() -> None:
    def chain() -> Any:
        h = gradviz.ones((), requires_grad=True)
        for _ in range(20_000):
            h = h + 1
        h.backward()
        return h

    graph, h = recorded(chain)
    assert len(graph.ops) == 20_002
    assert len(gradviz.graph(h).ops) == 20_001
    assert len(graph.sites) < 20, "a place is told of once, however often it is passed"


def test_a_loop_over_indices_does_not_make_a_signature_for_each() -> None:
    x = gradviz.ones(1000)
    recorder = gradviz.record()
    with recorder:
        for position in range(1000):
            x[position]
    kinds = [type(event).__name__ for event in recorder.events]
    assert kinds.count("Op") >= 1000
    assert kinds.count("Signature") < 100


def test_long_lists_are_not_written_out() -> None:
    x = gradviz.ones(5000)
    graph, _ = recorded(lambda: x[list(range(5000))])
    (op,) = [op for op in graph.ops.values() if op.name == "index"]
    assert op.inputs[1] == "[0, 1, 2, 3, 4, 5, 6, 7, ...]"


def test_deep_recursion_and_deep_data() -> None:
    def down(value: Any, depth: int) -> Any:
        return value + 1 if not depth else down(value * 1, depth - 1)

    def fibonacci(value: Any, depth: int) -> Any:
        return value if depth < 2 else fibonacci(value, depth - 1) + fibonacci(value, depth - 2)

    x = gradviz.ones((), requires_grad=True)
    graph, deep = recorded(lambda: down(x, 600))
    assert len(graph.ops) == 602
    assert deep.item() == 2
    graph, _ = recorded(lambda: fibonacci(x, 12))
    assert len(graph.sites) < 1000

    nest: Any = deep
    for _ in range(5000):
        nest = [nest]
    assert len(gradviz.graph(nest).ops) == 602
    with gradviz.record() as recorder:
        held = nest
        y = x * 2
    recorder.graph().validate()
    assert held is nest
    assert recorder.graph().values[next(reversed(recorder.graph().values))].name == "y"
    assert y.requires_grad


def test_names_of_any_length() -> None:
    name = "n" * 10_000
    space: dict[str, Any] = {"gradviz": gradviz}
    recorder = gradviz.record()
    recorder.start()
    exec(f"{name} = gradviz.ones(1)\n{name}2 = {name} * 2", space)
    recorder.stop(namespace=space)
    graph = recorder.graph()
    graph.validate()
    assert [value.name for value in graph.values.values()] == [name, f"{name}2"]
    assert all(before < after for before, after in pairwise(graph.values))
