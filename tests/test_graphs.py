"""Graphs: what events fold into, what every graph promises, and what a part of one is."""

from __future__ import annotations

import pickle
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pytest
from building import Builder

from gradviz.errors import GraphError
from gradviz.events import (
    Cause,
    Context,
    End,
    Error,
    Event,
    Gradient,
    Header,
    Name,
    Op,
    Output,
    Region,
    RegionEnd,
    RequiresGrad,
    Role,
    Saved,
    Signature,
    Site,
    Sweep,
)
from gradviz.graphs import Cut, Graph

LONG = 100_000


def names(graph: Graph) -> dict[int, str]:
    return {value.id: value.name for value in graph.values.values()}


def cuts(graph: Graph) -> list[tuple[str, str, int, int | None]]:
    return [(graph.ops[cut.op].name, cut.cause, cut.value, cut.region) for cut in graph.cuts]


# folding


def test_an_op_takes_over_what_its_signature_and_context_say() -> None:
    b = Builder()
    x = b.leaf("x", (2, 3), requires_grad=True, line=4)
    b.scope, b.thread = "encoder.0", 2
    saved = Saved("other", (2, 3), "float32", 24, 1)
    with b.region("enable_grad", line=5) as region:
        y = b.op("mul", "2", x, name="y", line=6, saved=[saved], attrs=[("a", "b")], forgotten=3)
    graph = b.graph()
    graph.validate()
    op = graph.ops[y]
    assert (op.name, op.node, op.tracked, op.cause) == ("mul", "MulBackward0", True, None)
    assert (op.inputs, op.value_inputs, op.needs, op.outputs) == (("2", x), (x,), (False, True), (y,))
    assert (op.saved, op.attrs, op.forgotten) == ((saved,), (("a", "b"),), 3)
    assert (op.scope, op.thread, op.region) == ("encoder.0", 2, region)
    assert op.site is not None
    assert graph.sites[op.site].line == 6
    assert graph.ops[x].is_source
    assert not op.is_source
    value = graph.values[y]
    assert (value.op, value.index, value.shape, value.dtype, value.nbytes) == (y, 0, (2, 3), "float32", 24)
    assert (value.requires_grad, value.leaf, value.name, value.role) == (True, False, "y", None)


def test_regions_have_their_own_ops_and_their_surroundings() -> None:
    b = Builder()
    x = b.leaf("x", requires_grad=True)
    with b.region("no_grad", line=2) as outer:
        first = b.op("mul", x, "2")
        with b.region("enable_grad", line=3, close=False) as inner:
            second = b.op("mul", x, "3")
        third = b.op("mul", x, "4")
    graph = b.graph()
    assert (graph.regions[outer].ops, graph.regions[inner].ops) == ((first, third), (second,))
    assert (graph.regions[inner].parent, graph.regions[outer].parent) == (outer, None)
    assert (graph.regions[outer].closed, graph.regions[inner].closed) == (True, False)


def test_what_is_only_told_is_kept_as_it_was_told() -> None:
    b = Builder()
    x = b.leaf("x", requires_grad=True)
    b.sweep(x, line=3, gradients=[Gradient(x, 2.0)])
    b.error("ValueError", "bad", x, line=4)
    b.note("unrecorded", "a thread")
    graph = b.graph()
    assert graph.header == Header("core", "script.py")
    assert [(sweep.roots, sweep.gradients) for sweep in graph.sweeps] == [((x,), (Gradient(x, 2.0),))]
    assert [(error.type, error.values) for error in graph.errors] == [("ValueError", (x,))]
    assert [note.text for note in graph.notes] == ["a thread"]
    assert graph.end == End()
    assert b.graph(status=None).end is None


def test_an_empty_recording_is_an_empty_graph() -> None:
    graph = Graph.build([])
    graph.validate()
    assert (graph.ops, graph.values, graph.cuts, graph.end) == ({}, {}, (), None)
    assert graph.subset([]) == graph


def test_a_record_of_an_unknown_kind_is_passed_over() -> None:
    @dataclass(frozen=True)
    class Hook:
        value: int

    b = Builder()
    b.leaf("x")
    stream: list[Any] = [b.events()[0], Hook(1), *b.events()[1:], Hook(2)]
    assert Graph.build(stream) == b.graph()


def test_threads_may_emit_out_of_turn() -> None:
    """A graph is ordered by id, whichever thread got to emit first."""
    b = Builder()
    x = b.leaf("x", requires_grad=True)
    for _ in range(5):
        b.detach(x)
        b.op("mul", x, "2")
    ordered = b.graph()
    head = [event for event in b.events() if not isinstance(event, Op)]
    ops = [event for event in b.events() if isinstance(event, Op)]
    tail = ops[1:]
    random.Random(5).shuffle(tail)
    shuffled = Graph.build([*head[:-1], ops[0], *tail, head[-1]])
    shuffled.validate()
    assert list(shuffled.ops) == sorted(shuffled.ops)
    assert shuffled == ordered


# cuts


def test_each_input_that_needed_a_gradient_is_a_cut_of_its_own() -> None:
    b = Builder()
    x, y, c = b.leaf("x", requires_grad=True), b.leaf("y", requires_grad=True), b.leaf("c")
    d = b.detach(x, line=3)
    with b.region("no_grad") as region:
        b.op("addcmul", x, c, y, "2")
        b.op("neg", c)
    b.op("neg", d)
    b.item(y)
    b.numpy(d)
    graph = b.graph()
    graph.validate()
    assert cuts(graph) == [
        ("detach", "detach", x, None),
        ("addcmul", "no_grad", x, region),
        ("addcmul", "no_grad", y, region),
        ("item", "item", y, None),
    ]
    assert [cut.position for cut in graph.cuts] == [0, 0, 2, 0]
    assert graph.cuts[0].site == graph.ops[d].site


def test_a_write_in_place_can_be_a_cut() -> None:
    b = Builder()
    x = b.leaf("x", requires_grad=True)
    y = b.op("exp", x, name="y")
    b.op("detach_", y, cause=Cause.DETACH_, alias=0, inplace=True)
    assert cuts(b.graph()) == [("detach_", "detach_", y, None)]


def test_the_innermost_region_that_turned_grad_off_is_to_blame() -> None:
    b = Builder()
    x = b.leaf("x", requires_grad=True)
    with b.region("inference_mode") as outer:
        with b.region("enable_grad"):
            b.op("mul", x, "1")
        with b.region("set_grad_enabled(False)") as inner:
            b.op("mul", x, "2", cause=Cause.SET_GRAD_ENABLED)
            b.detach(x)
    with b.region("no_grad"), b.region("enable_grad"):
        b.op("mul", x, "3")
    assert cuts(b.graph()) == [
        ("mul", "inference_mode", x, outer),
        ("mul", "set_grad_enabled", x, inner),
        ("detach", "detach", x, None),
    ]


# storage and versions


def test_views_and_detached_values_share_storage_and_version() -> None:
    b = Builder()
    x = b.leaf("x", (4,))
    v = b.view("t", x)
    d = b.detach(v)
    other = b.op("clone", x)
    w = b.inplace("add_", d, "1")
    late = b.view("t", v)
    w2 = b.inplace("add_", x, "1")
    graph = b.graph()
    graph.validate()
    where = {id: (graph.values[id].storage, graph.values[id].version) for id in (x, v, d, other, w, late, w2)}
    assert where == {x: (x, 0), v: (x, 0), d: (x, 0), other: (other, 0), w: (x, 1), late: (x, 1), w2: (x, 2)}


def test_only_the_first_output_shares_the_storage() -> None:
    b = Builder()
    x = b.leaf("x")
    first = b.op("split", x, outputs=2, alias=0)
    graph = b.graph()
    assert [graph.values[first + index].storage for index in (0, 1)] == [x, first + 1]
    assert [graph.values[first + index].index for index in (0, 1)] == [0, 1]


def test_the_flag_of_a_leaf_is_that_at_the_end() -> None:
    b = Builder()
    w = b.leaf("w", requires_grad=True)
    y = b.op("mul", w, "2")
    b.set_requires_grad(w, False, line=9)
    graph = b.graph()
    graph.validate()
    assert not graph.values[w].requires_grad
    assert graph.ops[y].needs == (True, False)


# names


@pytest.mark.parametrize(
    ("target", "outputs", "expected"),
    [
        ("y", 1, ["y"]),
        ("self.h", 1, ["self.h"]),
        ("grid[i, j]", 1, ["grid[i, j]"]),
        ("a, b", 1, [""]),
        ("_", 1, [""]),
        ("", 2, ["", ""]),
        ("a, b", 2, ["a", "b"]),
        ("_, b", 2, ["", "b"]),
        ("a, d[k, 0], c", 3, ["a", "d[k, 0]", "c"]),
        ("r", 2, ["r[0]", "r[1]"]),
        ("a,", 1, ["a"]),
        ("a, b", 3, ["", "", ""]),
        ("a, *rest", 3, ["a", "rest[0]", "rest[1]"]),
        ("*rest, z", 3, ["rest[0]", "rest[1]", "z"]),
        ("a, *rest, z", 2, ["a", "z"]),
    ],
)
def test_values_are_called_what_they_were_assigned_to(target: str, outputs: int, expected: list[str]) -> None:
    b = Builder()
    x = b.leaf()
    first = b.op("unbind", x, outputs=outputs, name=target, line=2)
    assert [names(b.graph())[first + index] for index in range(outputs)] == expected


def test_a_name_goes_before_an_assignment_and_the_last_name_before_others() -> None:
    b = Builder()
    x = b.leaf("t", line=1)
    b.name(x, "net.weight", Role.PARAMETER)
    b.name(x, "w")
    value = b.graph().values[x]
    assert (value.name, value.role) == ("w", Role.PARAMETER)


def test_versions_of_one_variable_share_a_name() -> None:
    b = Builder()
    w, s, p = b.leaf(), b.leaf("s", line=1), b.leaf("p", line=1)
    w1 = b.inplace("add_", w, "1")
    w2 = b.inplace("add_", w1, "1")
    w3 = b.inplace("add_", w2, "1")
    s1 = b.inplace("add_", s, "1", name="alias", line=3)
    s2 = b.inplace("add_", s1, "1", name="p", line=4)
    p1 = b.inplace("add_", p, "1", name="p", line=4)
    b.name(w2, "w", Role.BUFFER)
    b.name(p1, "params[0]")
    graph = b.graph()
    assert [graph.values[id].name for id in (w, w1, w2, w3)] == ["w"] * 4
    assert [graph.values[id].role for id in (w, w1, w2, w3)] == [Role.BUFFER] * 4
    assert [graph.values[id].name for id in (s, s1, s2)] == ["s"] * 3
    assert [graph.values[id].name for id in (p, p1)] == ["params[0]"] * 2


# what refers to nothing

BASE: tuple[Event, ...] = (
    Header("core"),
    Site(0, "a.py", 1),
    Signature(0, "tensor", outputs=(Output((), "float32", 4),)),
    Signature(1, "t", needs=(False,), outputs=(Output((), "float32", 4),), alias=0),
    Context(0),
    Op(1, 0, 0, 0),
)


@pytest.mark.parametrize(
    ("event", "message"),
    [
        (Op(2, 9, 0, 0), "op 2 refers to signature 9, which does not exist"),
        (Op(2, 0, 9, 0), "op 2 refers to site 9, which does not exist"),
        (Op(2, 0, None, 9), "op 2 refers to context 9, which does not exist"),
        (Op(2, 1, 0, 0, (7,)), "op 2 uses value 7, which no op before it made"),
        (Op(2, 1, 0, 0, (2,)), "op 2 uses value 2, which no op before it made"),
        (Op(2, 1, 0, 0, ("2",)), "op 2 shares the storage of an argument that is no value"),
        (Op(2, 1, 0, 0), "op 2 shares the storage of an argument that is no value"),
        (Op(1, 0, 0, 0), "two ops made value 1"),
        (Site(1, "a.py", 1, caller=7), "site 1 refers to site 7, which does not exist"),
        (Context(1, region=4), "context 1 refers to region 4, which does not exist"),
        (Region(1, "no_grad", False, 8), "region 1 refers to site 8, which does not exist"),
        (Region(1, "no_grad", False, 0, 0, 3), "region 1 refers to region 3, which does not exist"),
        (RegionEnd(5), "the end of a region refers to region 5, which does not exist"),
        (Name(6, "x"), "the name `x` refers to value 6, which does not exist"),
        (RequiresGrad(6, True), "a change of `requires_grad` refers to value 6, which does not exist"),
        (Sweep(1, "backward", (1, 6)), "sweep 1 refers to value 6, which does not exist"),
        (Sweep(1, "grad", (1,), inputs=(6,)), "sweep 1 refers to value 6, which does not exist"),
        (Sweep(1, "grad", (1,), gradients=(Gradient(6, 0.0),)), "sweep 1 refers to value 6, which does not exist"),
        (Error("E", "", None, (6,)), "an error refers to value 6, which does not exist"),
        (Error("E", "", 6), "an error refers to site 6, which does not exist"),
    ],
)
def test_what_refers_to_nothing_is_named(event: Event, message: str) -> None:
    Graph.build(BASE)
    with pytest.raises(GraphError) as caught:
        Graph.build([*BASE, event])
    assert caught.value.message == message


# invariants


def sample() -> Graph:
    """x -> mul -> y, detached to d, under no_grad to z; swept from y."""
    b = Builder()
    x = b.leaf("x", (2,), requires_grad=True, line=1)
    y = b.op("mul", x, "2", name="y", line=2, saved=[Saved("self", (2,), "float32", 8, 0)])
    b.detach(y, name="d", line=3)
    with b.region("no_grad", line=4), b.region("no_grad", line=5):
        b.op("mul", y, x, name="z", line=6)
    b.sweep(y, line=7, gradients=[Gradient(x, 1.0)])
    return b.graph()


def test_a_sound_graph_is_valid() -> None:
    sample().validate()


def with_record(kind: str, key: int, /, **changes: Any) -> Callable[[Graph], Graph]:
    def change(graph: Graph) -> Graph:
        records: Mapping[int, Any] = getattr(graph, kind)
        return replace(graph, **{kind: {**records, key: replace(records[key], **changes)}})

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (with_record("ops", 2, id=7), "op 7 is filed under 2"),
        (lambda g: replace(g, ops=dict(reversed(g.ops.items()))), "op 3 comes after op 4"),
        (lambda g: replace(g, values={**g.values, 9: replace(g.values[1], id=9)}), "value 9 is not output 0 of op 1"),
        (lambda g: replace(g, values={1: g.values[1]}), "op 2 (`mul`) has output 2, which is not its value"),
        (with_record("values", 2, storage=3), "value 2 is older than its storage 3 or its version 0"),
        (with_record("ops", 2, outputs=(3,)), "op 2 (`mul`) has outputs (3,), not consecutive ids from its own"),
        (with_record("ops", 2, needs=(True,)), "op 2 (`mul`) has 2 inputs but tells of 1 whether they needed"),
        (with_record("ops", 2, needs=(True, True)), "op 2 (`mul`) has a gradient edge from the literal 2"),
        (with_record("ops", 2, inputs=(8, "2")), "op 2 (`mul`) uses value 8, which does not exist"),
        (with_record("ops", 2, inputs=(3, "2")), "op 2 (`mul`) uses value 3, which is not older than itself"),
        (with_record("values", 2, requires_grad=False), "op 3 (`detach`) has a gradient edge from value 2"),
        (with_record("ops", 2, node=""), "op 2 (`mul`) is tracked but has no node"),
        (with_record("ops", 3, node="N"), "op 3 (`detach`) is not tracked but has node N"),
        (with_record("ops", 2, cause=Cause.ITEM), "op 2 (`mul`) has cause item although it is tracked"),
        (with_record("ops", 3, needs=(False,)), "op 3 (`detach`) has cause detach although no gradient could come"),
        (with_record("ops", 2, inplace=True), "op 2 (`mul`) works in place, but on none of its arguments"),
        (with_record("ops", 2, alias=1), "op 2 (`mul`) shares the storage of argument 1, which is no value"),
        (with_record("ops", 2, alias=2), "op 2 (`mul`) shares the storage of argument 2, which is no value"),
        (
            with_record("ops", 2, saved=(Saved("self", (), "float32", 4, -2),)),
            "op 2 (`mul`) keeps argument -2, which it does not have",
        ),
        (with_record("ops", 4, region=6), "region 2 claims op 4, which did not run in it"),
        (with_record("ops", 3, region=6), "op 3 (`detach`) ran in region 6, which does not exist"),
        (with_record("ops", 3, site=77), "site 77 is referred to but does not exist"),
        (with_record("regions", 1, parent=2), "region 1 lies in region 2, which was not opened before it"),
        (with_record("regions", 1, thread=1), "region 2 lies in region 1 of another thread"),
        (with_record("regions", 1, ops=(2,)), "region 1 claims op 2, which did not run in it"),
        (with_record("sites", 1, caller=1), "site 1 is called from itself"),
        (with_record("sites", 1, caller=66), "site 66 is referred to but does not exist"),
        (
            lambda g: replace(g, cuts=(Cut(3, 1, 2, Cause.DETACH, None, None),)),
            "the cut of value 2 is not at argument 1 of op 3",
        ),
        (
            lambda g: replace(g, sweeps=(replace(g.sweeps[0], roots=(99,)),)),
            "value 99 is told of in a sweep or an error but does not exist",
        ),
    ],
)
def test_a_broken_promise_is_named(change: Callable[[Graph], Graph], message: str) -> None:
    with pytest.raises(GraphError) as caught:
        change(sample()).validate()
    assert caught.value.message.startswith(message)


# parts


def test_a_part_is_a_graph_with_what_its_ops_need() -> None:
    graph = sample()
    part = graph.subset([4])
    part.validate()
    assert part.ops[4] == graph.ops[4]
    assert list(part.ops) == [1, 2, 4]
    assert part.ops[1] == graph.ops[1]
    edge = part.ops[2]
    assert (edge.inputs, edge.needs, edge.saved, edge.region) == ((), (), (), None)
    assert part.values[2] == graph.values[2]
    assert [cut.op for cut in part.cuts] == [4, 4]
    assert (part.regions[2].ops, part.regions[1].ops) == ((4,), ())
    assert {site.line for site in part.sites.values()} == {1, 2, 4, 5, 6}
    assert part.sweeps == ()
    assert graph.subset([2]).sweeps == graph.sweeps


def test_a_part_leaves_out_what_nothing_refers_to() -> None:
    b = Builder()
    x, y = b.leaf("x", requires_grad=True, line=1), b.leaf("y", requires_grad=True, line=2)
    call = b.site(3, text="f()")
    b.op("neg", x, name="z", line=4, caller=call)
    b.sweep(y, x, line=5)
    b.sweep(x, line=6, inputs=[x, y], gradients=[Gradient(x, 1.0), Gradient(y, 2.0)])
    b.error("E", "", x, y)
    graph = b.graph()
    part = graph.subset([x, 3])
    part.validate()
    assert {site.line for site in part.sites.values()} == {1, 3, 4, 6}
    assert [(s.inputs, s.gradients) for s in part.sweeps] == [((x,), (Gradient(x, 1.0),))]
    assert part.errors[0].values == (x,)
    assert part.notes == graph.notes
    assert graph.subset(graph.ops) == graph


def test_a_part_of_a_part_is_a_part() -> None:
    graph = sample()
    assert graph.subset([3, 4]).subset([4]) == graph.subset([4])


def test_an_id_that_is_no_op_is_refused() -> None:
    with pytest.raises(KeyError):
        sample().subset([99])


# in words


def test_a_graph_at_a_prompt_is_a_few_lines_however_large_it_is() -> None:
    b = Builder()
    weights = [b.leaf(f"w{number}", (2,), requires_grad=True) for number in range(200)]
    total = weights[0]
    for weight in weights[1:]:
        total = b.op("add", total, weight)
    total = b.op("add", total, b.op("detach", weights[0], cause="detach"))
    b.sweep(total)
    graph = b.graph()
    told = repr(graph)
    assert told == str(graph)
    assert told.splitlines() == [
        "<Graph: 201 ops, 200 tracked",
        " leaves: w0, w1, w2, 197 more",
        " cuts: detach",
        " sweeps: backward>",
    ]
    assert repr(pickle.loads(pickle.dumps(graph))) == told


def test_hostile_names_stay_in_their_line() -> None:
    b = Builder()
    b.op("neg", b.leaf("a\nb" * 1000, requires_grad=True))
    assert len(repr(b.graph())) < 200
    assert repr(b.graph()).count("\n") == 1


# size


def chain(length: int) -> Graph:
    signatures = (
        Signature(0, "tensor", outputs=(Output((), "float32", 4, True),)),
        Signature(1, "mul", "MulBackward0", True, None, (True, False), (Output((), "float32", 4, True, False),)),
    )
    ops = [Op(id, 1, None, 0, (id - 1, "2")) for id in range(2, length + 1)]
    sweep = Sweep(1, "backward", (length,))
    return Graph.build([Header("core"), *signatures, Context(0), Op(1, 0, None, 0), *ops, sweep])


def test_a_long_chain_is_built_checked_and_cut_up() -> None:
    graph = chain(LONG)
    graph.validate()
    part = graph.subset(range(LONG // 2, LONG + 1))
    part.validate()
    assert len(part.ops) == LONG // 2 + 2
    assert part != graph


def test_a_long_line_of_writes_in_place_is_one_variable() -> None:
    b = Builder()
    x = b.leaf()
    for _ in range(10_000):
        x = b.inplace("add_", x, "1")
    b.name(x, "x")
    graph = b.graph()
    assert {value.name for value in graph.values.values()} == {"x"}
    assert graph.values[x].version == 10_000
