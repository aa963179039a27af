"""The account of one tensor's gradient, as records: what it is, what it got, by which roads, and what was found."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from gradviz.diagnose.findings import Finding
from gradviz.events import Cause, Gradient


class State(StrEnum):
    """What a tensor got.

    `PASSED`: gradient went through it and on, as with every tensor that is no leaf. `STARTS`: backward began at it.
    """

    VALUE = "value"
    ZERO = "zero"
    NAN = "nan"
    NONE = "none"
    PASSED = "passed"
    STARTS = "starts"


class Mark(StrEnum):
    """What stands at one step of a road."""

    TENSOR = "tensor"
    OP = "op"
    OFF = "off"
    CUT = "cut"
    ROOT = "root"
    END = "end"


@dataclass(frozen=True, slots=True)
class Step:
    """One stop on a road from a tensor to a root.

    title     `y = mul`, `x.detach()`, `w`
    place     `line 5`, or `train.py:5` where several files take part; empty where it is not known
    path, line
              the same for programs; lines count from 1, 0 is unknown
    source    the text of that line
    scope     the module path that it ran in
    count     how many ops of that line the road stands for: a weight that one line uses for 100 steps
    note      what else is to be said: why gradient stops, who opened the region, where a hook may change the gradient
    flows     gradient comes from the next stop to this one
    needs     false of the tensor itself where it required no grad when the road's first operation used it
    """

    mark: Mark
    title: str
    place: str = ""
    source: str = ""
    scope: str = ""
    count: int = 1
    note: str = ""
    flows: bool = True
    path: str = ""
    line: int = 0
    needs: bool = True

    @property
    def tracked(self) -> bool:
        """Autograd would take gradient on from here."""
        return self.needs and self.mark in (Mark.TENSOR, Mark.OP)


@dataclass(frozen=True, slots=True)
class Road:
    """One way from the tensor to a root, tensor first.

    flows   gradient comes all the way, if only zeros from a stop on that is among the `cuts`
    cause   what stops it, of a road that is cut; `by` says so in words: "`detach()` at line 6"
    """

    steps: tuple[Step, ...]
    flows: bool
    cause: Cause | None = None
    by: str = ""

    @property
    def cuts(self) -> tuple[Step, ...]:
        """The stops that no gradient passes."""
        return tuple(step for step in self.steps if step.mark is Mark.CUT)


@dataclass(frozen=True, slots=True)
class Passage:
    """The sweeps from one line of the source, and what they brought to the tensor.

    kind      `backward` or `grad`; empty where no sweep ran: then roads lead to results
    call      `loss.backward()`, `autograd.grad(loss)`
    place     its line
    runs      how many sweeps ran from there; `brought` of them gave the tensor a gradient
    state     what the last of those gave
    norm      2-norm of `.grad` after it; of what was returned, for `autograd.grad`. None where it is not known
    told      what it brought, in words; `share` by how many roads, where some are cut
    error     what it raised, or empty
    roads     the shortest that carries gradient, then one for each cause of loss, nearest cut first
    uses      how many operations on the way to the root use the tensor itself
    alive, all_roads
              how many ways gradient, and data, take from the tensor to the root, up to a million
    """

    kind: str
    call: str
    place: str
    runs: int
    brought: int
    state: State
    told: str
    share: str = ""
    error: str = ""
    norm: float | None = None
    roads: tuple[Road, ...] = ()
    alive: int = 0
    all_roads: int = 0
    uses: int = 0


@dataclass(frozen=True, slots=True, repr=False)
class Account:
    """What is to be said of one tensor's gradient; prints as text.

    name      as the user writes it; `value` is its id in the graph
    what      `parameter (8, 2) float32`; `place` where it was made
    state     what its last sweep gave it
    verdict   the answer, in one sentence
    remarks   further sentences
    findings  what `gradviz check` says of this tensor
    """

    name: str
    value: int
    what: str
    place: str
    state: State
    verdict: str
    remarks: tuple[str, ...] = ()
    passages: tuple[Passage, ...] = ()
    findings: tuple[Finding, ...] = ()

    def __str__(self) -> str:
        from gradviz.views.account import draw

        return draw(self).rstrip("\n")

    __repr__ = __str__


@dataclass(frozen=True, slots=True)
class Held:
    """What `.grad` of a tensor at hand holds, None for nothing; `recorded`: a recording saw what was done with it."""

    gradient: Gradient | None
    recorded: bool = True


@dataclass(frozen=True, slots=True)
class Choice:
    """One of several values that a place in the source stands for; `pick` names it alone."""

    value: int
    pick: str
    title: str
    what: str
    told: str
