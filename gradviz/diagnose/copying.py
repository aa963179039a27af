"""Copying: where the numbers of a value were put into another tensor, which does not take its history along."""

from __future__ import annotations

import re
from dataclasses import dataclass

from gradviz.diagnose.facts import Facts
from gradviz.events import Cause

_COPIERS = re.compile(r"\b(load_state_dict|vector_to_parameters|copy_)\s*\(")
_CALLING = "call the module with the tensors themselves: `torch.func.functional_call` takes them as its weights"


@dataclass(frozen=True, slots=True)
class Copy:
    """`told` says what took the numbers, with `{it}` or `{they}` for the tensors behind; `help` the way out."""

    told: str
    help: str
    site: int | None


def copy_of(facts: Facts, value: int) -> Copy | None:
    """What took the numbers of `value`, a result that no backward came to; None where nothing is known to have."""
    graph = facts.graph
    made, name = facts.maker_site(value), facts.name(value)
    users = [graph.ops[id] for id in facts.consumers.get(value, ())]
    for op in users:
        line = facts.line(op.site)
        if op.name == "set_data":
            target = graph.sites[op.site].target if op.site is not None else ""
            owned = facts.parameters.get(facts.tensor(op.outputs[0])) is not None
            told = f"only numbers of what was made of {{it}} were put into `{target or op.name}.data` at {line}"
            rebind = f"write `{target} = ...`, without `.data`" if target else "use the tensor itself"
            return Copy(told, _CALLING if owned else rebind, op.site)
        if op.cause in (Cause.DATA, Cause.DETACH) and _is_begun_at(facts, op.id):
            how = "`.data`" if op.cause is Cause.DATA else "`detach()`"
            loss = f"`{name}`" if name else f"`{graph.ops[graph.values[value].op].name}`"
            told = f"{{they}} went into {loss} ({facts.line(made)}), and {how} took only its numbers at {line}"
            return Copy(told, f"call backward on {loss} itself", op.site)
    text = graph.sites[made].text if made is not None else ""
    copier = _COPIERS.search(text)
    if copier is not None and not any(op.tracked for op in users):
        told = f"`{copier[1]}` at {facts.line(made)} copied only the numbers of what was made of {{it}}"
        return Copy(told, _CALLING, made)
    return None


def _is_begun_at(facts: Facts, exit: int) -> bool:
    """The next backward starts at a tensor that no recorded op made: a constructor did, of these numbers."""
    graph = facts.graph
    later = [sweep for sweep in graph.sweeps if sweep.roots and min(sweep.roots) > exit]
    roots = later[0].roots if later else ()
    return any(graph.ops[graph.values[root].op].is_source and graph.values[root].leaf for root in roots)
