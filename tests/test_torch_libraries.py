"""Programs that use libraries: what a library does for itself is not the user's, and what it defines breaks nothing."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from installed import library, recorded
from torch import nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

import gradviz
from gradviz import nn as core_nn
from gradviz.frontends.torch.models.building import Building
from gradviz.graphs import Graph
from gradviz.picture.composing import compose
from gradviz.selecting import default_selection
from gradviz.views import Options


def ops(graph: Graph) -> Counter[str]:
    return Counter(op.name for op in graph.ops.values())


def frames(graph: Graph) -> list[str]:
    return [frame.title.partition(" ")[0] for frame in compose(default_selection(graph), Options()).frames]


class Moody:
    """A module that lets nobody ask it anything, mixed into one of either framework."""

    def __hash__(self) -> int:
        raise AttributeError("not ready to be hashed")

    def __eq__(self, other: object) -> bool:
        raise ValueError("not to be compared")

    def named_parameters(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError("not to be listed")

    named_modules = named_buffers = parameters = named_parameters


@pytest.mark.parametrize("package", [nn, core_nn], ids=["torch", "core"])
def test_a_class_that_cannot_be_hashed_compared_or_listed_is_recorded_like_any_other(package: Any) -> None:
    def run(kind: type) -> tuple[list[str], Counter[str], list[str]]:
        holder: dict[str, Any] = {}

        def build() -> Any:
            model = kind()
            model.inner = package.Linear(2, 1, bias=False)
            model.inner.weight.requires_grad = True
            holder["model"] = model  # alive to the end, as a variable of a script is
            x = gradviz.ones(3, 2) if package is core_nn else torch.ones(3, 2)
            model(x).sum().backward()
            model.eval()
            return model

        with gradviz.record() as rec:
            model = build()
        assert not rec.failures
        graph = rec.graph()
        assert type(model) is kind
        scopes = sorted({op.scope for op in graph.ops.values() if op.scope})
        return sorted(v.name for v in graph.values.values() if v.leaf and v.requires_grad), ops(graph), scopes

    class Plain(package.Module):  # type: ignore[misc, name-defined]
        def forward(self, x: Any) -> Any:
            return self.inner(x)

    class Strange(Moody, Plain):
        pass

    assert run(Strange) == run(Plain)
    assert run(Strange)[0] == ["model.inner.weight"]


def test_a_name_that_cannot_be_told_leaves_no_hole(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: object, module: nn.Module, frame: object) -> None:
        raise RuntimeError("no place")

    monkeypatch.setattr(Building, "_note", broken)
    with gradviz.record() as rec:
        model = nn.Linear(2, 1)
        model(torch.ones(3, 2)).sum().backward()
    graph = rec.graph()
    assert ops(graph)["linear"] == 1
    assert len(graph.sweeps) == 1
    assert [str(failure) for failure in rec.failures] == ["recording a module: RuntimeError: no place"]
    (note,) = [note for note in graph.notes if note.kind == "failure"]
    assert note.text == "the recording is not complete: recording a module: RuntimeError: no place"


def test_a_batch_is_a_source() -> None:
    x, y = torch.randn(8, 3), torch.randn(8)
    loader = DataLoader(TensorDataset(x, y), batch_size=4, shuffle=True)
    model = nn.Linear(3, 1)

    def train() -> None:
        for xb, yb in loader:
            loss = ((model(xb).squeeze(-1) - yb) ** 2).mean()
            loss.backward()

    graph = recorded(train)
    assert not {"select", "item", "randperm"} & set(ops(graph))
    batches = [op for op in graph.ops.values() if op.name == "DataLoader"]
    assert {op.inputs for op in batches} == {()}
    sources = [graph.values[output].shape for op in batches for output in op.outputs]
    assert sorted(sources) == [(4,), (4,), (4, 3), (4, 3)]


def test_a_batch_that_a_worker_put_together_is_told_alike() -> None:
    data = TensorDataset(torch.randn(4, 3), torch.randn(4))
    model = nn.Linear(3, 1)

    def train(workers: int) -> Counter[tuple[str, tuple[int, ...]]]:
        def steps() -> None:
            for xb, yb in DataLoader(data, batch_size=2, num_workers=workers):
                ((model(xb).squeeze(-1) - yb) ** 2).mean().backward()

        return Counter((v.name, v.shape) for v in recorded(steps).values.values() if not v.requires_grad)

    assert train(0) == train(1)


def test_the_gradient_through_a_loader_is_told() -> None:
    table = torch.randn(6, 2, requires_grad=True)

    def train() -> None:
        for (rows,) in DataLoader(TensorDataset(table), batch_size=3):
            rows.sum().backward()

    graph = recorded(train)
    (leaf,) = [value.id for value in graph.values.values() if value.leaf and value.requires_grad]
    assert [[gradient.value for gradient in sweep.gradients] for sweep in graph.sweeps] == [[leaf], [leaf]]
    assert ops(graph)["select"] == 6


def test_what_a_data_set_writes_to_is_told() -> None:
    counts = torch.zeros(4)

    class Counting(Dataset[torch.Tensor]):
        def __len__(self) -> int:
            return 4

        def __getitem__(self, index: int) -> torch.Tensor:
            counts.add_(1)
            return torch.ones(2)

    def train() -> None:
        total = counts.sum()
        for x in DataLoader(Counting(), batch_size=2):
            total = total + x.sum()

    assert ops(recorded(train))["add"] == 4 + 2


CHECKED = """
    def checked(x):
        if not (x == x).all():
            raise ValueError("not a number")
        if bool((x > 5).any()):
            x = x / 2
        return x * 3
"""


def test_a_check_of_a_library_is_no_exit() -> None:
    lib = library(CHECKED)
    w = torch.tensor([1.0, 2.0], requires_grad=True)
    assert "__bool__" not in ops(recorded(lambda: lib.checked(w).sum().backward()))


def test_a_check_of_the_user_is_an_exit() -> None:
    w = torch.tensor([1.0, 2.0], requires_grad=True)

    def own() -> None:
        scale = 2.0 if (w > 5).any() else 3.0
        (w * scale).sum().backward()

    graph = recorded(own)
    (exit,) = [op for op in graph.ops.values() if not op.outputs]
    assert graph.ops[graph.values[exit.value_inputs[0]].op].name == "any"


def test_a_number_that_a_library_takes_is_an_exit() -> None:
    lib = library("def norm(x):\n    return x / x.detach().max().item()")
    w = torch.tensor([1.0, 2.0], requires_grad=True)
    graph = recorded(lambda: lib.norm(w).sum().backward())
    assert [op.name for op in graph.ops.values() if not op.outputs] == ["item"]


def test_a_mask_that_a_library_makes_an_array_of_left_for_numpy() -> None:
    lib = library("def chosen(x):\n    return (x > 1).numpy()")
    w = torch.tensor([1.0, 2.0])
    assert ops(recorded(lambda: lib.chosen(w)))["numpy"] == 1


def test_a_distribution_checks_its_arguments_untold() -> None:
    loc = torch.tensor(0.0, requires_grad=True)
    graph = recorded(lambda: torch.distributions.Normal(loc, torch.tensor(1.0)).log_prob(torch.tensor(2.0)).backward())
    assert not [op for op in graph.ops.values() if not op.outputs]


def test_an_optimizer_that_calls_a_closure_draws_no_grad_modes() -> None:
    model, x = nn.Linear(2, 1), torch.randn(8, 2)
    optimizer = torch.optim.LBFGS(model.parameters(), max_iter=2)

    def closure() -> float:
        optimizer.zero_grad()
        loss = (model(x) ** 2).mean()
        loss.backward()
        return loss  # type: ignore[return-value]

    assert frames(recorded(lambda: optimizer.step(closure))) == []


def test_grad_modes_that_the_user_wrote_are_drawn() -> None:
    w = torch.ones(2, requires_grad=True)

    def nested() -> None:
        with torch.no_grad():
            z = w * 2
            with torch.enable_grad():
                (w * z).sum().backward()

    assert frames(recorded(nested)) == ["no_grad", "enable_grad"]


@dataclass
class Doubled:
    """Its `__init__` has no file."""

    x: torch.Tensor

    def __post_init__(self) -> None:
        self.x = self.x * 2


def test_code_that_dataclass_wrote_is_on_no_path() -> None:
    graph = recorded(lambda: Doubled(torch.ones(2)))
    (op,) = [op for op in graph.ops.values() if op.name == "mul"]
    site = op.site
    files = []
    while site is not None:
        files.append(graph.sites[site].file)
        site = graph.sites[site].caller
    assert files
    assert "<string>" not in files


def test_a_detach_inside_of_a_library_is_told_as_such() -> None:
    lib = library("def frozen_mean(x):\n    return x.detach().mean()")
    model = nn.Linear(2, 1)
    optimizer = torch.optim.SGD([*model.parameters(), offset := torch.zeros(1, requires_grad=True)], lr=0.1)

    def train() -> None:
        loss = offset + lib.frozen_mean(model(torch.ones(3, 2)))
        loss.backward()
        optimizer.step()

    (finding,) = gradviz.check(train)
    assert finding.code == "GV101"
    assert "a `detach` inside of `lib.frozen_mean` at " in finding.message
    assert finding.help.startswith("look for an option of `lib.frozen_mean` that keeps the graph")


def test_leaves_that_a_backward_makes_for_itself_are_not_missed() -> None:
    lib = library("""
        class Again(torch.autograd.Function):
            @staticmethod
            def forward(ctx, x):
                ctx.save_for_backward(x)
                return x.detach() ** 2

            @staticmethod
            def backward(ctx, gradient):
                (x,) = ctx.saved_tensors
                with torch.enable_grad():
                    again = x.detach().requires_grad_()
                    time = torch.zeros((), requires_grad=True)
                    time.view(1)
                    (again ** 2).backward(gradient)
                return again.grad
    """)
    w = torch.ones(3, requires_grad=True)
    assert gradviz.check(lambda: lib.Again.apply(w).sum().backward()) == ()


def test_a_number_that_one_call_of_a_library_takes_and_uses_is_no_term_of_the_loss() -> None:
    lib = library("""
        def loss(x, w):
            low = (w > 0).float().sum().item()
            return (x * w).sum() + low
    """)
    w = torch.ones(3, requires_grad=True)

    def train() -> None:
        print(lib.loss(torch.ones(3), w).backward())

    assert gradviz.check(train) == ()


def test_what_a_check_was_computed_with_is_kept_where_it_has_another_use() -> None:
    lib = library("""
        def masked(x):
            low = x < 0
            if bool(low.any()):
                raise ValueError
            return x * low.logical_not()
    """)
    w = torch.tensor([1.0, 2.0], requires_grad=True)
    names = ops(recorded(lambda: lib.masked(w).sum().backward()))
    assert (names["lt"], names["any"], names["check"]) == (1, 0, 0)


def test_what_the_user_named_is_kept_though_only_a_library_looked_at_it() -> None:
    lib = library("def require(flag):\n    assert bool(flag)")

    def own() -> None:
        w = torch.ones(2, requires_grad=True)
        positive = (w > 0).all()
        lib.require(positive)
        w.sum().backward()

    graph = recorded(own)
    assert ops(graph)["all"] == 1
    assert not [op for op in graph.ops.values() if not op.outputs]


def test_weights_that_a_module_of_a_library_fills_are_sources() -> None:
    lib = library("""
        class Layer(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.weight = torch.nn.Parameter(torch.empty(2, 2))
                self.reset_parameters()

            def reset_parameters(self):
                self.weight.data.uniform_(-1, 1)

            def forward(self, x):
                return x @ self.weight
    """)

    def own() -> None:
        layer = lib.Layer()
        layer(torch.ones(1, 2)).sum().backward()

    names = ops(recorded(own))
    assert (names["data"], names["uniform_"], names["Parameter"]) == (0, 0, 1)


def test_data_that_a_library_takes_of_a_weight_while_it_computes_is_a_cut() -> None:
    lib = library("""
        class Layer(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.weight = torch.nn.Parameter(torch.ones(2, 2))

            def forward(self, x):
                return x @ self.weight.data
    """)
    x = torch.ones(1, 2, requires_grad=True)
    assert ops(recorded(lambda: lib.Layer()(x).sum().backward()))["data"] == 1


@pytest.mark.parametrize("name", ["expand_as", "view_as", "reshape_as", "type_as"])
def test_a_tensor_that_only_lends_its_shape_is_no_operand(name: str) -> None:
    x, like = torch.ones(2, 3, requires_grad=True), torch.ones(2, 3, dtype=torch.float64, requires_grad=True)
    graph = recorded(lambda: [getattr(x, name)(like) for _ in range(2)])
    first, second = (op for op in graph.ops.values() if op.name == name)
    assert len(first.inputs) == len(second.inputs) == 1
    assert graph.cuts == ()


def test_grad_modes_of_a_library_within_its_own_are_one_frame() -> None:
    lib = library("""
        def inner(w):
            with torch.no_grad():
                return w * 2

        def outer(w):
            with torch.no_grad():
                return inner(w)
    """)
    w = torch.ones(2, requires_grad=True)
    graph = recorded(lambda: (w * lib.outer(w)).sum().backward())
    assert frames(graph) == ["no_grad"]


@pytest.mark.parametrize("package", [nn, core_nn], ids=["torch", "core"])
def test_parts_that_no_method_uses_go_by_the_path_of_the_module_whose_method_ran(package: Any) -> None:
    class Agent(package.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.policy, self.value = package.Linear(2, 1), package.Linear(2, 1)

        def loss(self, x: Any) -> Any:  # called by itself: no call of the module says what it is called
            return self.policy(x).sum()

    agents = [Agent()]
    optim, x = (torch.optim, torch.ones(1, 2)) if package is nn else (gradviz.optim, gradviz.ones(1, 2))
    optimizer = optim.SGD(agents[0].parameters(), 0.1)

    def train() -> None:
        agents[0].loss(x).backward()
        optimizer.step()

    (finding,) = gradviz.check(train)
    assert finding.code == "GV401"
    assert finding.names == ("agents.0.value.weight", "agents.0.value.bias")
