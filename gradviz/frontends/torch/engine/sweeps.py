"""Sweeps: runs of the autograd engine, what they start from, what they feed, and what ends them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from types import FrameType
from typing import Any

import torch
import torch.autograd.graph

from gradviz import events
from gradviz.frontends.torch.autograd.depth import make_room
from gradviz.frontends.torch.autograd.freed import Freed
from gradviz.frontends.torch.autograd.gradients import measure
from gradviz.frontends.torch.autograd.nodes import is_leaf, sequence_number
from gradviz.frontends.torch.books.book import Book
from gradviz.frontends.torch.books.here import Here
from gradviz.frontends.torch.books.identity import Known
from gradviz.frontends.torch.books.origins import Origins
from gradviz.frontends.torch.engine.blame import concerned_by
from gradviz.frontends.torch.engine.walk import Walk
from gradviz.frontends.torch.engine.within import Entering, Within, is_library
from gradviz.frontends.torch.patching.calling import strip_own
from gradviz.frontends.torch.patching.patches import Patches, like
from gradviz.sites import Spot, call_path

OWNERS = (torch.autograd, torch.autograd.graph)
"""The modules through whose names the engine is called."""

MISSED = "what a backward pass called on threads of its own is not recorded"


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
        path: tuple[Spot, ...],
    ) -> None:
        self.kind = kind
        self.roots = roots
        self.inputs = inputs
        self.retain_graph = retain_graph
        self.create_graph = create_graph
        self.walk = walk
        self.path = path
        self.fed: list[Known] = []
        self.results: Sequence[Any] = ()
        self.error = ""
        self.first_node = self.last_node = 0


class Sweeps:
    """Stands before the engine: every `backward()` and every `autograd.grad()` of the program comes through here."""

    def __init__(self, book: Book, origins: Origins, mode: Callable[[Here], AbstractContextManager[Any]]) -> None:
        self.book = book
        self.origins = origins
        self._mode = mode
        self.missed = False
        self._freed = Freed()
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
            found = self.book.looked("a sweep", self._look, here, roots, frame, bool(create_graph))
            walk, path, within = (None, (), None) if found is None else found
            kind = "backward" if options.get("accumulate_grad") else "grad"
            sweep = _Running(kind, roots, inputs, bool(retain_graph), bool(create_graph), walk, path)
            # What a sweep of a library feeds, the sweep that it runs in feeds: a checkpoint has one of its own.
            is_part = here.quiet > 0 or (isinstance(here, Within) and is_library(frame))
            entering = nullcontext() if within is None else Entering(self.book, here, within, self._mode(within))
            before, here.fed = here.fed, []
            sweep.first_node = sequence_number()
            here.quiet += 1
            try:
                with entering:
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
                sweep.fed, here.fed = here.fed, before if is_part else []
                if within is not None:
                    sweep.fed += within.fed
                    self.missed = self.missed or within.missed
                self.book.guarded("a sweep", self._add_part if is_part else self._tell, here, sweep)

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
                    sweep = _Running(frame.f_code.co_name, roots, (), False, False, None, call_path(frame))
                    sweep.error = str(raised)
                    self.book.guarded("a sweep", self._tell, here, sweep)
                strip_own(raised)
                raise

        return make_grads

    def _look(
        self, here: Here, roots: Sequence[Any], frame: FrameType, create_graph: bool
    ) -> tuple[Walk, tuple[Spot, ...], Within | None]:
        """What lies behind a sweep, where it was called, and what it will be inside of it.

        A sweep that makes a graph of its own is told of as one op: what runs inside of it is a part of that.
        """
        path = call_path(frame)
        is_told = not here.quiet and not create_graph
        return self._walk(here, roots), path, Within(here, path, self.book.interner.site(path)) if is_told else None

    def _walk(self, here: Here | None, roots: Sequence[Any]) -> Walk:
        threads = self.book.threads if here is None else [here, *self.book.threads]
        trails = list(dict.fromkeys(thread.trail for thread in threads))

        def owner(number: int) -> int | None:
            for trail in trails:
                op = trail.op_of(number)
                if op is not None:
                    return op
            return None

        walk = Walk([root for root in roots if isinstance(root, torch.Tensor)], owner)
        make_room(walk.nodes)
        return walk

    def _add_part(self, here: Here, sweep: _Running) -> None:
        """A sweep that is a part of another one, such as a checkpoint's: what it feeds, the other one feeds."""
        walked = [] if sweep.walk is None else sweep.walk.leaves
        known = (self.book.tensors.get(id(leaf)) for leaf in walked)
        here.fed += [*sweep.fed, *(leaf for leaf in known if leaf is not None)]

    def _tell(self, here: Here, sweep: _Running) -> None:
        book = self.book
        roots = [self.origins.know(here, root).value for root in sweep.roots if isinstance(root, torch.Tensor)]
        asked = [tensor for tensor in sweep.inputs if isinstance(tensor, torch.Tensor)]
        wanted = tuple(self.origins.know(here, tensor).value for tensor in asked)
        walk = sweep.walk
        if walk is not None:
            self.nodes += walk.nodes
            self.matched += walk.matched
        fed = [] if sweep.error else self._fed(here, sweep, asked)
        gradients = []
        made: list[tuple[Known, torch.Tensor]] = []
        for (tensor, grad), found in zip(fed, measure([grad for _, grad in fed]), strict=True):
            known = self.origins.know(here, tensor)
            gradients.append(events.Gradient(known.value, found.norm, found.zero, found.nan, found.estimated))
            if book.tensors.get(id(grad)) is None:
                made.append((known, grad))
        self._tell_gradients(here, sweep, made)
        concerned = () if walk is None or not sweep.error else concerned_by(book, here, walk, sweep.error, self._freed)
        if walk is not None and not sweep.error and not sweep.retain_graph:
            self._freed.add(walk.numbers)
        book.sink.emit(
            events.Sweep(
                id=book.numbers.sweep(),
                kind=sweep.kind,
                roots=tuple(roots),
                site=book.interner.site(sweep.path),
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
        # The copies that a checkpoint made of its inputs, to begin anew with, are gone by now.
        parts = [leaf for known in sweep.fed if (leaf := known()) is not None]
        reached = asked or ([] if sweep.walk is None else sweep.walk.leaves) + parts
        pairs = ((leaf, leaf.grad if is_leaf(leaf) or leaf.retains_grad else None) for leaf in _once(reached))
        return [(leaf, grad) for leaf, grad in pairs if grad is not None]

    def _tell_gradients(self, here: Here, sweep: _Running, made: list[tuple[Known, torch.Tensor]]) -> None:
        """The gradients that are new tensors: sources or, where the sweep kept a graph, results of one op."""
        named = sweep.kind == "grad"
        for known, grad in made:
            if grad.grad_fn is None:
                born = self.origins.source(here, "grad", grad, sweep.path, named)
                if known.target:
                    self.book.add_name(born.value, f"{known.target}.grad")
        graphed = [grad for _, grad in made if grad.grad_fn is not None]
        if not sweep.create_graph:
            for grad in graphed:  # a hook's, which it tracked by itself
                self.origins.know(here, grad)
        elif graphed:
            self.origins.swept(here, graphed, (sweep.first_node, sweep.last_node), sweep.path, named)

    def tell_coverage(self) -> None:
        """Say how many of the autograd nodes that were swept belong to recorded ops.

        Without a sweep, of those behind the tensors that are still alive.
        """
        if self.missed:
            self.book.sink.emit(events.Note("unrecorded", MISSED))
        if not self.book.last_value:
            return
        nodes, matched, which = self.nodes, self.matched, ""
        if not nodes:
            walk = self._walk(self.book.here(), self._living())
            nodes, matched, which = walk.nodes, walk.matched, " alive at the end"
        text = f"{matched:,} of {nodes:,} autograd nodes{which} matched to recorded ops"
        self.book.sink.emit(events.Note("coverage", text if nodes else "no autograd nodes to match"))

    def _living(self) -> list[torch.Tensor]:
        """The tensors with a history that are known and alive."""
        tensors = [known() for known in list(self.book.tensors.values())]
        return [tensor for tensor in tensors if isinstance(tensor, torch.Tensor) and not is_leaf(tensor)]


def _once(tensors: Iterable[torch.Tensor]) -> list[torch.Tensor]:
    return list({id(tensor): tensor for tensor in tensors}.values())
