"""Questions that people ask in forums: which line is blamed, what is said, and which way out is shown."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable

import pytest
import torch
from torch import nn

import gradviz
from gradviz.diagnose import Finding, Findings, diagnose


def found(program: Callable[[], object]) -> Findings:
    """What is found in a program, which may raise what PyTorch raises."""
    with gradviz.record() as recording, contextlib.suppress(RuntimeError):
        program()
    return diagnose(recording.graph())


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
