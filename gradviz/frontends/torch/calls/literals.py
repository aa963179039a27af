"""Literals: plain arguments of an op as the text that a user would write for them."""

from __future__ import annotations

from typing import Any

import torch

from gradviz.frontends.torch.autograd.nodes import dtype_name

LENGTH_LIMIT = 80
ITEM_LIMIT = 20


def literal(item: Any) -> str:
    """The text of a plain argument, of at most 80 characters; empty for what has none worth showing."""
    text = _text(item)
    return text if len(text) <= LENGTH_LIMIT else text[: LENGTH_LIMIT - 3] + "..."


def _text(item: Any) -> str:
    kind = type(item)
    if kind in (int, float, bool, complex, type(None)):
        return repr(item)
    if kind is str:
        return repr(item[:LENGTH_LIMIT])
    if isinstance(item, torch.dtype):
        return dtype_name(item)
    if isinstance(item, torch.device):
        return str(item)
    if kind is slice:
        parts = (item.start, item.stop) if item.step is None else (item.start, item.stop, item.step)
        return ":".join("" if part is None else _text(part) for part in parts)
    if item is Ellipsis:
        return "..."
    if kind in (tuple, list, torch.Size):
        inner = ", ".join(_text(part) for part in item[:ITEM_LIMIT])
        if kind is list:
            return f"[{inner}]"
        return f"({inner},)" if len(item) == 1 else f"({inner})"
    return ""
