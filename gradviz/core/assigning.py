"""What a program may assign to `.grad`: a tensor like the one that it is the gradient of. The texts are PyTorch's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gradviz.core.tensor import Tensor


def refuse_gradient(tensor: Tensor, value: Any, kind: type[Tensor]) -> None:
    """Raise TypeError where `value` is no tensor, RuntimeError where it cannot be the gradient of `tensor`."""
    if not isinstance(value, kind):
        raise TypeError(f"assigned grad expected to be a Tensor or None but got {type(value).__name__}")
    if value is tensor:
        raise RuntimeError("can't assign Variable as its own grad")
    if value._data.dtype != tensor._data.dtype:
        raise RuntimeError(
            f"attempting to assign a gradient with dtype '{_scalar_type(value)}' to a tensor with grad_dtype "
            f"'{_scalar_type(tensor)}'. The gradient must match the tensor's grad_dtype (defaults to the tensor's "
            "dtype). You can set the tensor's grad_dtype attribute with a specific dtype, or None to allow any dtype. "
            "Set grad_dtype with caution. Diverging the dtypes of a tensor and its gradient may break downstream "
            "systems that assume they match."
        )
    if value._data.shape != tensor._data.shape:
        have, want = list(value._data.shape), list(tensor._data.shape)
        raise RuntimeError(
            f"attempting to assign a gradient of size '{have}' to a tensor of size '{want}'. Please ensure that the "
            "gradient and the tensor are the same size"
        )


def _scalar_type(tensor: Tensor) -> str:
    return tensor.dtype.type_name.removesuffix("Tensor")
