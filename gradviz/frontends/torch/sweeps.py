"""Sweeps: runs of the autograd engine, what they start from, what they feed, and what ends them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from types import FrameType
from typing import Any

import torch
import torch.autograd.graph

from gradviz import events
from gradviz.frontends.torch.blame import concerned_by
from gradviz.frontends.torch.book import Book, Here
from gradviz.frontends.torch.calling import strip_own
from gradviz.frontends.torch.depth import make_room
from gradviz.frontends.torch.gradients import measure
from gradviz.frontends.torch.identity import Known
from gradviz.frontends.torch.mode import sequence_number
from gradviz.frontends.torch.origins import Origins
from gradviz.frontends.torch.patches import Patches, like
from gradviz.sites import Spot, call_path

OWNERS = (torch.autograd, torch.autograd.graph)
"""The modules through whose names the engine is called."""


class Walk:
    """What lies behind the roots of a sweep, read just before the engine frees it.

    leaves     those that the engine would feed, in the order in which it comes to them
    nodes      how many nodes there are, leaves apart; `matched` how many of them a recorded op made
    """

    def __init__(self, roots: Iterable[torch.Tensor], owner: Callable[[int], int | None]) -> None:
        self.leaves: list[torch.Tensor] = []
        self.nodes = 0
        self.matched = 0
        self.nodes_behind: list[Any] = []
        found: list[tuple[int, int, torch.Tensor]] = []
        pending: list[Any] = []
        seen: set[Any] = set()
        for position, root in enumerate(roots):
            node = root.grad_fn
            if node is None:
                if root.requires_grad:
                    found.append((0, position, root))
            elif node not in seen:
                seen.add(node)
                pending.append(node)
        while pending:
            node = pending.pop()
            number = node._sequence_nr()
            self.nodes_behind.append(node)
            self.matched += owner(number) is not None
            for position, (following, _) in enumerate(node.next_functions):
                if following is None or following in seen:
                    continue
                seen.add(following)
                leaf = getattr(following, "variable", None)
                if leaf is None:
                    pending.append(following)
                else:
                    found.append((-number, position, leaf))
        self.nodes = len(self.nodes_behind)
        found.sort(key=lambda item: item[:2])
        self.leaves = [leaf for _, _, leaf in found]


class _Running:
    """One run of the engine, between its beginning and its end."""

    def __init__(
        self,
        kind: str,
        roots: Sequence[Any],
        inputs: Sequence[Any],
        retain_graph: bool,
        create_graph: bool,
        walk: Walk | None,
    ) -> None:
        self.kind = kind
        self.roots = roots
        self.inputs = inputs
        self.retain_graph = retain_graph
        self.create_graph = create_graph
        self.walk = walk
        self.results: Sequence[Any] = ()
        self.error = ""
        self.first_node = self.last_node = 0


class Sweeps:
    """Stands before the engine: every `backward()` and every `autograd.grad()` of the program comes through here."""

    def __init__(self, book: Book, origins: Origins) -> None:
        self.book = book
        self.origins = origins
        self.nodes = 0
        self.matched = 0

    def install(self, patches: Patches) -> None:
        """Stand before the engine."""
        for owner in OWNERS:
            patches.replace(owner, "_engine_run_backward", self._around_engine)
        patches.replace(torch.autograd, "_make_grads", self._around_seeds)

    def _around_engine(self, run: Any) -> Any:
        @like(run)
        def engine(
            roots: Sequence[Any],
            seeds: Any,
            retain_graph: bool,
            create_graph: bool,
            inputs: Sequence[Any] = (),
            *rest: Any,
            **options: Any,
        ) -> Any:
            here = self.book.here()
            if here is None:
                return run(roots, seeds, retain_graph, create_graph, inputs, *rest, **options)
            frame = sys._getframe(1)
            inner = here.quiet > 0
            walk = self.book.looked("a sweep", self._walk, here, roots)
            kind = "backward" if options.get("accumulate_grad") else "grad"
            sweep = _Running(kind, roots, inputs, bool(retain_graph), bool(create_graph), walk)
            sweep.first_node = sequence_number()
            here.quiet += 1
            try:
                results = run(roots, seeds, retain_graph, create_graph, inputs, *rest, **options)
                sweep.results = results or ()
                return results
            except BaseException as raised:
                sweep.error = str(raised) or type(raised).__name__
                strip_own(raised)
                raise
            finally:
                here.quiet -= 1
                sweep.last_node = sequence_number()
                self.book.guarded("a sweep", self._add_inner if inner else self._tell, here, sweep, frame)

        return engine

    def _around_seeds(self, run: Any) -> Any:
        """What is refused before the engine runs."""

        @like(run)
        def make_grads(roots: Sequence[Any], *rest: Any, **options: Any) -> Any:
            try:
                return run(roots, *rest, **options)
            except Exception as raised:
                here = self.book.here()
                if here is not None and not here.quiet:
                    frame = sys._getframe(1)
                    sweep = _Running(frame.f_code.co_name, roots, (), False, False, None)
                    sweep.error = str(raised)
                    self.book.guarded("a sweep", self._tell, here, sweep, frame)
                strip_own(raised)
                raise

        return make_grads

    def _walk(self, here: Here, roots: Sequence[Any]) -> Walk:
        trails = [here.trail, *(other.trail for other in self.book.threads if other is not here)]

        def owner(number: int) -> int | None:
            for trail in trails:
                op = trail.op_of(number)
                if op is not None:
                    return op
            return None

        walk = Walk([root for root in roots if isinstance(root, torch.Tensor)], owner)
        make_room(walk.nodes)
        return walk

    def _add_inner(self, here: Here, sweep: _Running, frame: FrameType) -> None:
        """A sweep inside of another one, such as a checkpoint's: what it feeds, the outer one feeds."""
        if sweep.walk is not None:
            here.fed += [leaf for leaf in sweep.walk.leaves if id(leaf) in self.book.tensors]

    def _tell(self, here: Here, sweep: _Running, frame: FrameType) -> None:
        book = self.book
        path = call_path(frame)
        roots = [self.origins.know(here, root).value for root in sweep.roots if isinstance(root, torch.Tensor)]
        asked = [tensor for tensor in sweep.inputs if isinstance(tensor, torch.Tensor)]
        wanted = tuple(self.origins.know(here, tensor).value for tensor in asked)
        walk = sweep.walk
        if walk is not None:
            self.nodes += walk.nodes
            self.matched += walk.matched
        fed = [] if sweep.error else self._fed(here, sweep, asked)
        here.fed = []
        gradients = []
        made: list[tuple[Known, torch.Tensor]] = []
        for (tensor, grad), found in zip(fed, measure([grad for _, grad in fed]), strict=True):
            known = self.origins.know(here, tensor)
            gradients.append(events.Gradient(known.value, found.norm, found.zero, found.nan, found.estimated))
            if book.tensors.get(id(grad)) is None:
                made.append((known, grad))
        self._tell_gradients(here, sweep, made, path)
        concerned = () if walk is None or not sweep.error else concerned_by(book, here, walk, sweep.error)
        site = book.interner.site(path)
        book.sink.emit(
            events.Sweep(
                id=book.numbers.sweep(),
                kind=sweep.kind,
                roots=tuple(roots),
                site=site,
                context=book.context(here),
                inputs=wanted if asked else None,
                gradients=tuple(gradients),
                freed=not sweep.retain_graph,
                create_graph=sweep.create_graph,
                error=sweep.error,
                concerned=concerned,
            )
        )

    def _fed(self, here: Here, sweep: _Running, asked: list[torch.Tensor]) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """The tensors that got a gradient, each with it."""
        if sweep.kind == "grad":
            return [(tensor, grad) for tensor, grad in zip(asked, sweep.results, strict=False) if grad is not None]
        reached = asked or ([] if sweep.walk is None else sweep.walk.leaves) + here.fed
        pairs = ((leaf, leaf.grad if leaf.is_leaf or leaf.retains_grad else None) for leaf in _once(reached))
        return [(leaf, grad) for leaf, grad in pairs if grad is not None]

    def _tell_gradients(
        self, here: Here, sweep: _Running, made: list[tuple[Known, torch.Tensor]], path: tuple[Spot, ...]
    ) -> None:
        """The gradients that are new tensors: sources or, where the sweep kept a graph, results of one op."""
        named = sweep.kind == "grad"
        for known, grad in made:
            if grad.grad_fn is None:
                born = self.origins.source(here, "grad", grad, path, named)
                if known.target:
                    self.book.sink.emit(events.Name(born.value, f"{known.target}.grad"))
        graphed = [grad for _, grad in made if grad.grad_fn is not None]
        if graphed:
            self.origins.swept(here, graphed, (sweep.first_node, sweep.last_node), path, named)

    def tell_coverage(self) -> None:
        """Say how many of the autograd nodes that were swept belong to recorded ops."""
        if self.nodes:
            text = f"{self.matched:,} of {self.nodes:,} autograd nodes matched to recorded ops"
            self.book.sink.emit(events.Note("coverage", text))


def _once(tensors: Iterable[torch.Tensor]) -> list[torch.Tensor]:
    return list({id(tensor): tensor for tensor in tensors}.values())
