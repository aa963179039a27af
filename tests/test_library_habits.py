"""Habits of libraries: what a package does in its own way is no mistake of the program that uses it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from installed import library, recorded
from torch import nn

from gradviz.diagnose import Findings, diagnose


def found(program: Callable[[], object]) -> Findings:
    return diagnose(recorded(program))


def train(model: nn.Module, loss: Callable[[], torch.Tensor], steps: int = 3) -> None:
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    for _ in range(steps):
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()


# custom operators


def test_a_custom_operator_that_computes_in_numpy_is_one_op_with_its_gradient() -> None:
    @torch.library.custom_op("gradviz_test::sine", mutates_args=())
    def sine(x: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(x.detach().numpy().copy())

    sine.register_autograd(
        lambda ctx, g: g * ctx.saved_tensors[0].cos(),
        setup_context=lambda ctx, inputs, output: ctx.save_for_backward(*inputs),
    )
    w = torch.ones(3, requires_grad=True)

    def program() -> None:
        h = sine(w * 2)
        h.sum().backward()

    graph = recorded(program)
    op = next(op for op in graph.ops.values() if op.name == "sine")
    assert op.tracked
    assert graph.values[op.outputs[0]].name == "h"
    assert graph.ops[graph.values[op.value_inputs[0]].op].name == "mul"
    assert not any(op.name == "from_numpy" for op in graph.ops.values())
    assert not diagnose(graph)


# attributes


WRAPPER = """
    class Wrapper(nn.Module):
        def __init__(self, module):
            super().__init__()
            self.module = module
            self.require_backward_grad_sync = True

        def forward(self, x):
            return self.module(x)
"""


def test_an_attribute_that_a_library_reads_itself_is_no_misspelt_flag() -> None:
    model = library(WRAPPER).Wrapper(nn.Linear(2, 1))

    def loss() -> torch.Tensor:
        model.require_backward_grad_sync = False
        return model(torch.ones(3, 2)).pow(2).mean()

    assert not found(lambda: train(model, loss))


def test_a_library_may_keep_a_wish_where_it_wants() -> None:
    lib = library("def keep(module): module.requires_grad = False")
    model = nn.Linear(2, 1)

    def program() -> None:
        lib.keep(model)
        train(model, lambda: model(torch.ones(3, 2)).pow(2).mean())

    assert not found(program)


# `.data = ...`


def test_a_parameter_whose_data_is_replaced_is_the_same_parameter() -> None:
    model = nn.Linear(2, 1)
    late = nn.Linear(2, 1)

    def program() -> None:
        optimizer = torch.optim.SGD([*model.parameters(), *late.parameters()], 0.1)
        for step in range(4):
            if step:
                for p in late.parameters():
                    p.data = p.data.clamp(-0.5, 0.5)
            optimizer.zero_grad()
            (model(torch.ones(3, 2)) + late(torch.ones(3, 2))).pow(2).mean().backward()
            optimizer.step()
            for p in model.parameters():
                p.data = p.data.clamp(-0.5, 0.5)

    assert not found(program)


def test_data_replaced_between_optimizer_and_first_use_leaves_two_like_tensors_apart() -> None:
    lib = library("def place(weights): [setattr(weight, 'data', weight.data.float()) for weight in weights]")
    first, second = nn.Linear(2, 2), nn.Linear(2, 2)

    def program() -> None:
        optimizer = torch.optim.SGD([first.weight, second.weight], 0.1)
        lib.place([second.weight, first.weight])
        for _ in range(2):
            optimizer.zero_grad()
            second(torch.ones(1, 2)).sum().backward()
            optimizer.step()
        assert first.weight.grad is None

    graph = recorded(program)
    (finding,) = (finding for finding in diagnose(graph) if finding.severity != "note")
    (owner,) = graph.optimizers
    assert finding.code == "GV401"
    assert finding.values == owner.values[:1]  # and not the one of the same shape that came first


# results that a library throws away


POOLED = """
    class Pooled(nn.Module):
        def __init__(self):
            super().__init__()
            self.encoder = nn.Linear(2, 2)
            self.pooler = nn.Linear(2, 2)

        def forward(self, x):
            h = self.encoder(x)
            return {"last": h, "pooled": torch.tanh(self.pooler(h))}
"""


def test_an_output_of_a_library_that_is_not_asked_for_is_noted() -> None:
    model = library(POOLED).Pooled()
    (finding,) = found(lambda: train(model, lambda: model(torch.ones(3, 2))["last"].pow(2).mean()))
    assert (finding.code, finding.severity) == ("GV406", "note")
    assert set(finding.names) == {"model.pooler.weight", "model.pooler.bias"}


def test_a_term_of_a_library_that_the_user_keeps_and_does_not_add_is_an_error() -> None:
    lib = library("def penalty(model): return sum(p.pow(2).sum() for p in model.parameters())")
    model, other = nn.Linear(2, 1), nn.Linear(2, 1)

    def program() -> None:
        optimizer = torch.optim.SGD([*model.parameters(), *other.parameters()], 0.1)
        for _ in range(2):
            optimizer.zero_grad()
            penalty = lib.penalty(other)
            loss = model(torch.ones(3, 2)).pow(2).mean()
            loss.backward()
            optimizer.step()
        assert penalty is not None

    (finding,) = found(program)
    assert (finding.code, finding.severity) == ("GV406", "error")


# freezing for a while


def test_a_library_that_holds_out_a_network_for_a_call_froze_nothing() -> None:
    lib = library("""
        def estimate(network, x):
            flags = [p.requires_grad for p in network.parameters()]
            network.requires_grad_(False)
            try:
                return x * 2
            finally:
                for p, flag in zip(network.parameters(), flags):
                    p.requires_grad_(flag)
    """)
    model = nn.Linear(2, 1)

    def loss() -> torch.Tensor:
        return model(lib.estimate(model, torch.ones(3, 2))).pow(2).mean()

    assert not found(lambda: train(model, loss))


# cuts within cuts


def test_a_detach_inside_of_a_layer_is_not_blamed_for_what_the_user_cuts_behind_it() -> None:
    lib = library("""
        class Attend(nn.Linear):
            def forward(self, x):
                score = super().forward(x)
                weight = (score - score.max().detach()).exp()
                return weight / weight.sum()
    """)
    layer, head = lib.Attend(2, 2), nn.Linear(2, 1)

    def program() -> None:
        optimizer = torch.optim.SGD([*layer.parameters(), *head.parameters()], 0.1)
        for _ in range(2):
            optimizer.zero_grad()
            h = layer(torch.ones(3, 2)).data
            head(h).pow(2).mean().backward()
            optimizer.step()

    (finding,) = found(program)
    assert (finding.code, finding.source.strip()) == ("GV102", "h = layer(torch.ones(3, 2)).data")


def test_a_rollout_that_several_steps_learn_from_is_not_blamed_for_a_cut_in_the_step() -> None:
    critic, actor = nn.Linear(2, 1), nn.Linear(2, 1)

    def program() -> None:
        optimizer = torch.optim.SGD([*critic.parameters(), *actor.parameters()], 0.1)
        for _ in range(2):
            x = torch.ones(3, 2)
            with torch.no_grad():
                old = critic(x)
            for _ in range(3):
                new = critic(x).detach()
                loss = actor(x).pow(2).mean() + (old + (new - old).clamp(-0.2, 0.2) - 1).pow(2).mean()
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()

    (finding,) = (finding for finding in found(program) if finding.severity == "error")
    assert (finding.code, finding.source.strip()) == ("GV101", "new = critic(x).detach()")


def test_what_a_call_of_the_users_own_heads_gives_beside_is_an_error() -> None:
    heads = nn.ModuleList([nn.Linear(2, 1), nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1))])

    def loss() -> torch.Tensor:
        outputs = [head(torch.ones(3, 2)) for head in heads]
        return outputs[0].pow(2).mean()

    (finding,) = found(lambda: train(heads, loss))
    assert (finding.code, finding.severity) == ("GV406", "error")


def test_a_constant_that_a_library_adds_to_its_own_loss_is_no_finding() -> None:
    lib = library("""
        def elbo(x, w):
            exact = (w == w.detach()).float().log().sum()
            loss = (x * w).pow(2).sum() + exact
            loss.backward()
            return loss.item()
    """)
    w = torch.ones(3, requires_grad=True)

    def program() -> None:
        optimizer = torch.optim.SGD([w], 0.1)
        for _ in range(2):
            optimizer.zero_grad()
            lib.elbo(torch.ones(3), w)
            optimizer.step()

    assert not found(program)


# names


def test_a_module_that_a_method_of_a_library_calls_goes_by_its_path_in_the_users_variable() -> None:
    lib = library("""
        class Flow(nn.Module):
            def __init__(self, layers):
                super().__init__()
                self.layers = layers

            def log_prob(self, x):
                for layer in self.layers:
                    x = layer(x)
                return x.sum()
    """)

    def program() -> None:
        flow = lib.Flow(nn.ModuleList(nn.Sequential(nn.Linear(2, 2), nn.Tanh()) for _ in range(2)))
        flow.log_prob(torch.ones(3, 2)).backward()

    graph = recorded(program)
    linears = [op for op in graph.ops.values() if op.name == "linear"]
    assert [op.scope for op in linears] == ["flow.layers.0.0", "flow.layers.1.0"]
    weights = [graph.values[op.value_inputs[1]].name for op in linears]
    assert weights == ["flow.layers.0.0.weight", "flow.layers.1.0.weight"]


# transforms


def test_parameters_whose_gradients_a_transform_gives_lack_none() -> None:
    model = nn.Linear(2, 1)
    x = torch.ones(4, 2, requires_grad=True)

    def loss(parameters: Any, row: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(model, parameters, (row,)).pow(2).sum()

    def program() -> None:
        each = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0))(dict(model.named_parameters()), x.detach())
        assert each["weight"].norm() > 0
        x.pow(2).sum().backward()

    assert not found(program)


# looks at parameters


def test_copies_of_parameters_and_hooks_on_several_are_no_evaluation() -> None:
    model = nn.Linear(2, 2)
    norms: list[int] = []

    def program() -> None:
        averages = [parameter.clone().detach() for parameter in model.parameters()]
        handle = torch.autograd.graph.register_multi_grad_hook(list(model.parameters()), lambda g: norms.append(len(g)))
        train(model, lambda: model(torch.ones(3, 2)).pow(2).mean())
        handle.remove()
        assert len(averages) == 2

    assert not found(program)
    assert norms == [2, 2, 2]


# what a library's module computes besides


BESIDES = """
    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.Linear(4, 4), nn.Linear(4, 4)

        def forward(self, x):
            return self.first(x), [self.second(self.first(x)) for _ in range(2)]
"""


def test_of_what_a_library_computes_besides_no_help_is_to_switch_off_the_line_that_is_trained() -> None:
    model = library(BESIDES).Block()

    def loss() -> torch.Tensor:
        made, _ = model(torch.ones(2, 4))
        return made.sum()

    (finding,) = [finding for finding in found(lambda: train(model, loss)) if finding.code == "GV504"]
    assert finding.source.strip() == "made, _ = model(torch.ones(2, 4))"
    assert finding.help.startswith("nothing")


def test_a_line_of_which_no_backward_uses_anything_is_to_go_into_no_grad() -> None:
    model = library(BESIDES).Block()

    def program() -> None:
        train(model, lambda: sum(made.sum() for made in (model(torch.ones(2, 4))[0], *model(torch.ones(2, 4))[1])))
        for _ in range(2):
            model(torch.zeros(2, 4))

    (finding,) = [finding for finding in found(program) if finding.code == "GV504" and "zeros" in finding.source]
    assert finding.help == "run this inside `with torch.no_grad():`"
