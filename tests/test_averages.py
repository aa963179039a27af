"""Averages of a model over its training against PyTorch's: `AveragedModel`, `update_bn`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from alike import assert_alike

import gradviz as gv

WAYS: dict[str, Callable[[Any], dict[str, Any]]] = {
    "mean": lambda swa: {},
    "mean of lists": lambda swa: {"multi_avg_fn": swa.get_swa_multi_avg_fn()},
    "moving mean": lambda swa: {"avg_fn": swa.get_ema_avg_fn(0.6)},
    "moving mean of lists": lambda swa: {"multi_avg_fn": swa.get_ema_multi_avg_fn(0.6)},
    "moving mean of buffers, too": lambda swa: {"multi_avg_fn": swa.get_ema_multi_avg_fn(0.6), "use_buffers": True},
    "one of the user's": lambda swa: {"avg_fn": lambda mean, value, count: (mean + value) / (count + 1)},
}


def model_of(library: Any) -> Any:
    library.manual_seed(3)
    nn = library.nn
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))


@pytest.mark.parametrize("way", WAYS)
def test_an_average_of_a_model_and_its_statistics(way: str) -> None:
    def program(library: Any) -> Any:
        swa = library.optim.swa_utils
        model = model_of(library)
        averaged = swa.AveragedModel(model, **WAYS[way](swa))
        optimizer = library.optim.SGD(model.parameters(), lr=0.2)
        data = library.randn(24, 3)
        for number in range(4):
            optimizer.zero_grad()
            model(data[number * 6 : number * 6 + 6]).square().mean().backward()
            optimizer.step()
            averaged.update_parameters(model)
        found = [{name: tensor.clone() for name, tensor in averaged.state_dict().items()}]
        if "buffers" not in way:
            swa.update_bn([(data[:8], 0), (data[8:16], 1)], averaged)
        found.append(dict(averaged.state_dict()))
        averaged.eval()
        found.append(averaged(data[:2]).detach())
        return [found, [name for name, _ in averaged.named_parameters()]]

    assert_alike(program)


def test_statistics_of_batches_that_are_no_lists_and_momenta_that_stay() -> None:
    def program(library: Any) -> Any:
        model = model_of(library).eval()
        data = library.randn(2, 5, 3)
        library.optim.swa_utils.update_bn(data, model)
        library.optim.swa_utils.update_bn([], library.nn.Linear(1, 1))
        return [model[1].momentum, model.training, model[1].running_mean, model[1].running_var]

    assert_alike(program)


def test_two_ways_to_average_are_refused() -> None:
    for library in (gv, torch):
        swa = library.optim.swa_utils
        with pytest.raises(AssertionError, match="Only one of avg_fn and multi_avg_fn should be provided"):
            swa.AveragedModel(model_of(library), avg_fn=swa.get_swa_avg_fn(), multi_avg_fn=swa.get_swa_multi_avg_fn())
