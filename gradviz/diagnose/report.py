"""How findings are told: as text with the source line and carets, as JSON, and the rules' documentation as a page."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from gradviz.diagnose.findings import Finding, Severity
from gradviz.diagnose.registry import Rule
from gradviz.picture.wording import clean, plural

_LINE_LIMIT = 2000


def as_text(findings: Sequence[Finding]) -> str:
    """One block for each finding, with an empty line after it, and one line that counts them."""
    return "\n\n".join([*(_block(finding) for finding in findings), summary_line(findings)]) + "\n"


def as_json(findings: Sequence[Finding]) -> str:
    """The findings, and how many there are of each severity. Lines and columns count from 1, 0 is unknown."""
    told = {
        "findings": [_record(finding) for finding in findings],
        "summary": {f"{severity}s": count for severity, count in count_severities(findings).items()},
    }
    return json.dumps(told, indent=2, ensure_ascii=True) + "\n"


def as_github(findings: Sequence[Finding]) -> str:
    """Workflow commands, by which GitHub Actions shows each finding beside the line it is about."""
    levels = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTE: "notice"}
    lines = []
    for finding in findings:
        where = {"file": finding.path, "line": finding.line, "endLine": finding.end_line, "col": finding.column}
        fields = {**{key: value for key, value in where.items() if value}, "title": finding.code}
        told = ",".join(f"{key}={_escaped(str(value), ':,')}" for key, value in fields.items())
        text = f"{finding.message}; help: {finding.help}" if finding.help else finding.message
        lines.append(f"::{levels[finding.severity]} {told}::{_escaped(text)}\n")
    return "".join(lines)


def _escaped(text: str, more: str = "") -> str:
    """`text` as a workflow command takes it, without line breaks."""
    return "".join(f"%{ord(char):02X}" if char in "%\r\n" + more else char for char in text)


def count_severities(findings: Iterable[Finding]) -> dict[Severity, int]:
    """How many findings there are of each severity, the gravest first."""
    counts = dict.fromkeys(Severity, 0)
    for finding in findings:
        counts[finding.severity] += 1
    return counts


def summary_line(findings: Iterable[Finding]) -> str:
    """`2 errors, 1 note`, or `no findings`."""
    told = [plural(count, severity.value) for severity, count in count_severities(findings).items() if count]
    return ", ".join(told) or "no findings"


def list_rules(rules: Iterable[Rule]) -> str:
    """One line for each rule: code, name, and what it looks for."""
    rules = tuple(rules)
    width = max((len(rule.name) for rule in rules), default=0)
    return "".join(f"{rule.code}  {rule.name:{width}}  {rule.title}\n" for rule in rules)


def document_rule(rule: Rule, level: int = 1) -> str:
    """The documentation of one rule in Markdown; its own headings are one `level` below its title."""
    body = rule.text.partition("\n")[2].strip().replace("\n## ", f"\n{'#' * (level + 1)} ")
    if body.startswith("## "):
        body = "#" * (level - 1) + body
    return f"{'#' * level} {rule.code}: {rule.name}\n\n{rule.title}\n\n{_spaced(body)}\n"


def document_rules(rules: Iterable[Rule]) -> str:
    """The page of all rules."""
    rules = tuple(rules)
    listed = "".join(
        f"- [{rule.code}: {rule.name}](#{rule.code.lower()}-{rule.name}): {rule.title}\n" for rule in rules
    )
    intro = (
        "# Rules\n\nWhat `gradviz check` looks for. `gradviz rule GV101` prints one of them. The page is made from\n"
        "the docstrings in `gradviz/diagnose`.\n\n"
    )
    return intro + listed + "\n" + "\n".join(document_rule(rule, level=2) for rule in rules)


def _spaced(body: str) -> str:
    """`body` with an empty line behind each heading, as Markdown wants it."""
    lines: list[str] = []
    for line in body.split("\n"):
        lines += [line, ""] if line.startswith("#") else [line]
    return "\n".join(lines)


def _block(finding: Finding) -> str:
    lines = [f"{finding.severity}[{finding.code}]: {clean(finding.message, _LINE_LIMIT)}"]
    gutter = " " * len(str(finding.line or ""))
    if finding.line:
        column = f":{finding.column}" if finding.column else ""
        lines.append(f"{gutter}--> {clean(finding.path, _LINE_LIMIT)}:{finding.line}{column}")
        if finding.source.strip():
            source = clean(finding.source.replace("\t", " "), _LINE_LIMIT)
            lines += [
                f"{gutter} |",
                f"{finding.line} | {source}".rstrip(),
                f"{gutter} | {_carets(finding)}".rstrip(),
            ]
    for other in finding.related:
        lines.append(f"{gutter} = {clean(other.path, _LINE_LIMIT)}:{other.line}: {clean(other.text, _LINE_LIMIT)}")
    if finding.help:
        lines.append(f"{gutter} = help: {clean(finding.help, _LINE_LIMIT)}")
    return "\n".join(lines)


def _carets(finding: Finding) -> str:
    """A caret below each character of the culprit; of one that goes on, up to the end of its first line."""
    source = finding.source.rstrip()
    start = finding.column - 1 if finding.column else len(source) - len(source.lstrip())
    one_line = finding.end_line <= finding.line and finding.end_column > finding.column
    end = min(finding.end_column - 1, len(source)) if one_line else len(source)
    return " " * start + "^" * max(1, end - start) if start < len(source) else ""


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
