"""What a parameter was used for ran under `no_grad`.

## What it does
Looks for `no_grad` regions (a `with` block or a decorated function) behind which a trained parameter gets no gradient,
a term of the loss is a constant, or backward raises. Evaluation and updates under `no_grad` are not reported. Notes
what `sample()` drew for a part that is trained, where no `log_prob` makes up for it.

## Why is this bad
Autograd keeps nothing of what runs there.

## Example
    @torch.no_grad()
    def forward(self, x):
        return self.layer(x)

## Use instead
    def forward(self, x):
        return self.layer(x)
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from gradviz.diagnose.complaining import complaints
from gradviz.diagnose.facts import Facts
from gradviz.diagnose.findings import Complaint, Severity
from gradviz.diagnose.lost import Lost, concerned, cuts_behind
from gradviz.events import Cause, Site
from gradviz.graphs import Op
from gradviz.picture.wording import join
from gradviz.query import gradient_inputs

CODE = "GV201"


def check(facts: Facts) -> Iterator[Complaint]:
    """One complaint for each cut, and one note for each line that draws for a part that is trained."""
    yield from complaints(
        facts,
        "no_grad",
        "inside `no_grad` opened at {line}",
        _help,
    )
    told: set[int | None] = set()
    for op in facts.graph.ops.values():
        if op.name == "normal" and op.cause is Cause.NO_GRAD and op.site not in told:
            for complaint in _drawn(facts, op):
                told.add(op.site)
                yield complaint


def _drawn(facts: Facts, op: Op) -> Iterator[Complaint]:
    """A note where a sample goes into a part that is trained, and what it was drawn from is trained by other roads."""
    graph = facts.graph
    opener = graph.sites.get(op.site) if op.site is not None else None
    values = concerned(facts, cuts_behind(facts, op.outputs))
    users = [graph.ops[id] for id in facts.consumers.get(op.outputs[0], ()) if id in facts.swept]
    if not values or not users or opener is None or not _draws(opener.text[opener.column : opener.end_column]):
        return
    used = [item for user in users for item in gradient_inputs(graph, user)]
    trained = {facts.tensor(item) for item in used if graph.values[item].leaf} & facts.parameters.keys()
    # Beside a `log_prob`, which what it was drawn from goes into, the sample is right.
    scored = not set(values).isdisjoint(facts.leaves_behind(used))
    sweep = facts.swept[users[-1].id][-1]
    fed = all(any(index == sweep for index, _ in facts.parameters[value].gradients) for value in values)
    if not trained or scored or not fed:
        return
    name = facts.name(op.outputs[0])
    yield Complaint(
        Severity.NOTE,
        f"{f'`{name}`' if name else 'a tensor'} is drawn by `sample()` at {facts.line(op.site)}: what "
        f"{facts.line(users[-1].site)} makes of it gives {facts.subject(values)} no gradient, other roads do",
        "draw with `rsample()`, if the gradient is to go through what is drawn",
        op.site,
        values,
        ((users[-1].site, "used here"),),
    )


def _help(facts: Facts, lost: Lost) -> str:
    opener = facts.graph.sites.get(lost.site) if lost.site is not None else None
    rebound = _rebound(facts, lost)
    if rebound:
        return f"update the tensor in place, `{rebound} -= ...`: `{rebound} = ...` puts a new one without history there"
    if opener is not None and _draws(opener.text[opener.column : opener.end_column]):
        return "draw with `rsample()`, which keeps the history, or put the `log_prob` of the sample into the loss"
    if opener is not None and opener.text.lstrip().startswith("@"):
        others = _other_callers(facts, opener)
        if others:
            return (
                f"at {facts.line(opener.caller)} call it without the decorator, such as by a method of its own: "
                f"{join(others)}, which {'calls' if len(others) == 1 else 'call'} it, too, may need the decorator"
            )
        return "remove the decorator, or open `enable_grad` for the part that is to be trained"
    return "take this out of `no_grad`, or open `enable_grad` for the part that is to be trained"


def _other_callers(facts: Facts, opener: Site) -> list[str]:
    """The lines that call the function which is decorated at `opener`, without the one that did so there."""
    sites = facts.graph.sites
    openers = {site for region in facts.graph.regions.values() if (site := region.site) is not None}
    places = [sites[site] for site in sorted(openers)] if opener.caller is not None else []
    alike = [site for site in places if (site.file, site.line) == (opener.file, opener.line)]
    lines = dict.fromkeys(facts.line(site.caller) for site in alike if site.caller is not None)
    return [line for line in lines if line != facts.line(opener.caller)]


def _rebound(facts: Facts, lost: Lost) -> str:
    """The name of a leaf that was given the result of its own update: `w = w - 0.1 * w.grad`; empty for none."""
    op = facts.graph.ops[lost.op]
    target = facts.graph.sites[op.site].target if op.site is not None else ""
    leaf = target in facts.names(item for item in op.value_inputs if facts.graph.values[item].leaf)
    return target if op.name in ("add", "sub") and lost.state == "raised" and leaf else ""


def _draws(text: str) -> bool:
    """The expression is a call of `sample`, which distributions run under `no_grad`."""
    return re.search(r"\.sample\((?:[^()]|\([^()]*\))*\)$", text) is not None
