"""Averages of models over their training, under PyTorch's names."""

from __future__ import annotations

from typing import Any

from gradviz.errors import missing_name
from gradviz.optim.swa_utils.annealing import SWALR
from gradviz.optim.swa_utils.averaging import (
    AveragedModel,
    get_ema_avg_fn,
    get_ema_multi_avg_fn,
    get_swa_avg_fn,
    get_swa_multi_avg_fn,
    update_bn,
)

__all__ = [
    "SWALR",
    "AveragedModel",
    "get_ema_avg_fn",
    "get_ema_multi_avg_fn",
    "get_swa_avg_fn",
    "get_swa_multi_avg_fn",
    "update_bn",
]


def __getattr__(name: str) -> Any:
    raise missing_name(__name__, name, __all__)
