"""Tensors by their older names, and questions about memory, devices and settings, as programs ask them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from alike import assert_alike

import gradviz as gv
from gradviz.errors import NotWrittenError


def test_tensors_by_the_names_of_their_types() -> None:
    def program(library: Any) -> list[Any]:
        found: list[Any] = []
        for name in ("FloatTensor", "DoubleTensor", "LongTensor", "IntTensor", "ByteTensor", "BoolTensor"):
            kind = getattr(library, name)
            made = kind([1, 0, 2])
            found += [made, tuple(kind(2, 3).shape), tuple(kind().shape), tuple(kind(library.Size([2])).shape)]
            found += [isinstance(made, kind), isinstance(library.zeros(1).half(), kind), made.type(), kind((2, 3))]
            found += [library.ones(2).type(kind), library.ones(2).type(made.type()), library.typename(made)]
        found.append(library.FloatTensor(np.ones((2, 2), np.float32)))
        for wrong in (lambda: library.FloatTensor(3.5), lambda: library.ones(1).type("torch.NoTensor")):
            try:
                wrong()
            except (TypeError, ValueError) as error:
                found.append(f"{type(error).__name__}: {error}")
        return found

    assert_alike(program)


def test_where_tensors_are_and_how_they_lie() -> None:
    def program(library: Any) -> list[Any]:
        x = library.arange(24.0).view(2, 3, 4)
        found: list[Any] = [x.is_cpu, x.is_cuda, x.is_sparse, x.is_quantized, x.is_mps, x.is_meta, x.is_nested]
        found += [x.get_device(), x.itemsize, x.is_pinned(), x.is_conj(), x.name, library.is_inference(x)]
        found += [x[1:, 1].storage_offset(), x.T.storage_offset() if x.ndim == 2 else 0, x[0].t().storage_offset()]
        found += [repr(x.layout).split(".")[1], repr(library.channels_last).split(".")[1], x.mH.shape == x.mT.shape]
        found += [x.contiguous(memory_format=library.contiguous_format) is x, x.to_dense().shape == x.shape]
        found += [x.is_contiguous(memory_format=library.contiguous_format), x.cpu() is x]
        found += [library.zeros_like(x, memory_format=library.preserve_format)]
        found += [library.rand_like(x, memory_format=library.preserve_format).shape == x.shape]
        found += [library.asarray([1.0, 2.0])]
        found += [str(library.get_default_device()), library.asarray(x) is x, library.asarray(x, copy=True) is x]
        with pytest.raises(AssertionError, match="not compiled with CUDA"):
            x.cuda()
        library.use_deterministic_algorithms(True)
        found.append(library.are_deterministic_algorithms_enabled())
        library.use_deterministic_algorithms(False)
        library.set_float32_matmul_precision("high")
        found.append(library.get_float32_matmul_precision())
        library.set_float32_matmul_precision("highest")
        return found

    ours, theirs = ([one.tolist() if hasattr(one, "tolist") else one for one in program(lib)] for lib in (gv, torch))
    assert ours == theirs
    assert gv.get_num_threads() == 1


def test_a_range_with_its_end_warns() -> None:
    found = []
    for library in (gv, torch):
        with pytest.warns(UserWarning, match=r"torch\.range is deprecated"):
            found.append([library.range(*ends).tolist() for ends in ((0, 3), (0, 1, 0.25), (2, -1, -1.5))])
    assert found[0] == found[1]


@pytest.mark.parametrize("name", ["bfloat16", "to_sparse", "cfloat", "angle", "stft"])
def test_what_has_no_place_yet_says_so(name: str) -> None:
    with pytest.raises(NotWrittenError, match=f"`Tensor.{name}` is not written yet: gradviz's own tensors have no"):
        getattr(gv.ones(2), name)()


@pytest.mark.parametrize(
    ("name", "what"),
    [("complex64", "complex numbers are"), ("BFloat16Tensor", "bfloat16 is"), ("sparse_csr", "sparse layouts are")],
)
def test_names_that_have_no_place_yet_say_so(name: str, what: str) -> None:
    with pytest.raises(AttributeError, match=f"no attribute '{name}'; {what} not written yet"):
        getattr(gv, name)


def test_products_are_added_in_place() -> None:
    def program(library: Any) -> list[Any]:
        a, b = (library.linspace(-1, 1, 6).view(*shape).requires_grad_() for shape in ((2, 3), (3, 2)))
        found = []
        for name, start, given in (
            ("addmm_", (2, 2), (a, b)),
            ("addmv_", (2,), (a, b[:, 0])),
            ("baddbmm_", (1, 2, 2), (a[None], b[None])),
        ):
            x = library.ones(*start)
            y = getattr(x, name)(*given, beta=2, alpha=3)
            slopes = library.autograd.grad((y * y).sum(), [a, b], retain_graph=True)
            found += [y is x, y.grad_fn.name(), y.detach(), *slopes]
            try:
                getattr(library.ones(5, 5), name)(*given)
            except RuntimeError as error:
                found.append(type(error).__name__)
        return found

    assert_alike(program)


def test_variables() -> None:
    def program(library: Any) -> list[Any]:
        x = library.ones(2)
        variable = library.autograd.Variable(x, requires_grad=True)
        (variable * 3).sum().backward()
        plain = library.autograd.Variable(variable * 2)
        shares = variable.data_ptr() == x.data_ptr()
        return [variable, variable.grad, plain, shares, isinstance(x, library.autograd.Variable)]

    assert_alike(program)


@pytest.mark.parametrize(
    "name", ["uniform", "normal", "eye", "xavier_uniform", "xavier_normal", "kaiming_uniform", "kaiming_normal"]
)
def test_initial_values_by_older_names(name: str) -> None:
    def program(library: Any) -> Any:
        library.manual_seed(1)
        return getattr(library.nn.init, name)(library.zeros(3, 4))

    assert_alike(program)


def test_clipping_by_a_norm_that_is_known_and_by_an_older_name() -> None:
    def program(library: Any) -> list[Any]:
        found = []
        for norm in (0.5, 100.0):
            w = library.arange(4.0).requires_grad_()
            (w * w).sum().backward()
            library.nn.utils.clip_grads_with_norm_([w], norm, library.tensor(8.0))
            found.append(w.grad.clone())
            found += [library.nn.utils.clip_grad_norm([w], 0.3), w.grad]
        return found

    assert_alike(program)


def test_steps_of_ones_own_through_memory() -> None:
    def program(library: Any) -> list[Any]:
        x = library.arange(12.0).view(3, 4).requires_grad_()
        y = x * 1
        windows = y.as_strided((5, 2), (2, 1), 1)  # they overlap
        (slope,) = library.autograd.grad((windows**3).sum(), x, create_graph=True)
        (again,) = library.autograd.grad(slope.sum(), x)
        found = [windows.detach(), slope.detach(), again, library.as_strided(y, (4, 3), (1, 4)).detach()]
        base = library.zeros(6)
        view = base.as_strided((2,), (3,))
        view.add_(library.ones(2).requires_grad_())
        found += [base.detach(), base.grad_fn.name(), view.grad_fn.name(), base[2:].as_strided((2,), (2,)).detach()]
        for size, stride, offset in (((3, 5), (4, 1), 0), ((2,), (1, 1), 0), ((2,), (-1,), 0), ((2,), (1,), 11)):
            try:
                library.arange(12.0).as_strided(size, stride, offset)
            except RuntimeError as error:
                found.append(str(error))
        return found

    assert_alike(program)
    with pytest.raises(NotWrittenError, match="written for tensors only that lie in memory in order"):
        gv.zeros(2, 3).t().as_strided((2,), (1,))
