"""Rates: what a recording says of a learning rate of zero, of PyTorch's optimizers and gradviz's own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

NO_RATE = "lr = 0"
"""The text of such a step, and of a schedule that begins from such a rate."""

_RATES = {"step": "lr", "schedule": "initial_lr"}
"""What is asked of each group, by what is done with the optimizer."""


def rate_text(kind: str, groups: Iterable[Mapping[str, Any]]) -> str:
    """`NO_RATE` where the learning rate of an act of this kind is the number zero in every group, else nothing.

    A rate that is a tensor is not asked: that may wait for a device.
    """
    rates = [group.get(_RATES[kind]) for group in groups] if kind in _RATES else []
    return NO_RATE if rates and all(type(rate) in (int, float) and rate == 0 for rate in rates) else ""
