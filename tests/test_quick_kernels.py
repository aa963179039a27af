"""The quicker ways of convolutions and GELU have PyTorch's values and gradients, infinities and NaN too."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch

import gradviz
from gradviz.core import quotients
from gradviz.core.ops.convolution_columns import goes_by_columns, puts_by_columns, weighs_by_columns
from gradviz.core.ops.convolution_lines import puts_beside, weighs_beside
from gradviz.core.ops.convolution_pairs import goes_by_pairs
from gradviz.core.ops.windows import out_size

Sizes = tuple[int, ...]


def _values(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def _through(library: Any, call: Any, arrays: list[Any], cotangent: Any) -> list[Any]:
    """The result and the gradients of all arrays, in `library`."""
    leaves = [library.tensor(array, requires_grad=True) for array in arrays]
    out = call(library, *leaves)
    out.backward(library.tensor(cotangent))
    return [out.detach().numpy(), *(leaf.grad.numpy() for leaf in leaves)]


def _compare_convolutions(x: Any, weight: Any, options: dict[str, Any]) -> None:
    """Ours in float32 is as near to PyTorch's in float64 as its own in float32 is, to a few units in the last place."""

    def call(library: Any, x: Any, weight: Any) -> Any:
        return getattr(library.nn.functional, f"conv{weight.ndim - 2}d")(x, weight, **options)

    cotangent = _values(*call(torch, torch.tensor(x), torch.tensor(weight)).shape, seed=1)
    exact = _through(torch, call, [x.astype("d"), weight.astype("d")], cotangent.astype("d"))
    for ours, wanted in zip(_through(gradviz, call, [x, weight], cotangent), exact, strict=True):
        assert ours.dtype == np.float32
        assert ours.shape == wanted.shape
        assert np.abs(ours - wanted).max() <= 2e-6 * np.abs(wanted).max()


@pytest.mark.parametrize(
    ("x", "weight", "padding", "dilation"),
    [
        ((1, 32, 40, 40), (33, 32, 3, 3), (1, 1), (1, 1)),
        ((3, 32, 21, 26), (40, 32, 3, 3), (0, 0), (1, 1)),
        ((2, 48, 25, 31), (32, 48, 3, 5), (2, 1), (1, 2)),
        ((4, 32, 19, 17), (32, 32, 3, 1), (1, 0), (1, 1)),
        ((90, 64, 16, 18), (32, 64, 3, 3), (1, 1), (1, 1)),
        ((300, 32, 2, 3), (32, 32, 3, 2), (1, 0), (1, 1)),
    ],
)
def test_convolutions_by_pairs_are_torchs(x: Sizes, weight: Sizes, padding: Sizes, dilation: Sizes) -> None:
    images, filters = _values(*x), _values(*weight, seed=2)
    size = out_size(x[2:], weight[2:], (1, 1), padding, dilation)
    positions = x[0] * size[0] * size[1]
    assert goes_by_pairs(images, filters, (x[1], weight[0]), weight[2:], (1, 1), dilation, positions)
    _compare_convolutions(images, filters, {"padding": padding, "dilation": dilation})


@pytest.mark.parametrize(
    ("x", "weight", "options"),
    [
        ((2, 64, 8, 8), (16, 64, 3, 3), {"padding": 1}),
        ((40, 17, 9, 7), (8, 17, 3, 3), {}),
        ((3, 30, 15, 14), (9, 30, 5, 3), {"stride": 2, "padding": (2, 0), "dilation": (1, 2)}),
        ((4, 26, 50), (12, 26, 4), {"padding": 3, "dilation": 2}),
        ((2, 20, 6, 5, 4), (7, 20, 2, 3, 3), {"stride": (1, 2, 1), "padding": (0, 1, 1)}),
    ],
)
def test_convolutions_by_columns_are_torchs(x: Sizes, weight: Sizes, options: dict[str, Any]) -> None:
    images, filters = _values(*x), _values(*weight, seed=2)
    size = torch.conv3d if len(x) == 5 else torch.conv2d if len(x) == 4 else torch.conv1d
    places = tuple(size(torch.tensor(images), torch.tensor(filters), **options).shape[2:])
    assert weighs_by_columns(x[1], weight[2:], places)
    assert goes_by_columns(x[0], x[1], weight[2:], places)
    _compare_convolutions(images, filters, options)


@pytest.mark.parametrize(
    ("x", "weight", "options"),
    [
        ((1, 5, 4, 4), (32, 5, 3, 3), {"padding": 1}),
        ((2, 6, 7, 5), (64, 6, 3, 2), {"stride": 2, "padding": 1}),
        ((1, 3, 9), (20, 3, 2), {"dilation": 2, "padding": 1}),
    ],
)
def test_an_input_with_fewer_positions_than_filters_gets_torchs(x: Sizes, weight: Sizes, options: Any) -> None:
    images, filters = _values(*x), _values(*weight, seed=2)
    call = torch.conv2d if len(x) == 4 else torch.conv1d
    assert puts_by_columns(call(torch.tensor(images), torch.tensor(filters), **options).numpy())
    _compare_convolutions(images, filters, options)


@pytest.mark.parametrize(
    ("x", "weight", "padding", "dilation"),
    [
        ((32, 1, 28, 28), (6, 1, 5, 5), (2, 2), (1, 1)),
        ((3, 7, 9, 20), (5, 7, 2, 3), (0, 1), (1, 2)),
        ((700, 2, 8, 32), (3, 2, 3, 3), (1, 1), (1, 1)),
    ],
)
def test_weights_of_few_channels_get_torchs(x: Sizes, weight: Sizes, padding: Sizes, dilation: Sizes) -> None:
    wide = out_size(x[2:], weight[2:], (1, 1), padding, dilation)[1]
    assert weighs_beside(x[1], weight[2:], (1, 1), dilation, wide)
    _compare_convolutions(_values(*x), _values(*weight, seed=2), {"padding": padding, "dilation": dilation})


@pytest.mark.parametrize(
    ("x", "weight", "padding", "dilation"),
    [
        ((8, 8, 28, 28), (16, 8, 3, 3), (0, 0), (1, 1)),
        ((3, 7, 9, 20), (5, 7, 2, 3), (1, 1), (1, 2)),
        ((700, 2, 8, 32), (3, 2, 3, 3), (1, 1), (1, 1)),
        ((2, 3, 4, 9), (2, 3, 1, 3), (0, 2), (1, 1)),
    ],
)
def test_inputs_seen_by_lines_get_torchs(x: Sizes, weight: Sizes, padding: Sizes, dilation: Sizes) -> None:
    size = out_size(x[2:], weight[2:], (1, 1), padding, dilation)
    cotangent = np.empty((x[0], weight[0], *size))
    assert puts_beside(cotangent, x[1], weight[2:], (1, 1), padding, dilation, x[2:])
    _compare_convolutions(_values(*x), _values(*weight, seed=2), {"padding": padding, "dilation": dilation})


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan, 3e38])
def test_what_is_not_finite_comes_through_a_large_convolution_as_in_torch(value: float) -> None:
    images, filters = _values(1, 32, 40, 40), abs(_values(32, 32, 3, 3, seed=2)) / 32
    images[0, 3, 12, 20] = value
    found = [
        library.nn.functional.conv2d(library.tensor(images), library.tensor(filters), padding=1).numpy()
        for library in (gradviz, torch)
    ]
    np.testing.assert_allclose(*found, rtol=1e-4, atol=1e-4)
    assert np.isfinite(found[0]).sum() >= found[0].size - 9 * 32


def test_a_large_convolution_has_second_derivatives() -> None:
    images, filters = _values(1, 32, 33, 32), _values(32, 32, 3, 3, seed=2)
    found = []
    for library, kind in ((gradviz, "f"), (torch, "d")):
        x, w = (library.tensor(array.astype(kind), requires_grad=True) for array in (images, filters))
        out = library.nn.functional.conv2d(x, w, padding=1)
        (slope,) = library.autograd.grad((out * out).sum(), x, create_graph=True)
        found.append([part.numpy() for part in library.autograd.grad((slope * slope).sum(), (x, w))])
    for ours, wanted in zip(*found, strict=True):
        assert np.abs(ours - wanted).max() <= 1e-5 * np.abs(wanted).max()


# ---- GELU


def _gelu(library: Any, x: Any) -> Any:
    return library.nn.functional.gelu(x)


@pytest.mark.parametrize("count", [1, 7, quotients.BLOCK, quotients.BLOCK + 3])
def test_gelu_by_quotients_is_exact_to_float32(count: int) -> None:
    x = np.linspace(-9, 9, count).astype(np.float32)
    cotangent = _values(count)
    assert quotients.goes_by_quotients(x)
    value, slope = _through(gradviz, _gelu, [x], cotangent)
    exact, exact_slope = _through(torch, _gelu, [x.astype("d")], cotangent.astype("d"))
    assert np.all(np.abs(value - exact) <= 4e-7 * np.maximum(abs(x), 1e-30))
    assert np.all(np.abs(slope - exact_slope) <= 6e-7 * abs(cotangent))


def test_gelu_of_the_very_large_and_very_small_is_torchs() -> None:
    x = np.array([-1e18, -100, -6, -1e-20, 0, 1e-38, 6, 100, 1e18], np.float32)
    assert quotients.goes_by_quotients(x)
    found = [_through(library, _gelu, [x], np.ones_like(x)) for library in (gradviz, torch)]
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=2e-7)


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
def test_gelu_of_what_is_not_finite_is_torchs(value: float) -> None:
    x = np.array([0.5, value, -0.5], np.float32)
    # In float32, PyTorch's own value of the infinite one hangs on the processor: with AVX-512 it is NaN.
    mine, yours = _through(gradviz, _gelu, [x], np.ones_like(x)), _through(torch, _gelu, [x.astype("d")], np.ones(3))
    for ours, theirs in zip(mine, yours, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


# ---- memory

_FAULTS = """
import resource
import numpy as np
import gradviz

x, w = gradviz.rand(16, 3, 32, 32, requires_grad=True), gradviz.rand(32, 3, 3, 3, requires_grad=True)

def step():
    gradviz.nn.functional.conv2d(x, w, padding=1).sum().backward()
    x.grad = w.grad = None

for _ in range(5):
    step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    step()
print((resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) / 10)
"""


def test_a_step_takes_the_memory_that_the_last_one_freed() -> None:
    done = subprocess.run([sys.executable, "-c", _FAULTS], capture_output=True, text=True, check=True)
    assert float(done.stdout) < 100  # pages that the system had to fetch; more than a thousand if none were kept
