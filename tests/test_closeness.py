"""`torch.testing.assert_close` on the core says what PyTorch's says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

import gradviz
from gradviz.core.closeness import assert_close

CASES: list[Callable[[Any], tuple[Any, Any, dict[str, Any]]]] = [
    lambda lib: (lib.ones(2), lib.ones(2) + 1e-7, {}),
    lambda lib: (lib.tensor([1.0, 2.0]), lib.tensor([1.0, 2.1]), {}),
    lambda lib: (lib.tensor([1.0, 2.0]).double(), lib.tensor([1.0, 2.1]).double(), {"rtol": 0.01, "atol": 0.0}),
    lambda lib: (lib.tensor(1.0), lib.tensor(2.0), {}),
    lambda lib: (lib.tensor([1.0]), lib.tensor([2.0]), {}),
    lambda lib: (lib.tensor([1, 2]), lib.tensor([1, 3]), {}),
    lambda lib: (lib.tensor([1.0, 2.0]), lib.tensor([1.0, 2.1]), {"rtol": 0, "atol": 0}),
    lambda lib: (lib.ones(2), lib.ones(2).double(), {}),
    lambda lib: (lib.ones(2), lib.ones(2).double(), {"check_dtype": False}),
    lambda lib: (lib.ones(2), lib.ones(3), {}),
    lambda lib: (1.0, 1.1, {}),
    lambda lib: (1, 2, {}),
    lambda lib: (True, False, {}),
    lambda lib: ([lib.ones(1), lib.ones(2)], [lib.ones(1), lib.zeros(2)], {}),
    lambda lib: ({"a": lib.ones(1)}, {"a": lib.zeros(1)}, {}),
    lambda lib: ({"a": lib.ones(1)}, {"b": lib.ones(1)}, {}),
    lambda lib: ([1], [1, 2], {}),
    lambda lib: (lib.tensor([float("nan")]), lib.tensor([float("nan")]), {}),
    lambda lib: (lib.tensor([float("nan")]), lib.tensor([float("nan")]), {"equal_nan": True}),
    lambda lib: (lib.ones(2), lib.ones(2) * 2, {"msg": "different"}),
    lambda lib: (lib.ones(2), lib.ones(2) * 2, {"msg": lambda told: f"see: {told}"}),
    lambda lib: (lib.ones(1), lib.ones(1), {"rtol": 1}),
    lambda lib: (lib.ones(2).bool(), lib.zeros(2).bool(), {}),
]


@pytest.mark.parametrize("case", CASES)
def test_what_is_close(case: Callable[[Any], tuple[Any, Any, dict[str, Any]]]) -> None:
    told = []
    for library, compare in ((gradviz, assert_close), (torch, torch.testing.assert_close)):
        actual, expected, options = case(library)
        try:
            compare(actual, expected, **options)
            told.append("close")
        except (AssertionError, ValueError) as error:
            told.append(f"{type(error).__name__}: {error}".replace("gradviz.", "torch."))
    assert told[0] == told[1]
