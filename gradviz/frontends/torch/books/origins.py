"""Origins: where a tensor came from whose making nobody saw, as far as autograd remembers."""

from __future__ import annotations

from typing import Any

import torch

from gradviz import events
from gradviz.frontends.torch.autograd.depth import make_room
from gradviz.frontends.torch.autograd.nodes import grad_fn_of, node_name, output_of, outputs_of
from gradviz.frontends.torch.books.book import Book
from gradviz.frontends.torch.books.here import Here
from gradviz.frontends.torch.books.identity import Known
from gradviz.sites import Spot


class Origins:
    """Tells of sources, of tensors that come from nowhere that was seen, and of nodes that no recorded op made."""

    def __init__(self, book: Book) -> None:
        self._book = book

    def know(self, here: Here, tensor: torch.Tensor) -> Known:
        """What is known of a tensor, told of now where it was not."""
        known = self._book.tensors.get(id(tensor))
        if known is not None and not known.value:
            name, birth = known.target, known.birth
            known = self.source(here, birth[0], tensor, birth[1])
            if name:
                self._book.tell_name(known, name, *birth[2:])
        elif known is None:
            node = grad_fn_of(tensor)
            if node is None:
                name, path = here.origin()
                known = self.source(here, name, tensor, path)
            else:
                value = self._recall(here, node, tensor.output_nr)
                known = self._book.tensors.learn(tensor, value, self._book.kinds.of(tensor))
        return known

    def source(
        self, here: Here, name: str, tensor: torch.Tensor, path: tuple[Spot, ...], named: bool = False
    ) -> Known:
        """Tell of an op without inputs that gave `tensor`; `named` where its result is assigned at `path`."""
        book = self._book
        kind = book.kinds.of(tensor)
        needs = tensor.requires_grad
        signature = book.signature(
            ("source", name, kind, needs),
            lambda id: events.Signature(id, name, outputs=(output_of(tensor, requires_grad=needs, leaf=True),)),
        )
        site = book.interner.site(path, not named)
        known = book.tensors.learn(tensor, book.tell_op(here, signature, site, ()), kind)
        if named and site is not None:
            known.target = book.interner.targets[site]
        return known

    def put_off(self, name: str, tensor: torch.Tensor, path: tuple[Spot, ...]) -> None:
        """Take note of a source that a library made, to be told of when it is used: many only lend their memory."""
        self._book.tensors.learn(tensor, 0, self._book.kinds.of(tensor)).birth = (name, path)

    def _recall(self, here: Here, node: Any, index: int) -> int:
        """Tell of the nodes behind a tensor that no recorded op made, oldest first; returns the tensor's value."""
        value = self._book.value_of_node(here, node, index)
        if value is not None:
            return value
        found = [node]
        seen = {node}
        for step in found:
            for following, number in step.next_functions:
                if following is None or following in seen or getattr(following, "variable", None) is not None:
                    continue
                if self._book.value_of_node(here, following, number) is None:
                    seen.add(following)
                    found.append(following)
        make_room(len(found))
        made: dict[Any, int] = {}
        for step in sorted(found, key=lambda step: int(step._sequence_nr())):
            made[step] = self._tell_node(here, step, made)
        return made[node] + (index if index < len(outputs_of(node)) else 0)

    def swept(
        self, here: Here, made: list[torch.Tensor], nodes: tuple[int, int], path: tuple[Spot, ...], named: bool
    ) -> None:
        """Tell of a sweep with `create_graph` as one op: its results are gradients that have a history themselves.

        Its inputs are what the nodes that it made lead to: values of the ops that were swept, and leaves.
        """
        book = self._book
        inputs: dict[int, None] = {}
        pending = [tensor.grad_fn for tensor in made]
        seen = set(pending)
        while pending:
            node: Any = pending.pop()
            for following, number in node.next_functions:
                leaf = getattr(following, "variable", None)
                if leaf is not None:
                    inputs[self.know(here, leaf).value] = None
                elif following is not None and following not in seen:
                    seen.add(following)
                    if nodes[0] <= following._sequence_nr() < nodes[1]:
                        pending.append(following)
                    else:
                        inputs[self._recall(here, following, number)] = None
        kinds = tuple(book.kinds.of(tensor) for tensor in made)
        name = node_name(made[0].grad_fn)
        signature = book.signature(
            ("swept", name, kinds, len(inputs)),
            lambda id: events.Signature(
                id,
                "grad",
                name,
                tracked=True,
                needs=(True,) * len(inputs),
                outputs=tuple(output_of(tensor, requires_grad=True, leaf=False) for tensor in made),
            ),
        )
        value = book.tell_op(here, signature, book.interner.site(path, not named), sorted(inputs), len(made))
        here.trail.add(*nodes, value, len(made))
        for index, (tensor, kind) in enumerate(zip(made, kinds, strict=True)):
            book.tensors.learn(tensor, value + index, kind)

    def _tell_node(self, here: Here, node: Any, made: dict[Any, int]) -> int:
        book = self._book
        inputs: list[int] = []
        for following, number in node.next_functions:
            leaf = getattr(following, "variable", None)
            if leaf is not None:
                inputs.append(self.know(here, leaf).value)
            elif following is not None:
                known = book.value_of_node(here, following, number)
                inputs.append(made[following] if known is None else known)
        name = node_name(node)
        outputs = outputs_of(node) or (events.Output((), "", 0, requires_grad=True, leaf=False),)
        signature = book.signature(
            ("unrecorded", name, outputs, len(inputs)),
            lambda id: events.Signature(
                id,
                f"unrecorded op ({name})",
                name,
                tracked=True,
                needs=(True,) * len(inputs),
                outputs=outputs,
            ),
        )
        value = book.tell_op(here, signature, None, inputs, len(outputs))
        here.trail.recall(node._sequence_nr(), value, len(outputs))
        book.unrecorded += 1
        return value
