"""Conformance of modules and optimizers: a program with them gives the same graph with PyTorch as with the core."""

from __future__ import annotations

import linecache
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import torch
from test_torch_conformance import record

import gradviz
from gradviz.diagnose import diagnose
from gradviz.graphs import Graph

NET = """
        class Net(lib.nn.Module):
            def __init__(self):
                super().__init__()
                self.encoder = lib.nn.Sequential(lib.nn.Linear(2, 3), lib.nn.Tanh(), lib.nn.LayerNorm(3))
                self.head = lib.nn.Linear(3, 2)
                self.gain = lib.nn.Parameter(lib.ones(2))
                self.register_buffer("shift", lib.zeros(2))

            def forward(self, x):
                hidden = self.encoder(x)
                return self.head(hidden) * self.gain + self.shift

        lib.manual_seed(0)
        model = Net()
        x = lib.ones(4, 2)
"""

PROGRAMS = {
    "a training loop": NET + """
        optimizer = lib.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        for _ in range(3):
            optimizer.zero_grad()
            out = model(x)
            loss = (out * out).sum()
            loss.backward()
            optimizer.step()
        """,
    "evaluated": NET + """
        model.eval()
        with lib.no_grad():
            out = model(x)
        model.train()
        model.zero_grad()
        after = model(x).sum()
        """,
    "classified": NET + """
        y = lib.tensor([0, 1, 1, 0])
        criterion = lib.nn.CrossEntropyLoss()
        optimizer = lib.optim.Adam(model.parameters(), lr=0.01)
        for _ in range(2):
            loss = criterion(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        """,
    "frozen in part": NET + """
        for p in model.encoder.parameters():
            p.requires_grad = False
        model.head.requires_grad_(False)
        optimizer = lib.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
        loss = model(x).sum()
        loss.backward()
        optimizer.step()
        """,
    "a flag that freezes nothing": NET + """
        model.encoder.requires_grad = False
        for p in model.head.parameters():
            p.require_grad = False
        optimizer = lib.optim.SGD(model.parameters(), lr=0.1)
        model(x).sum().backward()
        optimizer.step()
        """,
    "a head that came too late": NET + """
        optimizer = lib.optim.SGD(model.parameters(), lr=0.1)
        model.head = lib.nn.Linear(3, 2)
        for _ in range(2):
            optimizer.zero_grad()
            model(x).sum().backward()
            optimizer.step()
        """,
    "not registered": """
        class Stack(lib.nn.Module):
            def __init__(self):
                super().__init__()
                self.layers = [lib.nn.Linear(2, 2), lib.nn.Linear(2, 2)]
                self.last = lib.nn.Linear(2, 1)

            def forward(self, x):
                for layer in self.layers:
                    x = layer(x)
                return self.last(x)

        stack = Stack()
        optimizer = lib.optim.SGD(stack.parameters(), lr=0.1)
        stack(lib.ones(3, 2)).sum().backward()
        optimizer.step()
        """,
    "a group that was added": NET + """
        optimizer = lib.optim.AdamW(model.encoder.parameters(), lr=0.1)
        optimizer.add_param_group({"params": model.head.parameters()})
        model(x).sum().backward()
        optimizer.step()
        optimizer.zero_grad()
        """,
    "an optimizer that knows what was there before": """
        w = lib.ones(2, requires_grad=True)
        optimizer = lib.optim.RMSprop([w], lr=0.1)
        (w * w).sum().backward()
        optimizer.step()
        b = w * 2
        """,
    "modules in a list and a dictionary": """
        class Many(lib.nn.Module):
            def __init__(self):
                super().__init__()
                self.blocks = lib.nn.ModuleList([lib.nn.Linear(2, 2) for _ in range(2)])
                self.by_name = lib.nn.ModuleDict({"one": lib.nn.ReLU(), "two": lib.nn.Sigmoid()})

            def forward(self, x):
                for block in self.blocks:
                    x = self.by_name["one"](block(x))
                return self.by_name["two"](x)

        many = Many()
        y = many(lib.ones(1, 2))
        y.sum().backward()
        """,
    "called by a function, without a name": """
        def build():
            return lib.nn.Linear(2, 1)

        def run(x):
            return build()(x)

        y = run(lib.ones(1, 2))
        """,
}


def told(graph: Graph) -> dict[str, list[Any]]:
    """What a graph says of modules and optimizers, in terms that do not depend on which library ran.

    Sources are numbered where they are first met: the core's parameters exist before something uses them.
    """
    numbers: dict[int, int] = {}

    def seen(values: Iterable[Any]) -> list[Any]:
        held = [graph.values[value] for value in values if isinstance(value, int)]
        return [
            (numbers.setdefault(value.id, len(numbers)), value.name, value.shape, value.requires_grad, value.leaf,
             value.version)
            for value in held
        ]  # fmt: skip

    def place(site: int | None) -> Any:
        found = graph.sites.get(site) if site is not None else None
        return None if found is None else (found.line, found.function, found.target)

    ops = []
    for op in graph.ops.values():
        if op.inputs:
            ops.append(
                (op.name, op.node, op.scope, place(op.site), op.cause, op.inplace, seen(op.inputs), seen(op.outputs))
            )
    return {
        "op": ops,
        "source": sorted(
            (numbers[op.id], op.name, place(op.site)) for op in graph.ops.values() if not op.inputs and op.id in numbers
        ),
        "module": [(module.scope, module.kind, place(module.site)) for module in graph.modules],
        "optimizer": [(one.kind, seen(one.values), place(one.site)) for one in graph.optimizers],
        "act": [(act.kind, act.optimizer, seen(act.values), place(act.site), act.text) for act in graph.acts],
        "sweep": [
            (place(sweep.site), seen(sweep.roots), sorted(seen([got.value]) for got in sweep.gradients))
            for sweep in graph.sweeps
        ],
        "role": sorted(
            (value.name, str(value.role)) for value in graph.values.values() if value.role and value.id in numbers
        ),
    }


def run(program: str, folder: Path, lib: Any) -> Graph:
    """The graph of a program that is in a file: what a module is called is read from the source."""
    file = folder / "program.py"
    source = "if True:" + PROGRAMS[program]
    file.write_text(source, encoding="utf-8")
    linecache.checkcache(str(file))
    return record(source, str(file), lib=lib)


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_gives_the_same_graph(program: str, tmp_path: Path) -> None:
    graphs = [run(program, tmp_path, lib) for lib in (gradviz, torch)]
    mine, other = map(told, graphs)
    for part, expected in mine.items():
        for position, (one, two) in enumerate(zip(expected, other[part], strict=False)):
            assert two == one, f"{part} {position}"
        assert len(other[part]) == len(expected), part


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_gets_the_same_findings(program: str, tmp_path: Path) -> None:
    found = []
    for lib in (gradviz, torch):
        findings = diagnose(run(program, tmp_path, lib))
        found.append([(one.code, one.severity, one.line, sorted(one.names)) for one in findings])
    assert found[0] == found[1]


def test_the_sweep_knows_parameters_by_their_path(tmp_path: Path) -> None:
    graph = run("a training loop", tmp_path, gradviz)
    names = {graph.values[got.value].name for got in graph.sweeps[-1].gradients}
    assert names == {
        "model.gain", "model.head.weight", "model.head.bias", "model.encoder.0.weight", "model.encoder.0.bias",
        "model.encoder.2.weight", "model.encoder.2.bias",
    }  # fmt: skip
    assert "model.encoder.0.weight.grad" in {value.name for value in graph.values.values()}


def test_nothing_is_told_while_nobody_records() -> None:
    model = gradviz.nn.Sequential(gradviz.nn.Linear(2, 3), gradviz.nn.ReLU(), gradviz.nn.Linear(3, 1))
    optimizer = gradviz.optim.SGD(model.parameters(), lr=0.1)
    before = [parameter._origin for parameter in model.parameters()]
    for _ in range(3):
        model(gradviz.ones(4, 2)).sum().backward()
        optimizer.step()
    assert [parameter._origin for parameter in model.parameters()] == before


def test_what_was_built_before_is_known_when_it_runs() -> None:
    model = gradviz.nn.Sequential(gradviz.nn.Linear(2, 3), gradviz.nn.ReLU())
    optimizer = gradviz.optim.SGD(model.parameters(), lr=0.1)
    with gradviz.record() as rec:
        out = model(gradviz.ones(4, 2))
        out.sum().backward()
        optimizer.step()
    graph = rec.graph()
    graph.validate()
    (owner,) = graph.optimizers
    assert [graph.values[value].name for value in owner.values] == ["model.0.weight", "model.0.bias"]
    assert [op.name for op in graph.ops.values() if op.scope == "model.1"] == ["relu"]
    assert next(value for value in graph.values.values() if value.name == "out").shape == (4, 3)


def test_a_drawing_without_a_recording_names_parameters_by_their_module() -> None:
    class Net(gradviz.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = gradviz.nn.Sequential(gradviz.nn.Linear(2, 3), gradviz.nn.ReLU())
            self.gain = gradviz.nn.Parameter(gradviz.ones(3))

        def forward(self, x: Any) -> Any:
            return self.body(x) * self.gain

    network = Net()
    unused = gradviz.nn.Linear(1, 1)
    loss = network(gradviz.ones(1, 2)).sum()
    names = {value.name for value in gradviz.graph(loss).values.values() if value.leaf and value.requires_grad}
    assert names == {"network.body.0.weight", "network.body.0.bias", "network.gain"}
    drawn = gradviz.make_dot(loss).source
    assert "network.body.0.weight" in drawn
    assert "unused" not in drawn
    assert list(unused.parameters())
