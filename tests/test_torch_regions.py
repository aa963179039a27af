"""Regions: after each statement the recording and PyTorch agree on whether gradients are tracked."""

from __future__ import annotations

import contextlib
import inspect
import linecache
import re
import threading
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_torch_conformance import assert_same

import gradviz
from gradviz.core import grad_mode
from gradviz.graphs import Graph, Op, Region


class Asked(NamedTuple):
    """What PyTorch said where a probe ran."""

    tracked: bool
    grad: bool
    inference: bool


class Writer:
    """Writes a program from its statements; each probe multiplies by a number of its own."""

    def __init__(self) -> None:
        self.lines = ["w = torch.ones(1, requires_grad=True)"]
        self.depth = 0
        self.probes = 0
        self.names = 0

    def line(self, text: str) -> None:
        self.lines.append("    " * self.depth + text)

    def name(self, switch: str = "") -> str:
        """A fresh name, which tells what kind of switch it stands for."""
        self.names += 1
        return f"{switch.partition('(')[0].rpartition('.')[2]}_{self.names}"

    @contextlib.contextmanager
    def block(self, text: str) -> Iterator[None]:
        self.line(text)
        self.depth += 1
        yield
        self.depth -= 1

    def probe(self) -> None:
        self.probes += 1
        self.line(f"probe({self.probes})")
        self.line(f"asked[{self.probes}] = Asked((w * {self.probes}).requires_grad, *modes())")

    def body(self, statements: list[Any]) -> None:
        self.probe()
        for statement in statements:
            getattr(self, f"write_{statement[0]}")(*statement[1:])
            self.probe()

    def write_with(self, switch: str, body: list[Any]) -> None:
        with self.block(f"with {switch}:"):
            self.body(body)

    def write_call(self, switch: str) -> None:
        self.line(switch)

    def write_kept(self, switch: str, before: list[Any], body: list[Any]) -> None:
        """A switch that is made first and entered later, perhaps twice."""
        name = self.name(switch)
        self.line(f"{name} = {switch}")
        self.body(before)
        for _ in range(2):
            with self.block(f"with {name}:"):
                self.body(body)

    def write_nested(self, switch: str, body: list[Any]) -> None:
        """One switch, entered inside of itself."""
        name = self.name(switch)
        self.line(f"{name} = {switch}")
        with self.block(f"with {name}:"), self.block(f"with {name}:"):
            self.body(body)

    def write_decorated(self, switch: str, body: list[Any]) -> None:
        name = self.name()
        self.line(f"@{switch}")
        with self.block(f"def {name}():"):
            self.body(body)
        self.line(f"{name}()")

    def write_raising(self, switch: str, body: list[Any]) -> None:
        with self.block("try:"), self.block(f"with {switch}:"):
            self.body(body)
            self.line("raise LookupError")
        with self.block("except LookupError:"):
            self.line("pass")

    def write_generator(self, switch: str, body: list[Any], between: list[Any]) -> None:
        """A decorated generator: the switch is on while it runs, and off between its steps."""
        name = self.name()
        self.line(f"@{switch}")
        with self.block(f"def {name}():"):
            self.body(body)
            self.line("yield")
            self.body([])
        with self.block(f"for _ in {name}():"):
            self.body(between)

    def write_leaking(self, switch: str, between: list[Any], closes: bool) -> None:
        """An undecorated one: its switch stays on between its steps, and goes off in the middle of something else."""
        name = self.name()
        with self.block(f"def {name}():"), self.block(f"with {switch}:"):
            self.body([])
            self.line("yield")
        self.line(f"{name} = {name}()")
        self.line(f"next({name})")
        self.body(between)
        self.line(f"{name}.close()" if closes else f"next({name}, None)")

    def write_crossed(self, one: str, other: str, body: list[Any]) -> None:
        """Two switches that are not left in the order in which they were entered."""
        first, second = self.name(one), self.name(other)
        self.line(f"{first}, {second} = {one}, {other}")
        self.line(f"{first}.__enter__()")
        self.body(body)
        self.line(f"{second}.__enter__()")
        self.body(body)
        self.line(f"{first}.__exit__(None, None, None)")
        self.body([])
        self.line(f"{second}.__exit__(None, None, None)")

    def write_thread(self, body: list[Any]) -> None:
        name = self.name()
        with self.block(f"def {name}():"):
            self.body(body)
        self.line(f"run({name})")

    def write_step(self, body: list[Any]) -> None:
        """Code of PyTorch's own that turns grad off and on, around code of the user's."""
        name = self.name()
        with self.block(f"def {name}():"):
            self.body(body)
            self.line("return 1.0")
        self.line(f"torch.optim.SGD([torch.ones(1, requires_grad=True)]).step({name})")

    def write_custom(self) -> None:
        self.line("Custom.apply(w)")


def is_for_both(program: list[Any]) -> bool:
    """The core has none of PyTorch's private names; to a region that was left out of turn, it tells another way."""
    words = set(re.findall(r"\w+", str(program)))
    return not words & {"step", "custom", "crossed", "_C", "grad_mode"}


class Custom(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        torch.set_grad_enabled(True)
        with torch.no_grad(), torch.inference_mode():
            return x.detach().clone()


ENTERED = [
    "torch.no_grad()", "torch.enable_grad()", "torch.inference_mode()", "torch.inference_mode(mode=False)",
    "torch.set_grad_enabled(False)", "torch.set_grad_enabled(True)", "torch.autograd.set_grad_enabled(False)",
    "torch.autograd.grad_mode.set_grad_enabled(mode=True)", "torch.autograd.no_grad()",
]  # fmt: skip
CALLED = [
    "torch.set_grad_enabled(False)", "torch.set_grad_enabled(True)", "torch._C._set_grad_enabled(False)",
    "torch._C._set_grad_enabled(True)",
]  # fmt: skip
DECORATING = [*ENTERED, "torch.no_grad", "torch.enable_grad", "torch.inference_mode"]

entered, called, decorating = map(st.sampled_from, (ENTERED, CALLED, DECORATING))
left_at_once = st.sampled_from([text for text in ENTERED if "inference" not in text])
"""One `inference_mode` in itself or out of order is refused by PyTorch, or restores more than the mode."""


def statements(inner: st.SearchStrategy[list[Any]]) -> st.SearchStrategy[list[Any]]:
    one = st.one_of(
        st.tuples(st.just("with"), entered, inner),
        st.tuples(st.just("call"), called),
        st.tuples(st.just("kept"), entered, inner, inner),
        st.tuples(st.just("nested"), left_at_once, inner),
        st.tuples(st.just("decorated"), decorating, inner),
        st.tuples(st.just("raising"), entered, inner),
        st.tuples(st.just("generator"), decorating, inner, inner),
        st.tuples(st.just("leaking"), left_at_once, inner, st.booleans()),
        st.tuples(st.just("crossed"), left_at_once, left_at_once, inner),
        st.tuples(st.just("thread"), inner),
        st.tuples(st.just("step"), inner),
        st.tuples(st.just("custom")),
    )
    return st.lists(one, max_size=3)


programs: st.SearchStrategy[list[Any]] = st.recursive(st.just([]), statements, max_leaves=5)


def run(work: Any) -> None:
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


def record(writer: Writer, library: Any = torch) -> tuple[Graph, dict[int, Asked]]:
    asked: dict[int, Asked] = {}
    source = "\n".join(writer.lines) + "\n"
    file = "<program>"
    linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
    names = {
        "torch": library, "asked": asked, "Asked": Asked, "probe": lambda number: None, "run": run, "Custom": Custom,
        "modes": lambda: (library.is_grad_enabled(), library.is_inference_mode_enabled()),
    }  # fmt: skip
    try:
        with gradviz.record() as rec:
            exec(compile(source, file, "exec"), names)
    finally:
        torch.set_grad_enabled(True)
        grad_mode._current.set(None)
        linecache.cache.pop(file, None)
    assert not rec.failures
    graph = rec.graph()
    graph.validate()
    return graph, asked


def around(graph: Graph, op: Op) -> list[Region]:
    """The regions that an op ran in, innermost first."""
    found = []
    region = op.region
    while region is not None:
        found.append(graph.regions[region])
        region = graph.regions[region].parent
    return found


def check(writer: Writer) -> None:
    graph, asked = record(writer)
    text = "\n".join(writer.lines)
    probes = {int(op.inputs[1]): op for op in graph.ops.values() if op.name == "mul"}
    assert sorted(probes) == sorted(asked), text
    last: dict[int, Op] = {}
    for number, said in asked.items():
        op = probes[number]
        about = f"probe {number} of\n{text}"
        regions = around(graph, op)
        assert op.tracked == said.tracked, about
        assert (not regions or regions[0].enabled) == said.grad, about
        inference = next((region for region in regions if region.kind == "inference_mode"), None)
        assert (inference is not None and not inference.enabled) == said.inference, about
        assert {region.thread for region in regions} <= {op.thread}, about
        if not op.tracked:
            (cut,) = [cut for cut in graph.cuts if cut.op == op.id]
            assert cut.region is not None, about
            off = graph.regions[cut.region]
            assert not off.enabled, about
            assert cut.cause == off.kind, about
            assert cut.region in [region.id for region in regions], about
        for region in regions:
            assert region.site is not None, about
            assert region.kind in graph.sites[region.site].text or "SGD" in graph.sites[region.site].text, about
        last[op.thread] = op
    for region in graph.regions.values():
        op = last[region.thread]
        in_effect = region in around(graph, op)
        assert region.closed or in_effect, f"region {region.id} is not in effect at the end of\n{text}"
        assert region.id != op.region or not region.closed, f"region {region.id} is in effect at the end of\n{text}"


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(programs)
def test_regions_agree_with_pytorch(program: list[Any]) -> None:
    writer = Writer()
    writer.body(program)
    check(writer)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(programs.filter(is_for_both))
def test_regions_agree_with_the_core(program: list[Any]) -> None:
    writer = Writer()
    writer.body(program)
    ours, asked = record(writer, gradviz)
    theirs, expected = record(writer)
    assert asked == expected
    assert_same(ours, theirs)
    assert endings(ours) == endings(theirs), "\n".join(writer.lines)


def endings(graph: Graph) -> list[tuple[str, int, bool]]:
    """The regions in which something ran: kind, opener's line, closed."""
    return [
        (region.kind, graph.sites[region.site or 0].line, region.closed)
        for region in graph.regions.values()
        if region.ops
    ]


def written(source: str) -> Graph:
    """The graph of a program as it is written here."""
    writer = Writer()
    writer.lines += inspect.cleandoc(source).splitlines()
    return record(writer)[0]


def told(graph: Graph) -> list[tuple[str, bool, str, int]]:
    """Each region: its kind, whether it is closed, the opener's line, how many ops it has."""
    return [
        (region.kind, region.closed, graph.sites[region.site or 0].text.strip(), len(region.ops))
        for region in graph.regions.values()
    ]


def test_a_step_leaves_no_region_behind() -> None:
    graph = written("""
        kept = []
        model = torch.nn.Linear(1, 1)
        optimizer = torch.optim.LBFGS(model.parameters(), max_iter=2)
        optimizer.register_step_pre_hook(lambda *given: kept.append(w * 2))
        def closure():
            optimizer.zero_grad()
            loss = model(w).sum()
            loss.backward()
            return loss
        for _ in range(2):
            optimizer.step(closure)
            y = w * 3
        """)
    assert all(closed for _, closed, _, _ in told(graph))
    # PyTorch decorates its `step`, and in it the closure.
    assert {text for _, _, text, _ in told(graph)} == {"optimizer.step(closure)", "def closure():"}
    after = [op for op in graph.ops.values() if op.name == "mul" and op.inputs[1] == "3"]
    assert [(op.tracked, op.region) for op in after] == [(True, None)] * 2
    assert all(op.tracked for op in graph.ops.values() if op.name in ("linear", "sum"))


def test_a_region_that_a_with_turns_around_for_a_while_stays_one() -> None:
    graph = written("""
        torch.set_grad_enabled(False)
        a = w * 1
        with torch.set_grad_enabled(True):
            b = w * 2
        c = w * 3
        @torch.set_grad_enabled(True)
        def on():
            return w * 4
        d = on()
        e = w * 5
        torch.set_grad_enabled(True)
        f = w * 6
        """)
    assert told(graph) == [
        ("set_grad_enabled", True, "torch.set_grad_enabled(False)", 3),
        ("set_grad_enabled", True, "with torch.set_grad_enabled(True):", 1),
        ("set_grad_enabled", True, "@torch.set_grad_enabled(True)", 1),
    ]
    assert [region.parent for region in graph.regions.values()] == [None, *[next(iter(graph.regions))] * 2]


def test_a_switch_inside_of_another_ends_with_it() -> None:
    graph = written("""
        with torch.no_grad():
            a = w * 1
            torch.set_grad_enabled(True)
            b = w * 2
        c = w * 3
        """)
    assert told(graph) == [
        ("no_grad", True, "with torch.no_grad():", 1),
        ("set_grad_enabled", True, "torch.set_grad_enabled(True)", 1),
    ]


def test_a_grad_mode_that_is_left_inside_of_inference_mode_does_not_end_that() -> None:
    graph = written("""
        def steps():
            with torch.no_grad():
                yield
        step = steps()
        next(step)
        with torch.inference_mode():
            step.close()
            a = w * 1
        b = w * 2
        """)
    inside, after = [op for op in graph.ops.values() if op.name == "mul"]
    assert [cut.cause for cut in graph.cuts if cut.op == inside.id] == ["inference_mode"]
    assert graph.regions[inside.region or 0].kind == "inference_mode"
    # It was entered with grad off, and brings that back.
    assert not after.tracked
    assert graph.regions[after.region or 0].kind == "no_grad"
