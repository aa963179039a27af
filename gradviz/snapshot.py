"""`make_dot` and `graph`: from a tensor at hand to its graph, with or without a recording."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from gradviz.errors import UsageError
from gradviz.graphs import Graph
from gradviz.naming import name_values, variables_of
from gradviz.recorder import recordings
from gradviz.selecting import behind
from gradviz.sites import user_frame

if TYPE_CHECKING:
    from graphviz import Digraph


def graph(var: Any) -> Graph:
    """The graph behind a tensor, or behind every tensor of a container; see `make_dot` for what `var` may be.

    Raises UsageError where `var` holds no tensor.
    """
    return locate(var, {}).graph


def make_dot(
    var: Any,
    params: Mapping[str, Any] | None = None,
    show_attrs: bool = False,
    show_saved: bool = False,
    max_attr_chars: int = 50,
) -> Digraph:
    """Draw the graph behind `var` as a `graphviz.Digraph`, in torchviz's conventions; what it cannot show, in ours.

    var: a tensor of gradviz or of PyTorch, or a tuple, list, dict or dataclass of tensors, however deep.
    params: names for tensors, by identity; they go before the names of variables.
    show_attrs: list the static arguments that a node keeps.
    show_saved: draw the tensors that a node keeps for its backward.
    max_attr_chars: longest text of one attribute; the rest becomes `...`.

    gradviz's own tensors remember what was skipped, though not for ever: `Op.forgotten` says how much was let go.
    PyTorch's do not. They show skipped ops, cuts and lines where `gradviz.record()` was around the code, inside the
    block and, as long as the recording is held, after it.

    Shows in a notebook, and renders to SVG, with no `dot` executable. Raises UsageError where `var` holds no tensor.
    """
    from gradviz.views.torchviz import digraph

    for name, tensor in (params or {}).items():
        if not (is_own(tensor) or is_torch(tensor)):
            raise UsageError(
                f"`params` names `{name}`, which is a `{type(tensor).__name__}`, not a tensor",
                help="give a dict from names to tensors, such as `dict(model.named_parameters())`",
            )
    found = locate(var, params or {})
    return digraph(
        found.graph,
        found.roots,
        found.names,
        show_attrs=show_attrs,
        show_saved=show_saved,
        max_attr_chars=max_attr_chars,
    )


class Located(NamedTuple):
    """A graph, the values in it that were asked for, and the names that were given to some of its values."""

    graph: Graph
    roots: list[int]
    names: dict[int, str]


def locate(var: Any, params: Mapping[str, Any]) -> Located:
    """The graph behind the tensors in `var`: what a recording knows of them or else what they know themselves.

    Raises UsageError where `var` holds no tensor, or tensors of both gradviz and PyTorch.
    """
    own, foreign = _tensors(var)
    if own and foreign:
        raise UsageError(
            "tensors of gradviz and of PyTorch cannot stand in one drawing", help="draw the two apart"
        )
    if foreign:
        return _recorded(foreign, params) or _walked(foreign, params)
    from gradviz.core.snapshot import snapshot
    from gradviz.core.values import value_id

    known = Graph.build(snapshot(own, params, _parameters_around()))
    named = {value_id(tensor): name for name, tensor in params.items() if not is_torch(tensor)}
    return Located(known, [value_id(tensor) for tensor in own], {id: named[id] for id in named if id in known.values})


def _parameters_around() -> dict[str, Any]:
    """The parameters of gradviz's own modules that the variables of the calling code lead to, by their names there."""
    from gradviz.core.listeners import Holder

    found: dict[str, Any] = {}

    def take(value: object, text: str) -> bool:
        if not issubclass(type(value), Holder):
            return is_own(value)
        if hasattr(value, "named_parameters") and not text.endswith("()"):
            known = {id(tensor) for tensor in found.values()}
            named: Any = value.named_parameters(text)
            found.update((name, tensor) for name, tensor in named if id(tensor) not in known)
        return True

    name_values(variables_of(user_frame(sys._getframe())), take)
    return found


def _recorded(tensors: Sequence[Any], params: Mapping[str, Any]) -> Located | None:
    """What a recording knows of PyTorch's `tensors`; None where no recording knows them all."""
    for recording in recordings():
        roots = [value for tensor in tensors if (value := recording.value_of(tensor)) is not None]
        if len(roots) < len(tensors):
            continue
        known = recording.graph()
        # A recording that ended does not see what is written in place afterwards.
        if all(known.values[root].leaf == tensor.is_leaf for root, tensor in zip(roots, tensors, strict=True)):
            values = {name: recording.value_of(tensor) for name, tensor in params.items()}
            part = behind(known, roots)
            return Located(part, roots, {id: name for name, id in values.items() if id in part.values and id})
    return None


def _walked(tensors: Sequence[Any], params: Mapping[str, Any]) -> Located:
    """What autograd itself knows of PyTorch's `tensors`."""
    from gradviz.frontends.torch.snapshot import Snapshot

    snapshot = Snapshot(tensors, params)
    values = {name: snapshot.value_of(tensor) for name, tensor in params.items()}
    roots = [value for tensor in tensors if (value := snapshot.value_of(tensor)) is not None]
    return Located(Graph.build(snapshot.events), roots, {id: name for name, id in values.items() if id is not None})


def _tensors(var: Any) -> tuple[list[Any], list[Any]]:
    """The tensors in `var`, in order, gradviz's own and PyTorch's: itself, or those in its containers, however deep."""
    from gradviz.core.tensor import Tensor

    own: list[Any] = []
    foreign: list[Any] = []
    opened: set[int] = set()
    pending = [var]
    while pending:
        item = pending.pop()
        if isinstance(item, Tensor):
            own.append(item)
        elif is_torch(item):
            foreign.append(item)
        elif id(item) not in opened:  # a container may hold itself
            opened.add(id(item))
            pending.extend(reversed(_parts(item)))
    if not own and not foreign:
        raise UsageError(
            f"there is no tensor in the `{type(var).__name__}` to draw",
            help="pass a tensor, or a tuple, list, dict or dataclass of tensors",
        )
    return own, foreign


def is_own(item: Any) -> bool:
    """True for a tensor of gradviz."""
    from gradviz.core.tensor import Tensor

    return isinstance(item, Tensor)


def _parts(item: Any) -> list[Any]:
    """What a container holds, in order; nothing for what is none."""
    # First the mappings: the results of transformers' models are both, and leave out what is None as a mapping.
    if isinstance(item, Mapping):
        return list(item.values())
    if isinstance(item, (list, tuple)):
        return list(item)
    if is_dataclass(item) and not isinstance(item, type):
        return [getattr(item, field.name, None) for field in fields(item)]
    return []


def is_torch(item: Any) -> bool:
    """True for a tensor of PyTorch. Whoever holds one has imported it."""
    torch = sys.modules.get("torch")
    kind = None if getattr(torch, "_gradviz_behind", None) else getattr(torch, "Tensor", None)
    return isinstance(kind, type) and isinstance(item, kind)
