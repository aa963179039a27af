"""Rows for what users write themselves: one for each subclass of `autograd.Function`. They are in no table."""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable
from typing import Any

from gradviz.core.ops.table import Row, op
from gradviz.core.trace import Node


class FunctionRow(Row):
    """The row of a custom function: any number of inputs, one derivative that reads the node itself."""

    def __init__(
        self, name: str, vjp: Callable[..., Any], base: type[Node], nondifferentiable_outputs: tuple[int, ...]
    ) -> None:
        super().__init__(
            "custom(*inputs)", _no_forward, node=f"{name}Backward", key=f"custom.{name}", call="", vjps={"inputs": vjp},
            samples=None, view=False, several=False, promotes=False, cause=None,
            nondifferentiable_outputs=nondifferentiable_outputs,
        )  # fmt: skip
        self.name = name
        self._base = base

    @functools.cached_property
    def saved_names(self) -> tuple[str, ...]:
        """The node, in which the user's backward finds what was saved."""
        return ("node",)

    @functools.cached_property
    def reading_order(self) -> tuple[str, ...]:
        """Nothing is checked before the user's backward asks for it."""
        return ()

    @functools.cached_property
    def reads(self) -> tuple[frozenset[str], ...]:
        """Nothing is kept for one input in particular."""
        return (frozenset(),)

    @functools.cached_property
    def node_class(self) -> type[Node]:
        """The Node type, which is also the type of the function's `ctx`."""
        members = {"__module__": "gradviz.autograd.function", "full_name": self.node_name, "row": self}
        return type(self.node_name, (self._base,), members)


def _no_forward(*arrays: Any) -> Any:
    raise TypeError("a custom function runs on tensors, not on arrays")


_ROWS: weakref.WeakKeyDictionary[type, dict[tuple[int, ...], FunctionRow]] = weakref.WeakKeyDictionary()


def row_of(
    owner: type, name: str, vjp: Callable[..., Any], base: type[Node], constant: tuple[int, ...] = ()
) -> FunctionRow:
    """The row of a custom function, made when it is first used.

    constant: which of its outputs are marked as not differentiable.
    """
    rows = _ROWS.setdefault(owner, {})
    if constant not in rows:
        rows[constant] = FunctionRow(name, vjp, base, constant)
    return rows[constant]


def _refused(g: Any) -> Any:
    raise RuntimeError("trying to differentiate twice a function that was marked with @once_differentiable")


DELAYED_ERROR = op("error(x)", lambda x: x.copy(), node="torch::autograd::Error", x=_refused)
"""What stands before a gradient that must not be differentiated."""
