"""A freeze that froze nothing: it was undone before the tensor was used, or set an attribute that means nothing.

## What it does
Looks for a line that sets `requires_grad = False` on leaves all of which are switched back on, where nothing used them
in between and they got a gradient after all; and for `requires_grad` set on a module, or misspelt on a tensor, which
Python takes as it is. To freeze everything and to switch a part back on is right.

## Why is this bad
What was meant to stay as it is gets trained.

## Example
    model.stem.requires_grad_(False)
    for p in model.parameters():
        p.requires_grad = True
    model.head.requires_grad = False

## Use instead
    for p in model.parameters():
        p.requires_grad = True
    model.stem.requires_grad_(False)
    model.head.requires_grad_(False)
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from gradviz.diagnose.facts import Facts, verb
from gradviz.diagnose.findings import Complaint, Severity
from gradviz.diagnose.surroundings import called_around
from gradviz.events import RequiresGrad

CODE = "GV109"


def check(facts: Facts) -> Iterator[Complaint]:
    """One complaint for each line that sets such an attribute, and for each pair of lines that freeze and undo it."""
    yield from _attributes(facts)
    undone: dict[tuple[int | None, int | None], list[int]] = {}
    frozen = facts.once(used_frozen)
    told: dict[int, list[RequiresGrad]] = {}
    lasting: set[int | None] = set()  # lines that froze something for good: all but a part that is trained after all
    for flag in facts.graph.flags:
        told.setdefault(facts.tensor(flag.value), []).append(flag)
    for tensor, flags in told.items():
        if tensor in frozen:
            lasting.update(flag.site for flag in flags if not flag.requires_grad)
    for parameter in facts.parameters.values():
        for before, after in pairwise(told.get(parameter.id, ())):
            froze_nothing = not before.requires_grad and after.requires_grad and parameter.id not in frozen
            # One call of a library may hold a tensor out for a while.
            held_out = before.site == after.site and called_around(facts, after.site, "requires_grad")
            if froze_nothing and parameter.gradients and not held_out and before.site not in lasting:
                undone.setdefault((before.site, after.site), []).append(parameter.id)
                break
    for (froze, undid), values in undone.items():
        yield Complaint(
            Severity.WARNING,
            f"{facts.subject(values)} {verb(values, 'was', 'were')} frozen at {facts.line(froze)}, but "
            f"{facts.line(undid)} "
            f"lets {verb(values, 'it', 'them')} require grad again before any use",
            "freeze after the line that switches everything on",
            undid,
            tuple(values),
            ((froze, "frozen here, to no effect"),),
        )


def _attributes(facts: Facts) -> Iterator[Complaint]:
    told: dict[tuple[int | None, str], dict[int, None]] = {}
    for act in facts.acts("attribute"):
        wish = act.text.endswith("True")
        for tensor in map(facts.tensor, act.values):
            parameter = facts.parameters.get(tensor)
            trained = parameter is not None and facts.is_trainable(parameter)
            if wish != trained and (wish or (parameter is not None and facts.uses(parameter))):
                told.setdefault((act.site, act.text), {})[tensor] = None
    for (site, text), values in told.items():
        name = text.partition(" ")[0]
        state = "still require" if text.endswith("False") else "do not require"
        if len(values) == 1:
            state = state.replace("require", "requires") if state.startswith("still") else "does not require"
        yield Complaint(
            Severity.WARNING,
            f"`{text}` at {facts.line(site)} sets an attribute that PyTorch does not know: {facts.subject(values)} "
            f"{state} grad",
            f"write `requires_grad_({text.rpartition(' ')[2]})`, which holds for a tensor and for all of a module"
            if name == "requires_grad"
            else f"write `requires_grad` in place of `{name}`",
            site,
            tuple(values),
        )


def used_frozen(facts: Facts) -> frozenset[int]:
    """The leaves, by first version, that some op used while they did not require grad."""
    return frozenset(
        facts.tensor(item)
        for op in facts.graph.ops.values()
        for item, needed in zip(op.inputs, op.needs, strict=False)
        if isinstance(item, int) and not needed
    )
