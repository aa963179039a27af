"""Writes: what a write in place does to the tensor, to what it is a view of, and to other views of that."""

from __future__ import annotations

from typing import Any

import torch

from gradviz import events
from gradviz.events import Cause
from gradviz.frontends.torch.autograd.nodes import grad_fn_of, is_leaf, node_name, output_of
from gradviz.frontends.torch.books.book import Book
from gradviz.frontends.torch.books.here import Here, cause_of_mode
from gradviz.frontends.torch.books.identity import Known, version_of
from gradviz.frontends.torch.books.origins import Origins
from gradviz.sites import Spot

Path = tuple[Spot, ...]


class Writes:
    """Keeps the identity of tensors right when their memory changes under them."""

    def __init__(self, book: Book, origins: Origins) -> None:
        self._book = book
        self._origins = origins

    def became(self, here: Here, tensor: torch.Tensor, known: Known, value: int) -> None:
        """A write made `tensor` the value `value`."""
        known.value = value
        known.kind = self._book.kinds.of(tensor)
        known.version = version_of(tensor)

    def pass_on(self, here: Here, view: torch.Tensor, known: Known, site: int | None, last_node: int | None) -> None:
        """A write to a view also gives the tensor that it is a view of another history, or other data.

        last_node: the sequence number of autograd's node for that; None where the write was not tracked.
        """
        owner = known.base
        base = view._base
        if owner is None or base is None:
            return
        node: Any = None if last_node is None else base.grad_fn
        if node is None and base.grad_fn is not None:
            return  # with grad mode off, what has a history keeps it
        needs = (base.requires_grad, False) if node is None else (node.next_functions[0][0] is not None, True)
        value = self._tell(here, "copy_slices", base, node, needs, site, (owner.value, known.value))
        self.became(here, base, owner, value)
        known.version = -1  # it is cut anew from its base when it is next used
        if last_node is not None and node is not None:
            here.trail.add(last_node, last_node + 1, value)

    def renew(self, here: Here, view: torch.Tensor, known: Known, site: int | None) -> None:
        """A view of a tensor that was written since is cut out of it anew."""
        owner = known.base
        known.version = version_of(view)
        if owner is None:
            return
        needs = view.requires_grad
        node = grad_fn_of(view) if needs else None
        known.value = self._tell(here, "as_strided", view, node, (needs,), site, (owner.value,))
        if node is not None:
            here.trail.recall(node._sequence_nr(), known.value, 1)

    def _tell(
        self,
        here: Here,
        name: str,
        made: torch.Tensor,
        node: Any,
        needs: tuple[bool, ...],
        site: int | None,
        inputs: tuple[int, ...],
    ) -> int:
        """What a write does besides, as an op that gives `made` from its first input, by `node` where it is tracked."""
        kind = self._book.kinds.of(made)
        leaf = is_leaf(made)
        cause = cause_of_mode(here) if node is None and needs[0] else None
        signature = self._book.signature(
            (name, kind, node is None, needs, cause, made.requires_grad, leaf),
            lambda id: events.Signature(
                id,
                name,
                "" if node is None else node_name(node),
                tracked=node is not None,
                cause=cause,
                needs=needs,
                outputs=(output_of(made, requires_grad=made.requires_grad, leaf=leaf),),
                alias=0,
                inplace=name == "copy_slices",
            ),
        )
        return self._book.tell_op(here, signature, site, inputs)

    def took_data(self, here: Here, tensor: torch.Tensor, given: torch.Tensor, path: Path) -> None:
        """`w.data = z`: the same object with other numbers, and no history from where they came."""
        book = self._book
        known, source = self._origins.know(here, tensor), self._origins.know(here, given)
        needs, kind = given.requires_grad, book.kinds.of(tensor)
        leaf, requires_grad = is_leaf(tensor), tensor.requires_grad
        signature = book.signature(
            ("set_data", source.kind, needs, kind, leaf, requires_grad),
            lambda id: events.Signature(
                id,
                "set_data",
                cause=Cause.DATA if needs else None,
                needs=(needs,),
                outputs=(output_of(tensor, requires_grad=requires_grad and leaf, leaf=True),),
                alias=0,
            ),
        )
        site = book.interner.site(path)
        if leaf:
            act = events.Act("set_data", (known.value,), site, book.context(here), None, book.last_value)
            book.sink.emit(act)
        value = book.tell_op(here, signature, site, (source.value,))
        if leaf:
            self.became(here, tensor, known, value)

    def stepped(self, here: Here, optimizer: str, tensor: torch.Tensor, path: Path) -> None:
        """An optimizer wrote one of its parameters."""
        book = self._book
        known = self._origins.know(here, tensor)
        gradient = tensor.grad
        given: list[Any] = [tensor] if gradient is None else [tensor, gradient]
        inputs = [self._origins.know(here, one).value for one in given]
        needs = tuple(one.requires_grad for one in given)
        signature = book.signature(
            ("step", optimizer, known.kind, needs),
            lambda id: events.Signature(
                id,
                "step",
                needs=needs,
                outputs=(output_of(tensor, requires_grad=needs[0], leaf=True),),
                alias=0,
                inplace=True,
                attrs=(("optimizer", optimizer),),
            ),
        )
        self.became(here, tensor, known, book.tell_op(here, signature, book.interner.site(path, True), inputs))
