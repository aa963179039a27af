"""Bytecode: what becomes of the value that an instruction makes, read from the instructions that come after it.

`assignment` plays them forward on a stack of which it knows little more than where the value lies: loads go on top of
it, `SWAP` moves it, `COPY` doubles it (`a = b = x * 2`, `f(y := x)`), jumps are followed where the value survives them
(`x * 2 if c else x`). It ends where the value is stored, returned or used up by something else. An instruction that is
not in the tables below ends it too: the value then has no name, never a wrong one.

Written for the instruction sets of CPython 3.11 to 3.13, through `dis`, so superinstructions and caches are handled.
"""

from __future__ import annotations

import ast
import dis
import sys
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from types import CodeType

LISTING_LIMIT = 64
STEP_LIMIT = 500
NAME_LIMIT = 200

_NAME_STORES = frozenset({"STORE_FAST", "STORE_NAME", "STORE_GLOBAL", "STORE_DEREF"})
_PLACE_STORES = frozenset({"STORE_ATTR", "STORE_SUBSCR", "STORE_SLICE"})
_NAME_LOADS = frozenset({"LOAD_FAST", "LOAD_FAST_CHECK", "LOAD_FAST_LOAD_FAST", "LOAD_NAME", "LOAD_DEREF"})
_NO_EFFECT = frozenset({"CACHE", "EXTENDED_ARG", "KW_NAMES", "NOP", "NOT_TAKEN", "PRECALL", "RESUME", "TO_BOOL"})

# The instructions that take no item off the stack, one, two, three, four; what they put on it `dis.stack_effect` knows.
_TAKES_IN_ORDER = (
    "PUSH_NULL DELETE_FAST DELETE_GLOBAL DELETE_NAME LOAD_BUILD_CLASS LOAD_CLASSDEREF LOAD_CLOSURE LOAD_CONST "
    "LOAD_DEREF LOAD_FAST LOAD_FAST_AND_CLEAR LOAD_FAST_CHECK LOAD_FAST_LOAD_FAST LOAD_GLOBAL LOAD_LOCALS LOAD_NAME",
    "CONVERT_VALUE FORMAT_SIMPLE LOAD_ATTR LOAD_FROM_DICT_OR_DEREF LOAD_FROM_DICT_OR_GLOBALS LOAD_METHOD POP_EXCEPT "
    "POP_TOP STORE_DEREF STORE_FAST STORE_FAST_LOAD_FAST STORE_GLOBAL STORE_NAME UNARY_INVERT UNARY_NEGATIVE UNARY_NOT "
    "UNPACK_EX UNPACK_SEQUENCE",
    "BINARY_OP BINARY_SUBSCR COMPARE_OP CONTAINS_OP IS_OP STORE_ATTR STORE_FAST_STORE_FAST",
    "BINARY_SLICE LOAD_SUPER_ATTR STORE_SUBSCR",
    "STORE_SLICE",
)
_TAKES = {name: count for count, names in enumerate(_TAKES_IN_ORDER) for name in names.split()}
_TAKES_ARG: dict[str, Callable[[int], int]] = {
    "BUILD_LIST": lambda arg: arg,
    "BUILD_MAP": lambda arg: 2 * arg,
    "BUILD_SET": lambda arg: arg,
    "BUILD_SLICE": lambda arg: arg,
    "BUILD_STRING": lambda arg: arg,
    "BUILD_TUPLE": lambda arg: arg,
    "CALL": lambda arg: arg + 2,
    "CALL_KW": lambda arg: arg + 3,
}

# Up to 3.12 these carry the position of their whole statement; the instruction before them has the expression's.
_STATEMENT_WIDE = frozenset({"BEFORE_WITH", "BEFORE_ASYNC_WITH", "FOR_ITER", "GET_ITER"})


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of source: lines from 1 (0 unknown), `start` and `end` in UTF-8 bytes into their lines (-1 unknown)."""

    line: int
    end_line: int
    start: int
    end: int


Segment = Callable[[Span], str]
"""The source text of a span on one line, its blanks collapsed, or an empty string where the source is not to be had."""


class Listing:
    """The instructions of one code object, and where each is."""

    __slots__ = ("code", "offsets", "steps")

    def __init__(self, code: CodeType) -> None:
        self.code = code
        self.steps = list(dis.get_instructions(code))
        self.offsets = [step.offset for step in self.steps]

    def at(self, offset: int) -> int:
        """The index of the instruction at or before byte `offset`."""
        return max(bisect_right(self.offsets, offset) - 1, 0)

    def span(self, index: int) -> Span:
        """The source of instruction `index`; for the entry of a `with` or a `for`, that of the expression entered."""
        if sys.version_info < (3, 13):
            while index and self.steps[index].opname in _STATEMENT_WIDE:
                index -= 1
        positions = self.steps[index].positions
        if positions is None or positions.lineno is None:
            return Span(0, 0, -1, -1)
        start, end = positions.col_offset, positions.end_col_offset
        if start is None or end is None:
            start = end = -1
        return Span(positions.lineno, positions.end_lineno or positions.lineno, start, end)


_listings: dict[int, Listing] = {}


def listing(code: CodeType) -> Listing:
    """The listing of `code`, made once and kept until many others were asked for."""
    found = _listings.get(id(code))
    if found is None:
        if len(_listings) >= LISTING_LIMIT:
            _listings.clear()
        found = _listings[id(code)] = Listing(code)
    return found


def assignment(program: Listing, index: int, segment: Segment) -> tuple[str, bool]:
    """The target that the value of instruction `index` is assigned to, or "", and whether the function returns it.

    An instruction that itself stores into an object (`x[0] = 1`, `w.data = z`) gives that object (`x`, `w`).
    """
    step = program.steps[index]
    if step.opname in ("UNPACK_SEQUENCE", "UNPACK_EX"):
        return _unpacked(program, index, segment), False
    if step.opname in _PLACE_STORES:
        return _owner(segment(program.span(index))), False
    if step.opname == "PRECALL":  # 3.11, once it has seen which built-in function is called, calls it here
        index += 1
    if step.opname == "SEND":  # `await`: the value arrives where the wait is over
        index = program.at(step.argval) - 1
    return _Walk(program, segment).run(index)


class _Walk:
    """One value's way. Items are counted from the value's own place, 0; what lay below it has negative numbers.

    `held` are the places where the value or a copy of it lies, `words` the source of items whose spelling is plain.
    """

    __slots__ = ("height", "held", "program", "segment", "words")

    def __init__(self, program: Listing, segment: Segment) -> None:
        self.program = program
        self.segment = segment
        self.height = 1
        self.held = {0}
        self.words: dict[int, str] = {}

    def run(self, index: int) -> tuple[str, bool]:
        steps = self.program.steps
        for _ in range(STEP_LIMIT):
            index += 1
            if index >= len(steps) or not self.held:
                break
            step = steps[index]
            name, arg = step.opname, step.arg or 0
            top = self.height - 1
            if name in _NO_EFFECT:
                continue
            if name == "RETURN_VALUE":
                return "", top in self.held
            if name == "JUMP_FORWARD":
                index = self.program.at(step.argval) - 1
            elif name.startswith(("POP_JUMP_", "JUMP_IF_")):
                following = self._branch(name, step, index)
                if following <= index:
                    break
                index = following - 1
            elif name == "COPY":
                self._push(self.words.get(self.height - arg), held=self.height - arg in self.held)
            elif name == "SWAP":
                self._exchange(top, self.height - arg)
            elif name == "END_SEND":
                self._exchange(top, top - 1)
                self._take(1)
            elif name == "FOR_ITER":
                if top not in self.held:
                    break
                self._push(held=True)
            elif name == "BEFORE_WITH":
                entered = top in self.held
                self._take(1)
                self._push()
                self._push(held=entered)
            elif name == "BUILD_TUPLE" and self._unpacked_at_once(index):
                mirror = 2 * self.height - arg - 1
                self.held = {mirror - place if place >= self.height - arg else place for place in self.held}
                index += 1
            elif name.startswith("UNPACK_") and top in self.held:
                return _unpacked(self.program, index, self.segment), False
            else:
                target = self._stored(index)
                if target is not None:
                    return target, False
                if not self._apply(step):
                    break
        return "", False

    def _branch(self, name: str, step: dis.Instruction, index: int) -> int:
        """The index to go on at: a branch taken on a copy of the value is the one on which the value lives on."""
        tested = self.height - 1 in self.held
        target = self.program.at(step.argval)
        if name.startswith("JUMP_IF_") and tested:
            return target
        self._take(1)
        return target if tested and self.held else index + 1

    def _unpacked_at_once(self, index: int) -> bool:
        step, following = self.program.steps[index : index + 2]
        return following.opname == "UNPACK_SEQUENCE" and following.arg == step.arg

    def _stored(self, index: int) -> str | None:
        """The target, if instruction `index` stores the value."""
        step = self.program.steps[index]
        top = self.height - 1
        if step.opname in _NAME_STORES and top in self.held:
            text = self.segment(self.program.span(index))
            return text if text.startswith("__") and step.argval.endswith(text) else str(step.argval)  # `_Class__name`
        if step.opname == "STORE_FAST_LOAD_FAST" and top in self.held:
            return str(step.argval[0])
        if step.opname == "STORE_FAST_STORE_FAST":
            if top in self.held:
                return str(step.argval[0])
            if top - 1 in self.held:
                return str(step.argval[1])
        if step.opname in _PLACE_STORES and self.height - _TAKES[step.opname] in self.held:
            return self._written(step, self.program.span(index))
        return None

    def _written(self, step: dis.Instruction, span: Span) -> str:
        """The spelling of an attribute or subscript target: as in the source, else from the loads that lead to it."""
        text = self.segment(span)
        top = self.height - 1
        if step.opname == "STORE_ATTR":
            owner = self.words.get(top, "")
            return text if "." in text else f"{owner}.{step.argval}" if owner else ""
        if text.endswith("]"):
            return text
        owner, key = self.words.get(top - 1, ""), self.words.get(top, "")
        return f"{owner}[{key}]" if owner and key and step.opname == "STORE_SUBSCR" else ""

    def _apply(self, step: dis.Instruction) -> bool:
        """Take and put what the instruction takes and puts. False for one that the tables do not know."""
        name, arg = step.opname, step.arg or 0
        if name == "CALL":  # up to 3.11 part of its effect is counted under PRECALL
            takes, puts = arg + 2, 1
        else:
            if name in _TAKES_ARG:
                takes = _TAKES_ARG[name](arg)
            elif name in _TAKES:
                takes = _TAKES[name]
            else:
                return False
            puts = dis.stack_effect(step.opcode, step.arg, jump=False) + takes
        words = self._words(step, puts)
        self._take(takes)
        for word in words:
            self._push(word)
        return True

    def _words(self, step: dis.Instruction, puts: int) -> list[str | None]:
        """The spelling of each item that the instruction puts on the stack, None where it is not plain."""
        name, top = step.opname, self.height - 1
        if name in _NAME_LOADS or (name == "LOAD_GLOBAL" and puts == 1):
            return list(step.argval) if isinstance(step.argval, tuple) else [str(step.argval)]
        if name == "LOAD_CONST":
            return [repr(step.argval)]
        if name == "LOAD_ATTR" and puts == 1 and top in self.words:
            return [f"{self.words[top]}.{step.argval}"]
        if name == "BINARY_SUBSCR" and top in self.words and top - 1 in self.words:
            return [f"{self.words[top - 1]}[{self.words[top]}]"]
        return [None] * puts

    def _push(self, word: str | None = None, *, held: bool = False) -> None:
        if held:
            self.held.add(self.height)
        if word is not None:
            self.words[self.height] = word
        self.height += 1

    def _take(self, count: int) -> None:
        for _ in range(count):
            self.height -= 1
            self.held.discard(self.height)
            self.words.pop(self.height, None)

    def _exchange(self, one: int, other: int) -> None:
        self.held = {other if place == one else one if place == other else place for place in self.held}
        swapped = {one: self.words.pop(other, None), other: self.words.pop(one, None)}
        self.words.update((place, word) for place, word in swapped.items() if word is not None)


def _unpacked(program: Listing, index: int, segment: Segment) -> str:
    """The targets of the unpacking at `index`, joined by commas; without source, from the stores that follow it."""
    text = f"({segment(program.span(index))})"  # bare, `a, *rest` would not be an expression
    node = _expression(text)
    if isinstance(node, ast.Tuple | ast.List):
        names = [ast.get_source_segment(text, item) or "" for item in node.elts]
        return _tuple(names)[:NAME_LIMIT]
    step = program.steps[index]
    count = step.arg or 0
    if step.opname == "UNPACK_EX":
        return ""
    names = []
    for follower in program.steps[index + 1 : index + 1 + count]:
        if follower.opname in _NAME_STORES:
            names.append(str(follower.argval))
        elif follower.opname == "STORE_FAST_STORE_FAST":
            names.extend(follower.argval)
        elif follower.opname == "STORE_FAST_LOAD_FAST":
            names.append(follower.argval[0])
    return _tuple(names[:count]) if len(names) >= count else ""


def _tuple(names: list[str]) -> str:
    """As Python writes a tuple of these names without brackets."""
    return f"{names[0]}," if len(names) == 1 else ", ".join(names)


def _owner(text: str) -> str:
    """`x` of `x[0]`, `self.layer` of `self.layer.weight`."""
    node = _expression(text)
    if isinstance(node, ast.Attribute | ast.Subscript):
        return ast.get_source_segment(text, node.value) or ""
    return ""


def _expression(text: str) -> ast.expr | None:
    try:
        return ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
