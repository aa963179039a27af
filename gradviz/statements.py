"""Statements: what stands around the places of a recording in the user's source, told once, when it ends.

An op that did not run has no site, and neither has a `return` or an `append`: those lines are found in the source.
"""

from __future__ import annotations

import ast
import linecache
import warnings
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from gradviz.events import Site, Statement
from gradviz.sites import TEXT_LIMIT, is_user_file

LINES_LIMIT = 20_000
"""Longest file that is read, in lines: a longer one was written by a program."""

_FILLING = frozenset({"append", "appendleft", "extend", "insert", "add", "update", "put", "setdefault"})
"""Methods of Python's containers that put something into them."""

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_PLAIN = (ast.List, ast.Dict, ast.ListComp, ast.DictComp)
_LEAVING = (ast.Return, ast.Continue, ast.Break, ast.Raise)


class _Found(NamedTuple):
    """A statement of one file: `place` is where it stands, `first` to `last` are the lines that it speaks for."""

    kind: str
    place: ast.expr | ast.stmt
    first: int
    last: int
    target: str = ""
    names: tuple[str, ...] = ()
    function: str = ""


class Statements:
    """Takes note of the places of a recording, and tells at its end of the statements around them."""

    def __init__(self) -> None:
        self._lines: dict[str, set[int]] = {}

    def saw(self, site: Site) -> None:
        """A place was told of."""
        self._lines.setdefault(site.file, set()).add(site.line)

    def tell(self, next_site: int) -> Iterator[Site | Statement]:
        """The records, by file and line. Their sites are numbered from `next_site`."""
        places: dict[tuple[str, int, int], int] = {}
        for file, lines in sorted(self._lines.items()):
            source = linecache.getlines(file) if is_user_file(file) else []
            for found in _told(source, lines):
                key = (file, found.place.lineno, found.place.col_offset)
                if key not in places:
                    places[key] = next_site + len(places)
                    yield _site(places[key], file, source, found)
                yield Statement(found.kind, places[key], found.first, found.last, found.target, found.names)


def _told(source: Sequence[str], lines: set[int]) -> list[_Found]:
    """The statements of a file that speak for one of `lines`, and all that fill a container, in order."""
    if not 0 < len(source) <= LINES_LIMIT:
        return []
    try:
        with warnings.catch_warnings(action="ignore"):  # the user was warned when the file was compiled
            tree = ast.parse("".join(source))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    statements = list(_statements(tree))
    carrying = _carrying(statements)
    found = [
        one
        for one in statements
        if (one.kind == "fill" if one.kind != "carry" else one in carrying and one.place.lineno not in lines)
        or one.function.endswith(".backward")  # autograd's own threads come there, not a recorded line
        or (one.kind != "carry" and any(one.first <= line <= one.last for line in lines))
    ]
    return sorted(found, key=lambda one: (one.place.lineno, one.place.col_offset, one.kind, one.first))


def _carrying(statements: Sequence[_Found]) -> set[_Found]:
    """The assignments that may go on with numbers which the function took out of a tensor."""
    out: dict[str, set[str]] = {}
    found: set[_Found] = set()
    for one in sorted((one for one in statements if one.kind == "carry"), key=lambda one: one.place.lineno):
        names = out.setdefault(one.function, set())
        if _takes_out(one.place) or not names.isdisjoint(one.names):
            names.add(one.target)
            found.add(one)
    return found


def _takes_out(node: ast.AST) -> bool:
    """Something in a statement takes numbers out of a tensor, as far as its names say."""
    return any(
        part.attr in _OUT if isinstance(part, ast.Attribute) else isinstance(part, ast.Name) and part.id in _ARRAYS
        for part in ast.walk(node)
    )


_OUT = frozenset({"numpy", "item", "tolist"})
_ARRAYS = frozenset({"np", "numpy"})


def _statements(tree: ast.Module) -> Iterator[_Found]:
    """What is told of in a file, in one walk: a library of a few thousand lines is read when a program ends."""
    pending: list[tuple[Any, str, Any]] = [(tree, "", None)]
    while pending:
        node, name, function = pending.pop()
        if isinstance(node, ast.expr):
            if isinstance(node, ast.Call):
                yield from _fill(node)
        elif isinstance(node, ast.Return):
            if isinstance(function, _FUNCTIONS) and node.value is not None:
                names = _names(node.value)
                yield _Found("return", node, function.lineno, _end(function), names=names, function=name)
        elif isinstance(node, (ast.Assign, ast.AugAssign)):
            yield from _fill(node)
            yield from _carry(node, name or "<module>")
        elif isinstance(node, ast.ClassDef):
            name, function = f"{name}.{node.name}" if name else node.name, node
        elif isinstance(node, _FUNCTIONS):
            outer = f"{name}.<locals>." if isinstance(function, _FUNCTIONS) else f"{name}." if name else ""
            name, function = outer + node.name, node
            if node.name == "__init__":
                yield from _hold(node)
        for part in vars(node).values():
            if part.__class__ is list:
                if part and isinstance(part[0], ast.stmt):
                    yield from _branches(part)
                pending += [(child, name, function) for child in part if isinstance(child, _WALKED)]
            elif isinstance(part, _WALKED):
                pending.append((part, name, function))


_WALKED = (ast.stmt, ast.expr, ast.excepthandler, ast.match_case, ast.keyword, ast.comprehension, ast.withitem,
           ast.arguments, ast.pattern)  # fmt: skip
"""Nodes that hold statements or expressions; the others are operators and names."""


def _branches(block: list[ast.stmt]) -> Iterator[_Found]:
    """The tests that lines depend on: those of the two branches, and those after a branch that leaves."""
    for index, statement in enumerate(block):
        if isinstance(statement, ast.If):
            yield _Found("branch", statement.test, statement.body[0].lineno, _end(statement.body[-1]))
            otherwise = statement.orelse
            if otherwise:
                yield _Found("branch", statement.test, otherwise[0].lineno, _end(otherwise[-1]))
            elif isinstance(statement.body[-1], _LEAVING) and index + 1 < len(block):
                yield _Found("branch", statement.test, block[index + 1].lineno, _end(block[-1]))
        elif isinstance(statement, ast.Match):
            for case in statement.cases:
                yield _Found("branch", statement.subject, case.body[0].lineno, _end(case.body[-1]))


def _fill(node: ast.Call | ast.Assign | ast.AugAssign) -> Iterator[_Found]:
    """A call or an assignment that puts something into a container."""
    match node:
        case ast.Call(func=ast.Attribute(value=container, attr=method)) if method in _FILLING:
            put: list[ast.expr] = [*node.args, *(keyword.value for keyword in node.keywords)]
        case ast.Assign(targets=[ast.Subscript(value=container)], value=value):
            put = [value]
        case ast.AugAssign(target=container, op=ast.Add(), value=ast.List() | ast.Tuple() as value):
            put = [value]
        case _:
            return
    if isinstance(container, (ast.Name, ast.Attribute, ast.Subscript)):
        names = tuple(dict.fromkeys(name for value in put for name in _names(value)))
        yield _Found("fill", node, node.lineno, _end(node), ast.unparse(container)[:TEXT_LIMIT], names)


def _hold(init: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[_Found]:
    """The attributes that `__init__` gives a list or a dict which a variable of its own held before."""
    plain: set[str] = set()
    assigned = [node for node in ast.walk(init) if isinstance(node, (ast.Assign, ast.AnnAssign))]
    for node in sorted(assigned, key=lambda node: (node.lineno, node.col_offset)):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        if len(targets) > 1:
            continue
        match targets[0], node.value:
            case ast.Name(id=name), value:
                (plain.add if isinstance(value, _PLAIN) else plain.discard)(name)
            case ast.Attribute(), ast.Name(id=name) if name in plain:
                yield _Found("hold", node, init.lineno, _end(init), ast.unparse(targets[0])[:TEXT_LIMIT], (name,))


def _carry(node: ast.Assign | ast.AugAssign, function: str) -> Iterator[_Found]:
    """An assignment to a variable, which goes on with what other variables hold."""
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    names = _names(node.value)
    if names and len(targets) == 1 and isinstance(targets[0], ast.Name):
        yield _Found("carry", node, node.lineno, _end(node), targets[0].id, names, function)


def _names(node: ast.expr) -> tuple[str, ...]:
    """The plain names in an expression, each once, in the order in which they are written."""
    found = sorted((n.lineno, n.col_offset, n.id) for n in ast.walk(node) if isinstance(n, ast.Name))
    return tuple(dict.fromkeys(name for _, _, name in found))


def _end(node: ast.stmt | ast.expr) -> int:
    return node.end_lineno or node.lineno


def _site(id: int, file: str, source: Sequence[str], found: _Found) -> Site:
    place = found.place
    text = source[place.lineno - 1].rstrip("\r\n")
    column, end = place.col_offset, place.end_col_offset or -1
    if not text.isascii():  # columns of the parser are bytes
        last = source[_end(place) - 1]
        column = len(text.encode()[:column].decode(errors="replace"))
        end = len(last.encode()[:end].decode(errors="replace"))
    return Site(id, file, place.lineno, _end(place), column, end, function=found.function, text=text[:TEXT_LIMIT])
