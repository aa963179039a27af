"""Sweeps: runs of the autograd engine, what they start from, what they feed, and what ends them."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterable, Sequence
from types import FrameType
from typing import Any

import torch
import torch.autograd.graph

from gradviz import events
from gradviz.frontends.torch.book import Book, Here
from gradviz.frontends.torch.calling import strip_own
from gradviz.frontends.torch.depth import make_room
from gradviz.frontends.torch.origins import Origins
from gradviz.frontends.torch.patches import Patches, like
from gradviz.sites import call_path

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
        self.unmatched: list[Any] = []
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
            self.nodes += 1
            if owner(number) is None:
                self.unmatched.append(node)
            for position, (following, _) in enumerate(node.next_functions):
                if following is None or following in seen:
                    continue
                seen.add(following)
                leaf = getattr(following, "variable", None)
                if leaf is None:
                    pending.append(following)
                else:
                    found.append((-number, position, leaf))
        self.matched = self.nodes - len(self.unmatched)
        found.sort(key=lambda item: item[:2])
        self.leaves = [leaf for _, _, leaf in found]


class Sweeps:
    """Stands before the engine: every `backward()` and every `autograd.grad()` of the program comes through here."""

    def __init__(self, book: Book, origins: Origins) -> None:
        self.book = book
        self.origins = origins
        self.nodes = 0
        self.matched = 0
        self._count = 0

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
            if here is None or here.quiet:
                return run(roots, seeds, retain_graph, create_graph, inputs, *rest, **options)
            frame = sys._getframe(1)
            kind = "backward" if options.get("accumulate_grad") else "grad"
            walk = self.book.looked("a sweep", self._walk, here, roots)
            here.quiet += 1
            error = ""
            results: Any = ()
            try:
                results = run(roots, seeds, retain_graph, create_graph, inputs, *rest, **options)
                return results
            except BaseException as raised:
                error = str(raised)
                strip_own(raised)
                raise
            finally:
                here.quiet -= 1
                self.book.guarded(
                    "a sweep", self._tell, here, frame, kind, roots, inputs, walk, results, retain_graph, create_graph, error
                )

        return engine

    def _around_seeds(self, run: Any) -> Any:
        @like(run)
        def make_grads(roots: Sequence[Any], *rest: Any, **options: Any) -> Any:
            try:
                return run(roots, *rest, **options)
            except Exception as raised:
                here = self.book.here()
                if here is not None and not here.quiet:
                    frame = sys._getframe(1)
                    kind = frame.f_code.co_name
                    self.book.guarded(
                        "a sweep", self._tell, here, frame, kind, roots, (), None, (), False, False, str(raised)
                    )
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

    def _tell(
        self,
        here: Here,
        frame: FrameType,
        kind: str,
        roots: Sequence[Any],
        inputs: Sequence[Any],
        walk: Walk | None,
        results: Any,
        retain_graph: bool,
        create_graph: bool,
        error: str,
    ) -> None:
        book = self.book
        path = call_path(frame)
        begun = [self.origins.know(here, root).value for root in roots if isinstance(root, torch.Tensor)]
        asked = [tensor for tensor in inputs if isinstance(tensor, torch.Tensor)]
        wanted = [self.origins.know(here, tensor).value for tensor in asked]
        if walk is not None:
            self.nodes += walk.nodes
            self.matched += walk.matched
        fed: list[tuple[torch.Tensor, torch.Tensor]] = []
        if not error and kind == "grad":
            fed = [(tensor, grad) for tensor, grad in zip(asked, results, strict=False) if grad is not None]
        elif not error:
            for leaf in asked or (walk.leaves if walk is not None else []):
                grad = leaf.grad if leaf.is_leaf or leaf.retains_grad else None
                if grad is not None:
                    fed.append((leaf, grad))
        gradients = []
        for (tensor, grad), (norm, zero) in zip(fed, measure([grad for _, grad in fed]), strict=True):
            known = self.origins.know(here, tensor)
            gradients.append(events.Gradient(known.value, norm, zero, math.isnan(norm)))
            if book.tensors.get(id(grad)) is None:
                born = self.origins.source(here, "grad", grad, path, kind == "grad")
                if known.target:
                    book.sink.emit(events.Name(born.value, f"{known.target}.grad"))
        site = book.interner.site(path)
        self._count += 1
        book.sink.emit(
            events.Sweep(
                id=self._count,
                kind=kind,
                roots=tuple(begun),
                site=site,
                context=book.context(here),
                inputs=tuple(wanted) if asked else None,
                gradients=tuple(gradients),
                freed=not retain_graph,
                create_graph=bool(create_graph),
                error=error,
            )
        )


    def tell_coverage(self) -> None:
        """Say how many of the autograd nodes that were swept belong to recorded ops."""
        if self.nodes:
            text = f"{self.matched:,} of {self.nodes:,} autograd nodes matched to recorded ops"
            self.book.sink.emit(events.Note("coverage", text))


def measure(gradients: list[torch.Tensor]) -> list[tuple[float, bool]]:
    """The 2-norm of each gradient, and whether it is all zero."""
    found = []
    with torch.no_grad():
        for gradient in gradients:
            values = gradient.coalesce().values() if gradient.is_sparse else gradient
            norm = float(torch.linalg.vector_norm(values))
            found.append((norm, norm == 0.0 and not bool(values.any())))
    return found
