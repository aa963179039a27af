"""What was gathered of a call before it ran: its arguments, as far as an op tells of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch

from gradviz import events


class Gathered:
    """The arguments of a call: what the op tells of them, and all that its signature depends on.

    inputs   the ids of values and the texts of operands, by position
    tensors  the tensor at each of those positions, None for an operand that is a number
    needs    which of them required grad before the call
    version  of the tensor that the call is asked to write to, before it does; None where it is not asked
    """

    __slots__ = ("attrs", "inputs", "key", "needs", "tensors", "version")

    def __init__(self) -> None:
        self.inputs: list[events.Input] = []
        self.tensors: list[torch.Tensor | None] = []
        self.needs: list[bool] = []
        self.key: list[Any] = []
        self.attrs: list[tuple[str, str]] = []
        self.version: int | None = None

    def part(self, positions: Iterable[int]) -> Gathered:
        """The arguments at these positions alone, of a call that does the same to each of several tensors."""
        part = Gathered()
        for at in positions:
            part.inputs.append(self.inputs[at])
            part.tensors.append(self.tensors[at])
            part.needs.append(self.needs[at])
            part.key.append(self.key[at])
        part.attrs = self.attrs
        return part
