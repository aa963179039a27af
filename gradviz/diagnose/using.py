"""Using: whether a program does something with its gradients itself, in place of an optimizer."""

from __future__ import annotations

import math

from gradviz.diagnose.facts import Facts


def by_hand(facts: Facts) -> bool:
    """The program writes its parameters or their gradients, or makes tensors from gradients and keeps them.

    To clip gradients, to print them, or to take numbers from them is no more than a look.
    """
    graph = facts.graph
    if any(not _clips(facts, act.site) for act in facts.acts("write_grad")):
        return True
    owned = {id for id, parameter in facts.parameters.items() if parameter.owners}
    for op in graph.ops.values():
        if op.outputs and facts.renews(op) and facts.tensor(op.outputs[0]) in owned:
            return True
    return _keeps(facts)


def _keeps(facts: Facts) -> bool:
    """Something of more than one number was made from gradients, and neither used up nor taken out as numbers."""
    graph = facts.graph
    made: set[int] = set()
    for op in graph.ops.values():
        if op.name == "grad" or (not made.isdisjoint(op.value_inputs) and not _clips(facts, op.site)):
            made.update(op.outputs)
    ends = (value for value in made if graph.ops[graph.values[value].op].name != "grad")
    return any(value not in facts.consumers and math.prod(graph.values[value].shape) > 1 for value in ends)


def _clips(facts: Facts, site: int | None) -> bool:
    return site is not None and "clip_grad" in facts.graph.sites[site].text
