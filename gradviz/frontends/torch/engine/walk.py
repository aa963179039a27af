"""The walk: what lies behind the roots of a sweep, read just before the engine frees it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch

from gradviz.frontends.torch.autograd.nodes import grad_fn_of


class Walk:
    """What lies behind the roots of a sweep, read just before the engine frees it.

    leaves     those that the engine would feed, in the order in which it comes to them
    nodes      how many nodes there are, leaves apart; `matched` how many of them a recorded op made
    numbers    their sequence numbers
    beginnings those that made the roots
    """

    def __init__(self, roots: Iterable[torch.Tensor], owner: Callable[[int], int | None]) -> None:
        self.leaves: list[torch.Tensor] = []
        self.nodes = 0
        self.matched = 0
        self.nodes_behind: list[Any] = []
        self.numbers: list[int] = []
        found: list[tuple[int, int, torch.Tensor]] = []
        pending: list[Any] = []
        seen: set[Any] = set()
        for position, root in enumerate(roots):
            node = grad_fn_of(root)
            if node is None:
                if root.requires_grad:
                    found.append((0, position, root))
            elif node not in seen:
                seen.add(node)
                pending.append(node)
        self.beginnings = list(pending)
        while pending:
            node = pending.pop()
            number = node._sequence_nr()
            self.numbers.append(number)
            self.nodes_behind.append(node)
            self.matched += owner(number) is not None
            for position, (following, _) in enumerate(node.next_functions):
                if following is None or following in seen:
                    continue
                seen.add(following)
                leaf = getattr(following, "variable", None)
                if leaf is None:
                    pending.append(following)
                else:
                    found.append((-number, position, leaf))
        self.nodes = len(self.nodes_behind)
        found.sort(key=lambda item: item[:2])
        self.leaves = [leaf for _, _, leaf in found]
