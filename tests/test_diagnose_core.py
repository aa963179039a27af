"""The rules of `gradviz check` on gradviz's own tensors: a small program for each kind of mistake that exists there."""

from __future__ import annotations

from pathlib import Path

import pytest
from score_cases import findings_of

BEGINNING = """\
import gradviz as gv
w = gv.tensor([1.0, 2.0], requires_grad=True)
v = gv.tensor([3.0, 4.0], requires_grad=True)
x = gv.tensor([0.5, 0.25])
"""

USED = "loss = (h * v).sum()\nloss.backward()\n"

# Kind, code, what stands on the culprit's line, and the program after its beginning. Most lose `w` its gradient.
MISTAKES = [
    ("detach", "GV101", ".detach()", "h = (w * x).detach()\n" + USED),
    ("detach", "GV101", ".detach()", "h = (w * w).sum().detach()\nloss = (w * v).sum() + 0.1 * h\nloss.backward()\n"),
    ("data", "GV102", "w.data", "h = w.data * x\n" + USED),
    ("item", "GV103", ".item()", "h = (w * x).sum().item()\n" + USED),
    ("numpy", "GV104", ".numpy()", "h = gv.tensor((w * x).detach().numpy() * 2)\n" + USED),
    ("retensor", "GV105", "gv.tensor(w", "h = gv.tensor(w * x)\n" + USED),
    ("nondifferentiable", "GV107", "w > 1", "h = (w > 1).float()\n" + USED),
    ("integer", "GV106", ".long()", "h = (w * x).long()\n" + USED),
    ("no_grad", "GV201", "no_grad", "with gv.no_grad():\n    h = w * x\n" + USED),
    (
        "set_grad_enabled", "GV202", "set_grad_enabled(False)",
        "gv.set_grad_enabled(False)\nh = w * x\ngv.set_grad_enabled(True)\n" + USED,
    ),
    ("inference_mode", "GV203", "inference_mode", "with gv.inference_mode():\n    h = (w * x).sum()\nh.backward()\n"),
    ("inplace_saved", "GV301", "add_", "h = (w * x).exp()\nloss = (h * v).sum()\nh.add_(1)\nloss.backward()\n"),
    ("inplace_leaf", "GV302", "add_", "w.add_(1)\n"),
    ("non_leaf_grad", "GV407", "h = w", "h = w * x\n" + USED + "h.grad\n"),
    ("unbackwarded_term", "GV406", "aux =", "aux = (w * w).sum()\nloss = (v * x).sum()\nloss.backward()\n"),
    ("backward_twice", "GV501", "# again", "loss = (w * v).exp().sum()\nloss.backward()\nloss.backward()  # again\n"),
    (
        "loss_accumulation", "GV503", "total + loss",
        "total = 0\nfor _ in range(4):\n    loss = (w * v).exp().sum()\n    loss.backward(retain_graph=True)\n"
        "    total = total + loss\n",
    ),
    ("nan_gradient", "GV602", "sqrt", "h = (w - w).sqrt()\n" + USED),
]  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "code", "source", "rest"), MISTAKES, ids=[f"{kind}-{at}" for at, (kind, *_) in enumerate(MISTAKES)]
)
@pytest.mark.filterwarnings("ignore:The .grad attribute")
def test_a_mistake_with_the_cores_tensors(kind: str, code: str, source: str, rest: str, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(BEGINNING + rest, encoding="utf-8")
    told = [finding for finding in findings_of(program) if finding["severity"] != "note"]
    assert [(finding["kind"], finding["code"]) for finding in told] == [(kind, code)]
    assert source in program.read_text(encoding="utf-8").splitlines()[told[0]["line"] - 1]


def test_a_right_program_gives_no_finding(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        BEGINNING + "with gv.no_grad():\n    target = v * 2\n"
        "for _ in range(3):\n    loss = ((w * v - target) ** 2).sum()\n    loss.backward()\n"
        "    with gv.no_grad():\n        w -= 0.1 * w.grad\n        v -= 0.1 * v.grad\n"
        "    w.grad = v.grad = None\nprint(loss.item())\n",
        encoding="utf-8",
    )
    assert not findings_of(program)


MODULES = """\
import gradviz as gv
from gradviz import nn
from gradviz.utils.checkpoint import checkpoint
gv.manual_seed(0)
"""

# Kind, what the finding names, what stands on the culprit's line, and the program after its beginning.
MISTAKES_WITH_MODULES = [
    (
        "freeze_noop", {"net.0.weight", "net.0.bias"}, "p.requires_grad = True",
        "net = nn.Sequential(nn.Linear(2, 2), nn.Tanh(), nn.Linear(2, 1))\n"
        "for p in net[0].parameters():\n    p.requires_grad = False\n"
        "for p in net.parameters():\n    p.requires_grad = True\n"
        "optimizer = gv.optim.SGD(net.parameters(), lr=0.1)\nnet(gv.randn(3, 2)).sum().backward()\noptimizer.step()\n",
    ),
    (
        "backward_twice", {"state"}, "state = layer(x, state)",
        "layer = nn.GRU(2, 3, batch_first=True)\nstate = None\nfor _ in range(2):\n    x = gv.randn(4, 5, 2)\n"
        "    seen, state = layer(x, state)\n    loss = seen.pow(2).sum()\n    loss.backward()\n",
    ),
    (
        "create_graph_cycle", {"net.0.weight", "net.0.bias", "net.2.weight", "net.2.bias"}, "create_graph=True",
        "net = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1))\nloss = net(gv.randn(4, 2)).pow(2).mean()\n"
        "loss.backward(create_graph=True)\nsum(p.grad.pow(2).sum() for p in net.parameters()).item()\n",
    ),
    (
        "eval_with_grad", {"shared.0"}, "start()",
        "import threading\nnet = nn.Linear(2, 2)\nshared = []\nx = gv.randn(3, 2)\n"
        "work = threading.Thread(target=lambda: shared.append(net(x)))\n"
        "with gv.no_grad():\n    work.start()\n    work.join()\n",
    ),
    (
        "checkpoint_reentrant", {"block.0.weight", "block.0.bias"}, "checkpoint(block",
        "block, head = nn.Sequential(nn.Linear(2, 2), nn.Tanh()), nn.Linear(2, 1)\n"
        "optimizer = gv.optim.SGD([*block.parameters(), *head.parameters()], lr=0.1)\n"
        "h = checkpoint(block, gv.randn(3, 2), use_reentrant=True)\nhead(h).sum().backward()\noptimizer.step()\n",
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "names", "source", "rest"), MISTAKES_WITH_MODULES, ids=[kind for kind, *_ in MISTAKES_WITH_MODULES]
)
def test_a_mistake_with_the_cores_modules(kind: str, names: set[str], source: str, rest: str, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(MODULES + rest, encoding="utf-8")
    told = [finding for finding in findings_of(program) if finding["kind"] == kind]
    assert [set(finding["names"]) for finding in told] == [names]
    assert source in program.read_text(encoding="utf-8").splitlines()[told[0]["line"] - 1]
