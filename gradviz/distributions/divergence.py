"""How far one distribution is from another: `kl_divergence`."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

from gradviz.core.public import FUNCTIONAL, FUNCTIONS
from gradviz.distributions.continuous import Cauchy, Exponential, Laplace, Normal, Uniform
from gradviz.distributions.counts import Binomial, Geometric, Poisson
from gradviz.distributions.discrete import Bernoulli, Categorical, OneHotCategorical
from gradviz.distributions.distribution import Distribution, Independent, filled, summed
from gradviz.distributions.gammas import Beta, Dirichlet, Gamma
from gradviz.distributions.multivariate import MultivariateNormal
from gradviz.distributions.transformed import EULER, Gumbel, HalfNormal, Pareto, TransformedDistribution

Formula = Callable[[Any, Any], Any]

_FORMULAS: dict[tuple[type, type], Formula] = {}
"""By the classes of two distributions what computes their divergence."""


def register_kl(type_p: type, type_q: type) -> Callable[[Formula], Formula]:
    """Mark a function that computes the divergence of two kinds of distributions, and of those derived from them."""

    def mark(call: Formula) -> Formula:
        _FORMULAS[type_p, type_q] = call
        return call

    return mark


def kl_divergence(p: Distribution, q: Distribution) -> Any:
    """The expected logarithm of how much likelier values of `p` are under `p` than under `q`.

    Raises NotImplementedError for two distributions that no formula is written for.
    """
    found = [pair for pair in _FORMULAS if isinstance(p, pair[0]) and isinstance(q, pair[1])]
    if not found:
        names = [type(one).__name__ for one in (p, q)]
        raise NotImplementedError(f"No KL(p || q) is implemented for p type {names[0]} and q type {names[1]}")
    near = [[type(one).__mro__.index(kind) for one, kind in zip((p, q), pair, strict=True)] for pair in found]
    first = min(zip(near, found, strict=True), key=lambda one: one[0])[1]
    second = min(zip(near, found, strict=True), key=lambda one: one[0][::-1])[1]
    if _FORMULAS[first] is not _FORMULAS[second]:
        warnings.warn(
            f"Ambiguous kl_divergence({type(p).__name__}, {type(q).__name__}). Please "
            f"register_kl({first[0].__name__}, {second[1].__name__})",
            RuntimeWarning,
            stacklevel=2,
        )
    return _FORMULAS[first](p, q)


# ---- of two of a kind


@register_kl(Normal, Normal)
def _normal(p: Any, q: Any) -> Any:
    ratio = (p.scale / q.scale).pow(2)
    distance = ((p.loc - q.loc) / q.scale).pow(2)
    return 0.5 * (ratio + distance - 1 - ratio.log())


@register_kl(Bernoulli, Bernoulli)
def _bernoulli(p: Any, q: Any) -> Any:
    softplus = FUNCTIONAL["softplus"]
    where = FUNCTIONS["where"]
    one = where(q.probs == 0, math.inf, p.probs * (softplus(-q.logits) - softplus(-p.logits)))
    none = where(q.probs == 1, math.inf, (1 - p.probs) * (softplus(q.logits) - softplus(p.logits)))
    return where(p.probs == 0, 0.0, one) + where(p.probs == 1, 0.0, none)


@register_kl(Categorical, Categorical)
def _categorical(p: Any, q: Any) -> Any:
    parts = p.probs * (p.logits - q.logits)
    parts = FUNCTIONS["where"](q.probs.expand_as(parts) == 0, math.inf, parts)
    return FUNCTIONS["where"](p.probs.expand_as(parts) == 0, 0.0, parts).sum(-1)


@register_kl(OneHotCategorical, OneHotCategorical)
def _one_hot(p: Any, q: Any) -> Any:
    return _categorical(p._categorical, q._categorical)


@register_kl(MultivariateNormal, MultivariateNormal)
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


@register_kl(Independent, Independent)
def _independent(p: Any, q: Any) -> Any:
    if p.reinterpreted_batch_ndims != q.reinterpreted_batch_ndims:
        raise NotImplementedError
    return summed(kl_divergence(p.base_dist, q.base_dist), p.reinterpreted_batch_ndims)


@register_kl(TransformedDistribution, TransformedDistribution)
def _transformed(p: Any, q: Any) -> Any:
    if p.transforms != q.transforms or p.event_shape != q.event_shape:
        raise NotImplementedError
    return kl_divergence(p.base_dist, q.base_dist)


@register_kl(HalfNormal, HalfNormal)
def _half_normal(p: Any, q: Any) -> Any:
    return _normal(p.base_dist, q.base_dist)


@register_kl(Beta, Beta)
def _beta(p: Any, q: Any) -> Any:
    return _dirichlet(p._dirichlet, q._dirichlet)


@register_kl(Dirichlet, Dirichlet)
def _dirichlet(p: Any, q: Any) -> Any:
    mine, others = p.concentration, q.concentration
    totals = mine.sum(-1).lgamma() - others.sum(-1).lgamma() - (mine.lgamma() - others.lgamma()).sum(-1)
    logs = mine.digamma() - mine.sum(-1).digamma().unsqueeze(-1)
    return totals + ((mine - others) * logs).sum(-1)


@register_kl(Gamma, Gamma)
def _gamma(p: Any, q: Any) -> Any:
    mine, others = p.concentration, q.concentration
    rates = others * (p.rate / q.rate).log() + (q.rate - p.rate) * (mine / p.rate)
    return rates + others.lgamma() - mine.lgamma() + (mine - others) * mine.digamma()


@register_kl(Exponential, Exponential)
def _exponential(p: Any, q: Any) -> Any:
    ratio = q.rate / p.rate
    return -ratio.log() + ratio - 1


@register_kl(Laplace, Laplace)
def _laplace(p: Any, q: Any) -> Any:
    ratio, away = p.scale / q.scale, (p.loc - q.loc).abs()
    return -ratio.log() + away / q.scale + ratio * (-away / p.scale).exp() - 1


@register_kl(Cauchy, Cauchy)
def _cauchy(p: Any, q: Any) -> Any:
    apart = (p.scale + q.scale).pow(2) + (p.loc - q.loc).pow(2)
    return apart.log() - (4 * p.scale * q.scale).log()


@register_kl(Gumbel, Gumbel)
def _gumbel(p: Any, q: Any) -> Any:
    ratio, mine, other = p.scale / q.scale, p.loc / q.scale, q.loc / q.scale
    return -ratio.log() - other + mine + ratio * EULER + (other + (1 + ratio).lgamma() - mine).exp() - (1 + EULER)


@register_kl(Uniform, Uniform)
def _uniform(p: Any, q: Any) -> Any:
    ratio = ((q.high - q.low) / (p.high - p.low)).log()
    return FUNCTIONS["where"]((q.low > p.low) | (q.high < p.high), math.inf, ratio)


@register_kl(Pareto, Pareto)
def _pareto(p: Any, q: Any) -> Any:
    ratio = q.alpha / p.alpha
    found = q.alpha * (p.scale / q.scale).log() - ratio.log() + ratio - 1
    return FUNCTIONS["where"](p.scale < q.scale, math.inf, found)


@register_kl(Poisson, Poisson)
def _poisson(p: Any, q: Any) -> Any:
    return p.rate * (p.rate.log() - q.rate.log()) - (p.rate - q.rate)


@register_kl(Geometric, Geometric)
def _geometric(p: Any, q: Any) -> Any:
    return -p.entropy() - (-q.probs).log1p() / p.probs - q.logits


@register_kl(Binomial, Binomial)
def _binomial(p: Any, q: Any) -> Any:
    if (p.total_count < q.total_count).any():
        raise NotImplementedError("KL between Binomials where q.total_count > p.total_count is not implemented")
    found = p.total_count * (p.probs * (p.logits - q.logits) + (-p.probs).log1p() - (-q.probs).log1p())
    return FUNCTIONS["where"](p.total_count > q.total_count, math.inf, found)


# ---- of two kinds


@register_kl(Bernoulli, Poisson)
def _bernoulli_poisson(p: Any, q: Any) -> Any:
    return -p.entropy() - (p.probs * q.rate.log() - q.rate)


def _from_normal(p: Any, q: Any) -> Any:
    """The divergence from a normal variable by entropy, mean and variance."""
    spread = (p.variance + (p.mean - q.loc).pow(2)) / q.scale.pow(2)
    return -p.entropy() + 0.5 * math.log(2 * math.pi) + q.scale.log() + 0.5 * spread


def _from_exponential(p: Any, q: Any) -> Any:
    return -p.entropy() - q.rate.log() + q.rate * p.mean


_SPREAD: tuple[type, ...] = (Beta, Exponential, Gamma, Gumbel, Laplace, Uniform)
for _kind in _SPREAD:
    register_kl(_kind, Normal)(_from_normal)
for _kind in (Beta, Gamma):
    register_kl(_kind, Exponential)(_from_exponential)


@register_kl(Uniform, Exponential)
def _uniform_exponential(p: Any, q: Any) -> Any:
    return FUNCTIONS["where"](p.low < 0, math.inf, _from_exponential(p, q))


@register_kl(Exponential, Gamma)
def _exponential_gamma(p: Any, q: Any) -> Any:
    ratio, concentration = q.rate / p.rate, q.concentration
    return -concentration * ratio.log() + ratio + concentration.lgamma() + concentration * EULER - (1 + EULER)


@register_kl(Normal, Laplace)
def _normal_laplace(p: Any, q: Any) -> Any:
    away = p.loc - q.loc
    part = away / p.scale
    mean = math.sqrt(2 / math.pi) * p.scale * (-0.5 * part.pow(2)).exp() + away * (math.sqrt(0.5) * part).erf()
    return -(p.scale / q.scale).log() + mean / q.scale - 0.5 * (1 + math.log(0.5 * math.pi))


@register_kl(Normal, Gumbel)
def _normal_gumbel(p: Any, q: Any) -> Any:
    ratio, away = (p.scale / q.scale).pow(2), (p.loc - q.loc) / q.scale
    return -0.5 * ratio.log() + away + (0.5 * ratio - away).exp() - 0.5 * (1 + math.log(2 * math.pi))


@register_kl(Beta, Uniform)
def _beta_uniform(p: Any, q: Any) -> Any:
    found = -p.entropy() + (q.high - q.low).log()
    return FUNCTIONS["where"]((q.low > 0) | (q.high < 1), math.inf, found)


def _infinite(p: Any, q: Any) -> Any:
    """What `p` can be and `q` cannot."""
    return filled(p.rate if hasattr(p, "rate") else p.loc, math.inf)


_NARROWER: tuple[tuple[type, tuple[type, ...]], ...] = (
    (Exponential, (Beta, Pareto, Uniform)),
    (Gamma, (Beta, Pareto, Uniform)),
    (Normal, (Beta, Exponential, Gamma, Pareto, Uniform)),
    (Laplace, (Beta, Exponential, Gamma, Pareto, Uniform)),
    (Gumbel, (Beta, Exponential, Gamma, Pareto, Uniform)),
    (Poisson, (Bernoulli, Binomial)),
)
for _kind, _others in _NARROWER:
    for _other in _others:
        register_kl(_kind, _other)(_infinite)
