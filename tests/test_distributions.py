"""Random variables draw PyTorch's numbers, and have its densities, entropies, divergences and gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from alike import assert_alike

import gradviz as gv


def leaf(library: Any, *values: float, dtype: Any = None) -> Any:
    return library.tensor(list(values), dtype=dtype, requires_grad=True)


MAKE: dict[str, Callable[[Any], Any]] = {
    "Normal": lambda lib: lib.distributions.Normal(leaf(lib, 0.5, -1.0, 2.0), leaf(lib, 1.0, 0.3, 2.0)),
    "Normal of numbers": lambda lib: lib.distributions.Normal(0.5, 2.0),
    "LogNormal": lambda lib: lib.distributions.LogNormal(leaf(lib, 0.5, -1.0, 0.2, dtype=lib.float64), 0.5),
    "Uniform": lambda lib: lib.distributions.Uniform(leaf(lib, 0.0, -1.0, 0.1), 4.0),
    "Laplace": lambda lib: lib.distributions.Laplace(leaf(lib, 0.0, -1.0, 0.1), 2.0),
    "Exponential": lambda lib: lib.distributions.Exponential(leaf(lib, 0.5, 1.0, 2.0)),
    "Bernoulli": lambda lib: lib.distributions.Bernoulli(leaf(lib, 0.2, 0.5, 0.9)),
    "Bernoulli by logits": lambda lib: lib.distributions.Bernoulli(logits=leaf(lib, 0.2, -0.5, 1.9)),
    "Categorical": lambda lib: lib.distributions.Categorical(leaf(lib, 0.2, 0.5, 0.9)),
    "Categorical by logits": lambda lib: lib.distributions.Categorical(logits=leaf(lib, 0.2, -0.5, 1, 2).view(2, 2)),
    "OneHotCategorical": lambda lib: lib.distributions.OneHotCategorical(leaf(lib, 0.2, 0.5, 0.9)),
    "Independent": lambda lib: lib.distributions.Independent(MAKE["Normal"](lib), 1),
    "MultivariateNormal": lambda lib: lib.distributions.MultivariateNormal(
        leaf(lib, 0.5, -1.0), leaf(lib, 2.0, 0.5, 0.5, 1.0).view(2, 2)
    ),
    "MultivariateNormal by root": lambda lib: lib.distributions.MultivariateNormal(
        lib.ones(3, 2), scale_tril=leaf(lib, 2.0, 0.0, 0.5, 1.0).view(2, 2)
    ),
    "MultivariateNormal by inverse": lambda lib: lib.distributions.MultivariateNormal(
        lib.zeros(2), precision_matrix=leaf(lib, 2.0, 0.5, 0.5, 1.0).view(2, 2)
    ),
}
THEIR_OWN = ("Exponential",)
"""What PyTorch draws by a generator of its own."""


@pytest.mark.parametrize("name", MAKE)
def test_samples_densities_and_gradients(name: str) -> None:
    def program(library: Any) -> list[Any]:
        library.manual_seed(4)
        variable = MAKE[name](library)
        shapes = [tuple(variable.batch_shape), tuple(variable.event_shape), repr(variable).replace("gradviz", "torch")]
        drawn = variable.sample((3, 2))
        if name in THEIR_OWN:
            drawn = library.ones(3, 2, *variable.batch_shape)
        density = variable.log_prob(drawn)
        parts = [drawn, density.detach(), tuple(variable.sample().shape)]
        if name.startswith("Multivariate"):
            matrices = (variable.covariance_matrix, variable.precision_matrix, variable.scale_tril)
            parts += [one.detach() for one in matrices]
        parts += [one.detach().nan_to_num(-7.0) for one in (variable.entropy(), variable.mean, variable.variance)]
        if variable.has_rsample and name not in THEIR_OWN:
            again = variable.rsample((2,))
            parts.append(again.detach())
            density = density.sum() + again.sum()
        if density.requires_grad:
            (density.sum() + variable.entropy().sum()).backward()
            roots = [getattr(variable, part, None) for part in ("loc", "scale", "low", "rate", "_param")]
            parts += [root.grad for root in roots if root is not None and root.is_leaf and root.requires_grad]
        return shapes + parts

    assert_alike(program)


@pytest.mark.parametrize("name", ["Normal", "Uniform", "Exponential"])
def test_how_likely_a_smaller_value_is(name: str) -> None:
    assert_alike(lambda library: MAKE[name](library).cdf(library.tensor([0.3, 0.1, 1.2])).detach())


PAIRS: dict[str, Callable[[Any], tuple[Any, Any]]] = {
    "Normal": lambda lib: (MAKE["Normal"](lib), lib.distributions.Normal(0.0, 1.0)),
    "Bernoulli": lambda lib: (MAKE["Bernoulli"](lib), lib.distributions.Bernoulli(lib.tensor([0.5, 0.1, 0.2]))),
    "Categorical": lambda lib: (MAKE["Categorical"](lib), lib.distributions.Categorical(lib.ones(3))),
    "OneHotCategorical": lambda lib: (MAKE["OneHotCategorical"](lib), lib.distributions.OneHotCategorical(lib.ones(3))),
    "MultivariateNormal": lambda lib: (
        MAKE["MultivariateNormal"](lib), MAKE["MultivariateNormal by root"](lib)
    ),
    "Independent": lambda lib: (
        MAKE["Independent"](lib),
        lib.distributions.Independent(lib.distributions.Normal(lib.zeros(3), lib.ones(3)), 1),
    ),
}


@pytest.mark.parametrize("name", PAIRS)
def test_divergences(name: str) -> None:
    assert_alike(lambda library: library.distributions.kl_divergence(*PAIRS[name](library)).detach())


def test_what_cannot_be_is_refused() -> None:
    for library in (gv, torch):
        names = library.distributions
        for call, message in (
            (lambda names=names: names.Normal(0.0, -1.0), r"to satisfy the constraint GreaterThan\(lower_bound=0\.0\)"),
            (lambda names=names: names.Bernoulli(1.5), r"Interval\(lower_bound=0\.0, upper_bound=1\.0\)"),
            (lambda names=names: names.Categorical(), "Either `probs` or `logits` must be specified, but not both"),
            (
                lambda names=names, lib=library: names.MultivariateNormal(lib.zeros(2), lib.zeros(2, 2)),
                r"of shape \(2, 2\)\) of distribution .* to satisfy the constraint PositiveDefinite\(\)",
            ),
            (
                lambda names=names, lib=library: names.MultivariateNormal(lib.zeros(2), scale_tril=lib.ones(2, 2)),
                r"to satisfy the constraint LowerCholesky\(\)",
            ),
            (lambda names=names, lib=library: names.MultivariateNormal(lib.zeros(2)), "Exactly one of covariance"),
            (
                lambda names=names, lib=library: names.MultivariateNormal(lib.zeros(()), lib.eye(1)),
                "loc must be at least one-dimensional",
            ),
            (lambda names=names: names.Uniform(1.0, 0.0), "to satisfy the constraint LessThan"),
            (lambda names=names: names.Independent(names.Normal(0.0, 1.0), 1), "Expected reinterpreted_batch_ndims"),
        ):
            with pytest.raises(ValueError, match=message):
                call()
        with pytest.raises(NotImplementedError):
            names.kl_divergence(names.Normal(0.0, 1.0), names.Bernoulli(0.5))


def test_a_missing_one_says_so() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Wishart'"):
        gv.distributions.Wishart  # noqa: B018 - the look-up raises


@pytest.mark.parametrize("family", ["Categorical", "Bernoulli", "OneHotCategorical", "Geometric"])
def test_probabilities_and_logits_are_computed_once(family: str) -> None:
    def program(library: Any) -> list[Any]:
        p = library.tensor([0.2, 0.3, 0.5], requires_grad=True)
        one = getattr(library.distributions, family)(probs=p)
        with library.no_grad():
            found = [one.logits is one.logits or family.startswith("One"), one.logits.requires_grad]
        text = repr(one).replace("gradviz", "torch")
        other = one.expand((2, *one.batch_shape))
        found += [text, other.logits, tuple(other.probs.shape)]
        one.logits.sum().backward()
        found.append(p.grad)
        try:
            one.logits.sum().backward()
        except RuntimeError as error:
            found.append(str(error).split(".")[0])
        return found

    assert_alike(program)
