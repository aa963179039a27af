"""How far one distribution is from another: `kl_divergence`."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from gradviz.core.public import FUNCTIONAL, FUNCTIONS
from gradviz.distributions.continuous import Normal
from gradviz.distributions.discrete import Bernoulli, Categorical, OneHotCategorical
from gradviz.distributions.distribution import Distribution, Independent
from gradviz.distributions.multivariate import MultivariateNormal


def kl_divergence(p: Distribution, q: Distribution) -> Any:
    """The expected logarithm of how much likelier values of `p` are under `p` than under `q`.

    Raises NotImplementedError for two distributions that no formula is written for.
    """
    for (first, second), compute in _FORMULAS.items():
        if type(p) is first and type(q) is second:
            return compute(p, q)
    names = [type(one).__name__ for one in (p, q)]
    raise NotImplementedError(f"No KL(p || q) is implemented for p type {names[0]} and q type {names[1]}")


def _normal(p: Any, q: Any) -> Any:
    ratio = (p.scale / q.scale).pow(2)
    distance = ((p.loc - q.loc) / q.scale).pow(2)
    return 0.5 * (ratio + distance - 1 - ratio.log())


def _bernoulli(p: Any, q: Any) -> Any:
    softplus = FUNCTIONAL["softplus"]
    one = p.probs * (softplus(-q.logits) - softplus(-p.logits))
    return FUNCTIONS["where"](p.probs == 0, 0.0, one) + (1 - p.probs) * (softplus(q.logits) - softplus(p.logits))


def _categorical(p: Any, q: Any) -> Any:
    parts = p.probs * (p.logits - q.logits)
    parts = FUNCTIONS["where"](q.probs.expand_as(parts) == 0, math.inf, parts)
    return FUNCTIONS["where"](p.probs.expand_as(parts) == 0, 0.0, parts).sum(-1)


def _one_hot(p: Any, q: Any) -> Any:
    return _categorical(p._categorical, q._categorical)


def _multivariate(p: Any, q: Any) -> Any:
    if p.event_shape != q.event_shape:
        raise ValueError(
            "KL-divergence between two Multivariate Normals with different event shapes cannot be computed"
        )
    lead = FUNCTIONS["broadcast_shapes"](tuple(p.batch_shape), tuple(q.batch_shape))
    root = p._root.expand((*lead, *p._root.shape[-2:]))
    spread = q._divided(root).pow(2).sum((-2, -1))
    distance = q._divided((q.loc - p.loc).unsqueeze(-1)).pow(2).sum((-2, -1))
    return q._half_log_det() - p._half_log_det() + 0.5 * (spread + distance - p.event_shape[0])


def _independent(p: Any, q: Any) -> Any:
    if p.reinterpreted_batch_ndims != q.reinterpreted_batch_ndims:
        raise NotImplementedError
    return p._summed(kl_divergence(p.base_dist, q.base_dist))


_FORMULAS: dict[tuple[type, type], Callable[[Any, Any], Any]] = {
    (Normal, Normal): _normal,
    (Bernoulli, Bernoulli): _bernoulli,
    (Categorical, Categorical): _categorical,
    (OneHotCategorical, OneHotCategorical): _one_hot,
    (Independent, Independent): _independent,
    (MultivariateNormal, MultivariateNormal): _multivariate,
}
