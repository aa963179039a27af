"""What every test shares: nothing that a test switches on outlives it, and golden files."""

from __future__ import annotations

import difflib
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

torch.set_warn_always(True)  # some of its warnings come once a process: a comparison must not depend on the test before

GOLDEN = Path(__file__).parent / "golden"

collect_ignore = ["bench", "cases", "programs"]  # scripts to be run, not tests


def pytest_configure() -> None:
    # Who starts the tests in the background may have interrupts ignored, and so would every program that a test starts.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write what the tests got into tests/golden")


@pytest.fixture(autouse=True)
def nothing_leaks() -> Iterator[None]:
    """Fails a test that leaves a grad mode or a recording behind, and puts it right for the tests that follow."""
    yield
    leaks = []
    grad_mode = sys.modules.get("gradviz.core.grad_mode")
    if grad_mode is not None:
        if grad_mode.is_inference_mode_enabled():
            leaks.append("inference mode is still on")
        if not grad_mode.is_grad_enabled():
            leaks.append("grad mode is still off")
        grad_mode._current.set(None)  # a region that turned grad on inside another one may be left, too
    recorder = sys.modules.get("gradviz.recorder")
    for recording in reversed(recorder.active() if recorder is not None else ()):
        leaks.append(f"{recording!r} is still recording")
        recording.__exit__(None, None, None)
    assert not leaks, "; ".join(leaks)


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """`golden(name, text)` compares `text` with tests/golden/<name>; `--update-golden` makes it the file.

    On a mismatch the text is kept beside the file as <name>.actual.
    """

    def compare(name: str, text: str) -> None:
        path = GOLDEN / name
        actual = path.with_name(path.name + ".actual")
        actual.unlink(missing_ok=True)
        if request.config.getoption("--update-golden"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8", newline="")
            return
        expected = path.read_bytes().decode() if path.exists() else ""
        if text != expected:
            actual.parent.mkdir(parents=True, exist_ok=True)
            actual.write_text(text, encoding="utf-8", newline="")
            lines = difflib.unified_diff(expected.splitlines(), text.splitlines(), name, actual.name, lineterm="", n=1)
            pytest.fail("\n".join(["not the golden file (`--update-golden` accepts it)", *list(lines)[:60]]))

    return compare
