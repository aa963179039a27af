"""`make_dot` on PyTorch's tensors: the same drawing as torchviz, and all that torchviz cannot do."""

from __future__ import annotations

import re
import subprocess
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import graphviz
import pytest
import torch
import torch.nn.functional as F
from oracles import require_dot
from torch import nn
from torch.utils.checkpoint import checkpoint

import gradviz
from gradviz.errors import UsageError
from gradviz.events import Cause, Role


def their_make_dot(*arguments: Any, **options: Any) -> graphviz.Digraph:
    """torchviz's own."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it uses distutils
        import torchviz

        return torchviz.make_dot(*arguments, **options)


@pytest.fixture(autouse=True)
def seeded() -> Iterator[None]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


class Drawn(NamedTuple):
    """Node name -> (label, fill), and the edges as (tail, head, attributes)."""

    nodes: dict[str, tuple[str, str]]
    edges: list[tuple[str, str, str]]

    @property
    def labels(self) -> list[str]:
        return sorted(label for label, _ in self.nodes.values())

    @property
    def joined(self) -> list[tuple[str, str, str]]:
        """The edges by the first lines of the labels of their ends."""
        first = {name: label.partition("\n")[0] for name, (label, _) in self.nodes.items()}
        return sorted((first[tail], first[head], look) for tail, head, look in self.edges)

    def fill(self, label: str) -> str:
        (found,) = {fill for other, fill in self.nodes.values() if other == label}
        return found


def read(dot: graphviz.Digraph) -> Drawn:
    label = r'label=(?:"((?:[^"\\]|\\.)*)"|(\w+))'
    found = re.findall(rf"^\t+(\w+) \[{label}(?: fillcolor=(\w+))?.*?\]$", dot.source, re.MULTILINE | re.DOTALL)
    nodes = {name: (quoted or plain, fill) for name, quoted, plain, fill in found}
    edges = re.findall(r"^\t(\w+) -> (\w+)(?: \[(.*)\])?$", dot.source, re.MULTILINE)
    return Drawn(nodes, [(tail, head, look) for tail, head, look in edges])


def shape(drawn: Drawn) -> Counter[object]:
    """The drawing up to the names of its nodes: colours refined until a node stands for all that it is joined to."""
    colors: dict[str, object] = dict(drawn.nodes)
    for _ in range(8):
        sides: dict[str, list[object]] = {name: [] for name in colors}
        for tail, head, look in drawn.edges:
            # A line without direction may be written from either end.
            ends = ("-", "-") if look == "dir=none" else ("out", "in")
            sides[tail].append((ends[0], look, colors[head]))
            sides[head].append((ends[1], look, colors[tail]))
        colors = {name: hash((colors[name], tuple(sorted(map(hash, sides[name]))))) for name in colors}
    return Counter(colors.values())


# the same as torchviz


class Twice(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        return x * 2

    @staticmethod
    def backward(ctx: Any, g: torch.Tensor) -> torch.Tensor:
        return g * 2


Program = Callable[[], tuple[Any, dict[str, torch.Tensor]]]


def arithmetic() -> tuple[Any, dict[str, torch.Tensor]]:
    x, w, b = torch.randn(4, 3), torch.randn(3, 2, requires_grad=True), torch.randn(2, requires_grad=True)
    y = x @ w + b
    return (y * y.exp() - 1 / y).sum(), {"w": w, "b": b}


def several_outputs() -> tuple[Any, dict[str, torch.Tensor]]:
    x = torch.randn(3, 4, requires_grad=True)
    a, b, c = x.exp().unbind()
    return (a + c, b.max(0).values, x), {"x": x}


def perceptron() -> tuple[Any, dict[str, torch.Tensor]]:
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.LayerNorm(8), nn.Dropout(0.5), nn.Linear(8, 3))
    loss = F.cross_entropy(model(torch.randn(5, 4)), torch.tensor([0, 1, 2, 1, 0]))
    return loss, dict(model.named_parameters())


def convolution() -> tuple[Any, dict[str, torch.Tensor]]:
    model = nn.Sequential(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.MaxPool2d(2), nn.Flatten())
    return model(torch.randn(2, 2, 8, 8)), dict(model.named_parameters())


def recurrent() -> tuple[Any, dict[str, torch.Tensor]]:
    model = nn.LSTM(3, 5)
    output, (hidden, _) = model(torch.randn(6, 2, 3))
    return (output.mean(), hidden), dict(model.named_parameters())


def attention() -> tuple[Any, dict[str, torch.Tensor]]:
    model = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)
    return model(torch.randn(2, 5, 8)), dict(model.named_parameters())


def views() -> tuple[Any, dict[str, torch.Tensor]]:
    x = torch.randn(2, 6, requires_grad=True)
    return x.exp().view(3, 4)[1:].t(), {"x": x}


def view_of_leaf() -> tuple[Any, dict[str, torch.Tensor]]:
    x = torch.randn(2, 6, requires_grad=True)
    return x.view(12), {"x": x}


def written_views() -> tuple[Any, dict[str, torch.Tensor]]:
    x = torch.randn(2, 6, requires_grad=True)
    base = x.sin()
    base[0].mul_(3)
    base[1] = x[0]
    return base[0], {"x": x}


def custom() -> tuple[Any, dict[str, torch.Tensor]]:
    x = torch.randn(3, requires_grad=True)
    return Twice.apply(x.exp()).sum(), {"x": x}


def second_order() -> tuple[Any, dict[str, torch.Tensor]]:
    x = torch.randn(3, requires_grad=True)
    (slope,) = torch.autograd.grad((x**3).sum(), x, create_graph=True)
    return slope.sum(), {"x": x}


def recomputed() -> tuple[Any, dict[str, torch.Tensor]]:
    layer = nn.Linear(3, 3)
    x = torch.randn(2, 3, requires_grad=True)
    return checkpoint(layer, x, use_reentrant=True).sum(), {"x": x, **dict(layer.named_parameters())}


def lonely() -> tuple[Any, dict[str, torch.Tensor]]:
    return torch.ones(3), {}


PROGRAMS: list[Program] = [
    arithmetic, several_outputs, perceptron, convolution, recurrent, attention, views, view_of_leaf, written_views,
    custom, second_order, lonely,
]  # fmt: skip

needs_torchviz = pytest.mark.skipif(sys.version_info >= (3, 12), reason="torchviz itself cannot be imported here")


@needs_torchviz
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
@pytest.mark.parametrize("attributes", [False, True], ids=["plain", "attrs"])
def test_the_drawing_is_the_one_of_torchviz(program: Program, attributes: bool) -> None:
    var, params = program()
    ours = read(gradviz.make_dot(var, params=params, show_attrs=attributes, max_attr_chars=14))
    theirs = read(their_make_dot(var, params=params, show_attrs=attributes, max_attr_chars=14))
    assert ours.labels == theirs.labels
    assert ours.joined == theirs.joined
    assert shape(ours) == shape(theirs)


@needs_torchviz
@pytest.mark.parametrize("program", [arithmetic, perceptron, convolution, views], ids=lambda program: program.__name__)
def test_saved_tensors_are_those_of_torchviz(program: Program) -> None:
    var, params = program()
    ours = read(gradviz.make_dot(var, params=params, show_saved=True))
    theirs = read(their_make_dot(var, params=params, show_saved=True))
    # torchviz draws a leaf that some node saved as that saved tensor, under the attribute's name and in orange.
    leaves = {f"{name}\n " for name in params}
    saved = [edge for edge in ours.edges if edge[2] == "dir=none"]
    assert len(saved) == len([edge for edge in theirs.edges if edge[2] == "dir=none"])
    assert {label for label in theirs.labels if not label.startswith(tuple(leaves))} <= set(ours.labels)
    assert all(ours.fill(label) == "lightblue" for label in ours.labels if label.startswith(tuple(leaves)))


@needs_torchviz
def test_the_page_is_the_one_of_torchviz() -> None:
    var, params = perceptron()
    ours, theirs = gradviz.make_dot(var, params), their_make_dot(var, params)
    assert ours.node_attr == theirs.node_attr
    assert ours.graph_attr.keys() == theirs.graph_attr.keys()


# where torchviz breaks


def test_a_hundred_thousand_ops_need_no_recursion() -> None:
    h = x = torch.ones((), requires_grad=True)
    for _ in range(100_000):
        h = h * 0.5
    graph = gradviz.graph(h)
    assert len(graph.ops) == 100_001
    assert gradviz.make_dot(h, {"x": x}).source.count("MulBackward0") == 100_000


def squares() -> tuple[torch.Tensor, torch.Tensor]:
    x = torch.ones(2, 3, requires_grad=True)
    return x, (x.exp() * x.sin()).sum()


def test_saved_tensors_are_told_of_after_a_backward() -> None:
    _, y = squares()
    before = read(gradviz.make_dot(y, show_saved=True, show_attrs=True))
    assert [label for label in before.labels if label.startswith("result")] == ["result\n (2, 3)"]
    y.backward()
    with pytest.raises(RuntimeError, match="second time"):
        _ = y.grad_fn.next_functions[0][0]._saved_self
    after = read(gradviz.make_dot(y, show_saved=True, show_attrs=True))
    assert [label for label in after.labels if label.startswith("result")] == ["result\n freed"]
    assert len(after.nodes) == len(before.nodes)
    assert [saved.dtype for op in gradviz.graph(y).ops.values() for saved in op.saved] == ["freed"] * 4


def test_what_was_never_saved_is_not_called_freed() -> None:
    x, c = torch.ones(3, requires_grad=True), torch.ones(3)
    y = x * c
    y.sum().backward()
    (mul,) = (op for op in gradviz.graph(y).ops.values() if op.name == "mul")
    assert [(saved.name, saved.dtype) for saved in mul.saved] == [("other", "freed")]
    assert dict(mul.attrs) == {"self": "None"}


def test_saved_tensors_are_told_of_after_a_bad_write_in_place() -> None:
    x = torch.ones(2, 3, requires_grad=True)
    h = x.exp()
    y = h.sum()
    h.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.backward()
    drawn = read(gradviz.make_dot(y, show_saved=True))
    assert drawn.fill("result\n (2, 3)") == "orange"


def test_no_hook_of_the_user_runs_and_nothing_is_recomputed() -> None:
    runs: list[str] = []

    def layer(x: torch.Tensor) -> torch.Tensor:
        runs.append("forward")
        return (x * x).sin()

    def unpack(kept: object) -> torch.Tensor:
        raise AssertionError("unpacked")

    x = torch.ones(3, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: ("packed by me", tensor), unpack):
        y = x.exp()
    z = checkpoint(layer, y, use_reentrant=False)
    drawn = read(gradviz.make_dot(z, {"x": x}, show_attrs=True, show_saved=True))
    assert runs == ["forward"]
    assert [label for label in drawn.labels if label.endswith("packed")] == [
        "other\n packed", "result\n packed", "self\n packed", "self\n packed"
    ]  # fmt: skip


@dataclass
class Result:
    """What some models return in place of a tensor."""

    loss: torch.Tensor
    logits: torch.Tensor
    cache: object = None


def test_containers_of_every_kind() -> None:
    x = torch.ones(3, requires_grad=True)
    a, b = x.exp(), x.sin()
    expected = shape(read(gradviz.make_dot((a, b))))
    mine: list[Any] = [a, b]
    mine.append(mine)
    pair = NamedTuple("pair", [("first", torch.Tensor), ("second", torch.Tensor)])(a, b)
    for var in ([a, b], {"a": a, "b": b}, {"nested": [(a,), {"b": b}]}, Result(a, b), pair, mine, [a, b, a, None, 3]):
        assert shape(read(gradviz.make_dot(var))) == expected
        assert len(gradviz.graph(var).ops) == 3


def test_results_of_transformers() -> None:
    from transformers import BertConfig, BertModel

    config = BertConfig(
        vocab_size=20, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16
    )
    model = BertModel(config)
    output = model(torch.arange(5)[None])
    drawn = read(gradviz.make_dot(output, dict(model.named_parameters())))
    assert [label for label in drawn.labels if drawn.fill(label) == "darkolivegreen1"] == ["\n (1, 5, 8)", "\n (1, 8)"]
    assert "pooler.dense.weight\n (8, 8)" in drawn.labels
    if sys.version_info < (3, 12):
        theirs = read(their_make_dot(tuple(output.values()), dict(model.named_parameters())))
        assert shape(drawn) == shape(theirs)


def test_nothing_to_draw() -> None:
    with pytest.raises(UsageError, match="no tensor in the `list`"):
        gradviz.make_dot([1, "a", None, Result])
    with pytest.raises(UsageError, match="cannot stand in one drawing"):
        gradviz.make_dot([torch.ones(1), gradviz.ones(1)])


def test_no_dot_is_needed(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    _, y = squares()
    dot = gradviz.make_dot(y)
    assert "<svg" in dot._repr_mimebundle_()["image/svg+xml"]
    assert dot.render("graph", format="svg") == "graph.svg"


def test_graphviz_reads_it() -> None:
    var, params = attention()
    done = subprocess.run(
        [require_dot(), "-Tplain"], input=gradviz.make_dot(var, params, show_attrs=True, show_saved=True).source,
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stderr == ""


def test_two_runs_give_the_same_bytes() -> None:
    code = (
        "import torch, gradviz\n"
        "model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 1))\n"
        "junk = [object() for _ in range(hash('x') % 1000)]\n"
        "y = model(torch.ones(2, 3))\n"
        "print(gradviz.make_dot(y, dict(model.named_parameters()), show_attrs=True, show_saved=True).source)\n"
    )
    runs = [subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout for _ in range(2)]
    assert runs[0] == runs[1]
    assert b"0x" not in runs[0]


def test_a_saved_leaf_stays_a_leaf() -> None:
    x = torch.ones(3, requires_grad=True)
    drawn = read(gradviz.make_dot(x * x, {"x": x}, show_saved=True))
    assert drawn.fill("x\n (3)") == "lightblue"
    assert drawn.labels.count("x\n (3)") == 1


# what the graph holds


def test_ops_values_and_what_is_saved() -> None:
    x, w = torch.ones(4, 2), nn.Parameter(torch.ones(2, 3))
    y = (x @ w).relu()
    graph = gradviz.graph(y)
    graph.validate()
    leaf, mm, relu = graph.ops.values()
    assert (leaf.name, leaf.tracked, leaf.inputs) == ("tensor", False, ())
    assert (mm.name, mm.node, mm.tracked, mm.inputs, mm.needs) == ("mm", "MmBackward0", True, (1,), (True,))
    assert [(s.name, s.shape, s.dtype, s.nbytes, s.source) for s in mm.saved] == [("self", (4, 2), "float32", 32, None)]
    assert [(s.name, s.nbytes, s.source) for s in relu.saved] == [("result", 48, -1)]
    values = list(graph.values.values())
    assert [(v.shape, v.nbytes, v.leaf, v.requires_grad) for v in values] == [
        ((2, 3), 24, True, True), ((4, 3), 48, False, True), ((4, 3), 48, False, True),
    ]  # fmt: skip


def test_params_name_values_and_tell_parameters() -> None:
    w = nn.Parameter(torch.ones(3))
    h = w.exp()
    graph = gradviz.graph(h.sum())
    assert [value.name for value in graph.values.values()] == ["", "", ""]
    dot = gradviz.make_dot(h.sum(), {"w": w, "h": h, "other": torch.ones(1)})
    assert "w\n (3)" in read(dot).labels
    assert "other" not in dot.source
    from gradviz.frontends.torch.snapshot import Snapshot

    snapshot = Snapshot([h.sum()], {"w": w, "h": h})
    named = {e.name: e.role for e in snapshot.events if type(e).__name__ == "Name"}
    assert named == {"w": Role.PARAMETER, "h": None}


def test_ops_are_numbered_as_they_ran() -> None:
    x = torch.ones(3, requires_grad=True)
    late = x.exp()
    early = x.sin()
    graph = gradviz.graph(early.cos() + late)
    assert [op.name for op in graph.ops.values()] == ["tensor", "exp", "sin", "cos", "add"]


def test_a_custom_function_and_what_it_keeps() -> None:
    class Scale(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
            ctx.save_for_backward(x)
            ctx.factor = factor
            return x * factor

        @staticmethod
        def backward(ctx: Any, g: torch.Tensor) -> Any:
            return g * ctx.factor, None

    x, factor = torch.ones(3, requires_grad=True), torch.ones(3, dtype=torch.float64)
    y = Scale.apply(x, factor)
    op = gradviz.graph(y).ops[2]
    assert (op.name, op.node) == ("Scale", "ScaleBackward")
    assert [(s.name, s.nbytes, s.source) for s in op.saved] == [("tensors[0]", 12, 0), ("factor", 24, None)]
    assert "tensors[0]\n (3)" in read(gradviz.make_dot(y)).labels, "drawn unasked, as torchviz does"
    y.sum().backward()
    assert ("tensors", "freed") in [(s.name, s.dtype) for s in gradviz.graph(y).ops[2].saved]


def test_a_view_made_without_grad_mode_is_a_leaf_of_its_own() -> None:
    x = torch.ones(2, 3, requires_grad=True)
    with torch.no_grad():
        view = x.view(6)
    graph = gradviz.graph(view)
    graph.validate()
    assert [op.name for op in graph.ops.values()] == ["tensor", "view"]
    (cut,) = graph.cuts
    assert (cut.cause, cut.value) == (Cause.NO_GRAD, 1)
    assert ("x", "v", "style=dotted") in read(gradviz.make_dot(view, {"x": x, "v": view})).joined


def test_a_leaf_that_was_frozen_afterwards() -> None:
    x = torch.ones(3, requires_grad=True)
    y = x.exp()
    x.requires_grad_(False)
    graph = gradviz.graph(y)
    graph.validate()
    assert graph.ops[2].needs == (True,)
    assert not graph.values[1].requires_grad


@pytest.mark.parametrize(
    "make",
    [
        lambda x: (x.to(device="meta") * 2),
        lambda x: torch.nested.as_nested_tensor([x, x], layout=torch.jagged) * 2,
        lambda x: torch.sparse.mm(x.to_sparse(), torch.ones(3, 2)),
        lambda x: x.to(torch.complex64).abs(),
        lambda x: x[:, :0].sum(),
    ],
    ids=["meta", "nested", "sparse", "complex", "empty"],
)
def test_tensors_of_every_kind(make: Callable[[torch.Tensor], torch.Tensor]) -> None:
    y = make(torch.ones(3, 3, requires_grad=True))
    gradviz.graph(y).validate()
    assert "AccumulateGrad" in gradviz.make_dot(y, show_attrs=True, show_saved=True).source


def test_drawing_leaves_no_trace() -> None:
    x, y = squares()
    before = y.grad_fn, x._version
    gradviz.make_dot(y, {"x": x}, show_attrs=True, show_saved=True)
    assert (y.grad_fn, x._version) == before
    y.backward()
    assert x.grad is not None


def test_torch_is_not_imported_for_it() -> None:
    code = "import sys, gradviz as gv; gv.make_dot(gv.ones(2, requires_grad=True) * 2); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
