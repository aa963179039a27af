"""Engines: Graphviz's `dot`, where it is installed, lays out and draws what our DOT view says, for a limited time."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from contextlib import suppress

from gradviz.errors import UsageError
from gradviz.progress import step

FORMATS = ("svg", "png", "pdf")
"""What `dot` is asked for."""

_HELP = "leave out `--engine dot`, and gradviz draws by itself"
_SHARP = "-Gdpi=192"


def find_dot() -> str:
    """The path of Graphviz's `dot`. Raises `UsageError` where there is none."""
    found = shutil.which("dot")
    if found is None:
        raise UsageError("there is no `dot`, which comes with Graphviz", help=_HELP)
    return found


def draw_with_dot(source: str, view: str, timeout: float) -> str | bytes:
    """What `dot` makes of `source`: text for "svg", bytes for "png" and "pdf".

    timeout   seconds after which `dot` is ended, with all that it started

    Raises `UsageError` where there is no `dot`, it does not finish in time, or it fails.
    """
    command = [find_dot(), f"-T{view}", *([_SHARP] if view == "png" else [])]
    with step("waiting for dot"):
        status, drawn, said = _run(command, source.encode(), timeout)
    if status:
        lines = said.decode(errors="replace").split("\n")
        reason = next((line.strip() for line in lines if line.strip()), "")
        if not reason:
            reason = f"it was ended by signal {-status}" if status < 0 else f"its exit status is {status}"
        raise UsageError(f"`dot` failed: {reason}", help=_HELP)
    return drawn.decode() if view == "svg" else drawn


def _run(command: list[str], given: bytes, timeout: float) -> tuple[int, bytes, bytes]:
    """Exit status, output and complaints of a program, which does not outlive this call, whatever ends it."""
    try:
        # In a group of its own, so that all that it starts can be ended with it.
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            process_group=0 if os.name == "posix" else None,
        )  # fmt: skip
    except OSError as failure:
        reason = (failure.strerror or str(failure)).lower()
        raise UsageError(f"`dot` cannot be run: {reason}", help=_HELP) from None
    with process:
        try:
            drawn, said = process.communicate(given, timeout)
        except BaseException as reason:
            _end(process)
            if isinstance(reason, subprocess.TimeoutExpired):
                raise UsageError(f"`dot` did not finish in {timeout:g} seconds", help=_HELP) from None
            raise
    return process.returncode, drawn, said


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process, and where the system knows groups all that it has started, which may outlive it."""
    with suppress(ProcessLookupError):
        if os.name == "posix":
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
