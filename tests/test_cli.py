"""The command line: what it writes where, what it says when something is wrong, and with which exit status."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest
from building import Builder
from click.testing import CliRunner, Result
from gradviz_cli import _output
from gradviz_cli.main import application

import gradviz
from gradviz.gvlog import LogWriter
from gradviz.views import VIEWS

SCRIPT = """
import gradviz
x = gradviz.tensor(2.0, requires_grad=True)
y = x * 3
z = y.detach() + x
z.backward()
print("x.grad is", x.grad.item())
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GRADVIZ_DEBUG", raising=False)
    for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.fixture
def log(folder: Path) -> str:
    """A log with a cut and a skipped op."""
    b = Builder("train.py")
    x = b.leaf("x", (3,), requires_grad=True, line=4)
    y = b.op("mul", x, "2", name="y", line=5)
    with b.region("no_grad", line=8):
        b.op("add", x, y, name="unused", line=9)
    d = b.detach(x, name="d", line=10)
    b.sweep(b.op("add", y, d, name="total", line=11), line=12)
    b.op("mul", y, "3", name="aside", line=13)
    writer = LogWriter("run.gvlog")
    for event in b.events():
        writer.emit(event)
    writer.close()
    return "run.gvlog"


def run(*arguments: str) -> Result:
    return CliRunner().invoke(application, arguments, prog_name="gradviz", terminal_width=80)


def start(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """`gradviz` in a process of its own, in the current directory."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **environment}
    command = [sys.executable, "-m", "gradviz", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)


def write(name: str, text: str) -> str:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(textwrap.dedent(text), encoding="utf-8")
    return name


# ---- help


@pytest.mark.parametrize("command", ["", "check", "explain", "record", "render", "rule", "stats", "tree"])
def test_help_is_the_golden_file(command: str, golden: Callable[[str, str], None]) -> None:
    result = run(*command.split(), "--help")
    assert result.exit_code == 0
    golden(f"help-{command}.txt" if command else "help.txt", result.stdout)


def test_every_command_has_a_golden_help() -> None:
    golden = Path(__file__).parent / "golden"
    commands = application.list_commands(None)  # type: ignore[arg-type]
    assert commands == ["check", "explain", "record", "render", "rule", "stats", "tree"]
    assert {f"help-{name}.txt" for name in commands} <= {path.name for path in golden.glob("help*.txt")}


def test_version_and_bare_command(folder: Path) -> None:
    assert run("--version").stdout.endswith(f" {gradviz.__version__}\n")
    assert run().stdout == run("--help").stdout


def test_help_imports_nothing_heavy(folder: Path) -> None:
    heavy = "{'numpy', 'torch', 'rich', 'graphviz', 'gradviz.core'}"
    program = (
        "import sys\nfrom gradviz_cli.main import application\n"
        "for arguments in (['--help'], ['render', '--help'], ['tree', '--help'], ['record', '--help']):\n"
        "    application.main(arguments, standalone_mode=False)\n"
        f"print(sorted(set(sys.modules) & {heavy}), file=sys.stderr)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=60)
    assert done.stderr == "[]\n"


def test_drawing_a_log_imports_no_framework(log: str) -> None:
    program = (
        "import sys\nfrom gradviz_cli.main import application\n"
        "application.main(['render', 'run.gvlog', '-f', 'json'], standalone_mode=False)\n"
        "print(sorted(set(sys.modules) & {'numpy', 'torch', 'gradviz.core'}))\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=60)
    assert done.stdout == "[]\n"


# ---- what is drawn, and where it goes


@pytest.mark.parametrize(
    ("arguments", "file", "start"),
    [
        ([], "run.svg", "<"),
        (["-f", "dot"], "run.dot", "digraph"),
        (["-f", "json"], "run.json", "{"),
        (["-o", "out.json"], "out.json", "{"),
        (["-o", "OUT.GV"], "OUT.GV", "digraph"),
        (["-o", "out.svg", "-f", "json"], "out.svg", "{"),
        (["-o", "plain", "-f", "tree"], "plain", "train.py"),
        (["-o", "tree.txt"], "tree.txt", "train.py"),
    ],
)
def test_format_comes_from_option_then_extension(log: str, arguments: list[str], file: str, start: str) -> None:
    result = run("render", log, *arguments)
    assert (result.exit_code, result.stdout) == (0, "")
    assert Path(file).read_text(encoding="utf-8").startswith(start)
    summary, finding = result.stderr.splitlines()
    assert summary.startswith(f"{file}: ")
    assert finding.startswith("warning[GV101]: `x` ")
    assert "1 cut" in result.stderr
    assert sorted(os.listdir()) == sorted(["run.gvlog", file])


def test_log_is_known_by_its_content(log: str) -> None:
    os.rename(log, "run.py")
    assert run("render", "run.py", "-f", "json").exit_code == 0


@pytest.mark.parametrize("view", sorted(VIEWS))
def test_dash_writes_to_stdout(log: str, view: str) -> None:
    result = run("render", log, "-f", view, "-o", "-")
    assert (result.exit_code, result.stderr) == (0, "")
    run("render", log, "-f", view, "-o", "file")
    if view != "tree":  # its width is that of where it goes
        assert result.stdout_bytes == Path("file").read_bytes()
    assert result.stdout.endswith("\n")


def drawn(*arguments: str) -> set[str]:
    """The names of the values in a drawing."""
    result = run("render", "run.gvlog", "-f", "json", "-o", "-", *arguments)
    assert result.exit_code == 0, result.stderr
    found: set[str] = set()
    queue = [json.loads(result.stdout)]
    while queue:
        item = queue.pop()
        if isinstance(item, dict):
            found |= {item["name"]} if isinstance(item.get("name"), str) else set()
            queue += item.values()
        elif isinstance(item, list):
            queue += item
    return found & {"x", "y", "d", "total", "aside", "unused"}


def test_selection(log: str) -> None:
    assert drawn() == {"x", "y", "d", "total", "unused"}
    assert drawn("--all") == {"x", "y", "d", "total", "unused", "aside"}
    assert "aside" in drawn("--of", "aside")
    assert "total" not in drawn("--of", "aside")


def test_direction_and_details_reach_the_view(log: str) -> None:
    plain = run("render", log, "-f", "dot", "-o", "-").stdout
    assert run("render", log, "-f", "dot", "-o", "-", "--direction", "LR").stdout != plain
    assert run("render", log, "-f", "dot", "-o", "-", "--show-saved").exit_code == 0
    assert run("render", log, "-f", "dot", "-o", "-", "--show-attrs").exit_code == 0


def test_tree_follows_the_rules_for_terminals(log: str) -> None:
    plain = run("tree", log).stdout
    assert "\x1b" not in plain
    assert "\x1b" in start("tree", log, FORCE_COLOR="1").stdout
    # Bold and dim are no colours.
    assert "\x1b[31m" not in start("tree", log, FORCE_COLOR="1", NO_COLOR="1").stdout
    assert max(map(len, start("tree", log, COLUMNS="40").stdout.splitlines())) <= 40


def test_stdout_that_cannot_say_it_gets_question_marks(log: str) -> None:
    done = start("tree", log, PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.isascii()


# ---- the file


def test_file_gets_the_permissions_of_any_new_file(log: str) -> None:
    before = os.umask(0o027)
    try:
        run("render", log, "-o", "new.json")
    finally:
        os.umask(before)
    assert stat.S_IMODE(os.stat("new.json").st_mode) == 0o640


def test_existing_file_keeps_its_permissions_and_links_are_followed(log: str) -> None:
    write("real.json", "old")
    os.chmod("real.json", 0o604)
    os.symlink("real.json", "link.json")
    run("render", log, "-o", "link.json")
    assert os.path.islink("link.json")
    assert Path("real.json").read_text().startswith("{")
    assert stat.S_IMODE(os.stat("real.json").st_mode) == 0o604


def test_device_is_written_to(log: str) -> None:
    assert run("render", log, "-f", "json", "-o", os.devnull).exit_code == 0
    assert not os.path.isfile(os.devnull)


@pytest.mark.parametrize(("failure", "status"), [(OSError(28, "No space left"), 2), (KeyboardInterrupt(), 130)])
def test_old_file_survives_what_goes_wrong(
    log: str, monkeypatch: pytest.MonkeyPatch, failure: BaseException, status: int
) -> None:
    def fail(*_: object) -> None:
        raise failure

    write("out.json", "old")
    monkeypatch.setattr(_output.os, "replace", fail)
    result = run("render", log, "-o", "out.json")
    assert result.exit_code == status
    assert Path("out.json").read_text() == "old"
    assert sorted(os.listdir()) == ["out.json", "run.gvlog"]


# ---- bad input


@pytest.mark.parametrize(
    "command", [("render", "-o", "-", "-f", "json"), ("tree",), ("check",), ("stats",), ("explain", "x")]
)
def test_what_a_log_lacks_is_said_beside_what_is_made_of_it(log: str, command: tuple[str, ...]) -> None:
    whole = Path(log).read_bytes()
    Path(log).write_bytes(whole[:-30])
    name, *options = command
    result = run(name, log, *options)
    assert "warning: the recording is not complete: the last line of the log" in result.stderr
    Path(log).write_bytes(whole)
    assert "not complete" not in run(name, log, *options).stderr



def bad_files() -> None:
    write("script.py", "x = 1\n")
    write("syntax.py", "x = 1\ny = (\n")
    Path("folder").mkdir()
    Path("empty.gvlog").touch()
    Path("garbage.gvlog").write_bytes(bytes(range(256)))
    Path("garbage.bin").write_bytes(bytes(range(256)))
    for view in ("svg", "png", "pdf", "html", "dot", "mmd", "json"):
        run("render", "run.gvlog", "-o", f"picture.{view}")
    Path("picture").write_bytes(Path("picture.svg").read_bytes())
    whole = Path("run.gvlog").read_bytes()
    Path("torn.gvlog").write_bytes(whole[:whole.index(b'{"op"')])
    lines = whole.splitlines(keepends=True)
    Path("still.gvlog").write_bytes(lines[0] + lines[-1])
    write("newer.gvlog", '{"gradviz":{"producer":"core","schema":[9,0]}}\n')


BAD: dict[str, tuple[list[str], int, str]] = {
    "missing": (["render", "scirpt.py"], 2, "no file `scirpt.py`"),
    "directory": (["render", "folder"], 2, "`folder` is a directory"),
    "syntax": (["render", "syntax.py"], 2, "`syntax.py`, line 2: '(' was never closed"),
    "binary": (["render", "garbage.bin"], 2, "neither a Python script nor a gradviz log"),
    "svg": (["check", "picture.svg"], 2, "`picture.svg` is a picture, not a Python script or a gradviz log"),
    "svg without its name": (["render", "picture"], 2, "`picture` is a picture, not"),
    "png": (["tree", "picture.png"], 2, "`picture.png` is a picture, not"),
    "pdf": (["check", "picture.pdf"], 2, "`picture.pdf` is a picture, not"),
    "html": (["record", "picture.html"], 2, "`picture.html` is a picture, not"),
    "dot": (["check", "picture.dot"], 2, "`picture.dot` is a picture, not"),
    "mermaid": (["check", "picture.mmd"], 2, "`picture.mmd` is a picture, not"),
    "json": (["stats", "picture.json"], 2, "`picture.json` is JSON, not a Python script or a gradviz log"),
    "torn log": (["check", "torn.gvlog"], 2, "`torn.gvlog` ends early, before its first operation"),
    "torn log to draw": (["render", "torn.gvlog"], 2, "`torn.gvlog` ends early, before its first operation"),
    "no operation": (["stats", "still.gvlog"], 2, "`still.gvlog` holds no tensor operation"),
    "binary log": (["render", "garbage.gvlog"], 3, "`garbage.gvlog`"),
    "empty log": (["tree", "empty.gvlog"], 3, "`empty.gvlog`"),
    "newer log": (["tree", "newer.gvlog"], 3, "newer"),
    "nothing traced": (["render", "script.py"], 2, "`script.py` ran no tensor operation"),
    "nothing recorded": (["record", "script.py"], 2, "`script.py` ran no tensor operation"),
    "format": (["render", "run.gvlog", "-f", "jpg"], 2, "`jpg`"),
    "extension": (["render", "run.gvlog", "-o", "out.jpg"], 2, "`.jpg`"),
    "no extension": (["render", "run.gvlog", "-o", "out"], 2, "no extension"),
    "output directory": (["render", "run.gvlog", "-f", "svg", "-o", "folder"], 2, "`folder`: it is a directory"),
    "output nowhere": (["render", "run.gvlog", "-o", "no/out.svg"], 2, "`no/out.svg`: there is no directory"),
    "output is input": (["render", "run.gvlog", "-f", "json", "-o", "./run.gvlog"], 2, "is the file to read"),
    "output is script": (["render", "script.py", "-f", "json", "-o", "script.py"], 2, "is the file to read"),
    "log is script": (["record", "script.py", "-o", "script.py"], 2, "is the file to read"),
    "log of a log": (["record", "run.gvlog"], 2, "is a log already"),
    "log to stdout": (["record", "script.py", "-o", "-"], 2, "not written to standard output"),
    "unknown name": (["render", "run.gvlog", "--of", "totl"], 2, "`totl`"),
    "of and all": (["render", "run.gvlog", "--of", "x", "--all"], 2, "`--of` and `--all`"),
    "module": (["render", "-m", "nowhere.to.be.found"], 2, "no module named `nowhere.to.be.found`"),
    "module and script": (["render", "-m", "json", "script.py"], 2, "both `script.py` and `-m json`"),
    "no target": (["render"], 2, "nothing to run"),
    "only arguments": (["render", "--", "a"], 2, "nothing to run"),
    "arguments of a log": (["render", "run.gvlog", "--", "a"], 2, "takes no arguments"),
    "unknown option": (["render", "run.gvlog", "--colour"], 2, "no such option"),
    "unknown command": (["rendr", "run.gvlog"], 2, "no such command"),
    "two targets": (["render", "run.gvlog", "script.py"], 2, "unexpected extra argument"),
    "line break": (["render", "a\nb.py"], 2, "no file `a\\nb.py`"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_and_a_status(log: str, case: str) -> None:
    bad_files()
    before = {name: Path(name).read_bytes() for name in os.listdir() if os.path.isfile(name)}
    arguments, status, message = BAD[case]
    result = run(*arguments)
    lines = result.stderr.splitlines()
    assert result.exit_code == status, result.stderr
    assert result.stdout == ""
    assert lines[0].startswith("error: ")
    assert message in lines[0]
    assert [line.partition(":")[0] for line in lines] in (["error"], ["error", "help"])
    assert {name: Path(name).read_bytes() for name in os.listdir() if os.path.isfile(name)} == before


def test_every_format_has_the_same_short_option() -> None:
    commands = [application.get_command(None, name) for name in application.list_commands(None)]  # type: ignore[arg-type]
    options = [option for command in commands if command for option in command.params if "--format" in option.opts]
    assert len(options) == 4
    assert [option.opts for option in options] == [["-f", "--format"]] * 4


def test_near_names_are_suggested(log: str) -> None:
    bad_files()
    assert "`total`" in run("render", log, "--of", "totl").stderr.splitlines()[1]
    assert "`script.py`" in run("render", "scirpt.py").stderr.splitlines()[1]
    assert run("rendr", "script.py").stderr.splitlines()[1] == "help: did you mean `render`?"
    told = ["error: no such option `--outptu`", "help: did you mean `--output`?"]
    assert run("render", "script.py", "--outptu", "x").stderr.splitlines() == told
    assert run("frobnicate").stderr.splitlines()[1] == "help: `gradviz --help` lists them"


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("check train.py --lr 0.1", "check train.py -- --lr 0.1"),
        ("check train.py --lr=0.1 --epochs 2", "check train.py -- --lr=0.1 --epochs 2"),
        ("render -o x.svg train.py --lr 0.1 --show-saved", "render -o x.svg train.py -- --lr 0.1"),
        ("explain train.py w -l 0.1", "explain train.py w -- -l 0.1"),
        ("stats -m package.train --lr 0.1", "stats -m package.train -- --lr 0.1"),
    ],
)
def test_option_of_the_script_is_told_where_it_goes(folder: Path, given: str, meant: str) -> None:
    write("train.py", SCRIPT)
    told = run(*given.split()).stderr.splitlines()
    assert told[0].startswith("error: no such option `-")
    assert told[1] == f"help: options of the script go after `--`: `gradviz {meant}`"


def test_unknown_option_of_a_log_or_of_nothing_is_no_option_of_a_script(log: str) -> None:
    assert run("render", log, "--colour").stderr.splitlines()[1] == "help: `gradviz render --help` shows how it is used"
    assert run("render", "--lr", "0.1").stderr.splitlines()[1] == "help: what is meant for the script goes after `--`"


def test_script_without_a_command_is_told_how_to_draw_it(folder: Path) -> None:
    write("train.py", "")
    told = run("train.py").stderr.splitlines()
    assert told[1] == "help: name a command before the file: `gradviz render train.py`"


@pytest.mark.parametrize(
    ("output", "reason"), [("locked/new.svg", "its directory is not writable"), ("old.svg", "permission denied")]
)
def test_unwritable_output_is_refused_before_the_script_runs(
    folder: Path, monkeypatch: pytest.MonkeyPatch, output: str, reason: str
) -> None:
    write("script.py", "raise AssertionError")
    write("old.svg", "old")
    Path("locked").mkdir()
    # Not by permissions: the tests may run as root, who may write everywhere.
    locked = {str(folder / "locked"), str(folder / "old.svg")}
    monkeypatch.setattr(_output.os, "access", lambda path, _: str(path) not in locked)
    result = run("render", "script.py", "-o", output)
    assert result.exit_code == 2
    assert result.stderr.splitlines()[0] == f"error: cannot write `{output}`: {reason}"


def test_defect_of_gradviz_is_told_as_such(log: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> str:
        raise ZeroDivisionError("somewhere")

    monkeypatch.setattr("gradviz.views.draw_pieces", broken)
    result = run("render", log)
    assert result.exit_code == 4
    assert result.stderr.splitlines()[0] == "error: this is a defect in gradviz: ZeroDivisionError: somewhere"
    assert "Traceback" not in result.stderr
    monkeypatch.setenv("GRADVIZ_DEBUG", "1")
    assert "Traceback" in run("render", log).stderr


def test_reader_that_stops_reading_is_no_error(folder: Path) -> None:
    b = Builder()
    value = b.leaf("x", requires_grad=True)
    for _ in range(50_000):
        value = b.op("mul", value, "2")
    writer = LogWriter("long.gvlog")
    for event in b.events():
        writer.emit(event)
    writer.close()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-m", "gradviz", "tree", "--all", "long.gvlog"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
def test_full_standard_output_is_told(log: str) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-m", "gradviz", "tree", log]
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, env=environment, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
    assert done.returncode == 2
    assert done.stderr.splitlines()[0] == "error: cannot write to standard output: no space left on device"


# ---- scripts


def test_script_prints_and_the_picture_is_drawn(folder: Path) -> None:
    write("script.py", SCRIPT)
    done = start("render", "script.py", "-o", "out.json")
    assert (done.returncode, done.stdout) == (0, "x.grad is 1.0\n")
    summary, finding = done.stderr.splitlines()
    assert summary.startswith("out.json: ")
    assert finding.startswith("warning[GV101]: ")


def test_arguments_after_two_dashes_are_the_scripts(folder: Path) -> None:
    write("script.py", "import sys\nprint(sys.argv)\n" + SCRIPT)
    done = start("render", "script.py", "-f", "json", "--", "-o", "--all", "--", "x")
    assert done.stdout.startswith("['script.py', '-o', '--all', '--', 'x']\n")
    assert Path("script.json").exists()


def test_module_is_run(folder: Path) -> None:
    write("package/__init__.py", "")
    write("package/module.py", "from . import other\nimport sys\nprint(sys.argv[1:], __name__)\n" + SCRIPT)
    write("package/other.py", "")
    done = start("render", "-m", "package.module", "-f", "json", "--", "a")
    assert done.stdout.startswith("['a'] __main__\n")
    assert Path("module.json").exists()
    refused = start("render", "-m", "package.module", "-f", "json", "-o", "package/module.py")
    assert refused.returncode == 2
    assert "is the file to read" in refused.stderr
    assert Path("package/module.py").read_text().startswith("from . import")


def test_script_of_a_package_is_told_to_run_as_its_module(folder: Path) -> None:
    for name in ("package/__init__.py", "package/inner/__init__.py", "package/model.py"):
        write(name, "")
    script = write("package/inner/train.py", "from ..model import *")
    assert "help: run it as a module of its package: `-m package.inner.train`" in start("check", script).stderr
    assert "as a module" not in start("check", "-m", "package.inner.train").stderr
    os.chdir("package/inner")
    assert f"package, from `{folder}`: `-m package.inner.train`" in start("check", "train.py").stderr
    os.chdir(folder)
    write("alone.py", "from .model import *")
    assert "help" not in start("check", "alone.py").stderr
    write("other.py", "import alone")
    assert "help" not in start("check", "other.py").stderr


COUNTED = """
import torch
w = torch.ones(3, requires_grad=True)
for _ in range(3):
    loss = (w * 2).sum()
    print(loss.item())
    loss.backward()
"""


@pytest.mark.parametrize(("options", "drawn"), [((), 3), (("--all",), 9), (("--of", "loss"), 2)])
def test_ops_are_counted_alike_wherever_they_are_told(folder: Path, options: tuple[str, ...], drawn: int) -> None:
    write("train.py", COUNTED)
    assert "run.gvlog: 9 operations recorded" in run("record", "--core", "train.py", "-o", "run.gvlog").stderr
    assert run("stats", "run.gvlog").stdout.splitlines()[1].startswith("9 ops: ")
    told = run("render", "run.gvlog", "-f", "tree", "-o", "tree.txt", *options).stderr
    assert told.startswith(f"tree.txt: {drawn} ops · ")
    picture = Path("tree.txt").read_text(encoding="utf-8")
    assert f"\n{drawn} ops · " in picture
    assert (f"{drawn} of 9 ops are drawn" in picture) is (drawn < 9)


def test_log_gives_the_bytes_that_the_script_gives(folder: Path) -> None:
    write("script.py", SCRIPT)
    done = start("record", "script.py")
    assert (done.returncode, done.stdout) == (0, "x.grad is 1.0\n")
    assert done.stderr.startswith("script.gvlog: ")
    for view in sorted(VIEWS):
        start("render", "script.py", "-f", view, "-o", f"script.{view}")
        run("render", "script.gvlog", "-f", view, "-o", f"log.{view}")
        assert Path(f"script.{view}").read_bytes() == Path(f"log.{view}").read_bytes()


@pytest.mark.parametrize(
    ("ending", "status", "stderr", "note"),
    [
        ("raise ValueError('no')", 1, "ValueError: no", "ValueError"),
        ("import sys; sys.exit(3)", 3, "", "sys.exit with status 3"),
        ("raise KeyboardInterrupt", 130, "KeyboardInterrupt", "interrupted"),
        ("z.backward()", 1, "RuntimeError: Trying to backward through the graph a second time", "raised"),
    ],
)
def test_failing_script_keeps_its_status_and_is_drawn(
    folder: Path, ending: str, status: int, stderr: str, note: str
) -> None:
    write("script.py", SCRIPT.replace("y.detach() + x", "y * x") + ending + "\n")
    done = start("render", "script.py", "-o", "out.txt")
    assert done.returncode == status
    assert stderr in done.stderr
    assert "gradviz/" not in done.stderr
    assert note in Path("out.txt").read_text(encoding="utf-8")


def test_script_that_fails_at_once_keeps_its_status(folder: Path) -> None:
    write("script.py", "import nowhere_to_be_found\n")
    done = start("render", "script.py")
    assert done.returncode == 1
    assert "ModuleNotFoundError" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("error: `script.py` ran no tensor operation before it ended")
    assert os.listdir() == ["script.py"]


def test_unknown_name_does_not_hide_that_the_script_failed(folder: Path) -> None:
    write("script.py", SCRIPT + "raise SystemExit(5)\n")
    done = start("render", "script.py", "--of", "nothing")
    assert done.returncode == 5
    assert "error: " in done.stderr


def test_stdout_is_the_pictures_alone(folder: Path) -> None:
    write(
        "script.py",
        SCRIPT
        + """
import atexit, os, subprocess, sys
atexit.register(print, "printed at exit")
subprocess.run([sys.executable, "-c", "print('printed by a child')"])
os.write(1, b"written below Python\\n")
sys.stdout = open(os.devnull, "w")
""",
    )
    done = start("render", "script.py", "-f", "json", "-o", "-")
    json.loads(done.stdout)
    for text in ("x.grad is 1.0", "printed by a child", "written below Python", "printed at exit"):
        assert text in done.stderr
    tree = start("tree", "script.py")
    assert tree.stdout.startswith("script.py\n")
    assert "x.grad is 1.0" in tree.stderr


def test_output_goes_where_gradviz_was_started(folder: Path) -> None:
    write("script.py", SCRIPT + "import os\nos.mkdir('elsewhere'); os.chdir('elsewhere')\n")
    start("render", "script.py", "-o", "./named.json")
    assert sorted(os.listdir()) == ["elsewhere", "named.json", "script.py"]
    assert os.listdir("elsewhere") == []


def test_script_cannot_spoil_the_drawing(folder: Path) -> None:
    write("graphviz.py", "raise AssertionError('the wrong graphviz')")
    write(
        "script.py",
        SCRIPT
        + """
import sys, warnings
warnings.simplefilter("error")
sys.stderr = sys.stdout = None
sys.argv.clear()
""",
    )
    done = start("render", "script.py", "-f", "dot")
    assert done.returncode == 0, done.stderr
    assert Path("script.dot").exists()


def test_log_is_whole_up_to_the_kill(folder: Path) -> None:
    write("script.py", SCRIPT + "import os, time\ntime.sleep(1)\nx * 2\nos.kill(os.getpid(), 9)\n")
    assert start("record", "script.py").returncode == -signal.SIGKILL
    result = run("render", "script.gvlog", "-o", "out.txt")
    assert result.exit_code == 0, result.stderr
    assert "no end" in Path("out.txt").read_text(encoding="utf-8")


def test_ctrl_c_still_draws(folder: Path) -> None:
    write("script.py", SCRIPT + "import time\nprint('ready', flush=True); time.sleep(60)\n")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-u", "-m", "gradviz", "render", "script.py", "-o", "out.txt"]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert "ready\n" in iter(process.stdout.readline, "")
        process.send_signal(signal.SIGINT)
        stderr = process.communicate(timeout=30)[1]
    assert process.returncode == 130
    assert "out.txt: " in stderr
    text = Path("out.txt").read_text(encoding="utf-8")
    assert "interrupted" in text
    assert "ended at line 9 of `script.py`" in " ".join(text.split())


@pytest.mark.parametrize("command", ["render", "tree", "check", "explain", "stats", "record"])
@pytest.mark.parametrize("raises", ["", "1 / 0"])
def test_recording_that_failed_is_not_told_as_a_script_without_tensors(folder: Path, command: str, raises: str) -> None:
    write("torch.py", "__version__ = '99.0'\n")
    write("train.py", f"import torch\n{raises}\n")
    done = start(command, "train.py", *(["loss"] if command == "explain" else []))
    told = [line for line in done.stderr.splitlines() if line.startswith(("error", "help", "warning"))]
    assert "`train.py` was not recorded: listening to torch: " in told[0]
    assert told[1] == "help: report it, with the versions of gradviz and PyTorch"
    assert len(told) == 2
    assert done.returncode == (1 if raises else 4)
    assert "no findings" not in done.stdout
