"""What a rule says (a Complaint) and what the user is told (a Finding): the same, with places in place of site ids."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Self

from gradviz.events import Site

if TYPE_CHECKING:
    from gradviz.graphs import Graph


class Severity(StrEnum):
    """How much a finding matters; the first is the gravest."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"

    @property
    def rank(self) -> int:
        """0 for the gravest."""
        return list(Severity).index(self)


@dataclass(frozen=True, slots=True)
class Complaint:
    """What a rule found.

    site      the culprit, or None where no line of the user's is known
    values    the tensors that suffer; they are told by name
    related   sites and what is to be said of each
    kind      where the rule covers several kinds; empty for the rule's own
    named     names that are no value's, such as that of a list
    returns   ops that data left by, each with an op that it probably came back by
    """

    severity: Severity
    message: str
    help: str
    site: int | None
    values: tuple[int, ...] = ()
    related: tuple[tuple[int | None, str], ...] = ()
    kind: str = ""
    named: tuple[str, ...] = ()
    returns: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Related:
    """A second place that a finding speaks of. Lines count from 1."""

    path: str
    line: int
    text: str


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong, where, with which tensors, and what to do about it.

    Lines count from 1 and columns from 1; 0 means unknown. `end_column` is the first column behind the culprit.
    `source` is the text of `line`. `names` are as `named_parameters` writes them (`model.layers.0.weight`). `returns`
    are pairs of ops: one that data left for Python or numpy by, and one that it probably came back by.
    """

    code: str
    kind: str
    severity: Severity
    message: str
    help: str
    path: str = ""
    line: int = 0
    end_line: int = 0
    column: int = 0
    end_column: int = 0
    source: str = ""
    names: tuple[str, ...] = ()
    related: tuple[Related, ...] = ()
    values: tuple[int, ...] = ()
    returns: tuple[tuple[int, int], ...] = ()


class Findings(tuple[Finding, ...]):
    """What was found, the gravest first; `str()` of it is the report that `gradviz check` prints.

    graph    the recording that was looked at
    errors, warnings, notes
             the findings of one severity
    """

    graph: Graph

    def __new__(cls, findings: Iterable[Finding], graph: Graph) -> Self:
        made = super().__new__(cls, findings)
        made.graph = graph
        return made

    def __getnewargs__(self) -> tuple[tuple[Finding, ...], Graph]:
        return tuple(self), self.graph

    @property
    def errors(self) -> tuple[Finding, ...]:
        return self._of(Severity.ERROR)

    @property
    def warnings(self) -> tuple[Finding, ...]:
        return self._of(Severity.WARNING)

    @property
    def notes(self) -> tuple[Finding, ...]:
        return self._of(Severity.NOTE)

    def _of(self, severity: Severity) -> tuple[Finding, ...]:
        return tuple(finding for finding in self if finding.severity is severity)

    def __str__(self) -> str:
        from gradviz.diagnose.formats.text import as_text  # the formats build on this module

        return as_text(self).rstrip("\n")

    def __repr__(self) -> str:
        from gradviz.diagnose.formats.text import summary_line

        return f"<Findings: {summary_line(self)}>"


def place(site: Site | None) -> dict[str, str | int]:
    """The fields of a Finding that say where it is."""
    if site is None or not site.line:
        return {}
    return {
        "path": site.file,
        "line": site.line,
        "end_line": site.end_line or site.line,
        "column": site.column + 1,
        "end_column": site.end_column + 1,
        "source": site.text,
    }


def related_places(sites: Mapping[int, Site], told: tuple[tuple[int | None, str], ...]) -> tuple[Related, ...]:
    """The places of `told` that are known, each line once."""
    found: dict[tuple[str, int], Related] = {}
    for id, text in told:
        site = sites.get(id) if id is not None else None
        if site is not None and site.line:
            found.setdefault((site.file, site.line), Related(site.file, site.line, text))
    return tuple(found.values())
