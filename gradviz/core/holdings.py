"""Holdings: what modules and optimizers are to a recording: scopes, names of parameters, steps, and what they own.

It knows modules and optimizers by what they can be asked, so it needs neither `gradviz.nn` nor `gradviz.optim`.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterable, Iterator
from types import FrameType
from typing import TYPE_CHECKING, Any

from gradviz import events, walking
from gradviz.callees import callee
from gradviz.core.grad_mode import current
from gradviz.core.listeners import Deed
from gradviz.core.signatures import inputs_of
from gradviz.core.tensor import Tensor
from gradviz.core.trace import LATE, Trace, seen
from gradviz.events import Role
from gradviz.naming import name_values
from gradviz.rates import rate_text
from gradviz.sites import Spot, call_path, decode, is_user_file, user_frame
from gradviz.targets import single_target, unpacked_target
from gradviz.weakly import ByIdentity

if TYPE_CHECKING:
    from gradviz.core.emit import Emitter


class Here(threading.local):
    """Where the current thread is: the scopes of the modules that it runs, innermost last, and the last context.

    told    the region and the scope of that context, and its number
    """

    def __init__(self) -> None:
        self.scopes: list[str] = []
        self.told: tuple[Any, str, int] | None = None


class Holdings:
    """What one recording knows of modules and optimizers.

    A module that is called while no other one runs is a root: its scope is what the caller calls it, or its class.
    Those inside it are called by the path that leads there: `model.encoder.layer.3`.
    """

    def __init__(self, emitter: Emitter) -> None:
        self._emitter = emitter
        self.here = Here()
        self._scopes: ByIdentity[str] = ByIdentity()
        self._places: ByIdentity[tuple[Spot, ...]] = ByIdentity()
        self._optimizers: ByIdentity[int] = ByIdentity()
        self._count = 0
        self._paths: dict[int, tuple[Spot, ...]] = {}
        self._waiting: dict[int, tuple[str, Role | None]] = {}
        self._names: dict[int, tuple[weakref.ref[Tensor], str]] = {}
        self._named: set[int] = set()
        self._opened: ByIdentity[bool] = ByIdentity()

    @property
    def scope(self) -> str:
        """The scope of the innermost module that the current thread runs, or empty."""
        scopes = self.here.scopes
        return scopes[-1] if scopes else ""

    # ---- names

    def name(self, holder: Any, name: str) -> None:
        """Name what the module that the program calls `name` holds: parameters, buffers, plain attributes."""
        if not walking.is_module(holder):
            return
        for text, tensor, role in _values_of(holder, name):
            self.name_tensor(tensor, text, role)
        if holder in self._opened or name.endswith("()"):
            return
        self._opened[holder] = True
        attributes: dict[str, object] = {}
        for owner, part in walking.parts(holder, name):
            held = walking.attributes(part)
            attributes |= {f"{owner}.{key}": value for key, value in held.items() if not key.startswith("_")}
        name_values(attributes, self._emitter.name)

    def name_tensor(self, tensor: Tensor, name: str, role: Role | None = None) -> None:
        """Emit the name that a tensor has at the end of the recording; the first one counts."""
        value = self._value(tensor)
        if value is not None and value not in self._named:
            self._named.add(value)
            self._emitter._sink.emit(events.Name(value, name, role))
            grad = tensor._grad
            if isinstance(role, Role) and grad is not None:
                self.tell_name(grad, f"{name}.grad")

    def tell_name(self, tensor: Tensor, name: str, role: Role | None = None) -> None:
        """Emit a name of a tensor that was told of."""
        value = self._value(tensor)
        if value is not None:
            self._emitter.add(events.Name(value, name, role))

    def leaf_name(self, leaf: Tensor) -> str:
        """The name that a leaf had when it was first fed: later, an update in a loop may have called it `p`."""
        known = self._names.get(id(leaf))
        if known is None or known[0]() is not leaf:
            origin = leaf._origin
            target = ""
            if not origin.flags & LATE:
                target = decode(origin.code, origin.lasti).target
                if not target and hasattr(origin, "flagged"):
                    target = single_target(decode(*origin.flagged).target)
            self._keep_name(leaf, target)
            return target
        return known[1]

    def _keep_name(self, leaf: Tensor, name: str) -> None:
        key, names = id(leaf), self._names
        names[key] = weakref.ref(leaf, lambda _: names.pop(key, None)), name

    def path_of(self, step: Trace) -> tuple[Spot, ...]:
        """Where the program was when a library's module made a parameter; empty where that was not seen."""
        return self._paths.get(step.id, ())

    def told(self, step: Trace) -> None:
        """A parameter was told of that a library's module made: tell the name that it got meanwhile."""
        name = self._waiting.pop(step.id, None)
        if name is not None:
            self._emitter._sink.emit(events.Name(step.id, *name))

    def _value(self, tensor: Tensor) -> int | None:
        """The id of the value that a tensor is, None where it was not told of."""
        emitter = self._emitter
        origin, number = seen((tensor._origin, tensor._number), 1 << 62)
        assert origin is not None
        late = origin.id < emitter._began or origin.flags & LATE
        return origin.id + number if not late or origin.id + number in emitter._older else None

    def _values(self, tensors: Iterable[Tensor]) -> tuple[int, ...]:
        values = []
        for tensor in tensors:
            self._emitter._know(tensor)
            value = self._value(tensor)
            if value is not None:
                values.append(value)
        return tuple(values)

    # ---- what they do

    def take(self, deed: Deed, holder: Any, frame: FrameType, *more: Any) -> None:
        """Emit what a module or an optimizer did, called from `frame`."""
        match deed:
            case Deed.BORN:
                self._paths[holder._origin.id] = call_path(frame)
            case Deed.BUILT:
                self._places[holder] = call_path(_maker(type(holder), frame))
            case Deed.ENTERED:
                self._enter(holder, frame)
            case Deed.LEFT:
                del self.here.scopes[-1:]
                if is_user_file(frame.f_code.co_filename):
                    self._name_result(frame, more[0])
            case Deed.SWITCHED:
                self._act(more[0], _parameters(holder), frame)
            case Deed.ATTRIBUTE:
                owned = (holder,) if isinstance(holder, Tensor) else _parameters(holder)
                self._act("attribute", owned, frame, text=f"{more[0]} = {more[1]}")
            case Deed.SCALED:
                self._act("scale", (holder,), frame)
            case Deed.OWNS:
                self._own(holder, frame)
            case _:
                kind = _ACTS[deed]
                if hasattr(holder, "param_groups"):
                    number = self._optimizers.get(holder, None)
                    text = rate_text(kind, holder.param_groups)
                    self._act(kind, (), frame, self._own(holder, frame) if number is None else number, text)
                else:
                    self._act(kind, _parameters(holder), frame)

    def _enter(self, module: Any, frame: FrameType) -> None:
        scope = self._scopes.get(module, None)
        if scope is None:
            scope = self._find(module, frame)
        self.here.scopes.append(scope)

    def _find(self, module: Any, frame: FrameType) -> str:
        if self.here.scopes:
            for root, scope in list(self._scopes.items()):
                if any(inner is module and name for name, inner in walking.parts(root)):
                    return self._name_all(root, scope, module)
        found = callee(frame, module)
        scope = self._name_all(module, found.name or type(module).__name__, module)
        if found.around is not None:
            self._name_values(found.around, found.around_name)
        return scope

    def _name_all(self, root: Any, name: str, wanted: Any) -> str:
        """Give `root` and the modules in it their scopes; returns that of `wanted`."""
        emitter = self._emitter
        for scope, module in walking.parts(root, name):
            if module not in self._scopes:
                self._scopes[module] = scope
                path = self._places.get(module, ())
                if path:
                    site = emitter._interner.site(path, True)
                    emitter._sink.emit(events.Module(scope, type(module).__name__, site))
        self._name_values(root, name)
        return self._scopes[wanted]

    def _name_values(self, root: Any, name: str) -> None:
        """Name what a module holds that the program calls `name`, where it has no name but a method's `self.x`."""
        for text, tensor, role in _values_of(root, name):
            known = self.leaf_name(tensor)
            if not known or walking.is_own_name(known, text):
                self._name_held(tensor, text, role)
        for text, tensor in walking.plain_tensors(root, name, Tensor):
            if not inputs_of(tensor._origin) and walking.is_own_name(self.leaf_name(tensor), text):
                self._name_held(tensor, text)

    def _name_held(self, tensor: Tensor, name: str, role: Role | None = None) -> None:
        self._keep_name(tensor, name)
        value = self._value(tensor)
        if value is not None:
            self._emitter._sink.emit(events.Name(value, name, role))
        elif tensor._origin.flags & LATE:
            self._waiting[tensor._origin.id] = name, role

    def _name_result(self, frame: FrameType, result: Any) -> None:
        """What the user's code gets from a module goes by the name that it is assigned to."""
        target = self._emitter._interner.target(call_path(frame))
        if target:
            for part, name in _named(target, result):
                if name:
                    self.tell_name(part, name)

    def _own(self, optimizer: Any, frame: FrameType) -> int:
        emitter = self._emitter
        number = self._optimizers.get(optimizer, None)
        if number is None:
            number = self._optimizers[optimizer] = self._count
            self._count += 1
        values = self._values(tensor for group in optimizer.param_groups for tensor in group["params"])
        site = emitter._interner.site(call_path(_maker(type(optimizer), frame)))
        emitter._sink.emit(events.Optimizer(number, type(optimizer).__name__, values, site))
        return number

    def _act(
        self, kind: str, tensors: Iterable[Tensor], frame: FrameType, optimizer: int | None = None, text: str = ""
    ) -> None:
        emitter = self._emitter
        values = self._values(tensors)
        site = emitter._interner.site(call_path(frame), kind in ("eval", "train"))
        emitter.add(
            events.Act(kind, values, site, emitter._context_in(current()), optimizer, after=emitter._latest, text=text)
        )


_ACTS = {
    Deed.CLEARED: "zero_grad",
    Deed.STEPPED: "step",
    Deed.UNSCALED: "unscale",
    Deed.SCHEDULED: "schedule",
}


def _parameters(module: Any) -> list[Tensor]:
    return [tensor for _, tensor in walking.parameters(module)]


def _values_of(module: Any, name: str) -> Iterator[tuple[str, Tensor, Role]]:
    """The parameters and buffers of a module that the program calls `name`, each with its own name."""
    for text, parameter in walking.parameters(module, name):
        yield text, parameter, Role.PARAMETER
    for text, buffer in walking.buffers(module, name):
        yield text, buffer, Role.BUFFER


def _named(target: str, result: Any) -> Iterator[tuple[Tensor, str]]:
    """The tensors of a result, each with what it is assigned to: `out`, `h` and `c` of `out, (h, c) = ...`."""
    if isinstance(result, Tensor):
        yield result, single_target(target)
        return
    pending = [(result, target)]
    while pending:
        parts, targets = pending.pop()
        if not isinstance(parts, (tuple, list)):
            continue
        for index, part in enumerate(parts):
            name = unpacked_target(targets, index, len(parts))
            if isinstance(part, Tensor):
                yield part, name
            else:
                pending.append((part, name.strip("()[]") if name.startswith(("(", "[")) else name))


def _maker(kind: type, frame: FrameType) -> FrameType:
    """The frame that made an instance of `kind`, past the `__init__` of each of its classes, each of which ran once."""
    own = (getattr(vars(base).get("__init__"), "__code__", None) for base in kind.__mro__)
    inits = [code for code in own if code is not None]
    while frame.f_code in inits and frame.f_back is not None:
        inits.remove(frame.f_code)
        frame = frame.f_back
    return user_frame(frame)
