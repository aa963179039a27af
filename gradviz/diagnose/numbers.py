"""What the numbers in values say, in a recording that was asked for values; without them every answer is "not known".

A NaN or an infinity comes down a long way before anybody sees it. Here is the way back to the operation that made it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

from gradviz.diagnose.facts import Facts
from gradviz.events import Measure
from gradviz.graphs import Graph, Op
from gradviz.picture.wording import plural

RECTIFIERS = frozenset({"relu", "relu_"})
CLIPPING = RECTIFIERS | {"relu6", "hardtanh", "hardsigmoid", "clamp", "clip", "clamp_min", "clamp_max", "threshold"}
LOGARITHMS = frozenset({"log", "log2", "log10"})
DIVISIONS = frozenset({"div", "true_divide", "divide", "remainder", "fmod"})

SATURATED = 1e-5
"""Below this mean derivative a `sigmoid` or a `tanh` is at its limits: from an input of about 11 or 6 on."""

HUGE = 1e10
"""Numbers beyond this come from weights that run away."""

FEW = 16
"""With fewer numbers than this, all of one kind may be chance."""


def size_of(graph: Graph, value: int) -> int:
    """How many elements a value has."""
    return math.prod(graph.values[value].shape)


def is_broken(graph: Graph, value: int) -> bool:
    """There is a NaN or an infinity in it, as far as is known."""
    measure = graph.measures.get(value)
    return measure is not None and bool(measure.nans or measure.infs)


# where a NaN or an infinity comes from


def origin(facts: Facts, value: int) -> Op:
    """The op to blame for the NaNs and infinities in `value`, which is broken.

    That is the first op which made one from numbers, or the first NaN where the infinities that led to it were meant,
    as in a mask of minus infinity.
    """
    trail = list(_trail(facts.graph, value))
    if _is_meant(facts.graph, trail[-1]):
        return next((op for op in reversed(trail) if _makes_nan(facts.graph, op)), trail[-1])
    return trail[-1]


def _trail(graph: Graph, value: int) -> Iterator[Op]:
    """The op that made `value`, then the one that gave it what is broken, and so on back."""
    seen: set[int] = set()
    following: int | None = value
    while following is not None:
        op = graph.ops[graph.values[following].op]
        yield op
        seen.add(op.id)
        broken = [
            item
            for item in op.value_inputs
            if is_broken(graph, item) and graph.values[item].op not in seen and not _is_gradient(graph, item)
        ]
        with_nan = [item for item in broken if graph.measures[item].nans]
        following = min(with_nan or broken, default=None)


def _is_gradient(graph: Graph, value: int) -> bool:
    """It is what backward left in `.grad`: no op of the program's made it."""
    op = graph.ops[graph.values[value].op]
    return op.is_source and op.name == "grad"


def _is_meant(graph: Graph, op: Op) -> bool:
    """The user wrote the infinity down, or brought it along: it is no result of a computation."""
    if any(graph.measures[output].nans for output in op.outputs if output in graph.measures):
        return False
    texts = [item for item in op.inputs if isinstance(item, str)] + [text for _, text in op.attrs]
    return op.is_source or any("inf" in text for text in texts)


def _makes_nan(graph: Graph, op: Op) -> bool:
    return _has_nan(graph, op.outputs) and not _has_nan(graph, op.value_inputs)


def _has_nan(graph: Graph, values: Iterable[int]) -> bool:
    return any(graph.measures[value].nans for value in values if value in graph.measures)


# in words


def made(facts: Facts, op: Op) -> str:
    """What a blamed op made of what: "`log` at line 5 made 3 infinities among 12 numbers: its input has 3 zeros"."""
    graph = facts.graph
    value = next((output for output in op.outputs if is_broken(graph, output)), None)
    if value is None:
        return f"`{op.name}` at {facts.line(op.site)}"
    found = broken_part(graph.measures[value], size_of(graph, value))
    if op.is_source:
        return f"`{facts.name(value) or op.name}` at {facts.line(op.site)} has {found} from the start"
    came = taken(facts, op)
    return f"`{op.name}` at {facts.line(op.site)} made {found}" + (f": {came}" if came else "")


def help_with(graph: Graph, op: Op) -> str:
    """What to do about a NaN or an infinity that an op made."""
    if op.is_source:
        return "look for it where the data comes from, and leave such rows out or fill them in"
    if op.name == "step":
        return "clip the gradients, or lower the learning rate"
    given = [graph.measures[item] for item in op.value_inputs if item in graph.measures]
    if any(max(-measure.low, measure.high) > HUGE for measure in given):
        return "what goes into it has grown too large: lower the learning rate, or clip the gradients"
    return "keep what goes into it inside of its range, for instance with `clamp`, or use a form that is stable"


def broken_part(measure: Measure, size: int) -> str:
    """`3 NaNs and 1 infinity among 12 numbers`."""
    parts = [plural(measure.nans, "NaN")] if measure.nans else []
    if measure.infs:
        parts.append("1 infinity" if measure.infs == 1 else f"{measure.infs:,} infinities")
    return " and ".join(parts) + (f" among {size:,} numbers" if size > 1 else "")


def taken(facts: Facts, op: Op) -> str:
    """What went into an op that is not what it can take; empty where that is not known."""
    graph = facts.graph
    for position, item in reversed(list(enumerate(op.inputs))):
        measure = graph.measures.get(item) if isinstance(item, int) else None
        if not isinstance(item, int) or measure is None:
            continue
        noun = _called(facts, op, position)
        if measure.nans or measure.infs:
            return f"{noun} has {broken_part(measure, 1)}"
        worst = "" if _overflows(graph, op) else _worst(op.name, position, measure)
        if worst:
            return f"{noun} has {worst}"
    ranges = [
        f"{_called(facts, op, position)} goes from {measure.low:.4g} to {measure.high:.4g}"
        for position, item in enumerate(op.inputs)
        if isinstance(item, int) and (measure := graph.measures.get(item)) is not None
    ]
    return ranges[0] if len(ranges) == 1 or op.name in ("pow", "exp") else " and ".join(ranges[:2])


def _overflows(graph: Graph, op: Op) -> bool:
    """A power of numbers that are too large for it, whatever their signs."""
    exponent = op.inputs[1] if op.name == "pow" and len(op.inputs) > 1 else ""
    return isinstance(exponent, str) and exponent[:1].isdigit() and not _has_nan(graph, op.outputs)


def _called(facts: Facts, op: Op, position: int) -> str:
    """`its divisor`, or the user's name for an input."""
    item = op.inputs[position]
    name = facts.name(item) if isinstance(item, int) else ""
    noun = "its divisor" if op.name in DIVISIONS and position == 1 else "its input"
    return f"{noun} `{name}`" if name else noun


def _worst(name: str, position: int, measure: Measure) -> str:
    """Why an input is one that an op makes an infinity or a NaN of; empty where it is none."""
    zeros = "a zero" if measure.zeros == 1 else f"{measure.zeros:,} zeros"
    below = f"negative numbers, down to {measure.low:.4g}"
    if name in LOGARITHMS or name in ("sqrt", "rsqrt"):
        if measure.low < 0:
            return below
        return zeros if measure.zeros and name != "sqrt" else ""
    if name == "reciprocal" or (name in DIVISIONS and position == 1):
        return zeros if measure.zeros else ""
    if name == "log1p" and measure.low <= -1:
        return f"numbers down to {measure.low:.4g}"
    if name in ("asin", "acos") and not -1 <= measure.low <= measure.high <= 1:
        return f"numbers beyond 1, from {measure.low:.4g} to {measure.high:.4g}"
    if name == "pow" and position == 0 and measure.low < 0:
        return below
    return zeros if name == "pow" and position == 0 and measure.zeros else ""


# edges, dead and flat ops


def edge(facts: Facts, op: Op) -> str | None:
    """What makes the derivative of an op infinite; empty where nothing does, None where that is not known."""
    graph = facts.graph
    if any(is_broken(graph, output) for output in op.outputs):
        return taken(facts, op)
    if op.name in ("norm", "std", "linalg_norm", "vector_norm"):
        result = graph.measures.get(op.outputs[0])
        return None if result is None else f"{result.zeros:,} of its results are zero" if result.zeros else ""
    for position, item in enumerate(op.inputs):
        if item in ("0", "0.0") and position == 1 and op.name in DIVISIONS:
            return "its divisor is zero"
        measure = graph.measures.get(item) if isinstance(item, int) else None
        if not isinstance(item, int) or (op.name in DIVISIONS and position != 1) or (op.name == "pow" and position):
            continue
        if measure is None:
            return None
        noun = _called(facts, op, position)
        worst = _worst(op.name, position, measure)
        if not worst and op.name == "sqrt" and measure.zeros:
            worst = "a zero" if measure.zeros == 1 else f"{measure.zeros:,} zeros"
        if not worst and op.name in ("asin", "acos") and (measure.low == -1 or measure.high == 1):
            worst = "numbers that are exactly 1 or -1"
        if worst:
            return f"{noun} has {worst}"
    return ""


def is_dead(graph: Graph, op: Op) -> bool:
    """Everything that a `relu` gave is zero."""
    if op.name not in RECTIFIERS or not op.outputs:
        return False
    measure = graph.measures.get(op.outputs[0])
    return measure is not None and measure.zeros == size_of(graph, op.outputs[0])


def slope(graph: Graph, op: Op) -> float | None:
    """The mean derivative of a `sigmoid` or a `tanh`; None where it is not known, or the op is neither."""
    if op.name.rstrip("_") not in ("sigmoid", "tanh") or not op.outputs:
        return None
    measure = graph.measures.get(op.outputs[0])
    if measure is None or measure.nans or measure.infs:
        return None
    square = measure.norm * measure.norm / size_of(graph, op.outputs[0])
    return max(0.0, (1.0 if op.name.startswith("tanh") else measure.mean) - square)


def why_flat(facts: Facts, op: Op, value: int) -> str:
    """How the numbers show that no gradient passes `op` to its input `value`; empty where one may."""
    graph = facts.graph
    result = graph.measures.get(op.outputs[0]) if op.outputs else None
    if result is None or result.nans or result.infs:
        return ""
    if is_dead(graph, op):
        return "gives nothing but zeros"
    if op.name in CLIPPING:
        before = graph.measures.get(value)
        clipped = before is not None and (before.low, before.high) != (result.low, result.high)
        return f"clips everything to {result.low:.4g}" if clipped and result.low == result.high else ""
    steepness = slope(graph, op)
    if steepness is not None:
        return "is at its limits everywhere" if steepness < 1e-15 else ""
    if op.name == "mul":
        for other in op.value_inputs:
            factor = graph.measures.get(other)
            zero = factor is not None and factor.zeros == size_of(graph, other)
            # A factor that is trained may start at zero, as the scale of a residual branch does.
            if other != value and zero and not graph.values[other].requires_grad:
                return "multiplies by nothing but zeros"
    return ""


def feeds_parameters(facts: Facts, op: Op) -> bool:
    """A later op takes a parameter besides: `op` is a layer, and not a term of the loss."""
    graph = facts.graph
    return any(
        graph.values[item].leaf and graph.values[item].requires_grad
        for id in facts.ahead(op.outputs)
        for item in graph.ops[id].value_inputs
    )
