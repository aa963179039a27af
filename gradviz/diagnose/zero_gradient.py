"""A parameter got gradients that are exactly zero.

## What it does
Looks for trained parameters whose gradient was zero in every sweep while others got more. Warns where it finds the
reason: every road goes through a flat operation such as `sign`, or two roads meet in a difference and cancel. Without a
reason it is a note: a zero can be the honest answer, as for a first step from weights of zero.

## Why is this bad
Zero is not None: the optimizer takes the gradient and the parameter does not move.

## Example
    mask = torch.sign(x - threshold)

## Use instead
    mask = torch.tanh((x - threshold) / temperature)
"""

from __future__ import annotations

from collections.abc import Iterator

from gradviz.diagnose.facts import Facts, Parameter, verb
from gradviz.diagnose.findings import Complaint, Severity
from gradviz.query import gradient_inputs

CODE = "GV601"
FLAT = frozenset({"sign", "sgn", "round", "floor", "ceil", "trunc", "fix", "heaviside", "floor_divide"})
SHIFTING = frozenset({"add", "sub", "view", "reshape", "clone", "squeeze", "unsqueeze", "expand"})


def check(facts: Facts) -> Iterator[Complaint]:
    """One complaint for each reason."""
    reasons: dict[tuple[str, int | None], list[int]] = {}
    for parameter in facts.parameters.values():
        got = [gradient for _, gradient in parameter.gradients]
        if not got or not all(gradient.zero and not gradient.estimated for gradient in got):
            continue
        others = facts.graph.sweeps[parameter.gradients[-1][0]].gradients
        if not facts.is_trained(parameter):
            continue
        found = _reason(facts, parameter)
        # One backward before the program broke off says little: a first state is often zero.
        alone = len(got) == 1 and bool(facts.graph.errors)
        if found[0] or (not alone and any(not gradient.zero for gradient in others)):
            reasons.setdefault(found, []).append(parameter.id)
    for (reason, site), values in reasons.items():
        subject = f"{facts.subject(values)} got a gradient of exactly zero in every backward"
        if reason == "":
            told, severity, help = subject, Severity.NOTE, "see whether it should depend on this at all"
        elif reason == "cancel":
            told = (
                f"{subject}: two roads to {verb(values, 'it', 'them')}, one through {facts.line(site)}, meet and cancel"
            )
            severity, help = Severity.WARNING, "detach one of the two roads"
        else:
            told = f"{subject}: `{reason}` at {facts.line(site)} is flat everywhere"
            severity, help = (
                Severity.WARNING,
                "use a smooth form, such as `tanh` or `sigmoid`, or a straight-through estimate",
            )
        yield Complaint(severity, told, help, site, tuple(values))


def _reason(facts: Facts, parameter: Parameter) -> tuple[str, int | None]:
    """What makes it zero, and where: the name of a flat op, `cancel`, or empty for what is not known."""
    graph = facts.graph
    index, gradient = parameter.gradients[-1]
    on_road = facts.ahead([gradient.value], within=facts.walked(index))
    flat = [id for id in on_road if graph.ops[id].name in FLAT]
    if flat:
        around = set(facts.ahead([gradient.value], within=set(on_road).difference(flat)))
        if not any(graph.values[root].op in around for root in graph.sweeps[index].roots):
            return graph.ops[flat[0]].name, graph.ops[flat[0]].site
    road = set(on_road)
    for id in on_road:
        op = graph.ops[id]
        pair = [item for item in gradient_inputs(graph, op) if graph.values[item].op in road]
        if op.name in ("sub", "rsub") and len(pair) == 2:
            for longer, shorter in (pair, pair[::-1]):
                if _shifted(facts, longer, shorter):
                    return "cancel", facts.maker_site(longer)
    return "", graph.ops[on_road[0]].site if on_road else facts.maker_site(parameter.id)


def _shifted(facts: Facts, value: int, base: int) -> bool:
    """`value` is `base` plus something: its derivative by `base` is exactly one."""
    graph = facts.graph
    pending, seen = [value], {value}
    while pending:
        op = graph.ops[graph.values[pending.pop()].op]
        if op.tracked and op.name in SHIFTING:
            inputs = gradient_inputs(graph, op)
            if base in inputs:
                return True
            # In `a - b` only a passes on as it is.
            onward = [item for item in (inputs[:1] if op.name == "sub" else inputs) if item not in seen]
            seen.update(onward)
            pending += onward
    return False
