"""What a recording of PyTorch says of plain arguments: the names of PyTorch's schemas, the texts of the user."""

from __future__ import annotations

import pytest
import torch

import gradviz

CALLS = {
    "y.max(1)": ("max", {"dim": "1"}),
    "y.min(0, True)": ("min", {"dim": "0", "keepdim": "True"}),
    "y.var(0)": ("var", {"dim": "0"}),
    "y.std(False)": ("std", {"unbiased": "False"}),
    "y.sum((0, 1))": ("sum", {"dim": "(0, 1)"}),
    "y.mean(dim=1)": ("mean", {"dim": "1"}),
    "y.view(3, -1)": ("view", {"size": "(3, -1)"}),
    "y.reshape(6)": ("reshape", {"shape": "6"}),
    "y.permute(1, 0)": ("permute", {"dims": "(1, 0)"}),
    "y.expand(2, 2, 3)": ("expand", {"size": "(2, 2, 3)"}),
    "y.to(torch.float64)": ("to", {"dtype": "float64"}),
    "y.clamp(0, 1)": ("clamp", {"min": "0", "max": "1"}),
    "y.transpose(0, 1)": ("transpose", {"dim0": "0", "dim1": "1"}),
    "torch.nn.functional.relu(y)": ("relu", {}),
    "torch.nn.functional.leaky_relu(y, 0.1)": ("leaky_relu", {"negative_slope": "0.1"}),
    "y[0]": ("select", {"index": "0"}),
    "torch.cat([y, y], 1)": ("cat", {"dim": "1"}),
}


@pytest.mark.parametrize("call", CALLS)
def test_arguments_have_their_names(call: str) -> None:
    name, expected = CALLS[call]
    with gradviz.record() as rec:
        y = torch.ones(2, 3, requires_grad=True) * 2
        eval(call, {"torch": torch, "y": y})
    assert not rec.failures
    op = list(rec.graph().ops.values())[-1]
    assert (op.name, dict(op.attrs)) == (name, expected)


WRITES = {
    "y[0] = 1.0": ("copy", ["y", "1.0"], "0"),
    "y[0, 1] = s": ("copy", ["y", "s"], "(0, 1)"),
    "y[:, 1] = 0": ("copy", ["y", "0"], "(:, 1)"),
    "y[...] = s": ("copy", ["y", "s"], "..."),
    "y[mask] = 0.5": ("index_put", ["y", "0.5", "mask"], None),
    "y[mask] = s": ("index_put", ["y", "s", "mask"], None),
}


@pytest.mark.parametrize("tracked", [True, False])
@pytest.mark.parametrize("write", WRITES)
def test_a_write_to_a_part_is_one_op_as_it_was_written(write: str, tracked: bool) -> None:
    name, given, index = WRITES[write]
    with gradviz.record() as rec:
        mask = torch.tensor([[True, False, True], [False, False, True]])
        s = torch.tensor(3.0, requires_grad=tracked)
        y = torch.ones(2, 3, requires_grad=tracked) * 2
        exec(write, {"y": y, "s": s, "mask": mask})
        z = y.sum()
        if tracked:
            z.backward()
    assert not rec.failures
    graph = rec.graph()
    graph.validate()
    product, op, total = [op for op in graph.ops.values() if op.inputs]
    assert (op.name, op.inplace, op.alias, op.tracked) == (name, True, 0, tracked)
    assert [graph.values[item].name if isinstance(item, int) else item for item in op.inputs] == given
    assert dict(op.attrs).get("index") == index
    assert (op.inputs[0], total.inputs[0]) == (product.id, op.id)
    value = graph.values[op.id]
    assert (value.name, value.version, value.storage) == ("y", 1, product.id)
