"""Training scripts as they stand in forum questions: what is found in them, and that right ones are left alone."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable

import numpy as np
import pytest
import torch
from test_forum_questions import found, only, stepping
from torch import nn
from torch.func import functional_call
from torch.nn import functional as F

import gradviz
from gradviz.diagnose import Finding, diagnose
from gradviz.picture.composing import compose
from gradviz.recorder import Recorder
from gradviz.views import Options


def loud(program: Callable[[], object]) -> list[Finding]:
    """What is found in a program above a note."""
    return [finding for finding in found(program) if finding.severity != "note"]


# one count of the roads


def encoded(kind: str) -> Callable[[], object]:
    encoder, left, right = nn.Linear(8, 8), nn.Linear(8, 2), nn.Linear(8, 2)
    heads = [left, right] if kind == "both" else [left]
    optimizer = torch.optim.SGD([p for module in (encoder, *heads) for p in module.parameters()], 0.1)

    def loss() -> torch.Tensor:
        h = encoder(torch.randn(4, 8)).detach()
        parts = [head(h).pow(2).mean() for head in heads]
        return parts[0] + (parts[1] if kind == "both" else 1.0)

    return lambda: stepping(optimizer, loss)


@pytest.mark.parametrize(
    ("kind", "check", "explain"),
    [
        ("both", "both roads from them to the loss are cut by", "both roads from it to `add` are cut by"),
        ("one", "their only road to the loss is cut by", "its only road to `add` is cut by"),
    ],
)
def test_check_and_explain_count_roads_alike(kind: str, check: str, explain: str) -> None:
    with gradviz.record() as recording:
        encoded(kind)()
    (finding,) = diagnose(recording.graph())
    assert check in finding.message
    weight = min(finding.values)
    account = gradviz.explain(recording.graph(), recording.graph().values[weight].name or "encoder.weight")
    assert explain in account.verdict


def test_the_bands_lie_on_all_roads_that_are_cut() -> None:
    with gradviz.record() as recording:
        encoded("both")()
    graph = recording.graph()
    picture = compose(graph, Options(), diagnose(graph))
    titles = {box.id: box.title for box in picture.boxes}
    marked = [titles[wire.head] for wire in picture.wires if wire.road == 1]
    assert sum("linear" in title for title in marked) >= 4, "two of the encoder's wires, and one into each head"
    assert marked.count("mean") == sum(box.title == "mean" for box in picture.boxes)


def test_a_draw_cuts_the_roads_of_mean_and_spread_alike() -> None:
    encoder, decoder = nn.Linear(8, 8), nn.Linear(4, 8)
    optimizer = torch.optim.SGD([*encoder.parameters(), *decoder.parameters()], 0.1)

    def loss() -> torch.Tensor:
        mean, spread = encoder(torch.randn(4, 8)).chunk(2, 1)
        return decoder(torch.distributions.Normal(mean, spread.exp()).sample()).pow(2).mean()

    with gradviz.record() as recording:
        stepping(optimizer, loss)
    (finding,) = diagnose(recording.graph())
    assert "both roads from them to the loss are cut: the last use" in finding.message
    assert "rsample" in finding.help
    weight = recording.graph().values[min(finding.values)].name
    assert "both roads from it to" in gradviz.explain(recording.graph(), weight).verdict


# gradients of zero


class Gated(nn.Module):
    def __init__(self, low: float) -> None:
        super().__init__()
        self.body, self.gate, self.out = nn.Linear(8, 16), nn.Linear(8, 16), nn.Linear(16, 1)
        self.low = low

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(torch.relu(self.body(x)) * self.gate(x).clamp(self.low, 200))


@pytest.mark.parametrize(("steps", "severity"), [(2, "note"), (3, "warning")])
def test_a_gradient_that_steps_leave_at_zero_is_a_warning(steps: int, severity: str) -> None:
    model = Gated(100)
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    finding = only(lambda: stepping(optimizer, lambda: model(torch.randn(32, 8)).pow(2).mean(), steps))
    assert (finding.code, finding.severity) == ("GV601", severity)
    assert set(finding.names) == {"model.gate.weight", "model.gate.bias"}
    assert ("--values" in finding.help) == (severity == "warning")


def test_weights_of_zero_that_a_warm_up_moves_late_are_no_mistake() -> None:
    """LoRA: its first matrix gets zeros until the second one has moved, which a rate of zero puts off by one step."""
    base, x = nn.Linear(6, 3).requires_grad_(False), torch.randn(8, 6)
    a, b = nn.Parameter(torch.randn(2, 6)), nn.Parameter(torch.zeros(3, 2))

    def train() -> None:
        optimizer = torch.optim.AdamW([a, b], 1e-2)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1.0, step / 3))
        for _ in range(4):
            optimizer.zero_grad()
            (base(x) + x @ a.T @ b.T).pow(2).mean().backward()
            optimizer.step()
            schedule.step()

    assert not loud(train)


def test_a_bias_that_a_difference_cancels_is_no_mistake() -> None:
    critic = nn.Sequential(nn.Linear(2, 8), nn.LeakyReLU(), nn.Linear(8, 1))
    optimizer = torch.optim.Adam(critic.parameters(), 1e-3)
    real, fake = torch.ones(8, 2), torch.zeros(8, 2)
    assert not loud(lambda: stepping(optimizer, lambda: critic(fake).mean() - critic(real).mean(), 4))


# layers that a module does not know of


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc, self.norm = nn.Linear(8, 8), nn.LayerNorm(8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.norm(self.fc(x)))


class Listed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.blocks = [Block() for _ in range(3)]  # kept
        self.out = nn.Linear(8, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for block in self.blocks:
            x = block(x)
        return self.out(x)


class Keyed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.blocks = {"a": nn.Linear(8, 8), "b": nn.Linear(8, 8)}  # kept
        self.out = nn.Linear(8, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for name in ("a", "b"):
            x = self.blocks[name](x)
        return self.out(x)


@pytest.mark.parametrize(("kind", "count", "word"), [(Listed, 12, "list"), (Keyed, 4, "dict")])
def test_a_plain_list_of_layers_is_one_finding_at_its_line(kind: type[nn.Module], count: int, word: str) -> None:
    """Where only a function knows the model, its parts go by their paths all the same."""

    def train(model: nn.Module) -> None:
        optimizer = torch.optim.Adam(model.parameters(), 0.01)
        stepping(optimizer, lambda: model(torch.randn(4, 8)).pow(2).mean())

    finding = only(lambda: train(kind()))
    assert finding.code == "GV403"
    assert finding.source.endswith("# kept")
    assert len(finding.values) == count
    assert f"`model.blocks` is a plain {word}" in finding.message
    assert f"nn.Module{word.title()}" in finding.help


class Bare(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = [nn.Linear(8, 8), nn.Linear(8, 1)]


def test_an_optimizer_that_is_given_nothing() -> None:
    recorder = Recorder()
    recorder.start()
    try:
        torch.optim.Adam(Bare().parameters(), 0.01)  # made
    except ValueError as raised:
        recorder.stop(raised, namespace={})
    (finding,) = diagnose(recorder.graph())
    assert (finding.code, finding.severity) == ("GV403", "error")
    assert finding.source.endswith("# made")
    assert "nn.ModuleList" in finding.help


def test_inputs_of_a_derivative_beside_a_lone_parameter_are_no_parameters() -> None:
    u, nu = nn.Sequential(nn.Linear(1, 8), nn.Tanh(), nn.Linear(8, 1)), nn.Parameter(torch.tensor(0.1))

    def loss() -> torch.Tensor:
        x = torch.rand(16, 1, requires_grad=True)
        (slope,) = torch.autograd.grad(u(x).sum(), x, create_graph=True)
        return (slope - nu * x).pow(2).mean()

    assert not loud(lambda: stepping(torch.optim.Adam([*u.parameters(), nu], 1e-3), loss))


# evaluation mode


def epochs(case: str) -> Callable[[], object]:
    norm = nn.BatchNorm1d(8)
    model = nn.Sequential(nn.Linear(6, 8), norm, nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 2))
    x, y = torch.randn(8, 6), torch.randint(0, 2, (8,))

    def evaluate() -> float:
        model.eval()  # switched
        with torch.no_grad():
            return F.cross_entropy(model(x), y).item()

    def attack() -> torch.Tensor:
        model.eval()
        delta = torch.zeros_like(x, requires_grad=True)
        F.cross_entropy(model(x + delta), y).backward()
        model.train()
        assert delta.grad is not None
        return x + delta.grad.sign()

    def train() -> None:
        optimizer = torch.optim.SGD(model.parameters(), 0.1)
        model.train(case != "never")
        for epoch in range(3):
            if case in ("healthy", "norm"):
                model.train()
            if case == "norm" and epoch:
                norm.eval()
            for _ in range(2):
                given = attack() if case == "attack" else x
                optimizer.zero_grad()
                F.cross_entropy(model(given), y).backward()
                optimizer.step()
            if case not in ("norm", "never", "attack"):
                evaluate()

    return train


def test_training_that_goes_on_in_evaluation_mode() -> None:
    finding = only(epochs("left"))
    assert (finding.code, finding.severity) == ("GV414", "warning")
    assert finding.source.endswith("# switched")
    assert "`model.1` and `model.3` are in evaluation mode" in finding.message
    assert "`model.train()`" in finding.help


@pytest.mark.parametrize("case", ["healthy", "norm", "never", "attack"])
def test_evaluation_mode_that_is_meant(case: str) -> None:
    assert not loud(epochs(case))


def test_inner_steps_by_autograd_grad_are_left_alone() -> None:
    w, x, y = torch.zeros(3, requires_grad=True), torch.randn(5, 3), torch.randn(5)

    def train() -> None:
        optimizer = torch.optim.SGD([w], 0.1)
        for _ in range(2):
            fast = w
            for _ in range(2):
                (grad,) = torch.autograd.grad((x @ fast - y).pow(2).mean(), fast, create_graph=True)
                fast = fast - 0.1 * grad
            optimizer.zero_grad()
            (x @ fast - y).pow(2).mean().backward()
            optimizer.step()

    assert not loud(train)


@pytest.mark.parametrize("around", [False, True])
def test_a_zero_that_comes_through_a_hook_names_the_hook(around: bool) -> None:
    first, last, skip = nn.Linear(4, 4), nn.Linear(4, 1), torch.zeros(3, 4)
    optimizer = torch.optim.SGD([*first.parameters(), *last.parameters()], 0.1)

    def loss() -> torch.Tensor:
        x = torch.randn(3, 4)
        h = first(x)
        h.register_hook(lambda grad: grad * 0)  # hooked
        if around:
            h = h + skip * first(x)
        return last(h).pow(2).mean()

    finding = only(lambda: stepping(optimizer, loss))
    assert (finding.code, finding.severity) == ("GV601", "warning")
    assert finding.source.endswith("# hooked") is not around
    assert ("through the hook" in finding.message) is not around
    assert ("what the hook returns" in finding.help) is not around


# steps of a scaler, and steps that move nothing


@pytest.mark.parametrize("unscaled", ["first", "late", "by the step"])
def test_scaled_gradients_are_not_to_be_clipped(unscaled: str) -> None:
    net = nn.Linear(8, 1)

    def train() -> None:
        optimizer, scaler = torch.optim.SGD(net.parameters(), 0.1), torch.amp.GradScaler("cpu")
        for _ in range(2):
            optimizer.zero_grad()
            scaler.scale(net(torch.randn(4, 8)).pow(2).mean()).backward()
            if unscaled == "first":
                scaler.unscale_(optimizer)
            torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)  # clipped
            if unscaled == "late":
                scaler.unscale_(optimizer)
            scaler.step(optimizer)
            scaler.update()

    if unscaled == "first":
        assert not loud(train)
        return
    finding = only(train)
    assert (finding.code, finding.severity) == ("GV412", "warning")
    assert finding.source.endswith("# clipped")
    assert "while they are scaled" in finding.message
    assert "`scaler.unscale_(optimizer)`" in finding.help


@pytest.mark.parametrize("by", ["optimizer", "scaler", "hand", "disabled"])
def test_scaled_gradients_are_a_step_for_the_scaler(by: str) -> None:
    net = nn.Linear(8, 1)

    def train() -> None:
        optimizer = torch.optim.SGD(net.parameters(), 0.1)
        scaler = torch.amp.GradScaler("cpu", enabled=by != "disabled")
        for _ in range(2):
            optimizer.zero_grad()
            scaler.scale(net(torch.randn(4, 8)).pow(2).mean()).backward()
            if by == "scaler":
                scaler.step(optimizer)
                scaler.update()
                continue
            for p in net.parameters() if by == "hand" else ():
                assert p.grad is not None
                p.grad.div_(scaler.get_scale())
            optimizer.step()  # taken

    findings = loud(train)
    assert [finding.code for finding in findings] == (["GV416"] if by == "optimizer" else [])
    for finding in findings:
        assert finding.source.endswith("# taken")
        assert "nothing divides them again" in finding.message


def test_scaled_gradients_of_results_are_no_step() -> None:
    """A gradient of weights that were computed, as in an inner step, has no optimizer."""
    net = nn.Linear(8, 1)

    def train() -> None:
        optimizer = torch.optim.SGD(net.parameters(), 0.1)
        scaler = torch.amp.GradScaler("cpu")
        for _ in range(2):
            optimizer.zero_grad()
            fast = net.weight * 1.0
            loss = scaler.scale((torch.randn(4, 8) @ fast.T).pow(2).mean())
            (inner,) = torch.autograd.grad(loss, fast, create_graph=True)
            (torch.randn(4, 8) @ (fast - inner / scaler.get_scale()).T + net.bias).pow(2).mean().backward()
            optimizer.step()

    assert loud(train) == []


@pytest.mark.parametrize(
    ("rate", "schedule", "told"),
    [
        (0, None, "all of its 5 steps"),
        (0.1, lambda step: 0.0 * step, "all of its 5 steps"),
        (0.1, lambda step: max(0.0, 1 - step / 2), "its last 3 of 5 steps"),
        (0.1, lambda step: step / 5, ""),
        (0.1, lambda step: max(0.0, 1 - step / 5), ""),
    ],
)
def test_a_learning_rate_of_zero(rate: float, schedule: Callable[[int], float] | None, told: str) -> None:
    net = nn.Linear(8, 1)

    def train() -> None:
        optimizer = torch.optim.SGD(net.parameters(), rate)  # made
        schedules = [torch.optim.lr_scheduler.LambdaLR(optimizer, schedule)] if schedule else []  # scheduled
        for _ in range(5):
            stepping(optimizer, lambda: net(torch.randn(4, 8)).pow(2).mean(), 1)
            for one in schedules:
                one.step()

    findings = loud(train)
    assert [finding.code for finding in findings] == (["GV415"] if told else [])
    for finding in findings:
        assert f"is 0 in {told}" in finding.message
        assert finding.source.endswith("# scheduled" if schedule else "# made")


def test_a_schedule_is_not_to_blame_for_the_rate_of_zero_that_it_begins_from() -> None:
    net = nn.Linear(8, 1)

    def train() -> None:
        optimizer = torch.optim.SGD(net.parameters(), 0.0)  # made
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 / (1 + step))
        for _ in range(3):
            stepping(optimizer, lambda: net(torch.randn(4, 8)).pow(2).mean(), 1)
            schedule.step()

    finding = only(train)
    assert finding.code == "GV415"
    assert finding.source.endswith("# made")
    assert "it was made with 0" in finding.message
    assert finding.help == "give it a learning rate above zero"


def test_gradviz_own_optimizer_tells_a_rate_of_zero_too() -> None:
    from gradviz import nn as own
    from gradviz.optim import SGD
    from gradviz.optim.lr_scheduler import LambdaLR

    net = own.Linear(3, 1)
    optimizer = SGD(net.parameters(), 0.1)
    with gradviz.record() as recording:
        schedule = LambdaLR(optimizer, lambda step: 0.0)  # scheduled
        for _ in range(3):
            optimizer.zero_grad()
            net(gradviz.ones(2, 3)).sum().backward()
            optimizer.step()
            schedule.step()
    (finding,) = diagnose(recording.graph())
    assert finding.code == "GV415"
    assert finding.source.endswith("# scheduled")


# a step that is forgotten


@pytest.mark.parametrize("cleared_by", ["model", "optimizer"])
@pytest.mark.parametrize("looks", ["not", "norms", "prints", "keeps"])
def test_an_optimizer_that_never_steps_beside_a_look_at_gradients(cleared_by: str, looks: str) -> None:
    net = nn.Sequential(nn.Linear(8, 4), nn.Tanh(), nn.Linear(4, 1))
    kept: list[torch.Tensor] = []

    def train() -> None:
        optimizer = torch.optim.SGD(net.parameters(), 0.1)  # made
        for _ in range(3):
            (net if cleared_by == "model" else optimizer).zero_grad()
            net(torch.randn(4, 8)).pow(2).mean().backward()
            for p in net.parameters():
                assert p.grad is None or looks != "norms" or p.grad.norm().item() >= 0
                if looks == "keeps" and p.grad is not None:
                    kept.append(p.grad.pow(2))
                if looks == "prints":
                    str(p.grad)

    findings = loud(train)
    assert [finding.code for finding in findings] == ([] if looks == "keeps" else ["GV404"])
    assert all(finding.source.endswith("# made") for finding in findings)


# terms that numpy computes


def smoothness(out: torch.Tensor) -> torch.Tensor:
    rows = out.detach().cpu().numpy()  # taken
    steps = np.diff(rows, axis=0)  # 1
    total = (steps**2).sum()  # 2
    return torch.tensor(total)


@pytest.mark.parametrize("by", ["function", "number"])
def test_the_lines_of_a_term_that_numpy_computes_are_named(by: str) -> None:
    net = nn.Linear(8, 3)

    def loss() -> torch.Tensor:
        out = net(torch.randn(4, 8))
        if by == "function":
            return out.pow(2).mean() + 0.1 * smoothness(out)
        rows = out.detach().numpy()  # taken
        steps = np.diff(rows, axis=0)  # 1
        penalty = float((steps**2).sum())  # 2
        return out.pow(2).mean() + 0.1 * penalty

    finding = only(lambda: stepping(torch.optim.SGD(net.parameters(), 0.1), loss))
    assert finding.code == "GV104"
    assert finding.source.endswith("# taken")
    term = "`0.1 * smoothness(out)`" if by == "function" else "`penalty`"
    assert f"the term {term} of the loss" in finding.message
    named = [int(line) for line in re.findall(r":(\d+)", finding.message.partition(";")[2])]
    assert named == [finding.line + 1, finding.line + 2]


def test_a_term_without_a_name_is_called_as_it_is_written() -> None:
    net = nn.Linear(8, 3)

    def loss() -> torch.Tensor:
        out = net(torch.randn(4, 8))
        return out.pow(2).mean() + torch.from_numpy(np.abs(out.detach().numpy())).mean()

    finding = only(lambda: stepping(torch.optim.SGD(net.parameters(), 0.1), loss))
    assert "`torch.from_numpy(np.abs(out.detach().numpy())).mean()`" in finding.message


def test_what_numpy_computes_for_a_log_is_no_term() -> None:
    net, history = nn.Linear(8, 3), []

    def loss() -> torch.Tensor:
        out = net(torch.randn(4, 8))
        chances = out.detach().softmax(1).numpy()
        entropy = -(chances * np.log(chances)).sum(1)
        score = float(entropy.mean())
        history.append(score)
        return out.pow(2).mean() + 0.5

    assert not loud(lambda: stepping(torch.optim.SGD(net.parameters(), 0.1), loss))


# losses that take scores


@pytest.mark.parametrize("by", ["softmax", "module", "sigmoid", "log_softmax", "target"])
def test_a_softmax_before_a_loss_that_has_its_own(by: str) -> None:
    net, x, y = nn.Linear(6, 3), torch.randn(8, 6), torch.randint(0, 3, (8,))
    softmax = nn.Softmax(dim=1)

    def loss() -> torch.Tensor:
        scores = net(x)
        if by == "softmax":
            return F.cross_entropy(torch.softmax(scores, 1), y)  # applied
        if by == "module":
            return F.cross_entropy(softmax(scores).float(), y)  # applied
        if by == "sigmoid":
            return nn.BCEWithLogitsLoss()(torch.sigmoid(scores[:, 0]), y.float())  # applied
        if by == "target":
            return F.cross_entropy(scores, torch.softmax(torch.randn(8, 3), 1))
        return F.cross_entropy(torch.log_softmax(scores, 1), y)

    findings = loud(lambda: stepping(torch.optim.SGD(net.parameters(), 0.1), loss))
    assert [finding.code for finding in findings] == ([] if by in ("log_softmax", "target") else ["GV606"])
    for finding in findings:
        assert finding.source.endswith("# applied")


# gradients that autograd.grad gives


@pytest.mark.parametrize("detached", [True, False])
def test_an_inner_step_that_is_detached_trains_nothing(detached: bool) -> None:
    net, x, y = nn.Linear(3, 1), torch.randn(8, 3), torch.randn(8, 1)

    def loss() -> torch.Tensor:
        known = dict(net.named_parameters())
        inner = F.mse_loss(functional_call(net, known, (x,)), y)
        gradients = torch.autograd.grad(inner, tuple(known.values()))
        fast = {}
        for (name, p), g in zip(known.items(), gradients, strict=True):
            fast[name] = (p - 0.1 * g).detach().requires_grad_() if detached else p - 0.1 * g  # adapted
        return F.mse_loss(functional_call(net, fast, (x,)), y)

    findings = loud(lambda: stepping(torch.optim.SGD(net.parameters(), 0.1), loss))
    assert [(finding.code, finding.severity) for finding in findings] == ([("GV101", "error")] if detached else [])
    for finding in findings:
        assert finding.source.endswith("# adapted")
        assert "no gradient from `backward`" in finding.message


def test_what_ran_under_no_grad_was_used() -> None:
    teacher, student = nn.Linear(6, 4), nn.Linear(6, 4)

    def loss() -> torch.Tensor:
        x = torch.randn(8, 6)
        with torch.no_grad():
            guess = F.log_softmax(student(x), 1)
        return F.kl_div(guess, F.softmax(teacher(x), 1), reduction="batchmean")

    (finding,) = loud(lambda: stepping(torch.optim.SGD(student.parameters(), 0.1), loss))
    assert (finding.code, set(finding.names)) == ("GV201", {"student.weight", "student.bias"})


def test_a_loss_that_was_made_to_require_grad_has_the_road_that_it_lost() -> None:
    net, x, y = nn.Linear(6, 4), torch.randn(8, 6), torch.randint(0, 4, (8,))
    with gradviz.record() as recording:
        loss = F.mse_loss(net(x).argmax(1).float(), y.float())
        loss.requires_grad_()
        loss.backward()
    graph = recording.graph()
    assert "its only road to `loss` is cut by `argmax()`" in gradviz.explain(graph, "net.weight").verdict


# names


class Scaled(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.scale = torch.ones(6, requires_grad=True)
        self.fc = nn.Linear(6, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.hidden = x * self.scale
        return self.fc(self.hidden)


def test_explain_knows_an_attribute_by_the_model_that_has_it() -> None:
    with gradviz.record() as recording:
        net = Scaled()
        for _ in range(2):
            net(torch.randn(4, 6)).mean().backward()
    assert gradviz.explain(recording.graph(), "scale").name == "net.scale"
    with pytest.raises(gradviz.errors.UsageError) as raised:
        gradviz.explain(recording.graph(), "hiden")
    assert "net.hidden" in str(raised.value.help)
    assert "self." not in str(raised.value.help)


# a target network, which follows the online one


class Encoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Linear(8, 6)
        self.projector = nn.Sequential(nn.Linear(6, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 4))
        self.head = nn.Linear(6, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.projector(self.backbone(x))


@torch.no_grad()
def average(online: nn.Module, target: nn.Module) -> None:
    for new, old in zip(online.parameters(), target.parameters(), strict=True):
        old.mul_(0.9).add_(new, alpha=0.1)


@torch.no_grad()
def average_by_copy(online: nn.Module, target: nn.Module) -> None:
    for new, old in zip(online.parameters(), target.parameters(), strict=True):
        old.copy_(0.9 * old + 0.1 * new)


def average_data(online: nn.Module, target: nn.Module) -> None:
    for new, old in zip(online.parameters(), target.parameters(), strict=True):
        old.data = 0.9 * old.data + 0.1 * new.data


def average_in_data(online: nn.Module, target: nn.Module) -> None:
    for new, old in zip(online.parameters(), target.parameters(), strict=True):
        old.data.lerp_(new.data, 0.1)


def self_supervised(update: Callable[[nn.Module, nn.Module], None] | None, owned: str) -> Callable[[], object]:
    online = Encoder()
    model = nn.ModuleDict({"online": online, "predictor": nn.Linear(4, 4), "target": copy.deepcopy(online)})

    def program() -> None:
        optimizer = torch.optim.SGD(model.parameters(), 0.1) if owned == "all" else None
        for _ in range(3):
            a, b = torch.randn(8, 8), torch.randn(8, 8)
            predicted = model["predictor"](model["online"](a))
            with torch.no_grad():
                wanted = model["target"](b)
            model.zero_grad()
            (2 - 2 * F.cosine_similarity(predicted, wanted).mean()).backward()
            if optimizer is not None:
                optimizer.step()
            if update is not None:
                update(model["online"], model["target"])

    return program


UPDATES = (average, average_by_copy, average_data, average_in_data)


@pytest.mark.parametrize("update", UPDATES)
def test_a_target_network_that_the_optimizer_has_too_is_only_noted(update: Callable[..., None]) -> None:
    findings = [item for item in found(self_supervised(update, "all")) if any("target" in name for name in item.names)]
    assert {finding.severity for finding in findings} == {"note"}
    assert {name for finding in findings for name in finding.names} == {
        f"model.target.{name}" for name, _ in Encoder().named_parameters()
    }
    assert all("after" in finding.message and "online" in finding.message for finding in findings)


@pytest.mark.parametrize("update", UPDATES)
def test_of_a_target_network_that_no_optimizer_has_nothing_is_said(update: Callable[..., None]) -> None:
    assert not [finding for finding in found(self_supervised(update, "none")) if "target" in finding.message]


def test_a_part_that_runs_under_no_grad_and_follows_nothing_is_an_error() -> None:
    findings = [item for item in found(self_supervised(None, "all")) if item.severity == "error"]
    assert [finding.code for finding in findings] == ["GV201"]
    assert "target" in findings[0].message
