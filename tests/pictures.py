"""Pictures made by hand, so that layout and views can be tested without a recording."""

from __future__ import annotations

from dataclasses import replace

from gradviz.picture.records import Box, BoxKind, Frame, Picture, Remark, Wire, WireKind

_BOXES = {kind.value: kind for kind in BoxKind}
_WIRES = {
    "->": WireKind.GRADIENT,
    "~>": WireKind.SHADOW,
    "=>": WireKind.ALIAS,
    "-x": WireKind.CUT,
    "..": WireKind.SAVED,
    "-!": WireKind.ERROR,
    "~x": WireKind.SHADOW,
}


class Sketch:
    """Builds a picture step by step; boxes are called by names of our own and get their ids in order."""

    def __init__(self, title: str, summary: str, description: str = "") -> None:
        self._head = (title, summary, description or summary)
        self._boxes: list[Box] = []
        self._wires: list[Wire] = []
        self._frames: list[Frame] = []
        self._ids: dict[str, str] = {}
        self._notes: list[str] = []

    def box(self, name: str, kind: str, title: str, detail: str = "", frame: str | None = None) -> None:
        self._ids[name] = f"b{len(self._boxes)}"
        tooltip = (("name", title), ("shape", "()"), ("dtype", "float32"), ("bytes", "4"))
        self._boxes.append(Box(self._ids[name], _BOXES[kind], title, detail, tooltip, frame))

    def wire(self, text: str, label: str = "") -> None:
        """A chain of wires: `x -> y ~> z`. `~x` is a shadow wire that loses its gradient."""
        tokens = text.split()
        for tail, mark, head in zip(tokens[::2], tokens[1::2], tokens[2::2], strict=False):
            self._wires.append(Wire(self._ids[tail], self._ids[head], _WIRES[mark], label, mark == "~x"))

    def frame(self, id: str, title: str, kind: str = "region", parent: str | None = None) -> None:
        self._frames.append(Frame(id, kind, title, (("opened", title),), parent))

    def note(self, text: str) -> None:
        self._notes.append(text)

    def picture(self) -> Picture:
        return Picture(*self._head, tuple(self._boxes), tuple(self._wires), tuple(self._frames), tuple(self._notes))


def detach() -> Picture:
    """`y = 2*x; z = 3 + x.detach(); r = (y + z).sum()`."""
    sketch = Sketch(
        "detach.py",
        "6 ops · 1 leaf that requires grad · 1 cut · gradient reaches x by 1 of 2 roads",
        "r depends on x by two roads; the one through z is cut by detach at line 6.",
    )
    sketch.box("x", "leaf", "x", "() float32 · line 4")
    sketch.box("two", "const", "2")
    sketch.box("y", "op", "y = mul", "line 5")
    sketch.box("cut", "cut", "detach · line 6")
    sketch.box("d", "off", "x.detach()", "same storage as x")
    sketch.box("three", "const", "3")
    sketch.box("z", "off", "z = add", "line 6 · not tracked")
    sketch.box("add", "op", "add", "line 7")
    sketch.box("sum", "op", "sum", "line 7")
    sketch.box("r", "output", "r", "() float32")
    for text in (
        "two ~> y", "x -> y", "x -x cut", "cut ~> d", "three ~> z", "d ~> z", "y -> add", "z ~> add", "add -> sum -> r"
    ):  # fmt: skip
        sketch.wire(text)
    return sketch.picture()


def no_grad() -> Picture:
    """`y = w*x + b`, and the same sum under `no_grad`."""
    sketch = Sketch(
        "no_grad.py",
        "4 ops · 2 tracked, 2 skipped under no_grad · 2 leaves that require grad",
        "y = w * x + b is tracked; the same sum inside no_grad, opened at line 8, is not.",
    )
    sketch.frame("f0", "no_grad · line 8")
    sketch.box("w", "leaf", "w", "() float32 · line 4")
    sketch.box("x", "const", "x", "() float32 · line 3")
    sketch.box("b", "leaf", "b", "() float32 · line 5")
    sketch.box("m", "op", "mul", "line 6")
    sketch.box("y", "op", "y = add", "line 6")
    sketch.box("m2", "off", "mul", "line 9 · skipped", "f0")
    sketch.box("z", "off", "z = add", "line 9 · skipped", "f0")
    sketch.box("yo", "output", "y", "requires_grad")
    sketch.box("zo", "off-output", "z", "no grad_fn")
    for text in ("w -> m -> y -> yo", "x ~> m", "b -> y", "w ~x m2 ~> z ~> zo", "x ~> m2", "b ~x z"):
        sketch.wire(text)
    return sketch.picture()


def mlp() -> Picture:
    """A training step of two layers with cross entropy, its weights updated under `no_grad`."""
    sketch = Sketch("mlp.py", "13 ops · 9 tracked, 4 skipped under no_grad · 4 leaves that require grad")
    sketch.frame("f0", "no_grad · line 19")
    sketch.box("x", "const", "x", "(64, 784) float32 · line 8")
    for number, line in ((1, 10), (2, 12)):
        sketch.box(f"w{number}", "leaf", f"w{number}", f"(784, 128) float32 · line {line}")
        sketch.box(f"b{number}", "leaf", f"b{number}", f"(128,) float32 · line {line + 1}")
    sketch.box("mm1", "op", "matmul", "line 15")
    sketch.box("h", "op", "h = add", "line 15")
    sketch.box("relu", "op", "a = relu", "line 16")
    sketch.box("mm2", "op", "matmul", "line 17")
    sketch.box("logits", "op", "logits = add", "line 17")
    sketch.box("labels", "const", "labels", "(64,) int64 · line 9")
    sketch.box("ce", "op", "cross_entropy", "line 18")
    sketch.box("loss", "output", "loss", "() float32")
    for text in (
        "x ~> mm1", "w1 -> mm1", "mm1 -> h", "b1 -> h", "h -> relu", "relu -> mm2", "w2 -> mm2", "mm2 -> logits",
        "b2 -> logits", "logits -> ce", "labels ~> ce", "ce -> loss",
    ):  # fmt: skip
        sketch.wire(text)
    for name in ("w1", "b1", "w2", "b2"):
        sketch.box(f"lr_{name}", "const", "0.1", frame="f0")
        sketch.box(f"mul_{name}", "off", "mul", "line 20 · skipped", "f0")
        sketch.box(f"sub_{name}", "off", f"{name} -= ", "line 20 · skipped", "f0")
        sketch.wire(f"lr_{name} ~> mul_{name}")
        sketch.wire(f"{name} ~> sub_{name}")
        sketch.wire(f"mul_{name} ~> sub_{name}")
    return sketch.picture()


def residual() -> Picture:
    """A residual block: the skip goes around two convolutions."""
    sketch = Sketch("resnet.py", "8 ops · 5 leaves that require grad")
    sketch.frame("m", "block", "module")
    sketch.frame("m1", "block.conv1", "module", "m")
    sketch.frame("m2", "block.conv2", "module", "m")
    sketch.box("x", "leaf", "x", "(1, 64, 56, 56) float32")
    for number in (1, 2):
        sketch.box(f"w{number}", "leaf", f"block.conv{number}.weight", "(64, 64, 3, 3) float32", f"m{number}")
        sketch.box(f"c{number}", "op", "conv2d", f"line {10 * number}", f"m{number}")
        sketch.box(f"n{number}", "op", "batch_norm", f"line {10 * number + 1}", f"m{number}")
        sketch.wire(f"w{number} -> c{number} -> n{number}")
    sketch.box("r1", "op", "relu", "line 12", "m")
    sketch.box("add", "op", "y = add", "line 22", "m")
    sketch.box("r2", "op", "relu", "line 23", "m")
    sketch.box("out", "output", "y", "(1, 64, 56, 56) float32")
    for text in ("x -> c1", "n1 -> r1 -> c2", "n2 -> add", "x -> add -> r2 -> out"):
        sketch.wire(text)
    return sketch.picture()


def lstm(steps: int = 5) -> Picture:
    """Steps of a recurrent cell that share two weights."""
    sketch = Sketch("lstm.py", f"{7 * steps} ops · 3 leaves that require grad")
    sketch.box("w", "leaf", "weight_ih", "(256, 64) float32")
    sketch.box("u", "leaf", "weight_hh", "(256, 64) float32")
    sketch.box("h", "const", "h0", "(64,) float32")
    sketch.box("c", "const", "c0", "(64,) float32")
    h, c = "h", "c"
    for step in range(steps):
        sketch.box(f"x{step}", "const", f"x[{step}]", "(64,) float32")
        for name, title in (("wx", "matmul"), ("uh", "matmul"), ("g", "gates = add"), ("f", "sigmoid"), ("t", "tanh")):
            sketch.box(f"{name}{step}", "op", title, f"line {20 + step}")
        sketch.box(f"c{step}", "op", "c = addcmul", f"line {20 + step}")
        sketch.box(f"h{step}", "op", "h = mul", f"line {20 + step}")
        mark = "->" if step else "~>"
        for text in (
            f"x{step} ~> wx{step}", f"w -> wx{step}", f"u -> uh{step}", f"{h} {mark} uh{step}", f"wx{step} -> g{step}",
            f"uh{step} -> g{step}", f"g{step} -> f{step}", f"g{step} -> t{step}", f"{c} {mark} c{step}",
            f"f{step} -> c{step}", f"t{step} -> c{step}", f"c{step} -> h{step}", f"f{step} -> h{step}",
        ):  # fmt: skip
            sketch.wire(text)
        h, c = f"h{step}", f"c{step}"
    sketch.box("out", "output", "h", "(64,) float32")
    sketch.wire(f"{h} -> out")
    return sketch.picture()


def nested() -> Picture:
    """Three regions, one within another, and a value that leaves through all of them."""
    sketch = Sketch("nested.py", "6 ops · 2 tracked, 4 skipped · 1 leaf that requires grad")
    sketch.frame("f0", "no_grad · line 5")
    sketch.frame("f1", "enable_grad · line 7", "region", "f0")
    sketch.frame("f2", "inference_mode · line 9", "region", "f1")
    sketch.box("w", "leaf", "w", "(3,) float32 · line 4")
    sketch.box("a", "off", "a = mul", "line 6 · skipped", "f0")
    sketch.box("two", "const", "2", frame="f0")
    sketch.box("b", "op", "b = mul", "line 8", "f1")
    sketch.box("c", "off", "c = add", "line 10 · skipped", "f2")
    sketch.box("d", "off", "d = add", "line 11 · skipped", "f0")
    sketch.box("e", "op", "e = mul", "line 12")
    sketch.box("s", "op", "sum", "line 13")
    sketch.box("out", "output", "loss", "() float32")
    for text in (
        "w ~x a", "two ~> a", "a ~> b", "w -> b", "b ~x c", "a ~> c", "c ~> d", "a ~> d", "d ~> e", "w -> e", "e -> s",
        "s -> out",
    ):  # fmt: skip
        sketch.wire(text)
    return sketch.picture()


def diamond(branches: int = 12) -> Picture:
    """One value, many parallel branches, one sum."""
    sketch = Sketch("diamond.py", f"{branches + 1} ops · 1 leaf that requires grad")
    sketch.box("x", "leaf", "x", "(8,) float32 · line 1")
    for number in range(branches):
        sketch.box(f"e{number}", "op", f"heads[{number}]", "line 3")
        sketch.wire(f"x -> e{number}")
    sketch.box("s", "op", "y = stack", "line 4")
    sketch.box("y", "output", "y", f"({branches}, 8) float32")
    for number in range(branches):
        sketch.wire(f"e{number} -> s")
    sketch.wire("s -> y")
    return sketch.picture()


def chain(length: int = 60) -> Picture:
    """A long chain."""
    sketch = Sketch("chain.py", f"{length} ops · 1 leaf that requires grad")
    sketch.box("n0", "leaf", "x", "() float32 · line 1")
    for number in range(1, length + 1):
        sketch.box(f"n{number}", "op", "x = mul", "line 3")
        sketch.wire(f"n{number - 1} -> n{number}")
    sketch.box("out", "output", "x", "() float32")
    sketch.wire(f"n{length} -> out")
    return sketch.picture()


def everything() -> Picture:
    """Every kind of box, wire and frame, parallel wires, labels, notes, and a part of its own."""
    sketch = Sketch("everything.py", "one of each · nothing here means anything")
    sketch.frame("f0", "no_grad · line 8")
    sketch.frame("f1", "encoder.layer.0", "module")
    for kind in BoxKind:
        sketch.box(kind.value, kind.value, kind.value, f"detail of {kind.value}")
    sketch.box("square", "op", "y = mul", "line 9", "f1")
    sketch.box("low", "const", "0.5", frame="f0")
    sketch.box("high", "const", "1.5", frame="f0")
    sketch.box("clamp", "off", "clamp", "line 10 · skipped", "f0")
    sketch.box("alone", "leaf", "unused", "(2, 2) float32 · line 20")
    for text in (
        "leaf -> square", "leaf -> square", "square -> op", "const ~> op", "op -> output", "leaf -x cut", "cut ~> off",
        "off ~> off-output", "square .. saved", "op ~> exit", "low ~> clamp", "op ~x clamp", "high ~> clamp",
        "more ~> clamp", "clamp -! error",
    ):  # fmt: skip
        sketch.wire(text)
    sketch.wire("leaf => off", "same storage")
    sketch.note("the run ended at line 12: RuntimeError: element 0 of tensors does not require grad")
    sketch.note("312 earlier ops were let go")
    return sketch.picture()


def hostile() -> Picture:
    """Names that break views which do not escape, or that trust a name to be short."""
    sketch = Sketch("<script>alert(1)</script> & \"quotes\" 'and' \ud800 \x00", "]]> summary \u202e turned \x1b[31m")
    names = [
        "</text><script>", "a&b", '"quoted"', "a\nb\tc\r", "\x00\x01\x7f", "\ud83d", "🎉👩‍👩‍👧‍👦🇩🇪",
        "变量名称" * 4, "e\u0301" * 60, "x" * 10_000, "🎉" * 3_000, "\u202eabc", "a:b|{c}[d]", "\\N\\n",
        "]]>", "﷽﷽", "\ufffe\uffff", "שלום עולם", "",
    ]  # fmt: skip
    sketch.frame("f0", "\x00<&>" + "no_grad " * 2000)
    for number, name in enumerate(names):
        sketch.box(f"n{number}", "op", name, name, "f0" if number % 3 == 0 else None)
        if number:
            sketch.wire(f"n{number // 2} -> n{number}", name if number % 5 == 0 else "")
    sketch.note("\x00]]>" + "note " * 2000)
    return sketch.picture()


def blamed(count: int = 12) -> Picture:
    """`everything()`, where each box, frame and wire is blamed for something, some for three things at once."""
    severities = ["error"] * (count // 2) + ["warning"] * (count - count // 2)
    remarks = tuple(
        Remark(number, severity, f"GV{number}01", f"line {number}", "`w` got no gradient: " + "why, " * number, "do")
        for number, severity in enumerate(severities, 1)
    )
    picture = everything()

    def numbers(at: int) -> tuple[int, ...]:
        return tuple(range(at % count + 1, count + 1, 4))[:3]

    return replace(
        picture,
        boxes=tuple(replace(box, findings=numbers(at)) for at, box in enumerate(picture.boxes)),
        frames=tuple(replace(frame, findings=numbers(at)) for at, frame in enumerate(picture.frames)),
        wires=tuple(replace(wire, road=at % count + 1) for at, wire in enumerate(picture.wires)),
        remarks=remarks,
    )


def hostile_remarks() -> Picture:
    """`hostile()` with what it holds in a finding, too."""
    picture = hostile()
    texts = [box.title for box in picture.boxes if box.title]
    remarks = tuple(
        Remark(number, "error" if number < 5 else "warning", text[:40], text[:60], text, text[::-1])
        for number, text in enumerate(texts, 1)
    )
    boxes = tuple(replace(box, findings=(min(at + 1, len(texts)),)) for at, box in enumerate(picture.boxes))
    frames = tuple(replace(frame, findings=(1, 2)) for frame in picture.frames)
    return replace(picture, boxes=boxes, frames=frames, remarks=remarks)


def empty() -> Picture:
    """Nothing at all."""
    return Sketch("empty.py", "nothing was traced").picture()


def single() -> Picture:
    """One box."""
    sketch = Sketch("one.py", "1 leaf that requires grad")
    sketch.box("x", "leaf", "x", "() float32 · line 1")
    return sketch.picture()


ALL = {
    make.__name__: make
    for make in (
        detach, no_grad, mlp, residual, lstm, nested, diamond, chain, everything, blamed, hostile, hostile_remarks,
        empty, single,
    )
}  # fmt: skip
"""Every picture by name."""
