"""Every family of random variables against PyTorch's: draws, densities, moments, gradients, copies and divergences."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from alike import assert_alike, text

import gradviz as gv


def leaf(library: Any, *values: float) -> Any:
    return library.tensor(list(values), dtype=library.float64, requires_grad=True)


def two(library: Any, low: float = 0.4, high: float = 2.5) -> tuple[Any, Any]:
    return leaf(library, low, 1.0, high), leaf(library, high, 0.8, 1.3)


MAKE: dict[str, Callable[[Any, Any], Any]] = {
    "Normal": lambda d, lib: d.Normal(*two(lib)),
    "Uniform": lambda d, lib: d.Uniform(leaf(lib, -1.0, 0.0, 0.2), leaf(lib, 0.5, 3.0, 4.0)),
    "Laplace": lambda d, lib: d.Laplace(*two(lib)),
    "Cauchy": lambda d, lib: d.Cauchy(*two(lib)),
    "Exponential": lambda d, lib: d.Exponential(two(lib)[0]),
    "LogNormal": lambda d, lib: d.LogNormal(*two(lib)),
    "LogisticNormal": lambda d, lib: d.LogisticNormal(*two(lib)),
    "HalfNormal": lambda d, lib: d.HalfNormal(two(lib)[1]),
    "HalfCauchy": lambda d, lib: d.HalfCauchy(two(lib)[1]),
    "Gumbel": lambda d, lib: d.Gumbel(*two(lib)),
    "Gumbel of numbers": lambda d, lib: d.Gumbel(0.5, 2.0),
    "Pareto": lambda d, lib: d.Pareto(*two(lib)),
    "Weibull": lambda d, lib: d.Weibull(*two(lib)),
    "VonMises": lambda d, lib: d.VonMises(*two(lib)),
    "Kumaraswamy": lambda d, lib: d.Kumaraswamy(*two(lib)),
    "LKJCholesky": lambda d, lib: d.LKJCholesky(3, leaf(lib, 0.7, 1.5)),
    "Gamma": lambda d, lib: d.Gamma(*two(lib)),
    "Gamma of numbers": lambda d, lib: d.Gamma(2.0, 3),
    "InverseGamma": lambda d, lib: d.InverseGamma(*two(lib)),
    "Chi2": lambda d, lib: d.Chi2(two(lib)[0]),
    "Beta": lambda d, lib: d.Beta(*two(lib)),
    "Beta of numbers": lambda d, lib: d.Beta(2, 3.0),
    "Dirichlet": lambda d, lib: d.Dirichlet(two(lib)[0]),
    "Dirichlet, small": lambda d, lib: d.Dirichlet(leaf(lib, 0.4, 0.5, 0.6, 0.2, 0.5, 0.9).view(2, 3)),
    "StudentT": lambda d, lib: d.StudentT(leaf(lib, 0.7, 1.6, 5.0), *two(lib)),
    "FisherSnedecor": lambda d, lib: d.FisherSnedecor(leaf(lib, 1.5, 3.0, 9.0), leaf(lib, 1.5, 3.0, 9.0)),
    "Geometric": lambda d, lib: d.Geometric(leaf(lib, 0.2, 0.5, 0.9)),
    "Geometric by logits": lambda d, lib: d.Geometric(logits=leaf(lib, 0.2, -0.5, 0.9)),
    "Poisson": lambda d, lib: d.Poisson(leaf(lib, 0.2, 5.0, 40.0)),
    "Bernoulli": lambda d, lib: d.Bernoulli(leaf(lib, 0.2, 0.5, 0.9)),
    "Binomial": lambda d, lib: d.Binomial(7, leaf(lib, 0.2, 0.5, 0.9)),
    "Binomial by logits": lambda d, lib: d.Binomial(lib.tensor([3, 30, 5]), logits=leaf(lib, 0.2, -0.5, 0.9)),
    "NegativeBinomial": lambda d, lib: d.NegativeBinomial(leaf(lib, 3.0, 4.5, 1.0), leaf(lib, 0.2, 0.5, 0.9)),
    "Categorical": lambda d, lib: d.Categorical(leaf(lib, 0.2, 0.5, 0.9)),
    "Multinomial": lambda d, lib: d.Multinomial(6, leaf(lib, 0.2, 0.5, 0.9)),
    "Multinomial by logits": lambda d, lib: d.Multinomial(6, logits=leaf(lib, 0.2, 0.5, 0.9, -1.0).view(2, 2)),
    "OneHotCategorical": lambda d, lib: d.OneHotCategorical(leaf(lib, 0.2, 0.5, 0.9)),
    "OneHotCategoricalStraightThrough": lambda d, lib: d.OneHotCategoricalStraightThrough(leaf(lib, 0.2, 0.5, 0.9)),
    "RelaxedBernoulli": lambda d, lib: d.RelaxedBernoulli(leaf(lib, 0.7), leaf(lib, 0.2, 0.5, 0.9)),
    "RelaxedOneHotCategorical": lambda d, lib: d.RelaxedOneHotCategorical(leaf(lib, 0.7), leaf(lib, 0.2, 0.5, 0.9)),
    "Independent": lambda d, lib: d.Independent(d.Laplace(*two(lib)), 1),
    "MultivariateNormal": lambda d, lib: d.MultivariateNormal(
        leaf(lib, 0.5, -1.0), leaf(lib, 2.0, 0.5, 0.5, 1.0).view(2, 2)
    ),
    "MixtureSameFamily": lambda d, lib: d.MixtureSameFamily(
        d.Categorical(leaf(lib, 0.2, 0.5, 0.9)), d.Normal(*two(lib))
    ),
    "MixtureSameFamily of vectors": lambda d, lib: d.MixtureSameFamily(
        d.Categorical(leaf(lib, 0.2, 0.5)), d.Independent(d.Normal(leaf(lib, 0, 1, 2, 3).view(2, 2), 0.5), 1)
    ),
    "TransformedDistribution": lambda d, lib: d.TransformedDistribution(
        d.Normal(*two(lib)), [d.AffineTransform(leaf(lib, 0.3), -2.0), d.TanhTransform()]
    ),
    "TransformedDistribution to vectors": lambda d, lib: d.TransformedDistribution(
        d.Normal(*two(lib)), [d.StickBreakingTransform()]
    ),
    "TransformedDistribution, reshaped": lambda d, lib: d.TransformedDistribution(
        d.Independent(d.Normal(lib.zeros(4).double(), 1.0), 1), [d.ReshapeTransform((4,), (2, 2)), d.SigmoidTransform()]
    ),
}
EXPONENTIAL = ("Exponential", "Pareto", "Weibull")
"""What is drawn by `exponential_`, whose numbers depend on the processor."""
APPROXIMATE = ("Gamma", "InverseGamma", "Chi2", "Beta", "Dirichlet", "StudentT", "FisherSnedecor", "VonMises")
"""What PyTorch has the slopes of draws of to three digits, and for angles of densities to seven."""


def found(call: Callable[[], Any]) -> Any:
    """What a call gives as an array, or the name of what it raises."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            value = call()
    except (NotImplementedError, ValueError, AttributeError) as error:
        return type(error).__name__
    return value.detach().numpy() if hasattr(value, "detach") else value


def look(library: Any, name: str) -> dict[str, Any]:
    """All that a family tells of itself."""
    library.manual_seed(5)
    leaves: list[Any] = []
    original = library.tensor

    def remember(*args: Any, **kwargs: Any) -> Any:
        leaves.append(original(*args, **kwargs))
        return leaves[-1]

    library.tensor = remember
    try:
        variable = MAKE[name](library.distributions, library)
    finally:
        library.tensor = original
    leaves = [one for one in leaves if one.requires_grad]
    seen: dict[str, Any] = {
        "text": repr(variable).replace("gradviz.", "torch."),
        "shapes": (tuple(variable.batch_shape), tuple(variable.event_shape)),
        "kinds": (variable.has_rsample, variable.has_enumerate_support),
        "support": repr(variable.support).replace("gradviz.", "torch."),
    }
    for part in ("mean", "mode", "variance", "stddev"):
        seen[part] = found(lambda part=part: getattr(variable, part))
    drawn = variable.sample((4,))
    if name.partition(" ")[0] in EXPONENTIAL:
        drawn = library.tensor([[1.1, 2.2, 3.0]] * 4, dtype=library.float64)
        drawn = drawn + variable.support.lower_bound.detach() if name == "Pareto" else drawn
    seen["sample"] = found(lambda: drawn)
    for part in ("log_prob", "cdf"):
        seen[part] = found(lambda part=part: getattr(variable, part)(drawn))
    seen["icdf"] = found(lambda: variable.icdf(library.tensor([0.1, 0.5, 0.8], dtype=library.float64)))
    seen["entropy"] = found(variable.entropy)
    seen["perplexity"] = found(variable.perplexity)
    for expand in (True, False):
        seen[f"values {expand}"] = found(lambda expand=expand: variable.enumerate_support(expand))
    wide = variable.expand((2, *variable.batch_shape))
    seen["wide"] = (tuple(wide.batch_shape), tuple(wide.event_shape), tuple(wide.sample((3,)).shape))
    seen["wide log_prob"] = found(lambda: wide.log_prob(drawn[:2]))
    if leaves:
        slopes = library.autograd.grad(variable.log_prob(drawn).sum(), leaves, retain_graph=True, allow_unused=True)
        seen["slopes"] = [None if one is None else one.numpy() for one in slopes]
    if variable.has_rsample and leaves and name.partition(" ")[0] not in EXPONENTIAL:
        library.manual_seed(9)
        again = variable.rsample((5,))
        weights = library.arange(again.numel(), dtype=library.float64).view(again.shape)
        slopes = library.autograd.grad((again * weights).sum(), leaves, allow_unused=True)
        seen["slopes of draws"] = [None if one is None else one.numpy() for one in slopes]
    return seen


@pytest.mark.parametrize("name", MAKE)
def test_a_family_is_pytorchs(name: str) -> None:
    ours, theirs = look(gv, name), look(torch, name)
    assert list(ours) == list(theirs)
    for part, mine in ours.items():
        other = theirs[part]
        rough = part == "slopes of draws" and name.split(",")[0].partition(" ")[0] in APPROXIMATE
        single = isinstance(mine, np.ndarray) and mine.dtype == np.float32
        tolerance = 5e-3 if rough else 5e-6 if single else 1e-7
        if not isinstance(mine, (np.ndarray, list)):
            assert mine == other, part
            continue
        pairs = zip(mine, other, strict=True) if isinstance(mine, list) else [(mine, other)]
        for one, two in pairs:
            assert (one is None) == (two is None), part
            if one is not None:
                assert isinstance(two, np.ndarray), f"{part}: PyTorch says {two}"
                assert one.shape == two.shape, part
                assert one.dtype == two.dtype, part
                np.testing.assert_allclose(one, two, rtol=tolerance, atol=tolerance / 10, err_msg=part)


KINDS = [
    "Normal", "Uniform", "Laplace", "Cauchy", "Exponential", "LogNormal", "HalfNormal", "Gumbel", "Pareto", "Gamma",
    "Chi2", "Beta", "Dirichlet", "Geometric", "Poisson", "Bernoulli", "Binomial", "Categorical", "OneHotCategorical",
    "Independent", "MultivariateNormal", "StudentT",
]  # fmt: skip
NO_FORMULA = {("Uniform", "Beta"), ("Uniform", "Gamma"), ("Uniform", "Gumbel"), ("Uniform", "Pareto")} | {
    ("Beta", "Gamma"), ("Beta", "Pareto"), ("Beta", "Chi2"), ("Exponential", "Gumbel"), ("Gamma", "Gumbel"),
    ("Uniform", "Chi2"), ("Chi2", "Gumbel"), ("Pareto", "Beta"), ("Pareto", "Exponential"), ("Pareto", "Gamma"),
    ("Pareto", "Normal"), ("Pareto", "Uniform"), ("Pareto", "Chi2"),
}  # fmt: skip
"""Pairs that PyTorch has a formula for and gradviz none yet."""


@pytest.mark.parametrize(("first", "second"), list(itertools.product(KINDS, KINDS)))
def test_divergences_of_all_pairs(first: str, second: str) -> None:
    def far(library: Any) -> Any:
        one, other = (MAKE[name](library.distributions, library) for name in (first, second))
        return found(lambda: library.distributions.kl_divergence(one, other))

    ours, theirs = far(gv), far(torch)
    if (first, second) in NO_FORMULA:
        assert ours == "NotImplementedError"
        assert isinstance(theirs, np.ndarray)
    elif isinstance(theirs, str):
        assert ours == theirs
    else:
        assert isinstance(ours, np.ndarray)
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-12)


def test_divergences_of_other_parameters_and_of_the_users_own() -> None:
    def program(library: Any) -> list[Any]:
        d = library.distributions
        pairs = [
            (d.Uniform(0.0, 1.0), d.Uniform(0.2, 3.0)),
            (d.Uniform(0.3, 1.0), d.Uniform(0.2, 3.0)),
            (d.Bernoulli(library.tensor([0.0, 1.0, 0.3])), d.Bernoulli(library.tensor([0.0, 0.5, 1.0]))),
            (d.Pareto(1.0, 2.0), d.Pareto(0.5, 3.0)),
            (d.Pareto(0.4, 2.0), d.Pareto(0.5, 3.0)),
            (d.Binomial(5, library.tensor(0.3)), d.Binomial(4, library.tensor(0.4))),
            (d.Gamma(2.0, 3.0), d.Gamma(4.0, 0.5)),
            (d.Dirichlet(library.tensor([1.0, 2.0])), d.Dirichlet(library.tensor([0.5, 3.0]))),
        ]
        values = [d.kl_divergence(*pair) for pair in pairs]

        class Mine(d.Normal):
            pass

        d.register_kl(Mine, d.Normal)(lambda p, q: library.tensor(7.0))
        return [*values, d.kl_divergence(Mine(0.0, 1.0), d.Normal(0.0, 1.0))]

    assert_alike(program)


WRONG: dict[str, Callable[[Any, Any], Any]] = {
    "no tensor": lambda d, lib: d.Normal(0.0, 1.0).log_prob(0.5),
    "below zero": lambda d, lib: d.Exponential(1.0).log_prob(lib.tensor(-1.0)),
    "a half": lambda d, lib: d.Poisson(2.0).log_prob(lib.tensor([1.0, 0.5])),
    "neither": lambda d, lib: d.Bernoulli(0.5).log_prob(lib.tensor(2.0)),
    "no such class": lambda d, lib: d.Categorical(lib.ones(3)).log_prob(lib.tensor(3)),
    "no shares": lambda d, lib: d.Dirichlet(lib.ones(2)).log_prob(lib.tensor([0.5, 0.6])),
    "another event": lambda d, lib: d.Dirichlet(lib.ones(2)).log_prob(lib.tensor([0.5, 0.2, 0.3])),
    "another batch": lambda d, lib: d.Normal(lib.zeros(2), 1.0).log_prob(lib.zeros(3)),
    "rate": lambda d, lib: d.Gamma(1.0, -1.0),
    "no concentrations": lambda d, lib: d.Dirichlet(lib.tensor(1.0)),
    "shares that are none": lambda d, lib: d.Categorical(lib.tensor([-1.0, 2.0])),
    "chance": lambda d, lib: d.Geometric(lib.tensor([0.0, 0.5])),
    "both": lambda d, lib: d.Binomial(3, lib.tensor(0.5), lib.tensor(0.5)),
    "counts": lambda d, lib: d.Binomial(lib.tensor([1, 2]), lib.tensor(0.5)).entropy(),
    "several counts": lambda d, lib: d.Multinomial(lib.tensor([1, 2]), lib.tensor([0.5, 0.5])),
    "no transform": lambda d, lib: d.TransformedDistribution(d.Normal(0.0, 1.0), "exp"),
    "a transform of vectors": lambda d, lib: d.TransformedDistribution(d.Normal(0.0, 1.0), d.StickBreakingTransform()),
    "no choice": lambda d, lib: d.MixtureSameFamily(d.Normal(0.0, 1.0), d.Normal(0.0, 1.0)),
    "other components": lambda d, lib: d.MixtureSameFamily(d.Categorical(lib.ones(3)), d.Normal(lib.zeros(2), 1.0)),
    "no numbers": lambda d, lib: d.Normal("a", 1.0),
    "no mode": lambda d, lib: d.Multinomial(3, lib.ones(2)).mode,
    "too many dimensions": lambda d, lib: d.Independent(d.Normal(0.0, 1.0), 1),
    "an order": lambda d, lib: d.Independent(d.Bernoulli(lib.ones(2) / 2), 1).enumerate_support(),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_is_refused_in_pytorchs_words(name: str) -> None:
    told = []
    for library in (gv, torch):
        with pytest.raises((ValueError, NotImplementedError)) as caught:
            WRONG[name](library.distributions, library)
        words = text(caught.value).replace("gradviz.Size", "torch.Size").replace("gradviz.distributions", "torch.dist")
        told.append((caught.type.__name__, " ".join(words.split())))
    ours, theirs = told
    assert ours[0] == theirs[0]
    if "mode" not in name:
        assert ours[1] == theirs[1]


def test_checks_can_be_left_out() -> None:
    for library in (gv, torch):
        d = library.distributions
        assert d.Exponential(1.0, validate_args=False).log_prob(library.tensor(-1.0)).item() == 1.0
        d.Distribution.set_default_validate_args(False)
        try:
            assert d.Normal(0.0, -1.0).scale.item() == -1.0
        finally:
            d.Distribution.set_default_validate_args(True)
