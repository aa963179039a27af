"""A recording changes nothing: not a bit of a result, not a warning, not a traceback, not the life of a tensor."""

from __future__ import annotations

import gc
import importlib
import subprocess
import sys
import traceback
import warnings
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from models import CASES, Case, seed, train
from torch import nn

import gradviz
from gradviz.events import Note


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Sums in parallel may round differently from run to run."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with torch.random.fork_rng():
        yield
    torch.set_num_threads(threads)


# results


@pytest.mark.parametrize("make", CASES.values(), ids=CASES)
def test_training_is_the_same_to_the_bit(make: Callable[[], Case], tmp_path: Path) -> None:
    plain = train(make())
    with gradviz.record(tmp_path / "run.gvlog") as rec:
        recorded = train(make())
    again = train(make())
    assert not rec.failures
    assert rec.ops > 50
    assert recorded.tensors.keys() == plain.tensors.keys()
    assert [name for name in plain.tensors if plain.tensors[name] != recorded.tensors[name]] == []
    assert recorded.generators == plain.generators
    assert again == plain, "nothing of the recording stays behind"


def test_the_fast_path_of_a_transformer_is_taken_all_the_same() -> None:
    case = CASES["encoder"]()
    case.model.eval()

    def run() -> torch.Tensor:
        with torch.no_grad():
            return case.model(case.batch[0])

    plain = run()
    with torch.no_grad():
        torch.backends.mha.set_fastpath_enabled(False)
        slow = case.model(case.batch[0])
        torch.backends.mha.set_fastpath_enabled(True)
    assert not torch.equal(plain, slow), "the fast path rounds differently, so equality below means something"
    with gradviz.record() as rec:
        recorded = run()
    assert torch.equal(plain, recorded)
    assert not rec.failures
    graph = rec.graph()
    graph.validate()
    assert any(value.shape == (2, 6, 16) for value in graph.values.values())


def test_what_is_asked_of_a_tensor_gives_the_same_objects() -> None:
    x = torch.ones(3, requires_grad=True)
    with gradviz.record():
        y = x.exp()
        view = y[1:]
        assert view._base is y
        assert type(y) is torch.Tensor
        assert y.shape == (3,)
        assert isinstance(y.shape, torch.Size)
        assert x.grad is None
        y.sum().backward()
        grad = x.grad
        assert grad is x.grad
        values, indices = y.max(0)
        assert type(y.max(0)).__name__ == "max"
        assert (values.ndim, indices.dtype) == (0, torch.int64)
        assert y.detach().requires_grad is False
        assert [float(part) for part in y.detach()] == y.tolist()


def test_subclasses_and_modes_of_the_user_work_as_before() -> None:
    seen: list[str] = []

    class Logged(torch.Tensor):
        @classmethod
        def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            seen.append(getattr(func, "__name__", ""))
            return super().__torch_function__(func, types, args, kwargs or {})

    class Mode(torch.overrides.TorchFunctionMode):
        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            seen.append("mode " + getattr(func, "__name__", ""))
            return func(*args, **(kwargs or {}))

    def program() -> list[str]:
        seen.clear()
        x = torch.ones(3).as_subclass(Logged)
        seen.append(type(x + 1).__name__)
        with Mode():
            seen.append(type(torch.ones(2) * 2).__name__)
        return list(seen)

    plain = program()
    with gradviz.record() as rec:
        recorded = program()
    assert recorded == plain
    assert not rec.failures
    assert torch._C._len_torch_function_stack() == 0


# what the user reads


def warn_and_fail() -> None:
    x = torch.ones(3, requires_grad=True)
    y = x * 2
    _ = y.grad  # a warning of PyTorch's own, from C++
    torch.tensor(y)  # one from C++ as well
    float(x[0])
    with torch.no_grad():
        loss = y.sum()
    loss.backward()


def observed_warnings(program: Callable[[], object]) -> tuple[list[tuple[str, int, str]], list[tuple[str, int, str]]]:
    """File, line and text of each warning; file, line and function of each entry of the traceback.

    Where a mode is on, PyTorch calls `backward` by way of its own `handle_torch_function`: that is left out.
    """
    entries: list[tuple[str, int, str]] = []
    torch.set_warn_always(True)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            program()
        except RuntimeError as error:
            found = [(e.filename, e.lineno or 0, e.name) for e in traceback.extract_tb(error.__traceback__)]
            entries = [entry for entry, after in zip(found, [*found[1:], ("", 0, "")], strict=True)
                       if "handle_torch_function" not in (entry[2], after[2])]
    torch.set_warn_always(False)
    told = [(w.filename, w.lineno, str(w.message).split("(Triggered")[0].strip()) for w in caught]
    return told, entries


def test_warnings_keep_the_line_of_the_user() -> None:
    plain, _ = observed_warnings(warn_and_fail)
    with gradviz.record() as rec:
        recorded, _ = observed_warnings(warn_and_fail)
    assert [file for file, _, _ in plain] == [__file__] * len(plain)
    assert len(plain) >= 2
    assert recorded == plain
    assert not rec.failures


def warn_in_python() -> None:
    """Warnings that look for the line to blame some frames further out."""
    x = torch.ones(2, 2, requires_grad=True)
    torch.nn.functional.softmax(x)
    torch.nn.functional.mse_loss(x, torch.ones(2, 1))
    torch.nn.MSELoss()(x, torch.ones(2))
    torch.nn.functional.dropout2d(x)
    model = torch.nn.Linear(2, 1)
    model.register_full_backward_hook(lambda *_: None)
    model(torch.ones(1, 2)).sum().backward()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    torch.optim.lr_scheduler.StepLR(optimizer, 1).step()


def test_warnings_that_look_further_out_come_to_the_same_line() -> None:
    plain, _ = observed_warnings(warn_in_python)
    with gradviz.record() as rec:
        recorded, _ = observed_warnings(warn_in_python)
    assert sum(file == __file__ for file, _, _ in plain) >= 5
    assert recorded == plain
    assert not rec.failures


def test_tracebacks_have_no_frame_of_gradviz() -> None:
    _, plain = observed_warnings(warn_and_fail)
    with gradviz.record():
        _, recorded = observed_warnings(warn_and_fail)
    own = str(Path(gradviz.__file__).parent)
    assert plain
    assert [entry for entry in recorded if entry[0].startswith(own)] == []
    assert recorded == plain


FAILING = {
    "an op": "x = torch.ones(2)\nx @ torch.ones(3)\n",
    "a function": "F = torch.nn.functional\nF.linear(torch.ones(2), torch.ones(3, 3))\n",
    "a module": "torch.nn.Linear(3, 4)(torch.ones(2))\n",
    "backward": "torch.ones(2, requires_grad=True).exp().backward()\n",
    "a hook": (
        "def hook(grad):\n    raise ValueError('mine')\n"
        "x = torch.ones(2, requires_grad=True)\nx.register_hook(hook)\nx.sum().backward()\n"
    ),
    "a custom function": (
        "class F(torch.autograd.Function):\n"
        "    @staticmethod\n    def forward(ctx, x):\n        return x.exp()\n"
        "    @staticmethod\n    def backward(ctx, g):\n        return 1 / 0\n"
        "F.apply(torch.ones(2, requires_grad=True)).sum().backward()\n"
    ),
    "a thread": (
        "import threading\n"
        "def work():\n    torch.ones(2) @ torch.ones(3)\n"
        "thread = threading.Thread(target=work)\nthread.start()\nthread.join()\n"
    ),
    "an optimizer": "torch.optim.SGD([torch.ones(2).exp_()], lr=-1)\n",
    "a mode of its own": (
        "class Mine(torch.overrides.TorchFunctionMode):\n"
        "    def __torch_function__(self, func, types, args=(), kwargs=None):\n"
        "        return func(*args, **(kwargs or {}))\n"
        "with Mine():\n    torch.ones(2, requires_grad=True).exp().backward()\n"
    ),
    "a grad mode": "with torch.no_grad():\n    with torch.enable_grad():\n        torch.zeros(2).view(3)\n",
}


@pytest.mark.parametrize("source", FAILING.values(), ids=FAILING)
def test_what_a_failing_script_prints_is_what_python_prints(source: str, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text("import torch\n" + source)
    plain = run([sys.executable, script.name], tmp_path)
    recorded = run([sys.executable, "-m", "gradviz", "record", script.name, "-o", "run.gvlog"], tmp_path)
    assert recorded.returncode == plain.returncode
    assert recorded.stdout.startswith(plain.stdout)
    assert recorded.stderr.startswith(plain.stderr), recorded.stderr
    assert plain.stderr.count("Traceback") == recorded.stderr.count("Traceback") == 1


def run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


# lives


def lives() -> list[list[bool]]:
    """Which of a program's tensors are still there at some points of it."""
    watched: list[weakref.ref[Any]] = []
    history: list[list[bool]] = []

    def watch(tensor: torch.Tensor) -> torch.Tensor:
        watched.append(weakref.ref(tensor))
        watched.append(weakref.ref(tensor.untyped_storage()))
        return tensor

    def look() -> None:
        history.append([ref() is not None for ref in watched])

    weight = watch(torch.ones(4, 4, requires_grad=True))
    h = watch(weight * 2)
    look()
    h = watch(h.exp())
    look()
    loss = watch(h.sum())
    del h
    look()
    loss.backward()
    look()
    del loss
    look()
    with torch.no_grad():
        for _ in range(3):
            old = watch(weight + 1)
            look()
        view = watch(old[0])
        del old
        look()
    watch(view.detach())
    look()
    try:
        watch(weight @ torch.ones(3))
    except RuntimeError:
        look()
    values, indices = (watch(part) for part in weight.detach().max(0))
    del values
    look()
    del indices, view, weight
    look()
    return history


def test_no_tensor_lives_longer(tmp_path: Path) -> None:
    plain = lives()
    with gradviz.record() as rec:
        in_memory = lives()
    with gradviz.record(tmp_path / "run.gvlog"):
        on_disk = lives()
    assert not any(plain[-1])
    assert in_memory == plain
    assert on_disk == plain
    assert not rec.failures


def test_no_module_lives_longer() -> None:
    with gradviz.record():
        model = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
        optimizer = torch.optim.Adam(model.parameters())
        model(torch.ones(1, 2)).sum().backward()
        optimizer.step()
        refs = [weakref.ref(part) for part in (model, model[0], model[0].weight, optimizer)]
        del model, optimizer
        gc.collect()
        assert [ref() for ref in refs] == [None] * 4


PEAK = """
import contextlib, re, sys
import torch, gradviz
torch.set_num_threads(1)

def program():
    x = torch.ones(1 << 21, requires_grad=True)  # 8 MB
    for _ in range(5):
        h = x
        for _ in range(6):
            h = h.sin()
        h.sum().backward()
        with torch.no_grad():
            for _ in range(10):
                h = h + x

def kilobytes(field):
    with open("/proc/self/status") as file:
        return int(re.search(field + r":\\s+(\\d+)", file.read())[1])

def run():
    with gradviz.record(sys.argv[1]) if sys.argv[1:] else contextlib.nullcontext():
        program()

run()  # so that libraries are in memory
with open("/proc/self/clear_refs", "w") as file:
    file.write("5")  # the peak begins anew
before = kilobytes("VmRSS")
run()
print(kilobytes("VmHWM") - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the peak of a process is read from /proc")
def test_peak_memory(tmp_path: Path) -> None:
    (tmp_path / "peak.py").write_text(PEAK)
    # Each tensor in pages of its own, which go back to the system with it: nothing else of the process is in the way.
    script = ["env", "MALLOC_MMAP_THRESHOLD_=65536", sys.executable, "peak.py"]
    plain, recorded = (int(run([*script, *more], tmp_path).stdout) for more in ([], ["run.gvlog"]))
    assert plain > 7 * 8 << 10, "the program itself holds this many tensors at once"
    assert recorded - plain < 2 << 10, "a quarter of one tensor, in kilobytes"


# failures of the recording itself

STEPS = [
    ("gradviz.frontends.torch.calls.ops", "Ops.gather"),
    ("gradviz.frontends.torch.calls.ops", "Ops.ran"),
    ("gradviz.frontends.torch.calls.ops", "Ops.left"),
    ("gradviz.frontends.torch.books.book", "Book.tell_op"),
    ("gradviz.frontends.torch.engine.sweeps", "Sweeps._walk"),
    ("gradviz.frontends.torch.engine.sweeps", "Sweeps._tell"),
    ("gradviz.frontends.torch.listening.regions", "Regions.switched"),
    ("gradviz.frontends.torch.books.identity", "Tensors.learn"),
    ("gradviz.interning", "Interner.site"),
    ("gradviz.gvlog", "LogWriter.emit"),
]


@pytest.mark.parametrize(("module", "name"), STEPS, ids=[name for _, name in STEPS])
@pytest.mark.parametrize("good", [0, 1], ids=["first", "later"])
def test_a_failure_inside_the_recording_does_not_reach_the_program(
    module: str, name: str, good: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    owner_name, _, method = name.partition(".")
    owner = getattr(importlib.import_module(module), owner_name)
    whole = getattr(owner, method)
    calls = [0]

    def broken(*arguments: Any, **options: Any) -> Any:
        calls[0] += 1
        if calls[0] > good:
            raise ZeroDivisionError("a defect")
        return whole(*arguments, **options)

    def program() -> list[Any]:
        seed()
        x = torch.randn(3, requires_grad=True)
        with torch.no_grad():
            y = (x * 2).sum().item()
        for _ in range(2):
            (x * x).sum().backward()
        with torch.no_grad():
            x -= 0.1 * x.grad
        return [y, x.sum().item(), x.grad.tolist()]

    plain = program()
    with monkeypatch.context() as patch, gradviz.record(tmp_path / "run.gvlog") as rec:
        patch.setattr(owner, method, broken)
        recorded = program()
    assert calls[0] > good, f"{name} is not on the way"
    assert recorded == plain
    assert rec.failures
    assert "a defect" in rec.failures[0]
    assert torch._C._len_torch_function_stack() == 0
    if name != "LogWriter.emit":
        (note,) = [event for event in rec.events if isinstance(event, Note) and event.kind == "failure"]
        assert "a defect" in note.text
        rec.graph().validate()
