"""The loss of sequences has PyTorch's values and gradients, and its gradient is that of the sum over all ways."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch

import gradviz as gv

SCORES = np.random.default_rng(2).normal(size=(7, 3, 5))
LABELS = np.array([[1, 2, 2, 4], [3, 3, 1, 0], [4, 1, 0, 0]])
CASES: dict[str, tuple[Any, dict[str, Any]]] = {
    "padded": (LABELS, {}),
    "behind each other": (np.concatenate([LABELS[0], LABELS[1, :3], LABELS[2, :1]]), {"reduction": "none"}),
    "another blank": (LABELS[:, :] % 4, {"blank": 4, "reduction": "sum"}),
    "too long": (LABELS, {"lengths": (7, 4, 1), "reduction": "none"}),
    "too long for nothing": (LABELS, {"lengths": (7, 4, 1), "zero_infinity": True}),
    "no labels": (LABELS, {"targets": (0, 3, 1), "reduction": "none"}),
}


@pytest.mark.parametrize("name", CASES)
def test_same_as_torch(name: str) -> None:
    labels, options = CASES[name]
    options = dict(options)
    lengths, targets = options.pop("lengths", (7, 6, 5)), options.pop("targets", (4, 3, 1))
    found = []
    for library in (gv, torch):
        scores = library.tensor(SCORES, requires_grad=True)
        given = library.tensor(labels), library.tensor(lengths), library.tensor(targets)
        loss = library.nn.functional.ctc_loss(scores.log_softmax(2), *given, **options)
        finite = loss[library.isfinite(loss)] if loss.ndim else loss
        finite.sum().backward()
        found.append((loss.detach().numpy(), scores.grad.numpy(), loss.grad_fn.name()))
    np.testing.assert_allclose(found[0][0], found[1][0], rtol=1e-10)
    np.testing.assert_allclose(found[0][1], found[1][1], rtol=1e-8, atol=1e-10)
    assert found[0][2] == found[1][2]


def test_it_is_the_sum_over_all_ways() -> None:
    log_probs = gv.tensor(SCORES[:4, 0]).log_softmax(1)
    wanted = []
    for way in itertools.product(range(5), repeat=4):
        said = [label for label, _ in itertools.groupby(way) if label]
        if said == [1, 2]:
            wanted.append(sum(float(log_probs[step, label]) for step, label in enumerate(way)))
    loss = gv.nn.functional.ctc_loss(log_probs, gv.tensor([1, 2]), 4, 2, reduction="sum")
    assert np.isclose(float(loss), -np.log(np.exp(wanted).sum()))


def test_its_gradient_is_that_of_the_scores() -> None:
    scores = gv.tensor(SCORES[:4, :1], requires_grad=True)
    assert gv.autograd.gradcheck(
        lambda x: gv.nn.functional.ctc_loss(x.log_softmax(2), gv.tensor([[1, 2]]), (4,), (2,)), scores
    )


def test_the_second_derivative_is_refused_in_torchs_words() -> None:
    told = []
    for library in (gv, torch):
        scores = library.tensor(SCORES[:4, :1], requires_grad=True)
        loss = library.nn.functional.ctc_loss(scores.log_softmax(2), library.tensor([[1, 2]]), (4,), (2,))
        (slopes,) = library.autograd.grad(loss, scores, create_graph=True)
        with pytest.raises(RuntimeError) as caught:
            slopes.sum().backward()
        told.append((np.round(slopes.detach().numpy(), 9).tolist(), str(caught.value).partition("\n")[0]))
    assert told[0] == told[1]


def test_what_does_not_fit_is_refused() -> None:
    for library in (gv, torch):
        scores = library.tensor(SCORES).log_softmax(2)
        call = library.nn.functional.ctc_loss
        labels = library.tensor(LABELS)
        wrong = (((8, 7, 7), 0, "value at most 7"), ((7, 7, 7), 9, "blank must be in label range"))
        for lengths, blank, message in wrong:
            with pytest.raises(RuntimeError, match=message):
                call(scores, labels, library.tensor(lengths), library.tensor([4, 3, 1]), blank)
