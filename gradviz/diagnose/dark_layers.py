"""Dark layers: a ReLU that the gradients alone give away as dead, in a recording without values.

Of a layer `weight @ x + bias` the weight's gradient is a product with `x`, the bias's is not. So where the bias got one
and the weight got exactly zero in the same backward, what the layer was given was nothing but zeros.
"""

from __future__ import annotations

from gradviz.diagnose.facts import Facts
from gradviz.diagnose.numbers import RECTIFIERS
from gradviz.graphs import Graph, Op

LAYERS = frozenset({"linear", "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d"})
"""Ops of input, weight and bias, in this order."""

PASSING = frozenset(
    {"view", "reshape", "flatten", "squeeze", "unsqueeze", "permute", "transpose", "contiguous", "dropout", "clone",
     "max_pool1d", "max_pool2d", "max_pool3d", "avg_pool1d", "avg_pool2d", "avg_pool3d", "adaptive_avg_pool1d",
     "adaptive_avg_pool2d", "adaptive_max_pool2d"}
)  # fmt: skip
"""Ops whose result is zero where what they are given is."""


DROPPING = frozenset({"dropout", "dropout1d", "dropout2d", "dropout3d", "feature_dropout"})
"""Dropouts that put zeros in the place of what they drop."""


def dark(facts: Facts) -> frozenset[int]:
    """The calls of a ReLU that gave nothing but zeros, as far as gradients show it."""
    return facts.once(_dark)


def _dark(facts: Facts) -> frozenset[int]:
    graph = facts.graph
    zero: dict[tuple[int, int], bool] = {}  # by sweep and parameter: whether its gradient is exactly zero
    for parameter in facts.parameters.values():
        for index, gradient in parameter.gradients:
            zero[index, parameter.id] = gradient.zero and not gradient.estimated
    found = set()
    for id, sweeps in facts.swept.items():
        op = graph.ops[id]
        if op.name in LAYERS and len(op.value_inputs) == 3:
            given, weight, bias = op.value_inputs
            states = [(zero.get((at, facts.tensor(weight))), zero.get((at, facts.tensor(bias)))) for at in sweeps]
            maker = without_passing(facts, graph.ops[graph.values[given].op])
            if maker.name in RECTIFIERS and all(state == (True, False) for state in states):
                found.add(maker.id)
    return frozenset(found)


def drops_all(graph: Graph, op: Op) -> bool:
    """A dropout whose `p` is 1; of the core's own that shows in its factor, which is one zero and no mask."""
    if op.name not in DROPPING or not op.tracked:
        return False
    told = dict(op.attrs).get("p", "")
    if told.replace(".", "", 1).isdigit():
        return float(told) >= 1
    factors = [graph.values[item].shape for item in op.value_inputs[1:]]
    return factors == [()] and graph.values[op.outputs[0]].shape != ()


def without_passing(facts: Facts, op: Op) -> Op:
    """`op`, or the op before it that is the first to make zeros of what is none, or to change them."""
    graph = facts.graph
    while op.name in PASSING and op.value_inputs and not drops_all(graph, op):
        op = graph.ops[graph.values[op.value_inputs[0]].op]
    return op
