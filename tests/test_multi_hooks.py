"""A hook on several tensors, and which hooks a backward pass runs that was asked for some gradients only: PyTorch's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from alike import assert_alike


def leaves(lib: Any) -> list[Any]:
    return [lib.tensor(pair, requires_grad=True) for pair in ([1.0, 2.0], [3.0, 4.0], [5.0, 6.0])]


def passes(lib: Any, mode: str, log: list[Any]) -> None:
    a, b, c = leaves(lib)
    h = a * b
    handle = lib.autograd.graph.register_multi_grad_hook((a, b, c, h), log.append, mode=mode)
    (h * c).sum().backward(retain_graph=True)
    log.append("only some of them")
    h.sum().backward(retain_graph=True)
    log.append("one of them")
    (c * 2).sum().backward()
    log.append("removed")
    handle.remove()
    (h * c).sum().backward()


def chosen(lib: Any, mode: str, log: list[Any]) -> None:
    a, b, c = leaves(lib)
    lib.autograd.graph.register_multi_grad_hook((a, b, c), log.append, mode=mode)
    (a * b * c).sum().backward(inputs=[b, c])
    (a * b * c).sum().backward(inputs=[a])


def inner(lib: Any, mode: str, log: list[Any]) -> None:
    a, b, c = leaves(lib)
    h = a * b
    k = h * 2
    lib.autograd.graph.register_multi_grad_hook((h, k), log.append, mode=mode)
    lib.autograd.grad((k * c).sum(), [h], retain_graph=True)
    lib.autograd.grad((k * c).sum(), [k], retain_graph=True)
    log.append("on neither road")
    (k * c).sum().backward(inputs=[c])


def leaf_of_grad(lib: Any, mode: str, log: list[Any]) -> None:
    a, b, _ = leaves(lib)
    with lib.autograd.graph.register_multi_grad_hook([a, b], log.append, mode=mode):
        (first,) = lib.autograd.grad((a * b * a).sum(), a, create_graph=True)
        log.append("second derivative")
        first.sum().backward()


def after_an_error(lib: Any, mode: str, log: list[Any]) -> None:
    a, b, _ = leaves(lib)

    class Bad(lib.autograd.Function):  # type: ignore[misc]
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return x * 1

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            raise ValueError("bad")

    lib.autograd.graph.register_multi_grad_hook((a, b), log.append, mode=mode)
    y = a * 2
    with pytest.raises(ValueError, match="bad"):
        (Bad.apply(b) * y).sum().backward()
    log.append("again")
    (a * b).sum().backward()


def another_mode(lib: Any, mode: str, log: list[Any]) -> None:
    lib.autograd.graph.register_multi_grad_hook(leaves(lib), log.append, mode=f"{mode} of them")


def without_gradient(lib: Any, mode: str, log: list[Any]) -> None:
    lib.autograd.graph.register_multi_grad_hook([lib.ones(1)], log.append, mode=mode)


@pytest.mark.parametrize("mode", ["all", "any"])
@pytest.mark.parametrize(
    "program", [passes, chosen, inner, leaf_of_grad, after_an_error, another_mode, without_gradient]
)
def test_a_hook_on_several_tensors(program: Callable[..., None], mode: str) -> None:
    def run(lib: Any) -> Any:
        log: list[Any] = []
        try:
            program(lib, mode, log)
        except Exception as error:
            log.append(error)
        return log

    assert_alike(run)


def test_a_hook_on_what_was_not_asked_for_does_not_run() -> None:
    def run(lib: Any) -> Any:
        log: list[Any] = []
        a, b, c = leaves(lib)
        h = a * b
        for name, tensor in (("a", a), ("b", b), ("h", h)):
            tensor.register_hook(lambda grad, name=name: log.append((name, grad)))
        h.retain_grad()
        lib.autograd.grad((h * c).sum(), c, retain_graph=True)
        log.append(h.grad)
        lib.autograd.grad((h * c).sum(), a, retain_graph=True)
        (h * c).sum().backward(inputs=[b])
        return [*log, h.grad]

    assert_alike(run)
