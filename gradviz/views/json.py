"""JSON: the graph itself, for programs; nothing is left out, shortened or laid out.

The document is one object. Its keys always stand in this order, and each record stands on a line of its own:

    format, version     "gradviz-graph" and [major, minor] of this layout
    header              producer, target, versions, schema (of the events)
    sites               list of places in the source; `caller` is the id of another one
    values              list of tensors, one for each version
    ops                 list of operations; an input is a value's id (a number) or the text of a literal (a string)
    regions             list of grad-mode switches with the ops inside
    cuts                list of places where gradient flow stops, with the cause
    sweeps              list of runs of `backward()` or `grad()`
    optimizers, acts    who owns which values, and what was done to values besides ops
    errors, notes       what raised, and what must be known about the recording
    folds               list of what a picture is to draw as one, where that was asked for
    findings            list of what `gradviz check --format json` says, or null where the rules were not asked
    end                 how the run ended, or null

The keys of a record are the fields of the record of that name in `gradviz.graphs` or `gradviz.events`; lists are
ordered by id. JSON has no NaN or infinity: such a number is the string "nan", "inf" or "-inf".
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING

from gradviz.graphs import Graph
from gradviz.views import Options

if TYPE_CHECKING:
    from gradviz.diagnose import Finding

VERSION = (1, 3)


def draw(graph: Graph, options: Options, findings: Sequence[Finding] | None = None) -> str:
    """The document, in ASCII; no option changes it."""
    parts = [
        f'"format":"gradviz-graph","version":{_encode(list(VERSION))}',
        f'"header":{_encode(graph.header)}',
        _list("sites", graph.sites.values()),
        _list("values", graph.values.values()),
        _list("ops", graph.ops.values()),
        _list("regions", graph.regions.values()),
        _list("cuts", graph.cuts),
        _list("sweeps", graph.sweeps),
        _list("optimizers", graph.optimizers),
        _list("acts", graph.acts),
        _list("errors", graph.errors),
        _list("notes", graph.notes),
        _list("folds", graph.folds),
        _findings(graph, findings),
        f'"end":{_encode(graph.end)}',
    ]
    return "{" + ",\n".join(parts) + "}\n"


def _findings(graph: Graph, findings: Sequence[Finding] | None) -> str:
    if findings is None:
        return '"findings":null'
    from gradviz.diagnose import Findings
    from gradviz.diagnose.formats import as_json

    told = json.loads(as_json(Findings(findings, graph)))["findings"]
    lines = [json.dumps(record, separators=(",", ":")) for record in told]
    return '"findings":[\n' + ",\n".join(lines) + "\n]" if lines else '"findings":[]'


def _list(key: str, records: Iterable[object]) -> str:
    lines = ",\n".join(_encode(record) for record in records)
    return f'"{key}":[\n{lines}\n]' if lines else f'"{key}":[]'


def _encode(record: object) -> str:
    return json.dumps(_plain(record), separators=(",", ":"), allow_nan=False)


def _plain(item: object) -> object:
    """A record as what JSON knows; records nest three deep at most."""
    if isinstance(item, float):
        return item if math.isfinite(item) else str(item)
    if item is None or isinstance(item, (str, int)):
        return item
    if isinstance(item, (tuple, list)):
        return [_plain(part) for part in item]
    names = _FIELDS.get(type(item))
    if names is None:
        names = _FIELDS[type(item)] = tuple(field.name for field in fields(item))  # type: ignore[arg-type]
    return {name: _plain(getattr(item, name)) for name in names}


_FIELDS: dict[type, tuple[str, ...]] = {}
