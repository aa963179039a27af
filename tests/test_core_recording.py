"""What the numpy core tells of a program: each op with its inputs, name, line and what became of the gradient.

Each program below is followed by the whole of what is to be recorded of it, one line for each op, region, change of a
flag and sweep:

    3 y = mul(x, 2) MulBackward0            line, names of the results, op, inputs, node
    4 z = detach(y) !detach ~y              what was not tracked although an input required grad; what it is a view of
    5 w = sub(w, %1) !no_grad in place :4   the region's line; values without a name are numbered
"""

from __future__ import annotations

import textwrap
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import thread as futures
from pathlib import Path
from typing import Any

import pytest

import gradviz
from gradviz.core.values import value_id
from gradviz.graphs import Graph, Op
from gradviz.query import ancestors

PROGRAMS: dict[str, tuple[str, str]] = {}


def program(name: str, source: str, told: str) -> None:
    PROGRAMS[name] = textwrap.dedent(source).strip() + "\n", textwrap.dedent(told).strip()


program(
    "a checkpoint runs again",
    """
    x = gv.tensor([3.0, 1.0], requires_grad=True)
    y = gv.utils.checkpoint.checkpoint(lambda x: x.exp(), x, use_reentrant=False)
    y.sum().backward()
    """,
    """
    1 x = tensor() leaf
    2<2 y = exp(x) ExpBackward0
    3 %0 = sum(y) SumBackward0
    2<3 %1 = exp(x) ExpBackward0 :3
    3 x.grad = grad()
    3 backward(%0): x 20.27
    """,
)
program(
    "several outputs",
    """
    x = gv.tensor([3.0, 1.0, 2.0], requires_grad=True)
    values, places = x.max(0)
    a, *rest = x.split(1)
    both = x.unbind()
    p, _ = x.chunk(2)
    rows, columns = gv.meshgrid(x, x, indexing="ij")
    (values + rest[0] + p[0]).sum().backward()
    """,
    """
    1 x = tensor() leaf
    2 values, places = max(x) MaxBackward0
    3 a, rest[0], rest[1] = split(x) SplitBackward0 ~x
    4 both[0], both[1], both[2] = unbind(x) UnbindBackward0 ~x
    5 p, %0 = chunk(x) SplitBackward0 ~x
    6 %1 = view(x) ViewBackward0 ~x
    6 rows = expand(%1) ExpandBackward0 ~%1
    6 %2 = view(x) ViewBackward0 ~x
    6 columns = expand(%2) ExpandBackward0 ~%2
    7 %3 = add(values, rest[0]) AddBackward0
    7 %4 = select(p) SelectBackward0 ~p
    7 %5 = add(%3, %4) AddBackward0
    7 %6 = sum(%5) SumBackward0
    7 x.grad = grad()
    7 backward(%6): x 2.236
    """,
)
program(
    "calls of several ops",
    """
    F = gv.nn.functional
    x = gv.tensor([[1.0, 2.0], [3.0, 5.0]], requires_grad=True)
    w = gv.tensor([[0.5, 0.1], [0.2, 0.3]], requires_grad=True)
    scores = F.linear(x, w, w[0])
    loss = F.cross_entropy(scores, gv.tensor([0, 1]))
    batch = gv.stack([x, x])
    y = batch @ w
    z = gv.einsum("ij->ji", x)
    r = 1 / x
    m = x @ w
    v = x @ w[0]
    flat = x.flatten()
    top = x[0, 1:]
    x.T.reshape(-1).sum().backward()
    """,
    """
    2 x = tensor() leaf
    3 w = tensor() leaf
    4 %0 = select(w) SelectBackward0 ~w
    4 scores = linear(x, w, %0) AddmmBackward0
    5 %1 = tensor()
    5 loss = cross_entropy(scores, %1) NllLossBackward0
    6 batch = stack(x, x) StackBackward0
    7 y = matmul(batch, w) UnsafeViewBackward0
    8 z = einsum(x) PermuteBackward0 ~x
    9 r = div(x, 1) MulBackward0
    10 m = matmul(x, w) MmBackward0
    11 %2 = select(w) SelectBackward0 ~w
    11 v = matmul(x, %2) MvBackward0
    12 flat = flatten(x) ViewBackward0 ~x
    13 %3 = select(x) SelectBackward0 ~x
    13 top = slice(%3) SliceBackward0 ~%3
    14 %4 = permute(x) PermuteBackward0 ~x
    14 %5 = reshape(%4) UnsafeViewBackward0
    14 %6 = sum(%5) SumBackward0
    14 x.grad = grad()
    14 backward(%6): x 2
    """,
)
program(
    "called from two places",
    """
    def square(v):
        return v * v

    def twice(v):
        out = square(v)
        return square(out)

    x = gv.tensor(2.0, requires_grad=True)
    a = square(x)
    b = twice(x)
    (a + b).backward()
    """,
    """
    8 x = tensor() leaf
    2<9 a = mul(x, x) MulBackward0
    2<5<10 out = mul(x, x) MulBackward0
    2<6<10 b = mul(out, out) MulBackward0
    11 %0 = add(a, b) AddBackward0
    11 x.grad = grad()
    11 backward(%0): x 36
    """,
)
program(
    "written in place",
    """
    w = gv.tensor([1.0, 2.0], requires_grad=True)
    y = w * 1
    y += 1
    y.mul_(2)
    y[0] = 5.0
    view = y[1:]
    view *= w[0]
    t = y.sum()
    t.backward()
    with gv.no_grad():
        w -= 0.5 * w.grad
        w[0] = 0.0
    q = w.sum()
    """,
    """
    1 w = tensor() leaf
    2 y = mul(w, 1) MulBackward0
    3 y = add(y, 1) AddBackward0 in place
    4 y = mul(y, 2) MulBackward0 in place
    5 y = copy(y, 5.0) CopySlices in place
    6 view = slice(y) SliceBackward0 ~y
    7 %0 = select(w) SelectBackward0 ~w
    7 view = mul(view, %0) MulBackward0 in place
    7 y = copy_slices(y, view) CopySlices in place
    8 t = sum(y) SumBackward0
    9 w.grad = grad()
    11 %1 = mul(w.grad, 0.5) :10
    11 w = sub(w, %1) !no_grad in place leaf :10
    12 w = copy(w, 0.0) !no_grad in place leaf :10
    13 q = sum(w) SumBackward0
    9 backward(t): w 6.325
    """,
)
program(
    "roads out",
    """
    w = gv.tensor([1.0, 2.0], requires_grad=True)
    y = w * 2
    d = y.detach()
    e = w.data
    s = y.sum().item()
    l = y.tolist()
    n = d.numpy()
    f = float(d[0])
    if y[0] > 0:
        pass
    c = gv.tensor([y.sum(), y[0]])
    i = y.to(gv.int64)
    k = y.argmax()
    y.detach_()
    z = y * 2
    w.data = gv.tensor([5.0, 6.0])
    u = w * 2
    """,
    """
    1 w = tensor() leaf
    2 y = mul(w, 2) MulBackward0
    3 d = detach(y) !detach ~y
    4 e = data(w) !data ~w
    5 %0 = sum(y) SumBackward0
    5 item(%0) !item
    6 tolist(y) !item
    7 numpy(d)
    8 %1 = select(d) ~d
    8 item(%1)
    9 %2 = select(y) SelectBackward0 ~y
    9 %3 = gt(%2, 0) !nondifferentiable
    9 item(%3)
    11 %4 = sum(y) SumBackward0
    11 %5 = select(y) SelectBackward0 ~y
    11 c = tensor(%4, %5) !retensor
    12 i = to(y) !integer
    13 k = argmax(y) !integer
    14 %6 = detach_(y) !detach_ ~y
    15 z = mul(%6, 2)
    16 w.data = tensor()
    16 w = set_data(w.data) ~w.data leaf
    17 u = mul(w, 2) MulBackward0
    """,
)
program(
    "grad modes",
    """
    w = gv.tensor(1.0, requires_grad=True)
    with gv.no_grad():
        a = w * 2
        with gv.enable_grad():
            b = w * 3
            with gv.inference_mode():
                c = w * 4
        leaf = gv.tensor(5.0, requires_grad=True)
        view = w.view(1)
    with gv.set_grad_enabled(False):
        d = w * 5

    @gv.no_grad()
    def quiet(v):
        return v * 6

    @gv.inference_mode()
    def rows(v):
        for number in range(2):
            yield v * number

    e = quiet(w)
    for row in rows(w):
        f = w + 1
    gv.set_grad_enabled(False)
    g = w * 7
    gv.set_grad_enabled(True)
    h = w * 8
    h.backward()
    """,
    """
    1 w = tensor() leaf
    3 a = mul(w, 2) !no_grad :2
    5 b = mul(w, 3) MulBackward0 :4
    7 c = mul(w, 4) !inference_mode :6
    8 leaf = tensor() leaf :2
    9 view = view(w) !no_grad ~w leaf :2
    11 d = mul(w, 5) !set_grad_enabled :10
    15<22 e = mul(w, 6) !no_grad :13<22
    20<23 %0 = mul(w, 0) !inference_mode :17<23
    24 f = add(w, 1) AddBackward0
    20<23 %1 = mul(w, 1) !inference_mode :17<23
    24 f = add(w, 1) AddBackward0
    26 g = mul(w, 7) !set_grad_enabled :25
    28 h = mul(w, 8) MulBackward0
    29 w.grad = grad()
    29 backward(h): w 8
    """,
)
program(
    "threads",
    """
    import threading
    w = gv.tensor(1.0, requires_grad=True)
    out = {}

    def work():
        out["a"] = w * 2
        with gv.no_grad():
            out["b"] = w * 3

    with gv.no_grad():
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    s = out["a"] + 1
    s.backward()
    """,
    """
    2 w = tensor() leaf
    6 out["a"] = mul(w, 2) MulBackward0 thread 1
    8 out["b"] = mul(w, 3) !no_grad :7 thread 1
    14 s = add(out["a"], 1) AddBackward0
    15 w.grad = grad()
    15 backward(s): w 2
    """,
)
program(
    "hooks",
    """
    w = gv.tensor([1.0, 2.0], requires_grad=True)
    y = w * 3
    y.register_hook(lambda g: g * 2)
    y.retain_grad()
    w.register_post_accumulate_grad_hook(lambda leaf: leaf.grad.mul_(0.5))
    y.sum().backward()
    """,
    """
    1 w = tensor() leaf
    2 y = mul(w, 3) MulBackward0
    6 %0 = sum(y) SumBackward0
    6 %1 = grad() :6
    3<6 %2 = mul(%1, 2) :6
    6 %3 = grad()
    6 w.grad = grad()
    5<6 w.grad = mul(w.grad, 0.5) in place :6
    6 backward(%0): w 4.243
    """,
)
program(
    "changed flags",
    """
    w = gv.tensor(1.0)
    a = w * 2
    w.requires_grad_()
    b = w * 3
    w.requires_grad = False
    c = w * 4
    b.backward()
    """,
    """
    1 w = tensor()
    2 a = mul(w, 2)
    4 b = mul(w, 3) MulBackward0
    6 c = mul(w, 4)
    7 backward(b): nothing
    """,
)
program(
    "autograd.grad",
    """
    a = gv.tensor(2.0, requires_grad=True)
    b = gv.tensor(3.0, requires_grad=True)
    y = a * b
    y2 = y * y
    (ga, gy) = gv.autograd.grad(y2, (a, y), retain_graph=True)
    (gb,) = gv.autograd.grad(y2, b)
    c = gv.tensor(1.0, requires_grad=True)
    gv.autograd.grad(c * 2, (c, a), allow_unused=True)
    (c * b).backward(inputs=[c])
    """,
    """
    1 a = tensor() leaf
    2 b = tensor() leaf
    3 y = mul(a, b) MulBackward0
    4 y2 = mul(y, y) MulBackward0
    5 ga = grad()
    5 gy = grad()
    6 gb = grad()
    7 c = tensor() leaf
    8 %0 = mul(c, 2) MulBackward0
    8 %1 = grad()
    9 %2 = mul(c, b) MulBackward0
    9 c.grad = grad()
    5 grad(y2) for a, y keeps the graph: a 36, y 12
    6 grad(y2) for b: b 24
    8 grad(%0) for c, a: c 2
    9 backward(%2) for c: c 3
    """,
)
program(
    "failing backward",
    """
    def attempt(call):
        try:
            call()
        except Exception:
            pass

    w = gv.tensor([1.0, 2.0], requires_grad=True)
    y = w * w
    attempt(lambda: y.backward())
    attempt(lambda: gv.tensor(1.0).backward())
    t = y.sum()
    t.backward()
    attempt(lambda: t.backward())
    e = w.exp()
    e += 1
    attempt(lambda: e.sum().backward())
    attempt(lambda: gv.autograd.grad((w * 2).sum(), gv.tensor(1.0, requires_grad=True)))
    attempt(lambda: y.sum().backward(retain_graph=True, inputs=[]))
    attempt(lambda: y.backward(gv.ones(3)))
    h = w * 2
    h.register_hook(lambda g: 1 / 0)
    attempt(lambda: h.sum().backward())
    n = (w * float("nan")).sum()
    n.backward()
    z = (w * 0).sum()
    w.grad = None
    z.backward()
    """,
    """
    7 w = tensor() leaf
    8 y = mul(w, w) MulBackward0
    10<3<10 %0 = tensor()
    11 t = sum(y) SumBackward0
    12 w.grad = grad()
    14 e = exp(w) ExpBackward0
    15 e = add(e, 1) AddBackward0 in place
    16<3<16 %1 = sum(e) SumBackward0
    17<3<17 %2 = mul(w, 2) MulBackward0
    17<3<17 %3 = sum(%2) SumBackward0
    17<3<17 %4 = tensor() leaf
    18<3<18 %5 = sum(y) SumBackward0
    19<3<19 %6 = ones()
    20 h = mul(w, 2) MulBackward0
    22<3<22 %7 = sum(h) SumBackward0
    22<3<22 %8 = grad() :22<3<22
    23 %9 = mul(w, nan) MulBackward0
    23 n = sum(%9) SumBackward0
    25 %10 = mul(w, 0) MulBackward0
    25 z = sum(%10) SumBackward0
    27 w.grad = grad()
    9<3<9 backward(y): raised grad can be implicitly created only for scalar outputs
    10<3<10 backward(%0): raised element 0 of tensors does not require grad and does not have
    12 backward(t): w 4.472
    13<3<13 backward(t): raised Trying to backward through the graph a second time (or direc
    16<3<16 backward(%1): raised one of the variables needed for gradient computation has bee
    17<3<17 grad(%3) for %4: raised The differentiated Tensor at index 0 appears to not have bee
    18<3<18 backward(%5) for  keeps the graph: raised `inputs` argument to `backward()` cannot be empty.
    19<3<19 backward(y): raised Mismatch in shape: grad_output[0] has a shape of torch.Size(
    22<3<22 backward(%7): raised division by zero
    24 backward(n): w nan
    27 backward(z): w 0
    """,
)
program(
    "copies",
    """
    import copy, pickle
    w = gv.tensor([1.0, 2.0], requires_grad=True)
    d = copy.deepcopy(w)
    p = pickle.loads(pickle.dumps(w))
    c = w.clone()
    same = copy.copy([w])[0]
    s = (d * p + c + same).sum()
    s.backward()
    """,
    """
    2 w = tensor() leaf
    3 d = tensor() leaf
    4 p = tensor() leaf
    5 c = clone(w) CloneBackward0
    7 %0 = mul(d, p) MulBackward0
    7 %1 = add(%0, c) AddBackward0
    7 %2 = add(%1, w) AddBackward0
    7 s = sum(%2) SumBackward0
    8 d.grad = grad()
    8 p.grad = grad()
    8 w.grad = grad()
    8 backward(s): d 2.236, p 2.236, w 2.828
    """,
)
program(
    "numbers, numpy and None",
    """
    import numpy as np
    x = gv.tensor([1.0, 2.0, 3.0], requires_grad=True)
    a = x + np.float64(2)
    b = x * np.ones(3)
    c = np.exp(x)
    d = x.clamp(min=gv.tensor(0.5))
    e = x[[0, 2]]
    f = gv.where(x > 1.5, x, 0.0)
    g = x ** 2
    h = 2 ** x
    i = -x
    j = gv.nn.functional.layer_norm(x, (3,), None, x)
    """,
    """
    2 x = tensor() leaf
    3 a = add(x, 2.0) AddBackward0
    4 %0 = from_numpy()
    4 b = mul(x, %0) MulBackward0
    5 c = exp(x) ExpBackward0
    6 %1 = tensor()
    6 d = clamp(x, %1) ClampBackward0
    7 e = index(x, [0, 2]) IndexBackward0
    8 %2 = gt(x, 1.5) !nondifferentiable
    8 f = where(%2, x, 0.0) WhereBackward0
    9 g = pow(x, 2) PowBackward0
    10 h = pow(2, x) PowBackward2
    11 i = neg(x) NegBackward0
    12 j = layer_norm(x, x) NativeLayerNormBackward0
    """,
)
program(
    "recursion",
    """
    def down(v, depth):
        if depth == 0:
            return v + 1
        return down(v * 2, depth - 1)

    x = gv.tensor(1.0, requires_grad=True)
    y = down(x, 3)
    """,
    """
    6 x = tensor() leaf
    4<7 %0 = mul(x, 2) MulBackward0
    4<4<7 %1 = mul(%0, 2) MulBackward0
    4<4<4<7 %2 = mul(%1, 2) MulBackward0
    3<4<4<4<7 y = add(%2, 1) AddBackward0
    """,
)
program(
    "methods and containers",
    """
    class Model:
        def __init__(self):
            self.w = gv.tensor([1.0], requires_grad=True)
            self.parts = {"b": gv.zeros(1, requires_grad=True)}

        def __call__(self, x):
            self.h = x * self.w
            self.parts["out"] = out = self.h + self.parts["b"]
            return out

    model = Model()
    y = model(gv.ones(1))
    outs = [model(v) for v in (y, y)]
    loss = total = sum(outs)
    loss.backward()
    """,
    """
    3<11 self.w = tensor() leaf
    4<11 %0 = zeros() leaf
    12 %1 = ones()
    7<12 self.h = mul(%1, self.w) MulBackward0
    8<12 self.parts["out"] = add(self.h, %0) AddBackward0
    7<13<13 self.h = mul(self.parts["out"], self.w) MulBackward0
    8<13<13 self.parts["out"] = add(self.h, %0) AddBackward0
    7<13<13 self.h = mul(self.parts["out"], self.w) MulBackward0
    8<13<13 self.parts["out"] = add(self.h, %0) AddBackward0
    14 %2 = add(self.parts["out"], 0) AddBackward0
    14 loss = add(%2, self.parts["out"]) AddBackward0
    15 %3 = grad()
    15 self.w.grad = grad()
    15 backward(loss): %0 4, self.w 4
    """,
)


def execute(source: str, path: Path) -> dict[str, Any]:
    """Run a program from a file at `path`, so that its lines can be read back. Returns its variables."""
    path.write_text(source)
    space: dict[str, Any] = {"gv": gradviz, "__name__": "program"}
    exec(compile(source, str(path), "exec"), space)
    return space


def record(source: str, folder: Path) -> tuple[Graph, dict[str, Any]]:
    """Run a program with a recording in memory inside of one in a file. Returns the graph of both and the variables."""
    outer, inner = gradviz.record(folder / "run.gvlog"), gradviz.record()
    outer.start()
    inner.start()
    try:
        space = execute(source, folder / "program.py")
    finally:
        inner.stop()
        outer.stop()
    assert not inner.failures
    assert not outer.failures
    graph = inner.graph()
    graph.validate()
    assert list(tell(outer.graph())) == list(tell(graph))
    return graph, space


def tell(graph: Graph) -> Iterator[str]:
    """A graph in the lines that are explained at the top."""
    words = Words(graph)
    for op in graph.ops.values():
        yield words.op(op)
    for sweep in graph.sweeps:
        roots = ", ".join(words.value(root) for root in sweep.roots)
        asked = "" if sweep.inputs is None else f" for {', '.join(map(words.value, sweep.inputs))}"
        got = [
            f"{words.value(gradient.value)} {'nan' if gradient.nan else f'{gradient.norm:.4g}'}"
            for gradient in sweep.gradients
        ]
        end = f"raised {sweep.error.splitlines()[0][:60]}" if sweep.error else ", ".join(got) or "nothing"
        kept = "" if sweep.freed else " keeps the graph"
        yield f"{words.line(sweep.site)} {sweep.kind}({roots}){asked}{kept}: {end}"


class Words:
    """Names for what has none: values are numbered as they come."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.numbers: dict[int, int] = {}

    def value(self, id: int) -> str:
        name = self.graph.values[id].name
        return name or f"%{self.numbers.setdefault(id, len(self.numbers))}"

    def line(self, site: int | None) -> str:
        """The line, then those of the calls on the way there."""
        lines = []
        while site is not None:
            if self.graph.sites[site].file.endswith("program.py"):
                lines.append(str(self.graph.sites[site].line))
            site = self.graph.sites[site].caller
        return "<".join(lines)

    def op(self, op: Op) -> str:
        graph = self.graph
        inputs = ", ".join(self.value(item) if isinstance(item, int) else item for item in op.inputs)
        outputs = ", ".join(map(self.value, op.outputs))
        words = [self.line(op.site), f"{outputs} =" if outputs else "", f"{op.name}({inputs})", op.node]
        words.append(f"!{op.cause.value}" if op.cause else "")
        if op.inplace:
            words.append("in place")
        elif op.alias is not None:
            aliased = op.inputs[op.alias]
            assert isinstance(aliased, int)
            words.append(f"~{self.value(aliased)}")
        if any(graph.values[output].requires_grad and graph.values[output].leaf for output in op.outputs):
            words.append("leaf")
        if op.region is not None:
            words.append(f":{self.line(graph.regions[op.region].site)}")
        words.append(f"thread {op.thread}" if op.thread else "")
        return " ".join(word for word in words if word)


pytestmark = pytest.mark.filterwarnings("ignore:Converting a tensor with requires_grad=True")  # as PyTorch warns


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_is_told_line_by_line(name: str, tmp_path: Path) -> None:
    source, told = PROGRAMS[name]
    graph, _ = record(source, tmp_path)
    assert "\n".join(tell(graph)) == told


@pytest.mark.parametrize("name", PROGRAMS)
def test_what_a_tensor_remembers_is_what_was_recorded(name: str, tmp_path: Path) -> None:
    source, _ = PROGRAMS[name]
    graph, space = record(source, tmp_path)
    tensors = {key: value for key, value in space.items() if isinstance(value, gradviz.Tensor)}
    assert tensors
    for tensor in tensors.values():
        known = gradviz.graph(tensor)
        known.validate()
        if value_id(tensor) not in graph.values:
            continue  # a view whose base was written: it is cut anew only now
        forgotten = {op.id for op in known.ops.values() if op.forgotten}
        recorded = ancestors(graph, [value_id(tensor)])
        assert set(known.ops) == recorded if not forgotten else set(known.ops) < recorded
        for op in known.ops.values():
            assert op.id in forgotten or facts(known, op) == facts(graph, graph.ops[op.id])
            for output in op.outputs:
                assert known.values[output].name in ("", graph.values[output].name)


def facts(graph: Graph, op: Op) -> tuple[Any, ...]:
    """What a tensor remembers of an op as well as a recording does: all but the road to its line, and its thread."""
    values = [graph.values[output] for output in op.outputs]
    line = None if op.site is None else graph.sites[op.site].line
    return (
        op.id, op.name, op.node, op.tracked, op.cause, op.inputs, op.needs, op.alias, op.inplace, op.saved, op.attrs,
        line, graph.regions[op.region].kind if op.region is not None else None,
        [(value.requires_grad, value.leaf, value.storage, value.version) for value in values],
    )  # fmt: skip


def test_gradients_read_and_written_and_hooks_are_told() -> None:
    with gradviz.record() as rec:
        w = gradviz.ones(2, requires_grad=True)
        y = w * 2
        y.retain_grad()
        y.register_hook(lambda gradient: gradient * 2)
        assert w.grad is None
        y.sum().backward()
        norm = w.grad.norm()
        w.grad = None
        w.register_post_accumulate_grad_hook(lambda leaf: None)
        w.grad = gradviz.ones(2)
        del w.grad
    graph = rec.graph()
    told = [(act.kind, graph.values[act.values[0]].name, graph.sites[act.site].line) for act in graph.acts]
    first = told[0][2]
    assert told == [
        ("retain_grad", "y", first),
        ("hook", "y", first + 1),
        ("read_grad", "w", first + 4),
        ("write_grad", "w", first + 5),
        ("hook", "w", first + 6),
        ("write_grad", "w", first + 7),
        ("write_grad", "w", first + 8),
    ]
    assert norm


def test_work_handed_to_a_thread_is_told_of_and_threads_are_as_they_were_afterwards() -> None:
    def standing() -> list[Any]:
        return [
            vars(owner)[name]
            for owner, name in (
                (threading.Thread, "start"), (threading.Thread, "_bootstrap_inner"),
                (futures._WorkItem, "__init__"), (futures._WorkItem, "run"),
            )
        ]  # fmt: skip

    before = standing()
    with gradviz.record() as recording:
        assert not set(standing()) & set(before)
        x = gradviz.ones(2, requires_grad=True)
        with gradviz.no_grad(), ThreadPoolExecutor(1) as pool:
            assert pool.submit(lambda: x * 2).result().requires_grad
    assert standing() == before
    begun, ended = recording.graph().work
    assert begun.region is not None
    assert ended.region is None
    assert begun.thread == ended.thread != 0
