"""What `measure` finds, as records. Bytes are bytes, times are nanoseconds of real time."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Tally:
    """What some ops did.

    ops          how many ran; what makes a tensor from nothing (`randn`, a parameter) is not counted
    tracked      those that autograd recorded
    skipped      those that it did not record although a gradient could have come to them, or could have with grad mode
                 on
    saved        memory that their nodes keep for backward, each storage once. Not counted is that of leaves, such as
                 parameters and inputs, which live anyway
    unfreed      the part of it that no sweep let go: it lives until the results of the ops go
    nanoseconds  time, where the recording has it
    """

    ops: int = 0
    tracked: int = 0
    skipped: int = 0
    saved: int = 0
    unfreed: int = 0
    nanoseconds: int = 0


@dataclass(frozen=True, slots=True)
class ScopeRow:
    """One module scope, by its full path; `own` without and `all` with the scopes inside it. Empty: outside modules."""

    path: str
    own: Tally
    all: Tally

    @property
    def depth(self) -> int:
        """How many modules it lies in."""
        return self.path.count(".")

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition(".")[2]


@dataclass(frozen=True, slots=True)
class Estimate:
    """What tracking would have kept in a region where grad mode was off, had it been on.

    saved     bytes over all times that the region was entered
    at_once   bytes of the one time with most: a graph goes with its result, so this is what was spared at any moment
    known     ops of which the same recording shows what they keep, or the table of ops says it
    unknown   ops of which neither does; nothing is counted for them
    """

    saved: int = 0
    at_once: int = 0
    known: int = 0
    unknown: int = 0


@dataclass(frozen=True, slots=True)
class RegionRow:
    """One place that switches grad mode. An op counts for the innermost region that it ran in.

    kind       as the user wrote it: `no_grad`
    enabled    grad mode inside
    path, line where it was opened; empty and 0 where that is unknown
    entered    how many times
    estimate   None where grad mode is on
    """

    kind: str
    enabled: bool
    path: str
    line: int
    entered: int
    tally: Tally
    estimate: Estimate | None = None


@dataclass(frozen=True, slots=True)
class SweepRow:
    """One place that runs `backward` or `grad` (`kind`): how often, how many runs failed, and the bytes they let go."""

    kind: str
    path: str
    line: int
    runs: int
    failed: int
    freed: int
    nanoseconds: int


@dataclass(frozen=True, slots=True)
class StepRow:
    """One optimizer of class `kind`, made at `path` and `line`: its steps."""

    kind: str
    path: str
    line: int
    steps: int
    nanoseconds: int


@dataclass(frozen=True, slots=True)
class Stats:
    """The whole account.

    target   what was recorded
    total    of all ops
    leaves   memory of parameters, inputs and other leaves that nodes keep besides, each storage once
    peak     the most saved memory at any one time, as far as sweeps let it go
    packed   saved tensors that a hook made something else of, or that were gone before anybody looked: not counted
    timed    the recording has times
    coverage how many of the nodes that autograd keeps were recorded, as PyTorch's front end says it
    """

    target: str
    total: Tally
    leaves: int
    peak: int
    packed: int
    timed: bool
    scopes: tuple[ScopeRow, ...]
    regions: tuple[RegionRow, ...]
    sweeps: tuple[SweepRow, ...]
    steps: tuple[StepRow, ...]
    coverage: str = ""
