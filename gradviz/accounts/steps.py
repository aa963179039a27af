"""From a track to a road: what each stop is called, where it stands, and why gradient stops there."""

from __future__ import annotations

from dataclasses import replace

from gradviz.accounts.records import Mark, Road, Step
from gradviz.accounts.tracks import Track, Tracks
from gradviz.diagnose.facts import Facts
from gradviz.diagnose.lost import cuts_by_op
from gradviz.events import Cause
from gradviz.graphs import Cut, Op
from gradviz.picture.wording import REASONS, clean, shape_dtype

_NAME_LIMIT = 100


def road(facts: Facts, tracks: Tracks, track: Track, site: int | None = None) -> Road:
    """`track` in words, the tensor first and the root last; `site` is where backward was called on that."""
    last = track.values[-1] if track.values else track.start
    uses = tracks.uses([track.start])
    first = Step(
        Mark.TENSOR,
        title(facts, track.start),
        facts.wording.line(facts.maker_site(facts.tensor(track.start))),
        flows=track.start in tracks.reached,
    )
    steps = [first]
    for position, (id, value) in enumerate(zip(track.ops, track.values, strict=True)):
        op = facts.graph.ops[id]
        flows = bool(op.outputs) and value in tracks.reached
        step = _step(facts, op, value, flows)
        count = max(track.alike if id == track.cut else 1, uses.get(id, 1) if not position else 1)
        steps.append(replace(step, count=count) if count > 1 else step)
    if last in tracks.roots and track.ops:
        place, source = facts.wording.line(site), _source(facts, site)
        steps.append(Step(Mark.ROOT, title(facts, last), place, source, flows=last in tracks.reached))
    if track.cut is None:
        return Road(tuple(steps), all(step.flows for step in steps))
    return Road(tuple(steps), False, facts.graph.ops[track.cut].cause, why(facts, track.cut))


def title(facts: Facts, value: int) -> str:
    """The user's name for a value, or the op that made it."""
    return clean(facts.name(value) or facts.graph.ops[facts.graph.values[value].op].name, _NAME_LIMIT)


def why(facts: Facts, op: int) -> str:
    """What cuts at `op`: "`detach()` at line 6", "`no_grad` opened at line 8"."""
    cut = facts.once(cuts_by_op)[op][0]
    region = facts.graph.regions.get(cut.region) if cut.region is not None else None
    if region is not None:
        return f"`{region.kind or cut.cause}` opened at {facts.line(region.site)}"
    made = facts.graph.ops[op]
    written = {
        Cause.DATA: "`.data`",
        Cause.NO_GRAD: "`no_grad`",
        Cause.INFERENCE_MODE: "`inference_mode`",
        Cause.SET_GRAD_ENABLED: "`set_grad_enabled(False)`",
        Cause.NUMPY: "leaving for numpy",
        Cause.FROZEN: "a frozen tensor",
    }.get(cut.cause, f"`{clean(made.name)}()`")
    return f"{written} at {facts.line(cut.site)}"


def _step(facts: Facts, op: Op, value: int, flows: bool) -> Step:
    source = _source(facts, op.site)
    cuts = facts.once(cuts_by_op).get(op.id)
    if not cuts:
        mark = Mark.OP if op.tracked else Mark.OFF
        return Step(mark, _op_title(facts, op, value), facts.wording.line(op.site), source, op.scope, flows=flows)
    called = _call(facts, op) if op.name in _WRITTEN else _op_title(facts, op, value)
    line = facts.wording.line(op.site)
    return Step(Mark.CUT, called, line, source, op.scope, note=_note(facts, cuts[0]), flows=flows)


def _source(facts: Facts, site: int | None) -> str:
    found = facts.graph.sites.get(site) if site is not None else None
    return clean(found.text.strip(), 200) if found is not None else ""


_WRITTEN = frozenset({"detach", "detach_", "data", "item", "numpy", "tolist"})
"""Ops that a user writes behind the tensor that they are called on."""


def _call(facts: Facts, op: Op) -> str:
    """`z = x.detach()`, as it stands in the source."""
    name, base = clean(op.name), facts.name(op.value_inputs[0])
    text = (clean(base, _NAME_LIMIT) if base else "") + f".{name}" + ("" if op.name == "data" else "()")
    target = facts.name(op.outputs[0]) if op.outputs else ""
    return f"{clean(target, _NAME_LIMIT)} = {text}" if target and target != base else text


def _op_title(facts: Facts, op: Op, value: int) -> str:
    name = facts.name(value) if value in op.outputs else ""
    return f"{clean(name, _NAME_LIMIT)} = {clean(op.name)}" if name else clean(op.name)


def _note(facts: Facts, cut: Cut) -> str:
    region = facts.graph.regions.get(cut.region) if cut.region is not None else None
    if region is not None:
        return f"ran under {clean(region.kind or cut.cause)}, opened at {facts.line(region.site)}"
    return REASONS[cut.cause]


def describe(facts: Facts, value: int) -> str:
    """`parameter (8, 2) float32`"""
    found = facts.graph.values[value]
    kind = found.role.value if found.role is not None else "leaf" if found.leaf and not made_of(facts, value) else ""
    return f"{kind} {shape_dtype(found)}".strip()


def made_of(facts: Facts, value: int) -> tuple[int, ...]:
    """The values that the op which made `value` used."""
    return facts.graph.ops[facts.graph.values[value].op].value_inputs
