"""The suite's own safety net is tested: a test that leaks fails, and the next one starts clean."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def run_suite(folder: Path, source: str, *arguments: str, golden: Path | None = None) -> list[str]:
    """Run `source` as a suite of its own under this folder's conftest; the outcome of each test and each teardown."""
    (folder / "test_inner.py").write_text(source, encoding="utf-8")
    (folder / "empty.ini").write_text("[pytest]\n", encoding="utf-8")
    plugin = "conftest"
    if golden is not None:
        plugin = "with_golden"
        (folder / "with_golden.py").write_text(
            f"import conftest, pathlib\nfrom conftest import *\nconftest.GOLDEN = pathlib.Path({str(golden)!r})\n"
        )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-c", "empty.ini", "-p", plugin, "-rA", "-q", *arguments, "test_inner.py"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE), str(folder)])},
        capture_output=True,
        text=True,
        check=False,
    )
    outcomes = ("PASSED", "FAILED", "ERROR")
    return [" ".join(line.split()[:2]) for line in done.stdout.splitlines() if line.startswith(outcomes)]


def test_leaks_fail_the_test_that_leaks(tmp_path: Path) -> None:
    source = """
from gradviz.core.grad_mode import is_grad_enabled, set_grad_enabled
from gradviz.recorder import active, record

def test_grad_mode():
    set_grad_enabled(False)

def test_recorder():
    record().__enter__()

def test_clean():
    assert is_grad_enabled() and not active()
"""
    found = run_suite(tmp_path, source)
    assert sorted(line for line in found if line.startswith("ERROR")) == [
        "ERROR test_inner.py::test_grad_mode",
        "ERROR test_inner.py::test_recorder",
    ]
    assert "PASSED test_inner.py::test_clean" in found


def test_golden_files(tmp_path: Path) -> None:
    """A mismatch fails and keeps what was got; the flag accepts it, and then it passes."""
    source = "def test_golden(golden):\n    golden('some.txt', 'one\\r\\ntwo\\n')\n"
    folder = tmp_path / "golden"
    assert run_suite(tmp_path, source, golden=folder) == ["FAILED test_inner.py::test_golden"]
    assert (folder / "some.txt.actual").read_bytes() == b"one\r\ntwo\n"
    assert run_suite(tmp_path, source, "--update-golden", golden=folder) == ["PASSED test_inner.py::test_golden"]
    assert run_suite(tmp_path, source, golden=folder) == ["PASSED test_inner.py::test_golden"]
    assert [path.name for path in folder.iterdir()] == ["some.txt"]
