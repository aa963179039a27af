"""Schedules that go up and down, and the momentum the other way: `OneCycleLR`, `CyclicLR`. Source: L. Smith."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from gradviz.optim.lr_scheduler.schedules import LRScheduler
from gradviz.optim.optimizer import Optimizer

_LOWEST, _HIGHEST = "base_momentum", "max_momentum"


def _momentum_of(optimizer: Optimizer) -> str:
    """The option that holds an optimizer's momentum, empty where there is none."""
    return next((name for name in ("momentum", "betas") if name in optimizer.defaults), "")


def _set_momentum(group: dict[str, Any], name: str, momentum: float) -> None:
    group[name] = (momentum, *group["betas"][1:]) if name == "betas" else momentum


class OneCycleLR(LRScheduler):
    """Up to `max_lr` and down to almost nothing in one cycle of `total_steps`. Source: arXiv:1708.07120.

    pct_start: how much of it goes up. anneal_strategy: "cos" or "linear". div_factor, final_div_factor: how much
    smaller the first rate is than the greatest, and the last than the first. three_phase: down to the first rate as
    fast as up, and only then on to the last.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float | list[float],
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: float = 0.85,
        max_momentum: float = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ) -> None:
        if total_steps is None:
            if epochs is None or steps_per_epoch is None:
                raise ValueError("You must define either total_steps OR (epochs AND steps_per_epoch)")
            total_steps = epochs * steps_per_epoch
        self.total_steps = total_steps
        turn, last = float(pct_start * total_steps) - 1, total_steps - 1
        up, down = ("initial_lr", "max_lr", _HIGHEST, _LOWEST), ("max_lr", "min_lr", _LOWEST, _HIGHEST)
        self._phases: list[tuple[float, tuple[str, str, str, str]]] = [(turn, up), (last, down)]
        if three_phase:
            back, out = ("max_lr", "initial_lr", _LOWEST, _HIGHEST), ("initial_lr", "min_lr", _HIGHEST, _HIGHEST)
            self._phases = [(turn, up), (float(2 * pct_start * total_steps) - 2, back), (last, out)]
        self._curve = _cosine if anneal_strategy == "cos" else _line
        greatest = max_lr if isinstance(max_lr, list) else [max_lr] * len(optimizer.param_groups)
        self._momentum = _momentum_of(optimizer) if cycle_momentum else ""
        for group, top in zip(optimizer.param_groups, greatest, strict=True):
            group["initial_lr"] = top / div_factor
            group["max_lr"] = top
            group["min_lr"] = group["initial_lr"] / final_div_factor
            if self._momentum:
                group[_HIGHEST], group[_LOWEST] = max_momentum, base_momentum
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """The rates for `last_epoch`."""
        step = self.last_epoch
        if step > self.total_steps:
            raise ValueError(f"Tried to step {step} times. The specified number of total steps is {self.total_steps}")
        start, number = 0.0, 0
        while number < len(self._phases) - 1 and step > self._phases[number][0]:
            start, number = self._phases[number][0], number + 1
        end, ends = self._phases[number]
        way = (step - start) / (end - start)
        rates = []
        for group in self.optimizer.param_groups:
            rates.append(self._curve(group[ends[0]], group[ends[1]], way))
            if self._momentum:
                _set_momentum(group, self._momentum, self._curve(group[ends[2]], group[ends[3]], way))
        return rates


class CyclicLR(LRScheduler):
    """Up from `base_lr` to `max_lr` and down again, over and over. Source: arXiv:1506.01186.

    step_size_up, step_size_down: how many steps go up and down. mode: "triangular", "triangular2", half as high each
    time, or "exp_range", `gamma` times as high each step. scale_fn: how high instead, from 0 to 1, for the number of
    the cycle from 1 on, or by `scale_mode` "iterations" for that of the step.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        base_lr: float | list[float],
        max_lr: float | list[float],
        step_size_up: int = 2000,
        step_size_down: int | None = None,
        mode: str = "triangular",
        gamma: float = 1.0,
        scale_fn: Callable[[float], float] | None = None,
        scale_mode: str = "cycle",
        cycle_momentum: bool = True,
        base_momentum: float | list[float] = 0.8,
        max_momentum: float | list[float] = 0.9,
        last_epoch: int = -1,
    ) -> None:
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"{type(optimizer).__name__} is not an Optimizer")
        lowest = for_each("base_lr", optimizer, base_lr)
        if last_epoch == -1:
            for group, lr in zip(optimizer.param_groups, lowest, strict=True):
                group["lr"] = lr
        self.max_lrs = for_each("max_lr", optimizer, max_lr)
        up = float(step_size_up)
        self.total_size = up + (up if step_size_down is None else float(step_size_down))
        self.step_ratio = up / self.total_size
        if scale_fn is None and mode not in ("triangular", "triangular2", "exp_range"):
            raise ValueError("mode is invalid and scale_fn is None")
        self.mode = mode
        self.gamma = gamma
        self.scale_mode = scale_mode
        if scale_fn is None:
            self.scale_mode = "iterations" if mode == "exp_range" else "cycle"
        self._scale_fn_custom = scale_fn
        self._momentum = _momentum_of(optimizer)
        self.cycle_momentum = cycle_momentum
        if cycle_momentum:
            if not self._momentum:
                raise ValueError("optimizer must support momentum or beta1 with `cycle_momentum` option enabled")
            self.base_momentums = for_each("base_momentum", optimizer, base_momentum)
            self.max_momentums = for_each("max_momentum", optimizer, max_momentum)
            if last_epoch == -1:
                ends = zip(optimizer.param_groups, self.base_momentums, self.max_momentums, strict=True)
                for group, low, high in ends:
                    _set_momentum(group, self._momentum, high)
                    group[_HIGHEST], group[_LOWEST] = high, low
        super().__init__(optimizer, last_epoch)
        self.base_lrs = lowest

    def scale_fn(self, x: float) -> float:
        """How high the cycle, or the step, of this number goes."""
        if self._scale_fn_custom is not None:
            return self._scale_fn_custom(x)
        match self.mode:
            case "triangular":
                return 1.0
            case "triangular2":
                return float(2.0 ** (1 - x))
            case _:
                return float(self.gamma**x)

    def get_lr(self) -> list[float]:
        """The rates for `last_epoch`; sets the momentum, too."""
        cycle = math.floor(1 + self.last_epoch / self.total_size)
        x = 1.0 + self.last_epoch / self.total_size - cycle
        height = x / self.step_ratio if x <= self.step_ratio else (x - 1) / (self.step_ratio - 1)
        scale = self.scale_fn(cycle if self.scale_mode == "cycle" else self.last_epoch)
        if self.cycle_momentum:
            ends = zip(self.optimizer.param_groups, self.base_momentums, self.max_momentums, strict=True)
            for group, low, high in ends:
                _set_momentum(group, self._momentum, high - (high - low) * height * scale)
        return [low + (high - low) * height * scale for low, high in zip(self.base_lrs, self.max_lrs, strict=True)]

    def state_dict(self) -> dict[str, Any]:
        """What the schedule knows, without its function."""
        return {**super().state_dict(), "_scale_fn_custom": None}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from what `state_dict` gave, with this schedule's own function."""
        super().load_state_dict({**state_dict, "_scale_fn_custom": self._scale_fn_custom})


def for_each(name: str, optimizer: Optimizer, given: float | list[float]) -> list[float]:
    """One number for each group. Raises ValueError for a list of another length."""
    count = len(optimizer.param_groups)
    if not isinstance(given, (list, tuple)):
        return [given] * count
    if len(given) != count:
        raise ValueError(
            f"{name} must have the same length as optimizer.param_groups. {name} has {len(given)} values, param_groups "
            f"has {count}."
        )
    return list(given)


def _cosine(start: float, end: float, way: float) -> float:
    return end + (start - end) / 2.0 * (math.cos(math.pi * way) + 1)


def _line(start: float, end: float, way: float) -> float:
    return (end - start) * way + start
