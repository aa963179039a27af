"""Rules on graphs built by hand: each fires on its cause, at the culprit's line, and not on what only looks like it."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from building import Builder

from gradviz.diagnose import Severity, diagnose, find_rule, rules
from gradviz.diagnose.report import document_rules
from gradviz.errors import UsageError
from gradviz.events import Cause, Gradient, Op, Role, Saved
from gradviz.graphs import Graph

DOCS = Path(__file__).parents[1] / "docs" / "rules.md"
HEADINGS = ["What it does", "Why is this bad", "Example", "Use instead"]
NO_GRAPH = "element 0 of tensors does not require grad and does not have a grad_fn"


class Training(Builder):
    """A program that trains `w` (line 1) and `v` (line 2), both owned by an optimizer made at line 3.

    `held` is the value that a test has more to say of.
    """

    held = 0

    def __init__(self) -> None:
        super().__init__("train.py", producer="torch")
        self.w = self.leaf("w", (3,), requires_grad=True, line=1, role=Role.PARAMETER, op="Parameter")
        self.v = self.leaf("v", (3,), requires_grad=True, line=2, role=Role.PARAMETER, op="Parameter")
        self.owner = self.optimizer(self.w, self.v, line=3)

    def train(self, loss: int, *fed: int, zero: bool = False, nan: bool = False, line: int = 90) -> None:
        """Backward from `loss`, which gives `fed` their gradients, then a step."""
        norm = 0.0 if zero else 1.0
        self.act("zero_grad", optimizer=self.owner, line=line - 1)
        self.sweep(loss, line=line, gradients=[Gradient(value, norm, zero, nan) for value in fed])
        self.act("step", optimizer=self.owner, line=line + 1)


def loss_of(b: Builder, *values: int, line: int = 50) -> int:
    """The sum of the means of `values`, a number called `loss`."""
    means = [b.op("mean", value, shape=(), line=line) for value in values]
    total = means[0]
    for mean in means[1:]:
        total = b.op("add", total, mean, name="loss", shape=(), line=line)
    return total


@dataclass(frozen=True)
class Sample:
    """`build` makes a graph; `expected` is what the rule must say: severity, line and names; None for nothing."""

    code: str
    build: Callable[[], Builder]
    expected: tuple[str, int, tuple[str, ...]] | None


SAMPLES: list[Sample] = []


def fires(code: str, severity: str, line: int, *names: str) -> Callable[[Callable[[], Builder]], Callable[[], Builder]]:
    """Decorator: on this graph the rule says this."""

    def add(build: Callable[[], Builder]) -> Callable[[], Builder]:
        SAMPLES.append(Sample(code, build, (severity, line, names)))
        return build

    return add


def silent(code: str) -> Callable[[Callable[[], Builder]], Callable[[], Builder]]:
    """Decorator: on this graph the rule says nothing above a note."""

    def add(build: Callable[[], Builder]) -> Callable[[], Builder]:
        SAMPLES.append(Sample(code, build, None))
        return build

    return add


def _one_road_cut(cut: Callable[[Training, int], int]) -> Training:
    """`w` goes through `cut` into the loss, `v` straight."""
    b = Training()
    h = b.op("mul", b.w, "2", name="h", line=10)
    b.train(loss_of(b, b.op("mul", b.v, cut(b, h), line=30)), b.v)
    return b


def _two_roads(cut: Callable[[Training, int], int]) -> Training:
    """As above, with a second road for `w` that lives."""
    b = Training()
    h = b.op("mul", b.w, "2", name="h", line=10)
    b.train(loss_of(b, b.op("mul", b.v, cut(b, h), line=30), b.op("exp", h, line=31)), b.v, b.w)
    return b


@fires("GV101", "error", 20, "w")
def detach_on_the_last_road() -> Builder:
    return _one_road_cut(lambda b, h: b.detach(h, line=20))


@silent("GV101")
def detach_beside_a_living_road() -> Builder:
    return _two_roads(lambda b, h: b.detach(h, line=20))


@silent("GV101")
def detach_of_what_no_optimizer_owns() -> Builder:
    b = Training()
    probe = b.leaf("probe", (3,), requires_grad=True, line=5)
    b.train(loss_of(b, b.op("mul", b.v, b.detach(probe, line=20)), b.op("exp", b.w, line=30)), b.v, b.w)
    return b


@silent("GV101")
def detach_for_a_log() -> Builder:
    b = Training()
    b.train(loss_of(b, b.w, b.v), b.w, b.v)
    b.item(b.detach(b.w, line=20), line=20)
    return b


@fires("GV101", "warning", 20, "w")
def a_detached_term() -> Builder:
    b = Training()
    term = b.detach(b.op("mean", b.op("exp", b.w, line=10), shape=(), line=11), name="term", line=20)
    main = loss_of(b, b.op("mul", b.w, b.v, line=30))
    b.train(b.op("add", main, term, name="loss", line=40), b.w, b.v)
    return b


@silent("GV101")
def a_term_and_itself_detached() -> Builder:
    """`x - x.detach()` is 0 with the gradient of x: somebody meant it."""
    b = Training()
    x = loss_of(b, b.op("mul", b.w, b.v, line=30))
    b.train(b.op("sub", x, b.detach(x, line=20), line=40), b.w, b.v)
    return b


@fires("GV102", "error", 20, "w")
def data_on_the_last_road() -> Builder:
    return _one_road_cut(lambda b, h: b.op("data", h, cause=Cause.DATA, alias=0, line=20))


@fires("GV102", "warning", 20, "w")
def data_of_a_parameter_in_the_forward() -> Builder:
    b = Training()
    h = b.op("mul", b.op("data", b.w, cause=Cause.DATA, alias=0, line=20), b.v, line=30)
    b.train(loss_of(b, h, b.w), b.w, b.v)
    return b


@silent("GV102")
def data_in_an_update() -> Builder:
    b = Training()
    b.train(loss_of(b, b.w, b.v), b.w, b.v)
    data = b.op("data", b.w, cause=Cause.DATA, alias=0, line=20)
    b.inplace("clamp", data, "-1", "1", line=20)
    b.train(loss_of(b, b.w, b.v), b.w, b.v)
    return b


@fires("GV103", "warning", 20, "w")
def a_number_added_to_the_loss() -> Builder:
    b = Training()
    term = b.op("mean", b.op("exp", b.w, line=10), shape=(), line=11)
    b.op("item", term, cause=Cause.ITEM, outputs=0, name="p", line=20)
    main = loss_of(b, b.op("mul", b.w, b.v, line=30))
    total = b.op("add", main, "0.25", name="l + p", line=40)  # the name stands in the source, too
    b.train(total, b.w, b.v)
    return b


@silent("GV103")
def a_number_for_the_log() -> Builder:
    b = Training()
    main = loss_of(b, b.op("mul", b.w, b.v, line=30))
    b.op("item", main, cause=Cause.ITEM, outputs=0, name="running", line=20)
    b.train(b.op("add", main, "0.25", name="loss", line=40), b.w, b.v)
    return b


@fires("GV104", "error", 20, "w")
def numpy_on_the_last_road() -> Builder:
    b = Training()
    b.numpy(b.detach(b.op("mul", b.w, "2", line=10), line=20), line=20)
    b.train(loss_of(b, b.op("mul", b.v, b.leaf("copy", (3,), op="from_numpy", line=21), line=30)), b.v)
    return b


@silent("GV104")
def numpy_for_a_plot() -> Builder:
    b = Training()
    b.train(loss_of(b, b.w, b.v), b.w, b.v)
    b.numpy(b.detach(b.w, line=20), line=20)
    return b


@fires("GV105", "error", 20, "w", "v")
def losses_copied_into_a_leaf() -> Builder:
    b = Training()
    term = loss_of(b, b.op("mul", b.w, b.v, line=10), line=11)
    copy = b.op("tensor", term, cause=Cause.RETENSOR, requires_grad=True, leaf=True, line=20)
    b.train(b.op("sum", copy, name="loss", line=30), copy)
    return b


@silent("GV105")
def a_copy_that_is_only_data() -> Builder:
    return _two_roads(lambda b, h: b.op("tensor", h, cause=Cause.RETENSOR, line=20))


@fires("GV106", "error", 20, "w")
def integers_on_the_last_road() -> Builder:
    return _one_road_cut(lambda b, h: b.op("argmax", h, cause=Cause.INTEGER, dtype="int64", line=20))


@silent("GV106")
def integers_beside_a_living_road() -> Builder:
    return _two_roads(lambda b, h: b.op("argmax", h, cause=Cause.INTEGER, dtype="int64", line=20))


@fires("GV107", "error", 20, "w")
def a_comparison_on_the_last_road() -> Builder:
    return _one_road_cut(lambda b, h: b.op("gt", h, "0", cause=Cause.NONDIFFERENTIABLE, dtype="bool", line=20))


@silent("GV107")
def a_comparison_beside_a_living_road() -> Builder:
    return _two_roads(lambda b, h: b.op("gt", h, "0", cause=Cause.NONDIFFERENTIABLE, dtype="bool", line=20))


@fires("GV108", "error", 20, "w", "v")
def everything_is_frozen() -> Builder:
    b = Training()
    for leaf in (b.w, b.v):
        b.set_requires_grad(leaf, False, line=20)
    b.sweep(loss_of(b, b.op("mul", b.w, b.v, line=30)), line=90, error=NO_GRAPH)
    return b


@silent("GV108")
def one_part_is_frozen() -> Builder:
    b = Training()
    b.set_requires_grad(b.w, False, line=20)
    b.train(loss_of(b, b.op("mul", b.w, b.v, line=30)), b.v)
    return b


@fires("GV108", "warning", 3, "w", "v")
def an_optimizer_of_what_is_frozen() -> Builder:
    b = Training()
    head = b.leaf("head", (3,), requires_grad=True, line=4, role=Role.PARAMETER, op="Parameter")
    for value in (b.w, b.v):
        b.set_requires_grad(value, False, line=5)
    b.train(loss_of(b, b.op("mul", head, b.op("mul", b.w, b.v, line=10), line=11)), head)
    return b


@fires("GV109", "warning", 21, "w")
def a_freeze_that_is_undone() -> Builder:
    b = Training()
    b.set_requires_grad(b.w, False, line=20)
    b.set_requires_grad(b.w, True, line=21)
    b.train(loss_of(b, b.w, b.v), b.w, b.v)
    return b


@silent("GV109")
def frozen_for_a_while() -> Builder:
    b = Training()
    b.set_requires_grad(b.w, False, line=20)
    b.train(loss_of(b, b.op("mul", b.w, b.v, line=30)), b.v)
    b.set_requires_grad(b.w, True, line=21)
    b.train(loss_of(b, b.op("mul", b.w, b.v, line=30)), b.w, b.v)
    return b


@silent("GV109")
def all_is_frozen_but_a_part_that_is_trained() -> Builder:
    b = Training()
    for value in (b.w, b.v):
        b.set_requires_grad(value, False, line=20)
    b.set_requires_grad(b.v, True, line=21)
    b.train(loss_of(b, b.op("mul", b.w, b.v, line=30)), b.v)
    return b


@fires("GV110", "error", 20, "w")
def a_custom_function_without_a_gradient() -> Builder:
    b = Training()
    h = b.op("Scale", b.w, node="ScaleBackward", line=20)
    b.train(loss_of(b, b.op("mul", h, b.v, line=30)), b.v)
    return b


@silent("GV110")
def a_custom_function_that_gives_one() -> Builder:
    b = Training()
    h = b.op("Scale", b.w, node="ScaleBackward", line=20)
    b.train(loss_of(b, b.op("mul", h, b.v, line=30)), b.v, b.w)
    return b


def _adversarial(cut: Callable[[Builder, int], int]) -> Builder:
    """A generator with a loss of its own, and one by way of a critic that another optimizer trains."""
    b = Builder("train.py")
    generator = b.leaf("generator", (3,), requires_grad=True, line=1, op="Parameter")
    critic = b.leaf("critic", (3,), requires_grad=True, line=2, op="Parameter")
    own, other = b.optimizer(generator, line=3), b.optimizer(critic, line=4)
    b.sweep(loss_of(b, b.op("exp", critic)), line=80, gradients=[Gradient(critic, 1.0)])
    b.act("step", optimizer=other)
    fake = b.op("mul", generator, "2", line=10)
    loss = loss_of(b, b.op("exp", fake, line=11), b.op("mul", cut(b, fake), critic, line=30))
    b.sweep(loss, line=90, gradients=[Gradient(generator, 1.0), Gradient(critic, 1.0)])
    b.act("step", optimizer=own)
    return b


@fires("GV111", "warning", 20, "generator")
def an_adversarial_term_behind_integers() -> Builder:
    return _adversarial(lambda b, fake: b.op("argmax", fake, cause=Cause.INTEGER, dtype="int64", line=20))


@silent("GV111")
def an_adversarial_term() -> Builder:
    return _adversarial(lambda b, fake: b.op("tanh", fake, line=20))


@fires("GV201", "error", 20, "w")
def a_no_grad_forward() -> Builder:
    b = Training()
    with b.region("no_grad", line=20):
        h = b.op("mul", b.w, "2", line=21)
    b.train(loss_of(b, b.op("mul", b.v, h, line=30)), b.v)
    return b


@fires("GV201", "error", 20, "w", "v")
def backward_of_what_ran_under_no_grad() -> Builder:
    b = Training()
    with b.region("no_grad", line=20):
        loss = loss_of(b, b.op("mul", b.w, b.v, line=21))
    b.sweep(loss, line=90, error=NO_GRAPH)
    return b


@silent("GV201")
def an_evaluation_and_an_update_under_no_grad() -> Builder:
    b = Training()
    b.train(loss_of(b, b.op("mul", b.w, b.v, line=30)), b.w, b.v)
    with b.region("no_grad", line=20):
        b.item(loss_of(b, b.op("mul", b.w, b.v, line=21)), line=22)
        w = b.inplace("sub", b.w, "0.1", line=23)
    b.train(loss_of(b, b.op("mul", w, b.v, line=30)), w, b.v)
    return b


@fires("GV202", "error", 20, "w", "v")
def grad_mode_left_off() -> Builder:
    b = Training()
    with b.region("set_grad_enabled", line=20, enabled=False, close=False):
        b.sweep(loss_of(b, b.op("mul", b.w, b.v, line=30)), line=90, error=NO_GRAPH)
    return b


@silent("GV202")
def grad_mode_off_for_a_while() -> Builder:
    b = Training()
    with b.region("set_grad_enabled", line=20, enabled=False):
        b.op("mul", b.w, "2", line=21)
    b.train(loss_of(b, b.w, b.v), b.w, b.v)
    return b


@fires("GV203", "error", 20, "w", "v")
def training_in_inference_mode() -> Builder:
    b = Training()
    with b.region("inference_mode", line=20), b.region("enable_grad", line=21):
        loss = loss_of(b, b.op("mul", b.w, b.v, line=22))
    b.sweep(loss, line=90, error=NO_GRAPH)
    return b


@silent("GV203")
def evaluation_in_inference_mode() -> Builder:
    b = Training()
    b.train(loss_of(b, b.w, b.v), b.w, b.v)
    with b.region("inference_mode", line=20):
        b.op("mul", b.w, b.v, line=22)
    return b


@fires("GV204", "error", 20, "w")
def a_checkpoint_of_what_needs_no_grad() -> Builder:
    b = Training()
    h = b.op("checkpoint", b.leaf("ids", (3,), line=10), line=20)
    b.train(loss_of(b, b.op("mul", b.v, h, line=30)), b.v)
    return b


@silent("GV204")
def a_checkpoint_of_frozen_layers() -> Builder:
    b = Training()
    h = b.op("checkpoint", b.leaf("ids", (3,), line=10), line=20)
    b.train(loss_of(b, b.op("mul", b.v, h, line=30), b.w), b.v, b.w)
    return b


@fires("GV301", "error", 20, "w")
def a_step_before_backward() -> Builder:
    b = Training()
    product = b.op("mul", b.v, b.w, line=10)
    loss = loss_of(b, product)
    w = b.op("step", b.w, b.leaf("g", (3,)), cause=Cause.NO_GRAD, alias=0, inplace=True, requires_grad=True, leaf=True,
             line=20)  # fmt: skip
    b.name(w, "w", Role.PARAMETER)
    error = "one of the variables needed for gradient computation has been modified by an inplace operation: ..."
    b.sweep(loss, line=90, error=error, concerned=(product, w))
    return b


@silent("GV301")
def a_step_after_backward() -> Builder:
    b = Training()
    b.train(loss_of(b, b.op("mul", b.v, b.w, line=10)), b.v, b.w)
    return b


@fires("GV301", "error", 20, "h")
def a_state_through_a_step() -> Builder:
    """`h = w * h` in each turn, and a step in between: the second backward comes to the first turn's `mul`."""
    b = Training()
    h = b.leaf("h", (3,), line=5)
    first = h = b.op("mul", b.w, h, name="h", line=20)
    b.train(loss_of(b, h), b.w)
    w = b.inplace("step", b.w, line=91)
    h = b.op("mul", w, h, name="h", line=20)
    error = "one of the variables has been modified by an inplace operation"
    b.sweep(loss_of(b, h), line=90, error=error, concerned=(first, w))
    return b


@fires("GV302", "error", 20, "w")
def a_write_to_a_view_of_a_leaf() -> Builder:
    b = Training()
    b.view("select", b.view("view", b.w, name="row", line=10), line=20)
    message = "a view of a leaf Variable that requires grad is being used in an in-place operation."
    b.error("RuntimeError", message, line=20)
    return b


@silent("GV302")
def a_write_to_a_leaf_under_no_grad() -> Builder:
    b = Training()
    with b.region("no_grad", line=20):
        w = b.inplace("add", b.w, "1", line=21)
    b.train(loss_of(b, b.v, w), b.v, w)
    return b


@fires("GV303", "warning", 20, "w")
def a_saved_tensor_overwritten_through_data() -> Builder:
    b = Training()
    y = b.op("exp", b.w, name="y", line=10, saved=[Saved("result", (3,), "float32", 12, -1)])
    b.inplace("zero", b.op("data", y, cause=Cause.DATA, alias=0, line=20), line=20)
    b.train(loss_of(b, y), b.w)
    return b


@silent("GV303")
def an_overwrite_after_backward() -> Builder:
    b = Training()
    y = b.op("exp", b.w, name="y", line=10, saved=[Saved("result", (3,), "float32", 12, -1)])
    b.train(loss_of(b, y, b.v), b.w, b.v)
    b.inplace("zero", b.op("data", y, cause=Cause.DATA, alias=0, line=20), line=20)
    return b


def _residual(*, made_in: str) -> Builder:
    b = Training()
    b.scope = made_in
    x = b.op("mul", b.w, b.v, name="x", line=10)
    b.scope = "block.branch.0"
    x = b.inplace("relu", x, line=20)
    b.scope = "block.branch.1"
    h = b.op("exp", x, line=21)
    b.scope = "block"
    b.train(loss_of(b, b.op("add", x, h, line=22)), b.w, b.v)
    return b


@fires("GV304", "note", 20, "x")
def a_branch_that_rectifies_its_input() -> Builder:
    return _residual(made_in="stem")


@silent("GV304")
def a_branch_that_rectifies_its_own() -> Builder:
    return _residual(made_in="block.branch.2")


@fires("GV401", "warning", 1, "w")
def a_parameter_that_nothing_uses() -> Builder:
    b = Training()
    b.train(loss_of(b, b.v), b.v)
    return b


@silent("GV401")
def a_parameter_used_every_other_step() -> Builder:
    b = Training()
    b.train(loss_of(b, b.v, b.w), b.v, b.w)
    b.train(loss_of(b, b.v), b.v)
    return b


@silent("GV401")
def an_empty_parameter_that_only_says_where_a_module_is() -> Builder:
    b = Builder("train.py")
    w = b.leaf("w", (3,), requires_grad=True, line=1, op="Parameter", role=Role.PARAMETER)
    empty = b.leaf("empty", (0,), requires_grad=True, line=2, op="Parameter", role=Role.PARAMETER)
    owner = b.optimizer(w, empty, line=3)
    b.sweep(loss_of(b, w), line=90, gradients=[Gradient(w, 1.0)])
    b.act("step", optimizer=owner)
    return b


@fires("GV402", "warning", 20, "new")
def a_layer_replaced_after_the_optimizer() -> Builder:
    b = Builder("train.py")
    old = b.leaf("", (3, 4), requires_grad=True, line=1, op="Parameter")
    v = b.leaf("v", (4,), requires_grad=True, line=2, op="Parameter")
    owner = b.optimizer(old, v, line=3)
    new = b.leaf("new", (5, 4), requires_grad=True, line=20, op="Parameter", role=Role.PARAMETER)
    b.sweep(loss_of(b, b.op("matmul", new, v)), line=90, gradients=[Gradient(new, 1.0), Gradient(v, 1.0)])
    b.act("step", optimizer=owner)
    return b


@silent("GV402")
def a_layer_added_before_the_optimizer() -> Builder:
    b = Training()
    b.train(loss_of(b, b.op("mul", b.w, b.v)), b.w, b.v)
    return b


def _unowned(scope: str) -> Training:
    b = Training()
    b.name(b.w, "model.w", Role.PARAMETER)
    b.name(b.v, "model.v", Role.PARAMETER)
    extra = b.leaf("extra", (3,), requires_grad=True, line=20, op="Parameter", role=Role.PARAMETER)
    b.function, b.scope = "Model.forward", "model"
    h = b.op("mul", b.w, b.v, line=30)
    b.scope = scope
    k = b.op("mul", h, extra, line=31)
    b.function, b.scope = "<module>", ""
    b.train(loss_of(b, k), b.w, b.v, extra)
    return b


@fires("GV403", "warning", 20, "extra")
def a_layer_in_a_list() -> Builder:
    return _unowned("layer")


@silent("GV403")
def a_registered_layer_outside_the_optimizer() -> Builder:
    return _unowned("model.backbone")


@fires("GV404", "note", 30, "target")
def a_target_network_with_gradients() -> Builder:
    b = Training()
    target = b.leaf("target", (3,), requires_grad=True, line=20, op="Parameter", role=Role.PARAMETER)
    b.train(loss_of(b, b.op("mul", b.w, target, line=30), b.v), b.w, b.v, target)
    return b


@silent("GV404")
def a_frozen_target_network() -> Builder:
    b = Training()
    target = b.leaf("target", (3,), line=20, op="Parameter", role=Role.PARAMETER)
    b.train(loss_of(b, b.op("mul", b.w, target, line=30), b.v), b.w, b.v)
    return b


def _two_losses(early_step: bool) -> Builder:
    b = Builder("train.py")
    critic = b.leaf("critic", (3,), requires_grad=True, line=1, op="Parameter")
    actor = b.leaf("actor", (3,), requires_grad=True, line=2, op="Parameter")
    critics, actors = b.optimizer(critic, line=3), b.optimizer(actor, line=4)
    b.act("zero_grad", optimizer=critics, line=10)
    b.sweep(loss_of(b, critic), line=11, gradients=[Gradient(critic, 1.0)])
    if early_step:
        b.act("step", optimizer=critics, line=12)
    b.op("clone", critic)  # something happens in between
    b.act("zero_grad", optimizer=actors, line=13)
    loss = b.op("mean", b.op("mul", critic, actor, line=19), name="actor_loss", line=20)
    b.sweep(loss, line=21, gradients=[Gradient(critic, 1.0), Gradient(actor, 1.0)])
    if not early_step:
        b.act("step", optimizer=critics, line=22)
    b.act("step", optimizer=actors, line=23)
    return b


@fires("GV405", "warning", 20, "critic")
def two_losses_in_one_step() -> Builder:
    return _two_losses(early_step=False)


@silent("GV405")
def each_loss_with_its_step() -> Builder:
    return _two_losses(early_step=True)


@fires("GV406", "error", 20, "w")
def a_term_left_out() -> Builder:
    b = Training()
    b.item(b.op("mean", b.w, name="extra", shape=(), line=20), line=21)
    b.train(loss_of(b, b.v), b.v)
    return b


@silent("GV406")
def a_metric_beside_the_loss() -> Builder:
    b = Training()
    b.item(b.op("mean", b.w, name="extra", shape=(), line=20), line=21)
    b.train(loss_of(b, b.v, b.w), b.v, b.w)
    return b


@fires("GV407", "warning", 20, "a")
def the_gradient_of_a_result() -> Builder:
    b = Training()
    a = b.op("mul", b.w, "0.1", name="a", line=20)
    b.train(loss_of(b, a, b.v), b.w, b.v)
    b.act("read_grad", a, line=95)
    return b


@silent("GV407")
def the_retained_gradient_of_a_result() -> Builder:
    b = Training()
    a = b.op("mul", b.w, "0.1", name="a", line=20)
    b.act("retain_grad", a, line=21)
    b.train(loss_of(b, a, b.v), b.w, b.v)
    b.act("read_grad", a, line=95)
    return b


def _penalty(*, in_loss: bool) -> Builder:
    b = Training()
    main = loss_of(b, b.op("mul", b.w, b.v))
    b.sweep(main, line=20, kind="grad", inputs=[b.w], gradients=[Gradient(b.w, 1.0)], freed=False)
    penalty = b.op("mean", b.leaf("", (3,), line=20, op="grad"), name="penalty", shape=(), line=25)
    b.item(penalty, line=26)
    b.train(b.op("add", main, penalty, name="loss", line=30) if in_loss else b.op("mul", main, "2"), b.w, b.v)
    return b


@fires("GV408", "warning", 20, "w", "v")
def a_gradient_penalty_without_its_graph() -> Builder:
    return _penalty(in_loss=True)


@silent("GV408")
def a_gradient_norm_for_the_log() -> Builder:
    return _penalty(in_loss=False)


def _recurrent(*, detached: bool, retain: bool = False, steps: int = 2) -> Builder:
    b = Training()
    state = b.leaf("state", (3,), line=10)
    for step in range(steps):
        state = b.op("tanh", b.op("mul", b.w, state, line=19), name="state", line=20)
        fails = step and not detached and not retain
        error = "Trying to backward through the graph a second time (or directly access ..." if fails else ""
        fed = [] if fails else [Gradient(b.w, 1.0)]
        b.sweep(b.op("mean", state, shape=(), line=30), line=90, gradients=fed, freed=not retain, error=error)
        if detached:
            state = b.detach(state, line=40)
    return b


def _steps(*events: str, times: int = 3) -> Training:
    """Steps of a training in each of which these things happen, in this order; the lines count from 91."""
    b = Training()
    for _ in range(times):
        loss = loss_of(b, b.op("mul", b.w, b.v, line=10))
        for line, event in enumerate(events, 91):
            if event == "backward":
                b.sweep(loss, line=line, gradients=[Gradient(b.w, 1.0), Gradient(b.v, 1.0)], freed=False)
            else:
                b.act(event, optimizer=b.owner, line=line)
    return b


@fires("GV409", "error", 92, "w", "v")
def cleared_between_backward_and_step() -> Builder:
    return _steps("backward", "zero_grad", "step")


@fires("GV409", "error", 92, "w", "v")
def cleared_by_the_model() -> Builder:
    b = Training()
    b.sweep(loss_of(b, b.w, b.v), line=91, gradients=[Gradient(b.w, 1.0), Gradient(b.v, 1.0)])
    b.act("zero_grad", b.w, b.v, line=92)
    b.act("step", optimizer=b.owner, line=93)
    return b


@silent("GV409")
def cleared_and_differentiated_again() -> Builder:
    return _steps("backward", "zero_grad", "backward", "step", "zero_grad")


@silent("GV409")
def a_step_before_any_backward() -> Builder:
    return _steps("zero_grad", "step", "backward", "step")


@fires("GV410", "warning", 91, "w", "v")
def never_cleared() -> Builder:
    return _steps("backward", "step")


@fires("GV410", "warning", 90, "w")
def never_cleared_by_hand() -> Builder:
    return _by_hand(cleared=False)


@silent("GV410")
def cleared_by_hand() -> Builder:
    return _by_hand(cleared=True)


@silent("GV410")
def gathered_over_two_batches() -> Builder:
    return _steps("backward", "backward", "step", "zero_grad")


@silent("GV410")
def a_first_step_that_was_not_cleared() -> Builder:
    return _steps("backward", "step", times=2)


@fires("GV411", "error", 50, "w", "v")
def stepped_without_a_backward() -> Builder:
    b = Training()
    b.item(loss_of(b, b.w, b.v), line=60)
    b.act("step", optimizer=b.owner, line=61)
    return b


@silent("GV411")
def stepped_for_a_plot_of_the_learning_rate() -> Builder:
    b = Training()
    for _ in range(3):
        b.act("step", optimizer=b.owner, line=61)
    return b


@silent("GV411")
def stepped_with_gradients_written_by_hand() -> Builder:
    b = Training()
    loss_of(b, b.w, b.v)
    b.act("write_grad", b.w, b.v, line=60)
    b.act("step", optimizer=b.owner, line=61)
    return b


@fires("GV412", "warning", 60, "w", "v")
def clipped_before_the_backward() -> Builder:
    return _clipped("zero_grad", "clip", "backward", "step")


@silent("GV412")
def clipped_where_some_have_no_gradient_yet() -> Builder:
    return _clipped("zero_grad", "clip", "backward", "read_grad", "step")


def _clipped(*acts: str) -> Builder:
    """Three steps of `acts`, a look at the gradients at line 60 among them."""
    b = Training()
    for _ in range(3):
        loss = loss_of(b, b.w, b.v)
        for act in acts:
            if act == "backward":
                b.sweep(loss, line=91, gradients=[Gradient(b.w, 1.0), Gradient(b.v, 1.0)])
            elif act in ("clip", "read_grad"):
                b.act(act, b.w, b.v, line=60)
            else:
                b.act(act, optimizer=b.owner, line=61)
    return b


@fires("GV412", "warning", 60, "w", "v")
def clipped_before_they_are_scaled_back() -> Builder:
    return _scaled("read_grad", "unscale")


@silent("GV412")
def clipped_after_they_are_scaled_back() -> Builder:
    return _scaled("unscale", "read_grad")


def _scaled(*acts: str) -> Builder:
    """A step of a scaler; gradients are clipped at line 60 and scaled back at line 61."""
    b = Training()
    b.sweep(loss_of(b, b.w, b.v), line=50, gradients=[Gradient(b.w, 1.0), Gradient(b.v, 1.0)])
    for act in acts:
        if act == "read_grad":
            b.act(act, b.w, b.v, line=60, source="clip_grad_norm_(parameters, 1.0)")
        else:
            b.act(act, optimizer=b.owner, line=61)
    b.act("step", optimizer=b.owner, line=62)
    return b


@fires("GV414", "warning", 80, "w")
def trained_on_after_an_evaluation() -> Builder:
    return _modes("train", "eval")


@silent("GV414")
def trained_on_in_training_mode() -> Builder:
    return _modes("train", "eval", "train")


def _modes(*acts: str) -> Builder:
    """A step, then `acts` on all parameters at line 80 and after, then another step; with batch norm."""
    b = Training()
    b.act("train", b.w, b.v, line=79)
    mode = "train"
    for round in range(2):
        h = b.op("mul", b.w, "2", line=10)
        h = b.op("batch_norm", h, line=20, attrs=[("training", str(mode == "train"))])
        b.train(loss_of(b, h, b.v), b.w)
        for line, mode in enumerate(acts if not round else (), 79):
            b.act(mode, b.w, b.v, line=line)
    return b


@fires("GV415", "warning", 3, "w", "v")
def steps_with_a_rate_of_zero() -> Builder:
    return _rates("lr = 0", "lr = 0")


@fires("GV415", "warning", 3, "w", "v")
def last_steps_with_a_rate_of_zero() -> Builder:
    return _rates("", "lr = 0", "lr = 0", "lr = 0")


@silent("GV415")
def a_first_step_with_a_rate_of_zero() -> Builder:
    return _rates("lr = 0", "", "", "lr = 0", "lr = 0")


def _rates(*texts: str) -> Builder:
    b = Training()
    for text in texts:
        b.act("zero_grad", optimizer=b.owner, line=89)
        b.sweep(loss_of(b, b.w, b.v), line=90, gradients=[Gradient(b.w, 1.0), Gradient(b.v, 1.0)])
        b.act("step", optimizer=b.owner, line=91, text=text)
    return b


@fires("GV413", "error", 20, "part")
def a_gradient_for_a_slice_from_behind_the_model() -> Builder:
    b = Training()
    out = b.op("exp", b.w, name="out", line=10)
    part = b.op("slice", b.w, name="part", line=20)
    root = b.op("sum", out, shape=(), line=30)
    b.sweep(root, kind="grad", inputs=[part], line=30, error="One appears to not have been used in the graph")
    return b


@fires("GV413", "warning", 40, "x")
def a_flag_behind_the_last_use() -> Builder:
    return _flagged(40)


@silent("GV413")
def a_flag_before_a_use() -> Builder:
    return _flagged(15)


def _flagged(line: int) -> Builder:
    """`x` is used at lines 10 and 20, and made to require grad at `line`."""
    b = Training()
    x = b.leaf("x", (3,), line=5)
    early = b.op("mul", b.w, x, line=10)
    if line < 20:
        b.set_requires_grad(x, True, line=line)
    late = b.op("mul", b.v, x, line=20)
    if line > 20:
        b.set_requires_grad(x, True, line=line)
    b.train(loss_of(b, early, late), b.w, b.v)
    return b


def _by_hand(*, cleared: bool) -> Builder:
    """`w -= lr * w.grad` in three steps, and `w.grad.zero_()` where `cleared`."""
    b = Builder("train.py")
    w = b.leaf("w", (3,), requires_grad=True, line=1)
    grad = b.leaf("w.grad", (3,), line=90, op="grad")
    for _ in range(3):
        b.sweep(loss_of(b, b.op("exp", w, line=10)), line=90, gradients=[Gradient(w, 1.0)])
        with b.region("no_grad", line=91):
            b.act("read_grad", w, line=92)
            w = b.inplace("sub", w, b.op("mul", grad, "0.1", line=92), line=92)
            b.act("read_grad", w, line=93)
            grad = b.inplace("zero_" if cleared else "mul", grad, *([] if cleared else ["1.0"]), line=93)
    return b


@fires("GV501", "error", 20, "state")
def a_state_with_its_graph() -> Builder:
    return _recurrent(detached=False)


@silent("GV501")
def a_detached_state() -> Builder:
    return _recurrent(detached=True)


@fires("GV501", "error", 10, "trunk")
def two_losses_on_one_trunk() -> Builder:
    b = Training()
    trunk = b.op("mul", b.w, b.v, name="trunk", line=10)
    b.sweep(loss_of(b, trunk, line=50), line=90, gradients=[Gradient(b.w, 1.0)], freed=True)
    error = "Trying to backward through the graph a second time (or directly access ..."
    b.sweep(loss_of(b, trunk, line=60), line=91, error=error)
    return b


@fires("GV501", "error", 70, "slope")
def a_second_derivative_that_frees_the_first() -> Builder:
    b = Training()
    slope = b.op("mul", b.w, b.v, name="slope", line=10)
    b.sweep(b.op("sum", slope, shape=(), line=69), line=70, kind="grad", gradients=[Gradient(b.w, 1.0)], freed=True)
    error = "Trying to backward through the graph a second time (or directly access ..."
    b.sweep(loss_of(b, slope, line=60), line=91, error=error)
    return b


@fires("GV502", "warning", 20, "state")
def a_graph_that_grows() -> Builder:
    return _recurrent(detached=False, retain=True, steps=5)


@silent("GV502")
def losses_on_one_retained_trunk() -> Builder:
    b = Training()
    trunk = b.op("mul", b.w, b.v, line=10)
    for _ in range(5):
        b.sweep(loss_of(b, trunk), line=90, gradients=[Gradient(b.w, 1.0), Gradient(b.v, 1.0)], freed=False)
    return b


def _total(*, swept: bool, number: bool = False) -> Builder:
    b = Training()
    total: int | str = "0"
    for _ in range(4):
        loss = b.op("mean", b.op("mul", b.w, b.v, line=10), name="loss", shape=(), line=11)
        if not swept:
            b.train(loss, b.w, b.v)
        total = b.op("add", total, b.detach(loss, line=19) if number else loss, name="total", line=20)
    if swept and isinstance(total, int):
        b.train(total, b.w, b.v)
    return b


@fires("GV503", "warning", 20, "total")
def a_total_with_its_graphs() -> Builder:
    return _total(swept=False)


@fires("GV503", "warning", 20, "average")
def a_moving_average_with_its_graphs() -> Builder:
    b = Training()
    average: int | str = "0"
    for _ in range(4):
        loss = b.op("mean", b.op("mul", b.w, b.v, line=10), name="loss", shape=(), line=11)
        b.train(loss, b.w, b.v)
        part = b.op("mul", loss, "0.1", line=19)
        past = b.op("mul", average, "0.9", line=18) if isinstance(average, int) else average
        average = b.op("add", past, part, name="average", line=20)
    return b


@silent("GV503")
def a_total_that_is_differentiated() -> Builder:
    return _total(swept=True)


@silent("GV503")
def a_total_of_numbers() -> Builder:
    return _total(swept=False, number=True)


@silent("GV503")
def residual_layers() -> Builder:
    b = Training()
    x = b.op("mul", b.w, b.v, line=10)
    for _ in range(4):
        x = b.op("add", x, b.op("mul", x, b.w, line=19), name="x", line=20)
    b.train(loss_of(b, b.w, b.v), b.w, b.v)
    return b


@fires("GV504", "note", 20, "w")
def an_evaluation_with_grad_on() -> Builder:
    b = Training()
    b.train(loss_of(b, b.w, b.v), b.w, b.v)
    for _ in range(3):
        b.item(b.op("mean", b.op("exp", b.w, line=20), shape=(), line=21), line=22)
    return b


@fires("GV505", "warning", 90, "w")
def a_graph_in_grad() -> Builder:
    b = Builder("train.py")
    w = b.leaf("w", (3,), requires_grad=True, line=1)
    b.sweep(loss_of(b, b.op("exp", w)), line=90, gradients=[Gradient(w, 1.0)], create_graph=True, freed=False)
    return b


@silent("GV505")
def a_graph_in_grad_that_is_cleared() -> Builder:
    b = Builder("train.py")
    w = b.leaf("w", (3,), requires_grad=True, line=1)
    b.sweep(loss_of(b, b.op("exp", w)), line=90, gradients=[Gradient(w, 1.0)], create_graph=True, freed=False)
    b.act("write_grad", w, line=91)
    return b


def _zero(op: str, shape: tuple[int, ...] = (3,)) -> Training:
    b = Training()
    b.held = b.op(op, b.op("mul", b.w, "2", shape=shape, line=10), line=20)
    loss = loss_of(b, b.op("mul", b.held, b.v, line=30))
    b.sweep(loss, line=90, gradients=[Gradient(b.w, 0.0, True), Gradient(b.v, 1.0)])
    b.act("step", optimizer=b.owner)
    return b


@fires("GV601", "warning", 20, "w")
def a_flat_operation() -> Builder:
    return _zero("sign")


@silent("GV601")
def a_zero_without_a_reason() -> Builder:
    return _zero("relu")


@fires("GV601", "warning", 20, "w")
def two_roads_that_cancel() -> Builder:
    b = Training()
    mean = b.op("mul", b.w, "2", name="mean", line=10)
    action = b.op("add", mean, b.v, name="action", line=20)
    loss = loss_of(b, b.op("sub", action, mean, line=30))
    b.sweep(loss, line=90, gradients=[Gradient(b.w, 0.0, True), Gradient(b.v, 1.0)])
    b.act("step", optimizer=b.owner)
    return b


def _relu_between_layers(*, bias_norm: float) -> Training:
    """`linear(w)`, `relu` at line 20, `linear(v, bias)`: the weights get zeros, the bias as `bias_norm` says."""
    b = Training()
    bias = b.leaf("bias", (3,), requires_grad=True, line=4, role=Role.PARAMETER, op="Parameter")
    x = b.leaf("x", (3,), line=5)
    hidden = b.op("dropout", b.op("relu", b.op("linear", x, b.w, line=10), line=20), line=21)
    loss = loss_of(b, b.op("linear", hidden, b.v, bias, line=30))
    b.sweep(loss, line=90, gradients=[
        Gradient(b.w, 0.0, True), Gradient(b.v, 0.0, True), Gradient(bias, bias_norm, not bias_norm),
    ])  # fmt: skip
    b.act("step", optimizer=b.owner, line=91)
    return b


@fires("GV601", "warning", 20, "w", "v")
def a_dead_relu_that_gradients_give_away() -> Builder:
    return _relu_between_layers(bias_norm=1.0)


@silent("GV601")
def a_loss_that_is_met() -> Builder:
    """Nothing gets any gradient: what came back to the `relu` was zero already."""
    return _relu_between_layers(bias_norm=0.0)


@fires("GV602", "warning", 20, "w")
def a_division_hidden_by_where() -> Builder:
    b = Training()
    y = b.op("div", b.op("mul", b.w, b.v, line=10), b.leaf("n", (3,)), line=20)
    out = b.op("where", b.leaf("empty", (3,), dtype="bool"), b.leaf("zero", (3,)), y, line=21, dtype="float32")
    b.sweep(loss_of(b, out), line=90, gradients=[Gradient(b.w, float("nan"), nan=True), Gradient(b.v, 1.0)])
    return b


@silent("GV602")
def a_division_without_nan() -> Builder:
    b = Training()
    b.train(loss_of(b, b.op("div", b.w, b.v, line=20)), b.w, b.v)
    return b


@fires("GV601", "warning", 20, "w")
def a_relu_whose_results_are_zero() -> Builder:
    b = _zero("relu", (4, 4))
    b.measure(b.held, zeros=16)
    return b


@silent("GV601")
def a_relu_whose_results_are_not_all_zero() -> Builder:
    b = _zero("relu", (4, 4))
    b.measure(b.held, zeros=15, high=1.0, mean=1 / 16, norm=1.0)
    return b


@fires("GV602", "warning", 10, "w")
def a_nan_that_a_logarithm_made() -> Builder:
    b = _log_of_zero()
    b.sweep(b.held, line=90, gradients=[Gradient(b.w, float("nan"), nan=True), Gradient(b.v, 1.0)])
    return b


@fires("GV603", "warning", 10, "loss")
def an_infinity_that_a_logarithm_made() -> Builder:
    b = _log_of_zero()
    b.train(b.held, b.w, b.v)
    return b


@silent("GV603")
def a_mask_of_minus_infinity() -> Builder:
    b = Training()
    masked = b.op("masked_fill", b.w, b.leaf("mask", (3,), dtype="bool"), "-inf", line=10)
    shares = b.op("softmax", b.op("mul", masked, b.v, line=11), line=12)
    loss = loss_of(b, shares)
    b.measure(masked, infs=1, high=1.0)
    b.measure(shares, zeros=1, high=1.0)
    b.measure(loss, high=1.0)
    b.train(loss, b.w, b.v)
    return b


def _log_of_zero() -> Training:
    """Line 10 makes an infinity of the zero in `w`, and the loss is one, too."""
    b = Training()
    logs = b.op("log", b.w, name="logs", line=10)
    scaled = b.op("mul", logs, b.v, line=20)
    b.held = b.op("sum", scaled, name="loss", shape=(), line=50)
    b.measure(scaled, infs=1, high=1.0, mean=0.5, norm=1.0)
    b.measure(b.w, zeros=1, high=2.0, mean=1.0, norm=2.0)
    b.measure(logs, infs=1, high=1.0, mean=0.5, norm=1.0)
    b.measure(b.held, infs=1)
    return b


def _layers(op: str, *calls: dict[str, float]) -> Builder:
    """A network that calls `op` between its parameters at line 20; beside it runs another road."""
    b = Training()
    for told in calls:
        h = b.op("mul", b.w, "2", shape=(4, 4), line=10)
        out = b.op(op, h, line=20)
        b.measure(out, **told)
        b.train(loss_of(b, b.op("mul", b.op("add", out, h, line=21), b.v, line=22)), b.w, b.v)
    return b


@fires("GV604", "warning", 20)
def a_relu_that_is_dead_beside_a_living_road() -> Builder:
    return _layers("relu", {"zeros": 16}, {"zeros": 16})


@silent("GV604")
def a_relu_that_is_dead_in_one_step() -> Builder:
    return _layers("relu", {"zeros": 16}, {"zeros": 12, "high": 1.0, "mean": 0.25, "norm": 2.0})


@fires("GV605", "warning", 20)
def a_sigmoid_at_both_of_its_limits() -> Builder:
    return _layers("sigmoid", {"zeros": 8, "high": 1.0, "mean": 0.5, "norm": 8**0.5})


@silent("GV605")
def a_sigmoid_at_half_way() -> Builder:
    return _layers("sigmoid", {"low": 0.5, "high": 0.5, "mean": 0.5, "norm": 2.0})


@fires("GV416", "warning", 62, "w", "v")
def a_step_with_scaled_gradients() -> Builder:
    return _multiplied()


@silent("GV416")
def a_step_with_gradients_that_were_scaled_back() -> Builder:
    return _multiplied("unscale")


@fires("GV417", "error", 70)
def a_backward_of_several_numbers() -> Builder:
    b = Training()
    b.sweep(b.op("mul", b.w, b.v, shape=(4,)), line=70, error="grad can be implicitly created only for scalar outputs")
    return b


@fires("GV418", "error", 70)
def a_backward_from_a_gradient_of_another_shape() -> Builder:
    b = Training()
    error = (
        "Mismatch in shape: grad_output[0] has a shape of torch.Size([8]) and "
        "output[0] has a shape of torch.Size([4])."
    )
    b.sweep(b.op("mul", b.w, b.v, shape=(4,)), line=70, error=error)
    return b


@silent("GV418")
def a_backward_from_a_gradient_of_its_shape() -> Builder:
    b = Training()
    b.sweep(b.op("mul", b.w, b.v, shape=(4,)), line=70, gradients=[Gradient(b.w, 1.0), Gradient(b.v, 1.0)])
    b.act("step", optimizer=b.owner, line=71)
    return b


@fires("GV419", "warning", 71, "x")
def a_gradient_is_read_of_data() -> Builder:
    b = Training()
    x = b.leaf("x", (3,), line=5, op="randn")
    b.train(loss_of(b, b.op("mul", b.w, x, line=30), b.v), b.w, b.v)
    b.act("miss_grad", x, line=71)
    return b


@silent("GV419")
def a_gradient_is_read_of_what_no_backward_depended_on() -> Builder:
    b = Training()
    x = b.leaf("x", (3,), line=5, op="randn")
    loss = loss_of(b, b.op("mul", b.w, x, line=30), b.v)
    b.act("miss_grad", x, line=71)
    b.train(loss, b.w, b.v)
    return b


@fires("GV420", "error", 72, "h")
def numpy_is_handed_what_requires_grad() -> Builder:
    b = Training()
    h = b.op("mul", b.w, b.v, name="h", line=30)
    b.train(loss_of(b, h), b.w, b.v)
    message = "Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead."
    b.error("RuntimeError", message, line=72, source="print(h.numpy())")
    return b


@silent("GV420")
def numpy_is_handed_what_is_detached() -> Builder:
    b = Training()
    h = b.op("mul", b.w, b.v, name="h", line=30)
    b.train(loss_of(b, h), b.w, b.v)
    b.error("ValueError", "operands could not be broadcast together", line=72, source="print(h.detach().numpy() + 1)")
    return b


@fires("GV421", "error", 30, "h")
def an_optimizer_of_a_result() -> Builder:
    b = Training()
    b.op("mul", b.w, "0.1", name="h", line=30)
    b.error("ValueError", "can't optimize a non-leaf Tensor", line=72, source="torch.optim.SGD([h])")
    return b


@silent("GV421")
def an_optimizer_of_a_leaf() -> Builder:
    b = Training()
    h = b.op("mul", b.w, b.v, name="h", line=30)
    b.train(loss_of(b, h), b.w, b.v)
    b.error("ValueError", "Invalid learning rate: -1", line=72, source="torch.optim.SGD([w], -1)")
    return b


@silent("GV417")
def a_backward_of_one_number() -> Builder:
    b = Training()
    b.train(loss_of(b, b.w, b.v), b.w, b.v)
    return b


def _multiplied(*acts: str) -> Builder:
    b = Training()
    scaled = b.op("mul", loss_of(b, b.w, b.v), "65536.0", line=50)
    b.act("scale", scaled, line=50)
    b.sweep(scaled, line=50, gradients=[Gradient(b.w, 1.0), Gradient(b.v, 1.0)])
    for act in (*acts, "step"):
        b.act(act, optimizer=b.owner, line=62)
    return b


@fires("GV606", "warning", 20, "p")
def a_softmax_before_cross_entropy() -> Builder:
    return _scores("softmax")


@silent("GV606")
def a_log_softmax_before_cross_entropy() -> Builder:
    return _scores("log_softmax")


def _scores(op: str) -> Builder:
    b = Training()
    p = b.op(op, b.op("mul", b.w, b.v, shape=(4, 3), line=10), name="p", line=20)
    b.train(b.op("cross_entropy", b.op("view", p, line=30), name="loss", shape=(), line=50), b.w, b.v)
    return b


# ---- the samples


@pytest.mark.parametrize("sample", SAMPLES, ids=[sample.build.__name__ for sample in SAMPLES])
def test_sample(sample: Sample) -> None:
    graph = sample.build().graph()
    graph.validate()
    found = [f for f in diagnose(graph) if f.code == sample.code]
    if sample.expected is None:
        assert not [f for f in found if f.severity is not Severity.NOTE]
        return
    severity, line, names = sample.expected
    assert [(f.severity.value, f.line, f.names) for f in found] == [(severity, line, names)]
    assert all(not other.endswith(".") for other in (found[0].message, found[0].help))
    assert found[0].path == "train.py"


@pytest.mark.parametrize("sample", [s for s in SAMPLES if s.expected is None], ids=lambda sample: sample.build.__name__)
def test_no_other_rule_speaks_up_on_a_near_miss(sample: Sample) -> None:
    assert not [f for f in diagnose(sample.build().graph()) if f.severity is not Severity.NOTE]


def test_every_rule_has_a_firing_sample_and_a_near_miss() -> None:
    codes = {rule.code for rule in rules()}
    assert {sample.code for sample in SAMPLES if sample.expected} == codes
    # What these say is a note, which a near miss may have too.
    assert {sample.code for sample in SAMPLES if not sample.expected} == codes - {"GV504"}


# ---- the rules' documentation


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule.code)
def test_rule_is_documented(rule: object) -> None:
    text = getattr(rule, "text", "")
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == HEADINGS
    assert re.fullmatch(r"GV[1-6]\d\d", getattr(rule, "code", ""))


def test_codes_and_names_are_unique() -> None:
    assert len({rule.code for rule in rules()}) == len({rule.name for rule in rules()}) == len(rules())


def test_docs_list_every_rule(request: pytest.FixtureRequest) -> None:
    if request.config.getoption("--update-golden"):
        DOCS.write_text(document_rules(rules()), encoding="utf-8")
    assert DOCS.read_text(encoding="utf-8") == document_rules(rules())


def test_find_rule() -> None:
    assert find_rule("gv101").name == find_rule("detach").name == "detach"
    assert find_rule("non-leaf-grad") == find_rule("non_leaf_grad") == find_rule("GV407")


@pytest.mark.parametrize(
    ("wanted", "near"),
    [
        ("GV11", ("`GV411`", "`GV111`")),
        ("GV1O1", ("`GV411`", "`GV111`")),
        ("detatch", ("`detach`",)),
        ("nan", ("`nan-gradient`",)),
    ],
)
def test_an_unknown_rule_names_near_ones(wanted: str, near: tuple[str, ...]) -> None:
    with pytest.raises(UsageError) as info:
        find_rule(wanted)
    assert info.value.help == f"did you mean {' or '.join(near)}?"


@pytest.mark.parametrize("wanted", ["GV999", "GV000", "banana"])
def test_a_code_that_is_like_none_names_where_all_are_listed(wanted: str) -> None:
    with pytest.raises(UsageError) as info:
        find_rule(wanted)
    assert info.value.help == "`gradviz rule` lists them all"


# ---- the findings as a whole


def many() -> Builder:
    """An error for two parameters that one line starves, and a warning for one that nothing uses."""
    b = Builder("train.py")
    leaves = [b.leaf(name, (3,), requires_grad=True, line=1, op="Parameter") for name in ("net.a", "net.b", "c", "d")]
    owner = b.optimizer(*leaves, line=3)
    cut = b.detach(b.op("mul", leaves[0], leaves[1], line=19), line=20)
    b.sweep(loss_of(b, b.op("mul", leaves[2], cut, line=30)), line=90, gradients=[Gradient(leaves[2], 1.0)])
    b.act("step", optimizer=owner)
    return b


def test_one_finding_per_cause_and_the_gravest_first() -> None:
    found = diagnose(many().graph())
    assert [(f.code, f.names) for f in found] == [("GV101", ("net.a", "net.b")), ("GV401", ("d",))]


def test_select_and_ignore() -> None:
    graph = many().graph()
    assert [f.code for f in diagnose(graph, select=["GV4"])] == ["GV401"]
    assert [f.code for f in diagnose(graph, ignore=["GV401"])] == ["GV101"]


@pytest.mark.parametrize(
    ("comment", "silent"),
    [("# gradviz: ignore", True), ("# gradviz: ignore[GV4, gv101]", True), ("# gradviz: ignore[GV401]", False)],
)
def test_a_comment_silences_its_line(comment: str, silent: bool) -> None:
    b = Training()
    h = b.op("mul", b.w, "2", line=10)
    site = b.site(20, text=f"h = h.detach()  {comment}")
    cut = b.detach(h, line=20)
    events = [replace(e, site=site) if isinstance(e, Op) and e.id == cut else e for e in _trained(b, cut).events()]
    assert [f.code for f in diagnose(Graph.build(events))] == ([] if silent else ["GV101"])


def _trained(b: Training, h: int) -> Training:
    b.train(loss_of(b, b.op("mul", b.v, h, line=30)), b.v)
    return b


def test_nothing_is_said_of_an_empty_graph() -> None:
    assert diagnose(Builder().graph()) == ()


def test_a_large_graph_is_diagnosed_in_time() -> None:
    """100,000 ops, in a chain, with an update and a log line in every step."""
    b = Training()
    w = b.w
    for _ in range(250):
        h = b.op("mul", w, b.v, line=10)
        for _ in range(400):
            h = b.op("sin", h, line=11)
        loss = loss_of(b, h)
        b.train(loss, w, b.v)
        b.item(loss, line=60)
        with b.region("no_grad", line=70):
            w = b.inplace("sub", w, "0.1", line=71)
    graph = b.graph()
    start = time.process_time()
    assert diagnose(graph) == ()
    assert time.process_time() - start < 3


def test_what_loses_its_gradient_at_one_line_by_different_roads_is_named() -> None:
    b = Training()
    u = b.leaf("u", (3,), requires_grad=True, line=4, role=Role.PARAMETER, op="Parameter")
    one = b.detach(b.op("mul", b.w, "2", line=10), line=20)
    two = b.detach(b.op("mul", b.v, "3", line=11), line=20)
    other = b.detach(b.op("mul", b.v, "4", line=12), line=25)
    b.train(loss_of(b, *(b.op("mul", u, cut, line=30) for cut in (one, two, other))), u)
    (found,) = [finding for finding in diagnose(b.graph(), select=["GV101"]) if finding.line == 20]
    assert set(found.names) == {"w", "v"}
    assert all(f"`{name}`" in found.message for name in found.names), found.message


def test_a_total_of_losses_without_a_name_is_told_without_one() -> None:
    b = Training()
    total = b.op("mean", b.w, name="total", shape=(), line=40)
    for _ in range(5):
        loss = b.op("mean", b.op("mul", b.w, "2", line=10), shape=(), line=50)
        b.sweep(loss, line=90, gradients=[Gradient(b.w, 1.0)])
        total = b.op("add", total, loss, name="total", shape=(), line=51)
    (found,) = diagnose(b.graph(), select=["GV503"])
    assert "the loss" not in f"{found.message} {found.help}"
    assert ".item()" in found.help
