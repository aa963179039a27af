"""What is computed block by block is what would be computed at once."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import gradviz
from gradviz.core.blocks import BLOCK, in_blocks


def _values(*shape: int, dtype: Any = np.float32) -> Any:
    return np.random.default_rng(0).standard_normal(shape).astype(dtype)


@pytest.mark.parametrize("shape", [(), (3,), (2 * BLOCK,), (2 * BLOCK + 1,), (3, BLOCK), (4, 3, BLOCK // 4 + 1)])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_blocks_are_the_whole(shape: tuple[int, ...], dtype: Any) -> None:
    x, y = _values(*shape, dtype=dtype), _values(*shape, dtype=dtype)
    found = in_blocks(lambda x, y: x * x + y, x, y)
    assert np.array_equal(found, x * x + y)
    assert found.shape == shape
    assert found.dtype == dtype


def test_arrays_are_large_contiguous_and_of_one_shape_or_taken_whole() -> None:
    seen: list[int] = []

    def add(x: Any, y: Any) -> Any:
        seen.append(np.size(x))
        return x + y

    x = _values(3, BLOCK)
    for other in (x.T.copy().T, x[:1], 2.0, gradviz.tensor(x)):
        in_blocks(add, x, other)
    assert seen == [x.size] * 4
    in_blocks(add, x, x)
    assert seen[4:] == [BLOCK] * 3


@pytest.mark.parametrize("shape", [(600,), (70_000,), (5, 3, 2_000), (200, 300, 2), (3, 20_000), (2, 1, 900)])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.int64])
def test_relu_of_large_arrays_is_torchs(shape: tuple[int, ...], dtype: Any) -> None:
    array = (_values(*shape) * 5).astype(dtype)
    if dtype is not np.int64:
        array.reshape(-1)[[1, 5, 7, 9]] = [np.nan, -0.0, np.inf, -np.inf]
    for swapped in (0, -1):
        ours, theirs = (
            library.relu(library.tensor(array).transpose(0, swapped)) for library in (gradviz, torch)
        )
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy())
        assert ours.stride() == theirs.stride()


@pytest.mark.parametrize("approximate", ["none", "tanh"])
def test_gelu_of_a_large_array_is_torchs(approximate: str) -> None:
    array, cotangent = _values(3, BLOCK), _values(3, BLOCK)
    found = []
    for library in (gradviz, torch):
        x = library.tensor(array, requires_grad=True)
        y = library.nn.functional.gelu(x, approximate=approximate)
        y.backward(library.tensor(cotangent))
        found.append((y.detach().numpy(), x.grad.numpy()))
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)
