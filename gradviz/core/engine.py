"""Reverse mode: walk from the roots to the leaves and multiply by one Jacobian at a time.

Ids grow in the order in which ops ran, so the nodes behind the roots, sorted by id from the newest down, are in the
order in which every node has received all its cotangents before it is run. No recursion, so a chain may be as long as
memory allows.
"""

from __future__ import annotations

import functools
import operator
import sys
import warnings
from collections.abc import Callable, Collection, Sequence
from typing import Any

import numpy as np

from gradviz.core import anomaly
from gradviz.core.apply import leaf as new_leaf
from gradviz.core.complaints import NO_GRAD_FN, NOT_SCALAR, NOT_USED
from gradviz.core.differentiable import pull as differentiable_pull
from gradviz.core.feeding import Sweep, accumulate, feed, run_node_hooks, running
from gradviz.core.fields import ALONE, MANY
from gradviz.core.listeners import listeners
from gradviz.core.pullback import SOLE, Arrivals, arrive
from gradviz.core.tensor import Tensor
from gradviz.core.trace import GENERAL, HOOKED, PAIRED, SEVERAL, Node, Untracked, origin_of
from gradviz.core.walking import run_node
from gradviz.errors import NotWrittenError
from gradviz.sites import user_frame


def backward(
    tensors: Tensor | Sequence[Tensor],
    grad_tensors: Tensor | Sequence[Tensor | None] | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: Tensor | Sequence[Tensor] | None = None,
) -> None:
    """Add to the `.grad` of every leaf behind `tensors` (or of `inputs` only).

    grad_tensors: one cotangent a root, shaped like it; None for a root of a single element.
    Raises RuntimeError with PyTorch's texts.
    """
    roots = _as_tuple(tensors)
    chosen = None if inputs is None else _as_tuple(inputs)
    _run("backward", roots, _as_tuple(grad_tensors), retain_graph, create_graph, chosen)


def grad(
    outputs: Tensor | Sequence[Tensor],
    inputs: Tensor | Sequence[Tensor],
    grad_outputs: Tensor | Sequence[Tensor | None] | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    only_inputs: bool = True,
    allow_unused: bool | None = None,
    is_grads_batched: bool = False,
    materialize_grads: bool = False,
) -> tuple[Tensor | None, ...]:
    """The gradient of `outputs` for each of `inputs`, shaped like it; `.grad` is left alone.

    only_inputs: has no effect but a warning where it is False.
    allow_unused: give None for an input that the outputs do not depend on, rather than raise.
    materialize_grads: give zeros instead of None.
    Raises ValueError for `materialize_grads` where `allow_unused` is False, NotWrittenError for `is_grads_batched`.
    """
    if materialize_grads and allow_unused is False:
        raise ValueError(
            "Expected allow_unused to be True or not passed when materialize_grads=True, but got: allow_unused=False."
        )
    if not only_inputs:
        warnings.warn(
            "only_inputs argument is deprecated and is ignored now (defaults to True). To accumulate gradient for "
            "other parts of the graph, please use torch.autograd.backward.",
            FutureWarning,
            stacklevel=2,
        )
    if is_grads_batched:
        raise NotWrittenError("`is_grads_batched` of `grad` is not written yet", help="call it for each cotangent")
    chosen = _as_tuple(inputs)
    optional = bool(allow_unused) or materialize_grads
    results = _run("grad", _as_tuple(outputs), _as_tuple(grad_outputs), retain_graph, create_graph, chosen, optional)
    if materialize_grads:
        results = [
            new_leaf(np.zeros_like(tensor._data), "grad", False, inner=True) if result is None else result
            for tensor, result in zip(chosen, results, strict=True)
        ]
    if listeners:
        frame = user_frame(sys._getframe(1))
        for listener in tuple(listeners):
            listener.named(results, frame)
    return tuple(results)


def _run(
    kind: str,
    roots: tuple[Tensor, ...],
    given: tuple[Any, ...],
    retain_graph: bool | None,
    create_graph: bool,
    inputs: tuple[Tensor, ...] | None,
    optional: bool = True,
) -> list[Tensor | None]:
    keep = bool(create_graph if retain_graph is None else retain_graph)
    sweep = Sweep(kind, roots, inputs, keep, bool(create_graph))
    sweep.frame = user_frame(sys._getframe(2))
    outer = running.get()
    running.set(sweep)
    try:
        if inputs is not None and not inputs:
            raise RuntimeError(f"`inputs` argument to `{kind}()` cannot be empty.")
        cotangents = _seeds(roots, given or (None,) * len(roots))
        for position, tensor in enumerate(inputs or ()):
            if not tensor.requires_grad:
                raise RuntimeError(
                    "One of the differentiated Tensors does not require grad"
                    if kind == "grad"
                    else f"One of the differentiated Tensors at index {position} does not require grad"
                )
        if create_graph:
            walk = functools.partial(_pull, sweep, keep)
            results = differentiable_pull(sweep, cotangents, given, walk)
        else:
            results = _pull(sweep, keep, cotangents, run_node if anomaly.state.enabled else None)
        for position, result in enumerate(results):
            if result is None and not optional:
                raise RuntimeError(NOT_USED.format(position))
        return results
    except BaseException as error:
        sweep.error = str(error) or type(error).__name__
        sweep.concerned = vars(error).get("concerned", ())
        raise
    finally:
        for listener in tuple(listeners):
            listener.sweep_ran(sweep, sweep.frame)
        sweep.frame, sweep.behind = None, ((), ())
        running.set(outer)


def _seeds(roots: tuple[Tensor, ...], given: tuple[Any, ...]) -> list[Any]:
    if len(given) < len(roots):
        raise RuntimeError(f"got {len(roots)} tensors and {len(given)} gradients")
    seeds = []
    for position, root in enumerate(roots):
        cotangent, data = given[position], root._data
        if not root._requires_grad and root.grad_fn is None:
            raise RuntimeError(NO_GRAD_FN.format(position))
        if cotangent is not None:
            if cotangent._data.shape != data.shape:
                have, want = list(cotangent._data.shape), list(data.shape)
                raise RuntimeError(
                    f"Mismatch in shape: grad_output[{position}] has a shape of torch.Size({have}) and "
                    f"output[{position}] has a shape of torch.Size({want})."
                )
            seeds.append(cotangent._data)
        elif type(data) is not np.ndarray:
            seeds.append(_ONES.get(type(data)) or type(data)(1))
        elif data.size == 1:
            seeds.append(np.ones(data.shape, data.dtype)[()])
        else:
            raise RuntimeError(NOT_SCALAR)
    return seeds


_ONES = {kind: kind(1) for kind in (np.float32, np.float64)}


def _pull(
    sweep: Sweep, keep: bool, seeds: list[Any], run: Callable[..., None] | None = None
) -> list[Tensor | None]:
    """Run every node behind the roots, newest first; feed leaves, or collect for `sweep.inputs`.

    run: runs a node, on whatever `seeds` are; by default on arrays, and by compiled code where there is some.
    """
    pending: dict[Node, Any] = {}
    arrivals: Arrivals = {}
    order = _order(sweep.roots, seeds, pending, arrivals)
    wanted = None if sweep.inputs is None else _wanted(sweep.inputs)
    collected: dict[int, Any] = {}

    useful = _useful(order, wanted) if wanted is not None else None
    reached: Collection[Node] = order
    sweep.behind = reached, arrivals
    if wanted is not None and useful is not None:
        reached = useful | {key[0] for key in wanted if type(key) is tuple}
        sweep.behind = reached, arrivals.keys() & wanted.keys()
    # After these nodes, a leaf has all that comes back to it.
    lasts = list({entry[1] for entry in arrivals.values()})
    lasts.sort(key=_by_id)
    last = lasts.pop() if lasts else None
    if last is _NOBODY:
        last = lasts.pop() if lasts else None
        for root in sweep.roots:
            _release(root, _NOBODY, arrivals, sweep, wanted, collected)
    plain = run is None and useful is None
    pop = pending.pop
    for node in order:
        g = pop(node)
        careful = node.flags & _CAREFUL
        if plain and not careful:
            if g is not None:
                node.row.pull(node, g, pending, arrivals, keep)  # type: ignore[misc]
                g = None
        elif plain and careful in _COMPILED:
            if careful & SEVERAL:
                g = None if all(slot is None for slot in g) else tuple(g)
            if g is not None:
                node.row.pull_paired(node, g, pending, arrivals, keep)  # type: ignore[misc]
                g = None
        else:
            slots = g if type(g) is list else [g]
            if node.flags & HOOKED and (useful is None or node in reached):
                run_node_hooks(node, slots)
            if wanted is not None:
                for number, slot in enumerate(slots):
                    for position in wanted.get((node, number), ()):
                        collected[position] = slot
            runs = any(slot is not None for slot in slots) or (node.runs_on_nothing and run in (None, run_node))
            if runs and (useful is None or node in useful):
                (run or run_node)(node, slots, pending, arrivals, keep)
        if node is last:
            for leaf in node.leaf0 if node.link1 is MANY else (node.leaf0, node.leaf1):
                if leaf is not None:
                    _release(leaf, node, arrivals, sweep, wanted, collected)
            last = lasts.pop() if lasts else None
    return [] if wanted is None else _deliver(sweep, collected)


def _order(roots: tuple[Tensor, ...], seeds: list[Any], pending: dict[Node, Any], arrivals: Arrivals) -> list[Node]:
    """All nodes behind the roots, newest first.

    Fills in a place in `pending` for each of them, in `arrivals` for each leaf that they feed, and what the seeds are.
    """
    order: list[Node] = []
    arrived = arrivals.get
    for root, seed in zip(roots, seeds, strict=True):
        origin = root.grad_fn
        if origin is None:
            entry = arrivals.setdefault(id(root), [root, _NOBODY, None, False])
            entry[2] = seed if entry[2] is None else entry[2] + seed
        else:
            if origin not in pending:
                pending[origin] = [None] * (1 + len(origin.more)) if origin.flags & SEVERAL else None
                order.append(origin)
            arrive(pending, origin, root._number, seed)

    for node in order:
        if node.leaf0 is not None or node.leaf1 is not None:
            for leaf in node.leaf0 if node.link1 is MANY else (node.leaf0, node.leaf1):
                if leaf is not None:
                    known = arrived(id(leaf))
                    if known is None:
                        arrivals[id(leaf)] = [leaf, node, None, False]
                    elif node.id < known[1].id:
                        known[1] = node
        if node.flags & _MIXED:
            _reach(node, pending, order)
            continue
        for link in node.link0 if node.link1 is MANY else (node.link0, node.link1):
            if link not in pending and type(link) not in _NO_NODES:
                if link.flags & SEVERAL:
                    _reach(node, pending, order)
                else:
                    pending[link] = None
                    order.append(link)
    order.sort(key=_by_id, reverse=True)
    return order


def _reach(node: Node, pending: dict[Node, Any], order: list[Node]) -> None:
    """Add what lies behind a node whose links may be pairs, or lead to an output that never requires grad."""
    links = node.link0 if node.link1 is MANY else (node.link0, node.link1)
    for link, need in zip(links, node.needs):  # noqa: B905 - the second field may stand for no link
        if need and link not in pending:
            if type(link) is tuple:
                link = link[0]
                if link in pending:
                    continue
            if isinstance(link, Node):
                pending[link] = [None] * (1 + len(link.more)) if link.flags & SEVERAL else None
                order.append(link)


_MIXED = GENERAL | PAIRED
"""Flags of nodes that may have pairs for links."""
_NO_NODES = frozenset({Untracked, float, int, type(ALONE)})
"""What else than nodes the others have in the fields for links."""

_CAREFUL = GENERAL | HOOKED | SEVERAL | PAIRED
"""Flags of nodes that the general definition runs, but for the few below."""
_COMPILED = frozenset({SEVERAL, PAIRED, SEVERAL | PAIRED})
"""What nodes have of these flags that compiled code runs that knows pairs and several outputs."""
_by_id = operator.attrgetter("id")


class _Nobody:
    """Stands for the last node that uses a leaf where no node does: a root of the pass."""

    id = sys.maxsize


_NOBODY = _Nobody()


def _release(
    leaf: Tensor,
    last: Node | _Nobody,
    arrivals: Arrivals,
    sweep: Sweep,
    wanted: dict[Any, list[int]] | None,
    collected: dict[int, Any],
) -> None:
    """Feed a leaf, if `last` is the last node that uses it: what came back so far is all that will."""
    entry = arrivals.get(id(leaf))
    if entry is not None and entry[1] is last and entry[2] is not None:
        cotangent, entry[2] = entry[2], None
        # Nobody else has it where this is the one name for it.
        owned = type(cotangent) is not np.ndarray or (
            sys.getrefcount(cotangent) == SOLE and (cotangent.base is None or _has_all(cotangent))
        )
        feed(leaf, cotangent, sweep, wanted, collected, owned)


def _has_all(view: Any) -> bool:
    """Whether a view is of a whole array that nobody else knows of, as a transpose of what a VJP gave is."""
    base = view.base
    whole = type(base) is np.ndarray and base.base is None and base.size == view.size and view.flags.writeable
    return whole and sys.getrefcount(base) == SOLE + 1  # the view has the other one


def _wanted(inputs: tuple[Tensor, ...]) -> dict[Any, list[int]]:
    """Where the asked-for inputs sit in the graph: a leaf by `id()`, another tensor by node and output number."""
    wanted: dict[Any, list[int]] = {}
    for position, tensor in enumerate(inputs):
        node = tensor.grad_fn
        wanted.setdefault(id(tensor) if node is None else (node, tensor._number), []).append(position)
    return wanted


def _useful(order: list[Node], wanted: dict[Any, list[int]]) -> set[Node]:
    """The nodes on a road to an asked-for input: the others need not run, and keep what they saved."""
    useful: set[Node] = set()
    for node in reversed(order):
        for position, (link, need) in enumerate(zip(node.links, node.needs, strict=True)):
            if not need:
                continue
            leaf = None if node.leaves is None else node.leaves[position]
            origin, number = origin_of(link)
            if (leaf is not None and id(leaf) in wanted) or (origin, number) in wanted or origin in useful:
                useful.add(node)
                break
    return useful


def _deliver(sweep: Sweep, collected: dict[int, Any]) -> list[Tensor | None]:
    """Turn what arrived at the asked-for inputs into results, or into their `.grad` for `backward(inputs=...)`."""
    assert sweep.inputs is not None
    if sweep.kind == "backward":
        for position, tensor in enumerate(sweep.inputs):
            if collected.get(position) is not None:
                accumulate(tensor, collected[position], sweep)
        return []
    results: list[Tensor | None] = []
    for position, tensor in enumerate(sweep.inputs):
        cotangent = collected.get(position)
        if cotangent is None or isinstance(cotangent, Tensor):
            results.append(cotangent)
            continue
        result = new_leaf(np.array(cotangent), "grad", False, inner=True)
        sweep.fed.append((tensor, result))
        results.append(result)
    return results


def _as_tuple(tensors: Any) -> tuple[Any, ...]:
    if tensors is None:
        return ()
    return (tensors,) if isinstance(tensors, Tensor) else tuple(tensors)
