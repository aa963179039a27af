"""Functions that draw in training give PyTorch's numbers where they draw as it does, and the right shares elsewhere."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from alike import assert_alike

import gradviz as gv


def leaf(library: Any, *shape: int) -> Any:
    count = int(np.prod(shape))
    return (library.arange(count, dtype=library.float32).reshape(*shape) * 0.37 - 1.1).requires_grad_()


CALLS = {
    "dropout1d": ((2, 5, 3), {}),
    "dropout1d without a batch": ((5, 3), {}),
    "dropout2d": ((2, 6, 2, 2), {"p": 0.3}),
    "dropout3d": ((2, 4, 2, 1, 2), {}),
    "dropout3d without a batch": ((4, 2, 1, 2), {"p": 1.0}),
    "alpha_dropout": ((4, 5), {"p": 0.3, "training": True}),
    "alpha_dropout of everything": ((4, 5), {"p": 1.0, "training": True}),
    "feature_alpha_dropout": ((2, 5, 3), {"training": True}),
    "rrelu": ((4, 5), {"training": True}),
    "rrelu in evaluation": ((4, 5), {}),
    "dropout2d in evaluation": ((2, 3, 2, 2), {"training": False}),
}


# Without a batch, PyTorch adds a dimension and takes it away in place, too.
INPLACE = [name for name in CALLS if not name.endswith("without a batch")]


@pytest.mark.parametrize(("name", "inplace"), [*((name, False) for name in CALLS), *((name, True) for name in INPLACE)])
def test_numbers_and_gradients_are_torchs(name: str, inplace: bool) -> None:
    shape, options = CALLS[name]

    def program(library: Any) -> list[Any]:
        library.manual_seed(3)
        x = leaf(library, *shape)
        given = x * 1 if inplace else x
        out = getattr(library.nn.functional, name.partition(" ")[0])(given, inplace=inplace, **options)
        node = out.grad_fn.name() if out.grad_fn is not None else None
        (out * out).sum().backward()
        return [out.detach(), x.grad, node, library.rand(2)]

    assert_alike(program)


@pytest.mark.parametrize("name", ["dropout1d", "dropout2d", "alpha_dropout", "feature_alpha_dropout"])
def test_a_probability_is_one(name: str) -> None:
    for library in (gv, torch):
        with pytest.raises(ValueError, match=r"has to be between 0 and 1, but got 1\.5"):
            getattr(library.nn.functional, name)(library.ones(2, 3, 4, 4), 1.5)


def test_gumbel_softmax_chooses_by_the_shares() -> None:
    gv.manual_seed(0)
    logits = gv.tensor([[0.0, np.log(3.0)]], requires_grad=True).expand(4000, 2)
    chosen = gv.nn.functional.gumbel_softmax(logits, tau=0.5, hard=True)
    values = chosen.detach().numpy()
    assert set(np.unique(np.rint(values))) == {0.0, 1.0}
    assert abs(values[:, 1].mean() - 0.75) < 0.03
    soft = gv.nn.functional.gumbel_softmax(logits)
    np.testing.assert_allclose(soft.detach().numpy().sum(1), 1, rtol=1e-5)
    assert soft.grad_fn.name() == "SoftmaxBackward0"


def test_multinomial_draws_by_the_weights() -> None:
    gv.manual_seed(0)
    weights = gv.tensor([[1.0, 0.0, 3.0], [0.0, 5.0, 5.0]])
    drawn = gv.multinomial(weights, 4000, replacement=True).numpy()
    assert drawn.shape == (2, 4000)
    assert abs((drawn[0] == 2).mean() - 0.75) < 0.03
    assert set(drawn[1]) == {1, 2}
    once = weights[0].multinomial(2).numpy()
    assert sorted(once) == [0, 2], "an index of weight 0 comes last, and none comes twice"
    gv.manual_seed(0), torch.manual_seed(0)
    shares = np.array([0.1, 0.2, 0.3, 0.4])
    same = [library.multinomial(library.tensor(shares), 50, True).numpy() for library in (gv, torch)]
    np.testing.assert_array_equal(*same)
    for library in (gv, torch):
        for bad, message in ((-1.0, "element < 0"), (0.0, "sum of probabilities <= 0")):
            with pytest.raises(RuntimeError, match=message):
                library.multinomial(library.tensor([bad, 0.0]), 1)
        with pytest.raises(RuntimeError, match="without replacement"):
            library.multinomial(library.tensor([1.0, 0.0]), 3)


@pytest.mark.parametrize("count", [1, 3])
def test_what_is_drawn_once_is_what_comes_first(count: int) -> None:
    for library in (gv, torch):  # so it depends on the processor where `exponential_` does
        for replacement in {False, count == 1}:
            weights = library.tensor([[0.1, 0.2, 0.3, 0.4], [4.0, 3.0, 2.0, 1.0]])
            library.manual_seed(3)
            drawn = library.multinomial(weights, count, replacement=replacement)
            library.manual_seed(3)
            waits = library.empty(2, 4).exponential_()
            assert drawn.tolist() == (weights / waits).argsort(1, descending=True)[:, :count].tolist()


def test_exponential_has_its_mean() -> None:
    gv.manual_seed(0)
    x = gv.zeros(4000).exponential_(2.0)
    assert (x.numpy() >= 0).all()
    assert abs(float(x.mean()) - 0.5) < 0.03
    with pytest.raises(RuntimeError, match=r"lambda > 0\.0"):
        x.exponential_(0.0)
