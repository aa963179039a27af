"""A loss that takes scores was given probabilities.

## What it does
Looks for a `softmax` whose result goes into `cross_entropy`, and a `sigmoid` whose result goes into
`binary_cross_entropy_with_logits`, where a backward came through both. Such losses do that step themselves.

## Why is this bad
The second one sees scores between 0 and 1 only. Its loss cannot come near zero, its gradients are small, and next to
nothing where the first one is sure, and be it of the wrong class. It looks like a network that does not learn.

## Example
    loss = nn.functional.cross_entropy(torch.softmax(model(x), 1), y)

## Use instead
    loss = nn.functional.cross_entropy(model(x), y)
"""

from __future__ import annotations

from collections.abc import Iterator

from gradviz.diagnose.dark_layers import PASSING
from gradviz.diagnose.facts import Facts
from gradviz.diagnose.findings import Complaint, Severity
from gradviz.diagnose.surroundings import module_site

CODE = "GV606"
_DONE_BY = {"cross_entropy": "softmax", "binary_cross_entropy_with_logits": "sigmoid"}
_ARRANGING = PASSING - {"dropout"} | {"transpose", "permute", "select", "slice", "getitem", "index", "float", "to"}
"""Ops that give the same numbers, in another order or of another type, or some of them."""


def check(facts: Facts) -> Iterator[Complaint]:
    """One complaint for each place that makes probabilities."""
    graph = facts.graph
    found: dict[int | None, tuple[str, str, int | None, dict[int, None]]] = {}
    for id in sorted(facts.swept):
        loss = graph.ops[id]
        wanted = _DONE_BY.get(loss.name)
        if wanted is None or not loss.value_inputs:
            continue
        made = graph.ops[graph.values[loss.value_inputs[0]].op]
        while made.name in _ARRANGING and made.value_inputs:
            made = graph.ops[graph.values[made.value_inputs[0]].op]
        if made.name == wanted and made.tracked:
            called = graph.sites[made.site].text.lower() if made.site is not None else ""
            site = made.site if wanted in called else module_site(facts, made) or made.site
            found.setdefault(site, (wanted, loss.name, loss.site, {}))[3][made.outputs[0]] = None
    for site, (wanted, name, used, values) in found.items():
        yield Complaint(
            Severity.WARNING,
            f"`{name}` at {facts.line(used)} is given what `{wanted}` at {facts.line(site)} gives: it takes scores, "
            f"and applies a `{wanted}` of its own",
            f"give the loss what goes into the `{wanted}`",
            site,
            tuple(values),
            ((used, "the loss"),),
        )
