"""Questions that several rules ask: which tensors are trained, what became of their gradients, and where data went.

Each answer is worked out when it is first asked for, in one walk over the ops.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

from gradviz.events import Act, Gradient, Optimizer, Role
from gradviz.graphs import Graph, Op
from gradviz.picture.wording import Wording, join, plural
from gradviz.query import gradient_inputs

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Parameter:
    """A leaf that gradient is meant for, over all of its versions.

    id         its first version
    versions   value ids, oldest first
    owners     the optimizers that have it
    gradients  what it got: index of the sweep in `Graph.sweeps`, and the gradient
    """

    id: int
    versions: tuple[int, ...]
    owners: tuple[int, ...]
    gradients: tuple[tuple[int, Gradient], ...]


class Facts:
    """The answers for one graph."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.wording = Wording(graph)
        self._walks: dict[int, frozenset[int]] = {}
        self._answers: dict[Callable[[Facts], Any], Any] = {}

    def once(self, question: Callable[[Facts], T]) -> T:
        """The answer to a question of a rule's own, worked out when it is first asked."""
        if question not in self._answers:
            self._answers[question] = question(self)
        answer: T = self._answers[question]
        return answer

    # tensors over time

    @cached_property
    def first_version(self) -> dict[int, int]:
        """The first version of each leaf that was written in place or given other data; one not here is its own."""
        first: dict[int, int] = {}
        values = self.graph.values
        replaced = deque(self.acts("set_data"))
        for op in self.graph.ops.values():
            before: int | str | None = None
            if op.name == "set_data":
                while replaced and replaced[0].after < op.outputs[0]:
                    before = replaced.popleft().values[0]
            elif op.inplace and not op.tracked and op.outputs:
                before = op.inputs[op.alias or 0]
            if isinstance(before, int) and values[before].leaf and values[op.outputs[0]].leaf:
                first[op.outputs[0]] = first.get(before, before)
        return first

    def tensor(self, value: int) -> int:
        """The first version of the leaf that `value` is a version of."""
        return self.first_version.get(value, value)

    @cached_property
    def parameters(self) -> dict[int, Parameter]:
        """The leaves that require grad, that an optimizer owns or that got a gradient, by their first version."""
        versions: dict[int, list[int]] = {}
        for value in self.graph.values.values():
            if value.leaf and value.requires_grad:
                versions.setdefault(self.tensor(value.id), []).append(value.id)
        owners: dict[int, list[int]] = {}
        for optimizer in self.graph.optimizers:
            for item in optimizer.values:
                owners.setdefault(self.tensor(item), []).append(optimizer.id)
        gradients: dict[int, list[tuple[int, Gradient]]] = {}
        for index, sweep in enumerate(self.graph.sweeps):
            for gradient in sweep.gradients:
                gradients.setdefault(self.tensor(gradient.value), []).append((index, gradient))
        ids = sorted({*versions, *owners, *(id for id in gradients if self.graph.values[id].leaf)})
        return {
            id: Parameter(id, tuple(versions.get(id, (id,))), tuple(owners.get(id, ())), tuple(gradients.get(id, ())))
            for id in ids
        }

    def owners(self, value: int) -> tuple[int, ...]:
        """The optimizers of a tensor that got a gradient: none of a result, such as the weights of an inner step."""
        return self.parameters[value].owners if value in self.parameters else ()

    def is_trainable(self, parameter: Parameter) -> bool:
        """It requires grad at the end of the recording."""
        return any(self.graph.values[version].requires_grad for version in parameter.versions)

    @cached_property
    def stepped(self) -> frozenset[int]:
        """The optimizers that took a step."""
        return frozenset(act.optimizer for act in self.acts("step") if act.optimizer is not None)

    def optimizer(self, id: int) -> Optimizer:
        """The optimizer `id`."""
        return next(optimizer for optimizer in self.graph.optimizers if optimizer.id == id)

    @cached_property
    def hooked(self) -> dict[int, int | None]:
        """The tensors with a hook, each with the site of its last one."""
        return {value: act.site for act in self.acts("hook") for value in act.values}

    def acts(self, *kinds: str) -> list[Act]:
        """What was done of these kinds, in order."""
        return [act for act in self.graph.acts if act.kind in kinds]

    # where data went

    @cached_property
    def consumers(self) -> dict[int, tuple[int, ...]]:
        """The ops that use each value, by id; a value that nothing uses is not here."""
        users: dict[int, dict[int, None]] = {}
        for op in self.graph.ops.values():
            for item in op.value_inputs:
                users.setdefault(item, {})[op.id] = None
        return {value: tuple(ops) for value, ops in users.items()}

    def renews(self, op: Op) -> bool:
        """The op gives one of the program's tensors new contents: a step, an update or a copy into it."""
        if op.tracked or not op.outputs:
            return False
        value = self.graph.values[op.outputs[0]]
        kept = value.leaf and (value.requires_grad or value.role in (Role.PARAMETER, Role.BUFFER))
        return (kept and op.inplace) or op.name == "set_data"

    @cached_property
    def feeding(self) -> frozenset[int]:
        """The values whose data went into a root of a sweep; the update of a parameter ends a road."""
        feeding = {root for sweep in self.graph.sweeps for root in sweep.roots}
        for id in sorted(self.graph.ops, reverse=True):
            op = self.graph.ops[id]
            if not feeding.isdisjoint(op.outputs) and not self.renews(op):
                feeding.update(op.value_inputs)
        return frozenset(feeding)

    @cached_property
    def exit_of(self) -> dict[int, int]:
        """The op through which an untracked value's data left the program's tensors (`item`, `numpy`), where it did."""
        exits: dict[int, int] = {}
        for id in sorted(self.graph.ops, reverse=True):
            op = self.graph.ops[id]
            if op.tracked:
                continue
            onward = next((exits[output] for output in op.outputs if output in exits), None) if op.outputs else id
            if onward is not None:
                for item in op.value_inputs:
                    exits[item] = onward
        return exits

    def in_sweep(self, op: Op) -> bool:
        """The op ran while a sweep did: in a hook, a custom function's backward, a checkpoint's second forward."""
        return op.region in self._sweep_regions

    @cached_property
    def _sweep_regions(self) -> frozenset[int | None]:
        found: set[int | None] = set()
        for region in self.graph.regions.values():  # by id, so what is around a region comes before it
            if region.kind in ("backward", "grad") or region.parent in found:
                found.add(region.id)
        return frozenset(found)

    # where gradient went

    @cached_property
    def swept(self) -> dict[int, list[int]]:
        """The tracked ops that sweeps walked: op id -> the sweeps' indices, oldest first."""
        walked: dict[int, list[int]] = {}
        for index in range(len(self.graph.sweeps)):
            for op in self.walked(index):
                walked.setdefault(op, []).append(index)
        return walked

    def walked(self, index: int) -> frozenset[int]:
        """Ids of the tracked ops that the sweep at `index` of `Graph.sweeps` goes back through."""
        known = self._walks.get(index)
        if known is None:
            known = self._walks[index] = frozenset(self.behind(self.graph.sweeps[index].roots))
        return known

    @cached_property
    def farthest(self) -> dict[int, int]:
        """For each value the last tracked op that a gradient on its way to it has passed."""
        farthest: dict[int, int] = {}
        for id in sorted(self.graph.ops, reverse=True):
            op = self.graph.ops[id]
            last = max([id, *(farthest[output] for output in op.outputs if output in farthest)])
            for item in gradient_inputs(self.graph, op):
                farthest[item] = max(farthest.get(item, 0), last)
        return farthest

    def behind(self, values: Iterable[int]) -> set[int]:
        """Ids of the tracked ops behind `values`, along gradient edges."""
        graph = self.graph
        found: set[int] = set()
        pending = list(values)
        while pending:
            op = graph.ops[graph.values[pending.pop()].op]
            if op.id not in found:
                onward = gradient_inputs(graph, op)
                if onward:
                    found.add(op.id)
                    pending += onward
        return found

    def leaves_behind(self, values: Iterable[int]) -> tuple[int, ...]:
        """The leaves, by first version, that a gradient at `values` would come to."""
        graph = self.graph
        start = list(values)
        found = {item for op in self.behind(start) for item in gradient_inputs(graph, graph.ops[op])} | set(start)
        return tuple(
            sorted(
                {self.tensor(item) for item in found if graph.values[item].leaf and graph.values[item].requires_grad}
            )
        )

    def uses(self, parameter: Parameter) -> list[int]:
        """The tracked ops that use `parameter` and would pass it a gradient, by id."""
        found = {op for version in parameter.versions for op in self.consumers.get(version, ())}
        versions = set(parameter.versions)
        return sorted(id for id in found if not versions.isdisjoint(gradient_inputs(self.graph, self.graph.ops[id])))

    def ahead(self, values: Iterable[int], within: Collection[int] | None = None) -> list[int]:
        """The tracked ops that a gradient on its way to `values` passes, by id; only those in `within`, where given."""
        graph = self.graph
        seen: set[int] = set()
        pending = list(values)
        while pending:
            value = pending.pop()
            for id in self.consumers.get(value, ()):
                allowed = id not in seen and (within is None or id in within)
                if allowed and value in gradient_inputs(graph, graph.ops[id]):
                    seen.add(id)
                    pending += graph.ops[id].outputs
        return sorted(seen)

    def is_trained(self, parameter: Parameter) -> bool:
        """An optimizer that took a step owns it or, in a program without an optimizer, it requires grad.

        What is made while a sweep runs, such as the inputs of a second forward, is for that sweep only.
        """
        if self.graph.optimizers:
            return bool(self.stepped.intersection(parameter.owners))
        return self.is_trainable(parameter) and not self.in_sweep(self.graph.ops[self.graph.values[parameter.id].op])

    # words

    def name(self, value: int) -> str:
        """The user's name for `value`, or what it was called where its `requires_grad` was set; empty for none."""
        found = self.graph.values.get(value)
        if found is None:
            return ""
        name = found.name
        if not name or name.startswith("self."):
            later = [self.graph.values[v].name for v in self._versions.get(self.tensor(value), ())]
            name = next((n for n in later if n and not n.startswith("self.")), name)
        if found.role is not Role.PARAMETER:
            name = self._flagged.get(value, name)
        if not name:
            site = self.graph.ops[found.op].site
            parts = _unpacked(self.graph.sites[site].text) if site is not None else []
            if len(parts) == len(self.graph.ops[found.op].outputs) > 1:
                name = parts[found.index]
        return name

    def lasting_name(self, value: int) -> str:
        """What the user calls the variable that one such value after another is in: `model.state`, without an index.

        The last value from the same place, which the program may still hold, has the fullest name.
        """
        graph = self.graph
        site, maker = self.maker_site(value), graph.ops[graph.values[value].op]
        kind = (maker.name, graph.values[value].shape)
        there = [v for v in reversed(list(graph.values)) if graph.ops[graph.values[v].op].site == site]
        # A line may give several, such as the outputs and the state of a recurrent layer.
        alike = [v for v in there if (graph.ops[graph.values[v].op].name, graph.values[v].shape) == kind]
        name = next((name for v in (*alike, *there) if (name := self.name(v))), maker.name)
        return re.sub(r"(\[\d+\])+$", "", name)

    def detaching(self, value: int) -> str:
        """How to cut off the history of the variable that `value` is in, or of each tensor in it."""
        name, site = self.lasting_name(value), self.maker_site(value)
        written = self.graph.sites[site].target if site is not None else ""
        if not _is_written(name) and _is_written(written):
            name = written
        several = len(self.graph.ops[self.graph.values[value].op].outputs) > 1 and not self.name(value).isidentifier()
        return f"`{name} = tuple(x.detach() for x in {name})`" if several else f"`{name} = {name}.detach()`"

    @cached_property
    def _flagged(self) -> dict[int, str]:
        """What values were called where they were made to require grad."""
        on = [flag for flag in self.graph.flags if flag.requires_grad and flag.site is not None]
        return {flag.value: target for flag in on if (target := self.graph.sites[flag.site or 0].target)}

    @cached_property
    def _versions(self) -> dict[int, tuple[int, ...]]:
        found: dict[int, list[int]] = {}
        for value, first in self.first_version.items():
            found.setdefault(first, []).append(value)
        return {first: tuple(later) for first, later in found.items()}

    def names(self, values: Iterable[int]) -> tuple[str, ...]:
        """The names of `values` as `named_parameters` writes them: `model.layers.0.weight`, each once."""
        found = (re.sub(r"\[(\d+)\]", r".\1", self.name(value)) for value in values)
        return tuple(dict.fromkeys(name for name in found if name))

    def subject(self, values: Iterable[int], noun: str = "parameter") -> str:
        """`w`, `w and b`, or "4 parameters of `decoder.mlp`": what a sentence about these begins with."""
        ids = list(dict.fromkeys(values))
        names = list(self.names(ids))
        if not names:
            return f"{plural(len(ids), noun)} without a name" if ids else f"no {noun}"
        if len(ids) <= 2:
            return " and ".join(f"`{name}`" for name in names)
        owner = shared_owner(names) if len(names) == len(ids) else ""
        if owner:
            return f"{len(ids)} {noun}s of `{owner}`"
        told = [f"`{name}`" for name in names[:2]]
        return join([*told, f"{len(ids) - len(told)} more"])

    def line(self, site: int | None) -> str:
        """`line 5`, or "an unknown line"."""
        return self.wording.line(site) or "an unknown line"

    def maker_site(self, value: int) -> int | None:
        """Where `value` was made."""
        return self.graph.ops[self.graph.values[value].op].site


def _is_written(name: str) -> bool:
    """A name as Python has it: `self.state` is one, `net.2.state` and `net.2` are none."""
    return bool(name) and all(part.isidentifier() for part in name.split("."))


def _unpacked(source: str) -> list[str]:
    """The names that a line assigns to, where it unpacks: `["r", "h"]` for `r, h = rnn(x, h)`."""
    match = re.match(r"\s*\(?((?:[\w.]+\s*,\s*)+[\w.]+)\)?\s*=[^=]", source)
    return [part.strip() for part in match[1].split(",")] if match else []


def shared_owner(names: list[str]) -> str:
    """The longest module path that all of `names` lie in."""
    paths = [name.split(".")[:-1] for name in names]
    shared: list[str] = []
    for parts in zip(*paths, strict=False):
        if len(set(parts)) > 1:
            break
        shared.append(parts[0])
    return ".".join(shared)


def verb(values: Iterable[int], one: str, many: str) -> str:
    """The form of a verb that goes with so many subjects."""
    return one if len(set(values)) == 1 else many
