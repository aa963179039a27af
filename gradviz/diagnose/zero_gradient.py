"""A parameter got gradients that are exactly zero.

## What it does
Looks for trained parameters whose gradient was zero in every sweep while others got more. Warns where it finds the
reason: every road goes through a flat operation such as `sign`; two roads meet in a difference and cancel, as in a
straight-through estimate without its `detach()`; a softmax is over one class; a dropout drops everything; a layer was
given no rows; or a ReLU gives nothing but zeros, which shows in the next layer: its bias has a gradient, its weight has
zeros. A recording with values (`--values`) has more reasons: a `clamp` that clips everything, a factor that is zero.
Where every road goes through a tensor with a hook, it names the hook. Without a reason it is a note: a zero can be the
honest answer, as for a first step from weights of zero. Where three steps or more leave it at zero, it is a warning,
and so it is where several parameters get nothing but zeros in several sweeps, and none gets more.

## Why is this bad
Zero is not None: the optimizer takes the gradient and the parameter does not move.

## Example
    mask = torch.sign(x - threshold)

## Use instead
    mask = torch.tanh((x - threshold) / temperature)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from gradviz.diagnose import numbers
from gradviz.diagnose.dark_layers import dark, drops_all, without_passing
from gradviz.diagnose.facts import Facts, Parameter, verb
from gradviz.diagnose.findings import Complaint, Severity
from gradviz.events import Act, Sweep
from gradviz.graphs import Op
from gradviz.query import gradient_inputs

CODE = "GV601"
DEAD = "gives nothing but zeros"
EMPTY = "was given no rows, in any step"
DROPPED = "drops everything: its `p` is 1"
EVERY = "every"
FLAT = frozenset({"sign", "sgn", "round", "floor", "ceil", "trunc", "fix", "heaviside", "floor_divide"})
DRAWN = frozenset({"normal", "bernoulli", "poisson"})
"""Draws of numbers whose distribution is a tensor's: autograd passes zeros through them."""
STRAIGHT = "straight-through"
ONE_CLASS = "one-class"
HOOKED = "hooked"
SHIFTING = frozenset({"add", "sub", "view", "reshape", "clone", "squeeze", "unsqueeze", "expand"})


Reason = tuple[str, int | None]
"""What makes a gradient zero, and the site of that: the name of a flat op, `cancel`, a clause, `EVERY` where all are
and none says why, or empty for unknown."""


def check(facts: Facts) -> Iterator[Complaint]:
    """One complaint for each reason."""
    for (reason, site), values in facts.once(_zeroed).items():
        subject = f"{facts.subject(values)} got a gradient of exactly zero in every backward"
        if reason == EVERY:
            root = facts.subject([_fed(facts)[-1].roots[0]])
            told = f"every gradient is exactly zero: no change of {facts.subject(values)} moves {root}"
            severity = Severity.WARNING
            help = "check with `--values` which operation is flat, such as a `clamp` or a `sigmoid` at its limits"
        elif reason in ("", HOOKED):
            told, severity, help = _unexplained(facts, subject, values)
            if reason == HOOKED:
                told += f"; it comes through the hook at {facts.line(site)}"
                help = "see what the hook returns: that takes the gradient's place"
        elif reason == "cancel":
            told = (
                f"{subject}: two roads to {verb(values, 'it', 'them')}, one through {facts.line(site)}, meet and cancel"
            )
            severity, help = Severity.WARNING, "detach one of the two roads"
        elif reason == STRAIGHT:
            told = f"{subject}: the straight-through estimate at {facts.line(site)} takes away again what it adds"
            severity, help = Severity.WARNING, "detach the difference: `x + (hard - x).detach()`"
        elif reason == ONE_CLASS:
            told = f"{subject}: the softmax at {facts.line(site)} is over one class, and gives 1 whatever goes in"
            severity = Severity.WARNING
            help = "for one output use `sigmoid`, such as in `binary_cross_entropy_with_logits`"
        elif " " in reason:
            told, severity = f"{subject}: {reason}", Severity.WARNING
            help = "bring what goes into it to where it has a slope, or use an operation that has one"
            if reason.endswith(EMPTY):
                help = "nothing, if that is meant; else see why the selection that goes into it is empty"
            elif reason.endswith(DROPPED):
                help = "give it less: `p` is the share of the elements that is dropped, not of those that are kept"
        elif reason in DRAWN:
            told = f"{subject}: `{reason}` at {facts.line(site)} draws numbers and passes zeros back"
            severity = Severity.WARNING
            help = _REPARAMETERIZED if reason == "normal" else "put the `log_prob` of what is drawn into the loss"
        else:
            told = f"{subject}: `{reason}` at {facts.line(site)} is flat everywhere"
            severity, help = (
                Severity.WARNING,
                "use a smooth form, such as `tanh` or `sigmoid`, or a straight-through estimate",
            )
        yield Complaint(severity, told, help, site, tuple(values))


_REPARAMETERIZED = "shift and scale what is drawn: `mean + std * torch.randn_like(mean)`"


_LASTING = 3
"""Steps that a zero must outlast to be no first state: weights of zero are left behind by one, or by the second where
the learning rate begins at zero."""


def _unexplained(facts: Facts, subject: str, values: list[int]) -> tuple[str, Severity, str]:
    """What to say where nothing shows why a gradient is zero: a warning where the steps do not change it."""
    it = verb(values, "it", "them")
    help = f"see whether the loss should depend on {it} at all"
    lasting = min(_steps_with_gradient(facts, facts.parameters[value]) for value in values) >= _LASTING
    if not lasting or all(_may_cancel(facts, value, values) for value in values):
        return subject, Severity.NOTE, help
    if not facts.graph.measures:
        help = "check with `--values` which operation on the way is flat or multiplies by zeros"
    return f"{subject}, so no step moves {it}", Severity.WARNING, help


def _may_cancel(facts: Facts, value: int, values: list[int]) -> bool:
    """The parameter only shifts what others, which do learn, make: a loss of differences does not depend on it."""
    for id in facts.uses(facts.parameters[value]):
        op = facts.graph.ops[id]
        shifts = op.name in ("add", "sub") or (len(op.value_inputs) > 2 and facts.tensor(op.value_inputs[-1]) == value)
        if not shifts or any(facts.tensor(item) in values for item in op.value_inputs if facts.tensor(item) != value):
            return False
    return True


def _steps_with_gradient(facts: Facts, parameter: Parameter) -> int:
    """How many steps its optimizers took, each behind a sweep that gave it a gradient."""
    fed = {facts.graph.sweeps[index].id for index, _ in parameter.gradients}
    steps, since = 0, False
    for item in facts.graph.order:
        if isinstance(item, Sweep):
            since = since or item.id in fed
        elif isinstance(item, Act) and item.kind == "step" and item.optimizer in parameter.owners:
            steps, since = steps + since, False
    return steps


def blamed_sites(facts: Facts) -> frozenset[int | None]:
    """Where numbers show why a gradient is zero: other rules need not tell of what stands there."""
    return frozenset(site for reason, site in facts.once(_zeroed) if " " in reason)


def _zeroed(facts: Facts) -> dict[Reason, list[int]]:
    """The parameters whose every gradient is zero, by the reason."""
    reasons: dict[Reason, list[int]] = {}
    unexplained: list[int] = []
    for parameter in facts.parameters.values():
        got = [gradient for _, gradient in parameter.gradients]
        if not got or not all(gradient.zero and not gradient.estimated for gradient in got):
            continue
        others = facts.graph.sweeps[parameter.gradients[-1][0]].gradients
        if not facts.is_trained(parameter):
            continue
        found = _reason(facts, parameter)
        # One backward before the program broke off says little: a first state is often zero.
        alone = len(got) == 1 and bool(facts.graph.errors)
        if found[0] or (not alone and any(not gradient.zero for gradient in others)):
            reasons.setdefault(found, []).append(parameter.id)
        elif not alone:
            unexplained.append(parameter.id)
    sweeps = _fed(facts)
    # Once it may be a loss that is met.
    several = len(unexplained) > 1 and len(sweeps) > 1
    if several and all(gradient.zero for sweep in sweeps for gradient in sweep.gradients):
        nothing = EVERY, facts.maker_site(sweeps[-1].roots[0])
        reasons[_flat_for_all(facts, unexplained) or nothing] = unexplained
    return reasons


def _fed(facts: Facts) -> list[Sweep]:
    """The sweeps that gave any gradient."""
    return [sweep for sweep in facts.graph.sweeps if sweep.gradients]


def _reason(facts: Facts, parameter: Parameter) -> Reason:
    """What makes it zero, and where."""
    graph = facts.graph
    index, gradient = parameter.gradients[-1]
    on_road = facts.ahead([gradient.value], within=facts.walked(index))
    road = set(on_road)
    flat = [id for id in on_road if graph.ops[id].name in FLAT | DRAWN]
    if flat and _blocks(facts, parameter, road, flat):
        return graph.ops[flat[0]].name, graph.ops[flat[0]].site
    single = [id for id in on_road if _is_of_one_class(facts, graph.ops[id])]
    if single and _blocks(facts, parameter, road, single):
        return ONE_CLASS, graph.ops[single[0]].site
    uses = [graph.ops[id] for id in facts.uses(parameter)]
    if uses and all(0 in graph.values[op.outputs[0]].shape for op in uses):
        return f"`{uses[-1].name}` at {facts.line(uses[-1].site)} {EMPTY}", uses[-1].site
    dropping = [id for id in on_road if drops_all(graph, graph.ops[id])]
    if dropping and _blocks(facts, parameter, road, dropping):
        return _dropped(facts, graph.ops[dropping[0]])
    numeric = _flat_by_numbers(facts, parameter, on_road) if graph.measures else _flat_by_gradients(facts, on_road)
    dead = _given_zeros(facts, parameter, on_road)
    if dead is not None and drops_all(graph, dead):
        return _dropped(facts, dead)
    if dead is not None:
        return f"`{dead.name}` at {facts.line(dead.site)} {DEAD}", dead.site
    if numeric and _blocks(facts, parameter, road, {*numeric, *flat}):
        first = graph.ops[min(numeric)]
        return f"`{first.name}` at {facts.line(first.site)} {numeric[first.id]}", first.site
    if flat and (straight := _undone(facts, flat, on_road)) is not None:
        return STRAIGHT, straight.site
    for id in on_road:
        op = graph.ops[id]
        pair = [item for item in gradient_inputs(graph, op) if graph.values[item].op in road]
        if op.name in ("sub", "rsub") and len(pair) == 2:
            for longer, shorter in (pair, pair[::-1]):
                if _shifted(facts, longer, shorter):
                    return "cancel", facts.maker_site(longer)
    hooked = {graph.values[item].op: site for item, site in facts.hooked.items()}
    passed = [id for id in on_road if id in hooked]
    if passed and _blocks(facts, parameter, road, passed):
        return HOOKED, hooked[passed[0]]
    return "", graph.ops[on_road[0]].site if on_road else facts.maker_site(parameter.id)


def _dropped(facts: Facts, op: Op) -> Reason:
    return f"`{op.name}` at {facts.line(op.site)} {DROPPED}", op.site


def _is_of_one_class(facts: Facts, op: Op) -> bool:
    """A softmax, or a loss with one in it, along a dimension of length one."""
    shape = facts.graph.values[op.value_inputs[0]].shape if op.value_inputs else ()
    if op.name == "cross_entropy":
        return bool(shape) and shape[min(1, len(shape) - 1)] == 1
    dim = dict(op.attrs).get("dim", "") if op.name in ("softmax", "log_softmax") else ""
    along = int(dim) if dim.lstrip("-").isdigit() else len(shape)
    return -len(shape) <= along < len(shape) and shape[along] == 1


def _undone(facts: Facts, flat: list[int], on_road: list[int]) -> Op | None:
    """The sum in `x + (flat(x) - x)`, whose gradient is zero; None where the road has no such."""
    graph = facts.graph
    for id in on_road:
        op = graph.ops[id]
        for item in gradient_inputs(graph, op) if op.name == "add" else ():
            taken = graph.ops[graph.values[item].op]
            inputs = gradient_inputs(graph, taken)
            if taken.name != "sub" or len(inputs) != 2 or inputs[1] not in op.value_inputs:
                continue
            hard = graph.ops[graph.values[inputs[0]].op]
            if hard.id in flat and inputs[1] in hard.inputs:
                return op
    return None


def _flat_for_all(facts: Facts, parameters: Iterable[int]) -> Reason | None:
    """The last op that every road goes through and whose numbers show that it passes nothing on, small or not."""
    if not facts.graph.measures:
        return None
    starved = [facts.parameters[id] for id in parameters]
    index, _ = starved[-1].gradients[-1]
    for id in sorted(facts.walked(index), reverse=True):
        op = facts.graph.ops[id]
        why = [numbers.why_flat(facts, op, item) for item in gradient_inputs(facts.graph, op)]
        if why and all(why) and all(_blocks(facts, one, set(facts.walked(index)), [id]) for one in starved):
            return f"`{op.name}` at {facts.line(op.site)} {why[0]}", op.site
    return None


def _blocks(facts: Facts, parameter: Parameter, road: set[int], ops: Iterable[int]) -> bool:
    """Every road to the last sweep goes through one of `ops`."""
    index, gradient = parameter.gradients[-1]
    around = set(facts.ahead([gradient.value], within=road.difference(ops)))
    return not any(facts.graph.values[root].op in around for root in facts.graph.sweeps[index].roots)


def _flat_by_numbers(facts: Facts, parameter: Parameter, on_road: list[int]) -> dict[int, str]:
    """The ops on the road whose numbers show that they pass nothing on, and how."""
    graph, road = facts.graph, set(on_road)
    found: dict[int, str] = {}
    for id in on_road:
        op = graph.ops[id]
        inputs = gradient_inputs(graph, op)
        given = [item for item in inputs if item in parameter.versions or graph.values[item].op in road]
        reasons = [numbers.why_flat(facts, op, item) for item in given]
        if not reasons or not all(reasons):
            continue
        if op.name not in numbers.CLIPPING or _is_layer(facts, op, len(parameter.gradients)):
            found[id] = reasons[0]
    return found


def _flat_by_gradients(facts: Facts, on_road: list[int]) -> dict[int, str]:
    """The same, from what the gradients of the layers around show."""
    return {id: DEAD for id in on_road if id in dark(facts)}


def _is_layer(facts: Facts, op: Op, calls: int) -> bool:
    """That an op passes nothing on says something: a hinge that is met gives zeros, too, and a small layer may."""
    return numbers.size_of(facts.graph, op.outputs[0]) * calls >= numbers.FEW and numbers.feeds_parameters(facts, op)


def _given_zeros(facts: Facts, parameter: Parameter, on_road: list[int]) -> Op | None:
    """The dead ReLU, or the dropout, whose zeros a parameter is multiplied by."""
    graph = facts.graph
    for id in on_road[:1]:
        for item in graph.ops[id].value_inputs:
            maker = graph.ops[graph.values[item].op]
            before = without_passing(facts, maker)
            if drops_all(graph, before):
                return before
            if graph.measures:
                if numbers.is_dead(graph, maker) and _is_layer(facts, maker, len(parameter.gradients)):
                    return maker
            elif before.id in dark(facts):
                return before
    return None


def _shifted(facts: Facts, value: int, base: int) -> bool:
    """`value` is `base` plus something: its derivative by `base` is exactly one."""
    graph = facts.graph
    pending, seen = [value], {value}
    while pending:
        op = graph.ops[graph.values[pending.pop()].op]
        if op.tracked and op.name in SHIFTING:
            inputs = gradient_inputs(graph, op)
            if base in inputs:
                return True
            # In `a - b` only a passes on as it is.
            onward = [item for item in (inputs[:1] if op.name == "sub" else inputs) if item not in seen]
            seen.update(onward)
            pending += onward
    return False
