"""Gradients on demand: `grad`, `backward`, and the grad modes."""

from __future__ import annotations

import gradviz.core  # noqa: F401 - fills the op table
from gradviz.autograd import forward_ad as forward_ad
from gradviz.autograd import function as function
from gradviz.autograd import functional as functional
from gradviz.autograd import graph as graph
from gradviz.autograd.variable import Variable
from gradviz.core.anomaly import detect_anomaly, set_detect_anomaly
from gradviz.core.checking import gradcheck, gradgradcheck
from gradviz.core.engine import backward, grad
from gradviz.core.function import Function
from gradviz.core.grad_mode import enable_grad, inference_mode, no_grad, set_grad_enabled

__all__ = [
    "Function",
    "Variable",
    "backward",
    "detect_anomaly",
    "enable_grad",
    "grad",
    "gradcheck",
    "gradgradcheck",
    "inference_mode",
    "no_grad",
    "set_detect_anomaly",
    "set_grad_enabled",
]
