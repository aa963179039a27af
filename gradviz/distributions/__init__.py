"""Random variables with a density: `Normal`, `Categorical`, ..., under PyTorch's names."""

from __future__ import annotations

from typing import Any

from gradviz.distributions.continuous import Exponential, Laplace, LogNormal, Normal, Uniform
from gradviz.distributions.discrete import Bernoulli, Categorical, OneHotCategorical
from gradviz.distributions.distribution import Distribution, Independent
from gradviz.distributions.divergence import kl_divergence
from gradviz.distributions.multivariate import MultivariateNormal
from gradviz.errors import missing_name

__all__ = [
    "Bernoulli",
    "Categorical",
    "Distribution",
    "Exponential",
    "Independent",
    "Laplace",
    "LogNormal",
    "MultivariateNormal",
    "Normal",
    "OneHotCategorical",
    "Uniform",
    "kl_divergence",
]


def __getattr__(name: str) -> Any:
    raise missing_name(__name__, name, __all__)
