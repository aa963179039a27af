"""`LKJCholesky`: lower triangular roots of matrices of correlations."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from gradviz.core.grad_mode import no_grad
from gradviz.core.public import FUNCTIONS
from gradviz.distributions import constraints
from gradviz.distributions.distribution import Distribution, standard_normal, tensors
from gradviz.distributions.gammas import Beta


class LKJCholesky(Distribution):
    """dim: of the matrices, 2 or more. concentration: 1 makes all alike, more those near the identity likelier.

    Source: D. Lewandowski, D. Kurowicka and H. Joe, 2009.
    """

    arg_constraints: ClassVar[Any] = {"concentration": constraints.positive}
    support = constraints.corr_cholesky
    _moved = ("concentration", "_beta")

    def __init__(self, dim: int, concentration: Any = 1.0, validate_args: bool | None = None) -> None:
        if dim < 2:
            raise ValueError(f"Expected dim to be an integer greater than or equal to 2. Found dim={dim}.")
        self.dim = dim
        (self.concentration,) = tensors(concentration)
        offset = FUNCTIONS["arange"](dim - 1, dtype=self.concentration.dtype)
        offset = FUNCTIONS["cat"]([offset.new_zeros((1,)), offset])
        rest = (self.concentration + 0.5 * (dim - 2)).unsqueeze(-1) - 0.5 * offset
        self._beta = Beta(offset + 0.5, rest)
        super().__init__(self.concentration.shape, (dim, dim), validate_args)

    def expand(self, batch_shape: Sequence[int], _instance: Any = None) -> Any:
        """The same variable as a batch of another shape, to which its own can be broadcast."""
        return type(self)(self.dim, self.concentration.expand(tuple(batch_shape)), self._validate_args)

    def sample(self, sample_shape: Sequence[int] = ()) -> Any:
        """Draw roots that have no gradient: rows are points on spheres whose radius is a `Beta` variable."""
        with no_grad():
            radius = self._beta.sample(sample_shape).unsqueeze(-1)
            drawn = standard_normal(self._extended_shape(sample_shape), radius.dtype).tril(-1)
            point = drawn / drawn.norm(dim=-1, keepdim=True)
            point[..., 0, :].fill_(0.0)
            rows = radius.sqrt() * point
            least = float(np.finfo(rows._data.dtype).tiny)
            return rows + FUNCTIONS["diag_embed"]((1 - (rows**2).sum(-1)).clamp(min=least).sqrt())

    def log_prob(self, value: Any) -> Any:
        """The logarithm of the density."""
        self._check(value)
        order = 2 * (self.concentration - 1).unsqueeze(-1) + self.dim - FUNCTIONS["arange"](2, self.dim + 1)
        found = (order * value.diagonal(dim1=-1, dim2=-2)[..., 1:].log()).sum(-1)
        count = self.dim - 1
        alpha = self.concentration + 0.5 * count
        size = 0.5 * count * math.log(math.pi) + FUNCTIONS["mvlgamma"](alpha - 0.5, count) - alpha.lgamma() * count
        return found - size
