"""The sentences of an account: what the tensor got from each place that calls backward, and the answer as a whole."""

from __future__ import annotations

from collections.abc import Sequence

from gradviz.accounts.records import State
from gradviz.accounts.steps import cutter, made_of, stopper, title
from gradviz.diagnose.counting import FEW, roads_are_cut
from gradviz.diagnose.facts import Facts
from gradviz.diagnose.lost import cuts_behind
from gradviz.diagnose.tracks import Track
from gradviz.events import Gradient, Role, Sweep
from gradviz.graphs import Value
from gradviz.picture.wording import clean, join

_LISTED = 4


def amount(gradient: Gradient | None) -> tuple[State, float | None]:
    """What a recorded gradient is, and its norm."""
    if gradient is None:
        return State.NONE, None
    state = State.NAN if gradient.nan else State.ZERO if gradient.zero else State.VALUE
    return state, gradient.norm


def in_words(state: State, norm: float | None, *, estimated: bool = False) -> str:
    """`a gradient of norm 0.25`"""
    match state:
        case State.VALUE:
            return f"a gradient of norm {'about ' if estimated else ''}{norm:.4g}"
        case State.ZERO:
            return "a gradient that is exactly zero"
        case State.NAN:
            return "a gradient with NaN in it"
    return "no gradient"


def call(facts: Facts, sweep: Sweep) -> str:
    """`loss.backward()`, or `autograd.grad(loss)`."""
    names = [title(facts, root) for root in sweep.roots]
    told = join(names) if names else "nothing"
    return f"{told}.backward()" if sweep.kind == "backward" and len(names) == 1 else f"autograd.{sweep.kind}({told})"


def goal(facts: Facts, roots: Sequence[int]) -> str:
    """What the roads lead to: `loss`, in backticks."""
    return join([f"`{title(facts, root)}`" for root in roots])


def tensors(facts: Facts, values: Sequence[int]) -> str:
    """`w` and `b`, or "4 parameters of `netG`"."""
    trained = all(facts.graph.values[value].role is Role.PARAMETER for value in values)
    return facts.subject(values, "parameter" if trained else "tensor")


def stops(facts: Facts, tracks: Sequence[Track]) -> str:
    """"`detach()` at line 6 and line 9, and `no_grad` opened at line 8"."""
    lines: dict[str, list[str]] = {}
    for track in tracks:
        if track.cut is not None:
            what, line = stopper(facts, track)
            lines.setdefault(what, []).append(line)
    told = [f"{what} {join(list(dict.fromkeys(where)), _LISTED)}" for what, where in lines.items()]
    several = any(" and " in part for part in told[:-1])
    return join(told, _LISTED) if len(told) != 2 or not several else f"{told[0]}, and {told[1]}"


def roads_cut(facts: Facts, roots: Sequence[int], lost: Sequence[Track], count: int) -> str:
    """"its only road to `loss` is cut by `detach()` at line 6"."""
    where = goal(facts, roots)
    by = stops(facts, lost)
    return f"{roads_are_cut(1 if count == 0 and len(lost) == 1 else count, where)} by {by}"


def share(facts: Facts, alive: int, count: int, lost: Sequence[Track]) -> str:
    """"by 1 of 2 roads; the other is cut by `detach()` at line 6"; empty where nothing is lost."""
    if not lost:
        return ""
    by = stops(facts, lost)
    if count > FEW or count <= alive:
        return f"though other roads are cut by {by}"
    others = "the other is" if count - alive == 1 else "the others are"
    return f"by {alive:,} of {count:,} roads; {others} cut by {by}"


def unneeded(facts: Facts, value: Value) -> str:
    """Why a tensor does not require grad; the sentence goes on behind its name."""
    value = facts.graph.values[facts.tensor(value.id)]
    if not value.dtype.startswith(("float", "bfloat", "complex")):
        return f"is {clean(value.dtype)}, which carries no gradient"
    name = facts.name(value.id)
    # A tensor whose data is set anew is another value of the same name.
    flags = [flag for flag in facts.graph.flags if flag.value == value.id or (name and facts.name(flag.value) == name)]
    if flags and not flags[-1].requires_grad:
        return f"is frozen: its `requires_grad` was switched off at {facts.line(flags[-1].site)}"
    if value.role is Role.PARAMETER:
        return "is frozen: it requires no grad"
    cuts = cuts_behind(facts, [value.id])
    if cuts:
        what, line = cutter(facts, cuts[0])
        if cuts[0].region is not None:
            sources = facts.leaves_behind(cut.value for cut in cuts)
            return f"is a constant to autograd: it came from {tensors(facts, sources)} under {what} {line}"
        names = join([f"`{title(facts, cut.value)}`" for cut in cuts if cut.op == cuts[0].op])
        return f"is a constant to autograd: it came from {names} by {what} {line}"
    if facts.graph.ops[value.op].name == "grad":
        return "is itself a gradient, which requires no grad unless `create_graph=True` was passed"
    if made_of(facts, value.id):
        return "requires no grad: nothing that it was made from does"
    if value.role is Role.BUFFER:
        return "is a buffer, which is not trained: it requires no grad"
    return "requires no grad: it was made without `requires_grad=True`"


def ownership(facts: Facts, tensor: int) -> str:
    """Which optimizer has the parameter; empty where the program has none."""
    parameter = facts.parameters.get(tensor)
    graph = facts.graph
    if not graph.optimizers or parameter is None:
        return ""
    owners = [facts.optimizer(id) for id in dict.fromkeys(parameter.owners)]
    if not owners:
        return "no optimizer has it" if graph.values[tensor].leaf else ""
    told = join([f"`{clean(owner.kind)}` ({facts.line(owner.site)})" for owner in owners])
    return f"{told} {'has' if len(owners) == 1 else 'have'} it"


def nothing_came(facts: Facts, track: Track) -> str:
    """Why a road that autograd has carried nothing: the backward of a custom function on it may have returned None."""
    for id in track.ops:
        op = facts.graph.ops[id]
        if op.node and not op.node[-1].isdigit() and op.node != "CopySlices":
            custom = f"`{clean(op.name)}` ({facts.line(op.site)})"
            return f"autograd has a road to it, but the backward of {custom} gave None for it"
    return "autograd has a road to it, but nothing came by it"


def counted(brought: int, runs: int) -> str:
    """" in 3 of 10 runs"; empty where every run brought one."""
    return f" in {brought:,} of {runs:,} runs" if brought != runs else ""
