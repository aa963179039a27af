"""Packed sequences: PyTorch's values, gradients, texts and errors, alone and through `RNN`, `LSTM` and `GRU`."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import gradviz

SORTED, UNSORTED = [4, 3, 3, 1], [1, 4, 2, 4]
VALUES = np.random.default_rng(3).normal(size=(4, 4, 3))


def text(value: Any) -> str:
    return repr(value).replace("gradviz.", "torch.")


def plain(value: Any) -> Any:
    """Nested results as lists of numbers."""
    if value is None or isinstance(value, int | str):
        return value
    if isinstance(value, tuple | list):
        return [plain(one) for one in value]
    return np.round(np.asarray(value.detach().numpy(), np.float64), 9).tolist()


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("lengths", [SORTED, UNSORTED])
def test_packing_and_padding_are_torchs(lengths: list[int], batch_first: bool) -> None:
    told = []
    for library in (gradviz, torch):
        rnn = library.nn.utils.rnn
        x = library.tensor(VALUES, requires_grad=True)
        given = library.tensor(lengths) if batch_first else lengths
        packed = rnn.pack_padded_sequence(x, given, batch_first, enforce_sorted=lengths is SORTED)
        padded, again = rnn.pad_packed_sequence(packed, batch_first, -1.5, total_length=5)
        parts = rnn.unpack_sequence(packed)
        total = (padded * padded).sum() + (packed.data**3).sum() + sum(part.sum() for part in parts)
        total.backward()
        told.append(
            (
                plain([*packed, padded, again, *parts, x.grad]),
                packed.data.grad_fn.name(),
                text(packed._replace(data=packed.data.detach())),
                len(packed),
                packed.is_cuda,
                packed.cpu() is packed,
                [str(getattr(packed, kind)().data.dtype).rpartition(".")[2] for kind in ("half", "float", "double")],
            )
        )
    assert told[0] == told[1]


def test_packing_has_a_second_derivative() -> None:
    x = gradviz.tensor(VALUES, requires_grad=True)
    rnn = gradviz.nn.utils.rnn

    def there_and_back(x: Any) -> Any:
        return rnn.pad_packed_sequence(rnn.pack_padded_sequence(x.sin(), SORTED))[0] ** 2

    assert gradviz.autograd.gradcheck(there_and_back, (x,))
    assert gradviz.autograd.gradgradcheck(there_and_back, (x,))


def test_sequences_of_numbers_are_packed() -> None:
    told = []
    for library in (gradviz, torch):
        rows = [library.arange(3.0), library.arange(5.0), library.arange(1.0)]
        told.append(text(library.nn.utils.rnn.pack_sequence(rows, enforce_sorted=False)))
    assert told[0] == told[1]


@pytest.mark.parametrize("lengths", [SORTED, UNSORTED], ids=["sorted", "unsorted"])
@pytest.mark.parametrize("with_state", [False, True])
@pytest.mark.parametrize("options", [{}, {"num_layers": 2, "bidirectional": True}], ids=str)
@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_layers_read_packed_sequences(kind: str, options: dict[str, Any], with_state: bool, lengths: list[int]) -> None:
    told = []
    for library in (gradviz, torch):
        library.manual_seed(5)
        layer = getattr(library.nn, kind)(3, 2, **options).double()
        x = library.tensor(VALUES, requires_grad=True)
        packed = library.nn.utils.rnn.pack_padded_sequence(x, lengths, enforce_sorted=lengths is SORTED)
        count = 4 if options else 1
        state: Any = library.linspace(-1, 1, count * 8).double().reshape(count, 4, 2).requires_grad_()
        given = () if not with_state else ((state, state * 2),) if kind == "LSTM" else (state,)
        output, last = layer(packed, *given)
        ends = list(last) if kind == "LSTM" else [last]
        (output.data.sum() + sum((end**2).sum() for end in ends)).backward()
        leaves = [x, *layer.parameters(), *([state] if with_state else [])]
        told.append(plain([*output, *ends, *(leaf.grad for leaf in leaves)]))
    assert told[0] == told[1]


WRONG: dict[str, Callable[[Any, Any], Any]] = {
    "not sorted": lambda rnn, x: rnn.pack_padded_sequence(x, UNSORTED),
    "too few lengths": lambda rnn, x: rnn.pack_padded_sequence(x, [4, 3]),
    "a length of zero": lambda rnn, x: rnn.pack_padded_sequence(x, [4, 3, 1, 0]),
    "too short a total": lambda rnn, x: rnn.pad_packed_sequence(
        rnn.pack_padded_sequence(x, SORTED), total_length=2
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_told_in_torchs_words(name: str) -> None:
    told = []
    for library in (gradviz, torch):
        with pytest.raises((RuntimeError, ValueError)) as caught:
            WRONG[name](library.nn.utils.rnn, library.tensor(VALUES))
        told.append((caught.type.__name__, str(caught.value)))
    assert told[0] == told[1]


def test_a_recording_of_a_packed_sequence_is_whole() -> None:
    with gradviz.record() as recording, warnings.catch_warnings():
        layer = gradviz.nn.GRU(3, 2)
        rnn = gradviz.nn.utils.rnn
        packed = rnn.pack_padded_sequence(gradviz.tensor(VALUES.astype(np.float32)), UNSORTED, enforce_sorted=False)
        output, last = layer(packed)
        loss = rnn.pad_packed_sequence(output)[0].sum() + last.sum()
        loss.backward()
    graph = recording.graph()
    assert {"_pack_padded_sequence", "_pad_packed_sequence"} <= {op.name for op in graph.ops.values()}
    assert len(graph.sweeps[0].gradients) == len(list(layer.parameters()))
