"""Programs that import torch, checked on the numpy core: the findings are those that PyTorch's run gives.

A part of tests/cases, chosen for their modules and optimizers; `test_cases` has them all, with PyTorch.
"""

from __future__ import annotations

import pytest
from score_cases import CASES, expected, findings_of, judge

CHOSEN = ("01", "04", "12", "28", "34", "40", "42", "43", "51", "57", "62", "66", "71", "74", "76", "85", "87")


@pytest.mark.parametrize("number", CHOSEN)
def test_case(number: str) -> None:
    (case,) = (case for case in expected() if case["file"].startswith(number))
    wrong = judge(case, findings_of(CASES / case["file"], "--core"))
    assert not wrong, wrong
