"""Findings for a program: one JSON object with every finding and how many there are of each severity."""

from __future__ import annotations

import json

from gradviz.diagnose.findings import Finding, Findings
from gradviz.diagnose.formats.text import count_severities


def as_json(findings: Findings) -> str:
    """`{"findings": [...], "summary": {"errors": ..., ...}}`. Lines and columns count from 1, 0 is unknown."""
    told = {
        "findings": [_record(finding) for finding in findings],
        "summary": {f"{severity}s": count for severity, count in count_severities(findings).items()},
    }
    return json.dumps(told, indent=2, ensure_ascii=True) + "\n"


def _record(finding: Finding) -> dict[str, object]:
    return {
        "code": finding.code,
        "kind": finding.kind,
        "severity": finding.severity.value,
        "path": finding.path,
        "line": finding.line,
        "end_line": finding.end_line,
        "column": finding.column,
        "names": list(finding.names),
        "related": [{"path": other.path, "line": other.line, "text": other.text} for other in finding.related],
        "message": finding.message,
        "help": finding.help,
    }
