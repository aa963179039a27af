"""From a track to a road: what each stop is called, where it stands, and why gradient stops there."""

from __future__ import annotations

from dataclasses import replace

from gradviz.accounts.records import Mark, Road, Step
from gradviz.diagnose.blaming import cuts_by_op
from gradviz.diagnose.facts import Facts
from gradviz.diagnose.tracks import MODES, Track, Tracks, cut_on, frozen_at
from gradviz.diagnose.zero_gradient import DRAWN, FLAT
from gradviz.events import Cause
from gradviz.graphs import Cut, Op
from gradviz.picture.wording import REASONS, clean, shape_dtype

_NAME_LIMIT = 100


def road(facts: Facts, tracks: Tracks, track: Track, name: str, site: int | None = None) -> Road:
    """`track` in words, the tensor `name` first and the root last; `site` is where backward was called on that."""
    last = track.values[-1] if track.values else track.start
    uses = tracks.uses([track.start])
    made = facts.maker_site(facts.tensor(track.start))
    first = facts.graph.ops[track.ops[0]] if track.ops else None
    needs = first is None or (track.start, True) in zip(first.inputs, first.needs, strict=True)
    steps = [_at(facts, made, Step(Mark.TENSOR, name, flows=track.start in tracks.reached, needs=needs))]
    cut = cut_on(facts, track)
    for position, (id, value) in enumerate(zip(track.ops, track.values, strict=True)):
        op = facts.graph.ops[id]
        flows = bool(op.outputs) and value in tracks.reached
        used = track.values[position - 1] if position else track.start
        step = _step(facts, op, used, value, flows)
        if id == track.cut and step.mark is not Mark.CUT:
            where = facts.line(frozen_at(facts, track.start))
            note = f"{steps[0].title} required no grad when this ran: it was switched off at {where}"
            note = note if cut is None else REASONS[cut.cause]
            step = replace(step, mark=Mark.CUT, note=note)
        elif track.cut is None and flows and value in facts.hooked:
            step = replace(step, note=f"a hook on it ({facts.line(facts.hooked[value])}) may change the gradient")
        count = max(track.alike if id == track.cut else 1, uses.get(id, 1) if not position else 1)
        steps.append(replace(step, count=count) if count > 1 else step)
    if last in tracks.roots and track.ops:
        steps.append(_at(facts, site, Step(Mark.ROOT, title(facts, last), flows=last in tracks.reached)))
    elif last in facts.graph.values and not tracks.roots:
        steps.append(Step(Mark.END, title(facts, last), source="no backward started from it", flows=False))
    if track.cut is None:
        return Road(tuple(steps), all(step.flows for step in steps))
    return Road(tuple(steps), False, Cause.FROZEN if cut is None else cut.cause, why(facts, track))


def flat_road(road: Road, facts: Facts, track: Track) -> Road:
    """`road`, by which zeros came, with a mark on the operation, first as a gradient goes, that passes nothing else."""
    names = [facts.graph.ops[id].name for id in track.ops]
    flat = [at for at, name in enumerate(names, 1) if name in FLAT | DRAWN]
    if track.cut is not None or not flat:
        return road
    at, drawn = flat[-1], names[flat[-1] - 1] in DRAWN
    note = "what is drawn has no history: zeros go back" if drawn else "it is flat everywhere: zeros go back"
    before = tuple(replace(step, flows=False) for step in road.steps[:at])
    return replace(road, steps=(*before, replace(road.steps[at], mark=Mark.CUT, note=note), *road.steps[at + 1 :]))


def title(facts: Facts, value: int) -> str:
    """The user's name for a value, or the op that made it; of a leaf whose making was not seen, what used it first."""
    name = facts.name(value) or _first_use(facts, value) or facts.graph.ops[facts.graph.values[value].op].name
    return clean(name, _NAME_LIMIT)


def _first_use(facts: Facts, value: int) -> str:
    """`input of matmul, line 6`; empty for what has a place of its own, or is used at none."""
    made = facts.graph.ops[facts.graph.values[value].op]
    users = [facts.graph.ops[id] for id in facts.consumers.get(value, ())] if made.is_source and not made.site else []
    first = next((user for user in users if facts.wording.line(user.site)), None)
    return "" if first is None else f"input of {first.name}, {facts.wording.line(first.site)}"


def why(facts: Facts, track: Track) -> str:
    """What cuts `track`: "`detach()` at line 6", "`no_grad` opened at line 8"."""
    what, line = stopper(facts, track)
    return f"{what} {line}"


def stopper(facts: Facts, track: Track) -> tuple[str, str]:
    """The two parts of `why`: "`no_grad` opened at" and "line 8"."""
    cut = cut_on(facts, track)
    if cut is None:
        return "`requires_grad = False` at", facts.line(frozen_at(facts, track.start))
    return cutter(facts, cut)


def cutter(facts: Facts, cut: Cut) -> tuple[str, str]:
    """The same for one cut of the graph."""
    region = facts.graph.regions.get(cut.region) if cut.region is not None else None
    site = region.site if region is not None else cut.site
    if region is not None and cut.cause is not Cause.SET_GRAD_ENABLED:
        return f"`{clean(region.kind or cut.cause)}` opened at", facts.line(site)
    if cut.cause is Cause.CUSTOM_FUNCTION:
        return f"the backward of `{clean(facts.graph.ops[cut.op].name)}`, applied at", facts.line(site)
    if region is None and cut.cause in MODES:
        return f"`{cut.cause}`, opened before the recording began, around", facts.line(site)
    written = {
        Cause.DATA: "`.data`",
        Cause.SET_GRAD_ENABLED: "`set_grad_enabled(False)`",
        Cause.NUMPY: "leaving for numpy",
        Cause.FROZEN: "a frozen tensor",
    }.get(cut.cause, f"`{clean(facts.graph.ops[cut.op].name)}()`")
    return f"{written} at", facts.line(site)


def _step(facts: Facts, op: Op, used: int, made: int, flows: bool) -> Step:
    """The stop at `op`, which the road comes to with the value `used` and leaves with `made`."""
    cut = next((cut for cut in facts.once(cuts_by_op).get(op.id, ()) if cut.value == used), None)
    mark = Mark.CUT if cut is not None else Mark.OP if op.tracked else Mark.OFF
    name = facts.name(made) if made in op.outputs else ""
    called = _call(facts, op) if cut is not None and op.name in _WRITTEN else ""
    called = called or (f"{clean(name, _NAME_LIMIT)} = {clean(op.name)}" if name else clean(op.name))
    note = _note(facts, cut) if cut is not None else ""
    return _at(facts, op.site, Step(mark, called, scope=op.scope, note=note, flows=flows))


def _at(facts: Facts, site: int | None, step: Step) -> Step:
    """`step` with its place in the source; of the tensor itself the source is not told, its roads begin at the uses."""
    found = facts.graph.sites.get(site) if site is not None else None
    if found is None or not found.line:
        return step
    source = clean(found.text.strip(), 200) if step.mark is not Mark.TENSOR else ""
    return replace(step, place=facts.wording.line(site), source=source, path=found.file, line=found.line)


_WRITTEN = frozenset({"detach", "detach_", "data", "item", "numpy", "tolist"})
"""Ops that a user writes behind the tensor that they are called on."""


def _call(facts: Facts, op: Op) -> str:
    """`z = x.detach()`, as it stands in the source; empty where what it is called on has no name."""
    base = facts.name(op.value_inputs[0])
    if not base:
        return ""
    text = f"{clean(base, _NAME_LIMIT)}.{clean(op.name)}" + ("" if op.name == "data" else "()")
    target = facts.name(op.outputs[0]) if op.outputs else ""
    return f"{clean(target, _NAME_LIMIT)} = {text}" if target and target != base else text


def _note(facts: Facts, cut: Cut) -> str:
    region = facts.graph.regions.get(cut.region) if cut.region is not None else None
    if region is not None:
        if cut.cause is Cause.SET_GRAD_ENABLED:
            return f"ran with grad mode off since set_grad_enabled(False) at {facts.line(region.site)}"
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
