"""Names that PyTorch's tutorials and courses use beside the everyday ones: they do here what they do there."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from alike import assert_alike, plain

import gradviz as gv
from gradviz.core.calling import Tensor as Called

IMPORTS = """\
import torch
import torch.distributed as dist
import torch.jit
import torch.nn.parallel
from torch.distributions.categorical import Categorical
from torch.distributions.kl import kl_divergence
from torch.distributions.normal import Normal
from torch.distributions.transforms import ExpTransform
from torch.nn import DataParallel
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.modules.utils import _pair
from torch.nn.parallel import DistributedDataParallel as DDP
from torch.nn.utils.clip_grad import clip_grad_norm_
from torch.optim.adam import Adam
from torch.optim.optimizer import Optimizer
from torch.utils.data.sampler import RandomSampler, Sampler

x = torch.ones(2, 3)
model = DataParallel(torch.nn.Linear(3, 2))
print(sorted(model.state_dict()), model(x).shape, model.module.weight.shape, dist.is_initialized())
print(_pair(3), _pair((1, 2)))
with sdpa_kernel(SDPBackend.MATH):
    print(torch.nn.functional.scaled_dot_product_attention(x[None], x[None], x[None]).shape)


@torch.jit.script
def gelu(x: torch.Tensor) -> torch.Tensor:
    return x * 0.5 * (1.0 + torch.erf(x / 1.41421))


class Cell(torch.nn.Module):
    @torch.jit.export
    def twice(self, x: torch.Tensor) -> torch.Tensor:
        return x * 2


print(gelu(x), Cell().twice(x), torch.jit.is_scripting())
print({"bfloat16": torch.bfloat16}["bfloat16"], isinstance(Adam(model.parameters()), Optimizer))
try:
    DDP(model)
except (RuntimeError, ValueError) as error:
    print(error)
"""


def test_modules_that_tutorials_import(tmp_path: Path) -> None:
    path = tmp_path / "imports.py"
    path.write_text(IMPORTS)
    theirs = subprocess.run([sys.executable, "-W", "ignore", path], capture_output=True, text=True, check=True)
    ours = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "gradviz", "record", "--core", path, "-o", tmp_path / "a.gvlog"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (ours.returncode, ours.stdout) == (0, theirs.stdout), ours.stderr


@pytest.mark.parametrize(
    "key",
    [(..., 7), (0, ..., 7), (0, 5), (slice(None), 3), (..., -9), (None, ..., 7), (0, 0, 9), (slice(0, 1), 9), ([0], 7)],
)
def test_an_index_out_of_range_names_the_dimension_that_pytorch_names(key: Any) -> None:
    def write(library: Any) -> None:
        library.arange(24.0).view(2, 3, 4)[key] = 1.0

    assert_alike(lambda library: library.arange(24.0).view(2, 3, 4)[key])
    if not isinstance(key[0], list):
        assert_alike(write)


def test_an_index_tensor_out_of_range_counts_index_tensors() -> None:
    for place in (0, 1, 2):

        def program(library: Any, place: int = place) -> Any:
            return library.ones(2, 3, 4)[(*(slice(None),) * place, library.tensor([0, 8]))]

        assert_alike(program)


@pytest.fixture
def callable_class(monkeypatch: pytest.MonkeyPatch) -> None:
    """`Tensor` as `--core` gives it to a script."""
    monkeypatch.setattr(gv, "Tensor", Called)


@pytest.mark.usefixtures("callable_class")
def test_the_class_of_tensors_may_be_called() -> None:
    def program(library: Any) -> list[Any]:
        made = library.Tensor([1, 2])
        found = [made, tuple(library.Tensor(2, 3).shape), library.Tensor()]
        found.append(tuple(library.Tensor(library.Size([2])).shape))
        found += [type(made) == library.Tensor, issubclass(library.nn.Parameter, library.Tensor)]  # noqa: E721
        found += [isinstance(3, library.Tensor), library.Tensor(made).data_ptr() == made.data_ptr()]
        weight = library.nn.Parameter(library.Tensor(2, 2).fill_(0.5))
        (weight * made).sum().backward()
        return [*found, weight.grad]

    assert_alike(program)
    assert_alike(lambda library: library.Tensor(3.5))


@pytest.mark.usefixtures("callable_class")
def test_a_class_of_tensors_of_ones_own() -> None:
    def program(library: Any) -> list[Any]:
        class Tagged(library.Tensor):  # type: ignore[name-defined, misc]
            tag = "mine"

        made = Tagged([1.0, 2.0])
        return [made.tolist(), made.tag, isinstance(made, library.Tensor), isinstance(library.ones(1), Tagged)]

    assert_alike(program)


@pytest.mark.filterwarnings("ignore:TypedStorage is deprecated")
def test_storages() -> None:
    def program(library: Any) -> list[Any]:
        x = library.arange(6.0).view(2, 3)
        whole, part = x.storage(), x[1].storage()
        found = [whole.tolist(), list(part), whole.size(), len(part), part[4], whole.dtype is library.float32]
        found += [whole.data_ptr() == part.data_ptr(), x.untyped_storage().nbytes(), len(x.untyped_storage())]
        found += [x.T.untyped_storage().data_ptr() == x.data_ptr(), library.ones(1, 1).expand(3, 4).storage().size()]
        whole[0] = 9.0
        return [*found, x, repr(whole).replace("gradviz", "torch")]

    ours, theirs = (plain(program(library)) for library in (gv, torch))
    assert ours == theirs


def dual_numbers(library: Any, level: Any) -> list[Any]:
    x, along = library.linspace(-1, 1, 4, dtype=library.float64), library.arange(4.0, dtype=library.float64)
    weight = library.full((4,), 0.5, dtype=library.float64, requires_grad=True)
    with level.dual_level():
        dual = level.make_dual(x, along)
        value, pushed = level.unpack_dual((dual * 3).sin() + x.exp())
        found = [value.detach(), pushed.detach(), level.unpack_dual(x.exp()).tangent]
        found.append(level.unpack_dual(dual).tangent.detach())
        trained = level.unpack_dual((level.make_dual(weight, along) * dual).tanh()).tangent
        trained.sum().backward()
        found.append(weight.grad)
    found.append(level.unpack_dual(dual * 2).tangent)
    for wrong in (lambda: level.make_dual(x, along), level.exit_dual_level):
        try:
            wrong()
        except RuntimeError as error:
            found.append(type(error).__name__)
    with level.dual_level():
        for given in ((x, along[:2]), (x.long(), along)):
            try:
                level.make_dual(*given)
            except (RuntimeError, ValueError) as error:
                found.append(f"{type(error).__name__}: {error}".replace("gradviz", "torch"))
    return found


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")
def test_dual_numbers() -> None:
    ours, theirs = (
        plain(dual_numbers(library, importlib.import_module(f"{library.__name__}.autograd.forward_ad")))
        for library in (gv, torch)
    )
    assert ours == theirs


def test_what_is_saved_on_the_cpu_and_hooks_that_are_forbidden() -> None:
    def program(library: Any) -> list[Any]:
        graph = library.autograd.graph
        x = library.tensor([1.0, 2.0], requires_grad=True)
        with graph.save_on_cpu(pin_memory=False):
            loss = (x.sin() * x).sum()
        loss.backward()
        found = [x.grad]
        with pytest.raises(RuntimeError, match="not here"), graph.disable_saved_tensors_hooks("not here"):
            graph.saved_tensors_hooks(lambda kept: kept, lambda kept: kept).__enter__()
        edge = graph.get_gradient_edge(loss)
        leaf = graph.get_gradient_edge(x)
        return [*found, edge.node is loss.grad_fn, edge.output_nr, leaf.node.name()]

    assert_alike(program)


def test_elements_are_put_by_their_number() -> None:
    def program(library: Any) -> list[Any]:
        x = library.ones(2, 3, requires_grad=True)
        source = library.tensor([5.0, 6.0], requires_grad=True)
        index = library.tensor([0, -1])
        found = []
        for accumulate in (False, True):
            made = (x * 2).put_(index, source, accumulate=accumulate)
            found += [made, *library.autograd.grad((made * made).sum(), [x, source])]
            made = x.put(library.tensor([1, 1]), source, accumulate=True)
            found.append(made)
        for wrong in (
            lambda: x.put(library.tensor([9]), library.ones(1)),
            lambda: x.put(library.tensor([1, 2]), library.ones(1)),
            lambda: x.put(library.tensor([1.0]), library.ones(1)),
            lambda: x.put(library.tensor([1]), library.ones(1).double()),
        ):
            try:
                wrong()
            except (RuntimeError, IndexError) as error:
                found.append(f"{type(error).__name__}: {error}")
        return found

    assert_alike(program)


def test_numbers_are_taken_apart() -> None:
    def program(library: Any) -> list[Any]:
        x = library.tensor([3.0, -0.5, 0.0, 8.0], requires_grad=True)
        mantissa, exponent = parts = library.frexp(x)
        mantissa.sum().backward()
        found = [mantissa, exponent, x.grad, repr(parts).replace("gradviz", "torch"), parts.exponent]
        try:
            library.frexp(x.detach().long())
        except RuntimeError as error:
            found.append(str(error))
        return found

    assert_alike(program)


def test_a_chain_of_matrices() -> None:
    def program(library: Any) -> Any:
        x, y, z = (library.linspace(-1, 1, 6).view(*shape).requires_grad_() for shape in ((2, 3), (3, 2), (2, 3)))
        return library.autograd.grad(library.chain_matmul(x, y, z).pow(2).sum(), [x, y, z])

    assert_alike(program)


def test_what_a_node_saved_can_be_looked_at() -> None:
    def program(library: Any) -> list[Any]:
        x = library.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
        square, power, product = x.pow(2), x.exp(), x @ x.T
        found = [square.grad_fn._saved_self is x, square.grad_fn._saved_exponent, power.grad_fn._saved_result is power]
        found += [power.grad_fn._saved_result, (x * power).grad_fn._saved_other, product.grad_fn._saved_mat2.detach()]
        found += [x.softmax(-1).grad_fn._saved_result, hasattr(x.sum().grad_fn, "_saved_self")]
        for wrong in (lambda: power.grad_fn._saved_other, lambda: power.grad_fn.nothing):
            try:
                wrong()
            except AttributeError as error:
                found.append(str(error))
        power.sum().backward()
        try:
            power.grad_fn._saved_result  # noqa: B018 - the look-up raises
        except RuntimeError as error:
            found.append(str(error))
        return found

    assert_alike(program)


OPTIMIZERS = ("SGD", "Adam", "AdamW", "Adamax", "NAdam", "RAdam", "RMSprop", "Adagrad", "Adadelta", "Adafactor", "ASGD")


@pytest.mark.parametrize("options", [{}, {"weight_decay": 0.1}, {"amsgrad": True}, {"momentum": 0.5}], ids=str)
@pytest.mark.parametrize("name", [*OPTIMIZERS, "Rprop"])
def test_optimizers_step_parameters_without_dimensions(name: str, options: dict[str, Any]) -> None:
    def program(library: Any) -> list[Any]:
        scale, shift = (library.tensor(value, requires_grad=True) for value in (-1.0, 0.5))
        optimizer = getattr(library.optim, name)([scale, shift], lr=0.01, **options)
        for _ in range(3):
            optimizer.zero_grad()
            (scale.exp() * 2 + shift**2 * scale).backward()
            optimizer.step()
        return [scale, shift]

    try:
        getattr(torch.optim, name)([torch.ones(1)], lr=0.1, **options)
    except TypeError:
        return  # an option that this one does not have
    assert_alike(program)


def test_the_nuclear_norm() -> None:
    def program(library: Any) -> list[Any]:
        x = library.linspace(-1, 2, 12).view(2, 2, 3).requires_grad_()
        found = [x[0].norm("nuc"), library.norm(x, "nuc", (0, 2)), x[0].norm("nuc", keepdim=True).detach()]
        found.append(library.norm(x, None))
        for wrong in (lambda: x.norm("nuc"), lambda: x[0, 0].norm("nuc"), lambda: x[0].norm("other")):
            try:
                wrong()
            except RuntimeError as error:
                found.append(str(error))
        return found

    assert_alike(program)
