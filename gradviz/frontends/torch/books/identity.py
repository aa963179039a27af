"""Identity: which value a tensor is at present, without keeping any tensor alive."""

from __future__ import annotations

import threading
import weakref
from typing import Any

import torch

from gradviz.frontends.torch.autograd.nodes import type_of


class Known(weakref.ref):  # type: ignore[type-arg]
    """What the recording knows of one tensor object; it goes when the tensor goes.

    value    id of the value that the tensor is at present; 0 for a source that is told of when it is first used
    birth    for such a source, what to tell
    kind     number of its shape, dtype and device in `Kinds`
    version  the version counter's state when that value was born; -1 where there is none
    target   the name that a leaf was assigned to at its birth, or empty
    base     for a view, what is known of the tensor that it is a view of
    """

    __slots__ = ("base", "birth", "kind", "target", "tensor_id", "value", "version")
    __hash__ = object.__hash__

    def __getattr__(self, name: str) -> Any:
        """What was never set: few tensors have a version, a target or a birth that is to be known."""
        try:
            return _UNSET[name]
        except KeyError:
            raise AttributeError(name) from None

    tensor_id: int
    value: int
    kind: int
    version: int
    target: str
    base: Known | None
    birth: tuple[Any, ...]

    def __eq__(self, other: object) -> bool:
        return self is other


_UNSET = {"version": -1, "target": "", "birth": ()}


class Tensors(dict[int, Known]):
    """All tensors that are alive and known, by `id(tensor)`."""

    def __init__(self) -> None:
        super().__init__()
        pop = self.pop

        def forget(known: Known) -> None:
            # Called before the tensor's memory is given back, so its `id` cannot have been taken by another one yet.
            pop(known.tensor_id, None)

        self.forget = forget

    def learn(self, tensor: torch.Tensor, value: int, kind: int) -> Known:
        """Take note that `tensor` is `value`, in place of what was known of it before."""
        known = Known(tensor, self.forget)
        known.tensor_id = place = id(tensor)
        known.value = value
        known.kind = kind
        known.base = None
        self[place] = known
        return known


class Kinds:
    """Numbers, from 1, for what two tensors of the same shape, dtype and device share."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._numbers: dict[Any, int] = {}
        self.types: list[tuple[tuple[int, ...], str, int, str]] = [((), "", 0, "")]

    def of(self, tensor: torch.Tensor) -> int:
        """The number for `tensor`."""
        try:
            key: Any = (tensor.shape, tensor.dtype, tensor.device)
            number = self._numbers.get(key)
        except RuntimeError:  # a nested tensor has no shape
            key = (None, tensor.dtype, tensor.device)
            number = self._numbers.get(key)
        if number is None:
            with self._lock:
                number = self._numbers.get(key)
                if number is None:
                    self.types.append((*type_of(tensor), str(tensor.device)))
                    number = self._numbers[key] = len(self.types) - 1
        return number


def version_of(tensor: torch.Tensor) -> int:
    """The version counter, or -1 where there is none: inference tensors have none."""
    try:
        return tensor._version
    except RuntimeError:
        return -1


def tensors_in(result: Any) -> list[torch.Tensor]:
    """The tensors in tuples, lists and dicts, however deep, in order."""
    found: list[torch.Tensor] = []
    pending = [result]
    while pending:
        item = pending.pop()
        if isinstance(item, torch.Tensor):
            found.append(item)
        elif isinstance(item, (tuple, list)):
            pending.extend(reversed(item))
        elif isinstance(item, dict):
            pending.extend(reversed(list(item.values())))
    return found
