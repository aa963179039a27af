"""Places: which sites of a graph a finding speaks of, and which findings a picture tells."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from gradviz.events import BACKWARD
from gradviz.graphs import Graph

if TYPE_CHECKING:
    from gradviz.diagnose import Finding

SHOWN = ("error", "warning")
"""Severities that a picture tells. A note is no defect, and the picture of a healthy script stays as it is."""


class _Place(NamedTuple):
    """Where a finding or a site is, counted as findings count."""

    path: str
    line: int
    column: int
    end_line: int
    end_column: int


class Places:
    """The sites of one graph by where they are: a line may have several, one for each way by which it was called."""

    def __init__(self, graph: Graph) -> None:
        self._sites: dict[_Place, set[int]] = {}
        for site in graph.sites.values():
            place = _Place(site.file, site.line, site.column + 1, site.end_line or site.line, site.end_column + 1)
            self._sites.setdefault(place, set()).add(site.id)

    def sites(self, finding: Finding) -> set[int]:
        """The sites that are the finding's culprit; none where the graph knows nothing of it."""
        place = _Place(finding.path, finding.line, finding.column, finding.end_line, finding.end_column)
        return self._sites.get(place, set())


def is_skipped(graph: Graph, op: int) -> bool:
    """The op ran with grad off: no culprit where a finding blames its line, and not the mode, and the line ran tracked.

    An evaluation runs the lines of the training once more.
    """
    ran = graph.ops[op]
    region = graph.regions.get(ran.region) if ran.region is not None else None
    return not ran.tracked and region is not None and not region.enabled and region.kind != BACKWARD
