"""The end of the road for a gradient: what `next_functions` shows for a leaf."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gradviz.core.tensor import Tensor


class AccumulateGrad:
    """The end of the road for a gradient: adds what arrives to `variable.grad`. One per leaf, made when asked for."""

    __slots__ = ("__weakref__", "variable")

    def __init__(self, variable: Tensor) -> None:
        self.variable = variable

    next_functions: tuple[()] = ()

    def name(self) -> str:
        """PyTorch prints it with its full C++ name."""
        return "torch::autograd::AccumulateGrad"

    def __repr__(self) -> str:
        return f"<AccumulateGrad object at {id(self):#x}>"


def accumulator(leaf: Tensor) -> AccumulateGrad:
    """The one AccumulateGrad of a leaf, for as long as anyone holds it."""
    extras = leaf._extras_or_new()
    known = extras.accumulator() if extras.accumulator is not None else None
    if known is None:
        known = AccumulateGrad(leaf)
        extras.accumulator = weakref.ref(known)
    return known
