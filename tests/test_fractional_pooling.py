"""Fractional max pooling: with the same draws PyTorch's windows, places, gradients, node and errors."""

from __future__ import annotations

from typing import Any

import pytest
from alike import assert_alike

DRAWS = [[[0.3, 0.7], [0.0, 0.99]], [[0.5, 0.1], [0.9999, 0.25]]]
SIZES: list[tuple[Any, Any, Any]] = [
    (2, 3, None), ((2, 3), (4, 3), None), (2, None, (0.5, 0.7)), (3, 1, None), (1, 7, None), ((3, 2), None, 0.6),
]  # fmt: skip


def images(lib: Any, dtype: str = "float32") -> Any:
    values = (lib.arange(2 * 2 * 7 * 8) * 37 % 101).reshape(2, 2, 7, 8)
    return values.to(getattr(lib, dtype)).requires_grad_()


@pytest.mark.parametrize(("kernel", "size", "ratio"), SIZES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_windows_are_where_pytorch_puts_them(kernel: Any, size: Any, ratio: Any, dtype: str) -> None:
    def program(lib: Any) -> Any:
        x = images(lib, dtype)
        draws = lib.tensor(DRAWS, dtype=x.dtype)
        pool = lib.nn.FractionalMaxPool2d(kernel, size, ratio, return_indices=True, _random_samples=draws)
        values, places = pool(x)
        (values * values).sum().backward()
        return values, places, x.grad

    assert_alike(program)


def test_one_image_second_derivatives_and_nan() -> None:
    def program(lib: Any) -> Any:
        x = images(lib)
        y = x[0].square()
        y.data[1, 2, 3] = float("nan")
        draws = lib.tensor(DRAWS[:1])
        values = lib.nn.functional.fractional_max_pool2d(y, 2, output_size=3, _random_samples=draws)
        (first,) = lib.autograd.grad((values[0] ** 2).sum(), x, create_graph=True)
        first.sum().backward()
        return [repr(one) for one in values.flatten().tolist()], x.grad

    assert_alike(program)


def test_what_is_drawn_is_pytorchs() -> None:
    def program(lib: Any) -> Any:
        lib.manual_seed(0)
        return lib.nn.FractionalMaxPool2d(2, output_ratio=0.5)(images(lib))

    assert_alike(program)


MISTAKES: list[Any] = [
    lambda lib: lib.nn.functional.fractional_max_pool2d(images(lib), 2),
    lambda lib: lib.nn.functional.fractional_max_pool2d(images(lib), 2, output_size=7),
    lambda lib: lib.nn.functional.fractional_max_pool2d(images(lib), (1, 3), output_size=7),
    lambda lib: lib.nn.FractionalMaxPool2d(2),
    lambda lib: lib.nn.FractionalMaxPool2d(2, 3, 0.5),
    lambda lib: lib.nn.FractionalMaxPool2d(2, output_ratio=1.5),
]


@pytest.mark.parametrize("number", range(len(MISTAKES)))
def test_mistakes_are_told_in_pytorchs_words(number: int) -> None:
    assert_alike(MISTAKES[number])
