"""Transforms of random variables, and constraints of what they can be, against PyTorch's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from alike import assert_alike

import gradviz as gv

VALUES = [[0.3, -1.2, 0.8], [1.5, 0.1, -0.4]]
MATRICES = [[[0.3, 0.0], [0.8, 1.2]], [[1.5, 0.0], [-0.4, 0.2]]]

MAKE: dict[str, Callable[[Any, Any], Any]] = {
    "exp": lambda d, lib: d.ExpTransform(),
    "power": lambda d, lib: d.ComposeTransform([d.ExpTransform(), d.PowerTransform(lib.tensor([2.0, -0.5, 1.0]))]),
    "sigmoid": lambda d, lib: d.SigmoidTransform(),
    "tanh": lambda d, lib: d.TanhTransform(cache_size=1),
    "softplus": lambda d, lib: d.SoftplusTransform(),
    "abs": lambda d, lib: d.AbsTransform(),
    "affine": lambda d, lib: d.AffineTransform(lib.tensor([1.0, 2.0, 3.0]), -2.0),
    "affine of vectors": lambda d, lib: d.AffineTransform(1.0, lib.tensor([1.0, -2.0, 3.0]), event_dim=1),
    "affine of vectors by a number": lambda d, lib: d.AffineTransform(1, 3, event_dim=1),
    "softmax": lambda d, lib: d.SoftmaxTransform(),
    "stick breaking": lambda d, lib: d.StickBreakingTransform(),
    "reshape": lambda d, lib: d.ReshapeTransform((3,), (3, 1)),
    "independent": lambda d, lib: d.IndependentTransform(d.ExpTransform(), 1),
    "identity": lambda d, lib: d.identity_transform,
    "several": lambda d, lib: d.ComposeTransform(
        [d.AffineTransform(0.1, 0.5), d.TanhTransform(), d.StickBreakingTransform()], cache_size=1
    ),
    "the way back": lambda d, lib: d.ComposeTransform([d.ExpTransform().inv.inv, d.SigmoidTransform()]).inv.inv,
    "stack": lambda d, lib: d.StackTransform([d.ExpTransform(), d.TanhTransform(), d.AffineTransform(1, 2)], -1),
    "cumulative": lambda d, lib: d.CumulativeDistributionTransform(d.Normal(0.5, 2.0)),
    "lower triangle": lambda d, lib: d.LowerCholeskyTransform(),
    "positive definite": lambda d, lib: d.PositiveDefiniteTransform(),
}


def tried(call: Callable[[], Any]) -> Any:
    try:
        value = call()
    except (NotImplementedError, ValueError) as error:
        return type(error).__name__
    return value.detach() if hasattr(value, "detach") else value


@pytest.mark.parametrize("name", MAKE)
def test_there_and_back_with_slopes(name: str) -> None:
    def program(library: Any) -> list[Any]:
        transform = MAKE[name](library.distributions, library)
        is_matrix = name in ("lower triangle", "positive definite")
        x = library.tensor(MATRICES if is_matrix else VALUES, dtype=library.float64, requires_grad=True)
        y = transform(x)
        found = [
            repr(transform),
            repr(transform.inv),
            transform.bijective,
            tried(lambda: transform.sign),
            tried(lambda: transform.event_dim),
            y.detach(),
            transform.inv(y).detach(),
            tried(lambda: transform.log_abs_det_jacobian(x, y)),
            tried(lambda: transform.inv.log_abs_det_jacobian(y, x)),
            tuple(transform.forward_shape(x.shape)),
            tuple(transform.inverse_shape(y.shape)),
            transform.domain.check(x.detach()).tolist(),
            transform.codomain.check(y.detach()).tolist(),
            transform.domain.event_dim,
            transform.codomain.event_dim,
            library.autograd.grad(y.sum(), x)[0],
            MAKE[name](library.distributions, library) == transform,
            transform == library.distributions.ReshapeTransform((1,), (1,)),
        ]
        kept = tried(lambda: transform.with_cache(1))
        if not isinstance(kept, str):
            z = kept(x)
            found += [kept(x) is z or name == "identity", kept.inv(z) is x or "compose" in repr(kept).lower()]
        return found

    assert_alike(program)


CONSTRAINTS: dict[str, Callable[[Any, Any], Any]] = {
    "real": lambda c, lib: c.real,
    "positive": lambda c, lib: c.positive,
    "nonnegative": lambda c, lib: c.nonnegative,
    "greater than": lambda c, lib: c.greater_than(0.2),
    "at least": lambda c, lib: c.greater_than_eq(lib.tensor([0.1, 0.2, 0.3])),
    "less than": lambda c, lib: c.less_than(0.2),
    "interval": lambda c, lib: c.interval(-0.5, 1.0),
    "bounds by name": lambda c, lib: c.interval(lower_bound=-0.5, upper_bound=1.0),
    "half open": lambda c, lib: c.half_open_interval(0.0, 1.0),
    "unit": lambda c, lib: c.unit_interval,
    "whole": lambda c, lib: c.integer_interval(0, 2),
    "counts": lambda c, lib: c.nonnegative_integer,
    "counts from 1": lambda c, lib: c.positive_integer,
    "boolean": lambda c, lib: c.boolean,
    "one hot": lambda c, lib: c.one_hot,
    "simplex": lambda c, lib: c.simplex,
    "multinomial": lambda c, lib: c.multinomial(3),
    "vector": lambda c, lib: c.real_vector,
    "independent": lambda c, lib: c.independent(c.positive, 2),
    "mixture": lambda c, lib: c.MixtureSameFamilyConstraint(c.greater_than(lib.tensor([0.0, 0.5]))),
    "stack": lambda c, lib: c.stack([c.positive, c.real, c.boolean], -1),
    "cat": lambda c, lib: c.cat([c.positive, c.boolean], -1, [1, 2]),
}
SHAPES = {
    "square": [[[1.0, 2.0, 3.0], [1.0, 2.0, 3.0]]],
    "symmetric": [[[2.0, 0.5], [0.5, 1.0]], [[2.0, 0.5], [0.1, 1.0]]],
    "positive_definite": [[[2.0, 0.5], [0.5, 1.0]], [[1.0, 2.0], [2.0, 1.0]]],
    "positive_semidefinite": [[[2.0, 0.5], [0.5, 1.0]], [[0.0, 0.0], [0.0, 1.0]]],
    "lower_triangular": [[[1.0, 0.0], [2.0, -1.0]], [[1.0, 1.0], [2.0, 1.0]]],
    "lower_cholesky": [[[1.0, 0.0], [2.0, -1.0]], [[1.0, 0.0], [2.0, 1.0]]],
    "corr_cholesky": [[[1.0, 0.0], [0.6, 0.8]], [[1.0, 0.0], [2.0, 1.0]]],
}


@pytest.mark.parametrize("name", CONSTRAINTS)
def test_constraints_of_numbers_and_vectors(name: str) -> None:
    rows = [[0.2, 0.3, 0.5], [0.0, 1.0, 0.0], [-1.0, 2.0, 1.5], [1.0, float("nan"), 0.2]]

    def program(library: Any) -> Any:
        constraint = CONSTRAINTS[name](library.distributions.constraints, library)
        values = library.tensor(rows)
        checked = constraint.check(values[:, :, None] if name == "mixture" else values)
        return [repr(constraint), constraint.is_discrete, constraint.event_dim, checked.tolist()]

    assert_alike(program)


@pytest.mark.parametrize("name", SHAPES)
def test_constraints_of_matrices(name: str) -> None:
    def program(library: Any) -> Any:
        constraint = getattr(library.distributions.constraints, name)
        parts = [constraint.check(library.tensor(one)).item() for one in SHAPES[name]]
        return [repr(constraint), constraint.event_dim, constraint.check(library.tensor(SHAPES[name])).tolist(), parts]

    if name in ("positive_definite", "positive_semidefinite", "symmetric"):
        matrices = SHAPES[name]
        for library in (gv, torch):
            constraint = getattr(library.distributions.constraints, name)
            found = [constraint.check(library.tensor(one)).item() for one in matrices]
            assert found == [True, name == "positive_semidefinite"]
    else:
        assert_alike(program)


def test_from_numbers_without_bounds_to_what_is_constrained() -> None:
    def program(library: Any) -> list[Any]:
        d = library.distributions
        c = d.constraints
        x = library.tensor([[0.3, -1.2], [0.5, 0.7]], dtype=library.float64)
        found = []
        limits = [
            c.real, c.positive, c.nonnegative, c.greater_than(2.0), c.less_than(-1.0), c.unit_interval,
            c.interval(-1.0, 3.0), c.simplex, c.real_vector, c.stack([c.positive, c.real], -1),
        ]  # fmt: skip
        for registry in (d.transform_to, d.biject_to):
            found += [registry(limit)(x) for limit in limits]
        found += [d.transform_to(limit)(x) for limit in (c.lower_cholesky, c.positive_definite)]
        for name, limit in d.Gamma.arg_constraints.items():
            found.append((name, repr(d.transform_to(limit))))
        try:
            d.biject_to(c.boolean)
        except NotImplementedError as error:
            found.append(str(error))
        return found

    assert_alike(program)


def test_a_transform_and_a_constraint_of_the_users_own() -> None:
    def program(library: Any) -> list[Any]:
        d = library.distributions

        class Cube(d.transforms.Transform):
            bijective = True
            domain = codomain = d.constraints.real
            sign = 1

            def _call(self, x: Any) -> Any:
                return x**3

            def _inverse(self, y: Any) -> Any:
                return y.sign() * y.abs() ** (1 / 3)

            def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
                return (3 * x**2).log()

        class Even(d.constraints.Constraint):
            is_discrete = True

            def check(self, value: Any) -> Any:
                return value % 2 == 0

        class Pairs(d.Distribution):
            arg_constraints = {"rate": d.constraints.positive}  # noqa: RUF012
            support = Even()

            def __init__(self, rate: Any) -> None:
                self.rate = rate
                super().__init__(rate.shape)

            def log_prob(self, value: Any) -> Any:
                return value * self.rate

        flow = d.TransformedDistribution(d.Normal(0.5, 1.0), [Cube(), d.AffineTransform(1.0, 2.0)])
        at = library.tensor([0.2, 3.0])
        pairs = Pairs(library.tensor([2.0]))
        return [repr(Cube()), flow.log_prob(at), flow.cdf(at), flow.icdf(flow.cdf(at)), repr(pairs)]

    assert_alike(program)


def test_a_kept_value_is_not_computed_again() -> None:
    for library in (gv, torch):
        transform = library.distributions.SigmoidTransform(cache_size=1)
        x = library.tensor([40.0])
        y = transform(x)
        assert transform.inv(y) is x
        assert transform.inv.inv is transform
        with pytest.raises(ValueError, match="cache_size must be 0 or 1"):
            library.distributions.ExpTransform(cache_size=2)
    assert np.isfinite(gv.distributions.SigmoidTransform().inv(y := gv.tensor([1.0])).numpy()).all(), y
