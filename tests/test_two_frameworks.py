"""One recording of a program that uses gradviz's own tensors and PyTorch's side by side."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import gradviz
from gradviz.events import Cause, Context, Region, Signature, Site, Sweep
from gradviz.graphs import Graph, Op
from gradviz.gvlog import read_log
from gradviz.query import ancestors


def checked(recorder: gradviz.recorder.Recorder) -> Graph:
    assert not recorder.failures
    graph = recorder.graph()
    graph.validate()
    return graph


def name_of(graph: Graph, value: int) -> str:
    return graph.values[value].name


def line_of(graph: Graph, site: int | None) -> str:
    return "" if site is None else graph.sites[site].text.strip()


def steps(graph: Graph) -> list[tuple[str, str, list[Any]]]:
    """Each op with a line of its own here, in order: the name of its result, the op, the names of its inputs."""
    return [
        (name_of(graph, op.id) if op.outputs else "", op.name,
         [name_of(graph, item) if isinstance(item, int) else item for item in op.inputs])
        for op in graph.ops.values()
    ]  # fmt: skip


@pytest.fixture(params=["memory", "log"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path | None:
    return None if request.param == "memory" else tmp_path / "both.gvlog"


def test_neither_takes_the_others_numbers(path: Path | None) -> None:
    with gradviz.record(path) as rec:
        a = gradviz.tensor([1.0, 2.0], requires_grad=True)
        b = torch.tensor([3.0, 4.0], requires_grad=True)
        c = a * 2
        d = b * 3
        with gradviz.no_grad():
            e = a + 1
            with torch.inference_mode():
                f = b + 1
                g = a - 1
            h = b / 2
        with torch.no_grad():
            i = b - 1
        r = (c * a).sum()
        s = (d * b).sum()
        r.backward()
        s.backward()
    graph = checked(rec)
    assert graph.header.producer == "core+torch"
    assert steps(graph) == [
        ("a", "tensor", []), ("b", "tensor", []), ("c", "mul", ["a", "2"]), ("d", "mul", ["b", "3"]),
        ("e", "add", ["a", "1"]), ("f", "add", ["b", "1"]), ("g", "sub", ["a", "1"]), ("h", "div", ["b", "2"]),
        ("i", "sub", ["b", "1"]), ("", "mul", ["c", "a"]), ("r", "sum", [""]), ("", "mul", ["d", "b"]),
        ("s", "sum", [""]), ("a.grad", "grad", []), ("b.grad", "grad", []),
    ]  # fmt: skip
    assert [(cut.cause, name_of(graph, cut.op), line_of(graph, cut.site)) for cut in graph.cuts] == [
        (Cause.NO_GRAD, "e", "e = a + 1"), (Cause.INFERENCE_MODE, "f", "f = b + 1"), (Cause.NO_GRAD, "g", "g = a - 1"),
        (Cause.NO_GRAD, "i", "i = b - 1"),
    ]  # fmt: skip
    assert [
        (region.kind, line_of(graph, region.site), [name_of(graph, op) for op in region.ops], region.closed)
        for region in graph.regions.values()
    ] == [
        ("no_grad", "with gradviz.no_grad():", ["e", "g"], True),
        ("inference_mode", "with torch.inference_mode():", ["f"], True),
        ("no_grad", "with torch.no_grad():", ["i"], True),
    ]
    assert [
        ([name_of(graph, root) for root in sweep.roots], [name_of(graph, got.value) for got in sweep.gradients])
        for sweep in graph.sweeps
    ] == [(["r"], ["a"]), (["s"], ["b"])]
    for sweep, leaf in zip(graph.sweeps, "ab", strict=True):
        road = ancestors(graph, sweep.roots, gradient=True)
        leaves = {item for op in road for item in graph.ops[op].value_inputs if graph.values[item].leaf}
        assert [name_of(graph, value) for value in leaves] == [leaf]
    assert [t.requires_grad for t in (e, f, g, h, i)] == [False, False, False, True, False]


def test_every_number_is_given_once() -> None:
    with gradviz.record() as rec:
        a = gradviz.tensor([1.0], requires_grad=True)
        b = torch.tensor([1.0], requires_grad=True)
        for _ in range(3):
            with gradviz.no_grad(), torch.no_grad():
                a * 2
                b * 2
            (a * a).sum().backward()
            (b * b).sum().backward()
    checked(rec)
    for kind in (Site, Signature, Context, Region, Sweep):
        given = [event.id for event in rec.events if isinstance(event, kind)]
        assert given, kind
        assert len(set(given)) == len(given), kind


def test_what_passes_from_one_to_the_other_is_said_by_both() -> None:
    with gradviz.record() as rec:
        w = gradviz.tensor([1.0, 2.0], requires_grad=True)
        n = (w * 2).detach().numpy()
        t = torch.from_numpy(n)
        v = torch.tensor([1.0, 1.0], requires_grad=True)
        loss = (t * v).sum()
        loss.backward()
        m = torch.exp(v).detach().numpy()
        u = gradviz.from_numpy(m) * w
        u.sum().backward()
    graph = checked(rec)
    assert [(cut.cause, line_of(graph, cut.site)) for cut in graph.cuts] == [
        (Cause.DETACH, "n = (w * 2).detach().numpy()"), (Cause.DETACH, "m = torch.exp(v).detach().numpy()"),
    ]  # fmt: skip
    (product,) = [op for op in graph.ops.values() if op.name == "mul" and name_of(graph, op.id) == "u"]
    assert name_of(graph, product.value_inputs[1]) == "w"
    assert np.array_equal(np.asarray(w.grad.numpy()), m)


def test_make_dot_after_a_recording_of_both_draws_the_right_tensor() -> None:
    with gradviz.record() as rec:
        a = gradviz.tensor([1.0], requires_grad=True)
        for _ in range(5):
            a = a * 2
        b = torch.tensor([1.0], requires_grad=True)
        c = b.exp()
    graph = checked(rec)
    value = rec.value_of(c)
    assert value is not None
    assert (graph.ops[value].name, name_of(graph, value)) == ("exp", "c")
    assert "Exp" in gradviz.make_dot(c).source
    assert "Mul" in gradviz.make_dot(a).source


def test_threads_have_one_number_each(path: Path | None) -> None:
    """Both count threads; the one that first sees a thread numbers it."""
    with gradviz.record(path) as rec:
        a = gradviz.tensor([1.0], requires_grad=True)
        b = torch.tensor([1.0], requires_grad=True)
        turns = [threading.Event() for _ in range(3)]

        def work(turn: int) -> None:
            turns[turn].wait()
            if turn == 0:
                b * 10
                a * 10
            else:
                a * 20
                b * 20
            turns[turn + 1].set()

        workers = [threading.Thread(target=work, args=(turn,)) for turn in range(2)]
        for worker in reversed(workers):
            worker.start()
        turns[0].set()
        for worker in workers:
            worker.join()
    graph = checked(rec)
    products = [op for op in graph.ops.values() if op.name == "mul"]
    threads: dict[Any, set[int]] = {}
    for op in products:
        threads.setdefault(op.inputs[1], set()).add(op.thread)
    assert [len(numbers) for numbers in threads.values()] == [1, 1], "one thread, one number"
    assert threads["10"] != threads["20"]
    assert 0 not in threads["10"] | threads["20"]


@pytest.mark.parametrize("first", ["core", "torch"])
def test_both_run_in_threads_at_once(first: str, tmp_path: Path) -> None:
    """Four threads record at full speed: nothing is lost, nothing mixed up, and the log says the same."""
    path = tmp_path / "both.gvlog"
    rounds = 300

    def with_core() -> None:
        x = gradviz.tensor([1.0], requires_grad=True)
        for _ in range(rounds):
            x = x * 2
            with gradviz.no_grad():
                x.max(0)

    def with_torch() -> None:
        x = torch.tensor([1.0], requires_grad=True)
        for _ in range(rounds):
            x = x * 2
            with torch.no_grad():
                x.max(0)

    kinds = [with_core, with_torch] if first == "core" else [with_torch, with_core]
    with gradviz.record(path) as rec:
        workers = [threading.Thread(target=kind) for kind in kinds * 2]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    graph = checked(rec)
    assert Graph.build(read_log(path)) == graph
    made: dict[str, list[Op]] = {}
    for op in graph.ops.values():
        made.setdefault(op.name, []).append(op)
    assert {name: len(ops) for name, ops in made.items()} == {"tensor": 4, "mul": 4 * rounds, "max": 4 * rounds}
    for op in made["max"]:
        assert op.region is not None
        assert len(op.outputs) == 2
        assert graph.regions[op.region].thread == op.thread
        assert graph.ops[graph.values[op.value_inputs[0]].op].thread == op.thread
