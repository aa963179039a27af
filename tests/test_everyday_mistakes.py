"""Mistakes of everyday PyTorch scripts: which line is blamed, for whom, and what is said to be done about it."""

from __future__ import annotations

import linecache
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import gradviz
from gradviz.diagnose import Finding, diagnose
from gradviz.picture.aiming import missing_culprits
from gradviz.picture.composing import compose
from gradviz.picture.records import BoxKind
from gradviz.selecting import default_selection
from gradviz.views import Options


def only_finding(program: Callable[[], object]) -> Finding:
    """The one finding that there is to be."""
    (finding,) = gradviz.check(program)
    return finding


@pytest.mark.parametrize("pick", [lambda x: x.topk(2).indices, lambda x: x.max(-1, keepdim=True)[1]])
def test_indices_beside_values_cut_the_road(pick: Callable[[torch.Tensor], torch.Tensor]) -> None:
    score, table = nn.Linear(4, 3), nn.Embedding(3, 2)

    def route() -> None:
        chosen = pick(score(torch.ones(5, 4)))
        table(chosen).sum().backward()

    finding = only_finding(route)
    assert (finding.code, set(finding.names)) == ("GV106", {"score.weight", "score.bias"})
    assert "integers made at" in finding.message
    assert "indices" in finding.help
    assert "lambda" in finding.source


def test_indices_beside_values_that_train_cut_nothing() -> None:
    score, table = nn.Linear(4, 3), nn.Embedding(3, 2)

    def route() -> None:
        weights, chosen = score(torch.ones(5, 4)).topk(2)
        (table(chosen) * weights.unsqueeze(-1)).sum().backward()

    assert gradviz.check(route) == ()


def test_a_parameter_only_a_number_of_which_is_used_was_used() -> None:
    model, temperature = nn.Linear(4, 1), nn.Parameter(torch.tensor(2.0))
    optimizer = torch.optim.SGD([*model.parameters(), temperature], 0.1)

    def train() -> None:
        sharpness = 1 / temperature.item()  # the number
        model(sharpness * torch.ones(3, 4)).sum().backward()
        optimizer.step()

    finding = only_finding(train)
    assert finding.names == ("temperature",)
    assert finding.source.endswith("# the number")
    assert "no operation used it" not in finding.message


def test_a_parameter_that_only_went_into_a_buffer_was_used() -> None:
    class Memory(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.write, self.read = nn.Linear(4, 4), nn.Linear(4, 1)
            self.register_buffer("slots", torch.zeros(3, 4))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            with torch.no_grad():
                self.slots[0] = self.write(x).mean(0)  # the only use
            out: torch.Tensor = self.read(self.slots)
            return out

    memory = Memory()
    optimizer = torch.optim.SGD(memory.parameters(), 0.1)

    def train() -> None:
        memory(torch.ones(5, 4)).sum().backward()
        optimizer.step()

    finding = only_finding(train)
    assert (finding.code, set(finding.names)) == ("GV401", {"memory.write.weight", "memory.write.bias"})
    assert finding.source.endswith("# the only use")
    assert "with grad off" in finding.message
    assert "memory.slots" in finding.message
    assert "no_grad" in finding.help


def test_explain_says_that_indices_cut_the_road() -> None:
    score, table = nn.Linear(4, 3), nn.Embedding(3, 2)
    with gradviz.record():
        chosen = score(torch.ones(5, 4)).topk(2).indices
        table(chosen).sum().backward()
        told = str(gradviz.explain(score.weight))
    assert "cut by `topk()` at" in told.replace("\n", " ")
    assert "integers carry no gradient" in told
    assert "requires_grad" not in told


class Scale(torch.autograd.Function):
    """`x * scale`, with a backward that forgets `scale`."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(x, scale)
        return x * scale

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor, None]:
        _, scale = ctx.saved_tensors
        return grads[0] * scale, None  # forgotten


class Scaled(nn.Module):
    """A layer whose output is scaled."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(4, 4)
        self.scale = nn.Parameter(torch.ones(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = Scale.apply(self.inner(x), self.scale)
        return out


def test_a_custom_function_that_forgets_an_input_starves_it_in_every_layer() -> None:
    model = nn.Sequential(Scaled(), Scaled())

    def train() -> None:
        model(torch.ones(3, 4)).sum().backward()

    finding = only_finding(train)
    assert (finding.code, set(finding.names)) == ("GV110", {"model.0.scale", "model.1.scale"})
    assert finding.source.endswith("# forgotten")
    assert "grad off" not in finding.message
    assert "return a gradient" in finding.help


class Gains(nn.Module):
    """Keeps parameters in a plain list."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(4, 4)
        self.gains = [nn.Parameter(torch.ones(4)) for _ in range(3)]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for gain in self.gains:
            x = self.inner(x) * gain
        return x


def test_parameters_in_a_list_belong_in_a_parameter_list() -> None:
    model = Gains()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)

    def train() -> None:
        model(torch.ones(3, 4)).sum().backward()
        optimizer.step()

    finding = only_finding(train)
    assert finding.code == "GV403"
    assert "nn.ParameterList" in finding.help
    assert "ModuleList" not in finding.help


def computed(z: torch.Tensor) -> tuple[Any, torch.Tensor]:
    size = float(np.square(z.detach().cpu().numpy()).mean())
    return size, z.pow(2).mean() + 0.1 * size


def computed_at_once(z: torch.Tensor) -> tuple[Any, torch.Tensor]:
    return 0, z.pow(2).mean() + 0.1 * float(np.square(z.detach().numpy()).mean())


def computed_and_made_a_tensor(z: torch.Tensor) -> tuple[Any, torch.Tensor]:
    size = np.mean(z.detach().numpy() ** 2)
    return size, z.pow(2).mean() + 0.1 * torch.tensor(size)


def divided_by(z: torch.Tensor) -> tuple[Any, torch.Tensor]:
    size = float(np.abs(z.detach().numpy()).mean())
    return size, z.pow(2).mean() / size


def decided(z: torch.Tensor) -> tuple[Any, torch.Tensor]:
    size = 2.0 if z.detach().numpy().mean() > 0 else 3.0
    return size, z.pow(2).mean() + size


def handed_to_a_function(z: torch.Tensor) -> tuple[Any, torch.Tensor]:
    size = torch.div(z.pow(2).mean(), float(z.detach().numpy().std()))
    return size, size + 1.0


def only_told(z: torch.Tensor) -> tuple[Any, torch.Tensor]:
    size = float(np.abs(z.detach().numpy()).mean())
    weight = 2.0
    return size, z.pow(2).mean() + weight


@pytest.mark.parametrize(
    ("loss_of", "codes"),
    [
        (computed, ["GV104"]), (computed_at_once, ["GV104"]), (computed_and_made_a_tensor, ["GV104"]),
        (divided_by, []), (decided, []), (handed_to_a_function, []), (only_told, []),
    ],
)  # fmt: skip
def test_a_term_that_numpy_computed_is_a_constant(loss_of: Callable[[torch.Tensor], Any], codes: list[str]) -> None:
    net = nn.Linear(3, 2)
    optimizer = torch.optim.SGD(net.parameters(), 0.1)

    def train() -> None:
        for _ in range(2):
            loss = loss_of(net(torch.ones(5, 3)))[1]
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    findings = gradviz.check(train)
    assert [finding.code for finding in findings] == codes
    assert all("numpy()" in finding.source and set(finding.names) == {"net.weight", "net.bias"} for finding in findings)


class Tempered(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(4, 4)
        self.scale = torch.ones((), requires_grad=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.inner(x) * self.scale
        return out


def test_a_plain_tensor_of_a_model_that_only_a_function_knows_belongs_in_a_parameter() -> None:
    def train() -> None:
        net = Tempered()
        optimizer = torch.optim.SGD(net.parameters(), 0.1)
        for _ in range(2):
            optimizer.zero_grad()
            net(torch.ones(3, 4)).pow(2).mean().backward()
            optimizer.step()

    finding = only_finding(train)
    assert (finding.code, finding.names) == ("GV403", ("net.scale",))
    assert "nn.Parameter" in finding.help
    assert "self.scale = " in finding.source


def test_a_sample_is_drawn_anew_with_rsample() -> None:
    mean = nn.Linear(4, 2)

    def train() -> None:
        code = torch.distributions.Normal(mean(torch.ones(3, 4)), 1.0).sample((5,))
        (code * torch.ones(2, requires_grad=True)).sum().backward()

    finding = gradviz.check(train)[0]
    assert (finding.code, set(finding.names)) == ("GV201", {"mean.weight", "mean.bias"})
    assert "rsample" in finding.help


def test_a_parameter_made_of_another_tensor_is_a_leaf() -> None:
    maker = nn.Linear(2, 12)
    target = nn.Linear(4, 3)

    def train() -> None:
        target.weight = nn.Parameter(maker(torch.ones(2)).view(3, 4))
        target(torch.ones(5, 4)).sum().backward()

    finding = gradviz.check(train)[0]
    assert (finding.code, set(finding.names)) == ("GV105", {"maker.weight", "maker.bias"})
    assert "stack" not in finding.help
    assert "functional" in finding.help


@pytest.mark.filterwarnings("ignore:The .grad attribute:UserWarning")
def test_a_leaf_that_is_updated_by_assignment_is_to_be_updated_in_place() -> None:
    def train() -> None:
        w = torch.ones(3, requires_grad=True)
        for _ in range(2):
            (w * w).sum().backward()
            if w.grad is not None:
                w = w - 0.1 * w.grad

    (finding,) = gradviz.check(train, select=["GV407"])
    assert "w -= ..." in finding.help
    assert "no_grad" in finding.help


def test_what_was_sampled_from_is_drawn_down_to_its_parameters() -> None:
    mean = nn.Linear(4, 2)
    scale = torch.ones(2, requires_grad=True)
    with gradviz.record() as recording:
        for _ in range(2):
            code = torch.distributions.Normal(mean(torch.ones(3, 4)), 1.0).sample()
            (code * scale).sum().backward()
    drawn = default_selection(recording.graph())
    assert {"mean.weight", "mean.bias"} <= {value.name for value in drawn.values.values()}


class Two(nn.Module):
    """Two heads."""

    def __init__(self) -> None:
        super().__init__()
        self.main, self.aux = nn.Linear(4, 2), nn.Linear(4, 2)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.main(x), self.aux(x)


def test_a_forgotten_term_is_marked_where_it_was_trained_and_not_in_the_evaluation() -> None:
    before, model = nn.Linear(4, 4), Two()
    optimizer = torch.optim.SGD([*before.parameters(), *model.parameters()], 0.1)
    with gradviz.record() as recording:
        for _ in range(2):
            out, _ = model(before(torch.ones(3, 4)))
            out.sum().backward()
            optimizer.step()
            with torch.no_grad():
                model(before(torch.ones(3, 4)))
    graph = recording.graph()
    findings = diagnose(graph)
    (finding,) = findings
    assert finding.code == "GV406"
    part = default_selection(graph, missing_culprits(graph, default_selection(graph), findings))
    boxes = [box for box in compose(part, Options(), findings).boxes if box.findings]
    assert boxes
    assert all(box.op is not None and part.ops[box.op].tracked for box in boxes)


def test_a_forgotten_term_brings_no_update_of_the_step_before_into_the_picture() -> None:
    before, model = nn.Linear(4, 4), Two()
    optimizer = torch.optim.SGD([*before.parameters(), *model.parameters()], 0.1)
    with gradviz.record() as recording:
        for _ in range(3):
            out, _ = model(before(torch.ones(3, 4)))
            out.sum().backward()
            optimizer.step()
    graph = recording.graph()
    default = default_selection(graph)
    part = default_selection(graph, missing_culprits(graph, default, diagnose(graph)))
    added = [graph.ops[id] for id in sorted(part.ops.keys() - default.ops.keys())]
    assert [op.name for op in added if not op.is_source] == ["linear"]
    assert "grad" not in {op.name for op in added}


def test_a_loss_that_no_parameter_moves_is_told_of_though_nothing_says_where() -> None:
    model = nn.Sequential(nn.Linear(4, 8), nn.Sigmoid(), nn.Linear(8, 1))
    optimizer = torch.optim.SGD(model.parameters(), 0.1)

    def train() -> None:
        for _ in range(2):
            optimizer.zero_grad()
            loss = (model(torch.ones(3, 4)) + 50).clamp(0, 1).mean()  # the loss
            loss.backward()
            optimizer.step()

    finding = only_finding(train)
    assert (finding.code, finding.severity) == ("GV601", "warning")
    assert "every gradient" in finding.message
    assert finding.source.endswith("# the loss")
    assert "--values" in finding.help
    assert len(finding.names) == 4


def test_what_moves_no_parameter_is_named_where_the_numbers_show_it() -> None:
    model = nn.Sequential(nn.Linear(4, 8), nn.Sigmoid(), nn.Linear(8, 1))
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    with gradviz.record(values=True) as rec:
        for _ in range(2):
            optimizer.zero_grad()
            loss = (model(torch.ones(3, 4)) + 50).clamp(0, 1).mean()
            loss.backward()
            optimizer.step()
    (finding,) = diagnose(rec.graph())
    assert finding.code == "GV601"
    assert "`clamp`" in finding.message
    assert "clips everything to 1" in finding.message


def test_a_loss_that_is_met_once_is_no_mistake() -> None:
    model = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)

    def train() -> None:
        optimizer.zero_grad()
        (model(torch.ones(3, 4)) - 50).clamp(min=0).mean().backward()
        optimizer.step()

    assert gradviz.check(train) == ()


@pytest.mark.parametrize("steps", [1, 2])
def test_one_number_whose_slope_is_zero_is_an_honest_answer(steps: int) -> None:
    w = torch.zeros(3, requires_grad=True)

    def square() -> None:
        for _ in range(steps):
            w.square().sum().backward()

    assert gradviz.check(square) == ()


def test_what_sample_expands_is_no_leaf_of_the_picture() -> None:
    """`sample()` makes views of the mean and the deviation with grad off, which say that they require grad."""
    encoder, decoder = nn.Linear(4, 2), nn.Linear(2, 4)
    deviation = nn.Parameter(torch.ones(2))

    def train() -> None:
        z = torch.distributions.Normal(encoder(torch.ones(5, 4)), deviation.exp()).sample()
        decoder(z).sum().backward()

    findings = gradviz.check(train)
    picture = compose(findings.graph, Options(), findings)
    leaves = [box.title for box in picture.boxes if box.kind is BoxKind.LEAF]
    assert sorted(leaves) == ["decoder.bias", "decoder.weight", "deviation", "encoder.bias", "encoder.weight"]
    assert "5 leaves that require grad" in picture.summary
    assert "gradient reaches 2 of 5 leaves ·" in picture.summary
    titles = {box.id: box.title for box in picture.boxes}
    assert sorted(titles[wire.head] for wire in picture.wires if wire.lost) == ["expand", "expand"]
    starved = [box.title for box in picture.boxes if "gets no gradient" in box.detail]
    assert sorted(starved) == ["deviation", "encoder.bias", "encoder.weight"]


def test_the_summary_says_which_leaves_it_counts_where_it_draws_others() -> None:
    encoder, head, probe = nn.Linear(4, 6), nn.Linear(6, 1), nn.Linear(6, 1)

    def train() -> None:
        hidden = encoder(torch.ones(5, 4))
        with torch.no_grad():
            probe(hidden)
        loss = head(hidden.detach()).sum()
        loss.backward()

    findings = gradviz.check(train)
    summary = compose(findings.graph, Options(), findings).summary
    assert "6 leaves that require grad" in summary
    assert "gradient reaches 2 of 4 leaves that led to loss" in summary


def steps_of(model: nn.Module, lines: Callable[[torch.Tensor], object], count: int = 4) -> Callable[[], None]:
    """`count` steps of a training, each with what `lines` does with the input."""

    def train() -> None:
        optimizer = torch.optim.SGD(model.parameters(), 0.1)
        for _ in range(count):
            optimizer.zero_grad()
            lines(torch.ones(3, 4))
            optimizer.step()

    return train


def test_losses_kept_in_an_attribute_are_counted_to_the_last_and_called_by_their_name() -> None:
    class Trainer:
        def __init__(self) -> None:
            self.model = nn.Linear(4, 1)
            self.losses: list[torch.Tensor] = []

        def step(self, x: torch.Tensor) -> None:
            loss = self.model(x).pow(2).mean()
            loss.backward()
            self.losses.append(loss)

    trainer = Trainer()
    finding = only_finding(steps_of(trainer.model, trainer.step))
    assert finding.code == "GV503"
    assert "holds 4 tensors" in finding.message
    assert "in 4 steps" in finding.message
    assert finding.help == "keep `loss.detach()` in its place"  # a loss that backward needs must have its graph


def test_two_backward_calls_are_one_step_of_what_is_kept() -> None:
    model = nn.Linear(4, 1)
    kept: list[tuple[torch.Tensor, torch.Tensor]] = []

    def step(x: torch.Tensor) -> None:
        out = model(x)
        fit = out.pow(2).mean()
        size = out.abs().mean()
        fit.backward(retain_graph=True)
        size.backward()
        kept.append((fit, size))

    finding = only_finding(steps_of(model, step))
    assert finding.code == "GV503"
    assert "in 4 steps" in finding.message
    assert len(re.findall(r":\d+", finding.message.partition(" and put there")[0])) == 2, "both lines that made them"


def test_a_layer_made_in_forward_is_made_anew() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Linear(4, 8)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            out: torch.Tensor = nn.Linear(8, 1)(self.first(x).relu())
            return out

    model = Net()
    finding = only_finding(steps_of(model, lambda x: model(x).sum().backward()))
    assert finding.code == "GV402"
    assert "nn.Linear(8, 1)" in finding.source
    assert "(4 times)" in finding.message
    assert finding.help == "make them once, in `__init__`"


def test_layers_that_are_added_are_not_made_anew() -> None:
    model = nn.Sequential(nn.Linear(4, 4))

    def step(x: torch.Tensor) -> None:
        model.append(nn.Linear(4, 4))
        model(x).sum().backward()

    findings = gradviz.check(steps_of(model, step))
    assert findings
    assert not any("anew" in finding.message for finding in findings)


def test_new_contents_of_a_parameter_leave_it_with_its_optimizer() -> None:
    model = nn.Linear(4, 1)

    def train() -> None:
        optimizer = torch.optim.Adam(model.parameters(), 0.1)
        model.weight.data = torch.zeros(1, 4)
        before = model.weight.detach().clone()
        for _ in range(3):
            optimizer.zero_grad()
            model(torch.ones(3, 4)).sum().backward()
            optimizer.step()
        assert not torch.equal(before, model.weight), "it is trained"

    assert gradviz.check(train) == ()


def test_log_probabilities_taken_as_numbers_are_blamed_and_not_the_draw() -> None:
    policy = nn.Linear(4, 2)

    def train() -> None:
        optimizer = torch.optim.Adam(policy.parameters(), 0.1)
        kept, rewards = [], []
        for _ in range(3):
            chance = torch.distributions.Categorical(logits=policy(torch.ones(4)))
            action = chance.sample()
            kept.append(chance.log_prob(action).item())  # the numbers
            rewards.append(float(action == 1))
        loss = -(torch.tensor(kept, requires_grad=True) * torch.tensor(rewards)).sum()
        loss.backward()
        optimizer.step()

    finding = only_finding(train)
    assert finding.code == "GV103"
    assert finding.source.endswith("# the numbers")
    assert set(finding.names) == {"policy.weight", "policy.bias"}


@pytest.mark.parametrize(
    ("draw", "help"),
    [
        (lambda h: torch.normal(h, 1.0), "randn_like"),
        (lambda h: torch.bernoulli(h.sigmoid()), "log_prob"),
        (lambda h: torch.poisson(h.exp()), "log_prob"),
    ],
)
def test_a_draw_passes_zeros_back(draw: Callable[[torch.Tensor], torch.Tensor], help: str) -> None:
    encoder, decoder = nn.Linear(4, 4), nn.Linear(4, 1)

    def train() -> None:
        optimizer = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], 0.1)
        decoder(draw(encoder(torch.ones(8, 4)))).sum().backward()
        assert encoder.weight.grad is not None
        assert not encoder.weight.grad.any(), "PyTorch's own answer"
        optimizer.step()

    finding = only_finding(train)
    assert (finding.code, finding.severity) == ("GV601", "warning")
    assert "draws numbers" in finding.message
    assert help in finding.help


@pytest.mark.parametrize("stepping", [True, False])
def test_an_optimizer_that_is_cleared_and_never_steps(stepping: bool) -> None:
    encoder, head = nn.Linear(4, 4), nn.Linear(4, 1)

    def train() -> None:
        first = torch.optim.Adam(encoder.parameters(), 0.1)
        second = torch.optim.Adam(head.parameters(), 0.1)
        for _ in range(3):
            first.zero_grad()
            second.zero_grad()
            head(encoder(torch.ones(8, 4))).sum().backward()
            second.step()
            if stepping:
                first.step()

    findings = gradviz.check(train)
    assert [(finding.code, set(finding.names)) for finding in findings] == (
        [] if stepping else [("GV404", {"encoder.weight", "encoder.bias"})]
    )
    assert all("first = torch.optim.Adam" in finding.source for finding in findings)


def test_an_optimizer_that_steps_less_often_is_no_mistake() -> None:
    """A generator that is trained once for five steps of the critic, of which the recording has two."""
    generator, critic = nn.Linear(4, 4), nn.Linear(4, 1)

    def train() -> None:
        torch.optim.Adam(generator.parameters(), 0.1)
        second = torch.optim.Adam(critic.parameters(), 0.1)
        for _ in range(2):
            second.zero_grad()
            critic(generator(torch.ones(8, 4))).sum().backward()
            second.step()

    assert not [finding for finding in gradviz.check(train) if finding.severity != "note"]


def test_indices_that_only_choose_are_told_as_that() -> None:
    gate, experts = nn.Linear(4, 3), nn.ModuleList(nn.Linear(4, 1) for _ in range(3))

    def train() -> None:
        optimizer = torch.optim.Adam([*gate.parameters(), *experts.parameters()], 0.1)
        x = torch.ones(4)
        chosen = gate(x).topk(2).indices.tolist()
        sum(experts[at](x) for at in chosen).sum().backward()
        optimizer.step()

    found = [finding for finding in gradviz.check(train) if "gate.weight" in finding.names]
    assert [finding.code for finding in found] == ["GV406"]
    assert "only the indices were used" in found[0].message
    assert "topk" in found[0].source


def test_what_was_unfrozen_and_given_to_no_optimizer() -> None:
    body, head = nn.Linear(4, 4), nn.Linear(4, 1)

    def train(given: bool) -> gradviz.Findings:
        def program() -> None:
            body.requires_grad_(False)
            optimizer = torch.optim.SGD(head.parameters(), 0.1)
            for step in range(2):
                if step:
                    body.requires_grad_(True)  # unfrozen
                    if given:
                        optimizer.add_param_group({"params": body.parameters()})
                optimizer.zero_grad()
                head(body(torch.ones(3, 4))).sum().backward()
                optimizer.step()

        return gradviz.check(program)

    assert train(given=True).warnings == ()
    (finding,) = train(given=False).warnings
    assert finding.code == "GV404"
    assert finding.source.endswith("# unfrozen")
    assert "add_param_group" in finding.help


def test_an_optimizer_of_another_model_is_not_told_as_older() -> None:
    model = nn.Linear(4, 1)

    def train() -> None:
        optimizer = torch.optim.SGD(nn.Linear(4, 1).parameters(), 0.1)
        for _ in range(2):
            optimizer.zero_grad()
            model(torch.ones(3, 4)).sum().backward()
            optimizer.step()

    finding = only_finding(train)
    assert finding.code == "GV402"
    assert "after" not in finding.message
    assert "torch.optim.SGD" in finding.source
    assert "of the model that is trained" in finding.help


def test_two_lines_that_detach_are_no_only_road() -> None:
    policy, value = nn.Linear(4, 1), nn.Linear(4, 1)

    def train() -> None:
        optimizer = torch.optim.SGD([*policy.parameters(), *value.parameters()], 0.1)
        guess = value(torch.ones(3, 4))
        advantage = (1 - guess).detach()
        loss = (policy(torch.ones(3, 4)) * advantage).mean() + (guess.detach() - 1).pow(2).mean()
        loss.backward()
        optimizer.step()

    found = [finding for finding in gradviz.check(train) if finding.severity == "error"]
    assert [finding.code for finding in found] == ["GV101"]
    assert "only road" not in found[0].message
    assert len(re.findall(r":\d+|line \d+", found[0].message)) == 2


def test_of_two_losses_the_one_that_the_optimizer_steps_for_is_blamed() -> None:
    generator, critic = nn.Linear(2, 4), nn.Linear(4, 1)
    steps = torch.optim.SGD(generator.parameters(), 0.1), torch.optim.SGD(critic.parameters(), 0.1)

    def train() -> None:
        for _ in range(2):
            fake = generator(torch.ones(3, 2))
            steps[1].zero_grad()
            critic(fake.detach()).mean().backward()  # as it should be
            steps[1].step()
            steps[0].zero_grad()
            (-critic(fake.detach()).mean()).backward()  # the mistake
            steps[0].step()

    finding = only_finding(train)
    assert finding.code == "GV101"
    assert finding.names == ("generator.weight", "generator.bias")
    assert finding.source.endswith("# the mistake")
    assert "only road" in finding.message


def test_of_two_losses_that_one_step_is_for_both_are_told() -> None:
    encoder, head = nn.Linear(2, 4), nn.Linear(4, 1)
    one, other = torch.optim.SGD(encoder.parameters(), 0.1), torch.optim.SGD(head.parameters(), 0.1)

    def train() -> None:
        h = encoder(torch.ones(3, 2))
        head(h.detach()).mean().backward()
        (head(h.detach()) ** 2).mean().backward()
        one.step()
        other.step()

    finding = only_finding(train)
    assert finding.names == ("encoder.weight", "encoder.bias")
    assert "every road from them to the loss is cut" in finding.message


def test_a_loss_that_is_added_by_its_data_is_told_to_be_added_itself():
    model = torch.nn.Linear(2, 1)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    with gradviz.record() as recording:
        total = torch.zeros(1, requires_grad=True)
        for _ in range(2):
            loss = model(torch.ones(3, 2)).pow(2).mean()
            total.data += loss.data
        total.sum().backward()
        optimizer.step()
    (finding,) = [finding for finding in diagnose(recording.graph()) if finding.severity.value == "error"]
    assert "in place of `loss.data`" in finding.help


def test_a_loss_that_is_only_printed_by_its_data_is_not():
    model = torch.nn.Linear(2, 1)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    with gradviz.record() as recording:
        w = torch.ones(1, requires_grad=True)
        loss = model(torch.ones(3, 2)).pow(2).mean()
        print(loss.data)
        (w * 2).sum().backward()
        optimizer.step()
    findings = diagnose(recording.graph())
    assert "GV406" in [finding.code for finding in findings]
    assert not any(".data" in finding.help for finding in findings)


def test_what_is_frozen_says_which_line_did_it():
    with gradviz.record() as recording:
        w = torch.ones(3, requires_grad=True)
        w.requires_grad_(False)
        with pytest.raises(RuntimeError, match="does not require grad"):
            (w * 2).sum().backward()
    (finding,) = [finding for finding in diagnose(recording.graph()) if finding.code == "GV108"]
    assert re.search(r"it is frozen at (line \d+|\S+:\d+)$", finding.message)


class Stored(nn.Module):
    """Fills a list before it is stored; only `registered` tells PyTorch of it."""

    def __init__(self, *, registered: bool, at_once: bool = False) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for _ in range(0 if at_once else 3):
            layers.append(nn.Linear(2, 2))
        if at_once:
            layers = [nn.Linear(2, 2) for _ in range(3)]
        self.head = nn.Linear(2, 1)
        if registered:
            self.layers = nn.ModuleList(layers)
        else:
            self.layers = layers  # type: ignore[assignment]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in self.layers:
            x = layer(x).relu()
        return self.head(x)


@pytest.mark.parametrize("at_once", [False, True])
@pytest.mark.parametrize("registered", [False, True])
def test_a_list_of_layers_is_blamed_where_it_is_stored(registered: bool, at_once: bool) -> None:
    with gradviz.record() as recording:
        net = Stored(registered=registered, at_once=at_once)
        optimizer = torch.optim.SGD(net.parameters(), 0.1)
        for _ in range(2):
            optimizer.zero_grad()
            net(torch.ones(3, 2)).sum().backward()
            optimizer.step()
    found = [finding for finding in diagnose(recording.graph()) if finding.code == "GV403"]
    assert len(found) == (not registered)
    for finding in found:
        assert finding.source.strip().startswith("self.layers = layers")
        assert finding.help == "keep modules in an `nn.ModuleList`, which registers them"
        made = linecache.getline(__file__, finding.related[0].line).strip()
        assert made == ("layers = [nn.Linear(2, 2) for _ in range(3)]" if at_once else "layers.append(nn.Linear(2, 2))")
