"""Windows of signals, quotients that are rounded, bits that are moved, lines combined by index: as PyTorch has them."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
from alike import assert_alike


@pytest.mark.parametrize(
    "name", ["hann_window", "hamming_window", "blackman_window", "bartlett_window", "kaiser_window"]
)
def test_windows(name: str) -> None:
    def program(library: Any) -> list[Any]:
        window = getattr(library, name)
        found = [window(count) for count in (0, 1, 2, 5)]
        return [
            *found,
            window(4, False),
            window(5, periodic=True, dtype=library.float64),
            window(4, requires_grad=True),
        ]

    assert_alike(program)
    assert_alike(lambda library: getattr(library, name)(-1))
    assert_alike(lambda library: getattr(library, name)(2.5))


def test_windows_with_coefficients_of_ones_own() -> None:
    assert_alike(
        lambda library: [
            library.hamming_window(5, True, 0.5, 0.5),
            library.kaiser_window(5, True, 8.0),
            library.kaiser_window(5, True, beta=3.0),
        ]
    )


@pytest.mark.parametrize("mode", [None, "trunc", "floor", "up"])
def test_quotients_are_rounded(mode: str | None) -> None:
    def program(library: Any) -> list[Any]:
        found = []
        for numbers in ([7, -7], [7.5, -7.5], [True, False]):
            x = library.tensor(numbers)
            found += [library.div(x, other, rounding_mode=mode) for other in (2, -2, 0.7)]
            found.append(library.divide(x, library.tensor([3, 4]), rounding_mode=mode))
        return [*found, library.tensor([5.0, -3.0]).div_(2, rounding_mode=mode)]

    assert_alike(program)
    if mode is not None:
        assert_alike(lambda library: library.div(library.tensor([5]), 0, rounding_mode=mode))


def test_bits_are_moved() -> None:
    def program(library: Any) -> list[Any]:
        x, y = library.tensor([5, -9, 0]), library.tensor([1, 2, 3], dtype=library.uint8)
        found = [x << 1, x >> 1, y << 3, y >> 1, 1 << y, 255 >> y, x << 64, x >> 70, x >> -1, y << 9]
        x <<= 2
        y >>= y
        return [*found, x, y, library.tensor([True]) << 1]

    assert_alike(program)
    assert_alike(lambda library: library.tensor([1.5]) << 1)


def test_lines_that_cannot_be_combined() -> None:
    wrong: list[tuple[Any, ...]] = [
        ("sum", [0, 2], (2, 2)),
        ("amax", [0.0, 2.0], (2, 2)),
        ("amax", [[0, 2]], (2, 2)),
        ("amax", [0, 2], (3, 2)),
        ("amax", [0, 2], (2, 3)),
        ("amax", [0, 5], (2, 2)),
    ]
    for reduce, index, shape in wrong:
        assert_alike(
            lambda lib, at=(reduce, index, shape): _refusal(
                lib.zeros(3, 2), 0, lib.tensor(at[1]), lib.ones(at[2]), at[0]
            )
        )


def _refusal(x: Any, *given: Any) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch tells once in a process that the function is in beta
        with pytest.raises((RuntimeError, IndexError)) as refused:
            x.index_reduce(*given)
    return f"{refused.typename}: {refused.value}"


def test_an_outer_product_is_added_in_place() -> None:
    def program(library: Any) -> list[Any]:
        a, b = library.arange(2.0).requires_grad_(), library.arange(3.0)
        x = library.ones(2, 3).addr_(a, b, beta=3, alpha=2)
        return [x, *library.autograd.grad(x.square().sum(), [a])]

    assert_alike(program)
    for shape in ((1,), (3, 3)):
        assert_alike(lambda library, shape=shape: library.zeros(shape).addr_(library.ones(2), library.ones(3)))
    assert_alike(lambda library: library.addr(library.zeros(2, 3), library.ones(2, 1), library.ones(3)))
