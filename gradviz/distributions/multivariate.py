"""`MultivariateNormal`: vectors whose elements vary together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

from gradviz.core.public import FUNCTIONS, LINALG
from gradviz.distributions import constraints
from gradviz.distributions.distribution import Symmetric, standard_normal


class MultivariateNormal(Symmetric):
    """loc: the mean (..., n). One of: covariance_matrix; its inverse, precision_matrix; its root, scale_tril."""

    arg_constraints: ClassVar[Any] = {
        "loc": constraints.real_vector,
        "covariance_matrix": constraints.positive_definite,
        "precision_matrix": constraints.positive_definite,
        "scale_tril": constraints.lower_cholesky,
    }
    support = constraints.real_vector
    has_rsample = True
    _moved = ("loc", "_given")

    def __init__(
        self,
        loc: Any,
        covariance_matrix: Any = None,
        precision_matrix: Any = None,
        scale_tril: Any = None,
        validate_args: bool | None = None,
    ) -> None:
        if loc.ndim < 1:
            raise ValueError("loc must be at least one-dimensional.")
        given = {
            "covariance_matrix": covariance_matrix, "precision_matrix": precision_matrix, "scale_tril": scale_tril
        }  # fmt: skip
        named = {name: one for name, one in given.items() if one is not None}
        if len(named) != 1:
            raise ValueError(
                "Exactly one of covariance_matrix or precision_matrix or scale_tril may be specified."
            )
        ((name, matrix),) = named.items()
        if matrix.ndim < 2:
            raise ValueError(
                f"{name} {'matrix ' if name == 'scale_tril' else ''}must be at least two-dimensional, with optional "
                "leading batch dimensions"
            )
        lead = FUNCTIONS["broadcast_shapes"](tuple(matrix.shape[:-2]), tuple(loc.shape[:-1]))
        size = loc.shape[-1]
        self._name = name
        self._given = matrix.expand((*lead, size, size))
        self.loc = loc.expand((*lead, size))
        super().__init__(lead, (size,), validate_args)
        if name == "scale_tril":
            self._root = matrix
        elif name == "covariance_matrix":
            self._root = LINALG["cholesky"](matrix)
        else:
            self._root = _root_of_inverse(matrix)

    def _is_given(self, name: str) -> bool:
        return name in ("loc", self._name)

    @property
    def scale_tril(self) -> Any:
        """The lower triangular root of the covariances."""
        return self._given if self._name == "scale_tril" else self._root.expand(self._given.shape)

    @property
    def covariance_matrix(self) -> Any:
        """How elements vary together."""
        if self._name == "covariance_matrix":
            return self._given
        return (self._root @ self._root.mT).expand(self._given.shape)

    @property
    def precision_matrix(self) -> Any:
        """The inverse of the covariances."""
        if self._name == "precision_matrix":
            return self._given
        return FUNCTIONS["cholesky_inverse"](self._root).expand(self._given.shape)

    @property
    def variance(self) -> Any:
        """The diagonal of the covariances."""
        return self._root.pow(2).sum(-1).expand(self.loc.shape)

    def rsample(self, sample_shape: Sequence[int] = ()) -> Any:
        """Draw values through which the parameters get a gradient."""
        noise = standard_normal(self._extended_shape(sample_shape), self.loc.dtype)
        return self.loc + (self._root @ noise.unsqueeze(-1)).squeeze(-1)

    def log_prob(self, value: Any) -> Any:
        """The logarithm of the density."""
        self._check(value)
        distance = self._divided((value - self.loc).unsqueeze(-1)).pow(2).sum((-2, -1))
        return -0.5 * (self.loc.shape[-1] * math.log(2 * math.pi) + distance) - self._half_log_det()

    def entropy(self) -> Any:
        """The expected negated logarithm of the density."""
        found = 0.5 * self.loc.shape[-1] * (1.0 + math.log(2 * math.pi)) + self._half_log_det()
        return found.expand(self.batch_shape)

    def _divided(self, matrix: Any) -> Any:
        """What a matrix is in units of the root."""
        root = self._root.expand((*matrix.shape[:-2], *self._root.shape[-2:]))
        return LINALG["solve_triangular"](root, matrix, upper=False)

    def _half_log_det(self) -> Any:
        return self._root.diagonal(dim1=-2, dim2=-1).log().sum(-1)

    def _parameters(self) -> str:
        return f"loc: {self.loc.size()}, {self._name}: {self._given.size()}"


def _root_of_inverse(matrix: Any) -> Any:
    """The lower triangular root of a matrix's inverse: turned round, the inverse of the turned matrix's root."""
    turned = LINALG["cholesky"](matrix.flip((-2, -1)))
    upper = turned.flip((-2, -1)).mT
    ones = FUNCTIONS["eye"](matrix.shape[-1], dtype=matrix.dtype)
    return LINALG["solve_triangular"](upper, ones.expand(upper.shape), upper=False)
