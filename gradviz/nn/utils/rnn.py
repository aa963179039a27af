"""Sequences of different lengths in one tensor: padded to the longest one, or packed without padding."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from gradviz.core import dtypes
from gradviz.core.apply import apply
from gradviz.core.ops.joining import stack
from gradviz.core.ops.ragged import PACK, PAD, sizes_of
from gradviz.core.public import FUNCTIONAL, FUNCTIONS
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


class _Fields(NamedTuple):
    data: Any
    batch_sizes: Any
    sorted_indices: Any
    unsorted_indices: Any


class PackedSequence(_Fields):
    """Sequences without padding: all first elements, then all second ones, and so on, the longest sequence first.

    data: the elements. batch_sizes: how many there are of each step. sorted_indices, unsorted_indices: the sequences in
    the order of their lengths, and the way back; None where they came in that order.
    """

    __slots__ = ()

    def __new__(
        cls, data: Any, batch_sizes: Any = None, sorted_indices: Any = None, unsorted_indices: Any = None
    ) -> PackedSequence:
        if unsorted_indices is None:
            unsorted_indices = invert_permutation(sorted_indices)
        return super().__new__(cls, data, batch_sizes, sorted_indices, unsorted_indices)

    def to(self, *args: Any, **kwargs: Any) -> PackedSequence:
        """The elements as `Tensor.to` gives them; self where they are so already."""
        data = self.data.to(*args, **kwargs)
        return self if data is self.data else self._replace(data=data)

    def double(self) -> PackedSequence:
        """The elements in float64."""
        return self.to(dtype=dtypes.float64)

    def float(self) -> PackedSequence:
        """The elements in float32."""
        return self.to(dtype=dtypes.float32)

    def half(self) -> PackedSequence:
        """The elements in float16."""
        return self.to(dtype=dtypes.float16)

    def long(self) -> PackedSequence:
        """The elements in int64."""
        return self.to(dtype=dtypes.int64)

    def cpu(self) -> PackedSequence:
        """Itself."""
        return self

    @property
    def is_cuda(self) -> bool:
        """False."""
        return False

    def is_pinned(self) -> bool:
        """False."""
        return False


def invert_permutation(permutation: Any) -> Any:
    """For each number where it stands; None for None."""
    if permutation is None:
        return None
    return FUNCTIONS["from_numpy"](permutation.numpy().argsort(kind="stable"))


def pack_padded_sequence(
    input: Any, lengths: Any, batch_first: bool = False, enforce_sorted: bool = True
) -> PackedSequence:
    """Sequences (longest, count, ...), or (count, longest, ...), without what is beyond their lengths.

    enforce_sorted: take it as a mistake where the lengths do not fall. Raises RuntimeError then, and for lengths that
    do not fit.
    """
    counts = FUNCTIONS["as_tensor"](lengths, dtype=dtypes.int64) if not isinstance(lengths, Tensor) else lengths
    order = None
    if not enforce_sorted:
        counts, order = FUNCTIONS["sort"](counts, descending=True)
        input = input.index_select(0 if batch_first else 1, order)
    rows = input.transpose(0, 1) if batch_first else input
    given = tuple(int(one) for one in counts.tolist())
    if len(given) != rows.size(1):
        raise RuntimeError(
            f"Expected `len(lengths)` to be equal to batch_size, but got {len(given)} (batch_size={rows.shape[1]})"
        )
    if min(given) <= 0:
        raise RuntimeError(
            "Length of all samples has to be greater than 0, but found an element in 'lengths' that is <= 0"
        )
    if enforce_sorted and list(given) != sorted(given, reverse=True):
        raise RuntimeError(
            "`lengths` array must be sorted in decreasing order when `enforce_sorted` is True. You can pass "
            "`enforce_sorted=False` to pack_padded_sequence and/or pack_sequence to sidestep this requirement if you "
            "do not need ONNX exportability."
        )
    data = apply(PACK, (rows,), (given,))
    return PackedSequence(data, FUNCTIONS["tensor"](sizes_of(given)), order)


def _lengths(batch_sizes: Any) -> tuple[int, ...]:
    """The lengths of the sequences, in decreasing order."""
    sizes = batch_sizes.tolist()
    return tuple(sum(size > row for size in sizes) for row in range(sizes[0] if sizes else 0))


def pad_packed_sequence(
    sequence: Any, batch_first: bool = False, padding_value: float = 0.0, total_length: int | None = None
) -> tuple[Tensor, Tensor]:
    """What `pack_padded_sequence` packed, filled up with `padding_value` to the longest or to `total_length`; and the
    lengths. Raises ValueError where `total_length` is too short.
    """
    lengths = _lengths(sequence.batch_sizes)
    longest = max(lengths, default=0)
    if total_length is not None and total_length < longest:
        raise ValueError(
            "Expected total_length to be at least the length of the longest sequence in input, but got "
            f"total_length={total_length} and max sequence length being {longest}"
        )
    total = longest if total_length is None else total_length
    padded: Any = apply(PAD, (sequence.data,), (lengths, padding_value, total))
    counts: Any = FUNCTIONS["tensor"](list(lengths))
    if batch_first:
        padded = padded.transpose(0, 1)
    back = sequence.unsorted_indices
    if back is not None:
        return padded.index_select(0 if batch_first else 1, back), counts[back]
    return padded, counts


def pack_sequence(sequences: Iterable[Any], enforce_sorted: bool = True) -> PackedSequence:
    """Sequences (length, ...) without padding."""
    given = list(sequences)
    return pack_padded_sequence(pad_sequence(given), [len(one) for one in given], enforce_sorted=enforce_sorted)


def unpack_sequence(packed_sequences: PackedSequence) -> list[Tensor]:
    """The sequences that were packed."""
    padded, lengths = pad_packed_sequence(packed_sequences, batch_first=True)
    return unpad_sequence(padded, lengths, batch_first=True)
