"""A handful of graphs that show one thing each; the pictures of them are kept as golden files."""

from __future__ import annotations

from collections.abc import Callable

from building import Builder

from gradviz.events import Cause, Saved, Status
from gradviz.graphs import Graph

NO_GRAD_FN = "element 0 of tensors does not require grad and does not have a grad_fn"


def detach() -> Graph:
    """`y = 2*x; z = 3 + x.detach(); r = (y+z).sum(); r.backward()`"""
    b = Builder("detach.py")
    x = b.leaf("x", requires_grad=True, line=4)
    y = b.op("mul", "2", x, name="y", line=5)
    z = b.op("add", "3", b.detach(x, line=6), name="z", line=6)
    r = b.op("sum", b.op("add", y, z, line=7), name="r", line=7)
    b.sweep(r, line=8)
    return b.graph()


def no_grad() -> Graph:
    """`w*x + b` inside and outside `no_grad`."""
    b = Builder("no_grad.py")
    x = b.leaf("x", line=3)
    w = b.leaf("w", requires_grad=True, line=4)
    bias = b.leaf("b", requires_grad=True, line=5)
    b.op("add", b.op("mul", w, x, line=6), bias, name="y", line=6)
    with b.region("no_grad", line=8):
        b.op("add", b.op("mul", w, x, line=9), bias, name="z", line=9)
    return b.graph()


def untrained() -> Graph:
    """The loss is computed under `no_grad`, so `backward()` raises and ends the script."""
    b = Builder("train.py")
    w = b.leaf("w", (3,), requires_grad=True, line=2)
    with b.region("no_grad", line=4):
        loss = b.op("sum", b.op("mul", w, w, line=5), name="loss", line=5, shape=())
    b.sweep(loss, line=7, error=NO_GRAD_FN)
    b.error("RuntimeError", NO_GRAD_FN, loss, line=7)
    return b.graph(Status.RAISED)


def training() -> Graph:
    """Two steps of gradient descent with the update done right: in place, under `no_grad`."""
    b = Builder("descend.py")
    w = b.leaf("w", requires_grad=True, line=2)
    for _ in range(2):
        loss = b.op("mul", w, w, name="loss", line=4, saved=[Saved("self", (), "float32", 4, 0)])
        b.sweep(loss, line=5)
        b.item(loss, line=6)
        with b.region("no_grad", line=7):
            w = b.inplace("sub_", w, "0.1", name="w", line=8)
    return b.graph()


def mixed() -> Graph:
    """Views, nested regions, a comparison, numpy, two outputs, a history that was let go, and a note."""
    b = Builder("mixed.py")
    x = b.leaf("x", (2, 3), requires_grad=True, line=1)
    flat = b.view("view", x, name="flat", line=2, shape=(6,))
    mask = b.op("gt", flat, "0", name="mask", line=3, dtype="bool", cause=Cause.NONDIFFERENTIABLE)
    b.inplace("zero_", b.detach(x, name="d", line=4), name="d", line=5)
    with b.region("no_grad", line=6):
        old = b.op("mul", flat, "2", name="old", line=7, forgotten=312)
        with b.region("enable_grad", line=8):
            again = b.op("exp", flat, name="again", line=9)
    top = b.op("max", b.op("mul", again, mask, line=10), name="top", line=10, outputs=2, attrs=[("dim", "0")])
    b.numpy(old, line=11)
    b.op("add", top, old, line=12)
    b.note("unrecorded", "a compiled region was not seen", 2)
    return b.graph()


def empty() -> Graph:
    """A script that traced nothing."""
    return Builder("empty.py").graph()


CANONICAL: dict[str, Callable[[], Graph]] = {
    make.__name__: make for make in (detach, no_grad, untrained, training, mixed, empty)
}


def named(name: str) -> Graph:
    """Every text that a program can choose is `name`."""
    b = Builder(name)
    b.scope = name
    x = b.leaf(name, (2,), requires_grad=True, line=1, op=name, dtype=name)
    with b.region(name, line=2, enabled=False):
        y = b.op(name, x, name, name=name, line=3, cause=Cause.NO_GRAD)
    d = b.detach(x, name=name, line=4)
    saved = [Saved(name, (2,), name, 8, 0)]
    z = b.op(name, x, d, name=name, line=5, saved=saved, attrs=[(name, name)], node=name)
    b.op(name, y, z, name=name, line=6)
    b.sweep(z, line=7, error=name)
    b.error(name, name, z, line=8)
    b.note(name, name)
    return b.graph(Status.RAISED)


def chain(length: int) -> Graph:
    """`h = h * 2`, `length` times."""
    b = Builder("chain.py")
    h = b.leaf("x", requires_grad=True, line=1)
    for step in range(length):
        h = b.op("mul", h, "2", name="h", line=2 + step % 50)
    b.sweep(h)
    return b.graph()
