"""Views and in-place writes: who sees a write, which version counts it, where the gradient goes, what is refused.

PyTorch is the oracle: each program is run with both libraries, and everything that can be seen of every tensor in it
must be the same, down to which error with which text.
"""

from __future__ import annotations

import weakref
from typing import Any

import aliasing
import pytest
import torch
from aliasing import KINDS, MODES, Step, run_steps, run_text
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import gradviz

LEAF = "a leaf Variable that requires grad is being used in an in-place operation."
VIEW_OF_LEAF = "a view of a leaf Variable that requires grad is being used in an in-place operation."

SHARING = {
    "a view shares memory and version with its base": "y = w * 1; a = y[0]; b = a.view(3, 1); b.detach().add_(1)",
    "detach shares memory and version": "y = w * 1; a = y.detach(); a.add_(1)",
    "detach of a view does too": "y = w * 1; a = y[0].detach(); a.add_(1)",
    "data shares memory only": "y = w * 1; a = y.data; a.add_(1); y.add_(1)",
    "numpy shares memory": "a = lib.zeros(3); a.numpy()[1] = 5",
    "a 0-d tensor shares memory with its views": "y = w.sum(); a = y.detach(); b = y.view(1); a.add_(1)",
    "assigned data keeps its version": "a = lib.zeros(3); a.add_(1); b = lib.ones(3); a.data = b; b.add_(1).add_(1)",
    "data of a leaf may change its shape": "w.data = lib.ones(2, dtype=lib.float64); (w * 3).sum().backward()",
    "a reshape that copies is no view": "y = w * 1; a = y.t().reshape(9); a.detach().add_(1)",
    "a reshape that does not is one": "y = w * 1; a = y.reshape(9); a.detach().add_(1)",
    "contiguous returns itself": "y = w * 1; a = y.contiguous(); same = a is y; b = y.t().contiguous()",
}
GRADIENTS = {
    **{
        f"{name} in place": f"y = w * 1; y.{name}_({given}); (y * w).sum().backward()"
        for name, given in (
            ("cumsum", "0"), ("cumprod", "-1"), ("xlogy", "w * w"), ("ldexp", "v"),
            ("lt", "0.5"), ("ge", "v"), ("eq", "w"), ("ne", "0"), ("le", "v"), ("gt", "0.1"),
            ("less", "0.5"), ("not_equal", "v"),
        )
    },
    "logic in place": "a = w.detach() > 0; a.logical_and_(v > 0).logical_or_(v > 1).logical_xor_(v < 0).logical_not_()",
    "functions that write": "y = w * 1; lib.round_(lib.clamp_(y, max=1)); a = v * 1; lib.relu_(a); a.sum().backward()",
    "unsqueeze in place": "y = w * 1; a = y.unsqueeze_(1); same = a is y; (y * v).sum().backward()",
    "t in place": "y = w * 1; y.t_(); (y * v).sum().backward()",
    "transpose in place": "y = w * 1; y.unsqueeze_(0); y.transpose_(0, -1); (y * v).sum().backward()",
    "swapaxes in place": "y = w * 1; y.swapaxes_(0, 1).swapdims_(-1, 0).swapaxes_(0, 1); (y * v).sum().backward()",
    "squeeze in place": "y = w[:1] * 1; y.squeeze_(); (y * v).sum().backward()",
    "squeeze one dimension in place": "y = w[:1] * 1; y.squeeze_(0); (y * v).sum().backward()",
    "squeeze several in place": "y = w[:1] * 1; y.squeeze_((0, 1)); (y * v).sum().backward()",
    "a write after an in-place view": "y = w * 1; y.t_(); y[0].mul_(2); y.add_(v); (y * v).sum().backward()",
    "an in-place view of a view": "y = w * 1; a = y[0]; a.unsqueeze_(1); (a * v).sum().backward()",
    "a write through one": "y = w * 1; a = y[:2]; a.t_(); a.mul_(v[:, None]); (y * w).sum().backward()",
    "a view of what is turned then": "y = w * 1; a = y[0]; y.t_(); (a * v).sum().backward()",
    "a write through such a view": "y = w * 1; a = y[0]; y.t_(); a.mul_(v); (y * w).sum().backward()",
    "a view of it and a view after": "y = w * 1; a = y[:1]; y.t_(); b = y[0]; a.squeeze_(0); (a * b).sum().backward()",
    "an in-place view with nothing tracked": "a = lib.zeros(2, 3); b = a[0]; a.t_(); b.add_(1); a.squeeze_()",
    "an in-place view under no_grad": "with_mode = lib.no_grad(); with_mode.__enter__(); w.t_(); "
    "with_mode.__exit__(None, None, None); (w * v).sum().backward()",
    "write to a view": "y = w * 1; y[0].mul_(2); (y * w).sum().backward()",
    "write to a view, view used": "y = w * 1; a = y[0]; a.mul_(v); (a * a).sum().backward()",
    "write to a view, another view used": "y = w * 1; a = y[0]; b = y[:, 0]; a.mul_(2); (b * v).sum().backward()",
    "write to the base, view used": "y = w * 1; a = y[0]; y.mul_(2); (a * v).sum().backward()",
    "two views written in turn": "y = w * 1; a = y[0]; b = y[:, 0]; a.mul_(2); b.add_(v); (a * v).sum().backward()",
    "write through a chain of views": "y = w * 1; y.t()[0][1:].mul_(v[:2]); (y * w).sum().backward()",
    "a base that is not in row order": "y = w.t() * 1; a = y.t().view(9); a[1:4].mul_(v); (y * w).sum().backward()",
    "write to a base that is expanded": "y = w * 1; a = y.expand(2, 3, 3); y.add_(1); (a * w).sum().backward()",
    "write to a diagonal": "y = w * 1; y.diagonal().mul_(v); (y * w).sum().backward()",
    "a plain base comes to require grad": "a = lib.zeros(3, 3).double(); b = a[1]; a[1] = v; (b * v).sum().backward()",
    "a 0-d base": "y = w.sum(); a = y.view(1); a.mul_(3); b = y * y; b.backward()",
    "an empty view": "y = w * 1; a = y[3:]; a.add_(1); y.sum().backward()",
    "what a write overwrites is kept where it is needed": "y = w * 1; y.mul_(v); y.pow_(2); y.sum().backward()",
    "setitem with a number": "y = w * 1; y[0] = 3.5; (y * w).sum().backward()",
    "setitem with a tensor of the same shape": "y = w * 1; y[0] = v * 2; (y * w).sum().backward()",
    "setitem with a 0-d tensor": "y = w * 1; y[0] = v[0]; (y * w).sum().backward()",
    "setitem broadcasts": "y = w * 1; y[:] = v; (y * w).sum().backward()",
    "setitem broadcasts a column": "y = w * 1; y[1:] = v[:2, None]; (y * w).sum().backward()",
    "setitem drops leading ones": "y = w * 1; y[0] = v[None, None]; (y * w).sum().backward()",
    "setitem casts": "y = w * 1; y[0] = v.float(); (y * w).sum().backward()",
    "setitem by mask": "y = w * 1; y[w > 0] = 0.0; (y * w).sum().backward()",
    "setitem by mask, values": "y = w * 1; y[w > 0] = w[w > 0] * 2; (y * w).sum().backward()",
    "setitem by list": "y = w * 1; y[[2, 0]] = v; (y * w).sum().backward()",
    "setitem by slice and list": "y = w * 1; y[1:, [0, 2]] = v[:2]; (y * w).sum().backward()",
    "setitem of everything": "y = w * 1; y[...] = v; (y * w).sum().backward()",
    "setitem with the value from the same tensor": "y = w * 1; y[0] = y[1]; (y * w).sum().backward()",
    "augmented setitem": "y = w * 1; y[0] += v; y[1:] *= 2; y[[0, 2]] -= v; (y * w).sum().backward()",
    "copy_": "y = w * 1; y.copy_(v); (y * w).sum().backward()",
    "fill_ with a tensor": "y = w * 1; y.fill_(v.sum()); (y * w).sum().backward()",
    "fill_ and zero_": "y = w * 1; y[0].fill_(2.0); y[1].zero_(); (y * w).sum().backward()",
    "masked_fill_": "y = w * 1; y.masked_fill_(w > 0, v[0]); (y * w).sum().backward()",
    "scatter_ and index_add_": (
        "y = w * 1; y.scatter_(0, lib.tensor([[0, 1, 2]]), v[None])\n"
        "y.index_add_(0, lib.tensor([0, 0]), w[:2]); (y * w).sum().backward()"
    ),
    "index_put_ that accumulates": (
        "y = w * 1; y.index_put_((lib.tensor([0, 0]),), v, accumulate=True); (y * w).sum().backward()"
    ),
    "retain_grad stays with the tensor": "y = w * 1; y.retain_grad(); y.mul_(v); (y * y).sum().backward()",
    "retain_grad stays with a view": "y = w * 1; a = y[0]; a.retain_grad(); a.mul_(2); (a * a).sum().backward()",
    "split, unbind and iteration": (
        "y = w * 1; a, b = y.split(2); c = y.unbind(1)[0]; d, e, f = y; (a[0] * b[0] * c * d * f).sum().backward()"
    ),
    "data is silently wrong": "y = w * 1; a = y * y; y.data.mul_(2); a.sum().backward()",
    "under no_grad the version counts": "y = w * 1\nwith lib.no_grad(): y.mul_(2)\n(y * 3).sum().backward()",
    "under no_grad a leaf may be written": "with lib.no_grad():\n    w[0] = 5.0\n    w += 1\n(w * w).sum().backward()",
    "a view outlives an untracked write": "a = w[0]\nwith lib.no_grad(): w.mul_(2)\n(a * v).sum().backward()",
    "views made under no_grad give no gradient": "with lib.no_grad(): a = w[0]\n(a * v).sum().backward()",
    "nothing is saved for them": (
        "a = lib.ones(3)\nwith lib.no_grad(): b = (v * 2)[:]; c = v[:]\nd = a * c; a.add_(1); d.sum().backward()"
    ),
    "such a view may become a leaf": "with lib.no_grad(): a = w[0]\na.requires_grad_(); (a * v).sum().backward()",
    "a view whose base comes to require grad": "a = lib.zeros(3)[1:]; b = a._base; b.requires_grad_(); c = a * 2",
    "inference mode bumps the version": "with lib.inference_mode(): a = w[0]; a.add_(1)",
}
REFUSED = {
    "an in-place view of a leaf": ("w.t_()", LEAF),
    "an in-place view of a view of a leaf": ("a = w[0]; a.unsqueeze_(0)", VIEW_OF_LEAF),
    "an in-place view along no dimension": ("a = lib.zeros(2); a.squeeze_(3)", "Dimension out of range"),
    "a turn of more than a matrix": ("a = lib.zeros(2, 3, 4); a.t_()", "t_() expects a tensor with <= 2 dimensions"),
    "leaf": ("w.add_(1)", LEAF),
    "leaf by operator": ("w += 1", LEAF),
    "leaf by list": ("w[[0]] = 3", LEAF),
    "leaf by mask": ("w[w > 0] = 3", LEAF),
    "view of a leaf": ("w[0].add_(1)", VIEW_OF_LEAF),
    "item of a leaf": ("w[0] = 3", VIEW_OF_LEAF),
    "chain of views of a leaf": ("w.t()[0][1:].mul_(2)", VIEW_OF_LEAF),
    "plain view whose base became a leaf": ("a = lib.zeros(3)[1:]; a._base.requires_grad_(); a.add_(1)", VIEW_OF_LEAF),
    "view made under no_grad": ("with lib.no_grad(): a = w[0]\na.zero_()", "A view was created in no_grad mode and is"),
    "its base written": (
        "y = w * 1\nwith lib.no_grad(): a = y[0]\ny.zero_(); a.grad_fn",
        "A view was created in no_grad mode and its base or another view of its base has been modified inplace",
    ),
    "view of a view made under no_grad": (
        "y = w * 1\nwith lib.no_grad(): a = y[0]\na[0].zero_()",
        "Output 0 of Select is a view of a view which was created in no_grad mode and is being modified inplace",
    ),
    "view made in inference mode": (
        "y = w * 1\nwith lib.inference_mode(): a = y[0]\na.mul_(2)",
        "A view was created in inference mode and is being modified inplace in normal mode.",
    ),
    "one of several views": (
        "y = w * 1; a, b = y.split(2); b.mul_(2)",
        "Output 1 of Split is a view and is being modified",
    ),
    "one of one view": (
        "y = w * 1; y.chunk(1)[0].mul_(2)",
        "Output 0 of Split is a view and is being modified inplace.",
    ),
    "base of several views": (
        "y = w * 1; a = y.unbind()[1]; y.zero_(); a * 2",
        "Output 1 of Unbind is a view and its base or another view of its base has been modified inplace.",
    ),
    "inference tensor": (
        "with lib.inference_mode(): a = lib.zeros(3)\na.mul_(2)",
        "Inplace update to inference tensor outside InferenceMode is not allowed.",
    ),
    "expanded": ("a = lib.zeros(3).expand(2, 3); a.add_(1)", "unsupported operation: more than one element of"),
    "setitem into expanded": ("a = lib.zeros(3).expand(2, 3); a[:, 0] = 1.0", "unsupported operation: more than one"),
    "overlapping operand": ("y = w * 1; y.add_(y.t())", "unsupported operation: some elements of the input tensor and"),
    "overlapping setitem": (
        "y = w * 1; y[1:] = y[:-1]",
        "unsupported operation: some elements of the input tensor and",
    ),
    "detach_ of a view": ("(w * 1)[0].detach_()", "Can't detach views in-place."),
    "too large an operand": ("(v * 1).add_(w)", "output with shape [3] doesn't match the broadcast shape [3, 3]"),
    "an operand that does not fit": (
        "(v * 1).add_(w[0, :2])",
        "The size of tensor a (3) must match the size of tensor b (2)",
    ),
    "too high a type": (
        "lib.tensor([1, 2]).add_(1.5)",
        "result type Float can't be cast to the desired output type Long",
    ),
    "setitem that does not fit": (
        "y = w * 1; y[0] = v[:2]",
        "The expanded size of the tensor (3) must match the existing",
    ),
    "setitem by list that does not fit": (
        "y = w * 1; y[[0, 1]] = w[:2, :2]",
        "shape mismatch: value tensor of shape [2, 2]",
    ),
    "setitem of another dtype by list": (
        "y = w * 1; y[[0]] = v.float()",
        "Index put requires the source and destination",
    ),
    "setitem of text": ("y = w * 1; y[0] = 'a'", "can't assign a str to a torch.DoubleTensor"),
    "setitem out of range": ("y = w * 1; y[5] = 1.0", "index 5 is out of bounds for dimension 0 with size 3"),
}
MODIFIED = "one of the variables needed for gradient computation has been modified by an inplace operation: "
STALE = {
    "a saved result that is turned": ("y = w.exp(); y.t_(); y.sum().backward()", "which is output 0 of Exp"),
    "result": (
        "y = v.exp(); y.add_(1); y.sum().backward()",
        "[torch.DoubleTensor [3]], which is output 0 of Exp, is at",
    ),
    "operand": (
        "y = v * 1; a = y * w; y.mul_(2); a.sum().backward()",
        "which is output 0 of Mul, is at version 1; expected",
    ),
    "operand, written through a view": (
        "y = v * 1; a = y * w; y[0] = 2; a.sum().backward()",
        "torch::autograd::CopySlices",
    ),
    "view": (
        "y = w * 1; a = y[0]; b = a * a; y.add_(1); b.sum().backward()",
        "[3]], which is output 0 of AsStrided, is",
    ),
    "leaf": (
        "a = w * w\nwith lib.no_grad(): w.add_(1)\na.sum().backward()",
        "[3, 3]] is at version 1; expected version 0",
    ),
    "through detach": (
        "a = w * w; w.detach().mul_(2); a.sum().backward()",
        "[3, 3]] is at version 1; expected version 0",
    ),
    "constant": (
        "a = lib.ones(3); b = a * v; a.add_(1); b.sum().backward()",
        "[torch.FloatTensor [3]] is at version 1",
    ),
    "several times": (
        "y = v * 1; a = y * w; y += 1; y += 1; a.sum().backward()",
        "is at version 2; expected version 0",
    ),
    "itself as its own operand": (
        "y = v * 1; y.mul_(y); y.sum().backward()",
        "which is output 0 of Mul, is at version 1",
    ),
    "a leaf that is fed before the error is": (
        "y = w * 1; y.mul_(y); (y.sum() + v.sum()).backward()",
        "output 0 of Mul",
    ),
}


def both(program: str) -> dict[str, Any]:
    """What PyTorch leaves of a program, having checked that gradviz leaves the same."""
    theirs, ours = run_text(torch, program), run_text(gradviz, program)
    assert ours == theirs, program
    return theirs


@pytest.mark.parametrize("program", [*SHARING.values(), *GRADIENTS.values()], ids=[*SHARING, *GRADIENTS])
def test_everything_seen_is_as_in_torch(program: str) -> None:
    assert "error" not in both(program)


@pytest.mark.parametrize(("program", "text"), REFUSED.values(), ids=REFUSED)
def test_a_write_is_refused_in_torchs_words(program: str, text: str) -> None:
    assert both(program)["error"][1].startswith(text)


@pytest.mark.parametrize(("program", "text"), STALE.values(), ids=STALE)
def test_a_saved_tensor_that_was_written_is_named_in_torchs_words(program: str, text: str) -> None:
    error = both(program)["error"][1]
    assert error.startswith(MODIFIED)
    assert text in error


STEPS = st.lists(
    st.builds(
        Step,
        kind=st.sampled_from(KINDS),
        first=st.integers(0, 11),
        second=st.integers(0, 11),
        mode=st.sampled_from(MODES),
    ),
    min_size=1,
    max_size=8,
)


@settings(
    max_examples=250, deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow]
)
@given(STEPS)
def test_any_program_of_views_writes_and_modes_is_as_in_torch(steps: list[Step]) -> None:
    theirs, ours = (run_steps(library, steps) for library in (torch, gradviz))
    for place, (mine, yours) in enumerate(zip(ours, theirs, strict=True)):
        assert mine == yours, f"entry {place} of {steps}"


def test_random_programs_reach_what_they_are_to_test() -> None:
    steps = [Step("select", 3, 0), Step("mul_", 4, 1), Step("sin", 3), Step("add_", 3, 0, "no_grad"), Step("fill_", 0)]
    log = run_steps(gradviz, steps)
    assert log[0] == ("RuntimeError", LEAF)
    states = [entry for entry in log if isinstance(entry, dict)]
    assert states[3]["chain"][0] == "torch::autograd::CopySlices"
    assert states[4]["chain"][0] == "AsStridedBackward0"
    assert states[3]["version"] == 2
    assert any(
        entry[0] == "RuntimeError" and entry[1].startswith(MODIFIED) for entry in log if isinstance(entry, tuple)
    )


# ---- what gradviz remembers beyond PyTorch


def origin(tensor: Any) -> Any:
    """The record behind a tensor, as it is now."""
    tensor._refresh(strict=False)
    return tensor._origin


def test_an_untracked_write_through_a_view_is_remembered_by_the_base_and_its_views() -> None:
    base, value = gradviz.zeros(3, 3), gradviz.ones(3)
    row, column = base[0], base[:, 0]
    base[1] = value * 2
    assert origin(base).row.name == "copy_slices"
    write = origin(base).links[1]
    assert write.row.name == "copy"
    assert write.links[1].row.name == "mul"
    for view in (row, column):
        assert origin(view).row.name == "as_strided"
        assert origin(view).links[0] is base._origin
        assert origin(view) is origin(view), "asking again makes no new record"


def test_writes_to_a_plain_tensor_do_not_pile_up() -> None:
    base = gradviz.zeros(4)
    for number in range(2000):
        base[number % 4] = number
    assert origin(base).past <= 257


def test_a_write_does_not_keep_the_graph_behind_it_alive_through_shared_memory() -> None:
    weight = gradviz.tensor([1.0, 2.0], requires_grad=True)
    result = weight * 1
    alias = result.detach()
    result.mul_(weight)
    step = weakref.ref(result.grad_fn)
    del result
    assert step() is None
    assert alias.tolist() == [1.0, 4.0]


def test_programs_are_told_apart() -> None:
    assert run_text(gradviz, "a = w * 1") != run_text(gradviz, "a = w * 2")
    assert aliasing.complaint(ValueError("one\ntwo")) == ("ValueError", "one")
