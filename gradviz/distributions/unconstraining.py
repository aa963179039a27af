"""From numbers without bounds to what is constrained: `transform_to` and `biject_to`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gradviz.distributions import constraints, transforms


class ConstraintRegistry:
    """For each kind of constraint what makes a transform to it. `register` adds one."""

    def __init__(self) -> None:
        self._makers: dict[type, Callable[[Any], Any]] = {}

    def register(self, constraint: Any, factory: Callable[[Any], Any] | None = None) -> Any:
        """Let `factory` make the transform for a constraint, or for all of its class; without one, a decorator."""
        if factory is None:
            return lambda given: self.register(constraint, given)
        kind = type(constraint) if isinstance(constraint, constraints.Constraint) else constraint
        if not isinstance(kind, type) or not issubclass(kind, constraints.Constraint):
            raise TypeError(
                f"Expected constraint to be either a Constraint subclass or instance, but got {constraint}"
            )
        self._makers[kind] = factory
        return factory

    def __call__(self, constraint: Any) -> Any:
        maker = self._makers.get(type(constraint))
        if maker is None:
            raise NotImplementedError(f"Cannot transform {type(constraint).__name__} constraints")
        return maker(constraint)


biject_to = ConstraintRegistry()
transform_to = ConstraintRegistry()


def _to_bounded(constraint: Any) -> Any:
    low, high = constraint.lower_bound, constraint.upper_bound
    if isinstance(low, (int, float)) and isinstance(high, (int, float)) and (low, high) == (0, 1):
        return transforms.SigmoidTransform()
    affine = transforms.AffineTransform(low, high - low)
    return transforms.ComposeTransform([transforms.SigmoidTransform(), affine])


def _from_bound(bound: str, sign: int) -> Callable[[Any], Any]:
    def make(constraint: Any) -> Any:
        affine = transforms.AffineTransform(getattr(constraint, bound), sign)
        return transforms.ComposeTransform([transforms.ExpTransform(), affine])

    return make


def _fill(registry: ConstraintRegistry) -> None:
    """Add what both registries have."""

    def repeated(constraint: Any) -> Any:
        base = registry(constraint.base_constraint)
        return transforms.IndependentTransform(base, constraint.reinterpreted_batch_ndims)

    def stacked(constraint: Any) -> Any:
        return transforms.StackTransform([registry(one) for one in constraint.cseq], constraint.dim)

    registry.register(constraints.real, lambda constraint: transforms.identity_transform)
    registry.register(constraints.independent, repeated)
    registry.register(constraints.greater_than, _from_bound("lower_bound", 1))
    registry.register(constraints.greater_than_eq, _from_bound("lower_bound", 1))
    registry.register(constraints.less_than, _from_bound("upper_bound", -1))
    registry.register(constraints.interval, _to_bounded)
    registry.register(constraints.half_open_interval, _to_bounded)
    registry.register(constraints.stack, stacked)


_fill(biject_to)
_fill(transform_to)
biject_to.register(constraints.simplex, lambda constraint: transforms.StickBreakingTransform())
transform_to.register(constraints.simplex, lambda constraint: transforms.SoftmaxTransform())
transform_to.register(constraints.lower_cholesky, lambda constraint: transforms.LowerCholeskyTransform())
transform_to.register(constraints.positive_definite, lambda constraint: transforms.PositiveDefiniteTransform())
transform_to.register(constraints.positive_semidefinite, lambda constraint: transforms.PositiveDefiniteTransform())
