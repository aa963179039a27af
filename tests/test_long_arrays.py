"""What goes another way for long arrays has PyTorch's values and gradients, infinities, NaN and both zeros too."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import gradviz
from gradviz.core.dual import LONG, chosen

STRANGE = (0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -1.0, 0.5, -0.5, 2.0, -2.0, 3.0, -3.0, 6.0)


def _normal(*shape: int, kind: Any = np.float32, seed: int = 0) -> Any:
    return np.random.default_rng(seed).standard_normal(shape).astype(kind)


def _values(*shape: int, kind: Any = np.float32, seed: int = 0) -> Any:
    """Normal numbers, and the edges of the functions below among them."""
    found = _normal(*shape, kind=kind, seed=seed)
    found.reshape(-1)[: 5 * len(STRANGE) : 5] = STRANGE
    return found


def _through(library: Any, call: Callable[..., Any], arrays: list[Any]) -> list[Any]:
    """The result and the gradients of all arrays, in `library`."""
    leaves = [library.tensor(array, requires_grad=True) for array in arrays]
    out = call(library, *leaves)
    out.backward(library.tensor(_normal(*out.shape, kind=arrays[0].dtype, seed=7)))
    return [out.detach().numpy(), *(leaf.grad.numpy() for leaf in leaves)]


def _compare(call: Callable[..., Any], *arrays: Any) -> None:
    ours, theirs = _through(gradviz, call, [*arrays]), _through(torch, call, [*arrays])
    for mine, wanted in zip(ours, theirs, strict=True):
        assert mine.dtype == wanted.dtype
        rough = 2e-6 if wanted.dtype == np.float32 else 1e-13
        np.testing.assert_allclose(mine, wanted, rtol=rough, atol=rough)


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("other", ["array", "number", "turned"])
def test_a_choice_without_a_branch_is_numpys_bit_by_bit(kind: Any, other: str) -> None:
    x = _values(50, 60, kind=kind)
    y: Any = {"array": _values(50, 60, kind=kind, seed=1), "number": -0.0, "turned": x[::-1, ::-1]}[other]
    choice = np.random.default_rng(2).random(x.shape) < 0.5
    assert choice.size > LONG
    for one, two in ((x, y), (y, x)):
        ours, wanted = chosen(choice, one, two), np.where(choice, one, two)
        assert ours.dtype == wanted.dtype
        assert ours.tobytes() == wanted.tobytes()


def test_a_choice_among_whole_numbers_or_from_a_row_is_numpys() -> None:
    choice = np.random.default_rng(2).random((50, 60)) < 0.5
    row, whole = _normal(60), np.arange(3000).reshape(50, 60)
    for x, y in ((row, row * 2), (whole, -whole), (whole, row), (row[0], 1.0)):
        ours, wanted = chosen(choice, x, y), np.where(choice, x, y)
        assert ours.dtype == wanted.dtype
        assert np.array_equal(ours, wanted, equal_nan=True)


ACTIVATIONS = {
    "relu": lambda library, x: library.nn.functional.relu(x),
    "relu6": lambda library, x: library.nn.functional.relu6(x),
    "leaky_relu": lambda library, x: library.nn.functional.leaky_relu(x, 0.2),
    "leaky_relu, steep": lambda library, x: library.nn.functional.leaky_relu(x, 1.5),
    "prelu": lambda library, x: library.nn.functional.prelu(x, library.tensor([0.25], dtype=x.dtype)),
    "elu": lambda library, x: library.nn.functional.elu(x, 0.7),
    "selu": lambda library, x: library.nn.functional.selu(x),
    "celu": lambda library, x: library.nn.functional.celu(x, 0.7),
    "threshold": lambda library, x: library.nn.functional.threshold(x, 0.5, -1.0),
    "hardshrink": lambda library, x: library.nn.functional.hardshrink(x),
    "softshrink": lambda library, x: library.nn.functional.softshrink(x),
    "hardtanh": lambda library, x: library.nn.functional.hardtanh(x),
    "hardsigmoid": lambda library, x: library.nn.functional.hardsigmoid(x),
    "hardswish": lambda library, x: library.nn.functional.hardswish(x),
    "mish": lambda library, x: library.nn.functional.mish(x),
    "cube": lambda library, x: x**3,
    "fourth power": lambda library, x: x**4,
    "square of the reciprocal": lambda library, x: x**-2,
    "root of the reciprocal": lambda library, x: x**-0.5,
    "lerp": lambda library, x: x.lerp(x * 2, 0.7),
}


TWO_WAYS = frozenset({"relu6", "hardtanh", "hardshrink", "softshrink", "elu", "selu", "celu", "hardswish"})
"""PyTorch has two gradients at NaN: ours where it takes one element at a time, as at the end of an array, and another
where it takes eight at once."""


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_each_element_is_torchs(name: str, kind: Any) -> None:
    x = _values(50, 60, kind=kind)
    if name in TWO_WAYS:
        x[np.isnan(x)] = 0.25
    _compare(ACTIVATIONS[name], x)


@pytest.mark.parametrize("name", ["smooth_l1_loss", "huber_loss"])
def test_losses_of_two_pieces_are_torchs(name: str) -> None:
    def call(library: Any, x: Any, target: Any) -> Any:
        return getattr(library.nn.functional, name)(x, target, reduction="none")

    finite = [np.nan_to_num(_values(50, 60, seed=seed), posinf=8.0, neginf=-8.0) for seed in (0, 1)]
    _compare(call, *finite)


@pytest.mark.parametrize("dim", [0, 1, -1])
@pytest.mark.parametrize("largest", [True, False])
@pytest.mark.parametrize("k", [1, 3])
def test_few_of_many_are_torchs_in_its_order(dim: int, largest: bool, k: int) -> None:
    x = np.random.default_rng(0).permutation(2400).astype(np.float32).reshape(40, 60)
    x[3, 4] = np.nan
    x[5, 6] = -np.inf

    def call(library: Any, x: Any) -> Any:
        values, indices = x.topk(k, dim, largest)
        kept.append(indices.numpy())
        return values

    kept: list[Any] = []
    _compare(call, x)
    assert np.array_equal(*kept)


@pytest.mark.parametrize("dim", [0, 1, 2])
@pytest.mark.parametrize("repeats", [2, [1, 0, 3, 2]])
def test_lines_that_are_taken_more_than_once_get_the_sum(dim: int, repeats: Any) -> None:
    x = _normal(4, 4, 4, kind=np.float64)

    def repeated(library: Any, x: Any) -> Any:
        return x.repeat_interleave(repeats if isinstance(repeats, int) else library.tensor(repeats), dim)

    def selected(library: Any, x: Any) -> Any:
        return x.index_select(dim, library.tensor([3, 0, 0, 2]))

    def indexed(library: Any, x: Any) -> Any:
        return x[(*(slice(None),) * dim, library.tensor([-1, 0, 0, 2]))]

    for call in (repeated, selected, indexed):
        _compare(call, x)


@pytest.mark.parametrize("mode", ["nearest", "nearest-exact"])
@pytest.mark.parametrize("factor", [2, 3, (4, 1), 1.5, 9])
def test_what_is_repeated_in_a_larger_image_gets_the_sum(mode: str, factor: Any) -> None:
    def call(library: Any, x: Any) -> Any:
        return library.nn.functional.interpolate(x, scale_factor=factor, mode=mode)

    _compare(call, _normal(2, 3, 6, 4, kind=np.float64))


def test_layers_are_normalised_as_in_torch_and_keep_what_they_are_given() -> None:
    x, weight, bias = _normal(50, 60), _normal(60, seed=1), _normal(60, seed=2)

    def call(library: Any, x: Any, weight: Any, bias: Any) -> Any:
        return library.nn.functional.layer_norm(x, (60,), weight, bias)

    before = [array.copy() for array in (x, weight, bias)]
    _compare(call, x, weight, bias)
    for array, kept in zip((x, weight, bias), before, strict=True):
        assert np.array_equal(array, kept)
