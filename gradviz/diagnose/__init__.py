"""Findings: what is wrong with the gradients of a recorded program, by cause and line. One module per rule.

A rule reads the Graph only, so it holds alike for the numpy core, for PyTorch and for a log.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

from gradviz.diagnose.facts import Facts
from gradviz.diagnose.findings import Complaint, Finding, Findings, Related, Severity, place, related_places
from gradviz.diagnose.registry import Rule, find_rule, rules
from gradviz.diagnose.silencing import Comments
from gradviz.graphs import Graph

__all__ = ["Finding", "Findings", "Related", "Rule", "Severity", "diagnose", "find_rule", "rules"]

TOLD = 2
"""So many further names a message tells."""


def diagnose(graph: Graph, *, select: Collection[str] = (), ignore: Collection[str] = ()) -> Findings:
    """What the rules find, one finding for each cause, the gravest first, then by place.

    select, ignore    codes or beginnings of codes (`GV101`, `GV1`); with `select` only those rules look at all

    A comment in the culprit's statement silences a finding: `# gradviz: ignore[GV101]`, or without codes every one.
    """
    facts, comments = Facts(graph), Comments()
    found: dict[tuple[Any, ...], list[Finding]] = {}
    for rule in rules():
        if (select and not rule.code.startswith(tuple(select))) or (ignore and rule.code.startswith(tuple(ignore))):
            continue
        for complaint in rule.check(facts):
            finding = _told(facts, rule, complaint)
            if comments.silence(finding):
                continue
            key = (finding.code, finding.kind, finding.path, finding.line, finding.column or finding.message)
            found.setdefault(key, []).append(finding)
    return Findings(sorted([_joined(alike) for alike in found.values()], key=_order), graph)


def _told(facts: Facts, rule: Rule, complaint: Complaint) -> Finding:
    sites = facts.graph.sites
    where: dict[str, Any] = place(sites.get(complaint.site) if complaint.site is not None else None)
    here = (where.get("path"), where.get("line"))
    return Finding(
        rule.code,
        complaint.kind or rule.kind,
        complaint.severity,
        complaint.message,
        complaint.help,
        **where,
        names=(*complaint.named, *facts.names(complaint.values)),
        related=tuple(other for other in related_places(sites, complaint.related) if (other.path, other.line) != here),
        values=complaint.values,
        returns=complaint.returns,
    )


def _joined(alike: Sequence[Finding]) -> Finding:
    """One finding for all on one culprit: the gravest speaks, for the tensors of all."""
    if len(alike) == 1:
        return alike[0]
    first = min(alike, key=lambda finding: finding.severity.rank)
    ordered = [first, *(finding for finding in alike if finding is not first)]
    names = tuple(dict.fromkeys(name for finding in ordered for name in finding.names))
    others = [name for name in names if name not in first.names]
    return replace(
        first,
        message=f"{first.message}; {_told_too(others)}" if others else first.message,
        names=names,
        related=tuple(dict.fromkeys(related for finding in ordered for related in finding.related)),
        values=tuple(dict.fromkeys(value for finding in ordered for value in finding.values)),
        returns=tuple(dict.fromkeys(pair for finding in ordered for pair in finding.returns)),
    )


def _told_too(names: Sequence[str]) -> str:
    """Who else suffers from a culprit, by name or, where there are many, by number."""
    told = " and ".join(f"`{name}`" for name in names) if len(names) <= TOLD else f"{len(names):,} more"
    return f"{told} {'suffers' if len(names) == 1 else 'suffer'} from it as well"


def _order(finding: Finding) -> tuple[Any, ...]:
    return (finding.severity.rank, finding.path, finding.line, finding.column, finding.code, finding.message)
