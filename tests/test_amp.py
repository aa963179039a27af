"""Mixed precision as far as it goes: `GradScaler` is PyTorch's, `autocast` is what it is without a GPU."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

import gradviz
from gradviz.errors import NotWrittenError


@pytest.mark.parametrize("bad", [(), (2, 5)], ids=["finite", "with infinity"])
@pytest.mark.parametrize("unscaled", [False, True])
def test_a_scaler_scales_skips_and_grows_as_torchs(unscaled: bool, bad: tuple[int, ...]) -> None:
    told = []
    for library in (gradviz, torch):
        w = library.tensor([1.0, -2.0], requires_grad=True)
        optimizer = library.optim.SGD([w], lr=0.1)
        scaler = library.amp.GradScaler("cpu", init_scale=8.0, growth_interval=2)
        seen: list[Any] = [scaler.get_growth_factor(), scaler.get_backoff_factor(), scaler.get_growth_interval()]
        for step in range(8):
            optimizer.zero_grad()
            loss = (w**2).sum() * (float("inf") if step in bad else 1.0)
            scaled = scaler.scale(loss)
            scaled.backward()
            seen += [scaled.item(), scaled.grad_fn.name(), w.grad.tolist()]
            if unscaled:
                scaler.unscale_(optimizer)
                seen.append(w.grad.tolist())
            scaler.step(optimizer)
            scaler.update()
            seen += [w.tolist(), scaler.get_scale(), scaler.state_dict()]
        again = library.amp.GradScaler("cpu")
        again.load_state_dict(scaler.state_dict())
        seen += [again.state_dict(), again.is_enabled(), again.scale([loss.detach()])[0].item()]
        again.update(4.0)
        seen.append(again.get_scale())
        told.append(seen)
    assert str(told[0]) == str(told[1])


def loss_of(optimizer: Any) -> Any:
    return optimizer.param_groups[0]["params"][0].sum()


WRONG: dict[str, Callable[[Any, Any], Any]] = {
    "an update before a loss": lambda s, o: s.update(),
    "unscaled before a loss": lambda s, o: s.unscale_(o),
    "unscaled twice": lambda s, o: (s.scale(loss_of(o)), s.unscale_(o), s.unscale_(o)),
    "unscaled after the step": lambda s, o: (s.scale(loss_of(o)), s.step(o), s.unscale_(o)),
    "two steps": lambda s, o: (s.scale(loss_of(o)), s.step(o), s.step(o)),
    "an update before a step": lambda s, o: (s.scale(loss_of(o)), s.update()),
    "a closure": lambda s, o: s.step(o, closure=lambda: 1),
    "an empty state": lambda s, o: s.load_state_dict({}),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_told_in_torchs_words(name: str) -> None:
    told = []
    for library in (gradviz, torch):
        w = library.ones(2, requires_grad=True)
        w.sum().backward()
        with pytest.raises((RuntimeError, AssertionError)) as caught:
            WRONG[name](library.amp.GradScaler("cpu"), library.optim.SGD([w]))
        told.append((caught.type.__name__, str(caught.value)))
    assert told[0] == told[1]


def test_without_a_gpu_both_are_disabled_with_a_warning() -> None:
    for library in (gradviz, torch):
        w = library.ones(2, requires_grad=True)
        optimizer = library.optim.SGD([w], lr=0.5)
        with pytest.warns(UserWarning, match="is enabled, but CUDA is not available"):
            scaler = library.amp.GradScaler()
        with pytest.warns(UserWarning, match="Disabling autocast"), library.autocast("cuda"):
            loss = (w * 3).sum()
        assert scaler.scale(loss) is loss
        loss.backward()
        scaler.unscale_(optimizer)
        scaler.step(optimizer)
        scaler.update()
        assert (w.tolist(), scaler.get_scale(), scaler.state_dict()) == ([-0.5, -0.5], 1.0, {})


def test_autocast_on_the_cpu_keeps_types_and_says_so() -> None:
    @gradviz.autocast("cpu", enabled=False)
    def double(x: Any) -> Any:
        return x * 2

    assert double(gradviz.ones(1)).tolist() == [2]
    for kind, name in ((None, "bfloat16"), (gradviz.bfloat16, "bfloat16"), (gradviz.float16, "float16")):
        with pytest.warns(UserWarning, match=f"no {name}: inside of `autocast` every operation keeps the type"):
            block = gradviz.amp.autocast("cpu", dtype=kind)
        with block:
            assert gradviz.nn.functional.linear(gradviz.ones(2, 3), gradviz.ones(4, 3)).dtype is gradviz.float32
            assert gradviz.is_autocast_enabled("cpu")
            with gradviz.autocast("cpu", enabled=False):
                assert not gradviz.is_autocast_enabled("cpu")
        assert not gradviz.is_autocast_enabled("cpu")
    with pytest.raises(RuntimeError, match="unsupported autocast device_type 'tpu'"):
        gradviz.autocast("tpu")


def test_bfloat16_may_be_named_and_no_tensor_has_it() -> None:
    for library in (gradviz, torch):
        kinds = {"float32": library.float32, "bfloat16": library.bfloat16, "float16": library.float16}
        assert (kinds["bfloat16"].is_floating_point, kinds["bfloat16"].itemsize) == (True, 2)
        assert repr(kinds["bfloat16"]).endswith(".bfloat16")
        assert library.get_autocast_dtype("cpu") is library.bfloat16
    for call in (
        lambda: gradviz.ones(2, dtype=gradviz.bfloat16),
        lambda: gradviz.ones(2).to(gradviz.bfloat16),
        lambda: gradviz.nn.Linear(2, 2).to(gradviz.bfloat16),
        lambda: gradviz.nn.Linear(2, 2).bfloat16(),
    ):
        with pytest.raises(NotWrittenError, match="bfloat16` is not written yet"):
            call()


def test_functions_marked_for_autocast_run() -> None:
    for library in (gradviz, torch):

        class Doubled(library.autograd.Function):  # type: ignore[name-defined, misc]
            @staticmethod
            @library.amp.custom_fwd(device_type="cpu")
            def forward(ctx: Any, x: Any) -> Any:
                return x * 2

            @staticmethod
            @library.amp.custom_bwd(device_type="cpu")
            def backward(ctx: Any, g: Any) -> Any:
                return g * 2

        x = library.ones(2, requires_grad=True)
        Doubled.apply(x).sum().backward()
        assert x.grad.tolist() == [2, 2]
