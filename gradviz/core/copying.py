"""Deep copies of tensors: what `copy.deepcopy` makes of one."""

from __future__ import annotations

import copy
from typing import Any

from gradviz.core.apply import leaf
from gradviz.core.tensor import Tensor


def deep_copy(tensor: Tensor, memo: dict[int, Any]) -> Tensor:
    """A leaf of its own with the same numbers, gradient and attributes. Raises RuntimeError for what is no leaf."""
    if not tensor.is_leaf:
        raise RuntimeError(
            "Only Tensors created explicitly by the user (graph leaves) support the deepcopy protocol at the moment.  "
            "If you were attempting to deepcopy a module, this may be because of a torch.nn.utils.weight_norm usage, "
            "see https://github.com/pytorch/pytorch/pull/103001"
        )
    twin = leaf(tensor._data.copy(), "tensor", tensor._requires_grad, type(tensor))
    memo[id(tensor)] = twin
    if tensor._grad is not None:
        twin._grad = copy.deepcopy(tensor._grad, memo)
    vars(twin).update(copy.deepcopy(vars(tensor), memo))
    return twin
