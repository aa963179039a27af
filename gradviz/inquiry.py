"""`explain`: from a tensor at hand, or a name in a graph, to the account of its gradient."""

from __future__ import annotations

import sys
from dataclasses import replace
from types import FrameType
from typing import Any, overload

from gradviz.accounts import Account, Held, account_of, look_up
from gradviz.errors import UsageError
from gradviz.events import Gradient
from gradviz.graphs import Graph
from gradviz.picture.wording import clean
from gradviz.recorder import Recorder, recordings
from gradviz.snapshot import is_own, is_torch, locate


@overload
def explain(subject: Graph | Recorder, of: str) -> Account: ...


@overload
def explain(subject: Any, of: Any = None) -> Account: ...


def explain(subject: Any, of: Any = None) -> Account:
    """Say what gradient a tensor got, and by which road, or which line stops it. The account prints as text.

    subject: a tensor of gradviz or of PyTorch, or a `Graph` or a recording to look in.
    of: with a tensor, the result to look for roads to, such as the loss; needed only where nothing was recorded. With
        a graph or a recording, the tensor's name (`model.fc.weight`) or the line that made it (`train.py:14`).

    Inside `with gradviz.record():`, and after it as long as the recording is held, the recording is asked: it knows the
    uses of the tensor and the backward passes. Without one, a tensor knows its own history and what `.grad` holds.
    Raises UsageError where there is no such tensor, or several.
    """
    if isinstance(subject, Recorder):
        subject = subject.graph()
    if isinstance(subject, Graph):
        return _by_name(subject, of)
    for tensor in (subject, of):
        if tensor is not None and not (is_own(tensor) or is_torch(tensor)):
            raise UsageError(
                f"a `{type(tensor).__name__}` is no tensor", help="pass a tensor, or a graph and the name of a tensor"
            )
    caller = sys._getframe(1)
    called = _variable(subject, caller)
    held = Held(_gradient(subject))
    for recording in recordings():
        known = _value_in(recording, subject)
        if known is not None:
            graph, value = known
            return account_of(_named(graph, value, called), value, held=held)
    given = [subject] if of is None else [subject, of]
    names = {name: tensor for tensor in given if (name := _variable(tensor, caller))}
    found = locate(given, names)
    graph = found.graph
    for value, name in found.names.items():
        graph = _named(graph, value, name)
    return account_of(graph, found.roots[0], held=replace(held, recorded=False))


def _by_name(graph: Graph, name: Any) -> Account:
    if not isinstance(name, str):
        raise UsageError("a graph holds many tensors", help='name one of them: `explain(graph, "loss")`')
    found = look_up(graph, name)
    if found.value is None:
        picks = " or ".join(f"`{choice.pick}`" for choice in found.choices)
        raise UsageError(f"`{clean(name)}` makes several tensors", help=f"ask for {picks}")
    return account_of(graph, found.value, remarks=found.remarks)


def _value_in(recording: Recorder, tensor: Any) -> tuple[Graph, int] | None:
    """The graph of a recording that knows `tensor`, and the value that it is there."""
    if is_own(tensor):
        from gradviz.core.values import value_id

        value: int | None = value_id(tensor)
    else:
        value = recording.value_of(tensor)
    if value is None:
        return None
    graph = recording.graph()
    return (graph, value) if value in graph.values else None


def _variable(tensor: Any, frame: FrameType) -> str:
    """The variable of the caller's that holds `tensor`; empty for none."""
    for variables in (frame.f_locals, frame.f_globals):
        for name, value in list(variables.items()):
            if value is tensor and name != "_":
                return name
    return ""


def _named(graph: Graph, value: int, name: str) -> Graph:
    """`graph`, in which `value` is called `name` if it has no name."""
    found = graph.values[value]
    if found.name or not name:
        return graph
    return replace(graph, values={**graph.values, value: replace(found, name=name)})


def _gradient(tensor: Any) -> Gradient | None:
    """What `.grad` of a tensor holds at this moment; None for nothing. Recordings do not hear of the look."""
    if is_own(tensor):
        from gradviz.core.measuring import measure_gradient

        gradient = tensor._grad if tensor.is_leaf or tensor.retains_grad else None
        return None if gradient is None else measure_gradient(0, gradient)
    from gradviz.frontends.torch.autograd.gradients import measure

    with sys.modules["torch"]._C.DisableTorchFunction():
        gradient = tensor.grad if tensor.is_leaf or tensor.retains_grad else None
        return None if gradient is None else Gradient(0, *measure([gradient])[0])
