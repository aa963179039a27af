"""Every cut that a PyTorch program can make: its cause, its line, and the value that a gradient would have come to."""

from __future__ import annotations

import textwrap
import warnings
from pathlib import Path

import pytest
import torch

import gradviz
from gradviz.events import Cause

# A program for each way, by cause; the cut is at the line that ends in `# here`, and `w` is what it cuts off.
CUTS: dict[str, list[str]] = {
    Cause.DETACH: ["y = w.detach()  # here", "y = torch.detach(w)  # here"],
    Cause.DETACH_: ["w = torch.ones(2, requires_grad=True) * 2\nw.detach_()  # here"],
    Cause.DATA: ["y = w.data * 2  # here", "v = torch.zeros(2)\nv.data = w  # here"],
    Cause.NO_GRAD: [
        "with torch.no_grad():\n    y = w * 2  # here",
        "@torch.no_grad()\ndef f(x):\n    return x * 2  # here\nf(w)",
        "@torch.no_grad\ndef f(x):\n    return x * 2  # here\nf(w)",
        "@torch.no_grad()\ndef f(x):\n    yield x * 2  # here\nlist(f(w))",
        "no = torch.no_grad()\nwith no:\n    pass\nwith no:\n    y = w * 2  # here",
    ],
    Cause.INFERENCE_MODE: [
        "with torch.inference_mode():\n    y = w * 2  # here",
        "@torch.inference_mode()\ndef f(x):\n    return x * 2  # here\nf(w)",
        "with torch.inference_mode():\n    with torch.enable_grad():\n        y = w * 2  # here",
    ],
    Cause.SET_GRAD_ENABLED: [
        "torch.set_grad_enabled(False)\ny = w * 2  # here",
        "with torch.set_grad_enabled(False):\n    y = w * 2  # here",
        "@torch.set_grad_enabled(False)\ndef f(x):\n    return x * 2  # here\nf(w)",
    ],
    Cause.ITEM: [
        "y = w[0].item()  # here", "y = float(w[0])  # here", "y = int(w[0])  # here", "y = bool(w[0])  # here",
        "y = w.tolist()  # here", "y = torch.equal(w, torch.ones(2))  # here", "if w[0]:  # here\n    pass",
    ],
    Cause.RETENSOR: [
        "y = torch.tensor(w)  # here", "y = torch.tensor([w[0], 1.0])  # here", "y = w.new_tensor(w)  # here",
        "y = torch.nn.Parameter(w * 1)  # here",
    ],
    Cause.INTEGER: ["y = w.long()  # here", "y = w.argmax()  # here", "y = w.to(torch.int32)  # here"],
    Cause.NONDIFFERENTIABLE: ["y = w > 1  # here", "y = torch.isnan(w)  # here", "y = w.bool()  # here"],
    Cause.CUSTOM_FUNCTION: [
        "class F(torch.autograd.Function):\n"
        "    @staticmethod\n    def forward(ctx, x):\n        y = x.round()\n"
        "        ctx.mark_non_differentiable(y)\n        return y\n"
        "y = F.apply(w)  # here"
    ],
}  # fmt: skip


@pytest.mark.parametrize(("cause", "source"), [(cause, source) for cause in CUTS for source in CUTS[cause]])
def test_a_cut_has_its_cause_its_line_and_its_value(cause: str, source: str, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(source))
    namespace: dict[str, object] = {"torch": torch, "w": torch.ones(2, requires_grad=True)}
    with gradviz.record() as rec, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exec(compile(source, str(script), "exec"), namespace)
    torch.set_grad_enabled(True)
    assert not rec.failures
    graph = rec.graph()
    graph.validate()
    (cut,) = graph.cuts
    assert cut.cause == cause
    assert graph.sites[cut.site or 0].text.endswith("# here")
    assert graph.values[cut.value].requires_grad


def test_numpy_takes_nothing_that_a_gradient_could_come_to() -> None:
    """PyTorch refuses, so what leaves for numpy was detached before: that is the cut."""
    with gradviz.record() as rec:
        w = torch.ones(2, requires_grad=True)
        with pytest.raises(RuntimeError, match="detach"):
            w.numpy()
        with torch.no_grad():
            y = w * 1
        y.detach().numpy()
    graph = rec.graph()
    assert [cut.cause for cut in graph.cuts] == [Cause.NO_GRAD]
    assert [op.name for op in graph.ops.values()][-1] == "numpy"


def test_there_is_a_program_for_every_cause() -> None:
    """What is frozen cuts nothing off: it never required grad. It is a finding, not a cut."""
    assert set(CUTS) | {Cause.NUMPY, Cause.FROZEN} == set(Cause)
