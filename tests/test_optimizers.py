"""Every optimizer and every schedule against PyTorch's: values after twenty steps, state, errors, texts."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import torch
from alike import assert_alike, text

import gradviz

OPTIONS: list[tuple[str, dict[str, Any]]] = [
    ("SGD", {"lr": 0.1}),
    ("SGD", {"lr": 0.1, "momentum": 0.9}),
    ("SGD", {"lr": 0.05, "momentum": 0.8, "dampening": 0.3, "weight_decay": 0.1}),
    ("SGD", {"lr": 0.05, "momentum": 0.8, "nesterov": True, "weight_decay": 0.01}),
    ("SGD", {"lr": 0.001, "momentum": 0.8, "maximize": True}),
    ("SGD", {"lr": 0.001, "maximize": True, "weight_decay": 0.2}),
    ("Adam", {}),
    ("Adam", {"lr": 0.05, "betas": (0.8, 0.9), "eps": 1e-4}),
    ("Adam", {"lr": 0.05, "weight_decay": 0.1, "amsgrad": True}),
    ("Adam", {"lr": 0.05, "weight_decay": 0.1, "decoupled_weight_decay": True}),
    ("Adam", {"lr": 0.01, "maximize": True}),
    ("AdamW", {}),
    ("AdamW", {"lr": 0.05, "weight_decay": 0.2, "amsgrad": True}),
    ("AdamW", {"lr": 0.05, "maximize": True, "betas": (0.5, 0.7)}),
    ("RMSprop", {}),
    ("RMSprop", {"lr": 0.02, "alpha": 0.8, "eps": 1e-3, "weight_decay": 0.1}),
    ("RMSprop", {"lr": 0.02, "centered": True}),
    ("RMSprop", {"lr": 0.02, "centered": True, "momentum": 0.7, "maximize": True}),
    ("RMSprop", {"lr": 0.02, "momentum": 0.9, "weight_decay": 0.05}),
    ("Adamax", {}),
    ("Adamax", {"lr": 0.05, "betas": (0.8, 0.9), "weight_decay": 0.1, "maximize": True}),
    ("NAdam", {}),
    ("NAdam", {"lr": 0.05, "weight_decay": 0.1, "momentum_decay": 0.01}),
    ("NAdam", {"lr": 0.05, "weight_decay": 0.1, "decoupled_weight_decay": True}),
    ("RAdam", {}),
    ("RAdam", {"lr": 0.05, "betas": (0.8, 0.9), "weight_decay": 0.1}),
    ("RAdam", {"lr": 0.05, "weight_decay": 0.1, "decoupled_weight_decay": True}),
    ("Adadelta", {}),
    ("Adadelta", {"lr": 0.5, "rho": 0.8, "eps": 1e-3, "weight_decay": 0.1}),
    ("ASGD", {}),
    ("ASGD", {"lr": 0.05, "lambd": 0.01, "alpha": 0.5, "t0": 3, "weight_decay": 0.1, "maximize": True}),
    ("Rprop", {}),
    ("Rprop", {"lr": 0.05, "etas": (0.4, 1.5), "step_sizes": (1e-3, 0.2)}),
    ("Rprop", {"lr": 0.02, "maximize": True}),
    ("Adagrad", {}),
    ("Adagrad", {"lr": 0.3, "lr_decay": 0.05, "weight_decay": 0.1}),
    ("Adagrad", {"lr": 0.3, "initial_accumulator_value": 0.5, "eps": 1e-3, "maximize": True}),
    ("Adafactor", {}),
    ("Adafactor", {"lr": 0.3, "beta2_decay": -0.5, "eps": (1e-3, 0.1), "d": 1.5, "weight_decay": 0.1}),
    ("Adafactor", {"lr": 0.3, "maximize": True}),
]
IDS = [f"{kind}({', '.join(f'{key}={value}' for key, value in options.items())})" for kind, options in OPTIONS]

START = np.random.default_rng(0).standard_normal((3, 4))
GOAL = np.random.default_rng(1).standard_normal((3, 4))


class Problem:
    """Two parameters, of which one gets no gradient in every third step, and a loss with a minimum."""

    def __init__(self, library: Any, dtype: str = "float32") -> None:
        kind = getattr(library, dtype)
        self.library = library
        self.w = library.nn.Parameter(library.tensor(START, dtype=kind))
        self.b = library.nn.Parameter(library.tensor(START[0], dtype=kind))
        self.goal = library.tensor(GOAL, dtype=kind)
        self.steps = 0

    def loss(self) -> Any:
        found = (self.w - self.goal) ** 2
        if self.steps % 3:
            found = found + (self.b * self.w).tanh()
        return found.sum()

    def run(self, optimizer: Any, count: int) -> None:
        for _ in range(count):
            optimizer.zero_grad()
            self.loss().backward()
            optimizer.step()
            self.steps += 1

    def values(self) -> list[Any]:
        return [self.w.detach().numpy(), self.b.detach().numpy()]


def both(kind: str, options: dict[str, Any], dtype: str = "float32") -> list[tuple[Problem, Any]]:
    found = []
    for library in (gradviz, torch):
        problem = Problem(library, dtype)
        found.append((problem, getattr(library.optim, kind)([problem.w, problem.b], **options)))
    return found


def assert_same(ours: Problem, theirs: Problem, tolerance: float = 2e-6) -> None:
    for one, two in zip(ours.values(), theirs.values(), strict=True):
        np.testing.assert_allclose(one, two, rtol=tolerance, atol=tolerance)


def numbers(value: Any) -> Any:
    """A state in plain Python objects."""
    if isinstance(value, gradviz.Tensor | torch.Tensor):
        return value.detach().tolist()
    if isinstance(value, dict):
        return {key: numbers(item) for key, item in value.items()}
    return [numbers(item) for item in value] if isinstance(value, list | tuple) else value


def assert_close(one: Any, two: Any) -> None:
    """Compare two states, numbers to five digits."""
    one, two = numbers(one), numbers(two)
    assert type(one) is type(two)
    if isinstance(one, dict):
        assert list(one) == list(two)
        for key, item in one.items():
            assert_close(item, two[key])
    elif isinstance(one, list):
        assert len(one) == len(two)
        for first, second in zip(one, two, strict=True):
            assert_close(first, second)
    elif not isinstance(one, float):
        assert one == two
    else:
        assert one == pytest.approx(two, rel=2e-5, abs=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("kind", "options"), OPTIONS, ids=IDS)
def test_twenty_steps(kind: str, options: dict[str, Any], dtype: str) -> None:
    (ours, mine), (theirs, other) = both(kind, options, dtype)
    ours.run(mine, 20)
    theirs.run(other, 20)
    assert_same(ours, theirs, 1e-5 if dtype == "float32" else 1e-11)


@pytest.mark.parametrize(("kind", "options"), OPTIONS, ids=IDS)
def test_text_state_and_going_on_from_it(kind: str, options: dict[str, Any]) -> None:
    (ours, mine), (theirs, other) = both(kind, options)
    assert repr(mine) == repr(other)
    ours.run(mine, 4)
    theirs.run(other, 4)
    assert_close(mine.state_dict(), other.state_dict())
    for problem, optimizer in ((ours, mine), (theirs, other)):
        again = type(optimizer)([problem.w, problem.b], **options)
        again.load_state_dict(optimizer.state_dict())
        problem.run(again, 3)
    assert_same(ours, theirs)


@pytest.mark.parametrize(
    "options",
    [{"lr": 0.05}, {"lr": 0.05, "nesterov": False, "weight_decay": 0.3}, {"adjust_lr_fn": "match_rms_adamw"}],
    ids=str,
)
@pytest.mark.parametrize("shape", [(3, 4), (4, 3), (2, 2)])
def test_muon_to_the_digits_that_pytorch_computes_with(options: dict[str, Any], shape: tuple[int, int]) -> None:
    start, goal = START.ravel()[: shape[0] * shape[1]], GOAL.ravel()[: shape[0] * shape[1]]
    found = []
    for library in (gradviz, torch):
        w = library.nn.Parameter(library.tensor(start, dtype=library.float32).view(*shape))
        optimizer = library.optim.Muon([w], **options)
        for _ in range(5):
            optimizer.zero_grad()
            ((w - library.tensor(goal, dtype=library.float32).view(*shape)) ** 2).sum().backward()
            optimizer.step()
        found.append((w.detach().numpy(), repr(optimizer), numbers(optimizer.state_dict()["param_groups"])))
    ours, theirs = found
    assert ours[1:] == theirs[1:]
    moved = np.abs(theirs[0] - start.reshape(shape)).max()
    np.testing.assert_allclose(ours[0], theirs[0], atol=0.02 * moved)


def test_groups_with_options_of_their_own() -> None:
    found = []
    for library in (gradviz, torch):
        problem = Problem(library)
        groups = [{"params": [problem.w], "lr": 0.5, "momentum": 0.5}, {"params": problem.b}]
        optimizer = library.optim.SGD(groups, lr=0.01, weight_decay=0.1)
        problem.run(optimizer, 5)
        extra = library.nn.Parameter(library.ones(2))
        optimizer.add_param_group({"params": [extra], "lr": 3.0})
        found.append((problem, repr(optimizer), [list(group) for group in optimizer.param_groups]))
    assert found[0][1:] == found[1][1:]
    assert_same(found[0][0], found[1][0])


def test_closure_and_zeroed_gradients() -> None:
    found = []
    for library in (gradviz, torch):
        problem = Problem(library)
        optimizer = library.optim.SGD([problem.w, problem.b], lr=0.1)

        def closure(problem: Any = problem, optimizer: Any = optimizer) -> Any:
            optimizer.zero_grad(set_to_none=False)
            loss = problem.loss()
            loss.backward()
            return loss

        with library.no_grad():
            losses = [round(optimizer.step(closure).item(), 4) for _ in range(3)]
        optimizer.zero_grad(set_to_none=False)
        found.append((losses, problem.w.grad.tolist(), problem.b.grad))
    assert found[0] == found[1]


def test_a_step_counts_as_a_write_in_place() -> None:
    def program(library: Any) -> Any:
        w = library.nn.Parameter(library.ones(2))
        optimizer = library.optim.SGD([w], lr=0.1)
        loss = (w * w).sum()
        loss.backward(retain_graph=True)
        before = w._version
        optimizer.step()
        grown = w._version - before
        try:
            loss.backward()
        except RuntimeError as error:
            return grown, str(error)[:110]

    assert_alike(program)


def test_an_optimizer_of_the_users_own() -> None:
    found = []
    for library in (gradviz, torch):

        class Plain(library.optim.Optimizer):
            def __init__(self, params: Any, lr: float) -> None:
                super().__init__(params, {"lr": lr})

            def step(self) -> None:
                for group in self.param_groups:
                    for parameter in group["params"]:
                        if parameter.grad is not None:
                            state = self.state[parameter]
                            state["n"] = state.get("n", 0) + 1
                            parameter.data.add_(parameter.grad, alpha=-group["lr"])

        problem = Problem(library)
        optimizer = Plain([problem.w, problem.b], 0.1)
        seen: list[str] = []
        optimizer.register_step_pre_hook(lambda *_, seen=seen: seen.append("before"))
        handle = optimizer.register_step_post_hook(lambda *_, seen=seen: seen.append("after"))
        problem.run(optimizer, 2)
        handle.remove()
        problem.run(optimizer, 1)
        found.append((problem, seen, numbers(optimizer.state_dict()["state"])))
    assert found[0][1:] == found[1][1:]
    assert_same(found[0][0], found[1][0])


WRONG: dict[str, Any] = {
    "none": lambda lib, w: lib.optim.SGD([], lr=0.1),
    "a tensor": lambda lib, w: lib.optim.SGD(w, lr=0.1),
    "a number": lambda lib, w: lib.optim.SGD([1], lr=0.1),
    "no leaf": lambda lib, w: lib.optim.SGD([w * 2], lr=0.1),
    "twice in two groups": lambda lib, w: lib.optim.SGD([{"params": [w]}, {"params": [w]}], lr=0.1),
    "a set": lambda lib, w: lib.optim.SGD([{"params": {w}}], lr=0.1),
    "rate": lambda lib, w: lib.optim.SGD([w], lr=-1),
    "momentum": lambda lib, w: lib.optim.SGD([w], lr=0.1, momentum=-1),
    "nesterov": lambda lib, w: lib.optim.SGD([w], lr=0.1, nesterov=True),
    "betas": lambda lib, w: lib.optim.Adam([w], betas=(1.0, 0.5)),
    "eps": lambda lib, w: lib.optim.AdamW([w], eps=-1.0),
    "decay": lambda lib, w: lib.optim.RMSprop([w], weight_decay=-1),
    "alpha": lambda lib, w: lib.optim.RMSprop([w], alpha=-1),
    "lr_decay": lambda lib, w: lib.optim.Adagrad([w], lr_decay=-1),
    "decay of the average": lambda lib, w: lib.optim.ASGD([w], weight_decay=-1),
    "beta2_decay": lambda lib, w: lib.optim.Adafactor([w], beta2_decay=0.1),
    "epsilon1": lambda lib, w: lib.optim.Adafactor([w], eps=(-1.0, 0.1)),
    "epsilon2": lambda lib, w: lib.optim.Adafactor([w], eps=(1.0, -0.1)),
    "threshold": lambda lib, w: lib.optim.Adafactor([w], d=0.5),
    "a vector": lambda lib, w: lib.optim.Muon([w]),
    "momentum of Muon": lambda lib, w: lib.optim.Muon([w], momentum=-0.5),
    "a rate by an unknown function": lambda lib, w: lib.optim.Muon([w], adjust_lr_fn="mine"),
    "decay of an average": lambda lib, w: lib.optim.swa_utils.get_ema_avg_fn(1.5),
    "a way that is none": lambda lib, w: lib.optim.swa_utils.SWALR(lib.optim.SGD([w]), 0.1, anneal_strategy="log"),
    "epochs below none": lambda lib, w: lib.optim.swa_utils.SWALR(lib.optim.SGD([w]), 0.1, anneal_epochs=-1),
    "etas": lambda lib, w: lib.optim.Rprop([w], etas=(1.5, 2.0)),
    "a mode that is none": lambda lib, w: lib.optim.lr_scheduler.CyclicLR(lib.optim.SGD([w]), 0.1, 1.0, mode="saw"),
    "no momentum": lambda lib, w: lib.optim.lr_scheduler.CyclicLR(lib.optim.Adagrad([w]), 0.1, 1.0),
    "two rates for one group": lambda lib, w: lib.optim.lr_scheduler.CyclicLR(lib.optim.SGD([w]), [0.1, 0.2], 1.0),
    "nothing to chain": lambda lib, w: lib.optim.lr_scheduler.ChainedScheduler([]),
    "other groups": lambda lib, w: lib.optim.SGD([w]).load_state_dict({"state": {}, "param_groups": []}),
    "other sizes": lambda lib, w: lib.optim.SGD([w]).load_state_dict({"state": {}, "param_groups": [{"params": []}]}),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_told_in_pytorchs_words(name: str) -> None:
    told = []
    for library in (gradviz, torch):
        w = library.ones(2, requires_grad=True)
        with pytest.raises((ValueError, TypeError)) as caught:
            WRONG[name](library, w)
        told.append((caught.type.__name__, text(caught.value).replace("gradviz.Size", "torch.Size")))
    assert told[0] == told[1]


def swa(optimizer: Any) -> Any:
    """The averages of the library that an optimizer is of."""
    return (torch if isinstance(optimizer, torch.optim.Optimizer) else gradviz).optim.swa_utils


SCHEDULES: dict[str, Any] = {
    "StepLR": lambda s, o: s.StepLR(o, 3, gamma=0.5),
    "MultiStepLR": lambda s, o: s.MultiStepLR(o, [2, 5, 5, 9], gamma=0.3),
    "ExponentialLR": lambda s, o: s.ExponentialLR(o, 0.9),
    "LambdaLR": lambda s, o: s.LambdaLR(o, lambda epoch: 0.9**epoch),
    "LambdaLR, one each": lambda s, o: s.LambdaLR(o, [lambda epoch: 1 / (1 + epoch), lambda epoch: epoch]),
    "MultiplicativeLR": lambda s, o: s.MultiplicativeLR(o, lambda epoch: 0.95),
    "ConstantLR": lambda s, o: s.ConstantLR(o, 0.25, 4),
    "LinearLR": lambda s, o: s.LinearLR(o, 0.2, 0.9, 7),
    "CosineAnnealingLR": lambda s, o: s.CosineAnnealingLR(o, 6, eta_min=0.01),
    "CosineAnnealingLR, long": lambda s, o: s.CosineAnnealingLR(o, 30),
    "OneCycleLR": lambda s, o: s.OneCycleLR(o, 0.7, total_steps=25),
    "OneCycleLR, linear": lambda s, o: s.OneCycleLR(
        o, [0.7, 0.1], epochs=5, steps_per_epoch=6, anneal_strategy="linear", pct_start=0.4, div_factor=10
    ),
    "PolynomialLR": lambda s, o: s.PolynomialLR(o, 9, power=2.0),
    "CosineAnnealingWarmRestarts": lambda s, o: s.CosineAnnealingWarmRestarts(o, 3, 2, 0.01),
    "OneCycleLR, in three phases": lambda s, o: s.OneCycleLR(o, 0.7, total_steps=25, three_phase=True),
    "CyclicLR": lambda s, o: s.CyclicLR(o, 0.01, 0.3, step_size_up=4, step_size_down=3),
    "CyclicLR, smaller each time": lambda s, o: s.CyclicLR(o, [0.01, 0.1], [0.3, 0.5], 3, mode="triangular2"),
    "CyclicLR, smaller each step": lambda s, o: s.CyclicLR(
        o, 0.01, 0.3, 3, mode="exp_range", gamma=0.9, base_momentum=0.7, max_momentum=0.95
    ),
    "CyclicLR, by a function": lambda s, o: s.CyclicLR(
        o, 0.01, 0.3, 4, scale_fn=lambda x: 0.5 ** (x - 1), scale_mode="cycle", cycle_momentum=False
    ),
    "SWALR": lambda s, o: swa(o).SWALR(o, 0.05, 8),
    "SWALR, linear": lambda s, o: swa(o).SWALR(o, [0.05, 0.9], 5, "linear"),
    "SWALR, at once": lambda s, o: swa(o).SWALR(o, 0.05, 0),
    "ChainedScheduler": lambda s, o: s.ChainedScheduler([s.ConstantLR(o, 0.1, 3), s.ExponentialLR(o, 0.8)]),
    "SequentialLR": lambda s, o: s.SequentialLR(o, [s.ConstantLR(o, 0.1, 3), s.ExponentialLR(o, 0.8)], [4]),
}


@pytest.mark.parametrize("kind", ["SGD", "Adam"])
@pytest.mark.parametrize("name", SCHEDULES)
def test_rates(name: str, kind: str) -> None:
    found = []
    for library in (gradviz, torch):
        problem = Problem(library)
        groups = [{"params": [problem.w], "lr": 0.5}, {"params": [problem.b]}]
        more = {"momentum": 0.9} if kind == "SGD" else {}
        optimizer = getattr(library.optim, kind)(groups, lr=0.1, **more)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="The epoch parameter in")
            scheduler = SCHEDULES[name](library.optim.lr_scheduler, optimizer)
            rates = [scheduler.get_last_lr()]
            for epoch in range(20):
                problem.run(optimizer, 1)
                scheduler.step()
                if epoch == 11 and name != "SequentialLR":
                    kept = scheduler.state_dict()
                    scheduler = SCHEDULES[name](library.optim.lr_scheduler, optimizer)
                    scheduler.load_state_dict(kept)
                options = [group.get("momentum", group.get("betas")) for group in optimizer.param_groups]
                rates.append([group["lr"] for group in optimizer.param_groups] + scheduler.get_last_lr() + options)
        found.append(rates)
    assert numbers(found[0]) == numbers(found[1])
    assert found[0][:11] == found[1][:11], "to the last bit"


@pytest.mark.parametrize(
    "options",
    [
        {"patience": 2},
        {"mode": "max", "factor": 0.5, "patience": 1, "cooldown": 2, "min_lr": 0.02},
        {"threshold_mode": "abs", "threshold": 0.5, "patience": 0},
    ],
    ids=str,
)
def test_a_plateau(options: dict[str, Any]) -> None:
    measures = [5.0, 4.0, 4.2, 4.1, 4.3, 3.9, 4.0, 4.0, 4.0, 4.0, 3.0, 3.5, 3.4, 3.3, 3.2, 3.1]
    found = []
    for library in (gradviz, torch):
        problem = Problem(library)
        optimizer = library.optim.SGD([problem.w], lr=1.0)
        scheduler = library.optim.lr_scheduler.ReduceLROnPlateau(optimizer, **options)
        rates = []
        for measure in measures:
            scheduler.step(library.tensor(measure))
            rates.append((optimizer.param_groups[0]["lr"], scheduler.get_last_lr()))
        found.append(rates)
    assert found[0] == found[1]


def test_a_schedule_that_steps_first_warns() -> None:
    told = []
    for library in (gradviz, torch):
        optimizer = library.optim.SGD([library.ones(1, requires_grad=True)], lr=1.0)
        scheduler = library.optim.lr_scheduler.StepLR(optimizer, 1)
        with pytest.warns(UserWarning, match="Detected call") as caught:
            scheduler.step()
        told.append([str(warning.message) for warning in caught])
    assert told[0] == told[1]


SEARCHES: list[dict[str, Any]] = [
    {"lr": 0.1},
    {"lr": 0.5, "max_iter": 4, "history_size": 2},
    {"line_search_fn": "strong_wolfe"},
    {"lr": 0.7, "max_iter": 6, "max_eval": 9, "line_search_fn": "strong_wolfe", "history_size": 3},
    {"tolerance_grad": 1e-2, "tolerance_change": 1e-3, "line_search_fn": "strong_wolfe"},
]


def rosenbrock(library: Any, w: Any) -> Any:
    """A long bent valley, along which steps must turn."""
    return ((1 - w[:, :-1]) ** 2 + 10 * (w[:, 1:] - w[:, :-1] ** 2) ** 2).sum()


@pytest.mark.parametrize("options", SEARCHES, ids=str)
def test_lbfgs_steps_state_and_evaluations(options: dict[str, Any]) -> None:
    found = []
    for library in (gradviz, torch):
        w = library.nn.Parameter(library.tensor(START, dtype=library.float64))
        unused = library.nn.Parameter(library.ones(2, dtype=library.float64))
        optimizer = library.optim.LBFGS([w, unused], **options)
        losses: list[float] = []

        def closure(w: Any = w, library: Any = library, optimizer: Any = optimizer, losses: Any = losses) -> Any:
            optimizer.zero_grad()
            loss = rosenbrock(library, w)
            loss.backward()
            losses.append(loss.item())
            return loss

        returned = []
        for _ in range(4):
            returned.append(optimizer.step(closure).item())
            again = library.optim.LBFGS([w, unused], **options)
            again.load_state_dict(optimizer.state_dict())
            optimizer = again
        found.append((losses, returned, w.detach().tolist(), optimizer.state_dict()))
    ours, theirs = found
    np.testing.assert_allclose(ours[0], theirs[0], rtol=1e-7)
    np.testing.assert_allclose(ours[1], theirs[1], rtol=1e-7)
    np.testing.assert_allclose(ours[2], theirs[2], rtol=1e-7)
    for one in (ours[3], theirs[3]):
        one["state"] = {number: dict(sorted(held.items())) for number, held in one["state"].items()}
    assert_close(ours[3], theirs[3])


def _squared(w: Any) -> Any:
    loss = (w**2).sum()
    loss.backward()
    return loss


def test_lbfgs_refuses_what_it_cannot_do() -> None:
    found = []
    for library in (gradviz, torch):
        w, b = (library.nn.Parameter(library.ones(2)) for _ in range(2))
        texts = []
        for call in (
            lambda o, w=w, b=b: o.LBFGS([{"params": [w]}, {"params": [b]}]),
            lambda o, w=w: o.LBFGS([w], lr=-1.0),
            lambda o, w=w: o.LBFGS([w], line_search_fn="golden").step(lambda: _squared(w)),
        ):
            with pytest.raises((ValueError, RuntimeError)) as caught:
                call(library.optim)
            texts.append((type(caught.value), str(caught.value)))
        found.append(texts)
    assert found[0] == found[1]
