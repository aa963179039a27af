"""Questions that people ask in forums: which line is blamed, what is said, and which way out is shown."""

from __future__ import annotations

import copy
import inspect
import re
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import gradviz
from gradviz.diagnose import Finding, Findings, diagnose
from gradviz.picture.composing import compose
from gradviz.recorder import Recorder
from gradviz.views import Options


def found(program: Callable[[], object]) -> Findings:
    """What is found in a program, which may raise what PyTorch raises."""
    recorder = Recorder()
    recorder.start()
    try:
        program()
    except (RuntimeError, ValueError) as raised:
        recorder.stop(raised, namespace=inspect.getclosurevars(program).nonlocals)
    else:
        recorder.stop(namespace=inspect.getclosurevars(program).nonlocals)
    return diagnose(recorder.graph())


def only(program: Callable[[], object]) -> Finding:
    """The one finding that there is to be."""
    (finding,) = found(program)
    return finding


# backward a second time


def test_what_is_made_once_before_the_loop_is_to_be_made_anew() -> None:
    factors = torch.randn(6, 3, requires_grad=True)

    def train() -> None:
        optimizer = torch.optim.SGD([factors], 0.1)
        unit = factors / factors.norm(dim=1, keepdim=True)  # once
        for _ in range(3):
            optimizer.zero_grad()
            (unit @ unit.T).pow(2).mean().backward()
            optimizer.step()

    finding = only(train)
    assert finding.code == "GV501"
    assert finding.source.endswith("# once")
    assert "made once" in finding.message
    assert "step before" not in finding.message
    assert "anew in each step" in finding.help  # detached, nothing would be trained any more


@pytest.mark.parametrize("trained", [True, False])
def test_what_is_made_once_of_what_is_trained_elsewhere_is_to_be_detached(trained: bool) -> None:
    """The log-probabilities of the policy that acted, the target of a style transfer."""
    net = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 4))
    image = torch.randn(3, 4, requires_grad=True)

    def train() -> None:
        optimizer = torch.optim.SGD([image, *net.parameters()] if trained else [image], 0.1)
        target = net(torch.ones(3, 4))  # once
        for _ in range(2):
            optimizer.zero_grad()
            (net(image) - target).pow(2).mean().backward()
            optimizer.step()

    finding = found(train)[0]
    assert (finding.code, finding.source[-6:]) == ("GV501", "# once")
    assert "made once" in finding.message
    assert "detach()" in finding.help
    assert "end of the step" not in finding.help


def test_a_total_that_backward_starts_from_adds_up_all_losses() -> None:
    net = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 1))

    def train() -> None:
        total = 0
        for _ in range(3):
            total += net(torch.ones(3, 4)).pow(2).mean()
            total.backward()

    finding = only(train)
    assert finding.code == "GV501"
    assert "adds up the losses" in finding.message
    assert "this step alone" in finding.help


def test_what_a_queue_takes_is_to_be_detached_where_it_is_put_in() -> None:
    net = nn.Sequential(nn.Linear(4, 4), nn.Tanh())

    def train() -> None:
        queue = torch.randn(8, 4)
        for _ in range(3):
            key = net(torch.ones(2, 4))
            (key @ queue.T).pow(2).mean().backward()
            queue = torch.cat([queue[2:], key])  # put in

    finding = only(train)
    assert finding.code == "GV501"
    assert "goes into `queue`" in finding.message
    assert "`key.detach()`" in finding.help
    assert int(re.findall(r"\d+", finding.help)[-1]) == finding.line + 2, "the line that puts it in"


def test_a_state_of_a_module_in_a_list_is_detached_by_what_it_is_called_in_the_source() -> None:
    class Centred(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.mean = torch.zeros(4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.mean = 0.9 * self.mean + 0.1 * x.mean(0)
            return x - self.mean

    net = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), Centred())

    def train() -> None:
        for _ in range(2):
            net(torch.ones(3, 4)).pow(2).mean().backward()

    finding = only(train)
    assert finding.code == "GV501"
    assert "`self.mean = self.mean.detach()`" in finding.help


# numbers in place of tensors


def stepping(optimizer: torch.optim.Optimizer, loss: Callable[[], torch.Tensor], count: int = 3) -> None:
    """`count` steps of a training."""
    for _ in range(count):
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()


def test_an_assignment_to_data_takes_numbers_only() -> None:
    class Normed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(3, 2)
            self.gain = nn.Parameter(torch.ones(2, 1))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.linear.weight.data = self.gain * torch.ones(2, 3)  # numbers
            out: torch.Tensor = self.linear(x)
            return out

    net = Normed()
    finding = only(lambda: stepping(torch.optim.SGD(net.parameters(), 0.1), lambda: net(torch.ones(4, 3)).sum()))
    assert (finding.code, finding.names) == ("GV406", ("net.gain",))
    assert finding.source.endswith("# numbers")
    assert "only numbers" in finding.message
    assert "functional_call" in finding.help
    assert "to the loss" not in finding.help


def test_an_assignment_to_the_data_of_no_leaf_is_to_be_an_assignment() -> None:
    w, rate = nn.Parameter(torch.ones(3)), nn.Parameter(torch.tensor(0.1))

    def loss() -> torch.Tensor:
        fast = w.clone()
        fast.data = fast.data - rate * w  # numbers
        return fast.pow(2).sum()

    finding = only(lambda: stepping(torch.optim.SGD([w, rate], 0.1), loss))
    assert (finding.code, finding.names) == ("GV406", ("rate",))
    assert "`fast = ...`" in finding.help


@pytest.mark.parametrize("by", ["load_state_dict", "vector_to_parameters"])
def test_weights_that_are_generated_and_loaded_have_no_history(by: str) -> None:
    maker, main = nn.Linear(2, 4), nn.Linear(3, 1)

    def loss() -> torch.Tensor:
        made = maker(torch.ones(2))
        if by == "load_state_dict":
            main.load_state_dict({"weight": made[:3].view(1, 3), "bias": made[3:]})
        else:
            nn.utils.vector_to_parameters(made, main.parameters())
        out: torch.Tensor = main(torch.ones(4, 3)).sum()
        return out

    findings = found(lambda: stepping(torch.optim.SGD(maker.parameters(), 0.1), loss))
    (finding,) = findings.errors
    assert (finding.code, set(finding.names)) == ("GV406", {"maker.weight", "maker.bias"})
    assert f"`{by}` at" in finding.message
    assert "functional_call" in finding.help
    assert not any(finding.code == "GV504" for finding in findings)


def test_a_loss_that_is_wrapped_again_is_blamed_where_its_numbers_are_taken() -> None:
    net = nn.Linear(4, 1)

    def loss() -> torch.Tensor:
        value = net(torch.ones(3, 4)).pow(2).mean()
        again: torch.Tensor = torch.autograd.Variable(value.data, requires_grad=True)  # wrapped
        return again

    finding = only(lambda: stepping(torch.optim.SGD(net.parameters(), 0.1), loss))
    assert finding.source.endswith("# wrapped")
    assert "`.data` took only its numbers" in finding.message
    assert "backward on `value` itself" in finding.help


def test_numbers_that_fill_a_matrix_are_python_numbers() -> None:
    net = nn.Linear(4, 3)

    def loss() -> torch.Tensor:
        rows = net(torch.ones(2, 4))
        matrix = torch.zeros(2, 2, requires_grad=True).clone()
        for i in range(2):
            for j in range(2):
                matrix[i, j] = torch.dot(rows[i], rows[j]).item()  # a number
        return matrix.pow(2).sum()

    finding = only(lambda: stepping(torch.optim.SGD(net.parameters(), 0.1), loss))
    assert (finding.code, set(finding.names)) == ("GV103", {"net.weight", "net.bias"})
    assert finding.source.endswith("# a number")


@pytest.mark.parametrize("by", ["tolist", "numpy"])
def test_the_number_of_an_evaluation_is_not_taken_for_one_that_came_back(by: str) -> None:
    net, head = nn.Linear(3, 4), nn.Linear(4, 1)

    def forward() -> torch.Tensor:
        value: torch.Tensor = head(torch.tensor(net(torch.ones(5, 3)).tolist(), requires_grad=True))  # tolist
        return value

    def loss() -> torch.Tensor:
        if by == "tolist":
            return forward().pow(2).mean()
        out = net(torch.ones(5, 3)).detach().numpy()  # numpy
        return torch.tensor(-np.log(np.abs(out)).mean(), requires_grad=True)

    @torch.no_grad()
    def evaluate() -> float:
        return (forward() if by == "tolist" else net(torch.ones(5, 3))).mean().item()

    def train() -> None:
        optimizer = torch.optim.SGD([*net.parameters(), *head.parameters()], 0.1)
        for _ in range(2):
            optimizer.zero_grad()
            loss().backward()
            optimizer.step()
            print(evaluate())

    findings = [finding for finding in found(train) if finding.severity == "error"]
    assert [finding.code for finding in findings] == ["GV103" if by == "tolist" else "GV104"]
    assert findings[0].source.endswith(f"# {by}")
    assert "net.weight" in findings[0].names


@pytest.mark.parametrize("used", [True, False])
def test_a_loss_of_nothing_does_not_come_of_the_numbers_of_an_evaluation(used: bool) -> None:
    net = nn.Linear(3, 4)

    @torch.no_grad()  # opened
    def evaluate() -> float:
        return net(torch.ones(5, 3)).mean().item()

    def train() -> None:
        optimizer = torch.optim.SGD(net.parameters(), 0.1)
        for _ in range(2):
            optimizer.zero_grad()
            torch.tensor(evaluate() if used else 0.5, requires_grad=True).backward()
            optimizer.step()
            print(evaluate())

    findings = [finding for finding in found(train) if finding.code == "GV201"]
    assert [finding.source[-8:] for finding in findings] == (["# opened"] if used else [])


# who is to blame


def test_a_loss_that_is_not_made_from_the_model_says_so() -> None:
    net, x, y = nn.Linear(4, 4), torch.ones(3, 4), torch.zeros(3, 4)

    def train() -> None:
        out = net(x)  # noqa: F841
        (x - y).pow(2).mean().backward()

    finding = only(train)
    assert finding.code == "GV108"
    assert "`out` (" in finding.message
    assert "is not in it" in finding.message
    assert finding.help == "compute the loss from `out`"


def test_a_leaf_that_is_renewed_under_no_grad_is_to_be_written_in_place() -> None:
    def train() -> None:
        w = torch.ones(3, requires_grad=True)
        for _ in range(2):
            (w * w).sum().backward()
            with torch.no_grad():
                w = w - 0.1 * w.grad  # type: ignore[operator]

    finding = only(train)
    assert finding.code == "GV201"
    assert "`w -= ...`" in finding.help
    assert "take this out" not in finding.help


def test_log_probabilities_that_are_detached_are_blamed_and_not_the_draw() -> None:
    policy, value = nn.Linear(4, 2), nn.Linear(4, 1)

    def loss() -> torch.Tensor:
        chance = torch.distributions.Categorical(logits=policy(torch.ones(3, 4)))
        action = chance.sample()
        kept = chance.log_prob(action).detach()  # detached
        return -(kept * action).mean() + value(torch.ones(3, 4)).pow(2).mean()

    finding = only(lambda: stepping(torch.optim.SGD([*policy.parameters(), *value.parameters()], 0.1), loss))
    assert finding.code == "GV101"
    assert finding.source.endswith("# detached")
    assert "both roads from them to the loss are cut by `detach()`" in finding.message  # logits, and their sum
    assert "multinomial" not in finding.message


def test_a_draw_that_is_the_only_road_is_blamed() -> None:
    policy, value = nn.Linear(4, 2), nn.Linear(1, 1)

    def loss() -> torch.Tensor:
        action = torch.distributions.Categorical(logits=policy(torch.ones(3, 4))).sample()  # drawn
        out: torch.Tensor = value(action.float().unsqueeze(1) + 1).mean()
        return out

    finding = only(lambda: stepping(torch.optim.SGD([*policy.parameters(), *value.parameters()], 0.1), loss))
    assert finding.source.endswith("# drawn")


class Product(torch.autograd.Function):
    """A product with a weight from around it."""

    weight = nn.Parameter(torch.ones(4, 2))

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(x)
        return x @ Product.weight

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> torch.Tensor:
        return grads[0] @ Product.weight.t()


def test_a_parameter_that_is_no_argument_of_a_function_was_used() -> None:
    net, weight = nn.Linear(3, 4), Product.weight

    def loss() -> torch.Tensor:
        out: torch.Tensor = Product.apply(net(torch.ones(2, 3))).sum()
        return out

    finding = only(lambda: stepping(torch.optim.SGD([weight, *net.parameters()], 0.1), loss))
    assert finding.code == "GV401"
    assert "no operation used it" not in finding.message
    assert "`Product.apply`" in finding.help


def test_the_original_of_a_model_whose_copies_are_trained_is_told_of_them() -> None:
    meta = nn.Linear(3, 1)

    def train() -> None:
        outer = torch.optim.SGD(meta.parameters(), 0.1)
        for _ in range(2):
            total = torch.tensor(0.0)
            for _ in range(2):
                learner = copy.deepcopy(meta)
                inner = torch.optim.SGD(learner.parameters(), 0.1)
                learner(torch.ones(4, 3)).sum().backward()
                inner.step()
                total = total + learner(torch.ones(2, 3)).sum()
            outer.zero_grad()
            total.backward()
            outer.step()

    finding = only(train)  # and no note that a line did not run which did
    assert (finding.code, set(finding.names)) == ("GV401", {"meta.weight", "meta.bias"})
    assert "copied at" in finding.message


def test_a_line_that_ran_with_other_parameters_is_not_said_not_to_have_run() -> None:
    heads = nn.ModuleList(nn.Linear(4, 1) for _ in range(2))

    def train() -> None:
        optimizer = torch.optim.SGD(heads.parameters(), 0.1)
        for step in range(4):
            optimizer.zero_grad()
            heads[step % 2](torch.ones(3, 4)).sum().backward()
            optimizer.step()

    notes = found(train)
    assert notes
    assert all("did not use" in note.message and "did not run" not in note.message for note in notes)


# steps without gradients, and gradients of what has no part


@pytest.mark.parametrize("closure", [False, True])
def test_a_backward_that_is_not_called(closure: bool) -> None:
    net = nn.Linear(4, 1)

    def train() -> None:
        optimizer = torch.optim.LBFGS(net.parameters()) if closure else torch.optim.Adam(net.parameters())

        def loss() -> torch.Tensor:
            optimizer.zero_grad()
            value: torch.Tensor = net(torch.ones(3, 4)).pow(2).mean()  # the loss
            return value

        for _ in range(2):
            if closure:
                optimizer.step(loss)  # type: ignore[arg-type]
            else:
                value = loss()
                value.backward  # noqa: B018
                optimizer.step()

    finding = only(train)
    assert (finding.code, set(finding.names)) == ("GV411", {"net.weight", "net.bias"})
    assert finding.source.endswith("# the loss")
    assert "`value.backward()`" in finding.help


@pytest.mark.parametrize("early", [True, False])
def test_gradients_are_clipped_behind_the_backward(early: bool) -> None:
    clip = nn.utils.clip_grad_norm_
    net = nn.Linear(4, 1)

    def train() -> None:
        optimizer = torch.optim.SGD(net.parameters(), 0.1)
        for _ in range(3):
            optimizer.zero_grad()
            loss = net(torch.ones(3, 4)).pow(2).mean()
            if early:
                clip(net.parameters(), 1.0)  # too early
            loss.backward()
            if not early:
                clip(net.parameters(), 1.0)
            optimizer.step()

    findings = found(train)
    assert [finding.code for finding in findings] == (["GV412"] if early else [])
    assert all(finding.source.endswith("# too early") for finding in findings)


def test_a_slice_that_is_taken_behind_the_model_is_no_input_of_it() -> None:
    net, points = nn.Linear(2, 1), torch.rand(5, 2, requires_grad=True)

    def train() -> None:
        u = net(points).tanh()
        x = points[:, 0:1]  # behind the model
        torch.autograd.grad(u.sum(), x, create_graph=True)

    finding = only(train)
    assert (finding.code, finding.names) == ("GV413", ("x",))
    assert finding.source.endswith("# behind the model")
    assert "computed from `x`" in finding.message


def test_the_second_derivative_of_something_linear() -> None:
    net, x = nn.Linear(1, 1), torch.rand(5, 1, requires_grad=True)

    def train() -> None:
        slope = torch.autograd.grad(net(x).sum(), x, create_graph=True)[0]
        torch.autograd.grad(slope.sum(), x, create_graph=True)

    finding = only(train)
    assert finding.code == "GV413"
    assert "linear" in finding.message
    assert "allow_unused=True" in finding.help


def test_a_tensor_that_requires_grad_too_late() -> None:
    net, x = nn.Linear(3, 1), torch.ones(2, 3)

    def train() -> None:
        out = net(x)
        x.requires_grad_(True)  # too late
        out.sum().backward()

    finding = only(train)
    assert (finding.code, finding.names) == ("GV413", ("x",))
    assert finding.source.endswith("# too late")


# gradients that are there and do not count


@pytest.mark.parametrize("detached", [True, False])
def test_a_straight_through_estimate_without_its_detach_takes_away_what_it_adds(detached: bool) -> None:
    encoder, decoder = nn.Linear(4, 3), nn.Linear(3, 4)

    def loss() -> torch.Tensor:
        z = encoder(torch.ones(2, 4)) + 3
        step = torch.round(z) - z
        q = z + (step.detach() if detached else step)  # estimate
        out: torch.Tensor = decoder(q).pow(2).mean()
        return out

    optimizer = torch.optim.SGD([*encoder.parameters(), *decoder.parameters()], 0.1)
    findings = found(lambda: stepping(optimizer, loss))
    if detached:
        assert findings == ()
        return
    (finding,) = findings
    assert (finding.code, finding.severity) == ("GV601", "warning")
    assert set(finding.names) == {"encoder.weight", "encoder.bias"}
    assert finding.source.endswith("# estimate")
    assert "detach" in finding.help


def test_a_term_of_which_the_student_is_detached_trains_the_teacher() -> None:
    teacher, student = nn.Linear(4, 3), nn.Linear(4, 3)

    def loss() -> torch.Tensor:
        x = torch.ones(2, 4)
        own = student(x)
        return own.pow(2).mean() + (own.detach() - teacher(x)).pow(2).mean()  # detached

    findings = found(lambda: stepping(torch.optim.SGD(student.parameters(), 0.1), loss))
    (finding,) = findings.warnings
    assert (finding.code, set(finding.names)) == ("GV111", {"student.weight", "student.bias"})
    assert finding.source.endswith("# detached")
    assert finding.help == "remove the `detach()`"


def test_a_buffer_that_requires_grad_is_to_be_a_parameter() -> None:
    class Placed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(4, 2)
            self.register_buffer("place", torch.ones(4, requires_grad=True))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            out: torch.Tensor = self.linear(x + self.place)
            return out

    net = Placed()
    finding = only(lambda: stepping(torch.optim.SGD(net.parameters(), 0.1), lambda: net(torch.ones(3, 4)).sum()))
    assert (finding.code, finding.severity, finding.names) == ("GV404", "warning", ("net.place",))
    assert "nn.Parameter" in finding.help


def test_a_tensor_that_was_not_given_to_the_optimizer() -> None:
    net, weights = nn.Linear(4, 2), torch.zeros(2, requires_grad=True)

    def train() -> None:
        optimizer = torch.optim.SGD(net.parameters(), 0.1)
        stepping(optimizer, lambda: (net(torch.ones(3, 4)).pow(2).mean(0) * torch.exp(-weights) + weights).sum())

    finding = only(train)
    assert (finding.code, finding.severity, finding.names) == ("GV404", "note", ("weights",))


def test_points_whose_derivative_is_taken_need_no_optimizer() -> None:
    net, points = nn.Sequential(nn.Linear(1, 4), nn.Tanh(), nn.Linear(4, 1)), torch.rand(5, 1, requires_grad=True)

    def loss() -> torch.Tensor:
        u = net(points)
        slope: torch.Tensor = torch.autograd.grad(u.sum(), points, create_graph=True)[0]
        return (slope + u).pow(2).mean()

    assert found(lambda: stepping(torch.optim.SGD(net.parameters(), 0.1), loss)) == ()


def accumulating(cleared: Callable[[int], bool], stepped: Callable[[int], bool]) -> Findings:
    """What is found in eight backward calls, with `zero_grad` before some and `step` behind some."""
    net = nn.Linear(4, 1)

    def train() -> None:
        optimizer = torch.optim.SGD(net.parameters(), 0.1)
        for at in range(8):
            if cleared(at):
                optimizer.zero_grad()  # cleared
            net(torch.ones(3, 4)).pow(2).mean().backward()
            if stepped(at):
                optimizer.step()

    return found(train)


def test_gradients_that_are_to_add_up_are_not_to_be_cleared() -> None:
    (finding,) = accumulating(lambda at: True, lambda at: at % 4 == 3)
    assert (finding.code, finding.severity) == ("GV409", "warning")
    assert "one gradient of 4" in finding.message
    assert finding.source.endswith("# cleared")


@pytest.mark.parametrize("stepped", [lambda at: at > 2, lambda at: at == 7, lambda at: True])
def test_steps_that_are_left_out_at_first_are_no_gradients_that_add_up(stepped: Callable[[int], bool]) -> None:
    """As in mixed precision, until the scale is found."""
    assert accumulating(lambda at: True, stepped) == ()


def test_gradients_that_add_up_are_no_mistake() -> None:
    assert accumulating(lambda at: at % 4 == 0, lambda at: at % 4 == 3) == ()


def test_a_step_before_its_backward_is_to_come_behind_it() -> None:
    net = nn.Linear(4, 1)

    def train() -> None:
        optimizer = torch.optim.SGD(net.parameters(), 0.1)
        for _ in range(3):
            optimizer.zero_grad()
            loss = net(torch.ones(3, 4)).pow(2).mean()
            optimizer.step()
            loss.backward()

    finding = only(train)
    assert (finding.code, finding.help) == ("GV409", "call `step` after `backward`")


@pytest.mark.filterwarnings("ignore:std:UserWarning")
def test_the_spread_of_one_number_is_nan() -> None:
    net = nn.Linear(4, 3)

    def train() -> None:
        for batch in torch.ones(5, 4).split(4):
            out = net(batch)
            (out / (out.std(0) + 1e-5)).sum().backward()

    finding = only(train)
    assert finding.code == "GV602"
    assert "one number at a time" in finding.message
    assert "drop_last=True" in finding.help


@pytest.mark.parametrize("by", ["a number", "a tensor", "a root and a logarithm"])
def test_a_division_is_not_blamed_for_the_nan_of_a_root(by: str) -> None:
    w, v, t = (torch.ones(3, requires_grad=True) for _ in range(3))

    def train() -> None:
        z = w * torch.arange(3.0)
        out = z / 2.0 * v if by == "a number" else z / t * v
        penalty = (z - z).pow(2).sum().sqrt()  # a root
        total = out.sum() + penalty
        if by == "a root and a logarithm":
            total = total * t.sum() * v.sum() + (out + 1).log().sum()
        total.backward()

    finding = only(train)
    assert finding.code == "GV602"
    assert finding.source.endswith("# a root")
    assert "`div`" not in finding.message


def test_of_several_operations_that_may_give_nan_none_is_said_to() -> None:
    w = torch.tensor([0.0, 1.0], requires_grad=True)

    def train() -> None:
        root = w.sqrt()
        (root * (w + 1).log() / (w.sum() + 1) * 0).sum().backward()

    finding = only(train)
    assert finding.code == "GV602"
    assert "may have" in finding.message
    assert "`gradviz check --values`" in finding.help


def test_a_nan_of_no_known_operation_is_looked_for_by_values() -> None:
    w = torch.tensor([1.0, -1.0], requires_grad=True)
    finding = only(lambda: (w * float("inf") / 2).sum().mul(0).backward())
    assert finding.code == "GV602"
    assert "derivative" not in finding.message
    assert "`gradviz check --values`" in finding.help


def test_a_histogram_is_counted_softly() -> None:
    net = nn.Linear(4, 1)

    def train() -> None:
        torch.histc(net(torch.ones(8, 4)), bins=4, min=-1, max=1).pow(2).mean().backward()

    finding = only(train)
    assert finding.code == "GV107"
    assert "comparison" not in finding.help
    assert "histc" in finding.help


def test_a_mode_that_a_condition_switches_off() -> None:
    net = nn.Linear(4, 1)

    def train() -> None:
        phase = "training"
        with torch.set_grad_enabled(phase == "train"):
            loss = net(torch.ones(3, 4)).mean()
        loss.backward()

    finding = only(train)
    assert finding.code == "GV202"
    assert "condition" in finding.help
    assert "no_grad" not in finding.help


@pytest.mark.parametrize("named", [True, False])
def test_what_is_no_leaf_is_no_leaf_by_requires_grad_either(named: bool) -> None:
    """What the help names brings a gradient; `requires_grad_()` after the operation does not."""
    a = torch.ones(2, requires_grad=True)

    def train() -> None:
        c = a * 3 if named else torch.ones(2, requires_grad=True) * 3
        c.requires_grad_()
        c.sum().backward()
        with warnings.catch_warnings(action="ignore"):
            assert c.grad is None

    finding = only(train)
    assert finding.code == "GV407"
    assert "`c.retain_grad()` before backward" in finding.help
    assert ("`c.detach().requires_grad_()`" in finding.help) == named
    assert ("`requires_grad=True`" in finding.help) != named


@pytest.mark.parametrize("optimizing", [True, False])
def test_without_an_optimizer_nothing_is_to_be_taken_out_of_one(optimizing: bool) -> None:
    first, second = nn.Linear(3, 4), nn.Linear(4, 1)

    def train() -> None:
        optimizer = torch.optim.SGD([*first.parameters(), *second.parameters()], 0.1) if optimizing else None
        second(first(torch.ones(2, 3)).detach()).sum().backward()
        if optimizer is not None:
            optimizer.step()

    finding = only(train)
    assert finding.code == "GV101"
    assert ("optimizer" in finding.help) == optimizing
    assert ("freeze" in finding.help) != optimizing


@pytest.mark.parametrize("by", ["nobody", "a clip", "hand", "the optimizer"])
def test_an_optimizer_that_clears_and_never_steps(by: str) -> None:
    net = nn.Linear(3, 2)

    def train() -> None:
        optimizer = torch.optim.SGD(net.parameters(), 0.1)  # made
        for _ in range(4):
            optimizer.zero_grad()
            net(torch.ones(5, 3)).pow(2).mean().backward()
            if by == "the optimizer":
                optimizer.step()
            elif by == "a clip":
                torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            elif by == "hand":
                with torch.no_grad():
                    for p in net.parameters():
                        p -= 0.1 * p.grad

    findings = found(train)
    told = [("GV404", "warning")] if by in ("nobody", "a clip") else []
    assert [(finding.code, finding.severity) for finding in findings] == told
    for finding in findings:
        assert finding.source.endswith("# made")
        assert "`step` is never called" in finding.message
        assert set(finding.names) == {"net.weight", "net.bias"}
        assert "after `backward`" in finding.help


def test_what_the_optimizer_was_not_given_is_to_be_given_to_it_first() -> None:
    encoder, head = nn.Linear(3, 2), nn.Linear(2, 1)

    def train() -> None:
        optimizer = torch.optim.SGD(head.parameters(), 0.1)
        stepping(optimizer, lambda: head(encoder(torch.ones(5, 3))).pow(2).mean())

    finding = only(train)
    assert (finding.code, set(finding.names)) == ("GV404", {"encoder.weight", "encoder.bias"})
    assert finding.help.index("optimizer") < finding.help.index("requires_grad_(False)")
    (made,) = [related for related in finding.related if "optimizer" in related.text]
    assert made.line == train.__code__.co_firstlineno + 1


# what the views say


def test_the_checks_of_a_distribution_are_no_look_at_a_number() -> None:
    net = nn.Linear(4, 4)
    with gradviz.record() as recording:
        mean, scale = net(torch.ones(3, 4)).chunk(2, -1)
        spread = torch.distributions.Normal(mean, scale.exp())
        spread.log_prob(spread.rsample()).sum().backward()
        looked = mean.detach().sum().item()
    assert isinstance(looked, float)
    graph = recording.graph()
    assert [graph.ops[cut.op].name for cut in graph.cuts] == ["detach"]
    assert len([op for op in graph.ops.values() if not op.outputs]) == 1, "the user's own look"
    assert "1 value left for Python" in compose(graph, Options(), ()).summary


@pytest.mark.parametrize("draw", [lambda h: torch.normal(h, 1.0), torch.round])
def test_a_road_by_which_zeros_come_ends_where_they_are_made(draw: Callable[[torch.Tensor], torch.Tensor]) -> None:
    encoder, decoder = nn.Linear(4, 4), nn.Linear(4, 1)
    with gradviz.record():
        decoder(draw(encoder(torch.ones(8, 4)))).sum().backward()
        account = gradviz.explain(encoder.weight)
    (road,) = account.passages[0].roads
    (cut,) = road.cuts
    assert cut.title == ("round" if draw is torch.round else "normal")
    assert [step.flows for step in road.steps] == [False, False, True, True, True, True]
    assert "zeros go back" in str(account)
    assert "a gradient that is exactly zero" in account.verdict


def test_a_summary_counts_the_crosses_that_are_drawn() -> None:
    encoder, head = nn.Linear(4, 4), nn.Linear(4, 1)

    def train() -> None:
        with torch.no_grad():
            hidden = encoder(torch.ones(8, 4)).relu()
        head(hidden).sum().backward()

    findings = found(train)
    picture = compose(findings.graph, Options(), findings)
    assert sum(wire.lost for wire in picture.wires) == 2
    assert "2 cuts" in picture.summary


@pytest.mark.parametrize("by", ["tolist", "item", "append", "numpy"])
def test_a_term_that_is_made_anew_of_numbers_is_named(by: str) -> None:
    main, extra = nn.Linear(4, 2), nn.Linear(4, 2)

    def loss() -> torch.Tensor:
        x, made = torch.ones(3, 4), []
        if by == "tolist":
            numbers = extra(x).softmax(-1).tolist()  # left
            penalty = torch.tensor(numbers).mean()
        elif by == "item":
            penalty = torch.tensor(extra(x).mean().item())  # left
        elif by == "append":
            made.append(extra(x).mean().item())  # left
            penalty = torch.tensor(made).mean()
        else:
            array = extra(x).detach().numpy()  # left
            penalty = torch.from_numpy(array).mean()
        out: torch.Tensor = main(x).pow(2).mean() + extra(x).pow(2).mean() + 0.5 * penalty
        return out

    finding = only(lambda: stepping(torch.optim.SGD([*main.parameters(), *extra.parameters()], 0.1), loss))
    assert (finding.code, finding.severity) == ("GV104" if by == "numpy" else "GV103", "warning")
    assert finding.source.endswith("# left")
    assert "`penalty`" in finding.message
    assert set(finding.names) == {"extra.weight", "extra.bias"}


def test_numbers_that_are_only_logged_are_no_term() -> None:
    net = nn.Linear(4, 2)

    def loss() -> torch.Tensor:
        out = net(torch.ones(3, 4))
        print(out.mean().item(), out.tolist())
        offset = torch.tensor([1.0, 2.0]).mean()
        value: torch.Tensor = out.pow(2).mean() + offset
        return value

    assert found(lambda: stepping(torch.optim.SGD(net.parameters(), 0.1), loss)) == ()


class Halved(torch.autograd.Function):
    """Forgets that the factor is an argument, too."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, factor: float) -> torch.Tensor:
        ctx.factor = factor
        return x * factor

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> torch.Tensor:
        return grads[0] * ctx.factor  # one of two


def test_a_custom_function_that_gives_back_too_few() -> None:
    net = nn.Linear(4, 2)

    def train() -> None:
        Halved.apply(net(torch.ones(3, 4)), 0.5).sum().backward()

    finding = only(train)
    assert (finding.code, finding.names) == ("GV110", ("Halved",))
    assert finding.source.endswith("# one of two")
    assert "gives back 1" in finding.message
    assert "2 inputs" in finding.message


def test_a_single_number_that_is_looked_at_is_no_evaluation() -> None:
    net, log_alpha = nn.Linear(4, 2), torch.zeros(1, requires_grad=True)

    def loss() -> torch.Tensor:
        alpha = log_alpha.exp().item()
        value: torch.Tensor = alpha * net(torch.ones(3, 4)).pow(2).mean() - log_alpha.sum()
        return value

    assert found(lambda: stepping(torch.optim.SGD([log_alpha, *net.parameters()], 0.1), loss)) == ()


def test_an_embedding_with_a_greatest_norm_writes_to_its_rows() -> None:
    table, weight = nn.Embedding(5, 3, max_norm=1.0), nn.Parameter(torch.ones(3, 3))

    def train() -> None:
        every = table.weight @ weight
        some = table(torch.tensor([1, 2])) @ weight  # shortened
        (every.sum() * some.sum()).backward()

    finding = only(train)
    assert (finding.code, finding.names) == ("GV301", ("table.weight",))
    assert finding.source.endswith("# shortened")
    assert "`table.weight.clone()`" in finding.help


@pytest.mark.parametrize("draw", ["sample", "rsample", "scored"])
def test_what_is_drawn_for_a_decoder_is_drawn_with_its_history(draw: str) -> None:
    encoder, decoder = nn.Linear(4, 4), nn.Linear(2, 4)

    def loss() -> torch.Tensor:
        mean, scale = encoder(torch.ones(3, 4)).chunk(2, -1)
        spread = torch.distributions.Normal(mean, scale.exp())
        z = spread.rsample() if draw == "rsample" else spread.sample()  # drawn
        value: torch.Tensor = decoder(z).pow(2).mean() + mean.pow(2).mean() + scale.pow(2).mean()
        return value - spread.log_prob(z).mean() if draw == "scored" else value

    findings = found(lambda: stepping(torch.optim.SGD([*encoder.parameters(), *decoder.parameters()], 0.1), loss))
    told = [("GV201", "note")] if draw == "sample" else []
    assert [(finding.code, finding.severity) for finding in findings] == told
    for finding in findings:
        assert finding.source.endswith("# drawn")
        assert "rsample" in finding.help
        assert set(finding.names) == {"encoder.weight", "encoder.bias"}


@pytest.mark.parametrize(("outputs", "by"), [(1, "softmax"), (1, "cross_entropy"), (2, "softmax")])
def test_a_softmax_of_one_class_is_one(outputs: int, by: str) -> None:
    net = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, outputs))

    def loss() -> torch.Tensor:
        out = net(torch.ones(3, 4))
        if by == "softmax":
            return out.softmax(dim=1)[:, 0].log().sum()
        return nn.functional.cross_entropy(out, torch.zeros(3, dtype=torch.long))

    findings = found(lambda: stepping(torch.optim.SGD(net.parameters(), 0.1), loss))
    assert [finding.code for finding in findings] == (["GV601"] if outputs == 1 else [])
    for finding in findings:
        assert "one class" in finding.message
        assert "sigmoid" in finding.help
