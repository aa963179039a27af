"""Parametrizations: a parameter that is computed from another one, or from several, whenever it is asked for.

What is learned is under `module.parametrizations.<name>`: `original`, or `original0`, `original1`, ...
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from gradviz.core.grad_mode import no_grad
from gradviz.core.tensor import Tensor
from gradviz.nn.containers import ModuleDict, ModuleList
from gradviz.nn.module import Module
from gradviz.nn.parameter import Parameter

_cached: list[dict[tuple[int, str], Any]] = []
"""While `cached` runs, the innermost last: what was computed, by module and name."""


class ParametrizationList(ModuleList):
    """What computes one parameter: modules, of which each is given what the one before it gives; and the originals.

    A module may have a `right_inverse`, which says what it is to be given for a result.
    """

    is_tensor: bool
    ntensors: int

    def __init__(self, modules: Sequence[Module], original: Any, unsafe: bool = False) -> None:
        super().__init__(modules)
        self.__dict__["unsafe"] = unsafe
        kind, shape = original.dtype, original.shape
        with no_grad():
            given: Any = original
            for module in reversed(list(self)):
                if hasattr(module, "right_inverse"):
                    with suppress(NotImplementedError):  # it goes on with what the parameter is
                        given = module.right_inverse(given)
        if not isinstance(given, (Tensor, Sequence)):
            raise ValueError(
                "'right_inverse' must return a Tensor or a Sequence of tensors (list, tuple...). Got "
                f"{type(given).__name__}"
            )
        self.__dict__["is_tensor"] = isinstance(given, Tensor)
        if isinstance(given, Tensor):
            if given.dtype is not kind:
                raise ValueError(
                    "When `right_inverse` outputs one tensor, it may not change the dtype.\n"
                    f"original.dtype: {kind}\nright_inverse(original).dtype: {given.dtype}"
                )
            _set(original, given)
            _register(self, "original", original)
        else:
            for number, one in enumerate(given):
                made = Parameter(one, original.requires_grad) if isinstance(original, Parameter) else one
                _register(self, f"original{number}", made.requires_grad_(original.requires_grad))
        self.__dict__["ntensors"] = 1 if isinstance(given, Tensor) else len(given)
        if not unsafe:
            self._check(kind, shape)

    def _check(self, kind: Any, shape: Any) -> None:
        found = self()
        if not isinstance(found, Tensor):
            raise ValueError(f"A parametrization must return a tensor. Got {type(found).__name__}.")
        for name, before, after in (("dtype", kind, found.dtype), ("shape", shape, found.shape)):
            if before != after:
                raise ValueError(
                    f"Registering a parametrization may not change the {name} of the tensor, unless `unsafe` flag is "
                    f"enabled.\nunparametrized {name}: {before}\nparametrized {name}: {after}"
                )

    def _originals(self) -> list[Any]:
        if self.is_tensor:
            return [self.original]
        return [getattr(self, f"original{number}") for number in range(self.ntensors)]

    def right_inverse(self, value: Any) -> None:
        """Change the originals so that `value` is computed from them. Raises RuntimeError where a module cannot say."""
        with no_grad():
            for module in reversed(list(self)):
                if not hasattr(module, "right_inverse"):
                    raise RuntimeError(
                        f"parametrization {type(module).__name__} does not implement right_inverse."
                    )
                value = module.right_inverse(value)
            for original, one in zip(self._originals(), [value] if self.is_tensor else value, strict=True):
                _set(original, one)

    def forward(self) -> Any:
        """What the parameter is at present."""
        first, *others = self
        found = first(*self._originals())
        for module in others:
            found = module(found)
        return found


def _set(original: Any, value: Any) -> None:
    if value is not original:
        original.data = value.detach()


def _register(module: Module, name: str, tensor: Any) -> None:
    if isinstance(tensor, Parameter):
        module.register_parameter(name, tensor)
    else:
        module.register_buffer(name, tensor)


@contextmanager
def cached() -> Iterator[None]:
    """Compute each parametrized parameter once only inside the block."""
    _cached.append({} if not _cached else _cached[-1])
    try:
        yield
    finally:
        _cached.pop()


def is_parametrized(module: Any, tensor_name: str | None = None) -> bool:
    """Whether a module has parametrized parameters, or this one is."""
    known = module._modules.get("parametrizations")
    if known is None:
        return False
    return len(known) > 0 if tensor_name is None else tensor_name in known


def register_parametrization(module: Any, tensor_name: str, parametrization: Module, *, unsafe: bool = False) -> Any:
    """Let `module.<tensor_name>` be what `parametrization` makes of it; returns the module. The last one goes last.

    unsafe: shape and dtype may change, and nothing is tried. Raises ValueError where there is no such tensor.
    """
    parametrization.train(module.training)
    if is_parametrized(module, tensor_name):
        known = module.parametrizations[tensor_name]
        if not unsafe:
            _check_another(module, tensor_name, parametrization)
        known.append(parametrization)
        known.__dict__["unsafe"] = known.unsafe or unsafe
    elif tensor_name in module._buffers or tensor_name in module._parameters:
        original = getattr(module, tensor_name)
        made = ParametrizationList([parametrization], original, unsafe)
        delattr(module, tensor_name)
        if not is_parametrized(module):
            _change_class(module)
            module.parametrizations = ModuleDict()
        setattr(type(module), tensor_name, _computed(tensor_name))
        module.parametrizations[tensor_name] = made
    else:
        raise ValueError(
            f"Module '{module}' does not have a parameter, a buffer, or a parametrized element with name "
            f"'{tensor_name}'"
        )
    return module


def _check_another(module: Any, name: str, parametrization: Any) -> None:
    before = getattr(module, name)
    after = parametrization(before)
    for what in ("dtype", "shape"):
        if getattr(before, what) != getattr(after, what):
            raise ValueError(
                f"Registering a parametrization may not change the {what} of the tensor, unless the `unsafe` flag is "
                f"enabled.\nmodule.{name}.{what}: {getattr(before, what)}\n"
                f"parametrization(module.{name}).{what}: {getattr(after, what)}"
            )


def _computed(name: str) -> property:
    def get(self: Any) -> Any:
        compute = self.parametrizations[name]
        if not _cached:
            return compute()
        known, key = _cached[-1], (id(self), name)
        if key not in known:
            known[key] = compute()
        return known[key]

    return property(get, lambda self, value: self.parametrizations[name].right_inverse(value))


def _change_class(module: Any) -> None:
    """Give the module a class of its own, on which properties may be put."""
    kind = type(module)
    members = {"__module__": kind.__module__, "__getstate__": _no_pickle, "__deepcopy__": _copied}
    module.__class__ = type(f"Parametrized{kind.__name__}", (kind,), members)


def _no_pickle(self: Any) -> Any:
    raise RuntimeError(
        "Serialization of parametrized modules is only supported through state_dict(). See:\n"
        "https://pytorch.org/tutorials/beginner/saving_loading_models.html"
        "#saving-loading-a-general-checkpoint-for-inference-and-or-resuming-training"
    )


def _copied(self: Any, memo: dict[int, Any]) -> Any:
    copied: Any = object.__new__(type(self))
    memo[id(self)] = copied
    copied.__dict__.update(copy.deepcopy(self.__dict__, memo))
    return copied


def remove_parametrizations(module: Any, tensor_name: str, leave_parametrized: bool = True) -> Any:
    """Undo `register_parametrization`; the tensor is what was computed last, or the original. Returns the module."""
    if not is_parametrized(module, tensor_name):
        raise ValueError(f"Module {module} does not have a parametrization on {tensor_name}")
    known = module.parametrizations[tensor_name]
    if known.is_tensor:
        tensor = known.original
        if leave_parametrized:
            with no_grad():
                _set(tensor, getattr(module, tensor_name))
    elif not leave_parametrized:
        raise ValueError(
            "Cannot leave unparametrized (`leave_parametrized=False`) a tensor that is parametrized in terms of a "
            "sequence of tensors."
        )
    else:
        found = getattr(module, tensor_name)
        tensor = Parameter(found.detach()) if found.requires_grad else found
    delattr(type(module), tensor_name)
    del module.parametrizations[tensor_name]
    _register(module, tensor_name, tensor)
    if not is_parametrized(module):
        del module.parametrizations
        module.__class__ = type(module).__bases__[0]
    return module


def type_before_parametrizations(module: Any) -> type:
    """The class that the module had at first."""
    return type(module).__bases__[0] if is_parametrized(module) else type(module)
