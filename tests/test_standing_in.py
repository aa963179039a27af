"""`--core`: scripts that say `import torch` run on gradviz's own tensors, when asked, and say the same."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

import gradviz
from gradviz.gvlog import read_log
from gradviz.recorder import Recorder
from gradviz.run import Target, run_script
from gradviz.standing_in import standing_in

SCRIPT = """\
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor, optim
from torch.autograd import grad
from torch.nn import Linear
from torch.nn.parameter import Parameter
from torch.nn.utils import clip_grad_norm_
from torch.optim.lr_scheduler import StepLR
from torch.utils.data import DataLoader, TensorDataset

device = torch.device("cuda" if torch.cuda.is_available() and "--gpu" in [] else "cpu")
torch.manual_seed(0)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 8)
        self.out = Linear(8, 3)
        self.scale = Parameter(torch.ones(3))

    def forward(self, x: Tensor) -> Tensor:
        return self.out(F.relu(self.fc(x))) * self.scale


model = Net().to(device)
print(model)
data = TensorDataset(torch.randn(12, 4), torch.randint(0, 3, (12,)))
optimizer = optim.Adam(model.parameters(), lr=0.01)
scheduler = StepLR(optimizer, 2)
for epoch in range(3):
    for x, y in DataLoader(data, batch_size=4, shuffle=True):
        x, y = x.to(device), y.to(device)
        loss = F.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        norm = clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    scheduler.step()
    print(epoch, f"{loss.item():.4f}", f"{norm.item():.3f}", f"{scheduler.get_last_lr()[0]:.4f}")
print(x.shape, x.dtype, model.fc.weight.size(), x.device, repr(x.device))
print(torch.tensor([1.0]).double(), torch.tensor([2, 3]).max(0))
w = torch.tensor(2.0, requires_grad=True)
print(grad(w * w, w))
"""


def gv(*command: object, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "gradviz", *map(str, command)], capture_output=True, text=True, cwd=folder, check=False
    )


def without_torch(folder: Path, *command: object) -> subprocess.CompletedProcess[str]:
    """gradviz in a process in which PyTorch cannot be found."""
    code = (
        "import sys\n"
        "class Hide:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.partition('.')[0] in ('torch', 'torchviz'):\n"
        "            raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
        "sys.meta_path.insert(0, Hide())\n"
        "from gradviz_cli.main import main\n"
        "main()\n"
    )
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, command)], capture_output=True, text=True, cwd=folder, check=False
    )


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "train.py"
    path.write_text(SCRIPT)
    return path


def test_a_script_prints_what_it_prints_with_pytorch(script: Path) -> None:
    plain = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)
    done = gv("render", "--core", script, "--of", "loss", "-o", "train.svg", folder=script.parent)
    assert done.returncode == 0, done.stderr
    assert done.stdout == plain.stdout
    assert "model.fc.weight" in (script.parent / "train.svg").read_text()


def test_a_script_runs_where_pytorch_is_not_installed(script: Path) -> None:
    for command in (["--core"], ["--core", "render"], ["render", "--core"], ["tree", "--core"], ["stats", "--core"]):
        done = without_torch(script.parent, *command, script)
        assert done.returncode == 0, done.stderr
    assert (script.parent / "train.svg").exists()
    assert without_torch(script.parent, "check", "--core", script).returncode == 0
    assert "got a gradient" in without_torch(script.parent, "explain", "--core", script, "model.fc.weight").stdout
    done = without_torch(script.parent, "record", "--core", script, "-o", "run.gvlog")
    assert done.returncode == 0, done.stderr
    header = next(iter(read_log(script.parent / "run.gvlog")))
    assert header.producer == "core"
    assert "torch" not in dict(header.versions)


def test_without_pytorch_and_without_the_option_both_ways_are_told(script: Path) -> None:
    done = without_torch(script.parent, "render", script)
    plain = subprocess.run([sys.executable, "-c", "import nosuch"], capture_output=True, text=True, check=False)
    assert done.returncode == plain.returncode == 1
    lines = done.stderr.splitlines()
    end = lines.index("ModuleNotFoundError: No module named 'torch'")
    assert lines[:2] == ["Traceback (most recent call last):", f'  File "{script}", line 1, in <module>']
    assert lines[end + 1].startswith("help: install PyTorch (`pip install 'gradviz[torch]'`), or run the script")
    assert "`--core`" in lines[end + 1]


def test_another_missing_module_gets_no_such_help(tmp_path: Path) -> None:
    (tmp_path / "other.py").write_text("import gradviz\ngradviz.ones(1)\nimport nosuch\n")
    assert "--core" not in gv("render", "other.py", folder=tmp_path).stderr


@pytest.mark.parametrize(
    ("line", "error", "told"),
    [
        ("import torch; torch.no_such_thing", "AttributeError", "module 'torch' has no attribute 'no_such_thing'"),
        ("import torch; torch.nn.Linaer", "AttributeError", "did you mean `torch.nn.Linear`?"),
        ("from torch.optim import Nada", "ModuleNotFoundError", "there is no 'Nada' in 'torch.optim'; gradviz runs"),
        ("from torch import fx", "ModuleNotFoundError", "there is no 'fx' in 'torch'; gradviz runs"),
        ("import torch.fx", "ModuleNotFoundError", "there is no 'fx' in 'torch'; gradviz runs"),
        ("import torch; torch.recorder", "AttributeError", "module 'torch' has no attribute 'recorder'"),
        ("import torch.core", "ModuleNotFoundError", "there is no 'core' in 'torch'"),
    ],
)
def test_what_the_core_lacks_is_said(line: str, error: str, told: str, tmp_path: Path) -> None:
    (tmp_path / "lacks.py").write_text(f"{line}\n")
    done = gv("render", "--core", "lacks.py", folder=tmp_path)
    assert done.returncode == 1
    found = next(text for text in done.stderr.splitlines() if text.startswith(error))
    assert told in found
    assert "--core" in done.stderr
    assert 'standing_in.py"' not in done.stderr, "the traceback is the script's"


def test_a_script_may_ask_whether_a_name_is_there(tmp_path: Path) -> None:
    (tmp_path / "asks.py").write_text(
        "import torch\n"
        "print(hasattr(torch, 'compile_it'), hasattr(torch.nn, 'Linear'), torch.__version__.startswith('2.'))\n"
        "try:\n    import torch.fx\nexcept ImportError:\n    print('no')\n"
        "torch.ones(1)\n"
    )
    assert gv("render", "--core", "asks.py", "-o", "out.svg", folder=tmp_path).stdout == "False True True\nno\n"


def test_everything_is_put_back(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text("import torch\nkind = torch.Tensor\nprint(torch.ones(2).shape)\n")
    before = {name for name in sys.modules if name.partition(".")[0] == "torch"}
    finders = list(sys.meta_path)
    outcome = run_script(Target(str(tmp_path / "script.py"), core=True), Recorder())
    assert outcome.module.kind == gradviz.Tensor
    assert sys.modules["torch"] is torch
    assert {name for name in sys.modules if name.partition(".")[0] == "torch"} == before
    assert sys.meta_path == finders
    assert repr(gradviz.ones(2).shape) == "gradviz.Size([2])"


def test_never_without_being_asked(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text("import torch\nprint(torch.__file__)\ntorch.ones(1)\n")
    done = gv("render", "script.py", "-o", "out.svg", folder=tmp_path)
    assert done.stdout == f"{torch.__file__}\n"


def test_torchviz_is_there_too() -> None:
    with standing_in():
        import torch as stand_in
        from torchviz import make_dot

        w = stand_in.ones(2, requires_grad=True)
        drawn = make_dot((w * 2).sum(), params={"w": w}).source
    assert "MulBackward0" in drawn
    assert stand_in is not torch


def test_a_log_is_not_run(script: Path) -> None:
    gv("record", "--core", script, "-o", "run.gvlog", folder=script.parent)
    done = gv("render", "--core", "run.gvlog", folder=script.parent)
    assert done.returncode == 2
    assert "leave out `--core`" in done.stderr


def test_mixed_precision_for_a_gpu_that_is_not_there_is_disabled(tmp_path: Path) -> None:
    (tmp_path / "amp.py").write_text(
        "import torch\n"
        "from torch.cuda.amp import GradScaler, autocast\n"
        "scaler = GradScaler()\n"
        "w = torch.ones(2, requires_grad=True)\n"
        "optimizer = torch.optim.SGD([w], lr=0.1)\n"
        "with autocast(), torch.cuda.amp.autocast(False), torch.autocast('cuda', enabled=torch.cuda.is_available()):\n"
        "    loss = (w * 2).sum()\n"
        "scaler.scale(loss).backward()\n"
        "scaler.step(optimizer)\n"
        "scaler.update()\n"
        "print(w.tolist(), torch.cuda.device_count())\n"
    )
    done = gv("check", "--core", "amp.py", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "[0.800000011920929, 0.800000011920929] 0" in done.stderr + done.stdout
    assert "is deprecated. Please use `torch.amp.autocast('cuda', args...)` instead." in done.stderr


def test_the_class_of_tensors_makes_tensors_as_old_programs_do(tmp_path: Path) -> None:
    program = """
import torch
from torch import Tensor
x = torch.Tensor([1, 2])
print(x, torch.Tensor(2, 3).shape, isinstance(x, Tensor), type(x) == torch.Tensor, isinstance(3, torch.Tensor))
print(torch.Tensor.add(x, x), torch.LongTensor([1]).dtype, isinstance(torch.nn.Parameter(x), torch.Tensor))
class Mine(torch.nn.Parameter):
    pass
print(isinstance(Mine(x), Tensor), issubclass(Mine, torch.Tensor) in (True, False))
torch.Tensor.twice = lambda self: self * 2
print(x.twice())
"""
    path = tmp_path / "old.py"
    path.write_text(program)
    plain = subprocess.run([sys.executable, path], capture_output=True, text=True, check=True)
    ours = gv("record", "--core", path, "-o", "old.gvlog", folder=tmp_path)
    assert (ours.returncode, ours.stdout) == (0, plain.stdout), ours.stderr


ASKING = """\
import torch
import torch.backends.cudnn as cudnn
import torch.nn.functional as F
from torch import nn
from torch.optim.lr_scheduler import *
from torch.testing import assert_close

torch.manual_seed(0)
torch.cuda.manual_seed(0), torch.cuda.manual_seed_all(0), torch.cuda.empty_cache(), torch.mps.manual_seed(0)
cudnn.benchmark = False
torch.backends.cudnn.deterministic = True
print(cudnn.deterministic, torch.cuda.memory_allocated(), torch.cuda.device_count(), torch.version.cuda)
print(torch.backends.mps.is_available(), torch.accelerator.is_available(), torch.xpu.is_available())
for ask in (torch.cuda.synchronize, torch.cuda.current_device, torch.cuda.get_device_name):
    try:
        ask()
    except AssertionError as error:
        print(error)
scaler = torch.cuda.amp.GradScaler(enabled=False)
model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1))
compiled = torch.compile(model, backend="eager")
print(compiled, sorted(compiled.state_dict()), compiled.eval().training, model.training)
x = torch.randn(2, 3)
assert_close(compiled(x), model(x))


@torch.compile(backend="eager")
def double(x):
    return x * 2


@torch.compiler.disable
def triple(x):
    return x * 3


print(double(x), triple(x), torch.compiler.is_compiling(), x[torch.newaxis].shape)
with torch.random.fork_rng():
    torch.rand(3)
print(torch.rand(1), torch.random.initial_seed())
optimizer = torch.optim.SGD(compiled.parameters(), lr=0.1)
scheduler = CosineAnnealingLR(optimizer, T_max=4)
F.mse_loss(compiled(x), torch.zeros(2, 1)).backward()
optimizer.step(), scheduler.step()
print(scheduler.get_last_lr(), [tuple(p.grad.shape) for p in model.parameters()])
torch.set_default_tensor_type(torch.DoubleTensor)
print(torch.ones(1), torch.split_with_sizes(torch.arange(3), [1, 2]))
"""


def test_questions_about_devices_and_compilers_are_answered(tmp_path: Path) -> None:
    script = tmp_path / "ask.py"
    script.write_text(ASKING)
    plain = subprocess.run(
        [sys.executable, "-W", "ignore", script], capture_output=True, text=True, check=True, timeout=300
    )
    done = gv("render", "--core", script, "-o", "ask.svg", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout == plain.stdout
