"""`gradviz check` and `gradviz rule`: what they print where, and their exit status."""

from __future__ import annotations

import json
import os
import textwrap
from pathlib import Path

import pytest
from building import Builder
from click.testing import CliRunner, Result
from gradviz_cli.main import application

from gradviz.diagnose import rules
from gradviz.diagnose.formats import FORMATS
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
        ('select = ["GV1"]', ["--ignore", "GV1"], 2),
        ("", ["--select", ""], 2),
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


def test_the_settings_of_the_scripts_project_go_before_those_here(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script(STARVED)
    (folder / "elsewhere").mkdir()
    Path("elsewhere/pyproject.toml").write_text('[tool.gradviz]\nselect = ["GV1"]\n', encoding="utf-8")
    monkeypatch.chdir(folder / "elsewhere")
    assert run("check", "../train.py").exit_code == 0
    Path("pyproject.toml").write_text('[tool.gradviz]\nfail-on = "warning"\n', encoding="utf-8")
    assert run("check", "../train.py").exit_code == 1, "the script's project says nothing"
    Path("../pyproject.toml").write_text('[tool.gradviz]\nfail-on = "error"\n', encoding="utf-8")
    assert run("check", "../train.py").exit_code == 0


@pytest.mark.parametrize(
    ("content", "message", "help"),
    [
        ('[tool.gradviz]\nfail_on = "note"', "has the unknown key `fail_on`", "did you mean `fail-on`?"),
        ("[tool.gradviz]\nselct = []", "has the unknown key `selct`", "did you mean `select`?"),
        ("[tool.gradviz]\ncolour = true", "has the unknown key `colour`", "the keys are `select`, `ignore`"),
        ('[tool.gradviz]\nfail-on = "errors"', "`fail-on` in `[tool.gradviz]`", "did you mean `error`?"),
        ("[tool.gradviz]\nfail-on = 3", "is `3`, not one of error, warning", "write one of error, warning"),
        ('[tool.gradviz]\nignore = "GV101"', "is no list of codes", "write `ignore = ["),
        ('[tool.gradviz]\nignore = ["GV1O1"]', "no rule has a code that begins with `GV1O1`", "did you mean `GV1"),
        ("tool.gradviz = 3", "is no table", "write `[tool.gradviz]`"),
        ("[tool.gradviz", "cannot read `pyproject.toml`", "mend the file"),
    ],
)
def test_what_is_wrong_with_the_settings_is_said(log: str, content: str, message: str, help: str) -> None:
    Path("pyproject.toml").write_text(content, encoding="utf-8")
    result = run("check", log)
    error, hint = result.stderr.splitlines()
    assert result.exit_code == 2
    assert error.startswith("error: ")
    assert "pyproject.toml" in error
    assert message in error
    assert hint.startswith(f"help: {help}")


STATEMENT = """
import gradviz
w = gradviz.tensor([1.0, 2.0], requires_grad=True)
v = gradviz.tensor([1.0, 1.0], requires_grad=True)
h = (  # 4
    w * 3  # 5

).detach()  # 7
loss = (h * v).sum()  # 8
loss.backward()
"""
REGION = """
import gradviz
w = gradviz.tensor([1.0, 2.0], requires_grad=True)
v = gradviz.tensor([1.0, 1.0], requires_grad=True)
@gradviz.no_grad()  # 4
def teach(  # 5
    x,  # 6
):
    return x * 3  # 8
(teach(w) * v).sum().backward()
"""


@pytest.mark.parametrize(
    ("text", "line", "silent"),
    [
        *((STATEMENT, line, silent) for line, silent in ((4, True), (5, True), (7, True), (8, False))),
        *((REGION, line, silent) for line, silent in ((4, True), (5, True), (6, True), (8, False))),
    ],
)
@pytest.mark.parametrize("how", ["", "[GV101,gv201]", " [ GV1 , GV2 ]", "[GV1,GV2 and why"])
def test_a_comment_on_any_line_of_the_statement(
    text: str, line: int, silent: bool, how: str, capfd: pytest.CaptureFixture[str]
) -> None:
    run("check", script(text.replace(f"# {line}", f"# gradviz: ignore{how}")))
    assert (capfd.readouterr().out == "no findings\n") == silent


@pytest.mark.parametrize("how", ["[GV3]", "s", "[GV101x]"])
def test_a_comment_for_something_else_silences_nothing(how: str, capfd: pytest.CaptureFixture[str]) -> None:
    run("check", script(STATEMENT.replace("# 7", f"# gradviz: ignore{how}")))
    assert capfd.readouterr().out.startswith("warning[GV101]")


def test_a_comment_with_a_code_that_no_rule_has_is_told_of(capfd: pytest.CaptureFixture[str]) -> None:
    result = run("check", script(STATEMENT.replace("# 8", "# gradviz: ignore[GV101, GV1O1]")))
    told = result.stderr + capfd.readouterr().err
    assert "warning: train.py:8: no rule has a code that begins with `GV1O1`" in told
    assert "`GV101`" not in told


def test_a_script_may_change_its_folder(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Comments are found and places are told from where the script was started."""
    (folder / "inner").mkdir()
    leaves = f"{STATEMENT}import os\nos.chdir('inner')\n"
    run("check", script(leaves), "-f", "sarif")
    os.chdir(folder)
    told = json.loads(capfd.readouterr().out)["runs"][0]
    assert told["originalUriBaseIds"]["%SRCROOT%"]["uri"] == f"{folder.as_uri()}/"
    assert len(told["results"]) == 1
    run("check", script(leaves.replace("# 4", "# gradviz: ignore")))
    os.chdir(folder)
    assert capfd.readouterr().out == "no findings\n"


def test_a_script_may_delete_its_folder(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    name = str(folder / script(f"{STATEMENT}import os\nos.rmdir(os.getcwd())\n"))
    (folder / "inner").mkdir()
    os.chdir("inner")
    try:
        run("check", name, "-f", "sarif")
    finally:
        os.chdir(folder)
    assert len(json.loads(capfd.readouterr().out)["runs"][0]["results"]) == 1


def test_a_changed_file_does_not_silence_an_old_log(log: str) -> None:
    Path("train.py").write_text("# gradviz: ignore\n" * 40, encoding="utf-8")
    assert run("check", log).exit_code == 1


@pytest.mark.parametrize("form", list(FORMATS))
def test_every_format_goes_to_stdout_or_to_a_file(log: str, form: str) -> None:
    result = run("check", log, "--format", form)
    written = run("check", log, "-f", form, "-o", "report")
    assert Path("report").read_text(encoding="utf-8") == result.stdout
    assert (written.stdout, written.stderr) == ("", "report: 1 error\n")
    assert result.exit_code == written.exit_code == 1


def test_help_lists_the_formats() -> None:
    assert f"[{'|'.join(FORMATS)}]" in run("check", "--help").stdout


def test_a_file_that_cannot_be_written_is_refused_before_anything_runs(folder: Path) -> None:
    name = script("open('ran', 'w').close()")
    for output in (".", "missing/report", name):
        assert run("check", name, "-o", output).exit_code == 2
    assert not Path("ran").exists()


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


def test_rule_without_a_name_lists_them_all() -> None:
    assert run("rule").stdout == run("check", "--rules").stdout
