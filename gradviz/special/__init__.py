"""Special functions under PyTorch's names: `gradviz.special.expit`, `gammaln`, `ndtr`, ...

Most of them are functions of `gradviz` by another name.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gradviz.core  # noqa: F401 - fills the table
from gradviz.core.public import FUNCTIONS, SPECIAL
from gradviz.errors import missing_name

_SAME = {
    "expit": "sigmoid",
    "gammaln": "lgamma",
    "multigammaln": "mvlgamma",
    "psi": "digamma",
    **{
        name: name
        for name in (
            "digamma", "erf", "erfc", "erfinv", "exp2", "expm1", "i0", "log1p", "log_softmax", "logit", "logsumexp",
            "polygamma", "round", "sinc", "softmax", "xlogy",
        )
    },
}  # fmt: skip
"""By its name here, the name of a function of `gradviz`."""


def __getattr__(name: str) -> Callable[..., Any]:
    if name in SPECIAL:
        return SPECIAL[name]
    if name in _SAME:
        return FUNCTIONS[_SAME[name]]
    raise missing_name(__name__, name, __dir__())


def __dir__() -> list[str]:
    return sorted([*_SAME, *SPECIAL])
