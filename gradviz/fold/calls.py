"""Calls: what ran inside what. A call is a stretch of time in which a module scope, or a function, ran on one thread.

An op that ran in a module lies in the scopes of its modules; one that ran in none lies in the functions that led to it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from gradviz.events import Role
from gradviz.graphs import Graph, Op

DEEPEST = 32
"""How many functions deep an op's place is told."""

Path = tuple[tuple[str, str], ...]
"""Kind (`scope` or `function`) and full name of each thing that an op ran in, outermost first."""


@dataclass(slots=True, eq=False)
class Call:
    """One call; the outermost, without a name, is the script itself.

    items    ops and calls in it, as they ran
    sources  ops that make the leaves which only this call uses, and not a call in it alone
    size     how many ops ran in it and in the calls in it
    """

    kind: str
    name: str
    parent: Call | None
    depth: int
    items: list[int | Call] = field(default_factory=list)
    sources: list[int] = field(default_factory=list)
    size: int = 0

    @property
    def last_name(self) -> str:
        """`h.0` for `model.h.0`, `attn` for `model.h.0.attn`: a number says nothing alone."""
        parts = self.name.split(".")
        tail = next((at for at in range(len(parts) - 1, 0, -1) if not parts[at].isdigit()), 0)
        return ".".join(parts[tail:])


def find_calls(graph: Graph) -> tuple[Call, dict[int, Path]]:
    """The calls in `graph`, as a tree, each op in one of them; and whose each weight is that several calls use.

    That is the innermost module or function which all of its uses ran in, be it in several calls.
    """
    root = Call("", "", None, 0)
    paths = Paths(graph)
    open_calls: dict[int, list[Call]] = {}
    home: dict[int, Call] = {}
    for op in graph.ops.values():
        if op.is_source:
            continue
        path = paths.of(op)
        stack = open_calls.setdefault(op.thread, [root])
        if len(stack) != len(path) + 1 or (path and (stack[-1].kind, stack[-1].name) != path[-1]):
            shared = 0
            while shared < min(len(path), len(stack) - 1) and path[shared] == (
                stack[shared + 1].kind,
                stack[shared + 1].name,
            ):
                shared += 1
            del stack[shared + 1 :]
            for kind, name in path[shared:]:
                call = Call(kind, name, stack[-1], len(stack))
                stack[-1].items.append(call)
                stack.append(call)
        stack[-1].items.append(op.id)
        home[op.id] = stack[-1]
    owners = _place_sources(graph, home, paths)
    for call in reversed(list(walk(root))):
        call.size += sum([type(item) is int for item in call.items])
        if call.parent is not None:
            call.parent.size += call.size
    return root, owners


def walk(root: Call) -> Iterator[Call]:
    """`root` and all calls in it, outer ones before inner ones, in time."""
    stack = [root]
    while stack:
        call = stack.pop()
        yield call
        stack += [item for item in reversed(call.items) if isinstance(item, Call)]


class Paths:
    """Where the ops of a graph ran."""

    def __init__(self, graph: Graph) -> None:
        self._sites = graph.sites
        self._of_site: dict[int | None, Path] = {None: ()}
        self._of_scope: dict[str, Path] = {}

    def of(self, op: Op) -> Path:
        """The modules around an op, or else the functions."""
        if not op.scope:
            return self._functions(op.site)
        path = self._of_scope.get(op.scope)
        if path is None:
            parts = op.scope.split(".")
            path = tuple(("scope", ".".join(parts[: length + 1])) for length in range(len(parts)))
            self._of_scope[op.scope] = path
        return path

    def _functions(self, site: int | None) -> Path:
        chain = []
        while site not in self._of_site:
            chain.append(site)
            found = self._sites.get(site) if site is not None else None
            site = found.caller if found is not None else None
        path = self._of_site[site]
        for below in reversed(chain):
            found = self._sites.get(below) if below is not None else None
            name = found.function if found is not None else "<module>"
            if name != "<module>" and len(path) < DEEPEST:
                path = (*path, ("function", f"{path[-1][1]}.{name}" if path else name))
            self._of_site[below] = path
        return path


def _place_sources(graph: Graph, home: dict[int, Call], paths: Paths) -> dict[int, Path]:
    """Each leaf goes to the innermost call that has all of its uses in it.

    Data from outside stays where it was made: it is what goes in.
    """
    around: dict[int, Call] = {}
    owners: dict[int, Path] = {}
    makers = {output: op.id for op in graph.ops.values() if op.is_source for output in op.outputs}
    for op in graph.ops.values():
        for item in op.inputs:
            made = makers.get(item) if type(item) is int else None
            if made is not None:
                call, path = home[op.id], paths.of(op)
                around[made] = _around(around.get(made, call), call)
                owners[made] = _shared(owners.get(made, path), path)
    for made, call in sorted(around.items()):
        source = graph.ops[made]
        values = [graph.values[output] for output in source.outputs]
        if not all(value.requires_grad or value.role in (Role.PARAMETER, Role.BUFFER) for value in values):
            call = _outside(call, paths.of(source))
            del owners[made]
        elif len(owners[made]) <= call.depth:
            del owners[made]
        call.sources.append(made)
    return owners


def _around(one: Call, other: Call) -> Call:
    while one is not other:
        if one.depth >= other.depth and one.parent is not None:
            one = one.parent
        elif other.parent is not None:
            other = other.parent
    return one


def _outside(call: Call, path: Path) -> Call:
    """The innermost call at or around `call` in which what lies at `path` was made."""
    while call.parent is not None and (len(path) < call.depth or path[call.depth - 1] != (call.kind, call.name)):
        call = call.parent
    return call


def _shared(one: Path, other: Path) -> Path:
    if one == other:
        return one
    length = 0
    while length < min(len(one), len(other)) and one[length] == other[length]:
        length += 1
    return one[:length]
