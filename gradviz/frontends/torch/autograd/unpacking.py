"""Unpacking: what a node saved, in versions of PyTorch where nobody can look at it without unpacking it.

Unpacking runs the program's own hooks, checks versions, and raises after a backward. So it is done once, right after
the op ran, and only while no hook is in effect that would have packed what was saved.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch

from gradviz.frontends.torch.patching.patches import Patches, like

CAN_READ_SAVED = hasattr(torch._C._autograd.SavedTensor, "data")
"""Whether a saved tensor can be read as it is, at any time."""

_local = threading.local()


def watch_hooks(patches: Patches) -> None:
    """Count the hooks on saved tensors that are in effect, thread by thread, where that is needed."""
    if not CAN_READ_SAVED:
        patches.replace(torch._C._autograd, "_push_saved_tensors_default_hooks", _counting(1))
        patches.replace(torch._C._autograd, "_pop_saved_tensors_default_hooks", _counting(-1))


def _counting(step: int) -> Callable[[Any], Any]:
    def wrap(run: Any) -> Any:
        @like(run)
        def switch(*args: Any) -> Any:
            result = run(*args)
            _local.hooks = getattr(_local, "hooks", 0) + step
            return result

        return switch

    return wrap


def unpacked(node: Any, names: Iterable[str]) -> Iterator[tuple[str, torch.Tensor]]:
    """What `node`, whose op has just run, keeps under those of `names` that hold tensors."""
    if getattr(_local, "hooks", 0):
        return
    for name in names:
        try:
            kept = node.saved_tensors if name == "tensors" else getattr(node, f"_saved_{name}")
        except RuntimeError:  # written since, by the op itself
            continue
        several = isinstance(kept, tuple)
        for index, held in enumerate(kept if several else (kept,)):
            if isinstance(held, torch.Tensor):
                yield (f"{name}[{index}]" if several else name), held
