"""How findings are written down: one module for each format, and the table of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from gradviz.diagnose.findings import Findings
from gradviz.diagnose.formats.github import as_github
from gradviz.diagnose.formats.json import as_json
from gradviz.diagnose.formats.sarif import as_sarif
from gradviz.diagnose.formats.text import as_text

__all__ = ["FORMATS", "as_github", "as_json", "as_sarif", "as_text"]

FORMATS: Mapping[str, Callable[[Findings], str]] = {
    "text": as_text,
    "json": as_json,
    "sarif": as_sarif,
    "github": as_github,
}
"""What `--format` takes. Each writes the whole of its output, with a line break at its end unless it is empty."""
