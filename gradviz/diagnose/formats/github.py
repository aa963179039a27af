"""Findings for GitHub Actions: workflow commands, by which a finding is shown beside its line in a pull request."""

from __future__ import annotations

from gradviz.diagnose.findings import Finding, Findings, Severity

_COMMANDS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTE: "notice"}


def as_github(findings: Findings) -> str:
    """One line for each finding: `::error file=train.py,line=3,title=GV101::...`."""
    return "".join(_command(finding) for finding in findings)


def _command(finding: Finding) -> str:
    where: dict[str, object] = {"file": finding.path, "line": finding.line, "endLine": finding.end_line}
    if finding.end_line == finding.line:  # columns are refused where there are several lines
        where |= {"col": finding.column, "endColumn": finding.end_column}
    fields = {**{key: value for key, value in where.items() if value}, "title": finding.code}
    told = ",".join(f"{key}={_escaped(str(value), ':,')}" for key, value in fields.items())
    text = f"{finding.message}; help: {finding.help}" if finding.help else finding.message
    return f"::{_COMMANDS[finding.severity]} {told}::{_escaped(text)}\n"


def _escaped(text: str, more: str = "") -> str:
    """`text` as a workflow command takes it, without line breaks."""
    return "".join(f"%{ord(char):02X}" if char in "%\r\n" + more else char for char in text)
