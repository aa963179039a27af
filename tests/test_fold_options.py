"""The options that say how much is drawn as one, on the command line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from building import Builder
from click.testing import CliRunner
from gradviz_cli.main import application

from gradviz.events import Role
from gradviz.gvlog import LogWriter


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A log of a model of sixty layers, two ops each."""
    monkeypatch.chdir(tmp_path)
    b = Builder()
    x = b.leaf("x", (2, 8))
    for number in range(60):
        weight = b.leaf(f"net.{number}.weight", (8, 8), requires_grad=True, role=Role.PARAMETER)
        b.scope = f"net.{number}"
        x = b.op("tanh", b.op("linear", x, weight))
        b.scope = ""
    b.sweep(b.op("sum", x, name="loss", shape=()))
    writer = LogWriter("run.gvlog")
    for event in b.events():
        writer.emit(event)
    writer.close()
    return "run.gvlog"


def run(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(application, arguments, prog_name="gradviz", terminal_width=80)
    return result.exit_code, result.stdout, result.stderr


def test_a_large_graph_is_folded_and_the_terminal_says_so(log: str) -> None:
    code, _, said = run("render", log, "-o", "net.svg")
    assert code == 0
    assert "folded: 60 equal blocks are drawn as one (net.0-net.59); `--expand net.0` unfolds one of them" in said
    assert "net.0-net.59 ×60" in Path("net.svg").read_text(encoding="utf-8")


def test_all_folds_nothing(log: str) -> None:
    code, out, _ = run("tree", log, "--all")
    assert code == 0
    assert out.count("linear") == 60
    assert "folded" not in out


def test_what_the_note_proposes_works(log: str) -> None:
    _, out, _ = run("tree", log, "--expand", "net.0")
    assert "net.1-net.59 ×59" in out
    _, out, _ = run("tree", log, "--depth", "1")
    assert "net  120 ops · 60 parameters" in out
    _, out, _ = run("tree", log, "--all", "--collapse", "net.7")
    assert "▣ net.7" in out
    assert out.count("linear") == 59


def test_json_is_whole_unless_asked(log: str) -> None:
    assert '"folds":[]' in run("render", log, "-f", "json", "-o", "-")[1]
    assert '"title":"net"' in run("render", log, "-f", "json", "-o", "-", "--depth", "1")[1]


@pytest.mark.parametrize(
    ("option", "name", "near"), [("--expand", "net.x", "`net.9`"), ("--collapse", "nett", "`net`")]
)
def test_a_scope_that_is_not_there_is_answered_with_near_ones(log: str, option: str, name: str, near: str) -> None:
    code, _, said = run("tree", log, option, name)
    assert code != 0
    assert f"no module or function that is drawn is called `{name}`" in said
    assert near in said


@pytest.fixture
def loops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A log of two loops of forty turns, at lines 3-4 and 6-7."""
    monkeypatch.chdir(tmp_path)
    b = Builder()
    x = b.leaf("x", (4,), requires_grad=True, line=1)
    for line in (3, 6):
        for _ in range(40):
            x = b.op("tanh", b.op("exp", x, line=line), line=line + 1)
    b.sweep(b.op("sum", x, name="loss", shape=(), line=8), line=9)
    writer = LogWriter("loops.gvlog")
    for event in b.events():
        writer.emit(event)
    writer.close()
    return "loops.gvlog"


def test_one_loop_is_opened_by_its_address_and_the_other_stays(loops: str) -> None:
    _, out, _ = run("tree", loops)
    assert out.count("■ tanh") == 2
    _, _, said = run("render", loops, "-o", "loops.svg")
    (option,) = re.findall(r"`(--expand loop:\S+)` unfolds one of them", said)
    assert option.endswith(":3-4")
    code, out, _ = run("tree", loops, *option.split())
    assert code == 0
    assert out.count("■ tanh") == 41
    assert run("tree", loops, "--iterations", *option.split())[1].count("■ tanh") == 41
    assert run("tree", loops, "--expand", "loop:*")[1].count("■ tanh") == 80


def test_a_loop_that_is_not_there_is_answered_with_near_ones(loops: str) -> None:
    code, _, said = run("tree", loops, "--expand", "loop:3-5")
    assert code != 0
    assert "no loop that is drawn has the lines of `loop:3-5`" in said
    assert "`loop:3-4`" in said
    assert run("tree", loops, "--collapse", "loop:3-4")[0] != 0
