"""Layers that learn their sizes, clusters of classes, fused layers and parts of sequences that run again."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from alike import assert_alike, text

import gradviz as gv

LAZY: dict[str, tuple[Callable[..., Any], tuple[int, ...]]] = {
    "LazyConv1d": (lambda nn, **kind: nn.LazyConv1d(4, 3, padding=1, **kind), (2, 3, 7)),
    "LazyConv2d": (lambda nn, **kind: nn.LazyConv2d(4, (3, 2), stride=2, groups=2, bias=False, **kind), (2, 6, 7, 5)),
    "LazyConv2d without a batch": (
        lambda nn, **kind: nn.LazyConv2d(4, 3, padding_mode="reflect", padding=1, **kind), (3, 5, 5)
    ),
    "LazyConv3d": (lambda nn, **kind: nn.LazyConv3d(2, 2, **kind), (1, 3, 4, 4, 4)),
    "LazyConvTranspose1d": (lambda nn, **kind: nn.LazyConvTranspose1d(4, 3, **kind), (2, 3, 7)),
    "LazyConvTranspose2d": (
        lambda nn, **kind: nn.LazyConvTranspose2d(4, 3, stride=2, output_padding=1, **kind), (2, 3, 4, 4)
    ),
    "LazyConvTranspose3d": (lambda nn, **kind: nn.LazyConvTranspose3d(2, 2, **kind), (1, 3, 3, 3, 3)),
    "LazyBatchNorm1d": (lambda nn, **kind: nn.LazyBatchNorm1d(**kind), (4, 3)),
    "LazyBatchNorm2d": (lambda nn, **kind: nn.LazyBatchNorm2d(eps=1e-3, momentum=None, **kind), (4, 3, 2, 2)),
    "LazyBatchNorm3d": (lambda nn, **kind: nn.LazyBatchNorm3d(affine=False, **kind), (4, 3, 2, 2, 2)),
    "LazyInstanceNorm1d": (lambda nn, **kind: nn.LazyInstanceNorm1d(**kind), (4, 3, 5)),
    "LazyInstanceNorm2d": (lambda nn, **kind: nn.LazyInstanceNorm2d(affine=False, **kind), (2, 3, 4, 5)),
    "LazyInstanceNorm3d": (
        lambda nn, **kind: nn.LazyInstanceNorm3d(track_running_stats=False, **kind), (2, 3, 2, 2, 2)
    ),
}


@pytest.mark.parametrize("name", LAZY)
def test_a_layer_that_learns_its_size(name: str) -> None:
    make, shape = LAZY[name]

    def program(library: Any) -> list[Any]:
        library.manual_seed(2)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Lazy modules are a new feature")
            layer = make(library.nn, dtype=library.float64)
        before = repr(layer)
        held = [id(one) for one in layer.parameters()]
        seen: list[str] = []
        layer.register_forward_hook(lambda module, given, out: seen.append(type(module).__name__))
        out = layer(library.randn(*shape, dtype=library.float64))
        assert held == [id(one) for one in layer.parameters()], "an optimizer holds the same ones"
        (out * out).sum().backward() if out.requires_grad else None
        state = {key: value.clone() for key, value in layer.state_dict().items()}
        slopes = [one.grad for one in layer.parameters()]
        return [before, repr(layer), type(layer).__name__, seen, out.detach(), state, slopes]

    assert_alike(program)


def test_inputs_that_a_lazy_layer_refuses() -> None:
    for make, shape in (
        (lambda nn, **kind: nn.LazyConv2d(4, 3, **kind), (3, 3)),
        (lambda nn, **kind: nn.LazyConv2d(4, 3, groups=2, **kind), (1, 3, 4, 4)),
        (lambda nn, **kind: nn.LazyBatchNorm2d(**kind), (3, 3)),
    ):
        told = []
        for library in (gv, torch):
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", message="Lazy modules are a new feature")
                layer = make(library.nn)
            with pytest.raises((RuntimeError, ValueError)) as caught:
                layer(library.ones(*shape))
            told.append(text(caught.value).replace("gradviz.Size", "torch.Size"))
        assert told[0] == told[1]


@pytest.mark.parametrize("options", [{}, {"div_value": 2.0, "head_bias": True}])
def test_classes_in_clusters(options: dict[str, Any]) -> None:
    def program(library: Any) -> list[Any]:
        library.manual_seed(4)
        layer = library.nn.AdaptiveLogSoftmaxWithLoss(16, 20, [5, 10, 15], dtype=library.float64, **options)
        x = library.randn(9, 16, dtype=library.float64).requires_grad_()
        target = library.tensor([0, 4, 5, 9, 10, 14, 3, 19, 1])
        output, loss = found = layer(x, target)
        loss.backward()
        single = layer(x[0], target[0])
        parts = [output.detach(), loss.detach(), x.grad, single.output.detach(), found.loss is loss]
        slopes = [one.grad for one in layer.parameters()]
        layer.reset_parameters()
        return [repr(layer), *parts, slopes, layer.log_prob(x).detach(), layer.predict(x)]

    assert_alike(program)


def test_targets_and_clusters_that_cannot_be() -> None:
    def program(library: Any) -> list[str]:
        told = []
        make = library.nn.AdaptiveLogSoftmaxWithLoss
        layer = make(4, 6, [2])
        for call in (
            lambda: make(4, 6, []),
            lambda: make(4, 6, [3, 2]),
            lambda: make(4, 6, [2, 6]),
            lambda: layer(library.ones(2, 4), library.tensor([0, 6])),
            lambda: layer(library.ones(2, 4), library.tensor([0])),
            lambda: layer(library.ones(2, 4), library.tensor(0)),
            lambda: layer(library.ones(2, 4), library.tensor([[0]])),
        ):
            try:
                call()
            except (ValueError, RuntimeError) as error:
                told.append(f"{type(error).__name__}: {text(error)}".replace("gradviz.Size", "torch.Size"))
        assert len(told) == 7
        return told

    assert_alike(program)


def test_a_layer_and_the_normalisation_behind_it_are_one() -> None:
    def program(library: Any) -> list[Any]:
        library.manual_seed(1)
        nn = library.nn
        pairs = [
            (nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4), library.randn(2, 3, 5, 5), {}),
            (nn.ConvTranspose2d(3, 4, 3), nn.BatchNorm2d(4, affine=False), library.randn(2, 3, 5, 5), {"transpose": 1}),
            (nn.Linear(3, 4), nn.BatchNorm1d(4), library.randn(5, 3), None),
        ]
        found: list[Any] = []
        for layer, norm, x, options in pairs:
            layer, norm, x = layer.double(), norm.double(), x.double()
            norm(layer(x))
            layer.eval(), norm.eval()
            fuse = nn.utils.fuse_linear_bn_eval if options is None else nn.utils.fuse_conv_bn_eval
            fused = fuse(layer, norm, **(options or {}))
            assert library.allclose(fused(x), norm(layer(x)))
            found += [repr(fused), fused(x).detach(), fused.weight.requires_grad, fused is layer]
            try:
                fuse(layer.train(), norm)
            except AssertionError as error:
                found.append(str(error))
        return found

    assert_alike(program)


@pytest.mark.parametrize("reentrant", [True, False])
def test_parts_of_a_sequence_that_run_again(reentrant: bool) -> None:
    def program(library: Any) -> list[Any]:
        library.manual_seed(1)
        nn = library.nn
        model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 4), nn.Dropout(0.5), nn.Linear(4, 1))
        runs: list[int] = []
        model[0].register_forward_hook(lambda *_: runs.append(1))
        model, x = model.double(), library.randn(5, 3, dtype=library.float64).requires_grad_()
        out = library.utils.checkpoint.checkpoint_sequential(model, 3, x, use_reentrant=reentrant)
        out.sum().backward()
        listed = library.utils.checkpoint.checkpoint_sequential([library.sin, library.exp], 2, x, use_reentrant=False)
        return [out.detach(), x.grad, [one.grad for one in model.parameters()], len(runs) > 0, listed.detach()]

    assert_alike(program)


def test_a_function_made_linear() -> None:
    found = []
    for library in (gv, torch):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # PyTorch's own machinery warns of itself
            x, y = library.tensor([1.0, 2.0]), library.tensor(3.0)
            output, along = library.func.linearize(lambda x, y: (x**3 * y).sin(), x, y)
            tangents = (library.tensor([0.5, -1.0]), library.tensor(2.0))
            parts = [output, along(*tangents), along(library.ones(2), library.tensor(0.0))]
        found.append([[round(value, 4) for value in part.tolist()] for part in parts])
    assert found[0] == found[1]
