"""The waist: the records that every producer emits and every consumer reads.

A recording is a sequence of these records, in the order in which things happened. A producer (the numpy core, a
front end) emits them; `log` writes them one a line; `graphs` folds them into a `Graph`. This module imports the
standard library only, so a log can be read where neither numpy nor the recorded framework is installed.

Ids
    One counter numbers the values. A value is the result of exactly one op, so an op has no id of its own: `Op.id` is
    the id of its first output, its other outputs follow (`id + 1`, `id + 2`, ...), and an op without output (`item`)
    uses up one id. Ids grow in the order of creation within a thread. A leaf is the output of the op that made it
    (`tensor`, `randn`, ...), an op without inputs.

Interning
    What repeats is emitted once and referred to by number: a `Site`, a `Context`, and a `Signature` (all that two ops
    of the same kind share). An interned record always comes before the first record that refers to it.

Schema history
    1.0   first
    1.1   `Output.device`, `Sweep.concerned`; `Optimizer` and `Act`
    1.2   `Clock`; `Measure`; `Act.text`; `Module`, `Work` and `Statement`
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

SCHEMA = (1, 2)


class Cause(StrEnum):
    """Why gradient flow stops at an op that some gradient could have come to."""

    DETACH = "detach"
    DETACH_ = "detach_"
    DATA = "data"
    NO_GRAD = "no_grad"
    INFERENCE_MODE = "inference_mode"
    SET_GRAD_ENABLED = "set_grad_enabled"
    ITEM = "item"
    NUMPY = "numpy"
    RETENSOR = "retensor"
    INTEGER = "integer"
    NONDIFFERENTIABLE = "nondifferentiable"
    FROZEN = "frozen"
    CUSTOM_FUNCTION = "custom_function"


class Role(StrEnum):
    """What a value is to the user's program."""

    PARAMETER = "parameter"
    BUFFER = "buffer"
    INPUT = "input"
    CONSTANT = "constant"
    INTERMEDIATE = "intermediate"
    LOSS = "loss"


class Status(StrEnum):
    """How a recording ended."""

    FINISHED = "finished"
    RAISED = "raised"
    INTERRUPTED = "interrupted"
    EXITED = "exited"


@dataclass(frozen=True, slots=True)
class Header:
    """The first record. `producer` is "core", "torch", or both joined by "+"; `versions` maps package to version."""

    producer: str
    target: str = ""
    versions: tuple[tuple[str, str], ...] = ()
    schema: tuple[int, int] = SCHEMA


@dataclass(frozen=True, slots=True)
class Site:
    """Where in the user's source something was done.

    Lines count from 1, columns from 0, in characters, `end_column` exclusive; 0 lines and -1 columns mean unknown.
    `file` is relative to the working directory when it lies below it. `target` is the variable the result was assigned
    to, as written (`y`, `self.h`, or `a, b` for an unpacked tuple), or empty. `text` is the first source line, without
    its newline, cut to 200 characters. `caller` is the id of the site that called `function`, so one line reached by
    two roads is two sites.
    """

    id: int
    file: str
    line: int
    end_line: int = 0
    column: int = -1
    end_column: int = -1
    function: str = "<module>"
    target: str = ""
    text: str = ""
    caller: int | None = None


@dataclass(frozen=True, slots=True)
class Output:
    """One result of an op: shape, dtype (`float32`), size in bytes, what autograd holds of it at birth, its device."""

    shape: tuple[int, ...]
    dtype: str
    nbytes: int
    requires_grad: bool = False
    leaf: bool = True
    device: str = "cpu"


@dataclass(frozen=True, slots=True)
class Saved:
    """A tensor that a node keeps for its backward: PyTorch's attribute name without `_saved_`, shape, dtype, bytes.

    `source` is the position of the input that was kept, or -1 - k for the op's k-th output, or None for neither. In
    place of a dtype stands `freed` where the tensor was let go before anybody looked, and `packed` where a hook made
    something else of it; such a record has no shape and no bytes.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    nbytes: int
    source: int | None = None

    @property
    def is_gone(self) -> bool:
        """No tensor is there to tell of: `dtype` says why."""
        return self.dtype in ("freed", "packed")


@dataclass(frozen=True, slots=True)
class Signature:
    """All that two ops of the same kind share.

    name        the op as the user calls it: `mul`, `sum`, `detach`, `tensor`
    node        the autograd node's name (`MulBackward0`), empty where no node exists
    tracked     autograd recorded the op
    cause       why it did not, where an input required grad; None otherwise
    needs       for each input, whether it required grad when the op ran. In a tracked op these are the gradient edges
    outputs     its results, possibly none
    alias       position of the input whose storage the first output shares, or None
    inplace     the first output is input `alias` one version later
    saved       what its node keeps
    attrs       static arguments, name and text, in the order of the op's parameters (`dim=0`)
    """

    id: int
    name: str
    node: str = ""
    tracked: bool = False
    cause: Cause | None = None
    needs: tuple[bool, ...] = ()
    outputs: tuple[Output, ...] = ()
    alias: int | None = None
    inplace: bool = False
    saved: tuple[Saved, ...] = ()
    attrs: tuple[tuple[str, str], ...] = ()


BACKWARD = "backward"
"""The kind of the region that a sweep opens for what runs while it does."""

CHECKPOINT = "checkpoint"
"""The name of the op that a reentrant checkpoint is; what its function uses besides its arguments is an input, too."""

COVERAGE = "coverage"
"""The kind of the note that says how much of what autograd keeps was recorded."""

CHECK = "check"
"""The name of an op without outputs by which a library asked a tensor for a truth value of its own."""


@dataclass(frozen=True, slots=True)
class Region:
    """A grad-mode switch takes effect: `kind` as the user wrote it, `enabled` the grad mode inside.

    What the engine calls of the user's (hooks, the backward of custom functions, recomputation) runs in a region of the
    kind `BACKWARD`, opened at the sweep. Nobody switched grad mode off there, so ops in it count as neither cut nor
    skipped.

    `parent` is the region around it on the same thread, `site` the opener's.
    """

    id: int
    kind: str
    enabled: bool
    site: int | None = None
    thread: int = 0
    parent: int | None = None


@dataclass(frozen=True, slots=True)
class RegionEnd:
    """The switch of region `id` is undone."""

    id: int


@dataclass(frozen=True, slots=True)
class Context:
    """Where an op ran: thread (0 is the main one, others count up as first seen), module scope, innermost region."""

    id: int
    thread: int = 0
    scope: str = ""
    region: int | None = None


Input: TypeAlias = int | str
"""A value's id, or the literal text of a plain Python argument (`2`, `0.1`)."""


@dataclass(frozen=True, slots=True)
class Op:
    """One operation that was run. `id` is its first output's; `inputs` are by argument position.

    `forgotten` counts the ops behind this one that were let go before the recording saw them.
    """

    id: int
    signature: int
    site: int | None
    context: int
    inputs: tuple[Input, ...] = ()
    forgotten: int = 0


@dataclass(frozen=True, slots=True)
class Name:
    """The name under which the user's program holds a value, and what the value is to it where that is known."""

    value: int
    name: str
    role: Role | None = None


@dataclass(frozen=True, slots=True)
class RequiresGrad:
    """The `requires_grad` flag of a leaf was set after its birth."""

    value: int
    requires_grad: bool
    site: int | None = None


@dataclass(frozen=True, slots=True)
class Optimizer:
    """An optimizer owns `values`: made at `site`, or given more, in which case it is told of again with all of them."""

    id: int
    kind: str
    values: tuple[int, ...]
    site: int | None = None


@dataclass(frozen=True, slots=True)
class Act:
    """Something that the program did with values and that is no op.

    kind       `step`, `zero_grad`, `read_grad`, `write_grad`, `hook`, `retain_grad`; `clip` of a leaf that had no
               gradient; `miss_grad`, read of data, which requires none; `scale` and `unscale` by a scaler; `schedule`,
               given to an optimizer; `eval` and `train` of a module; `attribute`, set on a module or tensor where it
               means nothing to PyTorch; `watched`, alive at the end although the program only holds a weak reference;
               `set_data` of a leaf: the next op of that name gives what takes its place
    values     the values concerned: those that an optimizer owns, the parameters of a module, or the tensor
    optimizer  the optimizer that did it, or None
    after      the last id that was in use when it happened, so that it has a place in the order of ops
    text       what was written: `requires_grad = False` for an attribute, `refs[0]()` for a weak reference; `lr = 0`
               for a step whose learning rate is zero, and for a schedule that begins from such a rate; the name of
               the function that is a hook
    """

    kind: str
    values: tuple[int, ...] = ()
    site: int | None = None
    context: int = 0
    optimizer: int | None = None
    after: int = 0
    text: str = ""


@dataclass(frozen=True, slots=True)
class Module:
    """The module that runs as `scope` is a `kind` (`ReLU`), and was made at `site`."""

    scope: str
    kind: str
    site: int | None = None


@dataclass(frozen=True, slots=True)
class Work:
    """What `thread` does from here on was handed to it at `site`, inside `region`, which is another thread's.

    Grad mode does not follow. A record without a region ends what the one before it says. `after` is the last id that
    was in use.
    """

    thread: int
    site: int | None = None
    region: int | None = None
    after: int = 0


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement of the user's source, told when the recording ends, where a reader may want to point at it.

    kind     `branch`, a test that decides whether lines run; `return`, of a function; `fill`, which puts things into a
             container; `carry`, which computes with numbers that were taken out of tensors, and runs no op; `hold`,
             by which an `__init__` gives an attribute the list or dict that a variable held
    site     where it stands; only for a `return` and a `carry` does the site tell its function
    first    the first line that it speaks for: of the branch, of the function, or its own
    last     the last such line
    target   the container, as written: `self.items`; the variable that is computed
    names    the plain names in it, in order: what a `return` gives back, what is put into the container, what is
             computed with
    """

    kind: str
    site: int
    first: int
    last: int
    target: str = ""
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Gradient:
    """What a sweep did to one leaf: the 2-norm of `.grad` afterwards, and whether that is all zero or holds a NaN.

    `estimated` says that only a part of a large gradient was looked at: its norm is scaled up, its NaNs may be unseen.
    """

    value: int
    norm: float
    zero: bool = False
    nan: bool = False
    estimated: bool = False

    def __eq__(self, other: object) -> bool:
        """Equal in every field, where one NaN is as good as another: a norm read from a log equals the one written."""
        if not isinstance(other, Gradient):
            return NotImplemented
        same_norm = self.norm == other.norm or (self.norm != self.norm and other.norm != other.norm)
        ours = (self.value, self.zero, self.nan, self.estimated)
        return same_norm and ours == (other.value, other.zero, other.nan, other.estimated)


@dataclass(frozen=True, slots=True)
class Sweep:
    """One run of `backward()` (`kind` "backward") or `autograd.grad()` ("grad").

    roots       the values it started from
    inputs      the only values it was asked for, or None for every leaf
    gradients   what each leaf that it reached got
    freed       saved tensors were let go (`retain_graph` false)
    error       the text of the exception that ended it, or empty
    concerned   the values that the error is about: what a node saved and what was written over it, or what is freed
    """

    id: int
    kind: str
    roots: tuple[int, ...]
    site: int | None = None
    context: int = 0
    inputs: tuple[int, ...] | None = None
    gradients: tuple[Gradient, ...] = ()
    freed: bool = True
    create_graph: bool = False
    error: str = ""
    concerned: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Clock:
    """Time that passed, in a recording that was asked for times: none of them is the same twice.

    nanoseconds   of real time: from the event before on the same thread to each op told in `context`, added up. Records
                  of one context add up in their turn
    sweep         the sweep that took it, or None
    optimizer     the optimizer whose steps took it, or None
    """

    context: int
    nanoseconds: int
    sweep: int | None = None
    optimizer: int | None = None


@dataclass(frozen=True, slots=True)
class Measure:
    """What numbers a value holds when it is born, in a recording that was asked for values.

    zeros, nans, infs       how many of its elements are that
    low, high, mean, norm   of the elements that are finite: the least, the greatest, the mean, the 2-norm; all 0 where
                            none is. Of complex numbers they are those of the magnitudes

    A value without elements has no measure, nor has one whose numbers could not be looked at.
    """

    value: int
    zeros: int = 0
    nans: int = 0
    infs: int = 0
    low: float = 0.0
    high: float = 0.0
    mean: float = 0.0
    norm: float = 0.0


@dataclass(frozen=True, slots=True)
class Error:
    """An exception ended the user's program. `values` are the values concerned, where they are known."""

    type: str
    message: str
    site: int | None = None
    values: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Note:
    """Something that the reader must know about the recording itself: `unrecorded`, `failure`, `truncated`, ..."""

    kind: str
    text: str
    count: int = 1


@dataclass(frozen=True, slots=True)
class End:
    """The last record: how it ended, and the exit status of the script."""

    status: Status = Status.FINISHED
    exit_code: int = 0


Event: TypeAlias = (
    Header
    | Site
    | Signature
    | Region
    | RegionEnd
    | Context
    | Op
    | Name
    | RequiresGrad
    | Optimizer
    | Act
    | Module
    | Work
    | Statement
    | Sweep
    | Clock
    | Measure
    | Error
    | Note
    | End
)
