"""What every graph promises, and the sentence that says where one does not keep it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from gradviz.events import Act, Error, Module, Optimizer, Statement, Sweep, Work
from gradviz.graphs import Graph, Op, Region


def broken_invariants(graph: Graph) -> Iterator[str]:
    """What is wrong with `graph`, one sentence each."""
    for kind, records in (
        ("site", graph.sites), ("value", graph.values), ("op", graph.ops), ("region", graph.regions)
    ):
        for id, record in records.items():
            if id != record.id:
                yield f"{kind} {record.id} is filed under {id}"
        for before, after in pairwise(records):
            if before >= after:
                yield f"{kind} {after} comes after {kind} {before}"
    for op in graph.ops.values():
        yield from _broken_op(graph, op)
    for value in graph.values.values():
        maker = graph.ops.get(value.op)
        if maker is None or value.id != value.op + value.index or value.id not in maker.outputs:
            yield f"value {value.id} is not output {value.index} of op {value.op}"
        if value.storage > value.id or value.version < 0:
            yield f"value {value.id} is older than its storage {value.storage} or its version {value.version}"
    for cut in graph.cuts:
        cutter = graph.ops.get(cut.op)
        if cutter is None or cutter.cause != cut.cause or (cut.position, cut.value) not in enumerate(cutter.inputs):
            yield f"the cut of value {cut.value} is not at argument {cut.position} of op {cut.op}"
    yield from _broken_surroundings(graph)


def _broken_op(graph: Graph, op: Op) -> Iterator[str]:
    name = f"op {op.id} (`{op.name}`)"
    values = graph.values
    if op.outputs != tuple(range(op.id, op.id + len(op.outputs))):
        yield f"{name} has outputs {op.outputs}, not consecutive ids from its own"
    for output in op.outputs:
        if output not in values or values[output].op != op.id:
            yield f"{name} has output {output}, which is not its value"
    if len(op.needs) != len(op.inputs):
        yield f"{name} has {len(op.inputs)} inputs but tells of {len(op.needs)} whether they needed a gradient"
    for item, needed in zip(op.inputs, op.needs, strict=False):
        if isinstance(item, str):
            if needed:
                yield f"{name} has a gradient edge from the literal {item}"
        elif item not in values:
            yield f"{name} uses value {item}, which does not exist"
        elif item >= op.id:
            yield f"{name} uses value {item}, which is not older than itself"
        # A leaf's flag can be cleared afterwards; what an op made keeps the one it was born with.
        elif needed and not (values[item].requires_grad or values[item].leaf):
            yield f"{name} has a gradient edge from value {item}, which does not require grad"
    if op.tracked != bool(op.node):
        yield f"{name} is {'tracked but has no node' if op.tracked else f'not tracked but has node {op.node}'}"
    if op.cause is not None and (op.tracked or not any(op.needs)):
        yield f"{name} has cause {op.cause} although {'it is tracked' if op.tracked else 'no gradient could come'}"
    if op.alias is None:
        if op.inplace:
            yield f"{name} works in place, but on none of its arguments"
    elif not isinstance(next(iter(op.inputs[op.alias:]), None), int) or op.alias < 0 or not op.outputs:
        yield f"{name} shares the storage of argument {op.alias}, which is no value"
    for saved in op.saved:
        if saved.source is not None and not -len(op.outputs) <= saved.source < len(op.inputs):
            yield f"{name} keeps argument {saved.source}, which it does not have"


def _broken_surroundings(graph: Graph) -> Iterator[str]:
    for region in graph.regions.values():
        if region.parent is not None:
            parent = graph.regions.get(region.parent)
            if parent is None or parent.id >= region.id:
                yield f"region {region.id} lies in region {region.parent}, which was not opened before it"
            elif parent.thread != region.thread:
                yield f"region {region.id} lies in region {region.parent} of another thread"
        for id in region.ops:
            if id not in graph.ops or graph.ops[id].region != region.id:
                yield f"region {region.id} claims op {id}, which did not run in it"
    for op in graph.ops.values():
        if op.region is not None and op.region not in graph.regions:
            yield f"op {op.id} (`{op.name}`) ran in region {op.region}, which does not exist"
    rooted: set[int] = set()
    for site in graph.sites.values():
        road: set[int] = set()
        step: int | None = site.id
        while step is not None and step not in rooted:
            if step in road:
                yield f"site {site.id} is called from itself"
                break
            road.add(step)
            step = graph.sites[step].caller if step in graph.sites else None
        rooted |= road
    users: list[Op | Region | Sweep | Error | Optimizer | Act | Module | Work | Statement] = [*graph.ops.values()]
    users += [*graph.regions.values(), *graph.sweeps, *graph.errors, *graph.optimizers, *graph.acts]
    users += [*graph.modules, *graph.work, *graph.statements]
    referred = {user.site for user in users} | {site.caller for site in graph.sites.values()}
    for missing in sorted(id for id in referred if id is not None and id not in graph.sites):
        yield f"site {missing} is referred to but does not exist"
    told = {value for sweep in graph.sweeps for value in (*sweep.roots, *(sweep.inputs or ()), *sweep.concerned)}
    told |= {gradient.value for sweep in graph.sweeps for gradient in sweep.gradients}
    told |= {value for error in graph.errors for value in error.values}
    told |= {value for optimizer in graph.optimizers for value in optimizer.values}
    told |= {value for act in graph.acts for value in act.values}
    for unknown in sorted(told - set(graph.values)):
        yield f"value {unknown} is told of in a sweep or an error but does not exist"
