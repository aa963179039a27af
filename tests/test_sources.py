"""Where tensors come from: the same values, dtypes, random numbers, warnings and errors as PyTorch's."""

from __future__ import annotations

import re
import threading
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import gradviz as gv
from gradviz.core.random import default_generator
from gradviz.events import Cause


@pytest.fixture(autouse=True)
def default_dtype() -> Iterator[None]:
    yield
    gv.set_default_dtype(gv.float32)
    torch.set_default_dtype(torch.float32)


def outcome(code: str, package: Any) -> Any:
    """What an expression in `T` gives: dtype, values and flags, or the error; and what it warns of."""
    leaf = package.tensor([1.0, 2.0], requires_grad=True)
    names = {
        "T": package,
        "np": np,
        "v": leaf,
        "a": package.tensor(1.5, requires_grad=True),
        "b": package.tensor(2.0),
        "i": package.tensor(3),
    }
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            result: Any = eval(code, names)
        except Exception as error:
            result = (type(error).__name__, str(error).splitlines()[0])
        else:
            dtype = str(result.dtype).rpartition(".")[2]
            flags = (result.requires_grad, result.is_leaf)
            result = (dtype, tuple(result.shape), result.detach().numpy().tolist(), flags)
    said = [re.sub(r" \(Triggered internally.*", "", str(one.message)) for one in caught]
    return result, sorted({text.replace("gradviz.", "torch.") for text in said})


SAME = """
T.tensor(3)
T.tensor(2.5)
T.tensor(True)
T.tensor([])
T.tensor([[]])
T.tensor(())
T.tensor([[], []])
T.tensor([1, 2.5])
T.tensor([True, 2])
T.tensor([True, 2.0])
T.tensor(range(3))
T.tensor([[1, 2], (3, 4)])
T.tensor([[[1.0]]], requires_grad=True)
T.tensor([np.float64(1.5)])
T.tensor([np.float32(1.5), 2])
T.tensor([np.float32(1.5), 2.0])
T.tensor(np.float64(1.5))
T.tensor(np.float32(1.5))
T.tensor([np.int32(1)])
T.tensor(np.int32(1))
T.tensor(np.array([1, 2], dtype=np.int16))
T.tensor([np.array([1.0, 2.0]), np.array([1.0, 2.0])])
T.tensor([0.1], dtype=T.float64)
T.tensor([0.1], dtype=T.float16)
T.tensor([1.7, -1.7], dtype=T.int64)
T.tensor([1, 2], dtype=float)
T.tensor([1, 2], dtype=bool)
T.tensor([-1], dtype=T.uint8)
T.tensor(-1, dtype=T.uint8)
T.tensor([2**63 - 1])
T.tensor(data=[1])
T.tensor([1.0], device="cpu")
T.tensor(T.zeros(2, 3).shape)
T.tensor([b, i])
T.tensor([i, i])
T.tensor([b, 2])
T.tensor([[b, b], [b, b]])
T.tensor([T.tensor(1.0, dtype=T.float64), 2])
T.tensor([T.tensor([1.0]), T.tensor([2.0])])
T.tensor([a, b])
T.tensor(v)
T.tensor(v, requires_grad=True)
T.tensor(b, dtype=T.float64)
T.tensor([1, 2], requires_grad=True)
T.tensor([[1, 2], [3]])
T.tensor([[1], []])
T.tensor([[1, 2], 3])
T.tensor([1, [2, 3]])
T.tensor([b, [1]])
T.tensor([v, v])
T.tensor([1, "a"])
T.tensor("a")
T.tensor(["a"])
T.tensor(b"ab")
T.tensor(None)
T.tensor([None])
T.tensor({})
T.tensor({1, 2})
T.tensor(object())
T.tensor(2**64)
T.tensor(300, dtype=T.uint8)
T.tensor(2**40, dtype=T.int32)
T.tensor(float("nan"), dtype=T.int64)
T.tensor([1, 2], dtype="float32")
T.tensor([1, 2], dtype=np.float32)
T.as_tensor(v)
T.as_tensor([1, 2.0])
T.as_tensor(np.ones(2))
T.as_tensor(np.ones(2), dtype=T.float32)
T.as_tensor(3)
T.from_numpy(np.ones((2, 3)))
T.from_numpy(np.array(1.0))
T.from_numpy([1])
T.from_numpy(np.float64(1))
T.from_numpy(np.ones(3)[::-1])
T.scalar_tensor(3)
T.scalar_tensor(True)
T.scalar_tensor(b)
T.scalar_tensor("a")
T.zeros(2, 3)
T.zeros((2, 3))
T.zeros([2, 3], dtype=T.int32)
T.zeros(())
T.zeros([])
T.zeros(size=(2,))
T.zeros(i, 2)
T.zeros(np.int64(2))
T.zeros(v.shape)
T.zeros(2, requires_grad=True)
T.zeros(2, dtype=T.int64, requires_grad=True)
T.zeros(2, 'a')
T.zeros((2, 3.0))
T.zeros('a')
T.zeros(2.5)
T.zeros(True)
T.zeros(-1)
T.zeros(2, dtype='a')
T.zeros()
T.ones(2, dtype=bool)
T.ones(3, -1)
T.full((2,), 3)
T.full((2,), 3.0)
T.full((2,), True)
T.full((2,), 3, dtype=T.float32)
T.full((2,), 1.5, dtype=T.int64)
T.full((2,), b)
T.full((2,), a)
T.full(2, 3)
T.full((2,), fill_value=3)
T.full((2,), 'a')
T.full((), 2.0, requires_grad=True)
T.arange(5)
T.arange(5.0)
T.arange(1, 5)
T.arange(1, 5, 2)
T.arange(1, 2, 0.3)
T.arange(0, 1, 0.1)
T.arange(5, 1, -1)
T.arange(end=3)
T.arange(start=1, end=9, step=2)
T.arange(1, 4, step=2)
T.arange(i)
T.arange(i, 9.5)
T.arange(0, 5, 2.0)
T.arange(5, dtype=T.float16)
T.arange(True)
T.arange(0, 3, dtype=T.float32, requires_grad=True)
T.arange(3, requires_grad=True)
T.arange(5, 1)
T.arange(1, 5, 0)
T.arange(float('nan'))
T.arange('a')
T.linspace(0, 1, 5)
T.linspace(0, 1, 1)
T.linspace(0, 1, 0)
T.linspace(-3, 7, 11)
T.linspace(0, 1, 7)
T.linspace(-1, 1, 101)
T.linspace(0, 10, 4, dtype=T.int64)
T.linspace(0, 1, steps=3, dtype=T.float64)
T.linspace(b, 4, 3)
T.linspace(0, 1, -1)
T.logspace(0, 2, 3)
T.logspace(0, 3, 4, base=2)
T.eye(2)
T.eye(2, 3)
T.eye(2, dtype=T.int64)
T.eye(-1)
T.eye(3, -1)
T.eye('a')
T.eye(True)
T.zeros_like(v)
T.zeros_like(v, requires_grad=True)
T.zeros_like(i)
T.zeros_like([1])
T.ones_like(i, dtype=T.float32)
T.ones_like(v, dtype='a')
T.full_like(v, 3)
T.full_like(i, 1.5)
T.full_like(v, b)
T.full_like(v, 'a')
v.new_zeros(2, 3)
v.new_zeros((2, 3), requires_grad=True)
i.new_ones(2)
v.new_zeros('a')
v.new_full((2,), 7)
v.new_full((2,), 7, dtype=T.int64)
v.new_full(2, 3)
v.new_tensor([1, 2])
v.new_tensor(v)
i.new_tensor([1.5])
v.new_tensor([1], requires_grad=True)
T.rand(-1)
T.rand(2, dtype=T.int64)
T.randn(2, dtype=T.int64)
T.rand_like(i)
T.randint(3, 2)
T.randint(3, 3, (2,))
T.randint(0, 300, (3,), dtype=T.uint8)
T.randint(0, 9, (2,), requires_grad=True)
T.randint(0, 2**63, (5,))
T.randperm(-1)
T.randperm(2.5)
T.bernoulli(T.tensor([1]))
T.bernoulli(3)
T.normal(0.0, -1.0, (2,))
T.normal(T.tensor([1]), 1.0)
T.tensor([1.0]).uniform_(3, 2)
T.tensor([1.0]).bernoulli_(3)
T.tensor([1.0]).normal_(0, -1)
v.uniform_()
""".strip().splitlines()


@pytest.mark.parametrize("code", SAME)
def test_same_as_torch(code: str) -> None:
    assert outcome(code, gv) == outcome(code, torch)


@pytest.mark.parametrize("code", ["T.zeros(())", "T.full((2,), 3.0)", "T.arange(3.0)", "T.tensor([1.5])"])
def test_same_as_torch_with_another_default_dtype(code: str) -> None:
    for package in (gv, torch):
        package.set_default_dtype(package.float64)
    assert outcome(code, gv) == outcome(code, torch)
    assert repr(gv.tensor([1.5])) == repr(torch.tensor([1.5]))
    assert gv.get_default_dtype() is gv.float64


@pytest.mark.parametrize("wrong", ["int64", None])
def test_set_default_dtype_refuses_what_is_not_floating(wrong: str | None) -> None:
    texts = []
    for package in (gv, torch):
        with pytest.raises(TypeError) as caught:
            package.set_default_dtype(getattr(package, wrong) if wrong else 3)
        texts.append(str(caught.value))
    assert texts[0] == texts[1]


@pytest.mark.parametrize(
    "call", ["arange(1, 2, 3, 4)", "arange()", "randint(3)", "randint(0, 2.5, (2,))", "normal(0, 1)"]
)
def test_a_wrong_combination_of_arguments(call: str) -> None:
    for package in (gv, torch):
        with pytest.raises(TypeError, match=rf"^{call.partition('(')[0]}\(\) received an invalid combination"):
            eval(f"T.{call}", {"T": package})


def test_another_device_is_refused() -> None:
    with pytest.raises(RuntimeError, match="`cuda`"):
        gv.zeros(2, device="cuda")


def test_from_numpy_and_as_tensor_share_memory_and_tensor_copies() -> None:
    array = np.zeros(3)
    shared, same, copied = gv.from_numpy(array), gv.as_tensor(array), gv.tensor(array)
    array[0] = 7
    assert shared.tolist() == same.tolist() == [7, 0, 0]
    assert copied.tolist() == [0, 0, 0]
    shared += 1
    assert array.tolist() == [8, 1, 1]
    zero_dimensional = np.array(1.0)
    scalar = gv.from_numpy(zero_dimensional)
    zero_dimensional[...] = 2
    assert scalar.item() == 2


def test_a_read_only_array_is_warned_about() -> None:
    array = np.broadcast_to(np.float32(1), (3,))
    with pytest.warns(UserWarning, match="not writable") as caught:
        gv.from_numpy(array)
    assert caught[0].filename == __file__


def test_as_tensor_gives_a_tensor_back() -> None:
    w = gv.tensor([1.0], requires_grad=True)
    assert gv.as_tensor(w) is w
    assert gv.as_tensor(w, dtype=gv.float32) is w


def test_tensors_in_the_data_are_cut_off() -> None:
    """The op that copied them knows where they came from."""
    w = gv.tensor([1.0, 2.0], requires_grad=True)
    first = (w * w).sum()
    with pytest.warns(UserWarning, match="To copy construct") as caught:
        copy = gv.tensor(w)
    assert caught[0].filename == __file__
    with pytest.warns(UserWarning, match="requires_grad=True to a scalar") as caught:
        listed = gv.tensor([first, 3.0, gv.tensor(1.0)], requires_grad=True)
    assert caught[0].filename == __file__
    for result, count in ((copy, 1), (listed, 2)):
        assert result.is_leaf
        assert result._origin.cause is Cause.RETENSOR
        assert result._origin.row.name == "tensor"
        assert len(result._origin.links) == count
    assert listed.tolist() == [5.0, 3.0, 1.0]
    (listed * 2).sum().backward()
    assert listed.grad.tolist() == [2, 2, 2]
    assert w.grad is None


def test_leaves_made_under_no_grad() -> None:
    with gv.no_grad():
        assert gv.zeros(2, requires_grad=True).requires_grad
        assert gv.tensor([1.0], requires_grad=True).requires_grad
        assert not gv.zeros_like(gv.tensor([1.0], requires_grad=True)).requires_grad


# ---- random numbers

SEEDS = (0, 1, 5, -3, 2**31, 2**40 + 7, 2**64 - 1)
COUNTS = (0, 1, 2, 15, 3, 16, 17, 31, 33, 100, 1000, 3)
"""The odd ones before a 3 leave half a pair of normal numbers behind."""


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_streams_are_those_of_torch(seed: int, dtype: str) -> None:
    """One stream for all kinds of draws, so that a word too many or too few shows in all that follow."""
    for package in (gv, torch):
        package.manual_seed(seed)
    for count in COUNTS:
        draws = []
        for package in (gv, torch):
            kind = getattr(package, dtype)
            draws.append(
                [
                    package.rand(count, dtype=kind),
                    package.randn(count, dtype=kind),
                    package.normal(0.3, 1.7, (count,), dtype=kind),
                    package.zeros(count, dtype=kind).uniform_(-0.3, 1.9),
                    package.zeros(count, dtype=kind).normal_(2, 0.1),
                    package.zeros(count, dtype=kind).bernoulli_(0.3),
                    package.bernoulli(package.linspace(0, 1, count, dtype=kind)),
                    package.zeros(count, dtype=kind).random_(),
                    package.zeros(count, dtype=kind).random_(-5, 700),
                    package.randint(10, (count,)),
                    package.randint(-(2**40), 2**62, (count,)),
                    package.randint(0, 2**28 - 1, (count,)),
                    package.randint(0, 2**28, (count,)),
                    package.randint(0, 7, (count,), dtype=kind),
                    package.randint_like(package.zeros(count), 2, 9),
                    package.randperm(count),
                    package.rand_like(package.zeros(count, dtype=kind)),
                    package.randn_like(package.zeros(count, dtype=kind)),
                ]
            )
        for position, (ours, theirs) in enumerate(zip(*draws, strict=True)):
            np.testing.assert_array_equal(ours.numpy(), theirs.numpy(), str((count, position)))
            assert str(ours.dtype).replace("gradviz", "torch") == str(theirs.dtype)


@pytest.mark.parametrize("shape", [(4, 5), (3, 7, 2), (), (16, 16)])
def test_shapes_are_filled_in_row_order(shape: tuple[int, ...]) -> None:
    for package in (gv, torch):
        package.manual_seed(3)
    for name in ("rand", "randn"):
        np.testing.assert_array_equal(getattr(gv, name)(shape).numpy(), getattr(torch, name)(shape).numpy())


def test_a_hundred_thousand_normal_numbers() -> None:
    """Enough to meet the rare cases of every polynomial."""
    gv.manual_seed(11)
    torch.manual_seed(11)
    np.testing.assert_array_equal(gv.randn(100_003).numpy(), torch.randn(100_003).numpy())


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(-(2**63), 2**64 - 1), count=st.integers(0, 70))
def test_any_seed(seed: int, count: int) -> None:
    assert gv.manual_seed(seed).initial_seed() == torch.manual_seed(seed).initial_seed()
    np.testing.assert_array_equal(gv.randn(count).numpy(), torch.randn(count).numpy())
    assert gv.randperm(count).tolist() == torch.randperm(count).tolist()


def test_bernoulli_and_normal_of_tensors_have_zero_gradients() -> None:
    results = []
    for package in (gv, torch):
        package.manual_seed(4)
        w = package.tensor([0.2, 0.7], requires_grad=True)
        outs = [package.bernoulli(w), package.normal(w, 2.0), package.normal(1.0, w), package.normal(w, w)]
        for out in outs:
            out.sum().backward()
        nodes = [type(out.grad_fn).__name__ for out in outs]
        results.append((nodes, [out.tolist() for out in outs], w.grad.tolist()))
    assert results[0] == results[1]


def test_a_generator_has_its_own_stream() -> None:
    default_generator.manual_seed(1)
    expected = gv.rand(3).tolist()
    default_generator.manual_seed(1)
    own, theirs = gv.Generator().manual_seed(9), torch.Generator().manual_seed(9)
    np.testing.assert_array_equal(gv.randn(5, generator=own).numpy(), torch.randn(5, generator=theirs).numpy())
    assert gv.rand(3).tolist() == expected
    state = own.get_state()
    again = gv.randn(3, generator=own).tolist()
    assert gv.randn(3, generator=own.set_state(state)).tolist() == again
    with pytest.raises(TypeError):
        gv.rand(2, generator=3)


def test_seeds() -> None:
    assert gv.manual_seed(-1).initial_seed() == gv.initial_seed() == torch.manual_seed(-1).initial_seed()
    assert gv.Generator().initial_seed() == torch.Generator().initial_seed()
    assert gv.seed() != gv.seed()
    for package in (gv, torch):
        with pytest.raises(ValueError, match="Overflow when unpacking long long"):
            package.manual_seed(2**64)


def test_threads_share_the_stream_without_losing_a_number() -> None:
    gv.manual_seed(2)
    expected = sorted(gv.rand(4000).tolist())
    gv.manual_seed(2)
    drawn: list[float] = []

    def draw() -> None:
        for _ in range(100):
            drawn.extend(gv.rand(10).tolist())

    threads = [threading.Thread(target=draw) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(drawn) == expected


def test_a_fresh_process_has_a_seed_of_its_own() -> None:
    assert 0 <= default_generator.initial_seed() < 2**64
    assert isinstance(gv.rand(2), gv.Tensor)
