"""What users can call: the functions of `gradviz.<name>` and the methods of Tensor.

A family of ops publishes its functions here, by hand where arguments need sorting out, or straight from a row.
`gradviz.core` puts the methods on the class.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from gradviz.core.apply import apply, apply_general, leaf, runner, specialised
from gradviz.core.inplace import apply_inplace
from gradviz.core.ops.table import Row
from gradviz.core.tensor import Tensor
from gradviz.core.updating import updated

F = TypeVar("F", bound=Callable[..., Any])

FUNCTIONS: dict[str, Callable[..., Any]] = {}
"""By name, what is reached as `gradviz.<name>`."""
METHODS: dict[str, Any] = {}
"""By name, what is put on Tensor: functions, and properties."""
FUNCTIONAL: dict[str, Callable[..., Any]] = {}
"""By name, what is reached as `gradviz.nn.functional.<name>`."""
LINALG: dict[str, Callable[..., Any]] = {}
"""By name, what is reached as `gradviz.linalg.<name>`."""
SPECIAL: dict[str, Callable[..., Any]] = {}
"""By name, what is reached as `gradviz.special.<name>` and is not a function of `gradviz`, too."""


def function(call: F) -> F:
    """Publish as `gradviz.<name>`."""
    FUNCTIONS[call.__name__] = call
    return call


def method(call: F) -> F:
    """Publish as a method of Tensor."""
    METHODS[call.__name__] = call
    return call


def functional(call: F) -> F:
    """Publish as `gradviz.nn.functional.<name>`."""
    FUNCTIONAL[call.__name__] = call
    return call


def linear_algebra(call: F) -> F:
    """Publish as `gradviz.linalg.<name>`."""
    LINALG[call.__name__] = call
    return call


def both(call: F) -> F:
    """Publish as a function and as a method."""
    return method(function(call))


def publish(
    row: Row,
    *,
    inplace: bool = False,
    functions: bool = True,
    methods: bool = True,
    numbers: bool = True,
    write: Callable[..., Any] | None = None,
) -> Callable[..., Any]:
    """Make the public function of a row that takes its inputs and static arguments just as they are.

    inplace: also publish the method `<name>_`, and for a row of one input the function.
    write: a ufunc that does what that method does, without static arguments.
    numbers: operands after the first may be Python numbers.
    """
    count = len(row.inputs)

    def call(*args: Any, **kwargs: Any) -> Any:
        if len(args) > count + len(row.static):
            most = count + len(row.static)
            raise TypeError(f"{row.name}() takes {most} positional arguments but {len(args)} were given")
        operands = list(args[:count])
        for name in row.inputs[len(operands) :]:
            if name in kwargs:
                operands.append(kwargs.pop(name))
            elif name in _ALIASES and _ALIASES[name] in kwargs:
                operands.append(kwargs.pop(_ALIASES[name]))
            else:
                raise TypeError(f"{row.name}() missing 1 required positional argument: '{_ALIASES.get(name, name)}'")
        static = _static(row, row.name, args[count:], kwargs)
        accepted = (Tensor, float, int) if numbers else Tensor
        for position, value in enumerate(operands[1:], 1):
            operands[position] = value = operand(value)
            if not isinstance(value, accepted):
                name = _ALIASES.get(row.inputs[position], row.inputs[position])
                where = f"{row.name}(): argument '{name}' (position {position + 1})"
                raise TypeError(f"{where} must be Tensor, not {type(value).__name__}")
        return apply(row, [first_tensor(row.name, operands[0]), *operands[1:]], static)

    single = count == 1 and not row.static
    if single:

        def call_one(input: Any) -> Any:
            run = row.runs.get(1) or runner(row, 1)
            return run(input if isinstance(input, Tensor) else first_tensor(row.name, input))

        call = call_one
    call.__name__ = call.__qualname__ = row.name
    call.__doc__ = f"`{row.signature}`, elementwise or as PyTorch's function of that name."
    if functions:
        FUNCTIONS[row.name] = call
    if methods:
        METHODS[row.name] = compiled_method(row.name, row, 1, (), _refused) if single else call
        METHODS[row.name].__doc__ = call.__doc__
    if inplace:
        METHODS[row.name + "_"] = inplace_of(row, write)
        if functions and count == 1:
            FUNCTIONS[row.name + "_"] = METHODS[row.name + "_"]
    return call


def compiled_method(
    name: str,
    row: Row,
    count: int,
    static: tuple[Any, ...],
    general: Callable[..., Any],
    plain: Callable[..., Any] | None = None,
    spare: Callable[..., Any] | None = None,
    unless: str = "",
) -> Callable[..., Any]:
    """A method of Tensor with nothing between the user's call and what runs the row: see `apply.specialised`.

    It is compiled when it is first called, and then put on Tensor in its own place, unless the user put another there.
    """
    made: Callable[..., Any] | None = None

    def call(*operands: Any, **named: Any) -> Any:
        nonlocal made
        if spare is not None and (len(operands) != count or named):
            return spare(*operands, **named)
        if made is None:
            forward = plain or getattr(row.forward, "plain", None) or row.forward
            floats = row.promotes or forward is not row.forward
            made = specialised(row, count, forward, floats, static, general, spare, unless)
            made.__name__, made.__qualname__, made.__doc__ = name, f"Tensor.{name}", call.__doc__
            if vars(Tensor).get(name) is call:
                setattr(Tensor, name, made)
        return made(*operands, **named)

    call.__name__, call.__qualname__ = name, f"Tensor.{name}"
    call.runs = row, static  # type: ignore[attr-defined]
    return call


def _refused(row: Row, inputs: tuple[Any, ...], static: tuple[Any, ...]) -> Any:
    return apply_general(row, (first_tensor(row.name, inputs[0]), *inputs[1:]), static)


def inplace_of(row: Row, write: Callable[..., Any] | None = None) -> Callable[..., Tensor]:
    """The method that writes the row's result into its first input."""
    count = len(row.inputs)

    def call(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        if write is not None and len(args) == 1 and not kwargs and updated(row, self, args[0], row.defaults, write):
            return self
        static = _static(row, row.name + "_", args[count - 1 :], kwargs)
        return apply_inplace(row, self, [operand(other) for other in args[: count - 1]], static)

    call.__name__ = call.__qualname__ = row.name + "_"
    call.__doc__ = f"In-place `{row.signature}`."
    return call


def _static(row: Row, name: str, given: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...]:
    """The static arguments in the row's order: by position, by keyword, by default."""
    rest = zip(row.static[len(given) :], row.defaults[len(given) :], strict=True)
    static = (*given, *[kwargs.pop(key, default) for key, default in rest])
    if kwargs:
        raise TypeError(f"{name}() got an unexpected keyword argument '{min(kwargs)}'")
    return static


_ALIASES = {"x": "input", "y": "other"}


def first_tensor(name: str, value: Any) -> Tensor:
    """`value` if it is a tensor; TypeError in PyTorch's words if not."""
    if not isinstance(value, Tensor):
        raise TypeError(f"{name}(): argument 'input' (position 1) must be Tensor, not {type(value).__name__}")
    return value


def operand(value: Any) -> Any:
    """An operand as `apply` takes it: a tensor, or a Python number; arrays become leaves, numpy scalars numbers."""
    if isinstance(value, Tensor) or type(value) in (float, int, bool):
        return value
    if isinstance(value, np.ndarray):
        return leaf(value, "from_numpy", False, inner=True)
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, (bool, int, float)):
        return type(value).__mro__[-2](value)
    return value
