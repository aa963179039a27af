"""Activations that are written over their input: PyTorch's nodes, values, gradients and errors."""

from __future__ import annotations

from typing import Any

import pytest
from alike import assert_alike

SETTINGS: dict[str, tuple[Any, ...]] = {
    "relu": (), "relu6": (), "leaky_relu": (0.2,), "elu": (1.5,), "celu": (1.5,), "selu": (), "hardtanh": (-1.0, 1.0),
    "threshold": (0.1, 20.0), "rrelu": (), "hardswish": (), "silu": (), "mish": (), "hardsigmoid": (),
}  # fmt: skip
MODULES: dict[str, tuple[Any, ...]] = {
    "ReLU": (), "ReLU6": (), "LeakyReLU": (0.2,), "ELU": (1.5,), "CELU": (1.5,), "SELU": (), "Hardtanh": (-1.0, 1.0),
    "Threshold": (0.1, 20.0), "RReLU": (),
}  # fmt: skip
VALUES = [-2.0, -0.5, 0.0, 0.5, 7.0]


@pytest.mark.parametrize("name", SETTINGS)
def test_a_function_with_inplace(name: str) -> None:
    def program(lib: Any) -> Any:
        x = lib.tensor(VALUES, requires_grad=True)
        h = x * 1
        y = getattr(lib.nn.functional, name)(h, *SETTINGS[name], inplace=True)
        y.sum().backward()
        return y is h, y, x.grad

    assert_alike(program)


@pytest.mark.parametrize("name", ["relu", "leaky_relu", "elu", "celu", "selu", "hardtanh", "threshold", "rrelu"])
def test_a_function_with_an_underscore(name: str) -> None:
    def program(lib: Any) -> Any:
        x = lib.tensor(VALUES, requires_grad=True)
        y = getattr(lib.nn.functional, f"{name}_")(x * 1, *SETTINGS[name])
        y.sum().backward()
        return y, x.grad

    assert_alike(program)


@pytest.mark.parametrize("name", MODULES)
def test_a_module_whose_result_is_written_over(name: str) -> None:
    def program(lib: Any) -> Any:
        module = getattr(lib.nn, name)(*MODULES[name], inplace=True).eval()
        x = lib.tensor(VALUES, requires_grad=True)
        y = module(x * 1)
        y.add_(1)
        y.sum().backward()
        return repr(module), x.grad

    assert_alike(program)


@pytest.mark.parametrize("name", MODULES)
def test_a_module_that_writes_over_what_another_node_keeps(name: str) -> None:
    def program(lib: Any) -> Any:
        x = lib.tensor(VALUES, requires_grad=True)
        getattr(lib.nn, name)(*MODULES[name], inplace=True)(x.exp()).sum().backward()

    assert_alike(program)


@pytest.mark.parametrize("name", ["leaky_relu", "elu", "celu"])
def test_a_negative_slope_cannot_be_undone(name: str) -> None:
    def program(lib: Any) -> Any:
        x = lib.tensor(VALUES, requires_grad=True)
        getattr(lib.nn.functional, name)(x * 1, -0.5, inplace=True).sum().backward()

    assert_alike(program)
