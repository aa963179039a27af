"""How a backward pass that makes a graph is told of: as one op, `grad`, whose results are the gradients.

The ops inside of it are the engine's, not the user's, so listeners hear none of them. Autograd goes on from the nodes
that they made; what is drawn of a recording goes on from the one op.
"""

from __future__ import annotations

import functools
import sys
from types import FrameType
from typing import Any

from gradviz.core.apply import describe
from gradviz.core.apply import leaf as new_leaf
from gradviz.core.composites import Unheard, tell, untold_as
from gradviz.core.feeding import Sweep
from gradviz.core.grad_mode import Region, current, switched
from gradviz.core.hooks import hooks_of
from gradviz.core.listeners import listeners
from gradviz.core.ops.table import TABLE
from gradviz.core.tensor import Tensor
from gradviz.core.trace import INNER, PART, Node, Plain, origin_of, seen
from gradviz.ids import next_id
from gradviz.sites import user_frame


class Gradient(Plain):
    """The one op that a sweep is told of as. Its links are what the nodes that the sweep made lead to."""

    __slots__ = ()
    tracked = True
    cause = None
    forgotten = 0


class Graphed:
    """The extent of such a pass: grad mode is on and nobody listens; when it ends, its results are told of."""

    def __init__(self, sweep: Sweep) -> None:
        self._sweep = sweep
        self._results: list[Tensor | None] = []
        self._unheard = Unheard()
        self._outer: Any = None
        self._before: Any = None
        self._first = 0

    def __enter__(self) -> Graphed:
        self._before = current()
        region = self._before
        if region is not None and not region.tracks:
            switched(Region("enable_grad", True, region.inference, region))
        self._outer = untold_as(self._unheard)
        self._first = next_id()
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        untold_as(self._outer)
        switched(self._before)
        if listeners and kind is None:
            self._tell(user_frame(sys._getframe(1)))

    def made(self, results: list[Tensor | None]) -> None:
        """Take note of what `autograd.grad` is to return; a constant among it is told of as a leaf."""
        self._results = results

    def _tell(self, frame: FrameType) -> None:
        sweep, results = self._sweep, self._results
        if sweep.kind == "grad":
            for position, result in enumerate(results):
                if result is not None and self._is_own(result) and not result._origin.tracked:
                    results[position] = new_leaf(result._data, "grad", False, inner=True)
            sweep.fed += [
                (tensor, result)
                for tensor, result in zip(sweep.inputs or (), results, strict=True)
                if result is not None
            ]
        else:
            for _, gradient in sweep.fed:
                if self._is_own(gradient) and not gradient._origin.tracked:
                    gradient._origin = new_leaf(gradient._data, "grad", False, inner=True)._origin
        fed = list({id(gradient): gradient for _, gradient in sweep.fed}.values())
        graphed = [gradient for gradient in fed if gradient._origin.tracked and self._is_own(gradient)]
        if graphed:
            self._tell_of(graphed, frame)

    def _is_own(self, tensor: Tensor) -> bool:
        return tensor._origin.id > self._first

    def _tell_of(self, made: list[Tensor], frame: FrameType) -> None:
        """Tell of one op that made all of `made`, and let what is drawn go on from it."""
        links = self._beginnings(made)
        name = type(made[0]._origin).__name__
        step = _class_of(name)()
        arrays = tuple(tensor._data for tensor in made)
        needs = (True,) * len(links)
        describe(step, TABLE["grad"], links, needs, (), arrays[0], current(), frame, arrays[1:])
        if self._sweep.kind == "backward":
            step.flags |= INNER
        places = {(tensor._origin, tensor._number): place for place, tensor in enumerate(made)}
        for node, _ in self._unheard:
            if isinstance(node, Node):
                for number in range(1 + len(node.more)):
                    place = places.get((node, number), 0)
                    hooks_of(node).rewritten.setdefault(number, []).append((step, place))
        tell(step, frame, arrays if len(arrays) > 1 else arrays[0])

    def _beginnings(self, made: list[Tensor]) -> tuple[Any, ...]:
        """What lies behind the nodes of the pass: leaves, and ops that ran before it, in the order of their ids.

        A step inside of an op such as `linear` is not told of; what it was made from stands for it.
        """
        found: dict[tuple[int, int], Any] = {}
        queue = [tensor._origin for tensor in made]
        known = set(queue)
        for node in queue:
            for link, need in zip(node.links, node.needs, strict=True):
                origin, number = origin_of(link)
                if origin is None or not need:
                    continue
                if origin.tracked and (origin.id > self._first or origin.flags & PART):
                    if origin not in known:
                        known.add(origin)
                        queue.append(origin)
                else:
                    origin, number = seen(link, self._first)
                    assert origin is not None
                    found[origin.id, number] = (origin, number) if number else origin
        return tuple(link for _, link in sorted(found.items(), key=lambda item: item[0]))


@functools.cache
def _class_of(name: str) -> type[Gradient]:
    return type(name, (Gradient,), {"__slots__": (), "__module__": Gradient.__module__})
