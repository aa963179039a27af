"""What is remembered of an op after it ran: a `Node` where autograd tracks it, a `Trace` where it does not.

Both know the op's row, where in the user's source it was called, and the records of its inputs, so the whole history
of a tensor can be drawn, the skipped part too. A Trace holds no array. A Node is what `grad_fn` shows: it also holds
the arrays that its backward needs.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from types import CodeType
from typing import TYPE_CHECKING, Any, TypeAlias

from gradviz.core.accumulator import AccumulateGrad, accumulator
from gradviz.core.fields import ALONE, MANY, Rare, joined, parted
from gradviz.core.watched import NodeHooks

if TYPE_CHECKING:
    from gradviz.core.grad_mode import Region
    from gradviz.core.ops.table import Row
    from gradviz.core.tensor import Tensor
    from gradviz.events import Cause

SHAPES: dict[tuple[int, ...], tuple[int, ...]] = {}
"""Shapes of records, so that one tuple serves for all that are equal: in most ops, two that are the same one are."""
SHAPE_LIMIT = 4096
"""So many are remembered before they are forgotten, all at once."""

HISTORY_LIMIT = 256
"""Most traces that may lie behind a trace; see `history`."""

Link: TypeAlias = Any
"""Where an input came from: a Trace, a Node, a `Faint` reference to a Node, a pair (one of these, output number) for
outputs after the first, or a plain Python argument."""


class Storage:
    """A piece of memory that tensors share: how often it was written in place, None where that is not tracked.

    It is not tracked for tensors made in inference mode. `writer` is the id of the last tracked in-place write, the
    name of its node, and the id of what the tensor that was written was `before_writes`; unset where there was none.
    `written` has the id of the last write that the version counts, tracked or not; unset where there was none.
    `turned` has the in-place views of the tensor that the memory began with: the version after each, and the way back;
    unset where there was none.
    """

    __slots__ = ("turned", "version", "writer", "written")

    version: int | None
    writer: tuple[int, str, int]
    written: tuple[int]
    turned: tuple[tuple[int, Any], ...]

    def __init__(self) -> None:
        self.version = 0


class Trace:
    """One op that ran. What is not tracked, leaves included (ops without inputs), is an `Untracked`.

    row         the op's row in the table
    links       its inputs' origins, by argument position
    needs       for each input, whether it required grad
    static      its other arguments, in the row's order
    cause       why it was not tracked although an input required grad, or None
    code, lasti, region     where and under which grad mode it was called
    shape, array_type       of its first output; `more` has pairs of these for the others
    forgotten   how many traces behind this one were let go
    called      what the user called to run it, unset where that is the row's name
    flagged     where its result was made to require grad afterwards, code and offset; unset where it was not
    storage     of its one output, if that was asked for after the output was made; unset where it was not
    whole       inputs and needs of the function that is told of by this op, None where it is an op like others
    within      the id of the op that tells of the whole that this one is a step of; unset where it is told of itself

    A record is filled by plain stores, as few as can be: what most ops lack is kept in the dictionary `rare`, if there
    is one. `flags` says whether a record has some of it, so that the engine need not ask. `link0` and `link1` are what
    it has of its links, see `fields`.
    """

    __slots__ = (
        "array_type",
        "code",
        "flags",
        "id",
        "lasti",
        "link0",
        "link1",
        "needs",
        "rare",
        "shape",
        "static",
    )

    row: Row
    id: int
    link0: Any
    link1: Any
    needs: tuple[bool, ...]
    static: tuple[Any, ...]
    cause: Cause | None
    code: CodeType
    lasti: int
    region: Region | None
    shape: tuple[int, ...]
    array_type: Any
    forgotten: int
    flags: int
    rare: dict[str, Any] | None
    more = Rare[tuple[tuple[tuple[int, ...], Any], ...]](())
    called = Rare[str]()
    flagged = Rare[tuple[CodeType, int]]()
    storage = Rare[Storage]()
    whole = Rare["tuple[tuple[Link, ...], tuple[bool, ...]] | None"](None)
    within = Rare[int]()

    tracked = False

    @property
    def links(self) -> tuple[Link, ...]:
        links: tuple[Link, ...] = joined(self.link0, self.link1)
        return links

    @links.setter
    def links(self, links: tuple[Link, ...]) -> None:
        self.link0, self.link1 = parted(links)

    @property
    def op_name(self) -> str:
        """The op as the user called it."""
        return getattr(self, "called", self.row.name)


class Plain(Trace):
    """A record that is no Node. It has fields for its row and its region; a Node has the one by its class, and rarely
    the other.
    """

    __slots__ = ("region", "row")


class Untracked(Plain):
    """The record of an op that autograd did not track, or of the making of a leaf.

    past        how much history who links to it takes on: this record and those behind it; 0 for a leaf
    oldest      the smallest id among these records
    """

    __slots__ = ("cause", "oldest", "past")

    oldest: int
    past: int
    forgotten = Rare[int](0)


INPLACE = 1
"""Flag: the output is input 0, written over."""
LEAF_GRAD = 2
"""Flag: the output is a leaf that requires grad."""
ALIAS = 4
"""Flag: the output shares its storage with input 0."""
KEEPS_NODE = 16
"""Flag: the output is a tracked tensor that was written with grad off: it keeps the node it had."""
PART = 32
"""Flag: a step of what is told of as a whole by another op: of a write to a part, `x[0] = 1`, by the op that puts the
part in; of a function like `linear`, by the op that makes its result."""
INNER = 8
"""Flag: one of several ops behind one call of the user's, and not the one that made the call's result."""
HOOKED = 64
"""Flag: the node has `hooks`."""
SEVERAL = 128
"""Flag: there is more than one output."""
STORED = 256
"""Flag: the record has a `storage`."""
GENERAL = 512
"""Flag: it was not compiled code that made the node, so only the general definition can run it backwards."""
LATE = 1024
"""Flag: a parameter that a library's module made: it is told of when something uses it."""


PAIRED = 4096
"""Flag: compiled code made the node, and inputs of it may be other outputs of an op than its first."""
PACKED = 2048
"""Flag: some of what the node saved went through a user's `saved_tensors_hooks`."""


class Node(Trace):
    """One op that autograd tracked. `grad_fn` of its outputs; PyTorch's `Node`.

    saved       the arrays (or plain arguments) that its VJPs read, in the order of `row.saved_names`, None where not
                needed; `FREED` after a backward that did not retain the graph; `LINKED`, see `saving`
    marks       for each of them the storage and the version it must still have, or None; where the output that was
                saved had no storage yet, None means the one that its record may get later, at version 0
    leaves      for each input the leaf tensor whose `.grad` this op feeds, or None; None if there is no such leaf

    `saved0`, `saved1`, `leaf0`, `leaf1` are what it has of these, see `fields`; the last two are None for no leaf.
    """

    __slots__ = ("__weakref__", "leaf0", "leaf1", "marks", "saved0", "saved1")

    saved0: Any
    saved1: Any
    marks: tuple[Any, ...]
    leaf0: Any
    leaf1: Any
    hooks = Rare["NodeHooks | None"](None)
    region = Rare["Region | None"](None)

    tracked = True
    cause = None
    past = HISTORY_LIMIT  # so that what is compiled for an untracked op holds none but by a `Faint`
    forgotten = 0
    full_name = ""
    runs_on_nothing = False
    """Backward runs it although no gradient came to it."""

    @property
    def saved(self) -> Any:
        return joined(self.saved0, self.saved1)

    @saved.setter
    def saved(self, saved: Any) -> None:
        self.saved0, self.saved1 = parted(saved)

    @property
    def leaves(self) -> tuple[Tensor | None, ...] | None:
        if self.leaf0 is None and self.leaf1 is None:
            return None
        leaves: tuple[Tensor | None, ...] = self.leaf0 if self.link1 is MANY else (self.leaf0, self.leaf1)
        return leaves[:1] if self.link1 is ALONE else leaves

    @leaves.setter
    def leaves(self, leaves: tuple[Tensor | None, ...] | None) -> None:
        self.leaf0, last = parted(leaves)
        self.leaf1 = None if last is ALONE or last is MANY else last

    def name(self) -> str:
        """The node's name as PyTorch prints it: `MulBackward0`, `torch::autograd::CopySlices`."""
        return type(self).full_name or type(self).__name__

    @property
    def next_functions(self) -> tuple[tuple[Node | AccumulateGrad | None, int], ...]:
        """For each input, the node that its gradient goes on to and as which of its outputs; (None, 0) where none."""
        result: list[tuple[Node | AccumulateGrad | None, int]] = []
        formulas = self.row.formulas_of(len(self.links))
        for position, link in enumerate(self.links):
            if formulas[position] is None:
                continue
            origin, number = origin_of(link)
            leaf = self.leaves[position] if self.leaves is not None else None
            if leaf is not None:
                result.append((accumulator(leaf), 0))
            elif isinstance(origin, Node) and self.needs[position]:
                result.append((origin, number))
            else:
                result.append((None, 0))
        if not self.row.variadic:
            # Inputs that were left out have a place all the same.
            result += [(None, 0) for formula in self.row.formulas[len(self.links) :] if formula is not None]
        return tuple(result)

    def __getattr__(self, name: str) -> Any:
        from gradviz.core.peeking import saved_as  # few programs look at what nodes save

        return saved_as(self, name)

    def register_hook(self, fn: Callable[..., Any]) -> Any:
        """Call `fn(grad_inputs, grad_outputs)` each time this node has run; what it returns replaces the first."""
        from gradviz.core.node_hooks import register_hook  # few programs have hooks on nodes

        return register_hook(self, fn)

    def register_prehook(self, fn: Callable[..., Any]) -> Any:
        """Call `fn(grad_outputs)` each time this node is about to run; what it returns replaces them."""
        from gradviz.core.node_hooks import register_prehook

        return register_prehook(self, fn)

    @property
    def metadata(self) -> dict[Any, Any]:
        """A dictionary of the user's own, kept with the node."""
        if self.hooks is None:
            self.hooks = NodeHooks()
            self.flags |= HOOKED
        return self.hooks.metadata

    def __repr__(self) -> str:
        return f"<{type(self).__name__} object at {id(self):#x}>"


class Faint(weakref.ref[Node]):
    """An untracked op's reference to a Node: without it, `loss.detach()` would keep the graph behind `loss` alive.

    `stand_in` is what is shown of the node once it is gone: its own record, without its history.
    """

    __slots__ = ("stand_in",)

    stand_in: Trace
    past = 0

    def __init__(self, node: Node) -> None:
        super().__init__(node)  # type: ignore[call-arg]
        self.stand_in = without_history(node)


def faint(link: Link) -> Link:
    """The same link, but without keeping a Node alive."""
    if isinstance(link, Node):
        return Faint(link)
    if type(link) is tuple and isinstance(link[0], Node):
        return Faint(link[0]), link[1]
    return link


def origin_of(link: Link) -> tuple[Trace | None, int]:
    """The record that a link leads to and the output number; (None, 0) for a plain Python argument."""
    number = 0
    if type(link) is tuple:
        link, number = link
    if type(link) is Faint:
        node = link()
        return (link.stand_in if node is None else node), number
    return (link if isinstance(link, Trace) else None), number


def seen(link: Link, reader: int) -> tuple[Trace | None, int]:
    """What op `reader` saw at the other end of a link: `origin_of`, or the last untracked write to it before."""
    origin, number = origin_of(link)
    if isinstance(origin, Node) and origin.hooks is not None:
        for write in reversed(origin.hooks.rewritten.get(number, ())):
            step, place = write if type(write) is tuple else (write, 0)
            if step.id < reader:
                return step, place
    return origin, number


def told_of(step: Trace) -> tuple[tuple[Link, ...], tuple[bool, ...]]:
    """The inputs that are told of an op, and which of them required grad: of a whole, those of all its steps."""
    if step.whole is not None:
        return step.whole
    links, needs = step.links, step.needs
    if step.row.key == "copy_slices":
        write, _ = origin_of(links[1])
        if write is not None and write.flags & PART:
            return (links[0], *write.links[1:]), (needs[0], *write.needs[1:])
    return links, needs


def before_writes(origin: Trace) -> Trace:
    """What a tensor's origin was before all in-place writes: tells tensors on the same memory apart."""
    while origin.flags & INPLACE and origin.links:
        before, _ = origin_of(origin.links[0])
        if before is None:
            break
        origin = before
    return origin


class Freed:
    """Stands where a node's saved arrays were, after a backward that did not retain them."""


FREED: Any = Freed()

FRESH: Any = (None,) * 8
"""The `marks` of a node that saved only what had no storage yet."""
NUMBERS: Any = (None,) * 9
"""The same where inputs after the first are plain numbers. The two are told apart by identity."""


def without_history(origin: Trace) -> Untracked:
    """A copy of the record, array-free and without inputs; it says that at least one op behind it was let go."""
    copy = Untracked()
    copy.rare = copy.cause = None
    copy.id = copy.oldest = origin.id
    copy.row, copy.region, copy.static = origin.row, origin.region, origin.static
    copy.code, copy.lasti = origin.code, origin.lasti
    copy.shape, copy.array_type = origin.shape, origin.array_type
    copy.links = copy.needs = ()
    copy.flags = origin.flags & ~(HOOKED | STORED)
    copy.past = 0
    if origin.rare is not None:
        if "called" in origin.rare:
            copy.called = origin.called
        if origin.flags & SEVERAL:
            copy.more = origin.more
    if origin.links or origin.forgotten:
        copy.forgotten = origin.forgotten + bool(origin.links)
        copy.past = 1
    return copy
