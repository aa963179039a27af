"""What the numpy core costs beside raw numpy, PyTorch and other autograds: `python tests/bench/bench_core.py`.

Each row runs its contenders in turn, many short rounds in one process on one thread, and divides the medians of their
process CPU times. "raw" is numpy without any autograd; each row says what that is. A ratio beyond its bar is marked.
"""

from __future__ import annotations

import gc
import os
import statistics
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"

import numpy as np  # noqa: E402 - threads are set before

import gradviz  # noqa: E402

try:
    import torch

    torch.set_num_threads(1)
except ImportError:
    torch = None  # type: ignore[assignment]
try:
    import mygrad

    mygrad.turn_memory_guarding_off()
except ImportError:
    mygrad = None
try:
    import autograd as hips
    import autograd.numpy as hips_numpy
except ImportError:
    hips = hips_numpy = None

ROUNDS = int(os.environ.get("ROUNDS", "15"))
RNG = np.random.default_rng(0)


@dataclass
class Case:
    """One row: who runs what, and the most that `ours` may take of each other's time."""

    name: str
    contenders: dict[str, Callable[[], Any]]
    bars: dict[str, float]
    ours: str = "gradviz"
    repeats: int = 200
    note: str = ""
    rounds: int = field(default_factory=lambda: ROUNDS)


def show(case: Case) -> None:
    """Measure a row and print its ratios."""
    times: dict[str, list[float]] = {name: [] for name in case.contenders}
    for name in case.contenders:
        case.contenders[name]()
    for _ in range(case.rounds):
        for name, run in case.contenders.items():
            begin = time.process_time()
            for _ in range(case.repeats):
                run()
            times[name].append((time.process_time() - begin) / case.repeats)
    medians = {name: statistics.median(values) for name, values in times.items()}
    ours = medians[case.ours]
    print(f"{case.name:46} {ours * 1e6:12.2f} us", end="")
    for name, bar in case.bars.items():
        if name not in medians:
            print(f"   {name}: not installed", end="")
            continue
        ratio = ours / medians[name]
        print(f"   {name} {ratio:.2f} (<= {bar:g}{'' if ratio <= bar else ', MISSED'})", end="")
    print(f"   [{case.note}]" if case.note else "", flush=True)


def kinds() -> dict[str, Any]:
    """The modules that have PyTorch's interface."""
    return {"gradviz": gradviz} | ({"torch": torch} if torch is not None else {})


def leaves(library: Any, *arrays: Any, grad: bool = True) -> list[Any]:
    """Leaves of a module with PyTorch's interface."""
    return [library.tensor(array.tolist() if not array.ndim else array, requires_grad=grad) for array in arrays]


def cleared(run: Callable[[], Any], parameters: list[Any]) -> Callable[[], None]:
    """A run that leaves no gradient behind."""

    def call() -> None:
        run().backward()
        for parameter in parameters:
            parameter.grad = None

    return call


def multiplication() -> None:
    """64 elements, forward."""
    a, b = RNG.random(64, np.float32), RNG.random(64, np.float32)
    tracked: dict[str, Any] = {}
    untracked: dict[str, Any] = {}
    for name, library in kinds().items():
        x, y = leaves(library, a, b)
        tracked[name] = lambda x=x, y=y: x * y

    tracked["raw"] = lambda: np.multiply(a, b)
    if mygrad is not None:
        mx, my = mygrad.tensor(a), mygrad.tensor(b)
        tracked["mygrad"] = lambda: mx * my
    note = "raw: np.multiply of the two arrays"
    show(Case("mul of 64, tracked, fwd", tracked, {"raw": 3.2, "torch": 0.62, "mygrad": 0.30}, repeats=2000, note=note))
    for name in tracked:
        run = tracked[name]

        library = kinds().get(name)

        def off(run: Any = run, library: Any = library, name: str = name) -> None:
            region = library.no_grad() if library is not None else mygrad.no_autodiff if name == "mygrad" else None
            if region is None:
                for _ in range(500):
                    run()
                return
            with region:
                for _ in range(500):
                    run()

        untracked[name] = off
    bars = {"raw": 2.4, "torch": 0.62, "mygrad": 0.30}
    show(Case("mul of 64, no_grad, 500 times", untracked, bars, repeats=4, note=note))


def mix() -> None:
    """Eight kinds of op on 64 elements."""
    a, b = RNG.random(64, np.float32) + 0.5, RNG.random(64, np.float32) + 0.5
    forward, both = {}, {}
    for name, library in kinds().items():
        x, y = leaves(library, a, b)

        def run(x: Any = x, y: Any = y) -> Any:
            return (((x * y + x).exp().log() - y) / x).tanh().sum()

        forward[name] = run
        both[name] = cleared(run, [x, y])

    def raw() -> Any:
        return np.add.reduce(np.tanh((np.log(np.exp(a * b + a)) - b) / a))

    forward["raw"] = raw
    if mygrad is not None:
        mx, my = mygrad.tensor(a), mygrad.tensor(b)

        def mygrad_run() -> None:
            (mygrad.tanh((mygrad.log(mygrad.exp(mx * my + mx)) - my) / mx)).sum().backward()

        both["mygrad"] = mygrad_run
    if hips is not None:
        slope = hips.grad(lambda x, y: (
            hips_numpy.sum(hips_numpy.tanh((hips_numpy.log(hips_numpy.exp(x * y + x)) - y) / x))), (0, 1))  # fmt: skip
        both["hips"] = lambda: slope(a, b)
    note = "raw: the same ufuncs and add.reduce"
    show(Case("mix of 8 ops on 64, fwd", forward, {"raw": 2.7}, note=note))
    show(Case("mix of 8 ops on 64, f+b", both, {"torch": 0.36, "mygrad": 0.25, "hips": 0.14}))
    if torch is not None:
        show(Case("mix f+b, live log on disk; torch unlogged", _logged(both), {"torch": 0.50}, repeats=1))


def _logged(both: dict[str, Any]) -> dict[str, Any]:
    """Three hundred runs at a time: gradviz's inside a recording of its own, so that PyTorch's are not recorded."""

    def ours() -> None:
        with tempfile.TemporaryDirectory() as folder, gradviz.record(os.path.join(folder, "run.gvlog")):
            for _ in range(300):
                both["gradviz"]()

    def theirs() -> None:
        for _ in range(300):
            both["torch"]()

    return {"gradviz": ours, "torch": theirs}


def scalars() -> None:
    """A chain of 10,000 products of 0-d tensors."""
    forward, both = {}, {}
    for name, library in kinds().items():
        (w,) = leaves(library, np.array(1.0, np.float32))

        def run(w: Any = w) -> Any:
            y = w
            for _ in range(10_000):
                y = y * w
            return y

        forward[name] = run
        both[name] = cleared(run, [w])
    one = np.array(1.0, np.float32)

    def raw() -> Any:
        y = one
        for _ in range(10_000):
            y = np.multiply(y, one)
        return y

    forward["raw"] = raw
    if mygrad is not None:
        m = mygrad.tensor(1.0)

        def mygrad_run() -> None:
            y = m
            for _ in range(900):
                y = y * m
            y.backward()

        both["mygrad/900"] = mygrad_run
    note = "raw: np.multiply of 0-d results; operands both require grad"
    show(Case("10,000 scalar muls, fwd", forward, {"raw": 1.8}, repeats=1, note=note))
    show(Case("10,000 scalar muls, f+b", both, {"torch": 0.16}, repeats=1))
    if hips is not None:
        show(Case("300 scalar muls, f+b", _scalars_small(), {"torch": 0.16, "mygrad": 0.10, "hips": 0.05}, repeats=2))


def _scalars_small() -> dict[str, Any]:
    def chain(w: Any) -> Any:
        y = w
        for _ in range(300):
            y = y * w
        return y

    both = {name: cleared(lambda w=w: chain(w), [w]) for name, library in kinds().items()
            for w in leaves(library, np.array(1.0, np.float32))}  # fmt: skip
    if mygrad is not None:
        m = mygrad.tensor(1.0)
        both["mygrad"] = lambda: chain(m).backward()
    slope = hips.grad(chain)
    both["hips"] = lambda: slope(1.0)
    return both


def perceptron() -> None:
    """A step of a 64-128-10 network, batch 32, with squared error and plain gradient descent."""
    w1, b1 = RNG.standard_normal((64, 128)).astype("f") * 0.1, np.zeros(128, "f")
    w2, b2 = RNG.standard_normal((128, 10)).astype("f") * 0.1, np.zeros(10, "f")
    x, target = RNG.standard_normal((32, 64)).astype("f"), RNG.standard_normal((32, 10)).astype("f")
    runs: dict[str, Any] = {}
    for name, library in kinds().items():
        inputs = leaves(library, x, target, grad=False)
        parameters = leaves(library, w1, b1, w2, b2)

        def step(library: Any = library, inputs: Any = inputs, parameters: Any = parameters) -> None:
            u1, c1, u2, c2 = parameters
            off = (inputs[0] @ u1 + c1).tanh() @ u2 + c2 - inputs[1]
            (off * off).mean().backward()
            with library.no_grad():
                for parameter in parameters:
                    parameter -= 0.01 * parameter.grad
                    parameter.grad = None

        runs[name] = step
    p1, q1, p2, q2 = w1.copy(), b1.copy(), w2.copy(), b2.copy()

    def by_hand() -> None:
        h = np.tanh(x @ p1 + q1)
        off = h @ p2 + q2 - target
        np.add.reduce(off * off, axis=None)
        g = off * (2 / off.size)
        gh = (g @ p2.T) * (1 - h * h)
        for parameter, slope in ((p2, h.T @ g), (q2, np.add.reduce(g)), (p1, x.T @ gh), (q1, np.add.reduce(gh))):
            parameter -= 0.01 * slope

    runs["numpy"] = by_hand
    if mygrad is not None:
        ms = [mygrad.tensor(array.copy()) for array in (w1, b1, w2, b2)]

        def mygrad_step() -> None:
            off = mygrad.tanh(x @ ms[0] + ms[1]) @ ms[2] + ms[3] - target
            (off * off).mean().backward()
            for parameter in ms:
                parameter.data -= 0.01 * parameter.grad

        runs["mygrad"] = mygrad_step
    if hips is not None:
        slopes = hips.grad(
            lambda w: hips_numpy.mean((hips_numpy.tanh(x @ w[0] + w[1]) @ w[2] + w[3] - target) ** 2)
        )
        ws = [array.copy() for array in (w1, b1, w2, b2)]

        def hips_step() -> None:
            for parameter, slope in zip(ws, slopes(ws), strict=True):
                parameter -= 0.01 * slope

        runs["hips"] = hips_step
    bars = {"numpy": 1.15, "torch": 0.38, "mygrad": 0.40, "hips": 0.13}
    show(Case("MLP 64-128-10 step, batch 32", runs, bars, repeats=50, note="numpy: the same step written by hand"))


def small_graphs() -> None:
    """One op that folds or picks, and an addition."""
    a = RNG.random(64, np.float32)
    for title, bars in (("getitem", (0.25, 0.15)), ("sum", (0.55, 0.28)), ("mean", (0.42, 0.28))):
        runs = {}
        for name, library in kinds().items():
            (x,) = leaves(library, a)
            runs[name] = cleared(lambda x=x: _fold(title, x) + 1.0, [x])  # noqa: B023 - called in this round
        if mygrad is not None:
            m = mygrad.tensor(a)
            runs["mygrad"] = lambda m=m: (_fold(title, m) + 1.0).backward()  # noqa: B023
        show(Case(f"{title} + add on 64, f+b", runs, dict(zip(("torch", "mygrad"), bars, strict=True))))


def _fold(title: str, x: Any) -> Any:
    return x[3] if title == "getitem" else getattr(x, title)()


def shapes() -> None:
    """Views, indices, and what takes tensors apart and puts them together: small tensors, so that the calls count."""
    a, b = RNG.random((2, 16, 32), np.float32), RNG.random((8, 16), np.float32)
    for title, (run, bar) in _SHAPED.items():
        runs = {}
        for name, library in kinds().items():
            x, y = leaves(library, a, b)
            runs[name] = lambda run=run, library=library, x=x, y=y: run(library, x, y)
        show(Case(f"{title}, fwd", runs, {"torch": bar}))
    runs = {}
    for name, library in kinds().items():
        (x,) = leaves(library, a)
        runs[name] = cleared(lambda x=x: _parts(x), [x])
    show(Case("split in 4, products and sum, f+b", runs, {"torch": 1.4}))


_SHAPED: dict[str, tuple[Callable[[Any, Any, Any], Any], float]] = {
    "view": (lambda library, x, y: x.view(2, 16, 4, 8), 2.3),
    "reshape": (lambda library, x, y: x.reshape(32, 32), 2.3),
    "transpose": (lambda library, x, y: x.transpose(1, 2), 1.6),
    "expand": (lambda library, x, y: x.unsqueeze(0).expand(3, 2, 16, 32), 2.1),
    "x[:, 1]": (lambda library, x, y: x[:, 1], 1.6),
    "split": (lambda library, x, y: x.split(8, 2), 1.8),
    "unbind": (lambda library, x, y: y.unbind(), 2.1),
    "cat": (lambda library, x, y: library.cat([y, y]), 2.2),
    "stack": (lambda library, x, y: library.stack([y, y]), 2.0),
    "max(dim)": (lambda library, x, y: y.max(1), 1.8),
}


def _parts(x: Any) -> Any:
    a, b, c, d = x.split(8, 2)
    return (a * b + c * d).sum()


def broadcast() -> None:
    """(32, 64) times (64,), then a sum."""
    a, b = RNG.random((32, 64), np.float32), RNG.random(64, np.float32)
    forward, both = {}, {}
    for name, library in kinds().items():
        x, y = leaves(library, a, b)
        forward[name] = lambda x=x, y=y: (x * y + y).sum()
        both[name] = cleared(forward[name], [x, y])
    forward["raw"] = lambda: np.add.reduce(a * b + b, axis=None)
    if mygrad is not None:
        mx, my = mygrad.tensor(a), mygrad.tensor(b)
        both["mygrad"] = lambda: (mx * my + my).sum().backward()
    if hips is not None:
        slope = hips.grad(lambda x, y: hips_numpy.sum(x * y + y), (0, 1))
        both["hips"] = lambda: slope(a, b)
    show(Case("broadcast (32, 64), fwd", forward, {"raw": 1.7}, note="raw: a * b + b and add.reduce"))
    show(Case("broadcast (32, 64), f+b", both, {"torch": 0.75, "mygrad": 0.43, "hips": 0.25}))


def product() -> None:
    """A product of two 256 x 256 matrices, and its sum."""
    a, b = RNG.random((256, 256), np.float32), RNG.random((256, 256), np.float32)
    forward, both = {}, {}
    for name, library in kinds().items():
        x, y = leaves(library, a, b)
        forward[name] = lambda x=x, y=y: x @ y
        both[name] = cleared(lambda x=x, y=y: (x @ y).sum(), [x, y])
    forward["raw"] = lambda: a @ b
    if mygrad is not None:
        mx, my = mygrad.tensor(a), mygrad.tensor(b)
        both["mygrad"] = lambda: (mx @ my).sum().backward()
    show(Case("matmul 256, fwd", forward, {"raw": 1.05}, repeats=5, note="raw: a @ b"))
    show(Case("matmul 256, f+b", both, {"torch": 1.10, "mygrad": 1.0}, repeats=5))


SHAPES = {
    "(8, 8, 28, 28) by 16 of 3x3": ((8, 8, 28, 28), (16, 8, 3, 3), 0),
    "LeNet's first, (32, 1, 28, 28) by 6 of 5x5": ((32, 1, 28, 28), (6, 1, 5, 5), 2),
    "LeNet's second, (32, 6, 14, 14) by 16 of 5x5": ((32, 6, 14, 14), (16, 6, 5, 5), 0),
    "CIFAR's first, (16, 3, 32, 32) by 32 of 3x3": ((16, 3, 32, 32), (32, 3, 3, 3), 1),
    "ResNet's, (1, 64, 56, 56) by 64 of 3x3": ((1, 64, 56, 56), (64, 64, 3, 3), 1),
}


def im2col(x: Any, weight: Any, padding: int) -> Any:
    """A convolution as numpy's users write it: windows copied to columns, and one product of matrices."""
    if padding:
        x = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    windows = np.lib.stride_tricks.sliding_window_view(x, weight.shape[2:], (2, 3))
    count, _, high, wide = windows.shape[:4]
    columns = windows.transpose(0, 1, 4, 5, 2, 3).reshape(count, -1, high * wide)
    return (weight.reshape(len(weight), -1) @ columns).reshape(count, -1, high, wide)


def convolution() -> None:
    """Convolutions of five shapes; the input requires grad, too."""
    for title, (shape, filters, padding) in SHAPES.items():
        a, b = RNG.random(shape, np.float32), RNG.random(filters, np.float32)
        forward, both = {}, {}
        for name, library in kinds().items():
            x, w = leaves(library, a, b)

            def run(x: Any = x, w: Any = w, library: Any = library, padding: int = padding) -> Any:
                return library.nn.functional.conv2d(x, w, padding=padding)

            forward[name] = run
            both[name] = cleared(lambda run=run: run().sum(), [x, w])
        forward["raw"] = lambda a=a, b=b, padding=padding: im2col(a, b, padding)
        note = "raw: sliding_window_view, a copy and matmul"
        show(Case(f"conv {title}, fwd", forward, {"raw": 1.0}, repeats=5, note=note))
        show(Case("  f+b", both, {"torch": 0.80}, repeats=5))


def lenet() -> None:
    """A training step of a network of LeNet's size: 32 images of 28 x 28, SGD with momentum."""
    images, labels = RNG.random((32, 1, 28, 28), np.float32), RNG.integers(0, 10, 32)
    runs: dict[str, Any] = {}
    for name, library in kinds().items():
        nn = library.nn
        library.manual_seed(0)
        model = nn.Sequential(
            nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
            nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10),
        )  # fmt: skip
        optimizer = library.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
        runs[name] = _training(library, model, optimizer, library.tensor(images), library.tensor(labels))
    show(Case("LeNet training step, batch 32", runs, {"torch": 1.0}, repeats=3))


def _training(library: Any, model: Any, optimizer: Any, x: Any, y: Any) -> Callable[[], None]:
    def step() -> None:
        optimizer.zero_grad()
        out = model(x)
        library.nn.functional.cross_entropy(out.reshape(-1, out.shape[-1]), y.reshape(-1)).backward()
        optimizer.step()

    return step


def transformer() -> None:
    """A training step of a small GPT: 2 layers, 64 wide, 4 heads, 32 tokens, batch 8, AdamW."""
    tokens = RNG.integers(0, 65, (8, 33))
    runs: dict[str, Any] = {}
    for name, library in kinds().items():
        library.manual_seed(0)
        model = _gpt(library)
        optimizer = library.optim.AdamW(model.parameters(), lr=1e-3)
        x, y = library.tensor(tokens[:, :-1].copy()), library.tensor(tokens[:, 1:].copy())
        runs[name] = _training(library, model, optimizer, x, y)
    show(Case("GPT training step, 2 layers, 64 wide, 8 x 32", runs, {"torch": 1.0}, repeats=2))


def _gpt(library: Any, width: int = 64, heads: int = 4, length: int = 32, words: int = 65) -> Any:
    nn, functional = library.nn, library.nn.functional

    class Block(nn.Module):  # type: ignore[name-defined, misc]
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.LayerNorm(width), nn.LayerNorm(width)
            self.mixed, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
            self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

        def forward(self, x: Any) -> Any:
            count, tokens, _ = x.shape
            parts = self.mixed(self.first(x)).split(width, -1)
            q, k, v = (part.view(count, tokens, heads, -1).transpose(1, 2) for part in parts)
            seen = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
            x = x + self.out(seen.transpose(1, 2).reshape(count, tokens, width))
            return x + self.down(functional.gelu(self.up(self.second(x))))

    class GPT(nn.Module):  # type: ignore[name-defined, misc]
        def __init__(self) -> None:
            super().__init__()
            self.token, self.place = nn.Embedding(words, width), nn.Embedding(length, width)
            self.blocks = nn.Sequential(Block(), Block())
            self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, words, bias=False)

        def forward(self, x: Any) -> Any:
            places = library.arange(x.shape[1])
            return self.head(self.norm(self.blocks(self.token(x) + self.place(places))))

    return GPT()


def chain(length: int = 1_000_000) -> None:
    """A long chain: build, backward, free; and what a node takes."""

    def run(library: Any) -> None:
        (w,) = leaves(library, np.array(1.0, np.float32))
        y = w
        for _ in range(length):
            y = y + 1.0
        y.backward()
        del y

    runs = {name: (lambda library=library: run(library)) for name, library in kinds().items()}
    show(Case(f"chain of {length:,} additions, build + backward + free", runs, {"torch": 0.20}, repeats=1, rounds=3))
    begin = time.process_time()
    (w,) = leaves(gradviz, np.array(1.0, np.float32))
    y: Any = w
    for _ in range(5_000_000):
        y = y + 1.0
    y.backward()
    spent = time.process_time() - begin
    print(f"chain of 5,000,000 additions: {spent:.1f} s, value {y.item():,.0f}, slope {w.grad.item()}")
    del y
    for title, grow in (("addition", lambda y: y + 1.0), ("product", lambda y: y * 1.5)):
        gc.collect()
        tracemalloc.start()
        y = gradviz.tensor(1.0, requires_grad=True)
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(10_000):
            y = grow(y)
        size = (tracemalloc.get_traced_memory()[0] - before) / 10_000
        tracemalloc.stop()
        print(f"bytes a node, {title} by a number: {size:.0f} (<= 230{'' if size <= 230 else ', MISSED'})")


def evaluation() -> None:
    """The same loop with and without `no_grad`: its time and its peak memory."""
    w = gradviz.tensor(RNG.random((64, 64), np.float32) * 0.1, requires_grad=True)
    data = [gradviz.tensor(RNG.random((32, 64), np.float32)) for _ in range(20)]

    def loop() -> None:
        for x in data:
            for _ in range(20):
                x = (x @ w).tanh()

    def off() -> None:
        with gradviz.no_grad():
            loop()

    show(Case("evaluation loop under no_grad, against grad", {"off": off, "on": loop}, {"on": 1.0}, "off", 2))
    for name, run in (("grad", loop), ("no_grad", off)):
        tracemalloc.start()
        run()
        print(f"evaluation loop, peak bytes with {name}: {tracemalloc.get_traced_memory()[1]:,}")
        tracemalloc.stop()


CASES = (multiplication, mix, scalars, perceptron, small_graphs, shapes, broadcast, product, convolution, lenet,
         transformer, chain, evaluation)  # fmt: skip

if __name__ == "__main__":
    gc.collect()
    gc.freeze()  # the collector need not walk through four libraries in each round
    chosen = sys.argv[1:]
    for case in CASES:
        if not chosen or case.__name__ in chosen:
            case()
