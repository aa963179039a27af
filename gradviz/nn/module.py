"""`Module`: what a network is made of. It holds parameters, buffers and modules, and is called like a function."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

from gradviz.core.composites import PASSING, Unheard, enter, leave, maker, untold
from gradviz.core.hooks import RemovableHandle
from gradviz.core.listeners import Deed, Holder, listeners
from gradviz.core.tensor import Tensor
from gradviz.core.trace import INNER
from gradviz.nn.hooks import Hooks, run_with_hooks
from gradviz.nn.moving import Moving
from gradviz.nn.parameter import Buffer, Parameter
from gradviz.nn.state import State
from gradviz.nn.text import module_text
from gradviz.nn.walking import Walking
from gradviz.sites import is_user_file

if TYPE_CHECKING:
    from types import FrameType

Hook = Callable[..., Any]


class Module(Walking, State, Moving, Holder):
    """The base of all layers and networks.

    A subclass assigns its parts to attributes in `__init__`, after `super().__init__()`, and says in `forward` what it
    computes. Parameters, modules and `register_buffer`'s tensors are found by `parameters()`, `state_dict()` and so on.
    """

    training: bool
    _parameters: dict[str, Parameter | None]
    _buffers: dict[str, Tensor | None]
    _modules: dict[str, Module | None]
    _non_persistent_buffers_set: set[str]
    _hooks: Hooks

    def __init__(self) -> None:
        own = self.__dict__
        own["training"] = True
        own["_parameters"] = {}
        own["_buffers"] = {}
        own["_non_persistent_buffers_set"] = set()
        own["_modules"] = {}
        own["_hooks"] = Hooks()
        for listener in tuple(listeners):
            listener.held(Deed.BUILT, self, sys._getframe(1))

    def forward(self, *input: Any) -> Any:
        """What the module computes; every subclass has its own."""
        raise NotImplementedError(f'Module [{type(self).__name__}] is missing the required "forward" function')

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run `forward`, with the module's hooks around it."""
        outer, own = untold(), _is_own(type(self))  # type: ignore[arg-type]
        if not own and outer is not PASSING and not listeners:
            return run_with_hooks(self, args, kwargs) if self._hooks.any else self.forward(*args, **kwargs)
        try:
            enter(outer if type(outer) is Unheard else PASSING if own else None)
            if listeners:
                return self._told(args, kwargs, sys._getframe(1), own and outer is None)
            result = run_with_hooks(self, args, kwargs) if self._hooks.any else self.forward(*args, **kwargs)
        finally:
            leave(outer)
        if own and outer is None:
            _assign(result, args)
        return result

    def _told(self, args: Any, kwargs: Any, frame: FrameType, assigns: bool) -> Any:
        """Run it so that listeners know what runs. The frame is looked at while it stands, and not kept."""
        heard = tuple(listeners)
        for listener in heard:
            listener.held(Deed.ENTERED, self, frame)
        result = None
        try:
            result = run_with_hooks(self, args, kwargs) if self._hooks.any else self.forward(*args, **kwargs)
        finally:
            for listener in heard:
                listener.held(Deed.LEFT, self, frame, result)
            del frame
        if assigns:
            _assign(result, args)
        return result

    # ---- registering

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Add a parameter, or None for a place that a subclass may fill, under a name without dots."""
        if "_parameters" not in self.__dict__:
            raise AttributeError("cannot assign parameter before Module.__init__() call")
        self._check_name("parameter", name, self._parameters)
        if param is not None and not isinstance(param, Parameter):
            raise TypeError(
                f"cannot assign '{_type_name(param)}' object to parameter '{name}' (torch.nn.Parameter or None "
                "required)"
            )
        if param is not None and param.grad_fn is not None:
            raise ValueError(
                f"Cannot assign non-leaf Tensor to parameter '{name}'. Model parameters must be created explicitly. To "
                f"express '{name}' as a function of another Tensor, compute the value in the forward() method."
            )
        self._parameters[name] = param

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Add a tensor that is part of the module and is not trained.

        persistent: it is part of `state_dict`.
        """
        if "_buffers" not in self.__dict__:
            raise AttributeError("cannot assign buffer before Module.__init__() call")
        self._check_name("buffer", name, self._buffers)
        if tensor is not None and not isinstance(tensor, Tensor):
            raise TypeError(
                f"cannot assign '{_type_name(tensor)}' object to buffer '{name}' (torch Tensor or None required)"
            )
        self._buffers[name] = tensor
        (self._non_persistent_buffers_set.discard if persistent else self._non_persistent_buffers_set.add)(name)

    def add_module(self, name: str, module: Module | None) -> None:
        """Add a module under a name without dots, as assigning it to an attribute does."""
        if module is not None and not isinstance(module, Module):
            raise TypeError(f"{_type_name(module)} is not a Module subclass")
        self._check_name("module", name, self._modules)
        self._modules[name] = module

    register_module = add_module

    def _check_name(self, kind: str, name: str, known: dict[str, Any]) -> None:
        if not isinstance(name, str):
            raise TypeError(f"{kind} name should be a string. Got {_type_name(name)}")
        if "." in name:
            said = "" if kind != "module" else f", got: {name}"
            raise KeyError(f'{kind} name can\'t contain "."{said}')
        if name == "":
            raise KeyError(f'{kind} name can\'t be empty string ""')
        if hasattr(self, name) and name not in known:
            raise KeyError(f"attribute '{name}' already exists")

    def __getattr__(self, name: str) -> Any:
        own = self.__dict__
        for place in ("_parameters", "_buffers", "_modules"):
            if place in own and name in own[place]:
                return own[place][name]
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'", name=name, obj=self)

    def __setattr__(self, name: str, value: Any) -> None:
        own = self.__dict__
        parameters = own.get("_parameters")
        if isinstance(value, Parameter):
            if parameters is None:
                raise AttributeError("cannot assign parameters before Module.__init__() call")
            self._forget(name, parameters)
            self.register_parameter(name, value)
            return
        if parameters is not None and name in parameters:
            if value is not None:
                kind = _type_name(value)
                raise TypeError(
                    f"cannot assign '{kind}' as parameter '{name}' (torch.nn.Parameter or None expected)"
                )
            self.register_parameter(name, None)
            return
        modules = own.get("_modules")
        if isinstance(value, Module):
            if modules is None:
                raise AttributeError("cannot assign module before Module.__init__() call")
            self._forget(name, modules)
            modules[name] = value
            return
        if modules is not None and name in modules:
            if value is not None:
                raise TypeError(
                    f"cannot assign '{_type_name(value)}' as child module '{name}' (torch.nn.Module or None expected)"
                )
            modules[name] = None
            return
        buffers = own.get("_buffers")
        if isinstance(value, Buffer) or (buffers is not None and name in buffers):
            if value is not None and not isinstance(value, Tensor):
                raise TypeError(
                    f"cannot assign '{_type_name(value)}' as buffer '{name}' (torch.nn.Buffer, torch.Tensor or None "
                    "expected)"
                )
            if isinstance(value, Buffer) and name not in self._buffers:
                self._forget(name, self._buffers)
                self.register_buffer(name, value, value.persistent)
            else:
                self._buffers[name] = value
            return
        object.__setattr__(self, name, value)
        if name[:6] == "requir" and isinstance(value, bool) and not hasattr(type(self), name):
            for listener in tuple(listeners):
                listener.held(Deed.ATTRIBUTE, self, sys._getframe(1), name, value)

    def _forget(self, name: str, kept: dict[str, Any]) -> None:
        """Free a name for something in `kept`, where it keeps its place in the order if it is there."""
        for place in (self.__dict__, self._parameters, self._buffers, self._modules):
            if place is not kept:
                place.pop(name, None)
        self._non_persistent_buffers_set.discard(name)

    def __delattr__(self, name: str) -> None:
        for place in (self._parameters, self._buffers, self._modules):
            if name in place:
                del place[name]
                self._non_persistent_buffers_set.discard(name)
                return
        object.__delattr__(self, name)

    def __dir__(self) -> list[str]:
        found = {*object.__dir__(self), *self._parameters, *self._buffers, *self._modules}
        return sorted(name for name in found if not name[0].isdigit())

    # ---- hooks

    @property
    def _forward_pre_hooks(self) -> dict[int, Hook]:
        return self._hooks.by_kind.setdefault("before", {})

    @property
    def _forward_hooks(self) -> dict[int, Hook]:
        return self._hooks.by_kind.setdefault("after", {})

    def register_forward_pre_hook(
        self, hook: Hook, *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """Call `hook(module, args)` before `forward`; what it returns replaces the arguments.

        prepend: before those that are there. with_kwargs: `hook(module, args, kwargs)`, which returns both.
        """
        return self._hooks.add("before", hook, prepend, with_kwargs)

    def register_forward_hook(
        self, hook: Hook, *, prepend: bool = False, with_kwargs: bool = False, always_call: bool = False
    ) -> RemovableHandle:
        """Call `hook(module, args, output)` after `forward`; what it returns replaces the output.

        with_kwargs: `hook(module, args, kwargs, output)`. always_call: also where `forward` raised.
        """
        return self._hooks.add("after", hook, prepend, with_kwargs, always_call)

    def register_full_backward_pre_hook(self, hook: Hook, prepend: bool = False) -> RemovableHandle:
        """Call `hook(module, grad_output)` when the gradient of the output is known; what it returns replaces it."""
        return self._hooks.add("backward_before", hook, prepend)

    def register_full_backward_hook(self, hook: Hook, prepend: bool = False) -> RemovableHandle:
        """Call `hook(module, grad_input, grad_output)` when the gradients of the inputs are known.

        What it returns replaces `grad_input`.
        """
        return self._hooks.add("backward", hook, prepend)

    # ---- text

    def extra_repr(self) -> str:
        """What `repr` says of the module besides its parts."""
        return ""

    def _get_name(self) -> str:
        return type(self).__name__

    def __repr__(self) -> str:
        return module_text(self)

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)


@cache
def _is_own(kind: type) -> bool:
    """Whether a module's `forward` is gradviz's own or another library's, so that its ops are not the user's lines."""
    code = getattr(kind.forward, "__code__", None)  # type: ignore[attr-defined]
    return code is not None and not is_user_file(code.co_filename)


def _assign(result: Any, args: tuple[Any, ...]) -> None:
    """Let the op that made a library module's result be the one that the user's assignment names."""
    made = maker(result)
    if made is not None and made.flags & INNER and not any(result is given for given in args):
        made.flags &= ~INNER


def _type_name(value: Any) -> str:
    """What PyTorch calls an object's type in its errors."""
    if isinstance(value, Tensor) and type(value) is Tensor:
        return f"torch.{value.dtype.type_name}"
    kind = value if isinstance(value, type) else type(value)
    if kind.__module__ in ("builtins", ""):
        return kind.__name__
    module = kind.__module__
    if module.startswith("gradviz.nn"):
        module = "torch.nn.parameter" if issubclass(kind, Tensor) else "torch.nn.modules"
    return f"{module}.{kind.__name__}"
