"""What a recording tells around the ops: who made a module, what was switched, handed over, kept, what stands there."""

from __future__ import annotations

import textwrap
import weakref
from collections import deque
from pathlib import Path
from traceback import extract_tb

import pytest

import gradviz
from gradviz.events import Site, Statement
from gradviz.graphs import Graph
from gradviz.naming import name_values
from gradviz.statements import Statements

torch = pytest.importorskip("torch")


def recorded(tmp_path: Path, source: str) -> Graph:
    """The graph of a program, which ends well."""
    script = tmp_path / "program.py"
    script.write_text(textwrap.dedent(source), encoding="utf-8")
    namespace: dict[str, object] = {"__name__": "program"}
    recorder = gradviz.record()
    recorder.start()
    try:
        exec(compile(script.read_text(encoding="utf-8"), str(script), "exec"), namespace)
    finally:
        recorder.stop(namespace=namespace)
    assert not recorder.failures
    graph = recorder.graph()
    graph.validate()
    return graph


def test_a_module_tells_the_line_that_made_it(tmp_path: Path) -> None:
    graph = recorded(
        tmp_path,
        """\
        import torch
        from torch import nn
        class Tree(nn.Module):
            def __init__(self, depth):
                super().__init__()
                self.act = nn.ReLU()
                self.kid = Tree(depth - 1) if depth else nn.Identity()
            def forward(self, x):
                return self.kid(self.act(x))
        tree = Tree(1)
        tree(torch.ones(1))
        """,
    )
    lines = {module.scope: (module.kind, graph.sites[module.site or 0].line) for module in graph.modules}
    assert lines == {
        "tree": ("Tree", 10), "tree.act": ("ReLU", 6), "tree.kid": ("Tree", 7), "tree.kid.act": ("ReLU", 6),
        "tree.kid.kid": ("Identity", 7),
    }  # fmt: skip


def test_evaluation_and_attributes_that_mean_nothing_are_acts(tmp_path: Path) -> None:
    graph = recorded(
        tmp_path,
        """\
        import torch
        from torch import nn
        class Flagged(nn.Module):
            requires_grad = None
        model = nn.Sequential(nn.Linear(1, 1), nn.Dropout())
        model.eval()
        model[0].requires_grad = False
        model[0].weight.require_grad = False
        model[0].weight.requires_grad = True
        Flagged().requires_grad = False
        model.train()
        """,
    )
    told = [(act.kind, act.text, graph.sites[act.site or 0].line, len(act.values)) for act in graph.acts]
    assert told == [
        ("eval", "", 6, 2), ("attribute", "requires_grad = False", 7, 2), ("attribute", "require_grad = False", 8, 1),
        ("train", "", 11, 2),
    ]  # fmt: skip


@pytest.mark.parametrize("mode", ["torch.no_grad()", "torch.inference_mode()", "torch.enable_grad()"])
def test_work_is_told_where_it_was_handed_over_with_grad_off(tmp_path: Path, mode: str) -> None:
    graph = recorded(
        tmp_path,
        f"""\
        import threading
        from concurrent.futures import ThreadPoolExecutor
        import torch
        w = torch.ones(2, requires_grad=True)
        with ThreadPoolExecutor(1) as pool:
            with {mode}:
                pool.submit(w.exp).result()
                thread = threading.Thread(target=w.sin)
                thread.start()
                thread.join()
            pool.submit(w.cos).result()
        """,
    )
    told = [(w.thread, graph.sites[w.site].line if w.site is not None else 0, w.region is not None) for w in graph.work]
    assert told == ([] if "enable" in mode else [(1, 7, True), (1, 0, False), (2, 9, True), (2, 0, False)])


def test_what_modules_hold_besides_is_named(tmp_path: Path) -> None:
    graph = recorded(
        tmp_path,
        """\
        from collections import deque
        import torch
        from torch import nn
        class Holder(nn.Module):
            def __init__(self):
                super().__init__()
                self.layers = [nn.Linear(1, 1)]
                self.kept = deque()
                self.again = self
            def forward(self, x):
                for layer in self.layers:
                    x = layer(x)
                self.kept.append({"x": x})
                return x
        holder = Holder()
        holder(torch.ones(1)); holder(torch.ones(1))
        """,
    )
    names = {value.name for value in graph.values.values()}
    assert {"holder.layers[0].weight", "holder.layers[0].bias", "holder.kept[0]['x']", "holder.kept[1]['x']"} <= names


def test_lists_of_a_function_are_named_while_it_runs(tmp_path: Path) -> None:
    program = """\
        import torch
        def train(keep):
            w = torch.ones(2, requires_grad=True)
            history, kept = [], locals() if keep == "locals" else None
            for step in range(5):
                loss = (w * w).sum()
                loss.backward()
                history.append(loss if keep else loss.detach())
            return kept
        assert (train(%r) or {"w": 0}).keys() >= {"w"}
        """
    for keep, held in (("", set()), ("all", {0, 1, 2}), ("locals", {0, 1, 2})):
        graph = recorded(tmp_path, program % keep)
        names = {value.name for value in graph.values.values()}
        assert {name for name in names if name.startswith("history[")} == {f"history[{index}]" for index in held}


def test_weak_references_come_last_and_are_no_way_on() -> None:
    class Plain:
        pass

    value, other = Plain(), Plain()
    offered: list[tuple[str, object]] = []
    name_values(
        {"refs": [weakref.ref(value), weakref.ref(other)], "late": deque([{"deep": [value]}])},
        lambda found, text: offered.append((text, found)) or type(found) is Plain,  # type: ignore[func-returns-value]
    )
    assert [text for text, found in offered if type(found) is Plain] == ["late[0]['deep'][0]", "refs[1]()"]


def test_statements_speak_for_the_lines_around_a_place(tmp_path: Path) -> None:
    source = tmp_path / "é.py"
    source.write_text(
        textwrap.dedent("""\
            class Loss:
                def total(self, a, b):
                    if a is None:
                        return b
                    "é"; self.log['a'].append((a, b.item()))
                    for part in (a, b):
                        self.parts[part] = part
                    def inner():
                        return part
                    return a + b
            def elsewhere():
                return 1
        """),
        encoding="utf-8",
    )
    statements = Statements()
    statements.saw(Site(0, str(source), 6))
    records = list(statements.tell(5))
    sites = {record.id: record for record in records if isinstance(record, Site)}
    assert sorted(sites) == list(range(5, 5 + len(sites)))
    told = [
        (s.kind, sites[s.site].line, s.first, s.last, s.target, s.names) for s in records if isinstance(s, Statement)
    ]
    assert told == [
        ("branch", 3, 5, 10, "", ()),
        ("return", 4, 2, 10, "", ("b",)),
        ("fill", 5, 5, 5, "self.log['a']", ("a", "b")),
        ("fill", 7, 7, 7, "self.parts", ("part",)),
        ("return", 10, 2, 10, "", ("a", "b")),
    ]
    append = sites[next(s.site for s in records if isinstance(s, Statement) and s.kind == "fill")]
    assert append.text[append.column : append.end_column] == "self.log['a'].append((a, b.item()))"
    returns = [sites[s.site] for s in records if isinstance(s, Statement) and s.kind == "return"]
    assert {site.function for site in returns} == {"Loss.total"}


@pytest.mark.parametrize("text", ["def (:\n", "", "\0"])
def test_a_source_that_is_none_has_no_statements(tmp_path: Path, text: str) -> None:
    source = tmp_path / "broken.py"
    source.write_text(text, encoding="utf-8")
    statements = Statements()
    statements.saw(Site(0, str(source), 1))
    assert not list(statements.tell(0))


def test_an_exception_shows_no_line_of_the_recording(tmp_path: Path) -> None:
    for source in ("nn.Linear(1, 1).weight.data = 3", "nn.Module().train(3)", "torch.ones(1).backward()"):
        with pytest.raises((TypeError, ValueError, RuntimeError)) as raised:
            recorded(tmp_path, f"import torch\nfrom torch import nn\n{source}\n")
        files = [entry.filename for entry in extract_tb(raised.value.__traceback__)]
        assert not [file for file in files if "frontends" in file]
        assert any(entry.lineno == 3 for entry in extract_tb(raised.value.__traceback__))
