"""Holding: what modules hold besides parameters and buffers: a state, a list of layers, what a hook gathered."""

from __future__ import annotations

from torch import nn

from gradviz import walking


def plain_attributes(module: nn.Module, name: str) -> dict[str, object]:
    """The plain attributes of a module that the program calls `name`, and of those inside, each as it is written."""
    found: dict[str, object] = {}
    for owner, part in walking.parts(module, name):
        for attribute, value in walking.attributes(part).items():
            if not attribute.startswith("_"):
                found[f"{owner}.{attribute}"] = value
    return found
