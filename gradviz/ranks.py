"""Ranks: processes that train together each write a log of their own."""

from __future__ import annotations

import os
import sys


def path_of_rank(path: str) -> str:
    """`run.rank1.gvlog` for `run.gvlog` in the second of several processes of one training; else the path itself.

    The rank is that of the process group, or what a launcher put into the environment.
    """
    rank = _rank()
    if rank is None:
        return path
    stem, extension = os.path.splitext(path)
    return f"{stem}.rank{rank}{extension}"


def _rank() -> int | None:
    distributed = sys.modules.get("torch.distributed")
    if distributed is not None and distributed.is_available() and distributed.is_initialized():
        return int(distributed.get_rank()) if distributed.get_world_size() > 1 else None
    rank, size = os.environ.get("RANK", ""), os.environ.get("WORLD_SIZE", "")
    return int(rank) if rank.isdecimal() and size.isdecimal() and int(size) > 1 else None
