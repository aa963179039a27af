"""Every module against PyTorch's: initial values bit for bit, text, results, gradients, saved state."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from modules_table import CASES, Case, data_of

import gradviz

Pair = tuple[Any, Any]


def missing(case: Case) -> list[str]:
    """The functions that a case needs and that the op table does not have."""
    return [name for name in case.needs if name not in dir(gradviz.nn.functional)]


ABLE = [case for case in CASES if not missing(case)]


def made(case: Case, dtype: Any = np.float32) -> Pair:
    """The module, ours and PyTorch's, from one seed."""
    both = []
    for library in (gradviz, torch):
        library.manual_seed(5)
        module = getattr(library.nn, case.kind)(*case.args, **case.kwargs)
        both.append(module.double() if dtype is np.float64 else module)
    return both[0], both[1]


def tensors(library: Any, data: Any) -> Any:
    """The arrays as leaves of a library that require grad where they can."""
    if isinstance(data, tuple):
        return tuple(tensors(library, part) for part in data)
    leaf = library.tensor(data)
    return leaf.requires_grad_() if data.dtype.kind == "f" else leaf


def flat(value: Any) -> Iterator[Any]:
    """The tensors in a result."""
    if isinstance(value, tuple | list):
        for part in value:
            yield from flat(part)
    elif value is not None:
        yield value


def close(ours: Any, theirs: Any, tolerance: float) -> None:
    assert tuple(ours.shape) == tuple(theirs.shape)
    assert str(ours.dtype).split(".")[1] == str(theirs.dtype).split(".")[1]
    np.testing.assert_allclose(ours.detach().numpy(), theirs.detach().numpy(), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_begins_with_the_same_numbers_and_prints_the_same(case: Case) -> None:
    ours, theirs = made(case)
    assert repr(ours) == repr(theirs)
    mine, other = ours.state_dict(), theirs.state_dict()
    assert list(mine) == list(other)
    for name, tensor in mine.items():
        assert tensor.numpy().tobytes() == other[name].numpy().tobytes(), name
        assert repr(tensor.dtype).split(".")[1] == repr(other[name].dtype).split(".")[1]
    assert [name for name, _ in ours.named_parameters()] == [name for name, _ in theirs.named_parameters()]
    assert float(gradviz.rand(1)) == float(torch.rand(1)), "as many random numbers were drawn"


@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])
@pytest.mark.parametrize("case", ABLE, ids=str)
def test_gives_the_same_results_and_gradients(case: Case, dtype: Any) -> None:
    modules = made(case, dtype)
    data = tuple(data_of(given, 3 + number, dtype) for number, given in enumerate(case.inputs))
    tolerance = 2e-5 if dtype is np.float32 else 1e-10
    for training in (True, False):
        found = []
        for library, module in zip((gradviz, torch), modules, strict=True):
            module.train(training)
            module.zero_grad()
            library.manual_seed(9)
            inputs = tensors(library, data)
            results = list(flat(module(*inputs)))
            scaled = [
                (part * library.linspace(0.5, 1.5, part.numel(), dtype=part.dtype).reshape(part.shape)).sum()
                for part in results
                if part.requires_grad
            ]
            if scaled:
                sum(scaled[1:], scaled[0]).backward()
            grads = [leaf.grad for leaf in flat(inputs) if leaf.requires_grad]
            own = [parameter.grad for parameter in module.parameters()]
            found.append((results, grads, own, list(module.buffers())))
        for mine, other in zip(*found, strict=True):
            assert [part is None for part in mine] == [part is None for part in other]
            for one, two in zip(mine, other, strict=True):
                if one is not None:
                    close(one, two, tolerance)


@pytest.mark.parametrize("case", ABLE, ids=str)
def test_loads_what_pytorch_saved(case: Case) -> None:
    ours, theirs = made(case)
    torch.manual_seed(77)
    with torch.no_grad():
        for tensor in theirs.state_dict().values():
            if tensor.is_floating_point():
                tensor.normal_()
    state = {name: tensor.numpy() for name, tensor in theirs.state_dict().items()}
    assert repr(ours.load_state_dict(state)) == "<All keys matched successfully>"
    for name, tensor in ours.state_dict().items():
        assert tensor.numpy().tobytes() == state[name].tobytes()


def test_the_table_has_every_module_that_can_be_called_alone() -> None:
    listed = {case.kind for case in CASES}
    alone = {
        name
        for name in gradviz.nn.__all__
        if isinstance(getattr(gradviz.nn, name), type) and issubclass(getattr(gradviz.nn, name), gradviz.nn.Module)
    }
    containers = {"Module", "ModuleDict", "ModuleList", "ParameterDict", "ParameterList", "Sequential", "RNNBase"}
    elsewhere = {"Transformer", "TransformerEncoder", "TransformerDecoder", "CTCLoss", "AdaptiveLogSoftmaxWithLoss"}
    elsewhere |= {"DataParallel"}  # in test_tutorial_names
    lazy = {name for name in alone if name.startswith("Lazy")}  # in test_lazy
    assert alone - listed == containers | elsewhere | lazy


ATTENTION = {
    "keys left out": {"key_padding_mask": np.array([[False, False, True, True], [False] * 4, [False] * 4])},
    "pairs left out": {"attn_mask": np.triu(np.ones((5, 4), bool), 2)},
    "numbers added": {"attn_mask": np.linspace(-1, 1, 20, dtype=np.float32).reshape(5, 4)},
    "each head": {"average_attn_weights": False},
    "no weights": {"need_weights": False},
    "both": {
        "key_padding_mask": np.array([[False, True, False, False]] * 3),
        "attn_mask": np.linspace(-1, 1, 120, dtype=np.float32).reshape(6, 5, 4),
    },
}


@pytest.mark.filterwarnings("ignore:Support for mismatched key_padding_mask")
@pytest.mark.parametrize("name", ATTENTION)
def test_attention_with_masks(name: str) -> None:
    found = []
    for library in (gradviz, torch):
        library.manual_seed(1)
        module = library.nn.MultiheadAttention(8, 2)
        inputs = [library.tensor(data_of(shape, 2)) for shape in ((5, 3, 8), (4, 3, 8), (4, 3, 8))]
        options = {
            key: library.tensor(value) if isinstance(value, np.ndarray) else value
            for key, value in ATTENTION[name].items()
        }
        found.append(module(*inputs, **options))
    (ours, weights), (theirs, other) = found
    close(ours, theirs, 2e-5)
    assert (weights is None) == (other is None)
    if weights is not None:
        close(weights, other, 2e-5)


@pytest.mark.filterwarnings("ignore:Lazy modules are a new feature")
def test_a_lazy_layer_is_a_plain_one_after_its_first_call() -> None:
    found = []
    for library in (gradviz, torch):
        library.manual_seed(2)
        model = library.nn.Sequential(library.nn.Flatten(), library.nn.LazyLinear(3))
        before = repr(model)
        optimizer = library.optim.SGD(model.parameters(), lr=0.1)
        x = library.tensor(data_of((4, 2, 5), 1))
        model(x).pow(2).sum().backward()
        optimizer.step()
        found.append((before, repr(model), type(model[1]) is library.nn.Linear, model(x)))
    assert found[0][:3] == found[1][:3]
    close(found[0][3], found[1][3], 2e-5)


def test_a_transformer_encoder() -> None:
    found = []
    for library in (gradviz, torch):
        library.manual_seed(1)
        layer = library.nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = library.nn.TransformerEncoder(layer, 2, library.nn.LayerNorm(8))
        found.append((repr(model), model(library.tensor(data_of((2, 4, 8), 1)))))
    assert found[0][0] == found[1][0]
    close(found[0][1], found[1][1], 2e-5)


@pytest.mark.parametrize("kind", ["Linear", "Conv2d", "ConvTranspose2d"])
def test_spectral_norm(kind: str) -> None:
    found = []
    for library in (gradviz, torch):
        library.manual_seed(1)
        options = (3, 4) if kind == "Linear" else (3, 4, 2)
        layer = library.nn.utils.spectral_norm(getattr(library.nn, kind)(*options), n_power_iterations=2)
        x = library.tensor(data_of((2, 3) if kind == "Linear" else (2, 3, 5, 4), 1))
        layer(x).pow(2).sum().backward()
        state = {name: tensor.detach().numpy() for name, tensor in layer.state_dict().items()}
        outputs = [layer(x), layer.eval()(x), layer.weight_orig.grad]
        plain = library.nn.utils.remove_spectral_norm(layer)
        found.append((state, [*outputs, plain(x), plain.weight], sorted(name for name, _ in plain.named_parameters())))
    assert list(found[0][0]) == list(found[1][0])
    for name, array in found[0][0].items():
        np.testing.assert_allclose(array, found[1][0][name], rtol=1e-5, atol=1e-6)
    for ours, theirs in zip(found[0][1], found[1][1], strict=True):
        close(ours, theirs, 2e-5)
    assert found[0][2] == found[1][2]


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("batch_first", [False, True])
def test_sequences_of_different_lengths(side: str, batch_first: bool) -> None:
    found = []
    for library in (gradviz, torch):
        parts = [library.tensor(data_of((length, 2), length), requires_grad=True) for length in (3, 1, 4)]
        padded = library.nn.utils.rnn.pad_sequence(parts, batch_first, -7.0, padding_side=side)
        (padded * padded).sum().backward()
        lengths = library.tensor([3, 1, 4])
        again = library.nn.utils.rnn.unpad_sequence(padded.clone(), lengths, batch_first)
        found.append([padded, *again, *(part.grad for part in parts)])
    for ours, theirs in zip(*found, strict=True):
        close(ours, theirs, 1e-6)


def test_a_transformer() -> None:
    found = []
    for library in (gradviz, torch):
        library.manual_seed(1)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = library.nn.Transformer(8, 2, 1, 2, 16, dropout=0.0, batch_first=True, norm_first=True)
            mask = library.nn.Transformer.generate_square_subsequent_mask(5)
            data = [library.tensor(data_of(shape, 1)) for shape in ((2, 4, 8), (2, 5, 8))]
            found.append((repr(model), mask.tolist(), model(*data, tgt_mask=mask)))
    assert found[0][0] == found[1][0]
    assert found[0][1] == found[1][1]
    close(found[0][2], found[1][2], 2e-5)


INITS = [
    ("uniform_", (), {"a": -1.0, "b": 2.0}),
    ("normal_", (0.5, 2.0), {}),
    ("trunc_normal_", (), {}),
    ("trunc_normal_", (), {"std": 0.02, "a": -0.03, "b": 0.02}),
    ("trunc_normal_", (), {"a": 1.5, "b": 3.0}),
    ("constant_", (3.5,), {}),
    ("ones_", (), {}),
    ("zeros_", (), {}),
    ("eye_", (), {}),
    ("xavier_uniform_", (), {"gain": 2.0}),
    ("xavier_normal_", (), {}),
    ("kaiming_uniform_", (), {"nonlinearity": "relu"}),
    ("kaiming_normal_", (), {"mode": "fan_out", "a": 0.2}),
]


@pytest.mark.parametrize("shape", [(3, 4), (20, 7)], ids=str)
@pytest.mark.parametrize(("name", "args", "kwargs"), INITS, ids=[f"{name}{args}{kw}" for name, args, kw in INITS])
def test_initial_values(name: str, args: Any, kwargs: Any, shape: tuple[int, int]) -> None:
    found = []
    for library in (gradviz, torch):
        library.manual_seed(11)
        tensor = library.empty(*shape)
        result = getattr(library.nn.init, name)(tensor, *args, **kwargs)
        assert result is tensor
        found.append(tensor.numpy().tobytes())
    assert found[0] == found[1]


@pytest.mark.parametrize("shape", [(3, 5), (5, 3), (4, 2, 3)], ids=str)
def test_orthogonal_and_dirac_and_sparse(shape: tuple[int, ...]) -> None:
    for library in (gradviz, torch):
        library.manual_seed(3)
    ours = gradviz.nn.init.orthogonal_(gradviz.empty(*shape), gain=2.0)
    theirs = torch.nn.init.orthogonal_(torch.empty(*shape), gain=2.0)
    np.testing.assert_allclose(ours.numpy(), theirs.numpy(), atol=1e-5)
    if len(shape) == 3:
        ours, theirs = (library.nn.init.dirac_(library.empty(*shape), 2) for library in (gradviz, torch))
        assert ours.tolist() == theirs.tolist()
    else:
        sparse = gradviz.nn.init.sparse_(gradviz.empty(*shape), 0.5)
        assert int((sparse == 0).sum()) == int((torch.nn.init.sparse_(torch.empty(*shape), 0.5) == 0).sum())
