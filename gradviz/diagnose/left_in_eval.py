"""Training went on in evaluation mode.

## What it does
Looks for a model with batch norm or dropout that took steps in training mode, was switched by `eval()`, and then took
steps without a `train()` in between. Left alone are layers that alone were switched, batch norm whose parameters are
frozen, and models that are in evaluation mode from the first step on.

## Why is this bad
From the first evaluation on, batch norm no longer follows its batches and dropout drops nothing. No error says so.

## Example
    for epoch in range(epochs):
        train(model)
        evaluate(model)  # calls `model.eval()`

## Use instead
    for epoch in range(epochs):
        model.train()
        train(model)
        evaluate(model)
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from gradviz.diagnose.facts import Facts
from gradviz.diagnose.findings import Complaint, Severity
from gradviz.events import Act, Sweep
from gradviz.graphs import Op
from gradviz.picture.wording import join

CODE = "GV414"
_DROPPING = frozenset({"dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "feature_alpha_dropout"})


def check(facts: Facts) -> Iterator[Complaint]:
    """One complaint for each call of `eval()`."""
    for site, left in _left(facts).items():
        ran = _changing(facts, left.after)
        stilled = [name for name in _changing(facts, left.before) if name not in ran]
        if not stilled or all(_is_of_norm(facts, value) for value in left.values):
            continue
        backward = facts.graph.sweeps[left.after].site
        roots = {name.partition(".")[0] for name in facts.names(left.values)}
        model = roots.pop() if len(roots) == 1 else "model"
        layers = join([f"`{name}`" for name in stilled], _LISTED)
        yield Complaint(
            Severity.WARNING,
            f"`eval()` at {facts.line(site)} is still in effect when the training goes on: {layers} "
            f"{'is' if len(stilled) == 1 else 'are'} in evaluation mode in the backward at {facts.line(backward)}",
            f"call `{model}.train()` before the training goes on, such as at the start of each epoch",
            site,
            tuple(left.values),
            ((backward, "the training goes on here"),),
        )


_LISTED = 3


@dataclass(slots=True)
class _Left:
    """Parameters that were trained on in evaluation mode: a sweep in training mode, and the first one after it."""

    before: int
    after: int
    values: dict[int, None] = field(default_factory=dict)


def _left(facts: Facts) -> dict[int | None, _Left]:
    """What each call of `eval()` left in evaluation mode, by its site."""
    mode: dict[int, Act | None] = {}
    fed: dict[int, tuple[int, Act | None]] = {}
    trained: dict[int, int] = {}
    found: dict[int | None, _Left] = {}
    at = {sweep.id: index for index, sweep in enumerate(facts.graph.sweeps)}
    for item in facts.graph.order:
        if isinstance(item, Sweep):
            fed |= {(one := facts.tensor(got.value)): (at[item.id], mode.get(one)) for got in item.gradients}
        elif not isinstance(item, Act):
            continue
        elif item.kind in ("eval", "train"):
            mode |= dict.fromkeys(map(facts.tensor, item.values), item if item.kind == "eval" else None)
        elif item.kind == "step":
            owned = [id for id in fed if item.optimizer in facts.owners(id)]
            for id in owned:
                index, evaluated = fed.pop(id)
                if evaluated is None:
                    trained[id] = index
                elif id in trained and mode.get(id) is evaluated:
                    found.setdefault(evaluated.site, _Left(trained[id], index)).values[id] = None
    return found


def _changing(facts: Facts, sweep: int) -> list[str]:
    """The layers behind a sweep that work otherwise in training: batch norm, and what drops numbers."""
    ops = [facts.graph.ops[id] for id in sorted(facts.walked(sweep))]
    return list(dict.fromkeys(op.scope or op.name for op in ops if op.name in _DROPPING or _follows(facts, op)))


def _follows(facts: Facts, op: Op) -> bool:
    """The op is a batch norm that normalises by its batch, and whose parameters are not frozen."""
    frozen = len(op.value_inputs) > _WITH_WEIGHT and not any(op.needs[1:])
    return op.name == "batch_norm" and dict(op.attrs).get("training") == "True" and not frozen


_WITH_WEIGHT = 3
"""A batch norm is given its input and two running statistics and, where it has some, weight and bias."""


def _is_of_norm(facts: Facts, value: int) -> bool:
    """Only a batch norm uses the parameter."""
    return all(facts.graph.ops[id].name == "batch_norm" for id in facts.uses(facts.parameters[value]))
