"""Noticing: which of the program's own tensors are used by what runs as a part of one op."""

from __future__ import annotations

import sys
from typing import Any

import torch

from gradviz.frontends.torch.books.here import Here
from gradviz.frontends.torch.books.identity import tensors_in
from gradviz.frontends.torch.listening.listener import Listener
from gradviz.frontends.torch.listening.mode import RecordingMode
from gradviz.frontends.torch.patching.calling import stand_in, strip_own


class Noticing(RecordingMode):
    """Takes note of the program's own tensors among the arguments of what runs: `used`, by `id`, in order.

    grad_off   grad mode is off in there, so what requires grad comes from outside, known or not; nothing else counts
    """

    def __init__(self, listener: Listener, here: Here, *, grad_off: bool = False) -> None:
        super().__init__(listener, here)
        self._grad_off = grad_off
        self.used: dict[int, torch.Tensor] = {}
        self._known = listener.book.tensors

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        frame = sys._getframe(1)
        for tensor in tensors_in((args, kwargs)):
            if tensor.requires_grad if self._grad_off else id(tensor) in self._known:
                self.used[id(tensor)] = tensor
        try:
            return stand_in(frame)(func, args, kwargs or {})
        except BaseException as error:
            strip_own(error)
            raise
