"""Builds small recordings by hand, so that a test can have a graph without any producer.

    b = Builder()
    x = b.leaf("x", (3,), requires_grad=True, line=4)
    y = b.op("mul", x, "2", name="y", line=5)
    with b.region("no_grad", line=8):
        z = b.op("add", x, y, name="z", line=9)
    d = b.detach(x, name="d", line=10)
    b.sweep(y)
    graph = b.graph()

Every method that makes a value returns its id. What autograd would do (tracked or not, why not, which inputs needed a
gradient) is derived from the flags of the inputs and the regions that are open; `cause`, `tracked` and `requires_grad`
override it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from gradviz.events import (
    Act,
    Cause,
    Context,
    End,
    Error,
    Event,
    Gradient,
    Header,
    Input,
    Measure,
    Name,
    Note,
    Op,
    Optimizer,
    Output,
    Region,
    RegionEnd,
    RequiresGrad,
    Role,
    Saved,
    Signature,
    Site,
    Status,
    Sweep,
)
from gradviz.graphs import Graph

_ITEM_BYTES = {"float16": 2, "float32": 4, "float64": 8, "int64": 8, "int32": 4, "bool": 1}
_NODE_NAMES = {"matmul": "MmBackward0", "linear": "AddmmBackward0", "cross_entropy": "NllLossBackward0"}
_CHANGING_REGIONS = {"no_grad": False, "inference_mode": False, "enable_grad": True}


class Builder:
    """A recording in the making; `file` is the script that every line number refers to."""

    def __init__(self, file: str = "script.py", producer: str = "core") -> None:
        self.file = file
        self.thread = 0
        self.scope = ""
        self.function = "<module>"
        self._events: list[Event] = [Header(producer, target=file)]
        self._interned: dict[Event, int] = {}
        self._outputs: dict[int, Output] = {}
        self._regions: list[Region] = []
        self._next = 1
        self._counts = {"region": 0, "sweep": 0}

    # values

    def leaf(
        self,
        name: str = "",
        shape: Sequence[int] = (),
        *,
        requires_grad: bool = False,
        line: int = 0,
        op: str = "tensor",
        dtype: str = "float32",
        role: Role | None = None,
    ) -> int:
        """A leaf made from nothing, as `tensor(...)` makes it; `role` is told by a Name event."""
        value = self._emit(op, (), (self._output(shape, dtype, requires_grad, True),), name=name, line=line)
        if role is not None:
            self.name(value, name, role)
        return value

    def op(
        self,
        op: str,
        *inputs: Input,
        name: str = "",
        line: int = 0,
        shape: Sequence[int] | None = None,
        dtype: str | None = None,
        outputs: int = 1,
        cause: Cause | None = None,
        tracked: bool | None = None,
        requires_grad: bool | None = None,
        leaf: bool | None = None,
        alias: int | None = None,
        inplace: bool = False,
        saved: Sequence[Saved] = (),
        attrs: Sequence[tuple[str, str]] = (),
        node: str | None = None,
        caller: int | None = None,
        forgotten: int = 0,
    ) -> int:
        """An op on values and literals; its outputs are as the first value among the inputs unless told otherwise.

        Returns the id of the first output; the others follow it. With `outputs=0` the id names the op alone.
        """
        first = next((self._outputs[item] for item in inputs if isinstance(item, int)), None)
        needs = tuple(isinstance(item, int) and self._outputs[item].requires_grad for item in inputs)
        if tracked is None:
            if any(needs) and cause is None:
                cause = self._cause_of_mode()
            tracked = any(needs) and cause is None
        if not any(needs) or tracked:
            cause = None
        if requires_grad is None:
            keeps = inplace and alias is not None and cause in _MODES
            requires_grad = needs[alias or 0] if keeps else tracked
            leaf = self._outputs[int(inputs[alias or 0])].leaf if keeps and leaf is None else leaf
        result = self._output(
            (first.shape if first else ()) if shape is None else shape,
            (first.dtype if first else "float32") if dtype is None else dtype,
            requires_grad,
            not tracked if leaf is None else leaf,
        )
        if node is None:
            node = _NODE_NAMES.get(op, op.strip("_").title().replace("_", "") + "Backward0") if tracked else ""
        return self._emit(
            op, inputs, (result,) * outputs, name=name, line=line, node=node, tracked=tracked, cause=cause, needs=needs,
            alias=alias, inplace=inplace, saved=tuple(saved), attrs=tuple(attrs), caller=caller, forgotten=forgotten,
        )

    def measure(self, value: int, **told: float) -> None:
        """What numbers `value` holds, by the fields of a Measure."""
        self._events.append(Measure(value, **told))  # type: ignore[arg-type]

    def detach(self, value: int, *, name: str = "", line: int = 0) -> int:
        """`value.detach()`: the same storage, no road for a gradient."""
        return self.op("detach", value, name=name, line=line, cause=Cause.DETACH, alias=0)

    def item(self, value: int, *, name: str = "", line: int = 0) -> int:
        """`value.item()`: the data leaves for Python. Returns the op's id; it has no output."""
        return self.op("item", value, name=name, line=line, cause=Cause.ITEM, outputs=0)

    def numpy(self, value: int, *, name: str = "", line: int = 0) -> int:
        """`value.numpy()`: the data leaves for numpy. Returns the op's id; it has no output."""
        return self.op("numpy", value, name=name, line=line, cause=Cause.NUMPY, outputs=0)

    def inplace(self, op: str, value: int, *inputs: Input, name: str = "", line: int = 0) -> int:
        """`value.op_(*inputs)`: returns the id of the next version of `value`."""
        return self.op(op, value, *inputs, name=name, line=line, alias=0, inplace=True)

    def view(self, op: str, value: int, *, name: str = "", line: int = 0, shape: Sequence[int] | None = None) -> int:
        """A view of `value`, in the same storage."""
        return self.op(op, value, name=name, line=line, alias=0, shape=shape)

    # what surrounds the values

    @contextmanager
    def region(self, kind: str, *, line: int = 0, enabled: bool | None = None, close: bool = True) -> Iterator[int]:
        """Grad mode as `kind` sets it, for the ops made inside; yields the region's id."""
        if enabled is None:
            enabled = _CHANGING_REGIONS.get(kind, kind == "set_grad_enabled(True)")
        self._counts["region"] += 1
        site = self.site(line, text=f"with {kind}():") if line else None
        parent = self._regions[-1].id if self._regions else None
        region = Region(self._counts["region"], kind, enabled, site, self.thread, parent)
        self._events.append(region)
        self._regions.append(region)
        try:
            yield region.id
        finally:
            self._regions.pop()
            if close:
                self._events.append(RegionEnd(region.id))

    def sweep(
        self,
        *roots: int,
        line: int = 0,
        kind: str = "backward",
        gradients: Sequence[Gradient] = (),
        inputs: Sequence[int] | None = None,
        freed: bool = True,
        create_graph: bool = False,
        error: str = "",
        concerned: Sequence[int] = (),
    ) -> int:
        """One `backward()` from `roots`. Returns the sweep's id."""
        self._counts["sweep"] += 1
        site = self.site(line) if line else None
        id, asked = self._counts["sweep"], None if inputs is None else tuple(inputs)
        self._events.append(
            Sweep(
                id, kind, roots, site, self._context(), asked, tuple(gradients), freed, create_graph, error,
                tuple(concerned),
            )
        )
        return id

    def optimizer(self, *values: int, kind: str = "SGD", line: int = 0) -> int:
        """An optimizer that owns `values`. Returns its id."""
        id = self._counts["optimizer"] = self._counts.get("optimizer", -1) + 1
        self._events.append(Optimizer(id, kind, values, self.site(line) if line else None))
        return id

    def act(
        self, kind: str, *values: int, optimizer: int | None = None, line: int = 0, text: str = "", source: str = ""
    ) -> None:
        """Something done with values that is no op: `step`, `zero_grad`, `read_grad`, ..., at a line of this source."""
        site = self.site(line, text=source) if line else None
        self._events.append(Act(kind, values, site, self._context(), optimizer, self._next - 1, text))

    def name(self, value: int, name: str, role: Role | None = None) -> None:
        """The program holds `value` under `name`."""
        self._events.append(Name(value, name, role))

    def set_requires_grad(self, value: int, flag: bool, *, line: int = 0) -> None:
        """`value.requires_grad_(flag)` on a leaf."""
        old = self._outputs[value]
        self._outputs[value] = Output(old.shape, old.dtype, old.nbytes, flag, old.leaf)
        self._events.append(RequiresGrad(value, flag, self.site(line) if line else None))

    def error(self, type: str, message: str, *values: int, line: int = 0, source: str = "") -> None:
        """An exception ends the program, at a line of this source."""
        self._events.append(Error(type, message, self.site(line, text=source) if line else None, values))

    def note(self, kind: str, text: str, count: int = 1) -> None:
        """Something to be said about the recording."""
        self._events.append(Note(kind, text, count))

    def site(self, line: int, *, target: str = "", text: str = "", caller: int | None = None) -> int:
        """The id of the site at `line`, emitted when it is first asked for."""
        place = Site(0, self.file, line, line, 0, 10, self.function, target=target, text=text, caller=caller)
        return self._intern(place)

    # results

    def events(self, status: Status | None = Status.FINISHED, exit_code: int = 0) -> list[Event]:
        """The recording as it stands, ended with `status`, or without an end for None."""
        return [*self._events, *([] if status is None else [End(status, exit_code)])]

    def graph(self, status: Status | None = Status.FINISHED) -> Graph:
        """The graph of `events(status)`."""
        return Graph.build(self.events(status))

    def _output(self, shape: Sequence[int], dtype: str, requires_grad: bool, leaf: bool) -> Output:
        count = 1
        for extent in shape:
            count *= extent
        return Output(tuple(shape), dtype, count * _ITEM_BYTES.get(dtype, 4), requires_grad, leaf)

    def _cause_of_mode(self) -> Cause | None:
        """Why nothing is tracked where the next op runs, or None where grad mode is on."""
        if any(region.kind == "inference_mode" for region in self._regions):
            return Cause.INFERENCE_MODE
        if not self._regions or self._regions[-1].enabled:
            return None
        kind = self._regions[-1].kind.partition("(")[0]
        return Cause(kind) if kind in list(Cause) else Cause.NO_GRAD

    def _context(self) -> int:
        region = self._regions[-1].id if self._regions else None
        return self._intern(Context(0, self.thread, self.scope, region))

    def _intern(self, record: Site | Context | Signature) -> int:
        """The id of what equals `record` but for its id, which counts up for each kind from 0."""
        if record not in self._interned:
            kind = type(record).__name__
            id = self._counts.get(kind, 0)
            self._counts[kind] = id + 1
            self._interned[record] = id
            self._events.append(replace(record, id=id))
        return self._interned[record]

    def _emit(
        self, op: str, inputs: tuple[Input, ...], outputs: tuple[Output, ...], *, name: str, line: int,
        node: str = "", tracked: bool = False, cause: Cause | None = None, needs: tuple[bool, ...] = (),
        alias: int | None = None, inplace: bool = False, saved: tuple[Saved, ...] = (),
        attrs: tuple[tuple[str, str], ...] = (), caller: int | None = None, forgotten: int = 0,
    ) -> int:
        signature = self._intern(
            Signature(0, op, node, tracked, cause, needs, outputs, alias, inplace, saved, attrs)
        )
        known = bool(line or name)
        text = f"{name} = {op}(...)" if name else f"{op}(...)"
        site = self.site(line, target=name, text=text, caller=caller) if known else None
        id = self._next
        self._next += max(1, len(outputs))
        self._events.append(Op(id, signature, site, self._context(), inputs, forgotten))
        for index, output in enumerate(outputs):
            self._outputs[id + index] = output
        return id


_MODES = (Cause.NO_GRAD, Cause.INFERENCE_MODE, Cause.SET_GRAD_ENABLED)
