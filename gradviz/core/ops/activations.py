"""What activations share: their logistic function, their kinks, and how a row becomes a function with `inplace`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from gradviz.core import dtypes
from gradviz.core.apply import apply
from gradviz.core.dual import run_row
from gradviz.core.inplace import apply_inplace
from gradviz.core.ops.elementwise import SIGMOID
from gradviz.core.ops.samples import grid
from gradviz.core.ops.table import Row, op, sample
from gradviz.core.public import FUNCTIONAL, first_tensor
from gradviz.core.tensor import Tensor

KINKS = np.array([-3.0, -0.5, 0.0, 0.5, 3.0, np.nan])


def logistic(x: Any) -> Any:
    """1 / (1 + exp(-x)), of arrays and of tensors."""
    return run_row(SIGMOID, (x,))


def need_floats(name: str, x: Any) -> None:
    """Raise NotImplementedError, in PyTorch's words, for integers and bools."""
    if x.dtype.kind != "f":
        kind = dtypes.of(x).type_name.removesuffix("Tensor")
        raise NotImplementedError(f"\"{name}\" not implemented for '{kind}'")


WRITTEN: dict[str, Row] = {}
"""By its key the row that runs in place of another one over its input, where PyTorch has a node of its own for that."""


def run_on(row: Row, input: Any, static: tuple[Any, ...], inplace: bool) -> Tensor:
    """Run a row on `input`, or over it."""
    input = first_tensor(row.name, input)
    return apply_inplace(WRITTEN.get(row.key, row), input, (), static) if inplace else apply(row, (input,), static)


def activation(signature: str, forward: Callable[..., Any], vjp: Callable[..., Any], node: str, *samples: Any) -> Row:
    """A row for floats only; float16 is computed in float32. samples: static arguments of each."""
    name = signature.partition("(")[0].replace("log_sigmoid", "logsigmoid")

    def run(x: Any, *static: Any) -> Any:
        need_floats(name, x)
        wide = x.astype(np.float32) if x.dtype == np.float16 else x
        return forward(wide, *static).astype(x.dtype, copy=False)

    return op(
        signature,
        run,
        node=node,
        call=f"nn.functional.{name}",
        x=vjp,
        samples=lambda: [
            *(sample(grid(2, 5) * 2, *given) for given in samples or ((),)),
            sample(KINKS, *(samples[0] if samples else ()), smooth=False),
        ],
    )


def publish_activation(row: Row, inplace: bool = True) -> None:
    """Publish `F.name(input, static..., inplace=False)`."""
    name = row.call.rpartition(".")[2]

    def call(input: Tensor, *args: Any, inplace: bool = False, **kwargs: Any) -> Tensor:
        given = list(args)
        if len(given) > len(row.static):
            inplace = given.pop()
        static = tuple(given) + tuple(
            kwargs.pop(key, default)
            for key, default in list(zip(row.static, row.defaults, strict=True))[len(given) :]
        )
        if kwargs:
            raise TypeError(f"{name}() got an unexpected keyword argument '{min(kwargs)}'")
        first_tensor(name, input)
        return run_on(row, input, static, inplace)

    call.__name__ = call.__qualname__ = name
    call.__doc__ = f"`{row.signature}`, elementwise." + (" inplace: write it over `input`." if inplace else "")
    FUNCTIONAL[name] = call
