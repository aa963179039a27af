"""Findings for a person: the source line with carets, what else has a part in it, and one help."""

from __future__ import annotations

from collections.abc import Iterable

from gradviz.diagnose.findings import Finding, Findings, Severity
from gradviz.picture.wording import clean, plural

_LINE_LIMIT = 2000


def as_text(findings: Findings) -> str:
    """One block for each finding, with an empty line after it, and one line that counts them."""
    return "\n\n".join([*(block(finding) for finding in findings), summary_line(findings)]) + "\n"


def summary_line(findings: Findings) -> str:
    """`2 errors, 1 note`, or `no findings`; behind it, in brackets, what a reader of so few must know."""
    counts = count_severities(findings)
    told = ", ".join(plural(count, severity.value) for severity, count in counts.items() if count) or "no findings"
    if findings.graph.errors and not findings.errors:
        error = findings.graph.errors[-1]
        site = findings.graph.sites.get(error.site) if error.site is not None else None
        where = f" at {clean(site.file, _LINE_LIMIT)}:{site.line}" if site is not None else ""
        return f"{told} (the program raised {error.type}{where})"
    if not findings and not findings.graph.sweeps:
        return f"{told} (no backward ran, so there is no gradient to speak of)"
    return told


def count_severities(findings: Iterable[Finding]) -> dict[Severity, int]:
    """How many findings there are of each severity, the gravest first."""
    counts = dict.fromkeys(Severity, 0)
    for finding in findings:
        counts[finding.severity] += 1
    return counts


def line(finding: Finding) -> str:
    """One finding in one line: severity, code, message, and in brackets where."""
    code = f"[{finding.code}]" if finding.code else ""
    where = f" ({clean(finding.path, _LINE_LIMIT)}:{finding.line})" if finding.line else ""
    return f"{finding.severity}{code}: {clean(finding.message, _LINE_LIMIT)}{where}"


def block(finding: Finding) -> str:
    """One finding, without a line break at its end. A finding that no rule made has no code."""
    code = f"[{finding.code}]" if finding.code else ""
    lines = [f"{finding.severity}{code}: {clean(finding.message, _LINE_LIMIT)}"]
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
    """A caret below each character of the culprit."""
    start, end = span(finding)
    return " " * start + "^" * (end - start) if end > start else ""


def span(finding: Finding) -> tuple[int, int]:
    """Where in its source line the culprit begins and ends; one that goes on ends with the line."""
    source = finding.source.rstrip()
    start = finding.column - 1 if finding.column else len(source) - len(source.lstrip())
    one_line = finding.end_line <= finding.line and finding.end_column > finding.column
    end = min(finding.end_column - 1, len(source)) if one_line else len(source)
    return (start, max(start + 1, end)) if start < len(source) else (start, start)
