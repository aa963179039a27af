"""Conformance: a program gives the same graph with PyTorch as with gradviz's own tensors."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch

import gradviz
from gradviz.graphs import Graph

SAMPLES = sorted((Path(__file__).parents[1] / "samples").glob("*.py"))
SAMPLES.remove(SAMPLES[0].with_name("digits_convnet.py"))  # test_digits has it: it trains, and so rounds differently

PROGRAMS = {
    "every way out": """
        w = lib.tensor([1.0, 2.0], requires_grad=True)
        y = w * 3
        a = y.detach() + 1
        b = w.data * 2
        n = y.detach().numpy()
        s = y.sum().item()
        rows = y.tolist()
        c = lib.tensor([y.sum(), w[0]])
        i = y.to(lib.int64)
        m = y > 1
        k = y.argmax()
        (y * a).sum().backward()
        """,
    "detached in place": """
        w = lib.tensor([1.0, 2.0], requires_grad=True)
        y = w * 2
        y.detach_()
        z = y * w
        z.sum().backward()
        """,
    "switched by a function": """
        w = lib.tensor([1.0], requires_grad=True)
        lib.set_grad_enabled(False)
        a = w * 2
        lib.set_grad_enabled(True)
        b = w * 3
        with lib.set_grad_enabled(False):
            c = w * 4
            with lib.enable_grad():
                d = w * 5
        e = w * 6
        """,
    "decorated": """
        w = lib.tensor([1.0], requires_grad=True)

        @lib.no_grad
        def bare(x):
            return x * 2

        @lib.set_grad_enabled(False)
        def switched(x):
            return x * 3

        @lib.inference_mode()
        def inferred(x):
            return x * 4

        a = bare(w)
        b = switched(w)
        c = inferred(w)
        d = w * 5
        """,
    "left by an exception": """
        w = lib.tensor([1.0], requires_grad=True)
        try:
            with lib.no_grad():
                a = w * 2
                raise ValueError
        except ValueError:
            b = w * 3
        """,
    "inference mode": """
        w = lib.tensor([1.0, 2.0], requires_grad=True)
        with lib.inference_mode():
            a = w * 2
            with lib.enable_grad():
                b = w * 3
        c = w * 4
        """,
    "written in place": """
        w = lib.tensor([1.0, 2.0], requires_grad=True)
        y = w * 2
        y += 1
        y.mul_(w)
        y.sum().backward()
        with lib.no_grad():
            w -= w.grad
            w.zero_()
        """,
    "several results": """
        w = lib.tensor([[1.0, 2.0], [4.0, 3.0]], requires_grad=True)
        values, indices = w.max(0)
        top, bottom = w.unbind(0)
        loss = (values * top).sum() + bottom.sum()
        loss.backward()
        """,
    "frozen and thawed": """
        w = lib.tensor([1.0], requires_grad=True)
        v = lib.tensor([2.0])
        a = w * v
        w.requires_grad_(False)
        v.requires_grad = True
        b = w * v
        b.sum().backward()
        """,
    "asked for": """
        w = lib.tensor([1.0], requires_grad=True)
        v = lib.tensor([2.0], requires_grad=True)
        loss = (w * v).sum()
        (g,) = lib.autograd.grad(loss, [w], retain_graph=True)
        loss.backward(inputs=[v])
        """,
    "swept twice": """
        w = lib.tensor([1.0], requires_grad=True)
        loss = (w * w).sum()
        loss.backward()
        try:
            loss.backward()
        except RuntimeError:
            pass
        """,
    "refused": """
        w = lib.tensor([1.0, 2.0], requires_grad=True)
        v = lib.tensor([1.0, 2.0])
        for root in (w * 2, (v * 2).sum()):
            try:
                root.backward()
            except RuntimeError:
                pass
        """,
    "from patterns and nothing": """
        w = lib.zeros(2, requires_grad=True)
        a = lib.ones_like(w) * w
        b = lib.full((2,), 3.0) * a
        c = w.new_ones(2) + b
        c.sum().backward()
        """,
    "views": """
        w = lib.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
        y = w * 2
        row = y[0]
        row.mul_(3)
        part = y[:, 1]
        flat = y.view(4)
        loss = (part.sum() + flat.sum()) * 2
        loss.backward()
        """,
    "a view of what was written": """
        w = lib.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
        y = w * 2
        row, other = y[0], y[1]
        row += 1
        loss = (other * 2).sum()
        loss.backward()
        """,
    "written through views, untracked": """
        a = lib.zeros(2, 4)
        row = a[0]
        part = row[1:]
        part.fill_(1)
        (a * 2).sum()
        (row * 3).sum()
        other = a[1]
        a.add_(1)
        (other * 4).sum()
        other.mul_(2)
        (row + other).sum()
        """,
    "a part of a leaf": """
        w = lib.ones(2, 2, requires_grad=True)
        with lib.no_grad():
            w[0].add_(1)
            row = w[1]
            row.mul_(2)
        (w * 2).sum()
        """,
    "written with grad off": """
        w = lib.ones(2, 2, requires_grad=True)
        y = w * 2
        z = w * 3
        with lib.no_grad():
            y.add_(1)
            z[0].add_(1)
        loss = (y + z).sum()
        loss.backward()
        """,
    "views in inference mode": """
        with lib.inference_mode():
            a = lib.zeros(4)
            v = a[:2]
            v.fill_(1)
            (a + 1).sum()
        """,
    "operators": """
        w = lib.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
        a = 1 - w
        b = -a / 2
        c = abs(b) ** 2
        d = (c @ w).T
        e = lib.where(d > 1, d, 0.0)
        f = lib.cat([e, w]).clamp(min=0.5)
        f.mean(0).sum().backward()
        """,
    "written after it was saved": """
        w = lib.tensor([1.0, 2.0], requires_grad=True)
        y = w * 2
        z = y.exp()
        loss = z.sum()
        z += 1
        try:
            loss.backward()
        except RuntimeError as error:
            print(error)
        """,
    "joined and cut": """
        w = lib.tensor([1.0, 2.0, 3.0, 4.0], requires_grad=True)
        first, second = w.chunk(2)
        third = lib.stack([first, second.detach()])
        third.sum().backward()
        """,
    "generator": """
        w = lib.tensor([1.0], requires_grad=True)

        @lib.no_grad()
        def steps():
            x = w
            for _ in range(2):
                x = x * 2
                yield x

        kept = [w * step for step in steps()]
        """,
    "called twice": """
        def double(x):
            return x * 2

        w = lib.tensor([1.0], requires_grad=True)
        a = double(w)
        b = double(a)
        """,
    "compared as a whole": """
        w = lib.tensor([1.0, 2.0], requires_grad=True)
        v = lib.tensor([1.0, 2.0])
        y = w * v
        a = lib.allclose(y, v)
        b = y.equal(w)
        c = v.allclose(v)
        """,
    "made a leaf afterwards": """
        W1 = (lib.ones(2) * 0.1).requires_grad_()
        b1 = lib.zeros(2)
        b1.requires_grad = True
        def layer():
            inner = lib.ones(2).mul(3).requires_grad_(True)
            (inner * W1 + b1).sum().backward()
        layer()
        """,
    "summed by Python": """
        w = lib.tensor([1.0, 2.0, 3.0], requires_grad=True)
        loss = sum(w)
        loss.backward()
        def total():
            parts = [w[0], w[1] * 2]
            for _ in range(2):
                inner = sum(parts)
                inner = sum([inner, w[2], 1])
            inner.backward()
        total()
        """,
    "written in part": """
        w = lib.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
        v = lib.tensor([0.5, 0.25])
        y = w * 2
        y[0] = 1.0
        y[1, 1] = w.sum()
        y[:, 0] = v
        y[y > 3] = 0.0
        b = lib.zeros(2, 2)
        b[0] = w[1]
        b[1] = 2
        buffer = lib.zeros(2)
        buffer[0] = 1
        (y + b).sum().backward()
        with lib.no_grad():
            w[0] = v
        """,
    "in a thread": """
        w = lib.tensor([1.0], requires_grad=True)
        kept = []

        def work():
            with lib.no_grad():
                kept.append(w * 2)
            kept.append(w * 3)

        worker = threading.Thread(target=work)
        worker.start()
        worker.join()
        last = kept[1] * 4
        """,
}


class Place(NamedTuple):
    """Where something is in a program, whatever the library is called there."""

    line: int
    function: str
    target: str


@pytest.mark.parametrize("sample", SAMPLES, ids=[sample.stem for sample in SAMPLES])
def test_a_sample_gives_the_same_graph(sample: Path) -> None:
    source = sample.read_text(encoding="utf-8")
    ours = record(source, str(sample))
    theirs = record(source.replace("gradviz", "torch"), str(sample))
    assert_same(ours, theirs)


@pytest.mark.filterwarnings("ignore:Converting a tensor with requires_grad=True")
@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_gives_the_same_graph(program: str) -> None:
    source = "if True:" + PROGRAMS[program]
    assert_same(record(source, "<program>", lib=gradviz), record(source, "<program>", lib=torch))


@pytest.mark.parametrize("lib", [gradviz, torch], ids=["core", "torch"])
def test_a_leaf_has_its_name_before_the_script_ends(lib: Any) -> None:
    """In the middle of a function, where no variable can be looked at."""

    def step() -> str:
        W1 = (lib.ones(2, 2) * 0.1).requires_grad_()
        out = (W1 * 2).sum()
        out.backward()
        drawn: str = gradviz.make_dot(out).source
        W1.grad.mul_(0)
        return drawn

    with gradviz.record() as rec:
        drawn = step()
    assert "W1" in drawn
    graph = rec.graph()
    (sweep,) = graph.sweeps
    assert [graph.values[got.value].name for got in sweep.gradients] == ["W1"]
    assert "W1.grad" in {value.name for value in graph.values.values()}


@pytest.mark.parametrize("lib", [gradviz, torch], ids=["core", "torch"])
def test_only_the_last_partial_sum_has_the_name_of_the_sum(lib: Any) -> None:
    def train(w: Any) -> None:
        for _ in range(2):
            losses = [(w * number).sum() for number in range(3)]
            loss = sum(losses)
            (loss * 2).backward()
        running = 0.0
        for term in losses:
            running = running + term

    with gradviz.record() as rec:
        w = lib.ones(2, requires_grad=True)
        train(w)
    graph = rec.graph()
    assert [value.name for value in graph.values.values()].count("loss") == 2, "one in each step"
    assert [value.name for value in graph.values.values()].count("running") == 3, "a loop of the user's own"


def record(source: str, filename: str, **names: Any) -> Graph:
    """The graph of a program, run as a script is: what its globals hold at the end has their names."""
    namespace: dict[str, Any] = {"__name__": "__main__", "__file__": filename, "threading": threading, **names}
    recorder = gradviz.record()
    recorder.start()
    raised: BaseException | None = None
    try:
        exec(compile(source, filename, "exec"), namespace)
    except Exception as error:
        raised = error
    finally:
        recorder.stop(raised, namespace={name: held for name, held in namespace.items() if name not in names})
        torch.set_grad_enabled(True)
    assert not recorder.failures
    graph = recorder.graph()
    graph.validate()
    return graph


def assert_same(ours: Graph, theirs: Graph) -> None:
    """Compare, part by part, so that a mismatch is told where it begins."""
    mine, other = told(ours), told(theirs)
    for part, expected in mine.items():
        for position, (one, two) in enumerate(zip(expected, other[part], strict=False)):
            assert two == one, f"{part} {position}"
        assert len(other[part]) == len(expected), part
    assert [note.text for note in theirs.notes if note.kind != "coverage"] == [note.text for note in ours.notes]


def told(graph: Graph) -> Mapping[str, list[Any]]:
    """What a graph says, in terms that do not depend on how a front end counts.

    Left out are columns, which move with the length of the library's name, what nodes keep and the plain arguments of
    ops, which PyTorch splits otherwise, and regions in which nothing ran.
    """
    order = {value: position for position, value in enumerate(graph.values)}

    def place(site: int | None) -> Place | None:
        found = graph.sites.get(site) if site is not None else None
        return None if found is None else Place(found.line, found.function, found.target)

    def region(id: int | None) -> list[Any]:
        chain = []
        while id is not None:
            found = graph.regions[id]
            chain.append((found.kind, found.enabled, place(found.site), found.thread))
            id = found.parent
        return chain

    def value(id: int) -> Any:
        found = graph.values[id]
        return (
            found.name, found.shape, found.dtype, found.nbytes, found.requires_grad, found.leaf, found.version,
            order[found.storage],
        )  # fmt: skip

    return {
        "op": [
            {
                "name": op.name,
                "node": op.node,
                "cause": op.cause,
                "inputs": [order[item] if isinstance(item, int) else item for item in op.inputs],
                "needs": op.needs,
                "outputs": [value(output) for output in op.outputs],
                "alias": op.alias,
                "inplace": op.inplace,
                "place": place(op.site),
                "region": region(op.region),
                "thread": op.thread,
            }
            for op in graph.ops.values()
        ],
        "cut": [(cut.cause, cut.position, order[cut.value], place(cut.site), region(cut.region)) for cut in graph.cuts],
        "sweep": [
            (
                sweep.kind, [order[root] for root in sweep.roots], place(sweep.site), sweep.freed, sweep.error,
                None if sweep.inputs is None else [order[item] for item in sweep.inputs],
                [(order[g.value], pytest.approx(g.norm, rel=1e-3, abs=1e-3), g.zero, g.nan) for g in sweep.gradients],
            )
            for sweep in graph.sweeps
        ],
        "error": [(error.type, error.message, place(error.site)) for error in graph.errors],
        "region": [region(found.id) for found in graph.regions.values() if found.ops],
    }  # fmt: skip
