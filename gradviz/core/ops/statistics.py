"""Statistics: `var_mean`, `aminmax`, means without NaN, `cov`, `corrcoef`."""

from __future__ import annotations

from typing import Any

from gradviz.core.composites import composite, whole
from gradviz.core.ops.return_types import return_type
from gradviz.core.public import both, function
from gradviz.core.tensor import Tensor

AMINMAX = return_type("aminmax", "min", "max")


@function
@composite
def var_mean(input: Any, dim: Any = None, *, correction: float = 1, keepdim: bool = False) -> tuple[Tensor, Tensor]:
    """Variance and mean."""
    over = {} if dim is None else {"dim": dim, "keepdim": keepdim}
    return input.var(dim=dim, correction=correction, keepdim=keepdim), input.mean(**over)


@function
@composite
def std_mean(input: Any, dim: Any = None, *, correction: float = 1, keepdim: bool = False) -> tuple[Tensor, Tensor]:
    """Standard deviation and mean."""
    over = {} if dim is None else {"dim": dim, "keepdim": keepdim}
    return input.std(dim=dim, correction=correction, keepdim=keepdim), input.mean(**over)


@both
@composite
def aminmax(input: Any, *, dim: int | None = None, keepdim: bool = False) -> tuple[Tensor, Tensor]:
    """The smallest and the largest element."""
    over = () if dim is None else dim
    return AMINMAX((input.amin(over, keepdim), input.amax(over, keepdim)))


@both
@composite
def nansum(input: Any, dim: Any = None, keepdim: bool = False) -> Tensor:
    """The sum of what is not NaN."""
    kept = input.masked_fill(input.isnan(), 0.0) if input.is_floating_point() else input
    result: Tensor = kept.sum() if dim is None else kept.sum(dim, keepdim)
    return result


@both
@composite
def nanmean(input: Any, dim: Any = None, keepdim: bool = False) -> Tensor:
    """The mean of what is not NaN."""
    there = ~input.isnan()
    count = there.sum() if dim is None else there.sum(dim, keepdim)
    result: Tensor = nansum(input, dim, keepdim) / count
    return result


@both
@whole
def cov(input: Any, *, correction: int = 1, fweights: Any = None, aweights: Any = None) -> Tensor:
    """How rows vary with each other: their covariances.

    correction: taken off the number of columns. fweights, aweights: how often a column counts, how much it weighs.
    """
    if input.ndim > 2:
        raise RuntimeError(
            f"cov(): expected input to have two or fewer dimensions but got an input with {input.ndim} dimensions"
        )
    rows = input if input.ndim == 2 else input.reshape(1, -1)
    weights = fweights if aweights is None else aweights if fweights is None else fweights * aweights
    if weights is None:
        centred, count = rows - rows.mean(1, True), rows.shape[1] - correction
        result: Any = centred.mm(centred.t()) / max(count, 0)
    else:
        total = weights.sum()
        centred = rows - ((rows * weights).sum(1) / total).unsqueeze(1)
        less = (weights * aweights).sum() / total if aweights is not None and correction else 1
        result = centred.mm((centred * weights).t()) / (total - correction * less)
    found: Tensor = result if input.ndim == 2 else result.squeeze()
    return found


@both
@whole
def corrcoef(input: Any) -> Tensor:
    """How rows vary with each other: their correlations."""
    covariance: Any = cov(input)
    if not covariance.ndim:
        alone: Tensor = covariance / covariance
        return alone
    spread = covariance.diag().sqrt()
    result: Tensor = (covariance / spread.unsqueeze(1) / spread.unsqueeze(0)).clamp(-1, 1)
    return result
