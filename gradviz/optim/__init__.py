"""Optimizers, under PyTorch's names: each changes the parameters that it owns by their gradients."""

from __future__ import annotations

from typing import Any

from gradviz.errors import missing_name
from gradviz.optim import lr_scheduler, swa_utils
from gradviz.optim.adafactor import Adafactor
from gradviz.optim.adam import Adam, AdamW
from gradviz.optim.adamax import Adamax
from gradviz.optim.asgd import ASGD
from gradviz.optim.lbfgs import LBFGS
from gradviz.optim.muon import Muon
from gradviz.optim.nadam import NAdam
from gradviz.optim.optimizer import Optimizer
from gradviz.optim.radam import RAdam
from gradviz.optim.rprop import Rprop
from gradviz.optim.scaled import Adadelta, Adagrad, RMSprop
from gradviz.optim.sgd import SGD

__all__ = [
    "ASGD",
    "LBFGS",
    "SGD",
    "Adadelta",
    "Adafactor",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Muon",
    "NAdam",
    "Optimizer",
    "RAdam",
    "RMSprop",
    "Rprop",
    "lr_scheduler",
    "swa_utils",
]


def __getattr__(name: str) -> Any:
    raise missing_name(__name__, name, __all__)
