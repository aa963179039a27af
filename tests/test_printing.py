"""A tensor prints as in PyTorch, character for character, but for the prefix of its dtype."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gradviz.core import Tensor
from gradviz.core.ops.sources import from_numpy, tensor
from gradviz.core.printing import get_printoptions, printoptions, set_printoptions
from gradviz.core.tensor import Size


@pytest.fixture(autouse=True)
def default_options() -> Iterator[None]:
    yield
    for package in (torch, None):
        (torch.set_printoptions if package else set_printoptions)(profile="default")


def assert_same_text(array: Any, *, requires_grad: bool = False) -> None:
    """Ours and PyTorch's text of a tensor on the same elements are equal."""
    ours = tensor(array, requires_grad=requires_grad)
    theirs = torch.tensor(array, requires_grad=requires_grad)
    assert repr(ours).replace("gradviz.", "torch.") == repr(theirs)


FLOATS = [
    0.0, -0.0, 1.0, -1.0, 2.5, 1e-5, 1e-4, 9.9e-5, 123.456, 1e8, 1.0000001e8, 1e10, -7.5, 1000.0, 1001.0, 0.1, 1 / 3,
    math.inf, -math.inf, math.nan,
]  # fmt: skip


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_every_pair_of_floats(dtype: str) -> None:
    with np.errstate(over="ignore"):
        for first in FLOATS:
            assert_same_text(np.array(first, dtype))
            for second in FLOATS:
                assert_same_text(np.array([first, second, 1.0], dtype))


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int8", "int16", "int32", "int64"])
@pytest.mark.parametrize("shape", [(), (1,), (7,), (2, 3), (2, 0), (0,), (1, 2, 3)])
def test_whole_numbers_and_bools(dtype: str, shape: tuple[int, ...]) -> None:
    assert_same_text((np.arange(math.prod(shape)) * 37 % 101).reshape(shape).astype(dtype))


def test_negative_whole_numbers_are_aligned() -> None:
    assert_same_text(np.array([[-1, 20], [300, -4000]]))


@pytest.mark.parametrize(
    "shape", [(0,), (0, 3), (3, 0), (2, 0, 4), (2, 3, 4), (2, 1, 2, 3), (30,), (3, 40), (1, 1, 1, 1, 1)]
)
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_brackets_line_breaks_and_suffixes(shape: tuple[int, ...], dtype: str) -> None:
    array = np.sin(np.arange(math.prod(shape))).reshape(shape).astype(dtype)
    assert_same_text(array)
    assert_same_text(array, requires_grad=True)


@pytest.mark.parametrize("shape", [(1000,), (1001,), (7, 200), (200, 7), (6, 200), (11, 11, 11), (2, 2, 300), (5000,)])
def test_more_than_a_thousand_elements_are_summarized(shape: tuple[int, ...]) -> None:
    array = np.cos(np.arange(math.prod(shape))).reshape(shape).astype("float32")
    assert_same_text(array, requires_grad=True)
    assert_same_text((array * 1000).astype("int64"))
    array.reshape(-1)[math.prod(shape) // 2] = 1e9
    assert_same_text(array)


@pytest.mark.parametrize("width", range(1, 26))
def test_a_suffix_that_does_not_fit_goes_to_a_line_of_its_own(width: int) -> None:
    """`gradviz.` is longer than `torch.`; lines break where PyTorch's do all the same."""
    assert_same_text(np.full(width, 0.5, "float16"), requires_grad=True)
    assert_same_text(np.full(width, 0.5, "float64"))


def test_the_node_is_named() -> None:
    w, other = tensor([1.0, 2.0], requires_grad=True), torch.tensor([1.0, 2.0], requires_grad=True)
    assert repr(w * 3) == repr(other * 3)
    assert str(-w) == str(-other)
    assert repr((w * 3).detach()) == "tensor([3., 6.])"


def test_looking_at_a_tensor_leaves_no_trace() -> None:
    w = tensor([1.0, 2.0], requires_grad=True)
    before = w._origin
    repr(w)
    assert w._origin is before
    assert w._version == 0


def test_a_zero_dimensional_view_prints() -> None:
    assert repr(from_numpy(np.array(2.0, "float32"))) == "tensor(2.)"


@pytest.mark.parametrize(
    "options",
    [
        {"precision": 2}, {"precision": 0}, {"threshold": 5}, {"threshold": 5, "edgeitems": 1}, {"linewidth": 30},
        {"sci_mode": True}, {"sci_mode": False}, {"profile": "short"}, {"profile": "full"},
        {"profile": "short", "precision": 6}, {"threshold": 5, "edgeitems": 0},
    ],
)  # fmt: skip
def test_print_options(options: dict[str, Any]) -> None:
    set_printoptions(**options)
    torch.set_printoptions(**options)
    assert get_printoptions() == torch._tensor_str.get_printoptions()
    for shape in ((), (3,), (4, 5), (40, 40), (2, 3, 4)):
        array = np.exp(np.sin(np.arange(math.prod(shape))) * 9).reshape(shape)
        assert_same_text(array, requires_grad=True)
        assert_same_text(array.astype("int64"))


def test_print_options_for_a_while() -> None:
    with printoptions(precision=1):
        assert repr(tensor([0.25])) == "tensor([0.2])"
    assert repr(tensor([0.25])) == "tensor([0.2500])"


def test_a_subclass_prints_under_its_own_name() -> None:
    class Weights(Tensor):
        __slots__ = ()

    w = tensor([1.0])
    w.__class__ = Weights
    theirs = torch.tensor([1.0]).as_subclass(type("Weights", (torch.Tensor,), {}))
    assert repr(w) == repr(theirs)


def test_a_shape_prints_as_a_size() -> None:
    assert repr(tensor([[1.0, 2.0]]).shape).replace("gradviz.", "torch.") == repr(torch.Size([1, 2]))
    assert str(Size()) == "gradviz.Size([])"


shapes = st.lists(st.integers(0, 12), max_size=3)


@settings(deadline=None, max_examples=150)
@given(data=st.data(), dtype=st.sampled_from(["float16", "float32", "float64"]))
def test_any_floats(data: st.DataObject, dtype: str) -> None:
    width = int(dtype.removeprefix("float"))
    elements = st.floats(width=width) | st.floats(-10, 10, width=width) | st.integers(-9, 9).map(float)
    values = data.draw(st.lists(elements, min_size=1, max_size=40))
    shape = data.draw(st.sampled_from([(-1,), (1, -1), (-1, 1), (1, 1, -1)]))
    assert_same_text(np.array(values, dtype).reshape(shape))


@settings(deadline=None, max_examples=60)
@given(shape=shapes, edge=st.integers(1, 4), threshold=st.integers(0, 50), width=st.integers(10, 90))
def test_any_shape(shape: list[int], edge: int, threshold: int, width: int) -> None:
    step = width / 7
    for change in (set_printoptions, torch.set_printoptions):
        change(edgeitems=edge, threshold=threshold, linewidth=width)
    assert_same_text((np.arange(math.prod(shape)) * step).reshape(shape))
