"""Averages of a model's parameters over its training: `AveragedModel`, `update_bn`, and ways to average."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from gradviz.core.grad_mode import no_grad
from gradviz.core.ops.table import TABLE
from gradviz.core.tensor import Tensor
from gradviz.nn.module import Module
from gradviz.nn.normalization import _BatchNorm
from gradviz.nn.parameter import born


def get_ema_avg_fn(decay: float = 0.999) -> Callable[[Any, Any, Any], Any]:
    """`decay` parts of the average and the rest of the parameter, for `avg_fn`. Raises ValueError outside [0, 1]."""
    _check_decay(decay)

    def average(averaged: Any, current: Any, count: Any) -> Any:
        with no_grad():
            return decay * averaged + (1 - decay) * current

    return average


def get_swa_avg_fn() -> Callable[[Any, Any, Any], Any]:
    """The mean of all, for `avg_fn`."""

    def average(averaged: Any, current: Any, count: Any) -> Any:
        with no_grad():
            return averaged + (current - averaged) / (count + 1)

    return average


def get_ema_multi_avg_fn(decay: float = 0.999) -> Callable[[Any, Any, Any], None]:
    """`get_ema_avg_fn` for `multi_avg_fn`: it writes into lists of tensors."""
    _check_decay(decay)

    def average(averaged: Any, current: Any, count: Any) -> None:
        with no_grad():
            for one, other in zip(averaged, current, strict=True):
                if one.is_floating_point():
                    one.lerp_(other, 1 - decay)
                else:
                    one.copy_(one * decay + other * (1 - decay))

    return average


def get_swa_multi_avg_fn() -> Callable[[Any, Any, Any], None]:
    """`get_swa_avg_fn` for `multi_avg_fn`: it writes into lists of tensors."""

    def average(averaged: Any, current: Any, count: Any) -> None:
        with no_grad():
            for one, other in zip(averaged, current, strict=True):
                one.lerp_(other, 1 / (float(count) + 1))

    return average


def _check_decay(decay: float) -> None:
    if not 0.0 <= decay <= 1.0:
        raise ValueError(f"Invalid decay value {decay} provided. Please provide a value in [0,1] range.")


class AveragedModel(Module):
    """A copy of `model` whose parameters are the average of those that `update_parameters` was given.

    avg_fn: gives a parameter's next average for its average, its value and how many there were; by default their mean.
    multi_avg_fn: the same for lists of them, into which it writes. use_buffers: average buffers, too, which otherwise
    are the last model's.
    """

    n_averaged: Any
    module: Module

    def __init__(
        self,
        model: Module,
        device: Any = None,
        avg_fn: Callable[[Any, Any, Any], Any] | None = None,
        multi_avg_fn: Callable[[Any, Any, Any], None] | None = None,
        use_buffers: bool = False,
    ) -> None:
        super().__init__()
        if avg_fn is not None and multi_avg_fn is not None:
            raise AssertionError("Only one of avg_fn and multi_avg_fn should be provided")
        self.module = copy.deepcopy(model)
        self.register_buffer("n_averaged", born(np.zeros((), np.int64), False, Tensor, TABLE["tensor"]))
        self.avg_fn = avg_fn
        self.multi_avg_fn = multi_avg_fn
        self.use_buffers = use_buffers

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the averaged model gives."""
        return self.module(*args, **kwargs)

    def update_parameters(self, model: Module) -> None:
        """Let the parameters of `model`, as they are, count in the average."""
        mine, others = (self._averaged(one) for one in (self.module, model))
        count = self.n_averaged
        if count == 0:
            for one, other in zip(mine, others, strict=False):
                one.copy_(other)
        elif self.multi_avg_fn is not None:
            self.multi_avg_fn(mine, others, count)
        else:
            average = self.avg_fn or get_swa_avg_fn()
            for one, other in zip(mine, others, strict=False):
                one.copy_(average(one, other, count))
        if not self.use_buffers:
            for one, other in zip(self.module.buffers(), model.buffers(), strict=True):
                one.detach().copy_(other.detach())
        self.n_averaged += 1

    def _averaged(self, model: Module) -> list[Any]:
        buffers = list(model.buffers()) if self.use_buffers else []
        return [one.detach() for one in [*model.parameters(), *buffers]]


def update_bn(loader: Iterable[Any], model: Module, device: Any = None) -> None:
    """Compute the running statistics of all batch normalisations anew, as means over the batches of a loader.

    loader: gives inputs, or lists or tuples that begin with one.
    """
    momenta: list[tuple[_BatchNorm, float | None]] = []
    for module in model.modules():
        if isinstance(module, _BatchNorm):
            module.reset_running_stats()
            momenta.append((module, module.momentum))
    if not momenta:
        return
    was_training = model.training
    model.train()
    for module, _ in momenta:
        module.momentum = None
    with no_grad():
        for batch in loader:
            model(batch[0] if isinstance(batch, (list, tuple)) else batch)
    for module, momentum in momenta:
        module.momentum = momentum
    model.train(was_training)
