"""Schedules of learning rates, under PyTorch's names."""

from __future__ import annotations

from typing import Any

from gradviz.errors import missing_name
from gradviz.optim.lr_scheduler.combining import ChainedScheduler, SequentialLR
from gradviz.optim.lr_scheduler.cycles import CyclicLR, OneCycleLR
from gradviz.optim.lr_scheduler.plateau import ReduceLROnPlateau
from gradviz.optim.lr_scheduler.restarting import CosineAnnealingWarmRestarts, PolynomialLR
from gradviz.optim.lr_scheduler.schedules import (
    ConstantLR,
    CosineAnnealingLR,
    ExponentialLR,
    LambdaLR,
    LinearLR,
    LRScheduler,
    MultiplicativeLR,
    MultiStepLR,
    StepLR,
)

__all__ = [
    "ChainedScheduler",
    "ConstantLR",
    "CosineAnnealingLR",
    "CosineAnnealingWarmRestarts",
    "CyclicLR",
    "ExponentialLR",
    "LRScheduler",
    "LambdaLR",
    "LinearLR",
    "MultiStepLR",
    "MultiplicativeLR",
    "OneCycleLR",
    "PolynomialLR",
    "ReduceLROnPlateau",
    "SequentialLR",
    "StepLR",
]


def __getattr__(name: str) -> Any:
    raise missing_name(__name__, name, __all__)
