"""For the user's tests: assert that a loss gives every parameter a gradient, or be told which line takes it away."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

from gradviz.diagnose import Finding, Related, Severity, diagnose
from gradviz.diagnose.findings import place
from gradviz.diagnose.foresight import foresee
from gradviz.diagnose.formats.text import block
from gradviz.errors import UsageError
from gradviz.evidence import Evidence, recall, walk
from gradviz.picture.wording import join
from gradviz.snapshot import is_own, is_torch

_TOLD = 5
"""Most parameters that one sentence names, and most cuts that are listed."""


def assert_gradients_flow(
    loss: Any,
    parameters: Any,
    *,
    after_backward: bool = False,
    allow_frozen: bool = False,
    allow_zero: bool = False,
) -> None:
    """Raise AssertionError, which says why and by which line, unless a gradient of `loss` comes to every parameter.

    loss: a tensor of gradviz or of PyTorch. Nothing is run on it: its graph is walked.
    parameters: a module, what its `named_parameters()` or `parameters()` gives, an optimizer, a dict of tensors, or a
        tensor.
    after_backward: `loss.backward()` ran, so look at what `.grad` holds: it has to be there, and finite, and not all
        zero. Needed where a graph cannot be walked, as behind a reentrant checkpoint.
    allow_frozen: pass over parameters that do not require grad, if there are others.
    allow_zero: after backward, accept a gradient that is all zero.

    What is recorded can be told by line: run the code inside `with gradviz.record():`, or use the pytest fixture
    `gradients_flow`, which records the test. Neither the graph nor `.grad` is changed. Raises UsageError where there is
    no tensor, or no parameter, to look at.
    """
    __tracebackhide__ = True
    if not _is_tensor(loss):
        raise UsageError(f"the loss is a `{type(loss).__name__}`, not a tensor", help="pass it before any `.item()`")
    named, unnamed = _named(parameters)
    case = _Case(loss, named, unnamed)
    frozen = [name for name, tensor in named.items() if not tensor.requires_grad]
    trained = {name: tensor for name, tensor in named.items() if tensor.requires_grad}
    findings: list[Finding] = []
    if frozen and not (allow_frozen and trained):
        findings += case.frozen(frozen, others=bool(trained))
    if after_backward:
        states = {name: _state(tensor) for name, tensor in trained.items()}
        missing = [name for name, state in states.items() if state == "missing"]
        findings += case.early([name for name in missing if case.walked.reaches(name)])
        findings += case.lost([name for name in missing if not case.walked.reaches(name)])
        useless = ("not finite",) if allow_zero else ("not finite", "all zero")
        findings += case.useless({name: state for name, state in states.items() if state in useless})
    else:
        findings += case.lost([name for name in trained if not case.walked.reaches(name)])
    if findings:
        raise AssertionError("\n\n".join(block(finding) for finding in findings))


def _is_tensor(item: Any) -> bool:
    return is_torch(item) or ("gradviz.core.tensor" in sys.modules and is_own(item))


def _named(parameters: Any) -> tuple[dict[str, Any], frozenset[str]]:
    """The parameters by name, and the names of those that came without one and are called after their place."""
    if hasattr(parameters, "named_parameters"):
        parameters = parameters.named_parameters()
    if isinstance(parameters, Mapping):
        parameters = parameters.items()
    if hasattr(parameters, "param_groups"):
        parameters = [tensor for group in parameters.param_groups for tensor in group["params"]]
    given = [parameters] if _is_tensor(parameters) or not isinstance(parameters, Iterable) else parameters
    named: dict[str, Any] = {}
    unnamed: set[str] = set()
    for number, item in enumerate(given):
        name, tensor = item if isinstance(item, tuple) and len(item) == 2 else (f"parameter {number}", item)
        if not _is_tensor(tensor) or not isinstance(name, str):
            raise UsageError(
                f"there is a `{type(tensor).__name__}` among the parameters, which is no tensor",
                help="pass a module, its `named_parameters()`, an optimizer, or a list of tensors",
            )
        named[name] = tensor
        if item is tensor:
            unnamed.add(name)
    if not named:
        raise UsageError("there is no parameter to look at", help="an iterator such as `parameters()` works only once")
    return named, frozenset(unnamed)


def _state(tensor: Any) -> str:
    """What `.grad` holds: "missing", "not finite", "all zero" or "fine". Every element is looked at, none recorded."""
    if is_own(tensor):
        gradient = tensor._grad  # recordings do not hear of the look
        if gradient is None:
            return "missing"
        largest = float(abs(gradient._data).max(initial=0.0))
        finite, zero = math.isfinite(largest), largest == 0.0
    else:
        torch: Any = sys.modules["torch"]
        with torch._C.DisableTorchFunction(), torch.no_grad():
            gradient = tensor.grad
            if gradient is None:
                return "missing"
            if gradient.is_meta:
                return "fine"  # it has no elements to look at
            values = gradient.coalesce().values() if gradient.is_sparse else gradient
            finite, zero = bool(values.isfinite().all()), not bool(values.any())
    return "not finite" if not finite else "all zero" if zero else "fine"


class _Case:
    """A loss, parameters, and what can be said of them. Nobody is asked before it is known that something is wrong."""

    def __init__(self, loss: Any, named: Mapping[str, Any], unnamed: frozenset[str]) -> None:
        self._asked = loss, named, unnamed

    @cached_property
    def walked(self) -> Evidence:
        """What autograd knows."""
        return walk(*self._asked)

    @cached_property
    def told(self) -> Evidence | None:
        """What a recording knows."""
        return recall(*self._asked)

    def frozen(self, names: Sequence[str], *, others: bool) -> Iterator[Finding]:
        """One finding for each line that froze some of the parameters; `others` are not frozen."""
        told = self.told
        lines: dict[int | None, list[str]] = {}
        for name in names:
            value = told.values.get(name) if told is not None else None
            flags = [flag for flag in told.graph.flags if flag.value == value] if told is not None else []
            lines.setdefault(flags[-1].site if flags and not flags[-1].requires_grad else None, []).append(name)
        for site, members in lines.items():
            do = _word(members, "does", "do")
            message = f"{self._subject(members)} {do} not require grad, so no gradient comes there"
            help = "call `requires_grad_()` before the forward pass"
            if others:
                help += ", or pass `allow_frozen=True` if the freeze is meant"
            where: dict[str, Any] = place(told.graph.sites.get(site)) if told is not None and site is not None else {}
            yield Finding("GV108", "frozen", Severity.ERROR, message, help, **where, names=tuple(members))

    def lost(self, names: list[str]) -> Iterator[Finding]:
        """Why no gradient comes to the parameters `names`: by line, as far as anything knows the lines."""
        if not names:
            return
        best = self.told or self.walked
        wanted = best.values_of(names)
        explained: set[str] = set()
        for finding in foresee(best.graph, best.root, wanted):
            # What was not recorded may have used them: that they seem unused means nothing.
            if self.told is not None or (finding.code and finding.code != "GV401"):
                explained.update(wanted[value] for value in finding.values if value in wanted)
                yield finding
        rest = [name for name in names if name not in explained]
        if rest:
            yield self._unused(rest) if self.told is not None else self._cut_off(rest)

    def _unused(self, names: Sequence[str]) -> Finding:
        it = _word(names, "it", "them")
        message = f"no gradient comes to {self._subject(names)}: no operation that was recorded uses {it}"
        return _unplaced(message, f"use {it} in what the loss is made of", names)

    def _cut_off(self, names: Sequence[str]) -> Finding:
        """Without a recording all that is known are the cuts nearest to the loss, if it is gradviz's own."""
        why = "the loss does not require grad, so everything that went into it was cut off"
        if self.walked.starts:
            why = f"nothing uses {_word(names, 'it', 'them')}, or a cut lies on every road to the loss"
        message = f"no gradient comes to {self._subject(names)}: {why}"
        help = "run the code inside `with gradviz.record():`, or use the fixture `gradients_flow`, to be told the line"
        graph = self.walked.graph
        cuts = [(cut, graph.sites[cut.site]) for cut in graph.cuts if cut.site is not None]
        related = [Related(site.file, site.line, f"`{cut.cause}` cuts a road to the loss") for cut, site in cuts]
        return replace(_unplaced(message, help, names), related=tuple(dict.fromkeys(related))[:_TOLD])

    def early(self, names: Sequence[str]) -> Iterator[Finding]:
        """Parameters without a gradient although nothing is in its way."""
        if names:
            message = f"`.grad` of {self._subject(names)} is None, though nothing is in the way of a gradient"
            yield _unplaced(message, "call `loss.backward()` first, or leave out `after_backward=True`", names)

    def useless(self, states: Mapping[str, str]) -> Iterator[Finding]:
        """Gradients that came and are of no use: as the rules on values explain them, else by what they hold."""
        explained: set[str] = set()
        if states and self.told is not None:
            wanted = self.told.values_of(list(states))
            for finding in diagnose(self.told.graph, select=("GV6",)):
                members = {wanted[value] for value in finding.values if value in wanted}
                if members - explained:
                    explained |= members
                    yield replace(finding, severity=Severity.ERROR)
        for state, help in (
            ("all zero", "look for what is multiplied by zero or is saturated, or pass `allow_zero=True`"),
            ("not finite", "look for a division by zero, or for a root or a logarithm of zero"),
        ):
            rest = [name for name in states if states[name] == state and name not in explained]
            if rest:
                subject = f"the {_word(rest, 'gradient', 'gradients')} of {self._subject(rest)}"
                yield _unplaced(f"{subject} {_word(rest, 'is', 'are')} {state}", help, rest)

    def _subject(self, names: Sequence[str]) -> str:
        """What a sentence about parameters begins with: their names, or the first few and how many more."""
        best, unnamed = self.told or self.walked, self._asked[2]
        told = [f"`{(best.title(name) if name in unnamed else '') or name}`" for name in names[:_TOLD]]
        return join([*told, *([f"{len(names) - _TOLD} more"] if len(names) > _TOLD else [])])


def _unplaced(message: str, help: str, names: Sequence[str]) -> Finding:
    """A finding of no rule, on no line."""
    return Finding("", "", Severity.ERROR, message, help, names=tuple(names))


def _word(names: Sequence[str], one: str, many: str) -> str:
    """The form of a word that goes with so many names."""
    return one if len(names) == 1 else many
