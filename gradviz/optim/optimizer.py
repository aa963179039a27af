"""`Optimizer`: what all optimizers share: groups of parameters, state, saving, and what a recording hears of a step."""

from __future__ import annotations

import copy
import functools
import sys
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Mapping
from types import FrameType
from typing import Any

import numpy as np

from gradviz.core.apply import connect, describe
from gradviz.core.composites import tell
from gradviz.core.grad_mode import current, enable_grad
from gradviz.core.history import bound
from gradviz.core.hooks import RemovableHandle
from gradviz.core.listeners import Deed, Holder, listeners
from gradviz.core.ops.table import TABLE, op
from gradviz.core.tensor import Tensor
from gradviz.core.trace import ALIAS, INNER, INPLACE, LEAF_GRAD, Untracked
from gradviz.nn.moving import clear
from gradviz.nn.parameter import born
from gradviz.sites import user_frame

Closure = Callable[[], Any]

STEP = op("step(x, grad, *, optimizer='')", lambda x, grad, optimizer: x)
"""What an optimizer does to one parameter, told as one write in place."""


class _Required:
    def __repr__(self) -> str:
        return "<required parameter>"


required = _Required()
"""The default of an option that each group must have."""


class Optimizer(Holder):
    """The base of all optimizers.

    params: tensors, pairs of a name and a tensor, or groups: dictionaries with "params" and options of their own.
    defaults: the options of groups that do not say otherwise.
    A subclass has `step`; gradviz's own have `_update` instead.
    """

    def __init__(self, params: Any, defaults: dict[str, Any]) -> None:
        self.defaults = defaults
        self.state: defaultdict[Tensor, Any] = defaultdict(dict)
        self.param_groups: list[dict[str, Any]] = []
        self._pre_hooks: dict[int, Callable[..., Any]] = OrderedDict()
        self._post_hooks: dict[int, Callable[..., Any]] = OrderedDict()
        self._steps = 0
        self._stepping = False
        if isinstance(params, Tensor):
            raise TypeError(
                "params argument given to the optimizer should be an iterable of Tensors or dicts, but got "
                f"torch.{params.dtype.type_name}"
            )
        groups = list(params)
        if not groups:
            raise ValueError("optimizer got an empty parameter list")
        if not isinstance(groups[0], dict):
            groups = [{"params": groups}]
        for group in groups:
            self._add(dict(group))
        for listener in tuple(listeners):
            listener.held(Deed.OWNS, self, sys._getframe(1))

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "step" in vars(cls):
            cls.step = _around(cls.step)  # type: ignore[method-assign]

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Own another group of parameters. Raises ValueError where some are owned already or are no leaves."""
        self._add(param_group)
        for listener in tuple(listeners):
            listener.held(Deed.OWNS, self, sys._getframe(1))

    def _add(self, group: dict[str, Any]) -> None:
        if not isinstance(group, dict):
            raise TypeError(f"param_group must be a dict, but got {type(group)}")
        given = group["params"]
        if isinstance(given, set):
            raise TypeError(
                "optimizer parameters need to be organized in ordered collections, but the ordering of tensors in "
                "sets will change between runs. Please use a list instead."
            )
        tensors = [given] if isinstance(given, Tensor) else list(given)
        if tensors and all(isinstance(item, tuple) for item in tensors):
            group["param_names"] = [name for name, _ in tensors]
            tensors = [tensor for _, tensor in tensors]
        for tensor in tensors:
            if not isinstance(tensor, Tensor):
                kind = type(tensor).__name__
                raise TypeError(f"optimizer can only optimize Tensors, but one of the params is {kind}")
            if tensor.grad_fn is not None and not tensor.retains_grad:
                raise ValueError("can't optimize a non-leaf Tensor")
        group["params"] = tensors
        for name, value in self.defaults.items():
            if value is required and name not in group:
                raise ValueError(f"parameter group didn't specify a value of required optimization parameter {name}")
            group.setdefault(name, value)
        if len({id(tensor) for tensor in tensors}) < len(tensors):
            raise ValueError("some parameters appear more than once in the same parameter group")
        owned = {id(tensor) for known in self.param_groups for tensor in known["params"]}
        if any(id(tensor) in owned for tensor in tensors):
            raise ValueError("some parameters appear in more than one parameter group")
        self.param_groups.append(group)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters, or with `set_to_none` False fill them with zeros."""
        for group in self.param_groups:
            for tensor in group["params"]:
                clear(tensor, set_to_none)
        for listener in tuple(listeners):
            listener.held(Deed.CLEARED, self, sys._getframe(1))

    def step(self, closure: Closure | None = None) -> Any:
        """Change the parameters by their gradients. closure: computes the loss anew, and its gradients; returned."""
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        for group in self.param_groups:
            for tensor in group["params"]:
                if tensor._grad is not None:
                    array = tensor._array()
                    self._update(tensor, array, np.asarray(tensor._grad._data), group)
                    if tensor._storage.version is not None:
                        tensor._storage.version += 1
        return loss

    def _update(self, tensor: Tensor, array: Any, grad: Any, group: dict[str, Any]) -> None:
        """Change `array`, the elements of `tensor`, in place by the gradient."""
        raise NotImplementedError

    def _prepared(self, array: Any, grad: Any, group: dict[str, Any]) -> Any:
        """The gradient to step against, with the weight decay in it unless that is taken off `array` itself."""
        kind, decay = array.dtype.type, group.get("weight_decay")
        if group["maximize"]:
            grad = -grad
        if decay and group.get("decoupled_weight_decay"):
            array *= kind(1 - group["lr"] * decay)
        elif decay:
            grad = grad + array * kind(decay)
        return grad

    def _kept(self, tensor: Tensor, name: str, value: float = 0.0) -> Any:
        """The array that the state of `tensor` holds under `name`, made of `value` when first asked for."""
        state = self.state[tensor]
        if name not in state:
            array = np.full(tensor._data.shape, value, tensor._data.dtype)
            state[name] = born(array, False, Tensor, TABLE["zeros"])
        return state[name]._array()

    def _count(self, tensor: Tensor) -> float:
        """How many steps `tensor` took, this one included."""
        state = self.state[tensor]
        if "step" not in state:
            state["step"] = born(np.zeros((), np.float32), False, Tensor, TABLE["zeros"])
        count = state["step"]._array()
        count += 1
        return float(count)

    def state_dict(self) -> dict[str, Any]:
        """The state by the parameters' numbers, and the groups with these numbers in place of the parameters."""
        numbers: dict[int, int] = {}
        groups = []
        for group in self.param_groups:
            for tensor in group["params"]:
                numbers.setdefault(id(tensor), len(numbers))
            groups.append(
                {**group, "params": [numbers[id(tensor)] for tensor in group["params"]]}
            )
        state = {numbers.get(id(tensor), tensor): dict(held) for tensor, held in self.state.items()}
        return {"state": state, "param_groups": [_params_last(group) for group in groups]}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` gave. Raises ValueError where the groups are others."""
        groups = copy.deepcopy(state_dict["param_groups"])
        if len(groups) != len(self.param_groups):
            raise ValueError("loaded state dict has a different number of parameter groups")
        numbers: dict[Any, Tensor] = {}
        for mine, other in zip(self.param_groups, groups, strict=True):
            if len(mine["params"]) != len(other["params"]):
                raise ValueError(
                    "loaded state dict contains a parameter group that doesn't match the size of optimizer's group"
                )
            numbers.update(zip(other["params"], mine["params"], strict=True))
            other["params"] = mine["params"]
        self.param_groups = groups
        self.state = defaultdict(dict)
        for number, held in state_dict["state"].items():
            tensor = numbers[number]
            self.state[tensor] = {name: _fitted(name, value, tensor) for name, value in held.items()}

    def register_step_pre_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call `hook(optimizer, args, kwargs)` before each step."""
        return RemovableHandle(self._pre_hooks, hook)

    def register_step_post_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call `hook(optimizer, args, kwargs)` after each step."""
        return RemovableHandle(self._post_hooks, hook)

    def __repr__(self) -> str:
        groups = []
        for number, group in enumerate(self.param_groups):
            lines = [f"    {name}: {group[name]}\n" for name in sorted(group) if name != "params"]
            groups.append(f"\nParameter Group {number}\n{''.join(lines)}")
        return f"{type(self).__name__} ({''.join(groups)})"

    # ---- what a recording is told of a step

    def _look(self) -> list[tuple[Tensor, Any, Any]]:
        owned = (tensor for group in self.param_groups for tensor in group["params"])
        return [(tensor, tensor._storage.version, tensor._origin) for tensor in owned]

    def _tell(self, before: list[tuple[Tensor, Any, Any]], frame: FrameType) -> None:
        for listener in tuple(listeners):
            listener.held(Deed.STEPPED, self, frame)
        for tensor, version, origin in before:
            if tensor._storage.version != version and tensor._origin is origin and not origin.tracked:
                _note(tensor, type(self).__name__, frame)


def _around(step: Callable[..., Any]) -> Callable[..., Any]:
    """`step` with the optimizer's hooks around it, and told of."""

    @functools.wraps(step)
    def run(self: Optimizer, *args: Any, **kwargs: Any) -> Any:
        if self._stepping:
            return step(self, *args, **kwargs)
        self._stepping = True
        try:
            for hook in tuple(self._pre_hooks.values()):
                changed = hook(self, args, kwargs)
                if changed is not None:
                    args, kwargs = changed
            before = self._look() if listeners else []
            result = step(self, *args, **kwargs)
            self._steps += 1
            if listeners:
                self._tell(before, sys._getframe(1))
            for hook in tuple(self._post_hooks.values()):
                hook(self, args, kwargs)
        finally:
            self._stepping = False
        return result

    return run


Optimizer.step = _around(Optimizer.step)  # type: ignore[method-assign]


def _note(tensor: Tensor, optimizer: str, frame: FrameType) -> None:
    """Make a step the origin of what the parameter is from here on, and tell of it."""
    given = (tensor,) if tensor._grad is None else (tensor, tensor._grad)
    links, needs, _ = connect(given, False)
    place = user_frame(frame)
    step = Untracked()
    step.cause = None
    describe(step, STEP, links, needs, (optimizer,), tensor._data, current(), place)
    step.flags |= ALIAS | INPLACE | INNER | (LEAF_GRAD if tensor._requires_grad else 0)
    bound(step)
    if tensor._storage.version is not None:
        tensor._storage.written = (step.id,)
    tensor._origin, tensor._number = step, 0
    tell(step, place, tensor._data)


def _params_last(group: dict[str, Any]) -> dict[str, Any]:
    return {**{name: value for name, value in group.items() if name != "params"}, "params": group["params"]}


def _fitted(name: str, value: Any, tensor: Tensor) -> Any:
    if not isinstance(value, Tensor):
        return copy.deepcopy(value)
    kind = value._data.dtype if name == "step" else tensor._data.dtype
    return born(np.array(value._data, kind), False, Tensor, TABLE["zeros"])


def check(name: str, value: float, low: float = 0.0, high: float = float("inf")) -> None:
    """Raise ValueError, in PyTorch's words, for an option that is out of range."""
    if not low <= value < high:
        raise ValueError(f"Invalid {name}: {value}")


ACCEPTED: dict[str, Any] = {"maximize": False, "foreach": None, "capturable": False, "differentiable": False}
"""Options that are taken by name; only `maximize` makes a difference."""


def accepted(name: str, given: dict[str, Any], order: str, **own: Any) -> dict[str, Any]:
    """`ACCEPTED` with what was given, and an optimizer's own, in the order that PyTorch's groups have.

    Raises TypeError for an option that is none.
    """
    unknown = set(given) - set(ACCEPTED)
    if unknown:
        raise TypeError(f"{name}.__init__() got an unexpected keyword argument '{min(unknown)}'")
    known = {**ACCEPTED, **given, **own}
    return {key: known[key] for key in order.split()}
