"""In-place views: `t_`, `transpose_`, `swapaxes_`, `squeeze_`, `unsqueeze_`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gradviz.core.ops.shapes import wrap, wrap_all
from gradviz.core.ops.shaping import SQUEEZE, SQUEEZE_DIM, SQUEEZE_DIMS, TRANSPOSE, UNSQUEEZE, T
from gradviz.core.ops.table import Row, op
from gradviz.core.public import METHODS, method
from gradviz.core.tensor import Tensor
from gradviz.core.turning import apply_inplace_view


def _twin(row: Row, node: str) -> Row:
    """The row that does in place what `row` does; PyTorch numbers its node on."""
    vjps: dict[str, Any] = row.vjps
    return op(row.signature, row.forward, key=f"{row.key}.in_place", node=node, call=f"Tensor.{row.name}_", **vjps)


T_ = _twin(T, "TBackward1")
TRANSPOSE_ = _twin(TRANSPOSE, "TransposeBackward1")
SQUEEZE_ = _twin(SQUEEZE, "SqueezeBackward3")
SQUEEZE_DIM_ = _twin(SQUEEZE_DIM, "SqueezeBackward4")
SQUEEZE_DIMS_ = _twin(SQUEEZE_DIMS, "SqueezeBackward5")
UNSQUEEZE_ = _twin(UNSQUEEZE, "UnsqueezeBackward1")


def _reshaped(array: Any, shape: tuple[int, ...]) -> Any:
    return array.reshape(shape)


@method
def t_(self: Tensor) -> Tensor:
    """In-place `t`."""
    if self.ndim > 2:
        raise RuntimeError(f"t_() expects a tensor with <= 2 dimensions, but self is {self.ndim}D")
    return apply_inplace_view(T_, self, (), (T_.forward, ()))


@method
def transpose_(self: Tensor, dim0: int, dim1: int) -> Tensor:
    """In-place `transpose`."""
    dims = wrap(dim0, self.ndim), wrap(dim1, self.ndim)
    return apply_inplace_view(TRANSPOSE_, self, dims, (TRANSPOSE_.forward, dims))


METHODS["swapaxes_"] = METHODS["swapdims_"] = transpose_


@method
def squeeze_(self: Tensor, dim: int | Sequence[int] | None = None) -> Tensor:
    """In-place `squeeze`."""
    back = (_reshaped, (tuple(self.shape),))
    if dim is None:
        return apply_inplace_view(SQUEEZE_, self, (), back)
    if isinstance(dim, (tuple, list)):
        return apply_inplace_view(SQUEEZE_DIMS_, self, (wrap_all(dim, self.ndim),), back)
    return apply_inplace_view(SQUEEZE_DIM_, self, (wrap(dim, self.ndim),), back)  # type: ignore[arg-type]


@method
def unsqueeze_(self: Tensor, dim: int) -> Tensor:
    """In-place `unsqueeze`."""
    return apply_inplace_view(UNSQUEEZE_, self, (wrap(dim, self.ndim + 1),), (_reshaped, (tuple(self.shape),)))
