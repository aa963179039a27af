"""`gradviz check` and `gradviz rule`: what they print where, and their exit status."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path

import pytest
from building import Builder
from click.testing import CliRunner, Result
from gradviz_cli.main import application

from gradviz.diagnose import rules
from gradviz.events import Gradient
from gradviz.gvlog import LogWriter

STARVED = """
import gradviz
w = gradviz.tensor([1.0, 2.0], requires_grad=True)
h = (w * 3).detach()
v = gradviz.tensor([1.0, 1.0], requires_grad=True)
loss = (h * v).sum()
loss.backward()
print("the script speaks")
"""

NO_GRAD = """
import gradviz
w = gradviz.tensor(2.0, requires_grad=True)
with gradviz.no_grad():
    loss = w * 3
loss.backward()
"""

HEALTHY = """
import gradviz
w = gradviz.tensor(2.0, requires_grad=True)
for step in range(3):
    loss = (w - 1) ** 2
    w.grad = None
    loss.backward()
    with gradviz.no_grad():
        w -= 0.1 * w.grad
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(application, arguments, prog_name="gradviz", terminal_width=80)


def script(text: str) -> str:
    Path("train.py").write_text(textwrap.dedent(text).lstrip(), encoding="utf-8")
    return "train.py"


@pytest.fixture
def log() -> str:
    """A recording in which a parameter of an optimizer is starved by a detach at line 20."""
    b = Builder("train.py")
    w = b.leaf("w", (3,), requires_grad=True, line=1)
    v = b.leaf("v", (3,), requires_grad=True, line=2)
    owner = b.optimizer(w, v, line=3)
    loss = b.op("sum", b.op("mul", b.detach(w, name="h", line=20), v, line=21), name="loss", line=22)
    b.sweep(loss, line=23, gradients=[Gradient(v, 1.0)])
    b.act("step", optimizer=owner)
    writer = LogWriter("run.gvlog")
    for event in b.events():
        writer.emit(event)
    writer.close()
    return "run.gvlog"


def test_a_script_of_the_core_is_checked(capfd: pytest.CaptureFixture[str]) -> None:
    result = run("check", script(STARVED), "--format", "json", "--fail-on", "warning")
    captured = capfd.readouterr()
    findings = json.loads(captured.out)["findings"]
    assert [(f["kind"], f["severity"], f["line"], f["names"]) for f in findings] == [("detach", "warning", 3, ["w"])]
    assert "the script speaks" not in captured.out
    assert result.exit_code == 1


def test_a_script_that_raises_is_diagnosed_and_keeps_its_exception(capfd: pytest.CaptureFixture[str]) -> None:
    result = run("check", script(NO_GRAD))
    captured = capfd.readouterr()
    assert captured.out.startswith("error[GV201]: backward cannot start at `loss`: `w` went into it")
    assert "\n --> train.py:3:6\n  |\n3 | with gradviz.no_grad():\n  |      ^^^^^^^^^^^^^^^^^\n" in captured.out
    assert "RuntimeError: element 0 of tensors does not require grad" in result.output + captured.err
    assert result.exit_code == 1


def test_a_healthy_script(capfd: pytest.CaptureFixture[str]) -> None:
    result = run("check", script(HEALTHY), "--fail-on", "note")
    assert capfd.readouterr().out == "no findings\n"
    assert result.exit_code == 0


def test_a_log_is_read(log: str) -> None:
    result = run("check", log)
    lines = result.stdout.splitlines()
    assert lines[0].startswith("error[GV101]: `w` is in the optimizer but got no gradient")
    assert lines[1:5] == ["  --> train.py:20:1", "   |", "20 | h = detach(...)", "   | ^^^^^^^^^^"]
    assert lines[-1] == "1 error"
    assert result.exit_code == 1


@pytest.mark.parametrize(
    ("options", "status"),
    [
        ([], 1),
        (["--fail-on", "note"], 1),
        (["--fail-on", "never"], 0),
        (["--ignore", "GV101"], 0),
        (["--ignore", "gv1,GV2"], 0),
        (["--select", "GV4"], 0),
        (["--select", "GV101", "--select", "GV4"], 1),
    ],
)
def test_exit_status(log: str, options: list[str], status: int) -> None:
    assert run("check", log, *options).exit_code == status


@pytest.mark.parametrize(
    ("table", "options", "status"),
    [
        ('fail-on = "never"', [], 0),
        ('fail-on = "never"', ["--fail-on", "error"], 1),
        ('ignore = ["GV101"]', [], 0),
        ('ignore = ["GV101"]', ["--ignore", "GV4"], 1),
        ('select = ["GV4", "GV5"]', [], 0),
        ('fail-on = "often"', [], 2),
        ("ignore = 3", [], 2),
        ("colour = true", [], 2),
        ("=", [], 2),
    ],
)
def test_a_project_has_settings(log: str, folder: Path, table: str, options: list[str], status: int) -> None:
    Path("pyproject.toml").write_text(f"[tool.gradviz]\n{table}\n", encoding="utf-8")
    result = run("check", log, *options)
    assert result.exit_code == status
    assert (status == 2) == result.stderr.startswith("error: ")


def test_the_settings_of_a_folder_above_hold(log: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("pyproject.toml").write_text('[tool.gradviz]\nfail-on = "never"\n', encoding="utf-8")
    (folder / "inner").mkdir()
    monkeypatch.chdir(folder / "inner")
    Path("pyproject.toml").write_text("[project]\n", encoding="utf-8")
    assert run("check", f"../{log}").exit_code == 0


def test_an_unknown_code_is_a_usage_error(log: str) -> None:
    result = run("check", log, "--select", "GV9")
    assert result.exit_code == 2
    assert "no rule has a code that begins with `GV9`" in result.stderr


def test_nothing_to_check() -> None:
    assert run("check").exit_code == 2
    assert run("check", script("print(1)")).exit_code == 2


def test_rules_are_listed() -> None:
    result = run("check", "--rules")
    assert [line.split()[0] for line in result.stdout.splitlines()] == [rule.code for rule in rules()]


@pytest.mark.parametrize("name", ["GV101", "gv101", "detach"])
def test_a_rule_is_printed(name: str) -> None:
    result = run("rule", name)
    assert result.exit_code == 0
    assert result.stdout.startswith("# GV101: detach\n")
    assert "\n## Use instead\n" in result.stdout


def test_an_unknown_rule_is_answered_with_near_ones() -> None:
    result = run("rule", "detahc")
    assert result.exit_code == 2
    assert "did you mean `detach`" in result.stderr
