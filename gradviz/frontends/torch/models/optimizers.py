"""Optimizers: which parameters each one owns, when it stepped, and when gradients were cleared or scaled back."""

from __future__ import annotations

import sys
from types import FrameType
from typing import Any

import torch
from torch import nn
from torch.amp.grad_scaler import GradScaler
from torch.optim import Optimizer
from torch.optim import optimizer as hooks
from torch.optim.lr_scheduler import LRScheduler

from gradviz import events, walking
from gradviz.frontends.torch.books.book import Book
from gradviz.frontends.torch.books.here import Here
from gradviz.frontends.torch.books.identity import version_of
from gradviz.frontends.torch.books.origins import Origins
from gradviz.frontends.torch.calls.writes import Writes
from gradviz.frontends.torch.listening.mode import step_aside, step_back
from gradviz.frontends.torch.patching.patches import Patches, like
from gradviz.frontends.torch.places.frames import place_of_call
from gradviz.rates import rate_text
from gradviz.weakly import ByIdentity


class Optimizers:
    """Follows every optimizer of the program.

    A step is told of as one write in place to each parameter that it changed: what PyTorch's optimizers do inside is
    not the user's. An optimizer of the user's own shows its ops as any code does.
    """

    def __init__(self, book: Book, origins: Origins, writes: Writes) -> None:
        self._book = book
        self._origins = origins
        self._writes = writes
        self._ids: ByIdentity[int] = ByIdentity()
        self._count = 0
        self._before: ByIdentity[list[tuple[int, int]]] = ByIdentity()
        self._handles: list[Any] = []

    def install(self, patches: Patches) -> None:
        """Hook into the steps of all optimizers, and stand around what there are no hooks for."""
        self._handles = [
            hooks.register_optimizer_step_pre_hook(self._before_step),
            hooks.register_optimizer_step_post_hook(self._after_step),
        ]
        patches.replace(Optimizer, "add_param_group", self._around_add)
        patches.replace(Optimizer, "zero_grad", self._around_zero_grad)
        patches.replace(nn.Module, "zero_grad", self._around_zero_grad)
        patches.replace(GradScaler, "scale", self._around_scale)
        patches.replace(GradScaler, "unscale_", self._around_unscale)
        patches.replace(LRScheduler, "__init__", self._around_schedule)

    def uninstall(self) -> None:
        """Take the hooks away."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()

    def _around_add(self, run: Any) -> Any:
        @like(run)
        def add_param_group(optimizer: Optimizer, group: dict[str, Any]) -> Any:
            result = run(optimizer, group)
            here = self._book.here()
            if here is not None:
                self._book.guarded("an optimizer", self._own, here, optimizer, sys._getframe(1))
            return result

        return add_param_group

    def _around_zero_grad(self, run: Any) -> Any:
        @like(run)
        def zero_grad(holder: Any, *args: Any, **kwargs: Any) -> Any:
            here = self._book.here()
            if here is None:
                return run(holder, *args, **kwargs)
            here.quiet += 1
            mode = step_aside(here)
            try:
                result = run(holder, *args, **kwargs)
            finally:
                step_back(mode)
                here.quiet -= 1
            if not here.quiet:
                self._book.guarded("zero_grad", self._act, here, "zero_grad", holder, sys._getframe(1))
            return result

        return zero_grad

    def _around_scale(self, run: Any) -> Any:
        @like(run)
        def scale(scaler: GradScaler, outputs: Any) -> Any:
            result = run(scaler, outputs)
            here = self._book.here()
            if here is not None and not here.quiet and scaler.is_enabled() and isinstance(result, torch.Tensor):
                self._book.guarded("a scaler", self._tell_scaled, here, result, sys._getframe(1))
            return result

        return scale

    def _tell_scaled(self, here: Here, result: torch.Tensor, frame: FrameType) -> None:
        book = self._book
        values = (self._origins.know(here, result).value,)
        site = book.interner.site(place_of_call(frame)[0])
        book.sink.emit(events.Act("scale", values, site, book.context(here), None, book.last_value))

    def _around_unscale(self, run: Any) -> Any:
        @like(run)
        def unscale_(scaler: GradScaler, optimizer: Optimizer) -> None:
            run(scaler, optimizer)
            here = self._book.here()
            if here is not None and not here.quiet and scaler.is_enabled():
                self._book.guarded("a scaler", self._act, here, "unscale", optimizer, sys._getframe(1))

        return unscale_

    def _around_schedule(self, run: Any) -> Any:
        @like(run)
        def __init__(schedule: LRScheduler, optimizer: Optimizer, *args: Any, **kwargs: Any) -> None:
            run(schedule, optimizer, *args, **kwargs)
            here = self._book.here()
            if here is not None and not here.quiet:
                self._book.guarded("a schedule", self._act, here, "schedule", optimizer, sys._getframe(1))

        return __init__

    def _before_step(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        here = self._book.here()
        if here is not None:
            self._book.guarded("a step", self._look, here, optimizer, sys._getframe(1))

    def _look(self, here: Here, optimizer: Optimizer, frame: FrameType) -> None:
        self._before[optimizer] = [
            (version_of(tensor), self._origins.know(here, tensor).value) for tensor in _owned(optimizer)
        ]

    def _after_step(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        here = self._book.here()
        if here is not None:
            self._book.guarded("a step", self._tell_step, here, optimizer, sys._getframe(1))

    def _tell_step(self, here: Here, optimizer: Optimizer, frame: FrameType) -> None:
        before = self._before.pop(optimizer, [])
        self._act(here, "step", optimizer, frame)
        path, _ = place_of_call(frame)
        for tensor, (version, value) in zip(_owned(optimizer), before, strict=False):
            known = self._origins.know(here, tensor)
            if version_of(tensor) != version and known.value == value:
                self._writes.stepped(here, type(optimizer).__name__, tensor, path)

    def _own(self, here: Here, optimizer: Optimizer, frame: FrameType) -> int:
        number = self._ids.get(optimizer, None)
        if number is None:
            number = self._ids[optimizer] = self._count
            self._count += 1
        path, _ = place_of_call(frame)
        site = self._book.interner.site(path)
        values = tuple(self._origins.know(here, tensor).value for tensor in _owned(optimizer))
        self._book.sink.emit(events.Optimizer(number, type(optimizer).__name__, values, site))
        return number

    def _act(self, here: Here, kind: str, holder: Any, frame: FrameType) -> None:
        number: int | None = None
        if isinstance(holder, Optimizer):
            number = self._ids.get(holder, None)
            if number is None:
                number = self._own(here, holder, frame)
            tensors: list[torch.Tensor] = []
        else:
            tensors = [tensor for _, tensor in walking.parameters(holder)]
        path, _ = place_of_call(frame)
        book = self._book
        values = tuple(self._origins.know(here, tensor).value for tensor in tensors)
        site = book.interner.site(path)
        text = rate_text(kind, holder.param_groups) if number is not None else ""
        book.sink.emit(events.Act(kind, values, site, book.context(here), number, book.last_value, text))


def _owned(optimizer: Optimizer) -> list[torch.Tensor]:
    return [tensor for group in optimizer.param_groups for tensor in group["params"]]
