"""Sequences of different lengths in one tensor: `pad_sequence`, `unpad_sequence`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from gradviz.core.ops.joining import stack
from gradviz.core.public import FUNCTIONAL
from gradviz.core.tensor import Tensor


def pad_sequence(
    sequences: Iterable[Any], batch_first: bool = False, padding_value: float = 0.0, padding_side: str = "right"
) -> Tensor:
    """Sequences (length, ...) in one tensor (longest, count, ...), or (count, longest, ...), filled up at one side."""
    if padding_side not in ("left", "right"):
        raise RuntimeError(f"padding_side should be one of 'left' or 'right', but got {padding_side}")
    given = list(sequences)
    if not given:
        raise RuntimeError("received an empty list of sequences")
    longest = max(len(one) for one in given)
    padded = []
    for one in given:
        rest = longest - len(one)
        sides = (rest, 0) if padding_side == "left" else (0, rest)
        padded.append(FUNCTIONAL["pad"](one, (*(0, 0) * (one.ndim - 1), *sides), value=padding_value))
    return stack(padded, 0 if batch_first else 1)


def unpad_sequence(padded_sequences: Any, lengths: Any, batch_first: bool = False) -> list[Tensor]:
    """The sequences that `pad_sequence` filled up at the end."""
    rows = padded_sequences if batch_first else padded_sequences.transpose(0, 1)
    counts = lengths.tolist() if isinstance(lengths, Tensor) else list(lengths)
    return [row[:count] for row, count in zip(rows, counts, strict=True)]
