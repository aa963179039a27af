"""Blame: the kind of a cut, and the place that the user would change: what cuts, or who opened the region it ran in."""

from __future__ import annotations

from gradviz.diagnose.facts import Facts
from gradviz.events import Cause
from gradviz.graphs import Cut, Op
from gradviz.withholding import withheld

MODES = (Cause.NO_GRAD, Cause.INFERENCE_MODE, Cause.SET_GRAD_ENABLED)


def cuts_by_op(facts: Facts) -> dict[int, list[Cut]]:
    """The cuts at each op."""
    found: dict[int, list[Cut]] = {}
    for cut in facts.graph.cuts:
        found.setdefault(cut.op, []).append(cut)
    return found


def kept_back_by_op(facts: Facts) -> frozenset[tuple[int, int]]:
    """The inputs, as op and value, that the backward of a custom function gave None for."""
    return withheld(facts.graph)


def cut_of(facts: Facts, op: int) -> Cut:
    """The first cut at `op`; of a tracked op, that of its backward or of the integers beside its values."""
    made = facts.graph.ops[op]
    if not made.tracked:
        return facts.once(cuts_by_op)[op][0]
    kept_back = [item for item in made.value_inputs if (op, item) in facts.once(kept_back_by_op)]
    if kept_back:
        return Cut(op, made.inputs.index(kept_back[0]), kept_back[0], Cause.CUSTOM_FUNCTION, made.site, None)
    position = made.needs.index(True)
    return Cut(op, position, int(made.inputs[position]), Cause.INTEGER, made.site, None)


def blame(facts: Facts, op: int) -> tuple[str, int | None]:
    """The kind of a cut and the site to blame: who opened the region or, where numbers left, who took them out."""
    cut = cut_of(facts, op)
    if cut.cause in MODES:
        region = facts.graph.regions.get(cut.region) if cut.region is not None else None
        return cut.cause.value, region.site if region is not None else cut.site
    if cut.cause in (Cause.DETACH, Cause.DETACH_, Cause.DATA):
        exit = exit_behind(facts, facts.graph.ops[op])
        if exit is not None and exit != op:
            left = facts.graph.ops[exit]
            return ("numpy" if left.name in ("numpy", "__array__") else "item"), left.site
        return ("data" if cut.cause is Cause.DATA else "detach"), cut.site
    return cut.cause.value, cut.site


def exit_behind(facts: Facts, op: Op) -> int | None:
    """The op by which the numbers behind a cut left the program's tensors, where they did and did nothing else."""
    if not op.outputs:
        return op.id
    if not facts.feeding.isdisjoint(op.outputs):
        return None
    return next((facts.exit_of[output] for output in op.outputs if output in facts.exit_of), None)
