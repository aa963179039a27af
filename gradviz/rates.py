"""Rates: what a recording says of a step whose learning rate is zero, of PyTorch's optimizers and gradviz's own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

NO_RATE = "lr = 0"
"""The text of such a step."""


def rate_text(groups: Iterable[Mapping[str, Any]]) -> str:
    """`NO_RATE` where the learning rate of every group is the number zero, else nothing.

    A rate that is a tensor is not asked: that may wait for a device.
    """
    rates = [group.get("lr") for group in groups]
    return NO_RATE if rates and all(type(rate) in (int, float) and rate == 0 for rate in rates) else ""
