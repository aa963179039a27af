"""`--engine dot`: what `dot` draws, and what is said where it is missing, slow or fails; nothing of it stays behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from canonical import CANONICAL, detach, named
from oracles import require_dot
from test_cli import folder, log, run, start  # noqa: F401
from test_views import HOSTILE

from gradviz.engines import FORMATS, draw_with_dot, find_dot
from gradviz.errors import UsageError
from gradviz.picture.composing import compose
from gradviz.views import Options, draw


def fake(place: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Makes `dot` a shell script, the only program that is found."""
    path = place / "bin" / "dot"
    path.parent.mkdir()
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    monkeypatch.setenv("PATH", str(path.parent))


needs_sh = pytest.mark.skipif(os.name != "posix", reason="the stand-in for `dot` is a shell script")


@pytest.mark.parametrize("name", CANONICAL)
def test_dot_draws_every_box(name):
    require_dot()
    graph = CANONICAL[name]()
    svg = draw_with_dot(draw(graph, "dot"), "svg", 60)
    shown = "".join(ElementTree.fromstring(svg).itertext()).replace("\xa0", " ")
    for box in compose(graph, Options()).boxes:
        assert box.title in shown


@pytest.mark.parametrize("name", HOSTILE.values(), ids=HOSTILE)
def test_dot_draws_any_name(name):
    require_dot()
    ElementTree.fromstring(draw_with_dot(draw(named(name), "dot"), "svg", 60))


@pytest.mark.parametrize(("view", "start"), [("svg", "<?xml"), ("png", b"\x89PNG"), ("pdf", b"%PDF")])
def test_dot_writes_each_format(view, start):
    require_dot()
    assert draw_with_dot(draw(detach(), "dot"), view, 60).startswith(start)
    assert view in FORMATS


def test_a_missing_dot_is_told(monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(UsageError, match="there is no `dot`") as caught:
        find_dot()
    assert "--engine dot" in caught.value.help


@needs_sh
@pytest.mark.parametrize(
    ("script", "told"),
    [
        ("echo >&2; echo 'Error: syntax' >&2; echo more >&2; exit 1", "`dot` failed: Error: syntax"),
        ("exit 3", "`dot` failed: its exit status is 3"),
        ("kill -9 $$", "`dot` failed: it was ended by signal 9"),
    ],
)
def test_a_failing_dot_is_told_by_the_first_thing_it_says(tmp_path, monkeypatch, script, told):
    fake(tmp_path, monkeypatch, script)
    with pytest.raises(UsageError) as caught:
        draw_with_dot("digraph {}", "svg", 60)
    assert caught.value.message == told
    assert caught.value.help.startswith("leave out `--engine dot`")


@needs_sh
def test_a_dot_that_reads_nothing_is_told(tmp_path, monkeypatch):
    fake(tmp_path, monkeypatch, "exit 1")
    with pytest.raises(UsageError, match="exit status is 1"):
        draw_with_dot("x" * 1_000_000, "svg", 60)


@needs_sh
def test_a_dot_that_cannot_be_run_is_told(tmp_path, monkeypatch):
    fake(tmp_path, monkeypatch, "")
    (tmp_path / "bin" / "dot").write_bytes(b"\x7fELF")
    with pytest.raises(UsageError, match="`dot` cannot be run"):
        draw_with_dot("digraph {}", "svg", 60)


# It tells its child's number and then waits for longer than any test. The file is a FIFO: to read from it is to wait
# for the child, and it ends when nobody is left who could write.
SLOW = "(echo $$; while :; do /bin/sleep 600; done) > {} & while :; do /bin/sleep 600; done"


@needs_sh
def test_a_slow_dot_is_ended_with_its_children(tmp_path, monkeypatch):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    fake(tmp_path, monkeypatch, SLOW.format(fifo))
    with pytest.raises(UsageError) as caught:
        draw_with_dot("digraph {}", "svg", 0.5)
    assert caught.value.message == "`dot` did not finish in 0.5 seconds"
    assert caught.value.help.startswith("leave out `--engine dot`")
    os.set_blocking(reader, True)
    while os.read(reader, 100):  # ends when the last of them has gone
        pass
    os.close(reader)


@needs_sh
def test_ctrl_c_ends_dot_with_its_children(log, folder, monkeypatch):  # noqa: F811
    fifo = folder / "fifo"
    os.mkfifo(fifo)
    fake(folder, monkeypatch, SLOW.format(fifo))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-m", "gradviz", "render", log, "--engine", "dot", "-o", "out.svg"]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        with open(fifo, encoding="utf-8") as reader:
            assert reader.readline()
            process.send_signal(signal.SIGINT)
            assert reader.read() == "", "ends when the last of them has gone"
        stderr = process.communicate(timeout=30)[1]
    assert process.returncode == 130
    assert stderr.strip() == "interrupted; a file is written whole or not at all"
    assert sorted(os.listdir()) == ["bin", "fifo", log]


# the command


@pytest.mark.parametrize("extension", FORMATS)
def test_the_command_draws_with_dot(log, extension):  # noqa: F811
    require_dot()
    result = run("render", log, "--engine", "dot", "-o", f"out.{extension}")
    assert result.exit_code == 0, result.stderr
    assert result.stderr.startswith(f"out.{extension}: ")
    mark = {"svg": b"Generated by graphviz", "png": b"\x89PNG", "pdf": b"%PDF"}[extension]
    assert mark in Path(f"out.{extension}").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--timeout", "5"], "`--timeout` was given without `--engine dot`"),
        (["--engine", "dot", "-f", "json"], "`--engine dot` draws no `json`"),
        (["--engine", "dot", "--timeout", "0"], "timeout"),
        (["--engine", "neato"], "neato"),
    ],
)
def test_what_makes_no_sense_is_refused(log, arguments, told):  # noqa: F811
    result = run("render", log, *arguments)
    assert result.exit_code == 2
    assert told in result.stderr
    assert result.stderr.count("\n") == 2
    assert os.listdir() == [log]


def test_a_missing_dot_is_told_before_the_script_runs(folder, monkeypatch):  # noqa: F811
    Path("script.py").write_text("print('ran')")
    monkeypatch.setenv("PATH", "")
    done = start("render", "script.py", "--engine", "dot")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: there is no `dot`")


def test_a_missing_package_is_told_before_the_script_runs(folder):  # noqa: F811
    Path("script.py").write_text("print('ran')")
    program = (
        "import sys\nsys.modules['pypdfium2'] = None\nfrom gradviz_cli.main import application\n"
        "application.main(['render', 'script.py', '-o', 'out.png'])\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: to write a PNG, gradviz needs `pypdfium2`\nhelp: pip install 'gradviz[png]'\n"


@pytest.mark.parametrize(("view", "mark"), [("png", b"\x89PNG"), ("pdf", b"%PDF")])
def test_the_command_writes_images_to_files_and_pipes(log, view, mark):  # noqa: F811
    assert run("render", log, "-o", f"out.{view}").exit_code == 0
    piped = run("render", log, "-f", view, "-o", "-")
    assert piped.stdout_bytes == Path(f"out.{view}").read_bytes()
    assert piped.stdout_bytes.startswith(mark)
    assert run("render", log, "-f", view).stderr.startswith(f"run.{view}: ")
