"""State: a module's parameters and buffers as a dictionary, and how they are loaded from one."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np

from gradviz.core.tensor import Tensor
from gradviz.nn.parameter import Parameter, shared

if TYPE_CHECKING:
    from gradviz.nn.module import Module


class IncompatibleKeys(NamedTuple):
    """What `load_state_dict` did not find, and what it had no place for."""

    missing_keys: list[str]
    unexpected_keys: list[str]

    def __repr__(self) -> str:
        if not self.missing_keys and not self.unexpected_keys:
            return "<All keys matched successfully>"
        return f"_IncompatibleKeys(missing_keys={self.missing_keys}, unexpected_keys={self.unexpected_keys})"

    def __str__(self) -> str:
        return repr(self)


class State:
    """The part of `Module` that saves and loads."""

    def state_dict(
        self, *, destination: dict[str, Any] | None = None, prefix: str = "", keep_vars: bool = False
    ) -> dict[str, Any]:
        """The parameters and persistent buffers by name. They share the module's memory, without its history.

        destination: a dictionary to fill. prefix: put before every name. keep_vars: the tensors themselves.
        """
        found: dict[str, Any] = OrderedDict() if destination is None else destination
        for name, tensor in _persistent(cast("Module", self), prefix):
            found[name] = tensor if keep_vars else shared(tensor)
        return found

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> IncompatibleKeys:
        """Overwrite the parameters and persistent buffers with those of `state_dict`.

        strict: every name must be on both sides. assign: take the tensors themselves. Raises RuntimeError, with all
        that is wrong, after what fits was loaded.
        """
        if not isinstance(state_dict, Mapping):
            raise TypeError(f"Expected state_dict to be dict-like, got {type(state_dict)}.")
        module = cast("Module", self)
        missing: list[str] = []
        wrong: list[str] = []
        known = set()
        for name, held in _persistent(module, ""):
            known.add(name)
            if name not in state_dict:
                missing.append(name)
                continue
            _load(module, name, held, state_dict[name], assign, wrong)
        unexpected = [name for name in state_dict if name not in known]
        if strict:
            said = [("Missing", missing), ("Unexpected", unexpected)]
            told = [
                f"{kind} key(s) in state_dict: {', '.join(chr(34) + name + chr(34) for name in names)}. "
                for kind, names in said
                if names
            ]
            wrong = told + wrong
        if wrong:
            lines = "\n\t".join(wrong)
            raise RuntimeError(f"Error(s) in loading state_dict for {type(self).__name__}:\n\t{lines}")
        return IncompatibleKeys(missing, unexpected)


def _persistent(module: Module, prefix: str) -> list[tuple[str, Tensor]]:
    """What is saved, by name: of each module its parameters, its buffers, then the modules in it."""
    found: list[tuple[str, Tensor]] = []
    pending = [(module, prefix)]
    while pending:
        place, start = pending.pop()
        found += [(start + name, held) for name, held in place._parameters.items() if held is not None]
        found += [
            (start + name, held)
            for name, held in place._buffers.items()
            if held is not None and name not in place._non_persistent_buffers_set
        ]
        inner = [(part, f"{start}{name}.") for name, part in place._modules.items() if part is not None]
        pending += reversed(inner)
    return found


def _load(module: Module, name: str, held: Tensor, given: Any, assign: bool, wrong: list[str]) -> None:
    if not isinstance(given, (Tensor, np.ndarray)):
        wrong.append(
            f'While copying the parameter named "{name}", expected torch.Tensor or Tensor-like object from checkpoint '
            f"but received {type(given)}"
        )
        return
    values = np.asarray(given._data if isinstance(given, Tensor) else given)
    if not held._data.ndim and values.shape == (1,):
        values = values[0]
    if values.shape != held._data.shape:
        size = type(held.shape)
        wrong.append(
            f"size mismatch for {name}: copying a param with shape {size(values.shape)} from checkpoint, the shape in "
            f"current model is {held.shape}."
        )
        return
    if assign and isinstance(given, Tensor):
        path, _, last = name.rpartition(".")
        owner = module.get_submodule(path)
        if last in owner._parameters:
            found = given if isinstance(given, Parameter) else Parameter(given, requires_grad=held.requires_grad)
            owner._parameters[last] = found
        else:
            owner._buffers[last] = given
        return
    held._array()[...] = values
    if held._storage.version is not None:
        held._storage.version += 1
