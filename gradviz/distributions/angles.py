"""`VonMises`: an angle that varies around another one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

from gradviz.core import dtypes
from gradviz.core.grad_mode import no_grad
from gradviz.core.public import FUNCTIONS, SPECIAL
from gradviz.distributions import constraints
from gradviz.distributions.distribution import Symmetric, tensors


class VonMises(Symmetric):
    """loc: the angle that is likeliest, in radians. concentration: how rare others are."""

    arg_constraints: ClassVar[Any] = {"loc": constraints.real, "concentration": constraints.positive}
    support = constraints.real
    has_rsample = False
    _moved = ("loc", "concentration")

    def __init__(self, loc: Any, concentration: Any, validate_args: bool | None = None) -> None:
        self.loc, self.concentration = tensors(loc, concentration)
        super().__init__(self.loc.shape, validate_args=validate_args)

    @property
    def variance(self) -> Any:
        """That of a circle: one minus the length of the mean of all directions."""
        return 1 - SPECIAL["i1e"](self.concentration) / SPECIAL["i0e"](self.concentration)

    def log_prob(self, value: Any) -> Any:
        """The logarithm of the density."""
        self._check(value)
        size = SPECIAL["i0e"](self.concentration).log() + self.concentration
        return self.concentration * (value - self.loc).cos() - math.log(2 * math.pi) - size

    def sample(self, sample_shape: Sequence[int] = ()) -> Any:
        """Draw values that have no gradient. Source: D. Best and N. Fisher, 1979."""
        where, rand = FUNCTIONS["where"], FUNCTIONS["rand"]
        with no_grad():
            loc, kappa = self.loc.to(dtypes.float64), self.concentration.to(dtypes.float64)
            tau = 1 + (1 + 4 * kappa**2).sqrt()
            rho = (tau - (2 * tau).sqrt()) / (2 * kappa)
            proposal = where(kappa < 1e-5, 1 / kappa + kappa, (1 + rho**2) / (2 * rho))
            shape = tuple(self._extended_shape(sample_shape))
            found = FUNCTIONS["zeros"](shape, dtype=loc.dtype)
            done = FUNCTIONS["zeros"](shape, dtype=dtypes.bool_)
            while not done.all():
                first, second, third = rand((3, *shape), dtype=loc.dtype).unbind()
                z = (math.pi * first).cos()
                f = (1 + proposal * z) / (proposal + z)
                c = kappa * (proposal - f)
                taken = ((c * (2 - c) - second) > 0) | ((c / second).log() + 1 - c >= 0)
                found = where(taken, (third - 0.5).sign() * f.acos(), found)
                done = done | taken
            return ((found + math.pi + loc) % (2 * math.pi) - math.pi).to(self.loc.dtype)
