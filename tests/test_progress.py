"""Progress: a bar on a terminal for what takes long, nothing elsewhere, nothing left behind; and Ctrl-C at any time."""

from __future__ import annotations

import gc
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from building import Builder
from test_cli import folder, log, run  # noqa: F401

from gradviz.collecting import uncollected
from gradviz.gvlog import LogWriter, read_log
from gradviz.progress import Step, current, step

pty = pytest.importorskip("pty", reason="this system has no pseudo-terminals")


def write_long_log(name: str = "long.gvlog", count: int = 3000) -> str:
    """A log whose layout takes far longer than it takes to press Ctrl-C."""
    b = Builder()
    values = [b.leaf(f"x{number}", requires_grad=True) for number in range(7)]
    for number in range(count):
        values.append(b.op("add", values[-1], values[(number * 7919) % len(values)]))
    writer = LogWriter(name)
    for event in b.events():
        writer.emit(event)
    writer.close()
    return name


class OnTerminal:
    """A program whose standard error is a terminal; what it writes there is read as it comes."""

    def __init__(self, program: str, **environment: str) -> None:
        self.master, terminal = pty.openpty()
        base = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR")}
        base |= {"PYTHONPATH": os.pathsep.join(sys.path), "TERM": "xterm-256color", "COLUMNS": "100"}
        self.process = subprocess.Popen(
            [sys.executable, "-c", program], env=base | environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=terminal,
        )  # fmt: skip
        os.close(terminal)
        self.seen = ""

    def wait_for(self, text: str) -> None:
        while text not in self.seen:
            assert self._read(), f"it ended without `{text}`: {self.seen!r}"

    def end(self, given: bytes = b"") -> str:
        """All that it wrote, when it has got `given` and ended."""
        assert self.process.stdin is not None
        self.process.stdin.write(given)
        self.process.stdin.close()
        while self._read():
            pass
        os.close(self.master)
        assert self.process.stdout is not None
        self.process.stdout.close()
        self.process.wait(30)
        return self.seen

    def _read(self) -> bool:
        try:
            data = os.read(self.master, 4096)
        except OSError:  # how Linux says that nobody is left at the other end
            data = b""
        self.seen += data.decode(errors="replace")
        return bool(data)


def left_on_screen(written: str) -> list[str]:
    """The lines that a terminal shows after all of this, blank ones left out."""
    lines, row, column = [""], 0, 0
    for token in re.findall(r"\x1b\[[0-9;?]*[A-Za-z]|[\r\n]|.", written):
        if token == "\r":
            column = 0
        elif token == "\n":
            row += 1
            lines += [""] * (row + 1 - len(lines))
        elif token.endswith("K") and token[0] == "\x1b":
            lines[row] = "" if token[2:-1] == "2" else lines[row][:column]
        elif token.endswith("A") and token[0] == "\x1b":
            row = max(0, row - int(token[2:-1] or 1))
        elif token[0] != "\x1b":
            lines[row] = lines[row][:column].ljust(column) + token + lines[row][column + 1 :]
            column += 1
    return [line for line in lines if line.strip()]


# The work ends when the test says so.
WORK = """
import sys, threading
from gradviz.progress import step
from gradviz_cli._progress import shown
with shown(), step({name!r}, total={total}) as work:
    work.done = 3
    print(threading.active_count(), flush=True)
    sys.stdin.readline()
print("done", file=sys.stderr)
"""


@pytest.mark.parametrize("total", [0, 4])
@pytest.mark.parametrize("environment", [{}, {"NO_COLOR": "1"}], ids=["color", "plain"])
def test_what_takes_long_is_shown_and_then_taken_back(total, environment):
    program = OnTerminal(WORK.format(name="laying out [red]x[/]\x1b[5m", total=total), **environment)
    program.wait_for("laying out [red]x[/]?[5m")
    program.wait_for("\u2501")
    written = program.end(b"\n")
    assert left_on_screen(written) == ["done"]
    assert "\x1b[?25l" not in written, "the cursor is not hidden: a killed process could not bring it back"
    assert written.rstrip("done\r\n").endswith("\x1b[2K"), "the last thing said about the bar takes it back"


def test_what_is_quick_is_not_shown():
    written = OnTerminal(WORK.format(name="quick", total=0)).end(b"\n")
    assert written == "done\r\n"


@pytest.mark.parametrize("environment", [{"TERM": "dumb"}, {"TERM": "unknown"}])
def test_a_terminal_that_takes_nothing_back_gets_no_bar(environment):
    program = OnTerminal(WORK.format(name="long", total=0), **environment)
    assert program.process.stdout is not None
    assert program.process.stdout.readline() == b"1\n", "nobody watches"
    assert program.end(b"\n") == "done\r\n"


@pytest.mark.parametrize("environment", [{}, {"FORCE_COLOR": "1"}])
def test_a_pipe_gets_no_bar(environment):
    done = subprocess.run(
        [sys.executable, "-c", WORK.format(name="long", total=0)], input=b"\n", capture_output=True, timeout=60,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **environment},
    )  # fmt: skip
    assert (done.stdout, done.stderr) == (b"1\n", b"done\n")


def test_reading_tells_how_far_it_is(log):  # noqa: F811
    reading = Step("reading")
    events = list(read_log(log, reading))
    assert events
    assert reading.done == os.path.getsize(log)


def test_the_steps_under_way():
    assert current() is None
    with step("outer") as outer:
        with step("inner", total=3) as inner:
            assert current() is inner
            assert (inner.name, inner.total, inner.done) == ("inner", 3, 0)
        assert current() is outer
    with pytest.raises(KeyboardInterrupt), step("stopped"):
        raise KeyboardInterrupt
    assert current() is None


# Ctrl-C

INTERRUPTED = """
import signal
import {module} as module
real = module.{name}
def interrupted(*arguments, **named):
    {before}
    signal.raise_signal(signal.SIGINT)
    {after}
module.{name} = interrupted
from gradviz_cli.main import main
import sys
sys.argv = ["gradviz", "render", "run.gvlog", "-f", {view!r}, "-o", "out"]
main()
"""
SAID = "interrupted; a file is written whole or not at all"
CALL = "return real(*arguments, **named)"


@pytest.mark.parametrize(
    ("module", "name", "view"),
    [
        ("gradviz.gvlog.reading", "Decoder", "svg"),
        ("gradviz.diagnose", "diagnose", "dot"),
        ("gradviz.layout", "arrange", "pdf"),
        ("os", "replace", "tree"),
    ],
)
def test_ctrl_c_leaves_no_file_and_no_traceback(log, module, name, view):  # noqa: F811
    assert interrupt(module, name, "pass", CALL, view) == (130, SAID)
    assert os.listdir() == [log]


def test_ctrl_c_half_way_through_the_writing_keeps_the_old_file(log):  # noqa: F811
    Path("out").write_text("old")
    half = "pieces = iter(list(real(*arguments, **named))); yield from (next(pieces) for _ in range(9))"
    assert interrupt("gradviz.views.svg", "write_pieces", half, "yield from pieces", "svg") == (130, SAID)
    assert Path("out").read_text() == "old"
    assert sorted(os.listdir()) == ["out", log]


def interrupt(module: str, name: str, before: str, after: str, view: str) -> tuple[int, str]:
    program = INTERRUPTED.format(module=module, name=name, before=before, after=after, view=view)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout + done.stderr.strip()


def test_ctrl_c_on_a_terminal_takes_the_bar_back(folder):  # noqa: F811
    name = write_long_log(count=100_000)
    arguments = ["gradviz", "render", name, "--all", "--no-findings", "-o", "out.svg"]
    program = OnTerminal(f"import sys\nsys.argv = {arguments}\nfrom gradviz_cli.main import main\nmain()")
    program.wait_for("laying out")
    program.process.send_signal(signal.SIGINT)
    assert left_on_screen(program.end()) == [SAID]
    assert program.process.returncode == 130
    assert os.listdir() == [name]


# what is large


def test_a_pipe_is_told_that_a_drawing_is_large_and_what_makes_it_smaller(folder, monkeypatch):  # noqa: F811
    monkeypatch.setattr("gradviz_cli._drawing.LARGE", 150)
    name = write_long_log(count=200)
    said = run("render", name, "--all", "--no-findings", "-f", "dot", "-o", "out").stderr.splitlines()
    assert "about 207 boxes" in said[0]
    assert all(option in said[0] for option in ("--of", "--focus", "--depth"))
    said = run("render", name, "--all", "--no-findings", "-f", "json", "-o", "out").stderr
    assert "large" not in said


def test_the_collector_is_held_still_and_left_as_it_was():
    seen = []

    @uncollected
    def work():
        seen.append(gc.isenabled())
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work()
    assert (seen, gc.isenabled()) == ([False], True)
    gc.disable()
    try:
        with pytest.raises(KeyboardInterrupt):
            work()
        assert not gc.isenabled()
    finally:
        gc.enable()
