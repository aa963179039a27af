"""What `gradviz.nn.functional` composes has PyTorch's values, gradients, graph, warnings and errors.

The rows of the op table are checked in test_ops; here are the functions that sort arguments and run several of them.
"""

from __future__ import annotations

import re
import warnings
from typing import Any

import numpy as np
import op_checks
import pytest
import torch
from op_checks import GRADVIZ, TORCH, Sample

import gradviz as gv
from gradviz.core.ops.samples import grid, integers, positive, unit
from gradviz.core.ops.table import sample

CALLS: list[tuple[str, Sample]] = [
    ("linear", sample(grid(4, 3), grid(5, 3), grid(5))),
    ("linear", sample(grid(4, 3), grid(5, 3))),
    ("linear", sample(grid(2, 4, 3), grid(5, 3), grid(5))),
    ("linear", sample(grid(2, 4, 3), grid(5, 3))),
    ("linear", sample(grid(2, 2, 4, 3), grid(5, 3), grid(5))),
    ("linear", sample(grid(3), grid(5, 3), grid(5))),
    ("linear", sample(grid(3), grid(5, 3))),
    ("linear", sample(grid(4, 3), grid(3))),
    ("linear", sample(grid(3, 4).T, grid(5, 3), grid(5))),
    ("linear", sample(grid(4, 2, 3).transpose(1, 0, 2), grid(5, 3), grid(5))),
    ("linear", sample(grid(0, 3), grid(5, 3), grid(5))),
    ("linear", sample(grid(4, 3), grid(5, 4), grid(5))),
    ("linear", sample(grid(4, 3), grid(5, 3), grid(4))),
    ("mse_loss", sample(grid(3), unit(2, 3))),
    ("mse_loss", sample(grid(3), unit(4))),
    ("mse_loss", sample(grid(3), unit(3), reduction="most")),
    *(("l1_loss", sample(grid(2, 3), unit(3, 2).T, reduction=how)) for how in ("mean", "sum", "none")),
    ("l1_loss", sample(grid(3), unit(2, 3))),
    ("l1_loss", sample(np.array([1.0, 2.0]), np.array([1.0, 3.0]))),
    ("smooth_l1_loss", sample(grid(2, 3), unit(3, 2).T, beta=0)),
    ("smooth_l1_loss", sample(grid(2, 3), unit(3, 2).T, beta=-1)),
    ("smooth_l1_loss", sample(np.array([0.0, 1.0, -1.0, 2.0]), np.zeros(4))),
    ("huber_loss", sample(grid(2, 3), unit(3, 2).T, delta=0)),
    ("huber_loss", sample(np.array([0.0, 1.0, -1.0, 2.0]), np.zeros(4))),
    ("nll_loss", sample(grid(4, 3), integers(4, high=3), weight=positive(3).astype("float32"))),
    ("nll_loss", sample(grid(2, 3, 4), integers(2, 4, high=3))),
    ("nll_loss", sample(grid(2, 3, 4), integers(2, 4, high=3), reduction="none")),
    ("nll_loss", sample(grid(2, 3, 2, 2, 2), integers(2, 2, 2, 2, high=3), reduction="sum")),
    ("nll_loss", sample(grid(4, 3), np.array([-100, 2, -100, 0]))),
    ("nll_loss", sample(grid(4, 3), np.full(4, -100))),
    ("nll_loss", sample(grid(0, 3), integers(0))),
    ("nll_loss", sample(grid(4, 3), integers(4, high=3).astype("uint8"))),
    ("nll_loss", sample(grid(4, 3), integers(4, high=3).astype("int32"))),
    ("nll_loss", sample(grid(4, 3), integers(4, high=4))),
    ("nll_loss", sample(grid(4, 3), integers(3, high=3))),
    ("nll_loss", sample(grid(4, 3), integers(4, 1, high=3))),
    ("nll_loss", sample(grid(), np.int64(0))),
    ("nll_loss", sample(grid(3), integers(1))),
    ("nll_loss", sample(grid(3), integers(2))),
    ("nll_loss", sample(grid(2, 3, 2, 2), integers(2, 2, 3, high=3))),
    ("cross_entropy", sample(grid(), np.int64(0))),
    ("cross_entropy", sample(grid(4, 3), grid(4))),
    ("cross_entropy", sample(grid(4, 3), integers(4, 3))),
    ("cross_entropy", sample(grid(4, 3), positive(4, 3), ignore_index=1)),
    ("cross_entropy", sample(grid(4, 3), integers(4, high=3), label_smoothing=1.5)),
    ("cross_entropy", sample(grid(4, 3), integers(4, high=3), reduction="most")),
    ("binary_cross_entropy", sample(np.array([0.0, 1.0, 1.0]), np.array([0.0, 1.0, 0.0]))),
    ("binary_cross_entropy", sample(positive(3), unit(3))),
    ("binary_cross_entropy", sample(unit(3) ** 2, unit(2) ** 2)),
    ("binary_cross_entropy_with_logits", sample(np.array([-200.0, 0.0, 200.0]), np.array([0.0, 1.0, 0.0]))),
    ("binary_cross_entropy_with_logits", sample(grid(3), unit(2))),
    ("embedding", sample(integers(3), grid(4, 3), 7)),
    ("embedding", sample(integers(3, high=6), grid(4, 3))),
    ("embedding", sample(np.array([-1]), grid(4, 3))),
    ("embedding", sample(integers(3).astype("int32"), grid(5, 3))),
    ("embedding", sample(integers(3), grid(5))),
    ("embedding", sample(grid(3), grid(5, 3))),
    ("one_hot", sample(integers(4), 2)),
    ("one_hot", sample(np.array([-1]))),
    ("one_hot", sample(integers(0))),
    ("one_hot", sample(integers(0), 3)),
    ("one_hot", sample(integers(3).astype("int32"))),
    ("one_hot", sample(grid(3))),
    ("normalize", sample(grid(2, 3))),
    ("normalize", sample(grid(2, 3), dim=0)),
    ("normalize", sample(grid(2, 3), 3.0, -1)),
    ("normalize", sample(np.zeros((2, 3)), eps=0.5)),
    ("layer_norm", sample(grid(2, 3), (2,))),
    ("layer_norm", sample(grid(2, 3), (3,), grid(2))),
    ("layer_norm", sample(grid(2, 3), ())),
    ("layer_norm", sample(grid(2, 3), (3,), None, grid(3))),
]
for how in ("mean", "sum", "none"):
    for scores, target in (((4, 3), (4,)), ((2, 3, 2), (2, 2)), ((3,), ()), ((2, 3, 2, 2), (2, 2, 2))):
        right = integers(*target, high=3) if target else np.int64(1)
        CALLS += [
            ("cross_entropy", sample(grid(*scores), right, reduction=how)),
            ("cross_entropy", sample(grid(*scores), right, reduction=how, label_smoothing=0.2)),
            ("cross_entropy", sample(grid(*scores), right, reduction=how, ignore_index=1, label_smoothing=0.2)),
            ("cross_entropy", sample(grid(*scores), positive(*scores), reduction=how)),
            ("cross_entropy", sample(grid(*scores), positive(*scores), reduction=how, label_smoothing=0.2)),
        ]


@pytest.mark.parametrize("position", range(len(CALLS)))
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_same_as_torch(position: int, dtype: str) -> None:
    name, call = CALLS[position]
    op_checks.check_against_torch(f"nn.functional.{name}", op_checks.cast(call, dtype))


WEIGHTS = [
    ("nll_loss", lambda x, w: (x(grid(4, 3)), x(integers(4, high=3)), w(positive(3))), {}),
    ("nll_loss", lambda x, w: (x(grid(4, 3)), x(integers(4, high=3)), w(positive(3))), {"ignore_index": 1}),
    ("nll_loss", lambda x, w: (x(grid(4, 3)), x(integers(4, high=3)), w(positive(2))), {}),
    ("cross_entropy", lambda x, w: (x(grid(4, 3)), x(integers(4, high=3)), w(positive(3))), {}),
    ("cross_entropy", lambda x, w: (x(grid(4, 3)), x(integers(4, high=3)), w(positive(3))), {"label_smoothing": 0.1}),
    ("cross_entropy", lambda x, w: (x(grid(2, 3, 4)), x(integers(2, 4, high=3)), w(positive(3))), {"reduction": "sum"}),
    ("cross_entropy", lambda x, w: (x(grid(2, 3, 4)), x(positive(2, 3, 4)), w(positive(3))), {}),
    ("cross_entropy", lambda x, w: (x(grid(4, 3)), x(positive(4, 3)), w(positive(3))), {"reduction": "none"}),
    ("cross_entropy", lambda x, w: (x(grid(4, 3)), x(positive(4, 3)), w(positive(2))), {}),
    ("binary_cross_entropy", lambda x, w: (x(unit(2, 3) ** 2), x(unit(2, 3) ** 2), w(positive(2, 3))), {}),
    ("binary_cross_entropy", lambda x, w: (x(unit(2, 3) ** 2), x(unit(2, 3) ** 2), w(positive(3))), {}),
    ("binary_cross_entropy_with_logits", lambda x, w: (x(grid(2, 3)), x(unit(2, 3) ** 2), w(positive(3))), {}),
]


@pytest.mark.parametrize("position", range(len(WEIGHTS)))
def test_weights_that_require_no_grad(position: int) -> None:
    name, make, options = WEIGHTS[position]
    same_outcome(name, make, options)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("weighted", [True, False])
def test_weights_of_the_positive_class(reduction: str, weighted: bool) -> None:
    def make(x: Any, w: Any) -> tuple[Any, ...]:
        return x(grid(2, 3)), x(unit(2, 3) ** 2), w(positive(3)) if weighted else None

    same_outcome("binary_cross_entropy_with_logits", make, {"reduction": reduction, "pos_weight": positive(3)})


def same_outcome(name: str, make: Any, options: dict[str, Any]) -> None:
    """One call in both libraries gives the same values, gradients and nodes, or errors; `w` makes constants."""
    outcomes = []
    for library in (GRADVIZ, TORCH):
        tensors: list[Any] = []

        def leaf(array: Any, library: Any = library, tensors: list[Any] = tensors) -> Any:
            tensors.append(library.leaf(array, array.dtype.kind == "f"))
            return tensors[-1]

        def constant(array: Any, library: Any = library) -> Any:
            return library.leaf(array, False)

        keywords = {key: constant(one) if isinstance(one, np.ndarray) else one for key, one in options.items()}
        try:
            result = library.find(f"nn.functional.{name}")(*make(leaf, constant), **keywords)
        except Exception as error:
            outcomes.append((type(error), str(error).replace("gradviz.", "torch.")))
            continue
        gradients = op_checks.pull(library, result, tensors)
        arrays = [library.array(one) for one in (result, *gradients) if one is not None]
        outcomes.append((arrays, nodes(result.grad_fn)))
    ours, theirs = outcomes
    if isinstance(theirs[0], type):
        assert ours == theirs
        return
    for mine, yours in zip(ours[0], theirs[0], strict=True):
        np.testing.assert_allclose(mine, yours, rtol=1e-10)
        assert mine.dtype == yours.dtype
    assert ours[1] == theirs[1]


def nodes(root: Any) -> list[str]:
    """The names of all nodes behind one, each once, in the order in which they are met."""
    found = [root]
    for node in found:
        found += [following for following, _ in node.next_functions if following is not None and following not in found]
    return [node.name() for node in found]


@pytest.mark.parametrize("name", ["nll_loss", "binary_cross_entropy", "binary_cross_entropy_with_logits"])
def test_weights_cannot_require_grad(name: str) -> None:
    texts = []
    for package in (gv, torch):
        values = package.tensor([[0.2, 0.7]], requires_grad=True)
        target = package.tensor([1]) if name == "nll_loss" else package.tensor([[0.5, 0.5]])
        weight = package.tensor([1.0, 2.0], requires_grad=True)
        with pytest.raises(RuntimeError) as caught:
            getattr(package.nn.functional, name)(values, target, weight)
        texts.append(str(caught.value))
    assert texts[0] == texts[1]


@pytest.mark.parametrize("name", ["mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss"])
def test_different_sizes_are_warned_of_at_the_users_line(name: str) -> None:
    texts = []
    for package in (gv, torch):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            getattr(package.nn.functional, name)(package.ones(3), package.ones(2, 3))
        texts.append([str(one.message).replace("gradviz.", "torch.") for one in caught])
        assert caught[0].filename == __file__
    assert texts[0] == texts[1]


def test_embedding_adds_up_rows_that_were_looked_up_twice() -> None:
    table = gv.zeros(3, 2, requires_grad=True)
    gv.nn.functional.embedding(gv.tensor([1, 1, 2]), table, padding_idx=2).sum().backward()
    assert table.grad.tolist() == [[0, 0], [2, 2], [0, 0]]


@pytest.mark.parametrize("option", [{"max_norm": 1.0}, {"scale_grad_by_freq": True}, {"sparse": True}])
def test_options_that_are_not_written_say_so(option: dict[str, Any]) -> None:
    with pytest.raises(NotImplementedError, match="not written yet"):
        gv.nn.functional.embedding(gv.tensor([1]), gv.zeros(3, 2), **option)


def test_dropout_takes_the_same_elements_as_torch() -> None:
    for package in (gv, torch):
        package.manual_seed(8)
    for shape, p in (((1000,), 0.3), ((3, 4), 0.5), ((5,), 0.9)):
        ours, theirs = (package.nn.functional.dropout(package.ones(shape), p) for package in (gv, torch))
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy())


# ---- the packages


@pytest.mark.parametrize(
    ("package", "name", "text"),
    [
        (gv, "sinn", "module 'gradviz' has no attribute 'sinn'; did you mean `gradviz.sin`?"),
        (gv, "jit", "module 'gradviz' has no attribute 'jit'; gradviz's own tensors have a part of what PyTorch has"),
        (gv, "fft", "module 'gradviz' has no attribute 'fft'; complex numbers are not written yet for gradviz's own"),
        (gv.nn.functional, "mseloss", "did you mean `gradviz.nn.functional.mse_loss`?"),
        (
            gv.nn.functional,
            "multi_head_attention_forward",
            "has no attribute 'multi_head_attention_forward'; gradviz's own tensors have a part of what PyTorch has",
        ),
    ],
)
def test_a_missing_name_says_what_is_near_or_that_there_is_more_in_pytorch(package: Any, name: str, text: str) -> None:
    with pytest.raises(AttributeError, match=re.escape(text)):
        getattr(package, name)
    assert not hasattr(package, name)


def test_public_names() -> None:
    assert {"cross_entropy", "relu", "linear"} <= set(dir(gv.nn.functional))
    assert {"tensor", "no_grad", "float32", "record", "pi", "nn", "manual_seed", "set_printoptions"} <= set(dir(gv))
    assert gv.float is gv.float32
    assert gv.long is gv.int64
    assert gv.inf == float("inf")
    assert [name for name in dir(gv) if not hasattr(gv, name)] == []


def test_autograd() -> None:
    w = gv.tensor([1.0, 2.0], requires_grad=True)
    (slope,) = gv.autograd.grad((w * w).sum(), w)
    assert slope.tolist() == [2, 4]
    gv.autograd.backward((w * w).sum())
    assert w.grad.tolist() == [2, 4]
    assert gv.autograd.no_grad is gv.no_grad
