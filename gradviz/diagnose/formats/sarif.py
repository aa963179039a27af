"""Findings as SARIF 2.1.0, the format that GitHub code scanning and editors read from any checker.

Source: OASIS, Static Analysis Results Interchange Format 2.1.0. Where the format leaves a choice:

    lines, columns   count from 1, columns in characters (`unicodeCodePoints`), `endColumn` is the first one behind
    places           relative to the working directory, which `originalUriBaseIds` names; else an absolute file URI
    fingerprints     made of the rule, the file and the text of the line, so that a finding that moves stays the same
    the program      its exception, and what the recording could not see, are `toolExecutionNotifications`
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from gradviz._version import __version__
from gradviz.diagnose.findings import Finding, Findings, Related, Severity
from gradviz.diagnose.registry import Rule, rules
from gradviz.diagnose.report import document_rule
from gradviz.events import Error, Site
from gradviz.graphs import Graph

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"

_ROOT = "%SRCROOT%"
_FINGERPRINT = "gradvizFinding/v1"
_FRAMES_LIMIT = 100
_LEVELS = {
    "GV1": "error", "GV109": "warning", "GV111": "warning",
    "GV2": "error",
    "GV3": "error", "GV303": "warning", "GV304": "note",
    "GV406": "error", "GV408": "error", "GV409": "error", "GV411": "error", "GV413": "error", "GV417": "error",
    "GV418": "error", "GV420": "error", "GV421": "error",
    "GV501": "error", "GV504": "note",
}  # fmt: skip
"""The gravest level that a rule's findings have, by family or code; the rest are warnings. Each result has its own."""

_Object = dict[str, Any]


def as_sarif(findings: Findings) -> str:
    """A SARIF log of one run."""
    graph = findings.graph
    order = {rule.code: number for number, rule in enumerate(rules())}
    marks = _fingerprints(findings)
    run: _Object = {
        "tool": {
            "driver": {
                "name": "gradviz",
                "version": __version__,
                "semanticVersion": __version__,
                "rules": [_rule(rule) for rule in rules()],
            }
        },
        "invocations": [_invocation(graph)],
        **_roots(),
        "columnKind": "unicodeCodePoints",
        "results": [
            _result(finding, order, mark, graph) for finding, mark in zip(findings, marks, strict=True)
        ],
    }
    return json.dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2, ensure_ascii=True) + "\n"


def _rule(rule: Rule) -> _Object:
    page = document_rule(rule)
    what = page.partition("## What it does\n")[2].partition("\n## ")[0]
    return {
        "id": rule.code,
        "name": rule.name,
        "shortDescription": {"text": rule.title},
        "fullDescription": {"text": " ".join(what.split()) or rule.title},
        "help": {"text": page, "markdown": page},
        "defaultConfiguration": {"level": _LEVELS.get(rule.code) or _LEVELS.get(rule.code[:3], "warning")},
        "properties": {"kind": rule.kind},
    }


def _result(finding: Finding, order: dict[str, int], mark: str, graph: Graph) -> _Object:
    text = f"{finding.message}; help: {finding.help}" if finding.help else finding.message
    related = [
        {"id": number, "physicalLocation": _place(other), "message": _message(other.text)}
        for number, other in enumerate(finding.related, 1)
    ]
    where = _place(finding) if finding.path else _program(graph)
    return {
        "ruleId": finding.code,
        "ruleIndex": order[finding.code],
        "level": finding.severity.value,
        "message": _message(text),
        "locations": [{"physicalLocation": where}] if where else [],
        **({"relatedLocations": related} if related else {}),
        "partialFingerprints": {_FINGERPRINT: mark},
        "properties": {"kind": finding.kind, "names": list(finding.names)},
    }


def _message(text: str) -> _Object:
    """A message, in which `[0](x)` is code and not a link."""
    return {"text": re.sub(r"\[(?=[^\]]*\]\()", r"\\[", text)}


def _place(place: Finding | Related | Site) -> _Object:
    """A physical location; its region holds what is known."""
    path = place.file if isinstance(place, Site) else place.path
    region: _Object = {"startLine": place.line} if place.line else {}
    if isinstance(place, Finding) and place.line:
        region |= {"startColumn": place.column} if place.column else {}
        region |= {"endLine": place.end_line} if place.end_line >= place.line else {}
        if place.column and place.end_column and (place.end_line > place.line or place.end_column > place.column):
            region["endColumn"] = place.end_column
        if place.source and place.end_line == place.line and "endColumn" in region:
            region["snippet"] = {"text": place.source[place.column - 1 : place.end_column - 1]}
    return {"artifactLocation": _artifact(path), **({"region": region} if region else {})}


def _roots() -> _Object:
    """What relative places are relative to."""
    try:
        folder = Path.cwd()
    except OSError:  # it was deleted
        return {}
    return {"originalUriBaseIds": {_ROOT: {"uri": folder.as_uri().rstrip("/") + "/"}}}


def _artifact(path: str) -> _Object:
    if os.path.isabs(path):
        return {"uri": Path(path).as_uri()}
    return {"uri": quote(path.replace(os.sep, "/"), errors="replace"), "uriBaseId": _ROOT}


def _program(graph: Graph) -> _Object | None:
    """Where to show a finding that has no line of its own: at the program."""
    target = graph.header.target
    return {"artifactLocation": _artifact(target)} if target and not target.startswith("-m ") else None


def _fingerprints(findings: Sequence[Finding]) -> Iterator[str]:
    """A mark for each finding that does not depend on the number of its line; equal ones are counted."""
    seen: dict[str, int] = {}
    for finding in findings:
        parts = (finding.code, finding.kind, finding.path, finding.source.strip() or finding.message)
        mark = hashlib.sha256("\0".join(parts).encode(errors="replace")).hexdigest()[:32]
        seen[mark] = seen.get(mark, 0) + 1
        yield f"{mark}:{seen[mark]}"


def _invocation(graph: Graph) -> _Object:
    """How the recorded program ended, and what the recording says of itself."""
    notifications = [_raised(graph, error) for error in graph.errors]
    for note in graph.notes:
        level = Severity.ERROR if note.kind == "failure" else Severity.NOTE
        notifications.append({"level": level.value, "message": _message(note.text)})
    code = graph.end.exit_code if graph.end is not None else None
    return {
        "executionSuccessful": not graph.errors and not code and graph.end is not None,
        **({"exitCode": code} if code is not None else {}),
        **({"toolExecutionNotifications": notifications} if notifications else {}),
    }


def _raised(graph: Graph, error: Error) -> _Object:
    site = graph.sites.get(error.site) if error.site is not None else None
    frames: list[_Object] = []
    caller = site
    while caller is not None and len(frames) < _FRAMES_LIMIT:
        function = {"logicalLocations": [{"fullyQualifiedName": caller.function}]}
        frames.append({"location": {"physicalLocation": _place(caller), **function}})
        caller = graph.sites.get(caller.caller) if caller.caller is not None else None
    text = f"{error.type}: {error.message}".removesuffix(": ")
    return {
        "level": "error",
        "message": _message(text),
        **({"locations": [{"physicalLocation": _place(site)}]} if site is not None else {}),
        "exception": {
            "kind": error.type,
            "message": error.message,
            **({"stack": {"frames": frames}} if frames else {}),
        },
    }
