"""`Parameter`: a leaf that a module registers when it is assigned to an attribute; `born` makes those of layers."""

from __future__ import annotations

import sys
from types import FrameType
from typing import Any

import numpy as np

from gradviz.core.apply import apply, source, wrap
from gradviz.core.composites import tell
from gradviz.core.listeners import Deed, listeners
from gradviz.core.ops.table import TABLE, Row, op
from gradviz.core.tensor import FIELDS, Tensor
from gradviz.core.trace import INNER, LATE, LEAF_GRAD, Trace
from gradviz.events import Cause
from gradviz.sites import is_user_file, user_frame

SOURCE = op("Parameter()", lambda: None, key="Parameter")
RETENSOR = op("Parameter(x)", np.array, key="Parameter.tensor", cause=Cause.RETENSOR)


class _Misspelt:
    """An attribute that looks like `requires_grad` and means nothing: it is kept, and told of."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, parameter: Any, kind: type) -> Any:
        try:
            return vars(parameter)[self._name]
        except (KeyError, TypeError):
            raise AttributeError(f"'{kind.__name__}' object has no attribute '{self._name}'") from None

    def __set__(self, parameter: Parameter, value: Any) -> None:
        vars(parameter)[self._name] = value
        for listener in tuple(listeners) if isinstance(value, bool) else ():
            listener.held(Deed.ATTRIBUTE, parameter, sys._getframe(1), self._name, value)


class Parameter(Tensor):
    """A tensor that requires grad and that is a module's: assigning it to an attribute of a module registers it.

    data: its values, whose memory it shares; by default none. requires_grad: False for a frozen one.
    """

    __slots__ = ()

    require_grad = _Misspelt()
    require_grads = _Misspelt()
    required_grad = _Misspelt()
    requires_grads = _Misspelt()
    requires_gradient = _Misspelt()

    def __new__(cls, data: Tensor | None = None, requires_grad: bool = True) -> Parameter:
        if data is None:
            made = wrap(np.zeros(0, np.float32), _source(np.zeros(0, np.float32), sys._getframe(1)), 0, requires_grad)
        elif not isinstance(data, Tensor):
            raise TypeError(f"_make_subclass(): argument 'data' (position 1) must be Tensor, not {type(data).__name__}")
        elif requires_grad and data._data.dtype.kind != "f":
            raise RuntimeError("Only Tensors of floating point and complex dtype can require gradients")
        elif data.requires_grad:
            copy = apply(RETENSOR, (data,))
            made = wrap(data._array(), copy._origin, 0, requires_grad)
        else:
            array = data._array()
            made = wrap(array, _source(array, sys._getframe(1)), 0, requires_grad)
        if data is not None:
            made._storage = data._storage
        if requires_grad:
            made._origin.flags |= LEAF_GRAD
        return _told(_as(cls, made), sys._getframe(1))  # type: ignore[return-value]

    def __init__(self, data: Tensor | None = None, requires_grad: bool = True) -> None:
        pass

    def __repr__(self) -> str:
        return "Parameter containing:\n" + super().__repr__()

    def __deepcopy__(self, memo: dict[int, Any]) -> Parameter:
        known = memo.get(id(self))
        if known is None:
            known = memo[id(self)] = born(np.array(self._data), self._requires_grad, type(self))
        return known  # type: ignore[no-any-return]

    def __reduce__(self) -> tuple[Any, ...]:
        return born, (self._data, self._requires_grad, type(self)), vars(self) or None


class Buffer(Tensor):
    """A tensor that a module registers as a buffer when it is assigned to an attribute.

    persistent: it is part of the module's `state_dict`.
    """

    __slots__ = ()

    persistent: bool

    def __new__(cls, data: Tensor | None = None, *, persistent: bool = True) -> Buffer:
        found = born(np.zeros(0, np.float32), False) if data is None else data
        made = wrap(found._array(), found._origin, found._number, found._requires_grad)
        made._storage = found._storage
        twin: Any = _as(cls, made)
        twin.persistent = persistent
        return twin  # type: ignore[no-any-return]

    def __init__(self, data: Tensor | None = None, *, persistent: bool = True) -> None:
        pass


def born(
    array: Any, requires_grad: bool = True, kind: type[Tensor] = Parameter, row: Row = SOURCE
) -> Any:
    """A parameter, or a tensor of another kind, around an array that nobody else holds, made for the user."""
    array = np.asarray(array)
    made = wrap(array, _source(array, sys._getframe(1), row), 0, requires_grad)
    if requires_grad:
        made._origin.flags |= LEAF_GRAD
    if kind is not Tensor:
        made = _as(kind, made)
    return _put_off(made, sys._getframe(1))


def shared(tensor: Tensor) -> Tensor:
    """`tensor` without its history, on the same memory, as `state_dict` gives it."""
    twin = wrap(tensor._array(), _source(tensor._data, sys._getframe(1), TABLE["tensor"]), 0, False)
    twin._storage = tensor._storage
    return _put_off(twin, sys._getframe(1))


def fill(tensor: Tensor, values: Any) -> Tensor:
    """Overwrite the elements of a tensor for its user: no op, and no history."""
    tensor._array()[...] = values
    if tensor._storage.version is not None:
        tensor._storage.version += 1
    return tensor


def _as(kind: type[Tensor], made: Tensor) -> Tensor:
    """`made`, which nobody else holds, as one of `kind`."""
    twin = Tensor.__new__(kind)
    for name in FIELDS:
        setattr(twin, name, getattr(made, name))
    return twin


def _source(array: Any, frame: FrameType, row: Row = SOURCE) -> Trace:
    return source(row, array, user_frame(frame))


def _told(made: Tensor, frame: FrameType) -> Tensor:
    """Tell of a parameter that the user's own code made; one that a library made is told of when it is used."""
    step = made._origin
    if step.row is not SOURCE:
        return made
    if is_user_file(frame.f_code.co_filename):
        if listeners:
            tell(step, frame, made._data)
        return made
    return _put_off(made, frame)


def _put_off(made: Tensor, frame: FrameType) -> Tensor:
    made._origin.flags |= LATE | INNER
    for listener in tuple(listeners):
        listener.held(Deed.BORN, made, frame)
    return made
