"""What is kept alive and what is not, and graphs far deeper than Python's recursion limit."""

from __future__ import annotations

import copy
import gc
import pickle
import tracemalloc
import weakref

import pytest

import gradviz
from gradviz.core.trace import HISTORY_LIMIT
from gradviz.graphs import Graph
from gradviz.views import Options, draw

DEEP = 100_000


@pytest.fixture(scope="module")
def chain():
    w = gradviz.tensor(1.0, requires_grad=True)
    h = w
    for _ in range(DEEP):
        h = h * 1.0
    return w, h


def test_a_deep_chain_runs_backward(chain):
    w, h = chain
    h.backward()
    assert w.grad.item() == 1.0


def test_a_deep_chain_is_freed():
    w = gradviz.tensor(1.0, requires_grad=True)
    h = w
    for _ in range(DEEP):
        h = h + 1.0
    node = weakref.ref(h.grad_fn)
    del h
    assert node() is None


def test_a_deep_chain_is_drawn_copied_and_pickled(chain):
    _, h = chain
    graph = gradviz.graph(h)
    graph.validate()
    assert len(graph.ops) == DEEP + 1
    assert gradviz.make_dot(h).source.count("->") > DEEP
    assert draw(graph, "json", Options()).count("MulBackward0") == DEEP
    assert copy.deepcopy(graph) == graph
    assert pickle.loads(pickle.dumps(graph)) == graph
    assert isinstance(graph, Graph)


def test_a_deep_tensor_is_pickled_without_its_history(chain):
    _, h = chain
    thawed = pickle.loads(pickle.dumps(h))
    assert thawed.item() == 1.0
    assert thawed.is_leaf


def test_an_average_under_no_grad_does_not_grow():
    w = gradviz.tensor([1.0, 2.0], requires_grad=True)
    average = gradviz.tensor([0.0, 0.0])

    def steps(count):
        nonlocal average
        with gradviz.no_grad():
            for _ in range(count):
                average = average * 0.99 + w * 0.01

    steps(2_000)
    gc.collect()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        steps(20_000)
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 200_000


def test_an_in_place_average_does_not_grow_and_says_what_was_let_go():
    average = gradviz.tensor([0.0, 0.0])
    for _ in range(5_000):
        average.mul_(0.99).add_(0.01)
    graph = gradviz.graph(average)
    graph.validate()
    assert len(graph.ops) <= 2 * HISTORY_LIMIT
    assert len(graph.ops) + sum(op.forgotten for op in graph.ops.values()) == 10_000


def test_a_wide_reduction_under_no_grad_holds_a_bounded_history():
    with gradviz.no_grad():
        parts = [gradviz.tensor(float(k)) * 2 for k in range(5_000)]
        total = gradviz.stack(parts)
    del parts
    graph = gradviz.graph(total)
    graph.validate()
    assert len(graph.ops) <= 3 * HISTORY_LIMIT
    assert max(op.forgotten for op in graph.ops.values()) >= 5_000 - HISTORY_LIMIT


@pytest.mark.parametrize("way_out", ["detach", "no_grad"])
def test_what_is_cut_off_does_not_keep_the_graph_alive(way_out):
    w = gradviz.tensor([1.0, 2.0], requires_grad=True)
    loss = (w.exp() * 3).sum()
    node = weakref.ref(loss.grad_fn)
    total = gradviz.tensor(0.0)
    if way_out == "detach":
        total = total + loss.detach()
    else:
        with gradviz.no_grad():
            total = total + loss
    with_loss = gradviz.graph(total)
    assert {"exp", "sum"} <= {op.name for op in with_loss.ops.values()}
    del loss
    assert node() is None
    without = gradviz.graph(total)
    without.validate()
    assert "exp" not in {op.name for op in without.ops.values()}
    assert sum(op.forgotten for op in without.ops.values()) >= 1


def test_no_grad_holds_no_array():
    with gradviz.no_grad():
        big = gradviz.zeros(1000, 1000)
        array = weakref.ref(big._data)
        small = (big * 2).sum()
    del big
    assert array() is None
    assert gradviz.graph(small).ops


def test_backward_frees_what_was_saved():
    w = gradviz.tensor([1.0, 2.0], requires_grad=True)
    h = w.exp()
    saved = weakref.ref(h._data)
    loss = h.sum()
    del h
    assert saved() is not None
    loss.backward()
    assert saved() is None
