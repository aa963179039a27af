"""The op table: one `Row` an op, with its forward, its derivatives and its own samples.

A row's derivative for an input is a function whose argument names say what it reads, and so what a node must keep:
the cotangent `g`, inputs and static arguments by their names in the row's signature, `out` for the result (`out1` for
the second of several), `shape` for the shape of the input that is being differentiated. Multiplying, for example,
keeps each factor for the other:

    mul = op("mul(x, y)", np.multiply, x=lambda g, y: g * y, y=lambda g, x: g * x)

A VJP need not undo broadcasting or casts: what it returns is summed to the input's shape and cast to its dtype.

What several VJPs need has a name under `shared`, by which they read it, and so may what follows it there. It is a
function like a VJP, and is run once a backward, if a VJP that is needed reads it:

    power = op("power(x, y)", np.power, shared={"slope": lambda g, x, y: g * x ** (y - 1)},
               x=lambda g, slope, y: slope * y, y=lambda g, slope, x: slope * x * np.log(x))
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

from gradviz.core.trace import Node


@dataclass(frozen=True, slots=True)
class Sample:
    """One call of a row's public function: positional and keyword arguments, arrays in place of tensors.

    `smooth` is false where the result has a kink or a tie at this point, so that central differences mean nothing.
    """

    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    smooth: bool = True


def sample(*args: Any, smooth: bool = True, **kwargs: Any) -> Sample:
    """A sample call: `sample(array, dim=0)`."""
    return Sample(args, kwargs, smooth)


Samples = Callable[[], Iterable[Sample]]
"""Makes a row's own samples; called by the tests only."""

T = TypeVar("T")

TABLE: dict[str, Row] = {}
"""Every row by its key."""


class Row:
    """One op.

    key         unique name in the table: the op's name, with a suffix where a name has several rows (`sum.dim`)
    name        the op as users call it
    inputs      names of the inputs; a last name with a star takes any number
    static      names of the other arguments
    node_name   PyTorch's name for the node
    vjps        for each input name its VJP; an input without one is not differentiable
    shared      by name what several VJPs read
    parts       for an input whose cotangent is zero but for one part, that of the result: from static arguments the
                part's key, at which a cotangent can be added to one that came before
    view        the result is a view of input 0's memory wherever numpy gives one
    several     each call gives a tuple of views, however many
    call        dotted name of the public function that runs the row, under `gradviz` and under `torch` alike
                (`sum`, `nn.functional.gelu`, `Tensor.view`, `operator.sub`)
    promotes    operands of different dtypes are brought to PyTorch's common one first
    cause       for an op that never has a derivative: what stops the gradient (`detach`, `item`)
    """

    def __init__(
        self,
        signature: str,
        forward: Callable[..., Any],
        *,
        node: str,
        key: str | None,
        call: str,
        vjps: dict[str, Callable[..., Any]],
        shared: dict[str, Callable[..., Any]] | None = None,
        parts: dict[str, Callable[..., Any]] | None = None,
        samples: Samples | None,
        view: bool,
        several: bool,
        promotes: bool,
        cause: Any,
        nondifferentiable_outputs: tuple[int, ...],
    ) -> None:
        self.name, self.inputs, self.variadic, self.static, self.defaults = parse(signature)
        self.key = key or self.name
        self.signature = signature
        self.forward = forward
        self.node_name = node or "".join(part.capitalize() for part in self.name.split("_")) + "Backward0"
        self.call = call or self.name
        self.samples = samples
        self.view = view
        self.several = several
        self.promotes = promotes
        self.cause = cause
        self.nondifferentiable_outputs = nondifferentiable_outputs
        self.vjps = vjps
        self.shared = shared or {}
        self.parts = parts or {}
        self.differentiable = bool(vjps)
        self.plural = several or bool(nondifferentiable_outputs)
        """Whether its forward gives a tuple."""
        self.runs: dict[int, Callable[..., Any]] = {}
        """Compiled: by number of inputs what runs the op on inputs and static arguments. `apply` fills it."""
        self.pull: Callable[..., None] | None = None
        """Compiled: what runs a node backwards. Made with the first of `runs`."""
        self.pull_paired: Callable[..., None] | None = None
        """The same for a node that has pairs for links, or several outputs."""
        unknown = set(vjps) - set(self.inputs)
        if unknown:
            raise TypeError(f"row `{self.key}` has a derivative for `{min(unknown)}`, which is not one of its inputs")
        self._check_shared()

    def _check_shared(self) -> None:
        late = {"shape", "shapes", "index", "outputs"}
        taken = {"g", "out", "out1", *late, *self.inputs, *self.static}
        missing = {*late, *self.shared}
        for name, function in self.shared.items():
            if name in taken:
                raise TypeError(f"row `{self.key}` has `{name}` under `shared`, which is the name of something else")
            for read in argument_names(function):
                if read in missing:
                    raise TypeError(f"`{name}` of row `{self.key}` reads `{read}`, which is not known before the VJPs")
            missing.discard(name)

    @functools.cached_property
    def formulas(self) -> tuple[tuple[Callable[..., Any], tuple[str, ...]] | None, ...]:
        """For each input its VJP and the names of what the VJP reads after `g`, or None."""
        return tuple(
            (self.vjps[name], argument_names(self.vjps[name])) if name in self.vjps else None for name in self.inputs
        )

    def shared_by(self, formulas: Iterable[Any]) -> list[tuple[str, tuple[Callable[..., Any], tuple[str, ...]]]]:
        """Of what is shared what these of the row's formulas need, in order: its name, function and what that reads."""
        read = {name for formula in formulas if formula is not None for name in self._behind(formula[1])}
        return [(name, (made, argument_names(made))) for name, made in self.shared.items() if name in read]

    def _behind(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """`names` and those that are read for what is shared among them, in the order in which they are read."""
        if not self.shared:
            return names
        found: dict[str, None] = {}
        left = list(reversed(names))
        while left:
            name = left.pop()
            found[name] = None
            if name in self.shared:
                left.extend(reversed(argument_names(self.shared[name])))
        return tuple(found)

    @functools.cached_property
    def reading_of(self) -> tuple[tuple[str, ...], ...]:
        """For each input the names of all that is read for its cotangent, in order."""
        return tuple(() if formula is None else self._behind(formula[1]) for formula in self.formulas)

    def formulas_of(self, count: int) -> tuple[tuple[Callable[..., Any], tuple[str, ...]] | None, ...]:
        """`formulas` for a call with `count` inputs: the last one again and again for a variadic row."""
        return _stretched(self.formulas, count)

    def reads_of(self, count: int) -> tuple[frozenset[str], ...]:
        """`reads` for a call with `count` inputs."""
        return _stretched(self.reads, count)

    @functools.cached_property
    def saved_names(self) -> tuple[str, ...]:
        """What a node of this row may keep, inputs in order, then the result."""
        read = {name for names in self.reading_of for name in names}
        return tuple(name for name in (*self.inputs, "out", "out1") if name in read)

    @functools.cached_property
    def reading_order(self) -> tuple[str, ...]:
        """`saved_names` in the order in which the VJPs read them, in which PyTorch unpacks them."""
        read = dict.fromkeys(name for names in self.reading_of for name in names)
        return tuple(name for name in read if name in self.saved_names)

    @functools.cached_property
    def reads(self) -> tuple[frozenset[str], ...]:
        """For each input, the names of the saved arrays that are read for its cotangent."""
        kept = set(self.saved_names)
        return tuple(frozenset(names) & kept for names in self.reading_of)

    @functools.cached_property
    def node_class(self) -> type[Node]:
        """The Node type of this row; its name is PyTorch's, without a C++ namespace."""
        members = {"__slots__": (), "__module__": "gradviz.core.trace", "full_name": self.node_name, "row": self}
        return type(self.node_name.rpartition("::")[2], (Node,), members)

    def __repr__(self) -> str:
        return f"<op {self.signature}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return TABLE.__getitem__, (self.key,)


def op(
    signature: str,
    forward: Callable[..., Any],
    *,
    node: str = "",
    key: str | None = None,
    call: str = "",
    samples: Samples | None = None,
    view: bool = False,
    several: bool = False,
    promotes: bool = False,
    cause: Any = None,
    nondifferentiable_outputs: tuple[int, ...] = (),
    shared: dict[str, Callable[..., Any]] | None = None,
    parts: dict[str, Callable[..., Any]] | None = None,
    **vjps: Callable[..., Any],
) -> Row:
    """Add a row to the table.

    signature: `name(x, y, *, dim=None)`: tensor inputs, then static arguments after the star.
    samples: makes sample calls of the public function, for the tests.
    forward: takes arrays (or Python numbers) for the inputs and the static arguments by position; returns an array, a
        numpy scalar or a tuple of these, never one of its inputs.
    Raises TypeError where the key is taken or a derivative names no input.
    """
    row = Row(
        signature,
        forward,
        node=node,
        key=key,
        call=call,
        vjps=vjps,
        shared=shared,
        parts=parts,
        samples=samples,
        view=view,
        several=several,
        promotes=promotes,
        cause=cause,
        nondifferentiable_outputs=nondifferentiable_outputs,
    )
    if row.key in TABLE:
        raise TypeError(f"the op table already has a row `{row.key}`")
    TABLE[row.key] = row
    return row


def parse(signature: str) -> tuple[str, tuple[str, ...], bool, tuple[str, ...], tuple[Any, ...]]:
    """Split `name(x, *rest, dim=0)` into name, inputs, whether the last takes any number, static names, defaults."""
    function = ast.parse(f"def {signature}: pass").body[0]
    assert isinstance(function, ast.FunctionDef)
    arguments = function.args
    inputs = [argument.arg for argument in arguments.args]
    if arguments.vararg is not None:
        inputs.append(arguments.vararg.arg)
    defaults = tuple(None if node is None else ast.literal_eval(node) for node in arguments.kw_defaults)
    static = tuple(argument.arg for argument in arguments.kwonlyargs)
    return function.name, tuple(inputs), arguments.vararg is not None, static, defaults


def _stretched(items: tuple[T, ...], count: int) -> tuple[T, ...]:
    if len(items) >= count:
        return items[:count]
    return items[:-1] + items[-1:] * (count - len(items) + 1)


def argument_names(function: Callable[..., Any], first: int = 1) -> tuple[str, ...]:
    """The names of a function's arguments, from number `first`."""
    code = function.__code__
    return code.co_varnames[first : code.co_argcount]
