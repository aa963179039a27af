"""What everyday scripts call, and how it prints: as with PyTorch."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import torch
from alike import assert_alike, plain

import gradviz as gv


def test_arrays_of_tensors_that_require_grad_where_grad_mode_is_off() -> None:
    def program(library: Any) -> list[Any]:
        x = library.ones(2, requires_grad=True)
        found = []
        with library.no_grad():
            found += [x.numpy().tolist(), (x * 2).numpy().tolist(), np.asarray(x).tolist()]
        with library.inference_mode():
            found.append(x.numpy().tolist())
        try:
            x.numpy()
        except RuntimeError as error:
            found.append(str(error))
        return found

    assert_alike(program)


def test_what_is_saved_may_be_kept_as_arrays() -> None:
    def program(library: Any) -> Any:
        x = library.tensor([1.0, 2.0], requires_grad=True)
        with library.autograd.graph.saved_tensors_hooks(lambda kept: kept.numpy(), lambda kept: library.tensor(kept)):
            (x.sin() * x**2).sum().backward()
        return x.grad

    assert_alike(program)


def test_gradients_by_older_arguments() -> None:
    def program(library: Any) -> list[Any]:
        x, y = library.ones(2, requires_grad=True), library.ones(2, requires_grad=True)
        loss = (x * x).sum()
        found = [library.autograd.grad(loss, x, None, True, True, True, False)]
        found.append(library.autograd.grad(loss, [x, y], retain_graph=True, materialize_grads=True))
        with pytest.warns(FutureWarning, match="only_inputs argument is deprecated"):
            found.append(library.autograd.grad(loss, x, only_inputs=False, retain_graph=True))
        found.append(library.autograd.grad(loss, [x, y], allow_unused=False, materialize_grads=True))
        return found

    assert_alike(program)


def test_shapes_stay_shapes() -> None:
    def program(library: Any) -> list[Any]:
        size = library.zeros(2, 3, 4).shape
        first, last = (1,), (5,)
        made = [size + last, first + size, size + size, size * 2, 2 * size, size[1:], size[:-1]]
        return [(repr(one).split(".")[-1], one.numel()) for one in made] + [size[0], size[-1], size == (2, 3, 4)]

    assert_alike(program)


def test_where_the_stream_stands_is_a_tensor() -> None:
    state = gv.get_rng_state()
    assert (state.shape, state.dtype) == ((5056,), gv.uint8)
    assert tuple(torch.get_rng_state().shape) == (5056,)

    def program(library: Any) -> list[Any]:
        library.manual_seed(3)
        library.randn(1)  # one of a pair of normal numbers is kept
        state = library.get_rng_state().clone()
        before = library.randn(3)
        library.set_rng_state(state)
        found = [before.tolist() == library.randn(3).tolist(), library.randn(3)]
        for wrong in (state.float(), 3):
            try:
                library.set_rng_state(wrong)
            except TypeError as error:
                found.append(type(error).__name__)
        return found

    assert_alike(program)


def test_samples_without_replacement_by_weight() -> None:
    def program(library: Any) -> list[Any]:
        library.manual_seed(0)
        sampler = library.utils.data.WeightedRandomSampler
        own = library.Generator().manual_seed(4)
        return [
            list(sampler([0.1, 0.9, 2.0], 2, replacement=False)),
            list(sampler([1.0, 5.0], 2, False, generator=own)),
        ]

    assert_alike(program)


def test_lists_of_parameters_are_shown() -> None:
    def program(library: Any) -> list[str]:
        nn = library.nn
        one, two = nn.Parameter(library.ones(2)), nn.Parameter(library.ones(2, 3))
        made = [nn.ParameterList([]), nn.ParameterList([one]), nn.Sequential(nn.ParameterList([one, two]))]
        made += [nn.ParameterDict({"a": one}), nn.ParameterDict({"a": one, "b": two})]
        made.append(nn.MultiheadAttention(4, 2))
        return [repr(module).replace("gradviz", "torch") for module in made]

    assert_alike(program)


def test_the_least_and_the_greatest_have_names() -> None:
    found = [library.tensor([[1.0, 3.0], [2.0, 0.0]]).aminmax(dim=1) for library in (gv, torch)]
    assert plain(found[0].min) == plain(found[1].min)
    assert plain(found[0].max) == plain(found[1].max)
    assert repr(found[0]).replace("gradviz", "torch") == repr(found[1])


def test_a_mean_of_divergences_warns() -> None:
    def program(library: Any) -> Any:
        return library.nn.functional.kl_div(library.zeros(2, 2), library.ones(2, 2))

    assert_alike(program)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        gv.nn.functional.kl_div(gv.zeros(2, 2), gv.ones(2, 2), reduction="batchmean")


def test_where_something_holds() -> None:
    def program(library: Any) -> list[Any]:
        x = library.tensor([[1.0, -1.0], [0.0, 2.0]], requires_grad=True)
        rows, columns = library.where(x > 0)
        return [rows, columns, x[rows, columns], library.where(x[0, 0] > 0), library.where(x > 5)]

    assert_alike(program)


@pytest.mark.parametrize("kind", [int, float, complex, bool])
def test_tensors_that_are_no_one_number(kind: Any) -> None:
    for shape in ((2,), (0,), (1, 1)):
        assert_alike(lambda library, shape=shape: kind(library.ones(shape)))
