"""What lies in `.grad` when a parameter is updated: gradients that are new, that an update has used, that were cleared.

A recording tells of sweeps, of `zero_grad` and of steps as they happened; a write by hand, such as `w.grad.zero_()` or
`w -= lr * w.grad`, comes after the look at `.grad` that it begins with.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from gradviz.diagnose.facts import Facts, Parameter
from gradviz.events import Act, Sweep
from gradviz.graphs import Op

CLEARING = frozenset({"zero", "zero_", "fill", "fill_", "copy", "copy_", "_foreach_zero", "_foreach_copy"})
"""What empties a gradient, or puts another one in its place."""


@dataclass(slots=True)
class Update:
    """A step of an optimizer or, where `optimizer` is None, what the program did to a parameter by hand.

    fresh    parameters with a gradient that no update of this optimizer has used, each with its last sweep
    used     those among them whose gradient holds what an earlier one has used, each with the update that did
    lost     parameters without a gradient that had one since the last update: its sweep, and the `zero_grad`
    cleared  parameters with a fresh gradient and the unused ones that were cleared since the last update: their sweeps,
             each with the `zero_grad`
    """

    site: int | None
    optimizer: int | None
    fresh: dict[int, int] = field(default_factory=dict)
    used: dict[int, Update] = field(default_factory=dict)
    lost: dict[int, tuple[int, int | None]] = field(default_factory=dict)
    cleared: dict[int, list[tuple[int, int | None]]] = field(default_factory=dict)


def updates(facts: Facts) -> list[Update]:
    """Every update in order; none of optimizers that step inside of a backward, where gradients come and go."""
    return facts.once(_updates)


def _updates(facts: Facts) -> list[Update]:
    owned = {optimizer.id: {facts.tensor(item) for item in optimizer.values} for optimizer in facts.graph.optimizers}
    inside = {owner for parameter in _stepped_inside(facts) for owner in parameter.owners}
    present: dict[int, tuple[int, int]] = {}  # by parameter: the first and the last sweep that is in its gradient
    taken: dict[tuple[int | None, int], tuple[int, Update]] = {}  # by owner and parameter: up to which sweep, and when
    lost: dict[tuple[int, int], list[tuple[int, int | None]]] = {}
    done: list[Update] = []

    def step(optimizer: int | None, parameters: Iterable[int], site: int | None) -> None:
        update = Update(site, optimizer)
        for parameter in sorted(parameters):
            first, last = present.get(parameter, (-1, -1))
            before = taken.get((optimizer, parameter))
            gone = lost.pop((-1 if optimizer is None else optimizer, parameter), [])
            if last < 0:
                if gone:
                    update.lost[parameter] = gone[-1]
            elif before is None or last > before[0]:
                update.fresh[parameter] = last
                update.cleared[parameter] = [one for one in gone if before is None or one[0] > before[0]]
                if before is not None and first <= before[0]:
                    update.used[parameter] = before[1]
                taken[optimizer, parameter] = last, update
        done.append(update)

    for index, what in _timeline(facts):
        if isinstance(what, Sweep):
            if what.kind == "backward" and not what.error:
                for gradient in what.gradients:
                    id = facts.tensor(gradient.value)
                    present[id] = present.get(id, (index, index))[0], index
        elif isinstance(what, Op):
            if what.name in CLEARING and _is_gradient(facts, what):
                present.clear()  # whose gradient it is, is not told
            else:
                step(None, (facts.tensor(what.outputs[0]),), what.site)
        elif what.kind == "write_grad":  # what it wrote is not told
            for value in what.values:
                present.pop(facts.tensor(value), None)
        elif what.kind == "zero_grad":
            every = owned.get(-1 if what.optimizer is None else what.optimizer, set()).union(
                map(facts.tensor, what.values)
            )
            for id in every & present.keys():
                last = present.pop(id)[1]
                for owner in facts.parameters[id].owners:
                    lost.setdefault((owner, id), []).append((last, what.site))
        elif what.kind == "step" and what.optimizer is not None and what.optimizer not in inside:
            step(what.optimizer, owned.get(what.optimizer, ()), what.site)
    return done


def _stepped_inside(facts: Facts) -> Iterator[Parameter]:
    """What optimizers stepped as soon as its gradient was there, from a hook."""
    for op in facts.graph.ops.values():
        if op.name == "step" and facts.in_sweep(op):
            for item in op.value_inputs[:1]:
                yield facts.parameters[facts.tensor(item)]


def _timeline(facts: Facts) -> Iterator[tuple[int, Sweep | Act | Op]]:
    """Sweeps, each with its index, acts, and between them the ops that clear a gradient or use one."""
    waiting = list(_by_hand(facts))
    waiting.reverse()
    index = -1
    acts = [what for what in facts.graph.order if isinstance(what, (Sweep, Act))]
    for position, what in enumerate(acts):
        index += isinstance(what, Sweep)
        yield index, what
        after = next((later.after for later in acts[position + 1 :] if isinstance(later, Act)), None)
        while waiting and isinstance(what, Act) and (after is None or waiting[-1].id <= after):
            yield index, waiting.pop()


def _by_hand(facts: Facts) -> Iterator[Op]:
    """The ops that write to a gradient, or to a parameter whose gradient was looked at."""
    graph = facts.graph
    looked = {facts.tensor(value) for act in facts.acts("read_grad") for value in act.values}
    for op in graph.ops.values():
        if not op.inplace or op.tracked or not op.outputs or op.name == "step":
            continue
        if op.name in CLEARING and _is_gradient(facts, op):
            yield op
        elif facts.renews(op):
            parameter = facts.parameters.get(facts.tensor(op.outputs[0]))
            if parameter is not None and parameter.id in looked and not parameter.owners:
                yield op


def _is_gradient(facts: Facts, op: Op) -> bool:
    """What an op wrote to is a gradient, or shares its memory."""
    graph = facts.graph
    while not op.is_source:
        if op.alias is None or not isinstance(op.inputs[op.alias], int):
            return False
        op = graph.ops[graph.values[int(op.inputs[op.alias])].op]
    return op.name == "grad"
