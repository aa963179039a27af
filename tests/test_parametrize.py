"""Parameters made of others: PyTorch's texts, names, values, gradients and errors."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import gradviz
from gradviz.core.ops.norms import weight_norm

LAYERS: dict[str, Callable[[Any], tuple[Any, tuple[int, ...]]]] = {
    "linear": lambda nn: (nn.Linear(3, 2), (4, 3)),
    "convolution": lambda nn: (nn.Conv1d(3, 2, 2), (2, 3, 5)),
    "transposed convolution": lambda nn: (nn.ConvTranspose1d(3, 2, 2), (2, 3, 5)),
}
WAYS: dict[str, Callable[[Any, Any], Any]] = {
    "weight_norm": lambda utils, layer: utils.parametrizations.weight_norm(layer),
    "weight_norm along another": lambda utils, layer: utils.parametrizations.weight_norm(layer, dim=1),
    "weight_norm of the whole": lambda utils, layer: utils.parametrizations.weight_norm(layer, dim=None),
    "spectral_norm": lambda utils, layer: utils.parametrizations.spectral_norm(layer),
    "spectral_norm of a bias": lambda utils, layer: utils.parametrizations.spectral_norm(layer, "bias", dim=0),
    "the older weight_norm": lambda utils, layer: utils.weight_norm(layer),
    "the older weight_norm of the whole": lambda utils, layer: utils.weight_norm(layer, dim=None),
}


def plain(tensor: Any) -> Any:
    return np.round(tensor.detach().numpy().astype(np.float64), 6).tolist()


def learned(module: Any) -> list[Any]:
    """Names and values of the parameters, and their gradients."""
    return [
        (name, plain(one), None if one.grad is None else plain(one.grad), one.requires_grad)
        for name, one in module.named_parameters()
    ]


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.filterwarnings("ignore:.*is deprecated in favor of")
def test_layers_with_such_weights_are_torchs(way: str, layer: str) -> None:
    told = []
    for library in (gradviz, torch):
        library.manual_seed(2)
        module, shape = LAYERS[layer](library.nn)
        module.double()
        made = WAYS[way](library.nn.utils, module)
        optimizer = library.optim.SGD(module.parameters(), lr=0.1)
        x = library.linspace(-1, 1, int(np.prod(shape)), dtype=library.float64).reshape(shape)
        seen: list[Any] = [made is module, repr(module), list(module.state_dict())]
        for _ in range(2):
            optimizer.zero_grad()
            (module(x) ** 2).sum().backward()
            optimizer.step()
            seen.append(learned(module))
        module.eval()
        seen += [plain(module(x)), module.weight.requires_grad]
        if "older" not in way:  # whose weight is no leaf, which neither library copies
            seen.append(plain(copy.deepcopy(module)(x)))
        state = module.state_dict()
        again = WAYS[way](library.nn.utils, LAYERS[layer](library.nn)[0].double()).eval()
        seen += [str(again.load_state_dict(state)), plain(again(x))]
        told.append(seen)
    assert told[0] == told[1]


def symmetric(library: Any) -> Any:
    class Symmetric(library.nn.Module):  # type: ignore[misc,name-defined]
        def forward(self, x: Any) -> Any:
            return x.triu() + x.triu(1).mT

        def right_inverse(self, x: Any) -> Any:
            return x.triu()

    return Symmetric()


def scaled(library: Any) -> Any:
    class Scaled(library.nn.Module):  # type: ignore[misc,name-defined]
        def forward(self, x: Any) -> Any:
            return x * 2

    return Scaled()


def test_parametrizations_of_the_users_own() -> None:
    told = []
    for library in (gradviz, torch):
        parametrize = library.nn.utils.parametrize
        library.manual_seed(0)
        layer = library.nn.Linear(3, 3)
        weight = layer.weight
        parametrize.register_parametrization(layer, "weight", symmetric(library))
        seen: list[Any] = [repr(layer), type(layer).__name__, plain(layer.weight), layer.weight.grad_fn is not None]
        seen.append(layer.parametrizations.weight.original is weight)
        layer.weight = library.eye(3) * 4
        seen += [plain(layer.weight), plain(layer.parametrizations.weight.original)]
        with parametrize.cached():
            seen.append(layer.weight is layer.weight)
        seen += [layer.weight is layer.weight, parametrize.is_parametrized(layer), str(list(layer.state_dict()))]
        parametrize.register_parametrization(layer, "weight", scaled(library))
        seen += [plain(layer.weight), parametrize.is_parametrized(layer, "bias")]
        seen.append(parametrize.type_before_parametrizations(layer).__name__)
        parametrize.remove_parametrizations(layer, "weight")
        seen += [repr(layer), plain(layer.weight), layer.weight is weight, parametrize.is_parametrized(layer)]
        told.append(seen)
    assert told[0] == told[1]


def test_removing_gives_the_weight_back() -> None:
    told = []
    for library in (gradviz, torch):
        library.manual_seed(1)
        utils, seen = library.nn.utils, []
        for keep in (True, False):
            layer = utils.parametrizations.spectral_norm(library.nn.Linear(3, 2))
            utils.parametrize.remove_parametrizations(layer, "weight", leave_parametrized=keep)
            seen.append((repr(layer), learned(layer)))
        layer = utils.parametrizations.weight_norm(library.nn.Linear(3, 2))
        utils.parametrize.remove_parametrizations(layer, "weight")
        seen.append((repr(layer), sorted(learned(layer))))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            layer = utils.remove_weight_norm(utils.weight_norm(library.nn.Linear(3, 2)))
        seen.append((repr(layer), sorted(learned(layer))))
        told.append(seen)
    assert told[0] == told[1]


WRONG: dict[str, Callable[[Any, Any], Any]] = {
    "no such tensor": lambda lib, p: p.register_parametrization(lib.nn.Linear(3, 3), "wei", symmetric(lib)),
    "not parametrized": lambda lib, p: p.remove_parametrizations(lib.nn.Linear(2, 2), "weight"),
    "another shape": lambda lib, p: p.register_parametrization(lib.nn.Linear(3, 2), "weight", lib.nn.Linear(3, 4)),
    "no way back": lambda lib, p: setattr(
        p.register_parametrization(lib.nn.Linear(2, 2), "weight", scaled(lib)), "weight", lib.ones(2, 2)
    ),
    "no iterations": lambda lib, p: lib.nn.utils.parametrizations.spectral_norm(
        lib.nn.Linear(2, 2), n_power_iterations=0
    ),
    "no such dimension": lambda lib, p: lib.nn.utils.parametrizations.spectral_norm(lib.nn.Linear(2, 2), dim=2),
    "pickled": lambda lib, p: copy.copy(lib.nn.utils.parametrizations.weight_norm(lib.nn.Linear(2, 2))),
    "the older one twice": lambda lib, p: lib.nn.utils.weight_norm(lib.nn.utils.weight_norm(lib.nn.Linear(2, 2))),
    "the older one not there": lambda lib, p: lib.nn.utils.remove_weight_norm(lib.nn.Linear(2, 2)),
}


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.filterwarnings("ignore:.*is deprecated in favor of")
def test_what_is_wrong_is_told_in_torchs_words(name: str) -> None:
    told = []
    for library in (gradviz, torch):
        with pytest.raises((RuntimeError, ValueError, IndexError)) as caught:
            WRONG[name](library, library.nn.utils.parametrize)
        told.append((caught.type.__name__, str(caught.value).replace("gradviz.", "torch.")))
    assert told[0] == told[1]


def test_the_older_one_warns() -> None:
    for library in (gradviz, torch):
        with pytest.warns(FutureWarning, match="is deprecated in favor of"):
            library.nn.utils.weight_norm(library.nn.Linear(2, 2))


@pytest.mark.parametrize("dim", [0, 1, 2, -1])
def test_weight_norm_has_derivatives(dim: int) -> None:
    v = gradviz.tensor(np.random.default_rng(0).normal(size=(2, 3, 2)), requires_grad=True)
    g = gradviz.norm_except_dim(v.detach() * 2, 2, dim).requires_grad_()
    for check in (gradviz.autograd.gradcheck, gradviz.autograd.gradgradcheck):
        assert check(lambda v, g: weight_norm(v, g, dim), (v, g))


@pytest.mark.parametrize("shape", [(3, 3), (5, 3), (2, 4), (2, 4, 3)])
@pytest.mark.parametrize("way", ["matrix_exp", "cayley", "householder", None])
@pytest.mark.parametrize("trivialized", [True, False])
def test_orthogonal_weights_are_torchs(way: str | None, shape: tuple[int, ...], trivialized: bool) -> None:
    told = []
    for library in (gradviz, torch):
        library.manual_seed(3)
        module = library.nn.Linear(2, 2, bias=False).double()
        start = library.randn(*shape, dtype=library.float64)
        module.weight = library.nn.Parameter(start)
        make = library.nn.utils.parametrizations.orthogonal
        seen: list[Any] = []
        try:
            made = make(module, "weight", way, use_trivialization=trivialized)
            seen += [made is module, repr(module), list(module.state_dict())]
            for _ in range(2):
                weight = module.weight
                (weight * library.linspace(0, 1, weight.numel(), dtype=library.float64).view(shape)).sum().backward()
                seen += [plain(weight), learned(module)]
                with library.no_grad():
                    for one in module.parameters():
                        one -= 0.1 * one.grad
            module.weight = module.weight.detach().clone()
            seen += [plain(module.weight), learned(module)]
            module.weight = library.eye(7, dtype=library.float64)
        except (ValueError, NotImplementedError) as error:
            seen.append(f"{type(error).__name__}: {error}".replace("gradviz.", "torch."))
        told.append(seen)
    assert told[0] == told[1]


def test_weights_that_cannot_be_orthogonal() -> None:
    told = []
    for library in (gradviz, torch):
        seen = []
        make = library.nn.utils.parametrizations.orthogonal
        for given in (("bias",), ("weight", "other"), ("missing",)):
            try:
                make(library.nn.Linear(2, 3), *given)
            except ValueError as error:
                seen.append(str(error))
        told.append(seen)
    assert told[0] == told[1]
