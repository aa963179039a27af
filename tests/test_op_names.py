"""What ops are called: what the user called, by the numpy core and by the PyTorch front end alike, one name a call."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import op_checks
import pytest

import gradviz
from gradviz.core.ops.samples import flags, grid, integers, positive
from gradviz.core.ops.table import TABLE, Sample, sample
from gradviz.graphs import Graph, Op

COMPOSED = {
    "nn.functional.linear": [
        sample(grid(2, 3), grid(4, 3)),
        sample(grid(2, 3), grid(4, 3), grid(4)),
        sample(grid(2, 2, 3), grid(4, 3), grid(4)),
        sample(grid(3), grid(4, 3)),
    ],
    "nn.functional.cross_entropy": [
        sample(grid(4, 3), integers(4, high=3)),
        sample(grid(4, 3), integers(4, high=3), label_smoothing=0.1),
        sample(grid(4, 3), positive(4, 3)),
    ],
    "nn.functional.l1_loss": [sample(grid(2, 3), positive(2, 3)), sample(grid(2, 3), positive(3), reduction="none")],
    "nn.functional.smooth_l1_loss": [sample(grid(2, 3), positive(2, 3), beta=0.0)],
    "nn.functional.mse_loss": [sample(grid(2, 3), positive(3))],
    "nn.functional.normalize": [sample(grid(2, 3))],
    "nn.functional.dropout": [sample(grid(2, 3))],
    "nn.functional.softmax": [sample(grid(2, 3), 1)],
    "matmul": [
        sample(grid(2, 2, 3), grid(3, 2)),
        sample(grid(2, 2, 3), grid(3)),
        sample(grid(3), grid(2, 3, 2)),
        sample(grid(2, 3, 2), grid(2, 2, 3)),
        sample(grid(1, 3, 2), grid(2, 2, 3)),
    ],
    "einsum": [sample("ij,jk->ik", grid(2, 3), grid(3, 4)), sample("ii->i", grid(3, 3)), sample("ij->ji", grid(2, 3))],
    "outer": [sample(grid(2), grid(3))],
    "inner": [sample(grid(3), grid(3)), sample(grid(2, 3), grid(4, 3))],
    "hstack": [sample([grid(2, 3), grid(2, 1)]), sample([grid(), grid(2)])],
    "vstack": [sample([grid(3), grid(3)])],
    "concat": [sample([grid(3), grid(2)])],
    "flatten": [sample(grid(2, 3)), sample(grid(2, 3).T)],
    "ravel": [sample(grid(2, 3).T)],
    "unflatten": [sample(grid(6), 0, (2, 3))],
    "tile": [sample(grid(2, 3), (2, 1))],
    "swapaxes": [sample(grid(2, 3), 0, 1)],
    "swapdims": [sample(grid(2, 3), 0, 1)],
    "movedim": [sample(grid(2, 3), 0, 1)],
    "moveaxis": [sample(grid(2, 3), 0, 1)],
    "broadcast_to": [sample(grid(3), (2, 3))],
    "diag": [sample(grid(3)), sample(grid(3, 3))],
    "chunk": [sample(grid(4, 3), 2)],
    "max": [sample(grid(2, 3), positive(2, 3)), sample(grid(2, 3)), sample(grid(2, 3), 1)],
    "min": [sample(grid(2, 3), positive(2, 3))],
    "nonzero": [sample(flags(2, 3))],
    "Tensor.view_as": [sample(grid(2, 3), grid(6))],
    "Tensor.reshape_as": [sample(grid(2, 3).T, grid(6))],
    "Tensor.expand_as": [sample(grid(3), grid(2, 3))],
    "Tensor.half": [sample(grid(3))],
    "Tensor.long": [sample(grid(3))],
    "Tensor.type_as": [sample(grid(3), integers(3))],
    **{key: [sample(grid(2, 3), positive(3))] for key in ("multiply", "divide", "Tensor.true_divide", "subtract")},
    **{key: [sample(grid(2, 3), positive(3))] for key in ("arctan2", "greater", "Tensor.less_equal", "not_equal")},
    **{key: [sample(grid(2, 3))] for key in ("negative", "absolute", "Tensor.arctan", "fix")},
    "clip": [sample(grid(2, 3), -0.5, 0.5)],
    "row_stack": [sample([grid(3), grid(3)])],
    "operator.truediv": [sample(1, positive(3))],
    "operator.matmul": [sample(grid(2, 3), grid(3, 4)), sample(grid(2), grid(2, 3))],
    "operator.getitem": [sample(grid(2, 3), (0, slice(1, None))), sample(grid(2, 3), (slice(None), 1))],
}
"""Calls that run several ops, or one row under another name."""


def calls() -> Iterator[tuple[str, Sample]]:
    for row in TABLE.values():
        for one in row.samples() if row.samples is not None else ():
            yield row.call, one
    for call, samples in COMPOSED.items():
        for one in samples:
            yield call, one


CALLS = [pytest.param(call, one, id=f"{call}{op_checks.describe(one)}"[:80]) for call, one in calls()]


def told_of(library: op_checks.Library, call: str, given: Sample) -> tuple[Graph, list[Op], Any]:
    """The graph of one call whose result is assigned to `result`, its ops that make something, and the result."""
    function = library.find(call)

    def build(value: Any) -> Any:
        if op_checks.is_array(value):
            return library.leaf(value, value.dtype.kind == "f")
        return library.dtype(value) if type(value).__name__ == "dtype" else value

    args, kwargs = op_checks.map_sample(build, given)
    with gradviz.record() as recorder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = function(*args, **kwargs)
    assert not recorder.failures
    graph = recorder.graph()
    graph.validate()
    return graph, [op for op in graph.ops.values() if op.inputs], result


@pytest.mark.parametrize(("call", "given"), CALLS)
def test_a_call_gives_each_of_its_results_one_name_and_nothing_else_a_name(call: str, given: Sample) -> None:
    graph, ops, result = told_of(op_checks.GRADVIZ, call, given)
    results = op_checks.flat(result)
    tensors = [part for part in results if isinstance(part, gradviz.Tensor)]
    named = [value.name for op in ops for value in map(graph.values.get, op.outputs) if value and value.name]
    assert len(set(named)) == len(named)
    if ops and tensors:
        wanted = [f"result[{index}]" for index in range(len(tensors))] if len(tensors) > 1 else ["result"]
        assert sorted(named) in (wanted, ["result[0]"])


@pytest.mark.parametrize(("call", "given"), CALLS)
def test_pytorch_and_the_core_call_an_op_the_same(call: str, given: Sample) -> None:
    _, theirs, _ = told_of(op_checks.TORCH, call, given)
    _, ours, _ = told_of(op_checks.GRADVIZ, call, given)
    assert [op.name for op in ours][-1:] == [op.name for op in theirs][-1:]
    if ours and ours[-1].node == "NotImplemented":
        return  # PyTorch's node for what it has no derivative of, which its front end tells of as a cut
    if ours:
        assert (ours[-1].node, ours[-1].tracked) == (theirs[-1].node, theirs[-1].tracked)
    if len(ours) == len(theirs) == 1:
        assert ours[0].cause == theirs[0].cause
        assert len(ours[0].outputs) == len(theirs[0].outputs)
