"""numpy's functions on a Tensor are traced: numpy's own values, and gradients that are central differences of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import gradviz as gv
from gradviz.core import Tensor

VECTOR = np.array([0.3, 0.7, 0.45])
MATRIX = np.array([[0.3, 0.75, 0.45], [0.9, 0.15, 0.6]])
CUBE = np.linspace(0.1, 0.9, 12)[[3, 0, 7, 5, 11, 1, 9, 2, 4, 10, 6, 8]].reshape(2, 3, 2)
OTHER = np.array([0.5, 0.25, 0.85])
STEP = 1e-6


def check(call: Callable[[Any], Any], array: Any) -> None:
    """`call` on a tensor gives what it gives on an array, and a gradient that is the array function's slope."""
    expected = call(array)
    t = gv.tensor(array, requires_grad=True)
    result = call(t)
    parts, wholes = (list(one) if isinstance(one, (list, tuple)) else [one] for one in (result, expected))
    assert len(parts) == len(wholes)
    total: Any = 0.0
    for part, whole in zip(parts, wholes, strict=True):
        assert isinstance(part, Tensor)
        assert part.shape == np.shape(whole)
        np.testing.assert_allclose(part.detach().numpy(), whole, rtol=1e-12)
        if part.requires_grad:
            total = total + (part * weights(np.shape(whole))).sum()
    assert isinstance(total, Tensor), "nothing of the result requires grad"
    total.backward()

    def slope(index: tuple[int, ...]) -> float:
        sums = []
        for change in (STEP, -STEP):
            moved = array.copy()
            moved[index] += change
            values = call(moved)
            values = values if isinstance(values, (list, tuple)) else [values]
            sums.append(sum(float(np.sum(value * weights(np.shape(value)))) for value in values))
        return (sums[0] - sums[1]) / (2 * STEP)

    slopes = np.array([slope(index) for index in np.ndindex(array.shape)]).reshape(array.shape)
    np.testing.assert_allclose(t.grad.numpy(), slopes, rtol=1e-6, atol=1e-7)


def weights(shape: tuple[int, ...]) -> Any:
    """Cotangents that tell the elements apart."""
    return np.cos(np.arange(int(np.prod(shape)))).reshape(shape)


UNARY = [
    "exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sqrt", "square", "reciprocal",
    "sin", "cos", "tan", "sinh", "cosh", "tanh", "arcsin", "arccos", "arctan", "arcsinh",
    "arctanh", "negative", "positive", "absolute", "fabs", "abs", "sign", "floor", "ceil", "trunc",
    "rint",
]  # fmt: skip


@pytest.mark.parametrize("name", UNARY)
def test_unary_ufuncs(name: str) -> None:
    check(getattr(np, name), MATRIX)


def test_arccosh() -> None:
    check(np.arccosh, MATRIX + 1)


BINARY = ["add", "subtract", "multiply", "divide", "true_divide", "power", "maximum", "minimum", "arctan2"]


@pytest.mark.parametrize("name", BINARY)
def test_binary_ufuncs_take_arrays_on_either_side(name: str) -> None:
    ufunc = getattr(np, name)
    check(lambda t: ufunc(t, OTHER), MATRIX)
    check(lambda t: ufunc(OTHER, t), MATRIX)
    check(lambda t: ufunc(t, 0.5), MATRIX)
    check(lambda t: ufunc(0.5, t), MATRIX)
    check(lambda t: ufunc(np.float64(0.5), t), MATRIX)
    check(lambda t: ufunc(t, t * t), MATRIX)


@pytest.mark.parametrize(
    "call",
    [
        lambda t: OTHER + t,
        lambda t: OTHER - t,
        lambda t: OTHER * t,
        lambda t: OTHER / t,
        lambda t: OTHER**t,
        lambda t: t**OTHER,
        lambda t: np.float64(2.0) * t,
        lambda t: np.float64(2.0) - t,
        lambda t: OTHER @ t,
        lambda t: MATRIX @ t,
        lambda t: np.dot(OTHER, t),
        lambda t: np.dot(t, OTHER),
        lambda t: np.matmul(MATRIX, t),
        lambda t: np.inner(t, OTHER),
        lambda t: np.outer(t, OTHER),
        lambda t: np.outer(OTHER, t),
        lambda t: np.dot(t, 2.0),
        lambda t: np.concatenate([t, OTHER, t]),
        lambda t: np.stack([OTHER, t]),
        lambda t: np.stack([t, t * 2], axis=1),
        lambda t: np.hstack([t, OTHER]),
        lambda t: np.vstack([t, OTHER]),
        lambda t: np.where(OTHER > 0.4, t, 0.0),
        lambda t: np.where(t > 0.4, t * t, OTHER),
        lambda t: np.where(np.array([1, 0, 2]), 1.0, t),
        lambda t: np.linalg.norm(t),
        lambda t: np.linalg.norm(t, 3),
        lambda t: np.diag(t),
        lambda t: np.tile(t, 2),
        lambda t: np.tile(t, (2, 2)),
        lambda t: np.broadcast_to(t, (2, 3)),
        lambda t: np.expand_dims(t, 0),
        lambda t: np.expand_dims(t, (0, -1)),
        lambda t: np.flip(t),
        lambda t: np.clip(t, 0.4, 0.6),
        lambda t: np.clip(t, None, 0.6),
        lambda t: np.clip(t, 0.4, None),
        lambda t: np.copy(t),
        lambda t: np.round(t * t, 1) + t,
        lambda t: np.split(t, 3),
        lambda t: np.split(t, [1]),
        lambda t: np.cumsum(t),
        lambda t: np.cumprod(t),
        lambda t: np.add.accumulate(t),
        lambda t: np.sum(t, where=np._NoValue) if isinstance(t, Tensor) else np.sum(t),
    ],
)
def test_a_vector(call: Callable[[Any], Any]) -> None:
    check(call, VECTOR)


@pytest.mark.parametrize(
    "call",
    [
        lambda t: np.reshape(t, (3, 4)),
        lambda t: np.reshape(t, -1),
        lambda t: np.ravel(t),
        lambda t: np.transpose(t),
        lambda t: np.transpose(t, (1, 0, 2)),
        lambda t: np.swapaxes(t, 0, 2),
        lambda t: np.moveaxis(t, 0, -1),
        lambda t: np.squeeze(t[:, :1]),
        lambda t: np.squeeze(t[:, :1], axis=1),
        lambda t: np.concatenate([t, t], axis=2),
        lambda t: np.concatenate([t, t], axis=None),
        lambda t: np.cumsum(t),
        lambda t: np.cumsum(t, axis=1),
        lambda t: np.flip(t, 1),
        lambda t: np.tril(t[0]),
        lambda t: np.triu(t[0], 1),
        lambda t: np.trace(t[0]),
        lambda t: np.diagonal(t[0]),
        lambda t: np.linalg.norm(t, axis=1),
        lambda t: np.linalg.norm(t[0]),
        lambda t: np.dot(t, CUBE[0, 0]),
        lambda t: np.add.reduce(t),
        lambda t: np.add.reduce(t, axis=1, keepdims=True),
        lambda t: np.multiply.reduce(t),
        lambda t: np.maximum.reduce(t, axis=2),
        lambda t: np.minimum.reduce(t),
        lambda t: np.multiply.accumulate(t, axis=1),
    ],
)
def test_a_block(call: Callable[[Any], Any]) -> None:
    check(call, CUBE)


@pytest.mark.parametrize("name", ["sum", "mean", "prod", "max", "min", "amax", "amin", "var", "std"])
@pytest.mark.parametrize("axis", [None, 0, 1, -1])
@pytest.mark.parametrize("keepdims", [False, True])
def test_reductions(name: str, axis: int | None, keepdims: bool) -> None:
    check(lambda t: getattr(np, name)(t, axis=axis, keepdims=keepdims), CUBE)


@pytest.mark.parametrize("name", ["sum", "mean", "max", "min", "var", "std"])
def test_reductions_over_several_axes(name: str) -> None:
    check(lambda t: getattr(np, name)(t, axis=(0, 2)), CUBE)
    if name in ("var", "std"):
        check(lambda t: getattr(np, name)(t, axis=0, ddof=1), CUBE)


@pytest.mark.parametrize(
    "call",
    [
        lambda t: t > OTHER,
        lambda t: np.greater(OTHER, t),
        lambda t: np.equal(OTHER, t),
        lambda t: np.less_equal(t, 0.5),
        lambda t: np.isnan(t),
        lambda t: np.isfinite(t),
        lambda t: np.argmax(t),
        lambda t: np.argmin(t, axis=0),
        lambda t: np.all(t > 0.4),
        lambda t: np.any(t > 0.4, axis=0),
        lambda t: np.logical_and(t > 0.4, t < 0.6),
        lambda t: np.logical_not(t > 0.4),
        lambda t: np.invert(t > 0.4),
        lambda t: np.zeros_like(t),
        lambda t: np.ones_like(t, dtype=np.int64),
        lambda t: np.full_like(t, 7.0),
    ],
)
def test_results_without_a_gradient(call: Callable[[Any], Any]) -> None:
    result = call(gv.tensor(VECTOR, requires_grad=True))
    assert isinstance(result, Tensor)
    assert not result.requires_grad
    np.testing.assert_array_equal(result.numpy(), call(VECTOR))


def test_questions_about_a_tensor_give_plain_answers() -> None:
    t = gv.tensor(CUBE, requires_grad=True)
    assert np.shape(t) == (2, 3, 2)
    assert type(np.shape(t)) is tuple
    assert (np.ndim(t), np.size(t), np.size(t, 1)) == (3, 12, 3)
    assert np.array_equal(t, CUBE)
    assert not np.array_equal(t, VECTOR)
    assert np.allclose(t, CUBE)
    found = np.where(gv.tensor(VECTOR) > 0.4)
    assert [part.tolist() for part in found] == [[1, 2]]
    assert np.array_repr(t) == repr(t)


def test_the_nodes_are_those_of_the_ops() -> None:
    t = gv.tensor(VECTOR, requires_grad=True)
    assert type(np.exp(t).grad_fn).__name__ == "ExpBackward0"
    assert type((np.ones(3) * t).grad_fn).__name__ == "MulBackward0"
    assert type(np.sum(t).grad_fn).__name__ == "SumBackward0"
    assert type(np.concatenate([t, t]).grad_fn).__name__ == "CatBackward0"
    assert (np.ones(3, "float32") * gv.tensor([1.0, 2.0, 3.0])).dtype is gv.float32


def test_out_means_in_place() -> None:
    t = gv.tensor(VECTOR, requires_grad=True)
    into = gv.zeros(3, dtype=gv.float64)
    result = np.multiply(t, 3.0, out=into)
    assert result is into
    assert into._version == 1
    into.sum().backward()
    assert t.grad.tolist() == [3, 3, 3]
    with pytest.raises(RuntimeError, match="a leaf Variable that requires grad is being used in an in-place operation"):
        np.add(t, 1.0, out=t)


def test_an_array_takes_only_what_has_no_gradient() -> None:
    array = VECTOR.copy()
    array += gv.tensor(VECTOR)
    np.testing.assert_array_equal(array, VECTOR * 2)
    with pytest.raises(TypeError, match=r"`numpy\.add` with `out`"):
        array += gv.tensor(VECTOR, requires_grad=True)
    with pytest.raises(RuntimeError, match="Can't call numpy"):
        np.copyto(array, gv.tensor(VECTOR, requires_grad=True))
    into = gv.zeros(3, dtype=gv.float64)
    np.copyto(into, VECTOR)
    assert into.tolist() == VECTOR.tolist()


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda t: np.fft.fft(t), "`numpy.fft.fft`"),
        (lambda t: np.linalg.svd(t), "`numpy.linalg.svd`"),
        (lambda t: np.percentile(t, 3), "`numpy.percentile`"),
        (lambda t: np.cbrt(t), "`numpy.cbrt`"),
        (lambda t: np.add.at(t, [0], 1.0), "`numpy.add.at`"),
        (lambda t: np.add.outer(t, t), "`numpy.add.outer`"),
        (lambda t: np.subtract.reduce(t), "`numpy.subtract.reduce`"),
        (lambda t: np.exp(t, where=VECTOR > 0.4), "`numpy.exp` with `where`"),
        (lambda t: np.sum(t, initial=3.0), "`numpy.sum` with `initial`"),
        (lambda t: np.sum(t, 0, None, None, True), "`numpy.sum` with `these arguments`"),
        (lambda t: np.reshape(t, (3, 1), order="F"), "`numpy.reshape` with `order='F'`"),
        (lambda t: np.dot(t, np.ones((2, 3, 2))), "`numpy.dot` with `b.ndim > 2`"),
    ],
)
@pytest.mark.parametrize("requires_grad", [True, False])
def test_what_cannot_be_traced_raises(call: Callable[[Any], Any], name: str, requires_grad: bool) -> None:
    with pytest.raises(TypeError) as caught:
        call(gv.tensor(VECTOR, requires_grad=requires_grad))
    text, help = str(caught.value).splitlines()
    assert text == f"{name} cannot be traced on a gradviz tensor"
    assert help == "help: call it on `t.detach().numpy()` where no gradient is meant to flow"


def test_a_mistake_in_a_traced_call_keeps_its_own_message() -> None:
    with pytest.raises(TypeError, match="unsupported operand"):
        np.add(gv.tensor(VECTOR), {})
    with pytest.raises(ValueError, match="equal division"):
        np.split(gv.tensor(VECTOR), 2)
