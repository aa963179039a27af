"""How far the rows of two tensors are apart, as modules: `PairwiseDistance`, `CosineSimilarity`."""

from __future__ import annotations

from gradviz.core.tensor import Tensor
from gradviz.nn import functional
from gradviz.nn.module import Module


class PairwiseDistance(Module):
    """The p-norm of the difference along the last dimension."""

    def __init__(self, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> None:
        super().__init__()
        self.norm = p
        self.eps = eps
        self.keepdim = keepdim

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        """Both (n, m). Returns (n,)."""
        result: Tensor = functional.pairwise_distance(x1, x2, self.norm, self.eps, self.keepdim)
        return result


class CosineSimilarity(Module):
    """The cosine of the angle between two inputs along `dim`."""

    def __init__(self, dim: int = 1, eps: float = 1e-8) -> None:
        super().__init__()
        self.dim = dim
        self.eps = eps

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        """Both (...). Returns that shape without `dim`."""
        result: Tensor = functional.cosine_similarity(x1, x2, self.dim, self.eps)
        return result
