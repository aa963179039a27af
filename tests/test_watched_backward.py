"""Backward passes that something watches: node hooks, anomaly mode, hooks on saved tensors, checkpoints."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
from alike import assert_alike

import gradviz
from gradviz.core.anomaly import state


@pytest.fixture(autouse=True)
def unwatched() -> Any:
    yield
    assert not state.enabled


def leaf(library: Any, *values: float) -> Any:
    return library.tensor(list(values) or [1.0, 2.0], requires_grad=True)


def caught(call: Any) -> Any:
    try:
        return call()
    except Exception as error:
        return error


@pytest.mark.parametrize("create_graph", [False, True])
def test_hooks_of_nodes(create_graph: bool) -> None:
    def program(library: Any) -> Any:
        x, y = leaf(library), leaf(library, 3.0, 4.0)
        log: list[Any] = []
        z = x * y * 1
        node = z.grad_fn.next_functions[0][0]
        node.register_prehook(lambda g: log.append(("before", g)) or (g[0] * 2,))
        node.register_hook(lambda gi, go: log.append(("after", gi, go)) or (gi[0] * 10, gi[1]))
        gone = node.register_hook(lambda gi, go: log.append("never"))
        gone.remove()
        found = library.autograd.grad(z.sum(), [x, y], create_graph=create_graph)
        told = [[one.tolist() for part in entry[1:] for one in part] for entry in log]
        return told, [one.detach() for one in found], [one.requires_grad for one in found]

    assert_alike(program)


def test_a_hook_of_a_node_that_returns_too_little() -> None:
    def program(library: Any) -> Any:
        x = leaf(library)
        after, before = x * x, x * x
        after.grad_fn.register_hook(lambda gi, go: (gi[0],))
        before.grad_fn.register_prehook(lambda go: (go[0], None))
        return caught(after.sum().backward), caught(before.sum().backward)

    assert_alike(program)


def anomalies(library: Any) -> Any:
    x = library.tensor([0.0, -1.0], requires_grad=True)
    with library.autograd.set_detect_anomaly(True):
        loss = (x.sqrt() * 0).sum()
        nan = caught(loss.backward)
        h = x * 1
        e = h.exp()
        e.add_(1)
        written = caught(e.sum().backward)
    with library.autograd.detect_anomaly(check_nan=False):
        fine = caught((x.sqrt() * 0).sum().backward)
    return nan, written, fine, library.is_anomaly_enabled(), library.is_anomaly_check_nan_enabled()


def test_anomaly_mode_has_pytorchs_errors() -> None:
    def program(library: Any) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return anomalies(library)

    assert_alike(program)


def test_anomaly_mode_warns_with_the_line_of_the_op() -> None:
    x = gradviz.tensor([0.0], requires_grad=True)
    warnings.filterwarnings("ignore", category=RuntimeWarning)
    with gradviz.autograd.set_detect_anomaly(True):
        loss = (x.sqrt() * 0).sum()
        with (
            pytest.warns(UserWarning, match=r"in SqrtBackward0(.|\n)*loss = \(x.sqrt\(\) \* 0\)"),
            pytest.raises(RuntimeError, match="Function 'SqrtBackward0' returned nan values in its 0th output"),
        ):
            loss.backward()


def test_saved_tensors_go_through_the_users_functions() -> None:
    def program(library: Any) -> Any:
        log: list[Any] = []
        x, y = leaf(library), leaf(library, 3.0, 4.0)
        with library.autograd.graph.saved_tensors_hooks(
            lambda t: log.append(t.tolist()) or t.detach(), lambda t: log.append(t.tolist()) or t * 2
        ):
            loss = ((x * y).exp() + x[0]).sum()
        loss.backward(retain_graph=True)
        slope = library.autograd.grad(loss, x, create_graph=True)[0].detach()
        return log, x.grad, y.grad, slope

    assert_alike(program)


@pytest.mark.parametrize("reentrant", [False, True])
def test_a_checkpoint_computes_again_what_it_did_not_keep(reentrant: bool) -> None:
    def program(library: Any) -> Any:
        calls: list[int] = []
        w, x = leaf(library), leaf(library, 3.0, 4.0)

        def block(x: Any) -> Any:
            calls.append(1)
            return (x * w).tanh() * library.nn.functional.dropout(x, 0.5)

        library.manual_seed(3)
        checkpoint = __import__(f"{library.__name__}.utils.checkpoint", fromlist=["checkpoint"]).checkpoint
        y = checkpoint(block, x * 1, use_reentrant=reentrant)
        before = len(calls)
        y.sum().backward()
        return y, before, len(calls), w.grad, x.grad, caught(y.sum().backward)

    assert_alike(program)


def test_a_checkpoint_that_keeps_its_nodes_can_be_differentiated_twice_and_frees_what_it_found() -> None:
    def program(library: Any) -> Any:
        x = leaf(library)
        checkpoint = __import__(f"{library.__name__}.utils.checkpoint", fromlist=["checkpoint"]).checkpoint
        y = checkpoint(lambda x: (x.exp() * x).sum(), x, use_reentrant=False)
        (slope,) = library.autograd.grad(y, x, create_graph=True)
        return slope.detach(), library.autograd.grad(slope.sum(), x)

    assert_alike(program)


def test_a_checkpoint_says_what_was_not_said() -> None:
    def program(library: Any) -> Any:
        checkpoint = __import__(f"{library.__name__}.utils.checkpoint", fromlist=["checkpoint"]).checkpoint
        return checkpoint(lambda x: x * 2, library.ones(2))

    assert_alike(program)
