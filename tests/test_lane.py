"""The fast lane of the core's recordings: what is told by a plan is to the byte what a closer look tells."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from gradviz.core.lane import Lane, Plan
from gradviz.gvlog import read_log
from gradviz.recorder import Recorder

PROGRAMS = {
    "numbers, plain arguments and shapes that change": """
        x = torch.ones(4, 3, requires_grad=True)
        for turn in range(6):
            y = x * (turn + 0.5)
            z = y.sum(turn % 2) if turn < 4 else y.sum()
            for one in (x, y, z, x[turn % 3], x[:turn + 1]):
                w = (one * True).exp() + turn
            (-0.0 * w).sum().backward()
        """,
    "one place for several ops, one op from several places": """
        def act(x, name):
            return getattr(x, name)()
        x = torch.ones(3, requires_grad=True)
        for _ in range(3):
            for name in ("exp", "tanh", "relu", "detach", "neg"):
                y = act(x, name)
            a, b = act(x, "exp"), act(y, "exp")
        with torch.no_grad():
            for _ in range(3):
                for name in ("exp", "tanh", "detach"):
                    y = act(x, name)
                    z = act(y, name)
        """,
    "training by hand": """
        w = torch.ones(3, 2, requires_grad=True)
        x = torch.ones(4, 3)
        for step in range(5):
            if step == 3:
                w.requires_grad_(False)
            if step == 4:
                w.requires_grad_(True)
            loss = torch.nn.functional.mse_loss(x @ w, torch.zeros(4, 2))
            if loss.requires_grad:
                loss.backward()
            with torch.no_grad():
                w -= 0.1 * (w.grad if w.grad is not None else w)
                w.grad = None
        """,
    "modules and an optimizer": """
        torch.manual_seed(0)
        net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Dropout(0.5), torch.nn.Linear(4, 2))
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
        for step in range(4):
            optimizer.zero_grad()
            target = torch.tensor([0, 1, 1])
            loss = torch.nn.functional.cross_entropy(net(torch.ones(3, 3)), target)
            loss.backward()
            optimizer.step()
            net.train(step % 2 == 0)
            print(loss.item())
        """,
    "views, writes and hooks": """
        base = torch.zeros(4, 2, requires_grad=True)
        for turn in range(3):
            x = base * 2
            row = x[turn]
            row += 1
            x.mul_(2)
            y = x.exp()
            y.register_hook(lambda g: g * 2)
            z = y * y
            a, b = z.split(2)
            (a + b).sum().backward()
            frozen = [one.detach() for one in (x, y, z)]
            total = sum(frozen)
        """,
    "threads": """
        import threading
        def work():
            for _ in range(3):
                z = (x * 2).exp()
        x = torch.ones(2, requires_grad=True)
        for _ in range(2):
            thread = threading.Thread(target=work)
            thread.start()
            thread.join()
            work()
        """,
}
CLOSER = "import sys; from gradviz.core.lane import Lane; Lane.plan_of = lambda *given: None; "


def recorded(script: Path, before: str) -> bytes:
    """The log of a script that runs on the core, in a process of its own."""
    log = script.with_suffix(".gvlog")
    run = f"{before}from gradviz_cli.main import main; main()"
    given = ["record", "--core", str(script), "-o", str(log)]
    done = subprocess.run([sys.executable, "-c", run, *given], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return log.read_bytes()


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_plan_tells_what_a_closer_look_tells(name: str, tmp_path: Path) -> None:
    script = tmp_path / "program.py"
    script.write_text("import torch\n" + textwrap.dedent(PROGRAMS[name]))
    by_plan = recorded(script, "")
    assert by_plan == recorded(script, CLOSER)
    assert by_plan.count(b'{"op":') > 20


def test_most_ops_of_a_loop_are_told_by_a_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    import gradviz

    planned, plan_of = [], Lane.plan_of

    def counting(lane: Lane, *given: object) -> object:
        found = plan_of(lane, *given)  # type: ignore[arg-type]
        planned.append(found is not None)
        return found

    monkeypatch.setattr(Lane, "plan_of", counting)
    x = gradviz.tensor([1.0, 2.0], requires_grad=True)
    with gradviz.record() as rec:
        for _ in range(50):
            y = (x * 2).exp().sum()
    assert y.requires_grad
    assert rec.ops == 151
    assert planned.count(True) == 147


def test_the_first_ops_of_a_program_are_on_disk_at_once(tmp_path: Path) -> None:
    import gradviz

    x = gradviz.tensor([1.0, 2.0], requires_grad=True)
    path = tmp_path / "run.gvlog"
    lost = []
    with Recorder(path) as rec:
        for _ in range(100):
            x * 2.0
            lost.append(rec.ops - sum(type(event).__name__ == "Op" for event in read_log(path)))
            lost[-1] += len(rec.pending)
    assert max(lost) < 12


def test_a_program_whose_code_never_repeats_does_not_grow() -> None:
    import gradviz
    from gradviz.core import lane

    x = gradviz.tensor([1.0])
    with gradviz.record():
        y = x * 2
    kept = Lane(Recorder(), set(), {})
    for number in range(lane.PLAN_LIMIT + 10):
        kept.keep(y._origin, (number,), 0, 0)  # type: ignore[arg-type]
    assert len(kept._plans) <= lane.PLAN_LIMIT
    for number in range(50):
        kept.keep(y._origin, (), number, 0)
    assert [type(plan) for plan in kept._plans[()]] == [Plan] * lane.WAYS_LIMIT


def test_a_plan_keeps_no_array_alive() -> None:
    import weakref

    import gradviz
    from gradviz.core.ops.table import TABLE

    with gradviz.record():
        x = gradviz.ones(3, requires_grad=True)
        y = gradviz.nn.functional.rrelu(-x, training=True)
        step = y._origin
        assert step.row is TABLE["rrelu"]
        noise = weakref.ref(next(item for item in step.static if hasattr(item, "shape")))
        del y, step
        assert noise() is None


@pytest.mark.parametrize("seconds", [0.0, 1000.0])
def test_a_sweep_that_comes_late_has_what_waits_written(
    seconds: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import gradviz

    monkeypatch.setattr("gradviz.core.lane.PENDING_SECONDS", seconds)
    x = gradviz.tensor([1.0, 2.0], requires_grad=True)
    waiting = []
    with Recorder(tmp_path / "run.gvlog") as rec:
        for _ in range(100):
            (x * 2.0).sum().backward()
            waiting.append(len(rec.pending))
            x.grad = None
    assert any(waiting) == bool(seconds)
    kinds = [type(event).__name__ for event in rec.events if type(event).__name__ in ("Op", "Sweep", "Act", "Name")]
    assert kinds[-5:-1] == ["Op", "Name", "Sweep", "Act"]  # then `x` gets its name
    assert [kinds.count(kind) for kind in ("Sweep", "Act")] == [100, 100]


def test_a_clock_follows_a_sweep_that_waits() -> None:
    import gradviz

    x = gradviz.tensor([1.0, 2.0], requires_grad=True)
    with gradviz.record(times=True) as rec:
        for _ in range(100):
            (x * 2.0).sum().backward()
            x.grad = None
    kinds = [type(event).__name__ for event in rec.events]
    assert [kinds[place + 1] for place, kind in enumerate(kinds) if kind == "Sweep"] == ["Clock"] * 100
