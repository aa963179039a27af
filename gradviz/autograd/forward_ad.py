"""Forward-mode derivatives: `dual_level`, `make_dual`, `unpack_dual`.

A dual tensor is an alias of its primal at which derivatives can be asked for; its tangent is kept beside it. What
`unpack_dual` gives as the tangent of a result is its Jacobian times these tangents, computed by two backward passes.
"""

from __future__ import annotations

import contextlib
from typing import Any, NamedTuple

from gradviz.core.engine import grad
from gradviz.core.grad_mode import enable_grad
from gradviz.core.public import FUNCTIONS
from gradviz.core.tensor import Tensor


class UnpackedDualTensor(NamedTuple):
    """What a dual tensor holds: its value, and how that changes along the tangents; None where it does not."""

    primal: Tensor
    tangent: Tensor | None


_levels: list[list[tuple[Tensor, Tensor]]] = []
"""For the level that is open its dual tensors, each with its tangent."""


def enter_dual_level() -> int:
    """Open a level. Raises RuntimeError inside of another: there is one level at a time."""
    if _levels:
        raise RuntimeError("Nested forward mode AD is not supported at the moment")
    _levels.append([])
    return 0


def exit_dual_level(*, level: int | None = None) -> None:
    """Close the level: its tangents are forgotten. Raises RuntimeError where none is open."""
    if not _levels:
        raise RuntimeError(
            "Trying to exit a forward AD level that was not the last one that was created. This is not supported."
        )
    _levels.pop()


class dual_level(contextlib.ContextDecorator):
    """A block in which tensors have tangents."""

    def __enter__(self) -> int:
        return enter_dual_level()

    def __exit__(self, *error: object) -> None:
        exit_dual_level()


def make_dual(tensor: Tensor, tangent: Tensor, *, level: int | None = None) -> Tensor:
    """The tensor with a tangent, for `unpack_dual` of what is computed from it.

    Raises RuntimeError outside of a level, and where the shapes differ.
    """
    if not _levels:
        raise RuntimeError(
            "Trying to create a dual Tensor for forward AD but no level exists, make sure to enter_dual_level() first."
        )
    for name, one in (("primal", tensor), ("tangent", tangent)):
        if not one.is_floating_point():
            raise ValueError(f"Expected {name} to be floating point or complex, but got: {one.dtype}")
    if tensor.shape != tangent.shape:
        raise RuntimeError(
            "Trying to set a forward gradient that has a different size than that of the original Tensor, this is not "
            f"supported. Tensor is of size {list(tensor.shape)} while the given forward gradient is of size "
            f"{list(tangent.shape)}."
        )
    with enable_grad():
        dual: Tensor = tensor.view_as(tensor) if tensor.requires_grad else tensor.detach().requires_grad_()
    _levels[-1].append((dual, tangent))
    return dual


def unpack_dual(tensor: Tensor, *, level: int | None = None) -> UnpackedDualTensor:
    """The value of a result, and its tangent; None where no dual tensor is behind it, or the level was closed."""
    pairs = _levels[-1] if _levels else []
    lasting = any(not dual.is_leaf for dual, _ in pairs)
    primal = tensor if lasting or not pairs else tensor.detach()
    if not pairs or not tensor.requires_grad:
        return UnpackedDualTensor(primal, None)
    duals = [dual for dual, _ in pairs]
    with enable_grad():
        double = FUNCTIONS["zeros_like"](tensor).requires_grad_()
        slopes = grad([tensor], duals, [double], retain_graph=True, create_graph=True, allow_unused=True)
        reached = [(slope, tangent) for slope, (_, tangent) in zip(slopes, pairs, strict=True) if slope is not None]
        if not reached:
            return UnpackedDualTensor(primal, None)
        linear = [(slope, tangent) for slope, tangent in reached if slope.requires_grad]
        found: Any = None
        if linear:
            (found,) = grad(
                [slope for slope, _ in linear], [double], [tangent for _, tangent in linear], retain_graph=True,
                create_graph=lasting, allow_unused=True,
            )  # fmt: skip
    if found is None:
        found = FUNCTIONS["zeros_like"](tensor)
    return UnpackedDualTensor(primal, found)
