"""Mistakes as they stand in programs of many domains: which line is blamed, and that the program next to it is not."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from test_forum_questions import found, only
from test_training_mistakes import loud
from torch import nn
from torch.func import functional_call
from torch.nn import functional as F

# a leaf that a conversion left behind


class Field(nn.Module):
    """A decoder of learned codes, which `make` makes."""

    def __init__(self, make: Callable[[], torch.Tensor]) -> None:
        super().__init__()
        self.codes = make()
        self.decode = nn.Linear(3, 1)

    def forward(self, at: torch.Tensor) -> torch.Tensor:
        return self.decode(self.codes[at])


def fitted(make: Callable[[], torch.Tensor]) -> tuple[Field, Callable[[], object]]:
    made: list[Field] = []

    def train() -> None:
        field = Field(make)
        made[:] = [field]
        optimizer = torch.optim.Adam(field.parameters(), 0.1)
        for _ in range(3):
            at = torch.randint(0, 5, (4,))
            loss = (field(at) - 1).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    return made, train  # type: ignore[return-value]


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda: nn.Parameter(torch.randn(5, 3).double()).to(torch.float32), id="to"),
        pytest.param(lambda: torch.randn(3, 5, requires_grad=True).t(), id="view"),
        pytest.param(lambda: nn.Parameter(torch.randn(3, 5)).t().contiguous(), id="two ops"),
    ],
)
def test_an_attribute_that_is_no_leaf_is_never_trained(make: Callable[[], torch.Tensor]) -> None:
    made, train = fitted(make)
    finding = only(train)
    assert (finding.code, finding.severity) == ("GV403", "warning")
    assert "codes" in finding.message
    assert "not a leaf" in finding.message
    assert "nn.Parameter(...)" in finding.help
    assert not made[0].codes.is_leaf  # type: ignore[attr-defined]


def test_an_attribute_whose_graph_is_freed_may_be_meant_to_be_trained() -> None:
    finding = only(fitted(lambda: torch.randn(5, 3, requires_grad=True) * 0.1)[1])
    assert finding.code == "GV501"
    assert "nn.Parameter(...)" in finding.help
    assert not loud(fitted(lambda: nn.Parameter(torch.randn(5, 3, requires_grad=True) * 0.1))[1])


def test_the_converted_parameter_is_trained() -> None:
    made, train = fitted(lambda: nn.Parameter(nn.Parameter(torch.randn(5, 3).double()).to(torch.float32)))
    assert not loud(train)
    assert made[0].codes.grad is not None  # type: ignore[attr-defined]


def test_what_is_computed_anew_in_each_step_is_no_attribute_left_behind() -> None:
    class Scaled(Field):
        def forward(self, at: torch.Tensor) -> torch.Tensor:
            self.used = self.codes * 0.1
            return self.decode(self.used[at])

    def train() -> None:
        field = Scaled(lambda: nn.Parameter(torch.randn(5, 3)))
        optimizer = torch.optim.Adam(field.parameters(), 0.1)
        for _ in range(3):
            optimizer.zero_grad()
            field(torch.randint(0, 5, (4,))).square().mean().backward()
            optimizer.step()

    assert not found(train)


# a derivative without a graph, beside a variable that requires grad


def residual(create_graph: bool, boundary: bool) -> Callable[[], object]:
    net = nn.Sequential(nn.Linear(1, 8), nn.Tanh(), nn.Linear(8, 1))
    optimizer = torch.optim.SGD(net.parameters(), 0.1)

    def train() -> None:
        for _ in range(3):
            x = torch.rand(8, 1).requires_grad_()
            slope = torch.autograd.grad(net(x).sum(), x, create_graph=create_graph)[0]  # slope
            loss = (slope + torch.sin(x)).pow(2).mean()
            if boundary:
                loss = loss + net(torch.ones(1, 1)).pow(2).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    return train


def test_a_derivative_without_a_graph_trains_nothing_though_the_loss_requires_grad() -> None:
    finding = only(residual(create_graph=False, boundary=False))
    assert (finding.code, finding.severity) == ("GV408", "error")
    assert finding.source.endswith("# slope")
    assert len(finding.names) == 4
    assert "create_graph=True" in finding.help


def test_a_term_of_such_derivatives_is_told_where_other_terms_train() -> None:
    finding = only(residual(create_graph=False, boundary=True))
    assert (finding.code, finding.severity) == ("GV408", "warning")
    assert finding.source.endswith("# slope")


@pytest.mark.parametrize("boundary", [False, True])
def test_a_derivative_with_a_graph_is_right(boundary: bool) -> None:
    assert not loud(residual(create_graph=True, boundary=boundary))


def test_an_attack_by_gradients_is_no_term_without_a_graph() -> None:
    net = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 2))
    optimizer = torch.optim.SGD(net.parameters(), 0.1)

    def train() -> None:
        for _ in range(3):
            x, y = torch.randn(8, 4), torch.randint(0, 2, (8,))
            delta = torch.zeros_like(x, requires_grad=True)
            for _ in range(2):
                loss = F.cross_entropy(net(x + delta), y) - 0.1 * delta.square().mean()
                slope = torch.autograd.grad(loss, delta)[0]
                delta = (delta + 0.1 * slope.sign()).detach().requires_grad_()
            optimizer.zero_grad()
            (F.cross_entropy(net(x + delta), y) + 0.1 * delta.square().mean()).backward()
            optimizer.step()

    assert "GV408" not in {finding.code for finding in found(train)}


# a dropout that drops everything


def dropping(p: float) -> Callable[[], object]:
    first, second = nn.Linear(6, 16), nn.Linear(16, 2)
    optimizer = torch.optim.SGD([*first.parameters(), *second.parameters()], 0.1)

    def train() -> None:
        for _ in range(4):
            h = torch.relu(first(torch.randn(8, 6)))
            h = F.dropout(h, p=p)  # dropped
            loss = F.cross_entropy(second(h), torch.randint(0, 2, (8,)))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    return train


def test_a_dropout_that_drops_everything_is_named_and_not_the_relu_before_it() -> None:
    finding = only(dropping(1.0))
    assert finding.code == "GV601"
    assert finding.source.endswith("# dropped")
    assert "`dropout`" in finding.message
    assert "`relu`" not in finding.message
    assert "share" in finding.help
    assert len(finding.names) == 3


def test_a_dropout_that_drops_a_part_is_none() -> None:
    assert not found(dropping(0.5))


# an expert that nothing is sent to


def routed(to: int) -> Callable[[], object]:
    experts, head = nn.ModuleList(nn.Linear(4, 4) for _ in range(2)), nn.Linear(4, 1)
    optimizer = torch.optim.SGD([*experts.parameters(), *head.parameters()], 0.1)

    def train() -> None:
        for step in range(4):
            x, out = torch.randn(6, 4), torch.zeros(6, 4)
            choice = torch.full((6,), to * (step % 2))
            for index, expert in enumerate(experts):
                out[choice == index] = expert(x[choice == index])  # sent
            loss = head(out).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    return train


def test_a_layer_that_is_given_no_rows_is_told_so() -> None:
    finding = only(routed(to=0))
    assert finding.code == "GV601"
    assert finding.source.endswith("# sent")
    assert "no rows" in finding.message
    assert len(finding.names) == 2


def test_a_layer_that_is_given_rows_now_and_then_is_right() -> None:
    assert not loud(routed(to=1))


# gradients that are scaled back and clipped on one line


def scaled(right: bool) -> Callable[[], object]:
    net = nn.Linear(6, 2)
    optimizer = torch.optim.SGD(net.parameters(), 0.1)
    scaler = torch.amp.GradScaler("cpu")

    def train() -> None:
        for _ in range(3):
            optimizer.zero_grad()
            scaler.scale(net(torch.randn(4, 6)).square().mean()).backward()
            if right:
                scaler.unscale_(optimizer); nn.utils.clip_grad_norm_(net.parameters(), 1.0)  # noqa: E702
            else:
                nn.utils.clip_grad_norm_(net.parameters(), 1.0); scaler.unscale_(optimizer)  # noqa: E702
            scaler.step(optimizer)
            scaler.update()

    return train


def test_scaled_back_and_clipped_on_one_line_is_right() -> None:
    assert not found(scaled(right=True))


def test_clipped_and_scaled_back_on_one_line_is_told() -> None:
    assert only(scaled(right=False)).code == "GV412"


# a term whose number alone is in the loss


def test_the_line_that_took_the_number_is_told_beside_the_term_that_was_left_out() -> None:
    trunk, left, right = nn.Linear(4, 8), nn.Linear(8, 1), nn.Linear(8, 1)
    optimizer = torch.optim.SGD([*trunk.parameters(), *left.parameters(), *right.parameters()], 0.1)

    def train() -> None:
        for _ in range(3):
            out = trunk(torch.randn(8, 4))
            parts = {"a": left(out).square().mean(), "b": right(out).abs().mean()}
            logs = {key: part.item() for key, part in parts.items()}  # numbers
            total = parts["a"] + 0.5 * logs["b"]
            optimizer.zero_grad()
            total.backward()
            optimizer.step()

    finding = only(train)
    assert finding.code == "GV406"
    assert (marked("numbers"), "only its number was taken here") in {(told.line, told.text) for told in finding.related}
    assert "not its number" in finding.help


# a moving average of weights


def test_item_is_not_the_advice_for_what_is_no_number() -> None:
    net = nn.Linear(4, 8)
    optimizer = torch.optim.SGD(net.parameters(), 0.1)

    def train() -> None:
        shadow = net.weight
        for _ in range(4):
            optimizer.zero_grad()
            net(torch.randn(2, 4)).square().mean().backward()
            optimizer.step()
            shadow = 0.9 * shadow + 0.1 * net.weight

    (finding,) = (finding for finding in found(train) if finding.code == "GV503")
    assert "item()" not in finding.help
    assert "`net.weight.detach()`" in finding.help


# require_grad after use, behind a view


def test_what_requires_grad_too_late_is_told_behind_a_view_too() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 3))

    def attack() -> None:
        x, y = torch.rand(4, 4, 4), torch.randint(0, 3, (4,))
        loss = F.cross_entropy(model(x), y)
        x.requires_grad_(True)  # late
        model.zero_grad()
        loss.backward()
        assert x.grad is None

    finding = only(attack)
    assert finding.code == "GV413"
    assert finding.source.endswith("# late")


def test_what_requires_grad_before_its_use_is_right_behind_a_view_too() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 3))

    def attack() -> None:
        x, y = torch.rand(4, 4, 4), torch.randint(0, 3, (4,))
        x.requires_grad_(True)
        F.cross_entropy(model(x), y).backward()
        assert x.grad is not None

    assert not found(attack)


# backward of several numbers


def test_backward_of_several_numbers_names_the_call_and_where_they_are_made() -> None:
    net = nn.Linear(3, 2)

    def train() -> None:
        loss = F.cross_entropy(net(torch.randn(4, 3)), torch.tensor([0, 1, 0, 1]), reduction="none")
        loss.backward()

    finding = only(train)
    assert (finding.code, finding.severity, finding.names) == ("GV417", "error", ("loss",))
    assert finding.source.strip() == "loss.backward()"
    assert "4 elements" in finding.message
    assert "`loss.mean()`" in finding.help
    assert [told.line for told in finding.related] == [finding.line - 1]


def test_weights_for_several_numbers_are_right() -> None:
    net = nn.Linear(3, 2)

    def train() -> None:
        out = net(torch.randn(4, 3))
        out.backward(torch.ones_like(out))

    assert not found(train)


# a step with scaled gradients that are clipped


def test_a_step_with_scaled_gradients_is_told_though_they_are_clipped() -> None:
    net = nn.Linear(6, 2)
    optimizer, scaler = torch.optim.SGD(net.parameters(), 0.1), torch.amp.GradScaler("cpu")

    def train() -> None:
        for _ in range(3):
            optimizer.zero_grad()
            scaler.scale(net(torch.randn(4, 6)).square().mean()).backward()
            nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimizer.step()  # scaled

    finding = only(train)
    assert finding.code == "GV416"
    assert finding.source.endswith("# scaled")


# inner steps that wrap their weights anew


def adapted(wrap: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[], object]:
    net, rate = nn.Sequential(nn.Linear(1, 8), nn.Tanh(), nn.Linear(8, 1)), nn.Parameter(torch.tensor(0.1))
    optimizer = torch.optim.SGD([*net.parameters(), rate], 0.1)

    def loss_of(weights: dict[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
        return functional_call(net, weights, (x,)).square().mean()

    def train() -> None:
        for _ in range(3):
            total = torch.zeros(())
            for _ in range(2):
                weights: dict[str, torch.Tensor] = dict(net.named_parameters())
                slopes = torch.autograd.grad(loss_of(weights, torch.randn(4, 1)), list(weights.values()))
                weights = {key: wrap(w - rate * g) for (key, w), g in zip(weights.items(), slopes, strict=True)}
                total = total + loss_of(weights, torch.randn(4, 1))
            optimizer.zero_grad()
            total.backward()
            optimizer.step()

    return train


def test_weights_that_are_wrapped_anew_are_told_once_and_with_one_way_out() -> None:
    finding = only(adapted(nn.Parameter))
    assert finding.code == "GV105"
    assert len(finding.names) == 5


def test_inner_steps_on_the_tensors_themselves_are_right() -> None:
    assert not loud(adapted(lambda weight: weight))


# the mean of a list that keeps graphs


class Meter:
    """What training scripts keep their losses in."""

    def __init__(self) -> None:
        self.values: list[torch.Tensor] = []

    def update(self, value: torch.Tensor) -> None:
        self.values.append(value)  # kept

    @property
    def mean(self) -> torch.Tensor:
        return sum(self.values, torch.zeros(())) / len(self.values)


def metered(take: Callable[[torch.Tensor], torch.Tensor], steps: int = 8) -> Callable[[], object]:
    net = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(net.parameters(), 0.1)

    def train() -> None:
        meter = Meter()
        for _ in range(2):
            for _ in range(steps // 2):
                loss = net(torch.randn(2, 4)).square().mean()
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                meter.update(take(loss))
            assert meter.mean > 0

    return train


def test_the_mean_of_a_list_that_keeps_graphs_is_no_second_finding() -> None:
    finding = only(metered(lambda loss: loss))
    assert finding.code == "GV503"
    assert finding.source.endswith("# kept")


def test_the_sum_of_a_list_tells_of_it_where_the_program_was_too_short_to_see_the_list() -> None:
    finding = only(metered(lambda loss: loss.log10().square(), steps=4))
    assert finding.code == "GV503"
    assert finding.message.startswith("a sum keeps the graphs of")


def test_a_list_of_detached_losses_is_right() -> None:
    assert not found(metered(lambda loss: loss.detach()))


# an actor whose decorator is right for one caller and wrong for another


class Agent(nn.Module):
    """An actor and its critic, as they are written for a replay buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.actor, self.critic = nn.Linear(4, 2), nn.Linear(6, 1)

    @torch.no_grad()
    def act(self, seen: torch.Tensor) -> torch.Tensor:
        return self.actor(seen).tanh()

    def loss(self, seen: torch.Tensor) -> torch.Tensor:
        return -self.critic(torch.cat([seen, self.act(seen)], -1)).mean()  # in the loss


def acting(rollout: bool) -> Callable[[], object]:
    agent, played = Agent(), list[torch.Tensor]()
    optimizer = torch.optim.SGD(agent.parameters(), 0.1)

    def train() -> None:
        for _ in range(2):
            seen = torch.randn(8, 4)
            if rollout:
                played.append(agent.act(seen))  # in the rollout
            loss = agent.loss(seen)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    return train


CALLED = "called here on the road to the loss"


def marked(mark: str) -> int:
    """The line of this file that ends with a comment."""
    lines = Path(__file__).read_text().splitlines()
    return next(number for number, text in enumerate(lines, 1) if text.endswith(f"  # {mark}"))


def test_a_decorator_that_another_caller_needs_is_not_to_be_removed() -> None:
    finding = only(acting(rollout=True))
    assert finding.code == "GV201"
    assert (marked("in the loss"), CALLED) in {(told.line, told.text) for told in finding.related}
    assert not finding.help.startswith("remove the decorator")
    assert f":{marked('in the loss')} " in finding.help
    assert f":{marked('in the rollout')}," in finding.help


def test_a_decorator_that_nobody_else_needs_is_to_be_removed() -> None:
    finding = only(acting(rollout=False))
    assert finding.help.startswith("remove the decorator")
    assert (marked("in the loss"), CALLED) in {(told.line, told.text) for told in finding.related}


# what a module keeps for later


class Attending(nn.Module):
    """A layer that keeps its weights to plot them."""

    def __init__(self, keep: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.keep, self.score = keep, nn.Linear(4, 4)
        self.history: list[torch.Tensor] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        weights = self.score(x).softmax(-1)
        self.history.append(self.keep(weights))  # plotted
        return x * weights


def attending(keep: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[], object]:
    def train() -> None:
        model = nn.Sequential(Attending(keep), nn.Linear(4, 1))
        optimizer = torch.optim.SGD(model.parameters(), 0.1)
        for _ in range(9):
            optimizer.zero_grad()
            model(torch.randn(2, 4)).square().mean().backward()
            optimizer.step()

    return train


def test_a_list_that_a_layer_keeps_is_looked_into() -> None:
    finding = only(attending(lambda weights: weights))
    assert (finding.code, finding.names) == ("GV503", ("model.0.history",))
    assert finding.source.endswith("# plotted")


def test_what_a_layer_keeps_without_a_graph_is_right() -> None:
    assert not found(attending(lambda weights: weights.detach()))


# a policy whose log-probabilities are numbers


def reinforced(as_numbers: bool) -> Callable[[], object]:
    policy, value = nn.Linear(4, 3), nn.Linear(4, 1)
    optimizer = torch.optim.SGD([*policy.parameters(), *value.parameters()], 0.1)

    def episode() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        chances, worths, rewards = [], [], []
        for _ in range(5):
            seen = torch.randn(4)
            probabilities = policy(seen).softmax(-1)
            action = torch.distributions.Categorical(probabilities).sample()
            if as_numbers:
                chances.append(torch.log(probabilities[action]).item())  # a number
            else:
                chances.append(torch.log(probabilities[action]))
            worths.append(value(seen).squeeze())
            rewards.append(float(action == 0))
        return torch.tensor(chances) if as_numbers else torch.stack(chances), torch.stack(worths), torch.tensor(rewards)

    def train() -> None:
        for _ in range(3):
            chances, worths, returns = episode()
            advantage = returns - worths
            loss = -(chances * advantage.detach()).mean() + advantage.square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    return train


def test_a_number_of_a_log_probability_is_blamed_and_not_the_draw_beside_it() -> None:
    finding = only(reinforced(as_numbers=True))
    assert finding.code == "GV103"
    assert finding.source.endswith("# a number")
    assert len(finding.values) == 2


def test_a_policy_gradient_is_right() -> None:
    assert not loud(reinforced(as_numbers=False))


# a gradient to start from that does not fit


def test_a_gradient_of_another_shape_names_the_result_that_it_was_for() -> None:
    net = nn.Linear(3, 2)

    def train() -> None:
        out = net(torch.randn(4, 3)).mean(0)
        out.backward(torch.ones(4))

    finding = only(train)
    assert (finding.code, finding.severity, finding.names) == ("GV418", "error", ("out",))
    assert "the shape (2,)" in finding.message
    assert "has (4,)" in finding.message
    assert [told.line for told in finding.related] == [finding.line - 1]


# the gradient of an input


def saliency(net: nn.Module, x: torch.Tensor) -> torch.Tensor | None:
    net(x).max(1).values.sum().backward()
    return x.grad


def test_the_gradient_of_an_input_that_was_never_asked_for() -> None:
    net = nn.Linear(3, 2)

    def look() -> None:
        image = torch.randn(4, 3)
        assert saliency(net, image) is None

    finding = only(look)
    assert (finding.code, finding.severity, finding.names) == ("GV419", "warning", ("image",))
    assert finding.source.strip() == "return x.grad"
    assert "image.requires_grad_()" in finding.help


def test_the_gradient_of_an_input_that_was_asked_for() -> None:
    net = nn.Linear(3, 2)

    def look() -> None:
        assert saliency(net, torch.randn(4, 3, requires_grad=True)) is not None

    assert not found(look)


def test_a_gradient_that_a_library_looks_for_is_no_mistake() -> None:
    net = nn.Linear(3, 2)

    def look() -> None:
        x = torch.randn(4, 3)
        net(x).sum().backward()
        assert copy.deepcopy(x).grad is None  # a copy has no backward behind it
        assert [p for p in net.parameters() if p.grad is not None]

    assert not found(look)


# a part that is trained of what is frozen


def test_all_frozen_but_one_part_is_no_mistake() -> None:
    net = nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 2))

    def train() -> None:
        for parameter in net.parameters():
            parameter.requires_grad = False
        for parameter in net[2].parameters():
            parameter.requires_grad = True
        optimizer = torch.optim.SGD(net[2].parameters(), 0.1)
        for _ in range(2):
            optimizer.zero_grad()
            net(torch.randn(4, 3)).square().mean().backward()
            optimizer.step()

    assert not found(train)


# what numpy is handed


@pytest.mark.parametrize("call", ["scores.numpy()", "np.asarray(scores)", "sum(scores.cpu().numpy())"])
def test_numpy_is_handed_what_requires_grad(call: str) -> None:
    net = nn.Linear(3, 2)

    def look() -> None:
        scores = net(torch.randn(4, 3)).softmax(-1)
        eval(call, {"np": np}, {"scores": scores})

    finding = only(look)
    assert (finding.code, finding.severity) == ("GV420", "error")


def test_what_numpy_is_handed_is_named_with_what_makes_it_require_grad() -> None:
    net = nn.Linear(3, 2)

    def look() -> None:
        scores = net(torch.randn(4, 3)).softmax(-1)
        print(scores.numpy().argmax(1))

    finding = only(look)
    assert (finding.code, finding.names) == ("GV420", ("scores",))
    assert "2 tensors" in finding.message or "net.weight" in finding.message
    assert finding.help == "hand over `scores.detach()`"
    assert [told.line for told in finding.related] == [finding.line - 1]


# a second derivative of what has no graph


def second_of_a_sum() -> None:
    x = torch.randn(3, requires_grad=True)
    (g,) = torch.autograd.grad((x**3).sum(), x)
    torch.autograd.grad(g.sum(), x)


def second_after_backward() -> None:
    x = torch.randn(3, requires_grad=True)
    (x**3).sum().backward()
    torch.autograd.grad(x.grad.sum(), x)  # type: ignore[union-attr]


def second_in_an_equation() -> None:
    net = nn.Sequential(nn.Linear(1, 8), nn.Tanh(), nn.Linear(8, 1))
    t = torch.rand(16, 1, requires_grad=True)
    u = net(t)
    du = torch.autograd.grad(u, t, torch.ones_like(u))[0]
    ddu = torch.autograd.grad(du, t, torch.ones_like(du))[0]
    (ddu + u).square().mean().backward()


@pytest.mark.parametrize("program", [second_of_a_sum, second_after_backward, second_in_an_equation])
def test_a_second_derivative_names_the_line_of_the_first(program: Callable[[], None]) -> None:
    finding = only(program)
    assert (finding.code, finding.severity) == ("GV408", "error")
    assert "without `create_graph=True`" in finding.message
    assert ".grad(" in finding.source or "backward()" in finding.source
    (second,) = finding.related
    assert second.line > finding.line


def test_a_second_derivative_of_what_has_a_graph() -> None:
    def program() -> None:
        x = torch.randn(3, requires_grad=True)
        (g,) = torch.autograd.grad((x**3).sum(), x, create_graph=True)
        torch.autograd.grad(g.sum(), x)

    assert not found(program)


# an optimizer of what is no leaf


def scaled_leaf() -> None:
    b, w = torch.zeros(2, requires_grad=True), torch.randn(4, 2, requires_grad=True) * 0.1
    torch.optim.SGD([w, b], 0.1)


def converted_parameter() -> None:
    field = Field(lambda: nn.Parameter(torch.randn(5, 3).double()).to(torch.float32))
    torch.optim.Adam([field.codes, *field.parameters()], 0.1)


@pytest.mark.parametrize(("program", "maker", "help"), [
    (scaled_leaf, "`mul`", "requires_grad_()"), (converted_parameter, "`to`", "nn.Parameter(...)"),
])  # fmt: skip
def test_an_optimizer_of_a_result_names_what_made_it(program: Callable[[], None], maker: str, help: str) -> None:
    finding = only(program)
    assert (finding.code, finding.severity) == ("GV421", "error")
    assert maker in finding.message
    assert help in finding.help
    assert "torch.optim" not in finding.source
    assert [told.text for told in finding.related] == ["the optimizer is made here"]
