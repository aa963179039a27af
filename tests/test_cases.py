"""`gradviz check` on real defects, and on right programs that look like them: the cause, the line and the names."""

from __future__ import annotations

import pytest
from score_cases import CASES, Case, check, expected, judge

# What is not found yet, and which fact a recording would have to hold.
NOT_YET: dict[str, str] = {}


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(
            case,
            id=case["file"].removesuffix(".py"),
            marks=pytest.mark.xfail(reason=NOT_YET[case["file"]], strict=True) if case["file"] in NOT_YET else (),
        )
        for case in expected()
    ],
)
def test_case(case: Case) -> None:
    wrong = judge(case, check(case))
    assert not wrong, wrong


def test_the_answers_are_those_of_the_programs() -> None:
    files = {path.name for path in CASES.glob("*.py")} - {"conftest.py"}
    assert files == {case["file"] for case in expected()}
    assert set(NOT_YET) <= files
