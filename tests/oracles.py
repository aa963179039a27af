"""Programs from outside that judge what gradviz writes: Graphviz reads our DOT, Chromium opens our SVG and HTML.

On a machine that lacks one, the tests that need it skip and say so. Where the environment says `CI=true` they fail
instead, so that a missing oracle never passes for a passing test.
"""

from __future__ import annotations

import math
import os
import shutil
import subprocess
import tempfile
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

TIMEOUT = 60
"""Seconds that one run of an oracle may take."""


def require_dot() -> str:
    """The path of Graphviz's `dot`."""
    return _require("Graphviz", "graphviz", "dot")


def require_chromium() -> str:
    """The path of a Chromium that can run without a display."""
    return _require("Chromium", "chromium", "chromium", "chromium-browser", "google-chrome")


def _require(what: str, package: str, *programs: str) -> str:
    for program in programs:
        path = shutil.which(program)
        if path is not None:
            return path
    reason = f"{what} is not installed (Debian package `{package}`)"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def screenshot(svg_path: Path, png_path: Path, *, dark: bool = False) -> None:
    """Draw an SVG file at its own size into a PNG file, as a browser with a light or a dark theme shows it."""
    root = ElementTree.parse(svg_path).getroot()
    width, height = (math.ceil(float(root.attrib[name].removesuffix("px"))) for name in ("width", "height"))
    scheme = "dark" if dark else "light"
    _run_chromium(
        f"--screenshot={png_path}",
        f"--window-size={width},{height}",
        "--hide-scrollbars",
        f"--blink-settings=preferredColorScheme={0 if scheme == 'dark' else 1}",
        svg_path.resolve().as_uri(),
    )
    assert png_path.exists(), f"Chromium drew no {png_path}"


def open_in_chromium(html: str, fragment: str = "", wait: int = 0) -> str:
    """The document as Chromium holds it after loading `html` and running its scripts, written out as HTML.

    fragment   what follows `#` in its address
    wait       milliseconds of the page's own time that timers may run after loading
    """
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder, "page.html")
        page.write_text(html, encoding="utf-8")
        timers = [f"--virtual-time-budget={wait}"] if wait else []
        return _run_chromium("--dump-dom", *timers, f"{page.as_uri()}#{fragment}" if fragment else page.as_uri())


def _run_chromium(*arguments: str) -> str:
    chromium = require_chromium()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", f"--user-data-dir={profile}"]
        done = subprocess.run([chromium, *flags, *arguments], capture_output=True, timeout=TIMEOUT, check=False)
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    return done.stdout.decode()
