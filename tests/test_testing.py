"""`assert_gradients_flow`: it fails where autograd gives a parameter nothing, says why, and changes nothing."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

import gradviz
from gradviz.errors import UsageError
from gradviz.testing import assert_gradients_flow


def leaf(*values: float) -> Any:
    return gradviz.tensor(list(values or (1.0, 2.0)), requires_grad=True)


class Net(nn.Module):
    """`encoder` feeds `head`; `spare` is used by nothing; `mode` is where `encoder` is cut off."""

    def __init__(self, mode: str = "") -> None:
        super().__init__()
        self.encoder, self.head, self.spare = nn.Linear(3, 4), nn.Linear(4, 1), nn.Linear(2, 2)
        self.mode = mode

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.encoder(x)
        if self.mode == "detach":
            h = h.detach()  # the cut
        if self.mode == "numpy":
            h = torch.from_numpy(h.detach().numpy())
        if self.mode == "no_grad":
            with torch.no_grad():
                h = self.encoder(x)
        out: torch.Tensor = self.head(h)
        return out.sum()

    def used(self) -> list[tuple[str, nn.Parameter]]:
        return [(name, p) for name, p in self.named_parameters() if not name.startswith("spare")]


X = torch.ones(2, 3)


@contextmanager
def failing() -> Iterator[list[str]]:
    """The one line of what the AssertionError says, and then all of it."""
    told: list[str] = []
    with pytest.raises(AssertionError) as caught:
        yield told
    text = str(caught.value)
    told += [text.splitlines()[0], text]


# ---- what flows


@pytest.mark.parametrize("record", [False, True])
def test_a_sound_loss_passes(record: bool) -> None:
    with gradviz.record() if record else nullcontext():
        w, v = leaf(), leaf()
        assert_gradients_flow((w * v).sum(), [w, v])
        net = Net()
        loss = net(X)
        assert_gradients_flow(loss, net.used())
        assert_gradients_flow(loss, net.encoder)
        assert_gradients_flow(loss, net.head.parameters())
        assert_gradients_flow(loss, {"bias": net.head.bias})
        assert_gradients_flow(loss, net.head.weight)
        assert_gradients_flow(loss, torch.optim.SGD(net.head.parameters(), lr=0.1))
        loss.backward()
        assert_gradients_flow(loss, net.used())
        assert_gradients_flow(loss, net.used(), after_backward=True)


@pytest.mark.parametrize("record", [False, True])
@pytest.mark.parametrize("mode", ["", "detach", "numpy", "no_grad"])
def test_pytorch_is_the_oracle(mode: str, record: bool) -> None:
    """What is said to get no gradient is what gets none."""
    with gradviz.record() if record else nullcontext():
        net = Net(mode)
        loss = net(X)
        named = dict(net.named_parameters())
        lost = []
        for name, parameter in named.items():
            try:
                assert_gradients_flow(loss, {name: parameter})
            except AssertionError:
                lost.append(name)
        loss.backward()
    assert lost == [name for name, parameter in named.items() if parameter.grad is None]


def test_what_a_recording_does_not_see_is_no_failure() -> None:
    """Autograd knows of ops that ran before the recording; a recording alone would call these parameters unused."""
    net = Net()
    h = net.encoder(X)
    with gradviz.record():
        assert_gradients_flow(net.head(h).sum(), net.used())


def test_a_hundred_thousand_ops_deep() -> None:
    w = leaf(1.0)
    h = w
    for _ in range(100_000):
        h = h * 1.0
    assert_gradients_flow(h.sum(), [w])
    with failing() as told:
        assert_gradients_flow(h.sum().detach(), [w])
    assert "the loss does not require grad" in told[0]


# ---- what does not, and why


@pytest.mark.parametrize(
    ("mode", "code", "text"),
    [("detach", "GV101", "h.detach()"), ("numpy", "GV104", ".numpy()"), ("no_grad", "GV201", "with torch.no_grad()")],
)
def test_a_recording_names_the_line(mode: str, code: str, text: str) -> None:
    with gradviz.record():
        net = Net(mode)
        loss = net(X)
        with failing() as told:
            assert_gradients_flow(loss, net.used())
    assert told[0].startswith(f"error[{code}]: `")
    assert "encoder.weight` and `" in told[0]
    assert "get no gradient" in told[0]
    assert "optimizer but" not in told[0]
    assert "test_testing.py:" in told[1]
    assert text in told[1]
    assert "head" not in told[0]


def test_a_held_recording_that_has_ended_is_asked_too() -> None:
    with gradviz.record() as recording:
        net = Net("detach")
        loss = net(X)
    with failing() as told:
        assert_gradients_flow(loss, net.used())
    assert told[0].startswith("error[GV101]")
    assert recording.ops


def test_without_a_recording_the_help_says_how_to_get_the_line() -> None:
    net = Net("detach")
    with failing() as told:
        assert_gradients_flow(net(X), net.used())
    assert told[0].startswith("error: no gradient comes to `encoder.weight` and `encoder.bias`: ")
    assert "gradviz.record()" in told[1]


def test_tensors_of_the_core_know_their_cuts() -> None:
    w, v = leaf(), leaf()
    h = (w * 3).detach()
    with failing() as told:
        assert_gradients_flow((h * v).sum(), {"w": w, "v": v})
    assert "no gradient comes to `w`" in told[0]
    assert "`detach` cuts a road" in told[1]
    with gradviz.no_grad():
        loss = (w * 3).sum()
    for parameters, name in (({"w": w}, "w"), ([v, w], "parameter 1")):
        with failing() as told:
            assert_gradients_flow(loss, parameters)
        assert told[0].startswith(f"error[GV201]: backward cannot start at `loss`: `{name}` went into it")
    with gradviz.record():
        h = (w * 3).detach()
        with failing() as told:
            assert_gradients_flow((h * v).sum(), {"w": w, "v": v})
    assert told[0].startswith("error[GV101]: `w` gets no gradient: its only road to the loss is cut by `detach()`")


def test_a_road_that_ends_in_a_number_is_told_by_its_end() -> None:
    with gradviz.record():
        w, v = leaf(), leaf()
        number = (w * 2).sum().item()
        with failing() as told:
            assert_gradients_flow((v * number).sum(), {"w": w, "v": v})
    assert "`w`" in told[0]
    assert "(w * 2).sum().item()" in told[1]


def test_what_nothing_uses() -> None:
    with gradviz.record():
        net = Net()
        with failing() as told:
            assert_gradients_flow(net(X), net)
    assert "`spare.weight` and `spare.bias`" in told[0]
    assert "encoder" not in told[1]


def test_only_this_loss_counts() -> None:
    """An earlier backward, and an optimizer of other parameters, do not hide that this loss is cut."""
    with gradviz.record():
        net = Net()
        optimizer = torch.optim.SGD(net.head.parameters(), lr=0.1)
        net(X).backward()
        optimizer.step()
        net.mode = "detach"
        with failing() as told:
            assert_gradients_flow(net(X), net.used())
    assert told[0].startswith("error[GV101]")


@pytest.mark.parametrize("record", [False, True])
def test_frozen(record: bool) -> None:
    with gradviz.record() if record else nullcontext():
        net = Net()
        loss = net(X)
        loss.backward()
        net.encoder.requires_grad_(False)
        loss = net(X)
        with failing() as told:
            assert_gradients_flow(loss, net.used())
        assert told[0].startswith("error[GV108]: `encoder.weight` and `encoder.bias` do not require grad")
        assert_gradients_flow(loss, net.used(), allow_frozen=True)
        with pytest.raises(AssertionError, match="GV108"):
            assert_gradients_flow(loss, net.encoder, allow_frozen=True)


def test_the_line_of_a_freeze() -> None:
    with gradviz.record():
        w, v = leaf(), leaf()
        w.requires_grad_(False)  # the freeze
        with failing() as told:
            assert_gradients_flow((w * v).sum(), {"w": w, "v": v})
    assert "w.requires_grad_(False)  # the freeze" in told[1]


# ---- after backward


def core_pair() -> tuple[Any, Callable[[Any], Any]]:
    return leaf(), lambda w: w.sum()


def torch_pair() -> tuple[Any, Callable[[Any], Any]]:
    return torch.ones(2, requires_grad=True), lambda w: w.sum()


@pytest.mark.parametrize("make", [core_pair, torch_pair])
@pytest.mark.parametrize("record", [False, True])
def test_what_grad_holds(make: Callable[[], tuple[Any, Callable[[Any], Any]]], record: bool) -> None:
    with gradviz.record() if record else nullcontext():
        w, total = make()
        loss = total(w * 0)
        with failing() as told:
            assert_gradients_flow(loss, {"w": w}, after_backward=True)
        assert "`.grad` of `w` is None" in told[0]
        loss.backward()
        with failing() as told:
            assert_gradients_flow(loss, {"w": w}, after_backward=True)
        assert "`w`" in told[0]
        assert "zero" in told[1]
        assert_gradients_flow(loss, {"w": w}, after_backward=True, allow_zero=True)
        total((w * 0) ** 0.5).backward()  # the derivative of a root at zero is infinite, and zero times that is NaN
        with failing() as told:
            assert_gradients_flow(loss, {"w": w}, after_backward=True, allow_zero=True)
        assert "not finite" in told[0] or "NaN" in told[0]


def test_a_checkpoint_that_hides_the_graph_is_judged_by_grad() -> None:
    layer = nn.Linear(3, 1)
    x = torch.ones(2, 3, requires_grad=True)
    loss = checkpoint(layer, x, use_reentrant=True).sum()
    with failing():
        assert_gradients_flow(loss, layer)
    loss.backward()
    assert_gradients_flow(loss, layer, after_backward=True)


def test_a_gradient_without_elements() -> None:
    layer = nn.Linear(2, 1, device="meta")
    loss = layer(torch.ones(3, 2, device="meta")).sum()
    loss.backward()
    assert_gradients_flow(loss, layer, after_backward=True)


def test_a_sparse_gradient() -> None:
    table = nn.Embedding(4, 2, sparse=True)
    loss = table(torch.tensor([1, 1])).sum()
    loss.backward()
    assert_gradients_flow(loss, table, after_backward=True)


# ---- it only looks


@pytest.mark.parametrize("make", [core_pair, torch_pair])
def test_nothing_is_changed_and_nothing_recorded(make: Callable[[], tuple[Any, Callable[[Any], Any]]]) -> None:
    with gradviz.record() as recording:
        w, total = make()
        loss = total(w * w)
        loss.backward(retain_graph=True)
        before, events, version = copy.deepcopy(w.grad.tolist()), recording.events, w._version
        assert_gradients_flow(loss, [w])
        assert_gradients_flow(loss, [w], after_backward=True)
        assert recording.events == events
        assert (w.grad.tolist(), w._version, w.requires_grad) == (before, version, True)
        loss.backward()
    assert w.grad.tolist() == [2 * number for number in before]


# ---- what cannot be looked at


@pytest.mark.parametrize(
    ("loss", "parameters", "message"),
    [
        (3.0, [], "the loss is a `float`"),
        (None, [], "the loss is a `NoneType`"),
        (leaf(), [], "there is no parameter"),
        (leaf(), iter([]), "there is no parameter"),
        (leaf(), [3], "there is a `int` among the parameters"),
        (leaf(), [("w", 3)], "there is a `int` among the parameters"),
        (leaf(), "w", "there is a `str` among the parameters"),
        (leaf(), None, "there is a `NoneType` among the parameters"),
    ],
)
def test_usage(loss: Any, parameters: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        assert_gradients_flow(loss, parameters)


def test_it_is_found_where_the_documentation_says() -> None:
    assert gradviz.testing.assert_gradients_flow is assert_gradients_flow
