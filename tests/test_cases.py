"""`gradviz check` on real defects, and on right programs that look like them: the cause, the line and the names."""

from __future__ import annotations

import pytest
from score_cases import CASES, Case, check, expected, judge

# What is not found yet, and which fact a recording would have to hold.
NOT_YET = {
    "26_module_requires_grad_attribute.py": "an attribute that is set on a module is not recorded",
    "43_layers_in_python_list.py": "modules in a plain list are called by the loop variable, not by the list",
    "50_inplace_relu_changes_skip_connection.py": "where a module was constructed is not recorded, only where it ran",
    "53_retain_graph_hides_growing_history.py": "a tensor kept as attribute of a module is called `self.state`",
    "56_replay_buffer_keeps_graph.py": "what a deque of dicts holds at the end is not looked into",
    "57_hook_list_keeps_activations.py": "where a tensor was put into a list is not recorded",
    "58_backward_create_graph_cycle.py": "a list of weak references is no tensor's name",
    "60_evaluation_with_grad.py": "a call of `eval()` on a module is not recorded",
    "62_no_grad_not_seen_in_thread.py": "ops of a worker thread do not tell who started the work",
    "68_branch_used_every_other_step.py": "the branch that was not taken is not recorded, only what ran in it",
    "69_combined_loss_built_but_not_returned.py": "what a function returned is not recorded",
    "70_custom_function_loses_grad_inside.py": "what a custom backward runs is not recorded",
}


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
