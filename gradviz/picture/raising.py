"""Raising: the boxes of a backward pass that failed, and of the exception that ended the script."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradviz.picture.records import BoxKind, Wire, WireKind
from gradviz.picture.wording import TOOLTIP_LIMIT, clean, clip, dots

if TYPE_CHECKING:
    from gradviz.picture.composing import Composer

ERROR_LIMIT = 46
"""Longest line of an error's message in its box, in characters; its tooltip has room for all that is kept."""


def mark_errors(composer: Composer) -> None:
    """Add a box for each sweep that raised, and for the exception that ended the script where it concerns values."""
    graph, words = composer.graph, composer.words
    marks: dict[str, str] = {}
    for sweep in graph.sweeps:
        if sweep.error:
            title = dots(f"{sweep.kind}() raised", words.line(sweep.site))
            marks[sweep.error] = _mark(composer, title, sweep.error, sweep.site, (*sweep.roots, *sweep.concerned))
    for error in graph.errors:
        mark = marks.get(error.message)
        known = [value for value in error.values if value in composer.data]
        if mark is not None:
            joined = {wire.tail for wire in composer.wires if wire.head == mark}
            tails = [composer.ends.get(value, composer.data[value]) for value in known]
            composer.wires += [Wire(tail, mark, WireKind.ERROR) for tail in dict.fromkeys(tails) if tail not in joined]
        elif known:
            title = dots(f"{clean(error.type)} raised", words.line(error.site))
            _mark(composer, title, error.message, error.site, tuple(known))


def _mark(composer: Composer, title: str, message: str, site: int | None, values: tuple[int, ...]) -> str:
    pairs = (("message", clean(message, TOOLTIP_LIMIT * 3)), *composer.words.place_pairs(site))
    box = composer.add_box(BoxKind.ERROR, title, clip(message, ERROR_LIMIT), pairs, None, site=site)
    tails = [composer.ends.get(value, composer.data[value]) for value in values if value in composer.data]
    composer.wires += [Wire(tail, box, WireKind.ERROR) for tail in dict.fromkeys(tails)]
    return box
