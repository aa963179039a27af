"""Columns: a large graph makes its records when they are asked for, and nobody can tell."""

from __future__ import annotations

import gc
import pickle
import random
from collections.abc import Mapping
from copy import copy, deepcopy
from dataclasses import replace
from typing import Any
from weakref import ref

import pytest
from building import Builder

from gradviz import columns, roads
from gradviz.columns import Records, form_of, maker_of, storage_of, trained
from gradviz.events import Cause, Gradient, Op, Role
from gradviz.graphs import Graph
from gradviz.roads import count_roads


@pytest.fixture(params=[0, 1, 5])
def lazily(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Records are made on demand: one by one, or all once the second or the third is asked for."""
    monkeypatch.setattr(columns, "AT_ONCE", 0)
    monkeypatch.setattr(columns, "_FEW", request.param)


def eventful() -> Builder:
    """Ops without outputs and with several, literals, views, writes in place, regions, names, flags and cuts."""
    b = Builder()
    x = b.leaf("x", (4,), requires_grad=True, line=1)
    w = b.leaf("w", (4,), line=2)
    y = b.op("mul", x, "2", name="y", line=3, forgotten=3)
    first = b.op("unbind", y, outputs=3, name="a, b, c", line=4)
    b.item(y)
    b.view("t", y)
    b.op("split", w, outputs=2, alias=0, name="parts", line=5)
    with b.region("no_grad", line=6), b.region("enable_grad"):
        b.op("mul", y, first + 2, name="z", line=7)
        b.inplace("add_", w, "1")
    b.op("detach_", y, cause=Cause.DETACH_, alias=0, inplace=True)
    b.name(w, "net.w", Role.BUFFER)
    b.set_requires_grad(x, False, line=8)
    b.sweep(y, line=9, gradients=[Gradient(x, 1.0)])
    return b


def both(monkeypatch: pytest.MonkeyPatch, events: list[Any]) -> tuple[Graph, Graph]:
    """The graph with its records made on demand, and the one with all of them made at once."""
    plain = Graph.build(events)
    with monkeypatch.context() as patch:
        patch.setattr(columns, "AT_ONCE", 0)
        return Graph.build(events), plain


def test_records_made_on_demand_are_those_made_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    lazy, plain = both(monkeypatch, eventful().events())
    assert isinstance(lazy.ops, Records)
    assert type(plain.ops) is dict
    assert (len(lazy.ops), len(lazy.values)) == (len(plain.ops), len(plain.values))
    assert (list(lazy.ops), list(lazy.values)) == (list(plain.ops), list(plain.values))
    for value in reversed(plain.values.values()):
        assert lazy.values[value.id] == value
    for op in reversed(plain.ops.values()):
        assert lazy.ops[op.id] == op
    assert list(lazy.ops.items()) == list(plain.ops.items())
    assert list(lazy.values.values()) == list(plain.values.values())
    lazy.validate()
    assert lazy == plain
    assert plain == lazy


def test_a_part_is_taken_without_making_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columns, "_FEW", 0)
    lazy, plain = both(monkeypatch, eventful().events())
    assert lazy.subset([3]) == plain.subset([3])
    assert columns.count_acting(lazy.ops) == columns.count_acting(plain.ops) == 8
    made = dict.__len__(lazy.ops)  # type: ignore[arg-type]
    assert 0 < made < len(lazy.ops)


def test_threads_may_emit_out_of_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    events = eventful().events()
    ops = [event for event in events if isinstance(event, Op)]
    leaves, rest = ops[:3], ops[3:5]
    random.Random(1).shuffle(rest)
    shuffled = [*leaves, *reversed(rest), *ops[5:]]
    at = iter(shuffled)
    lazy, plain = both(monkeypatch, [next(at) if isinstance(event, Op) else event for event in events])
    assert list(lazy.ops) == sorted(lazy.ops)
    assert list(lazy.values) == sorted(lazy.values)
    assert lazy == plain


def asked(records: Mapping[int, Any]) -> Records[Any]:
    assert isinstance(records, Records)
    return records


@pytest.mark.usefixtures("lazily")
def test_what_is_asked_for_twice_is_one_record() -> None:
    ops = asked(eventful().graph().ops)
    some = ops[3]
    assert ops[3] is some
    assert next(op for op in ops.values() if op.id == 3) is some
    assert ops[3] is some
    assert ops.get(3) is some


@pytest.mark.usefixtures("lazily")
@pytest.mark.parametrize("settled", [False, True])
def test_what_is_not_there_is_not_made(settled: bool) -> None:
    graph = eventful().graph()
    for records, missing in ((asked(graph.ops), 5), (asked(graph.values), 7), (asked(graph.values), 99)):
        if settled:
            records.values()
        assert missing not in records
        assert records.get(missing) is None
        with pytest.raises(KeyError):
            records[missing]
        assert len(records) == len(list(records))
        assert bool(records)


@pytest.mark.usefixtures("lazily")
@pytest.mark.parametrize(
    "taken",
    [
        dict, copy, deepcopy, lambda records: records.copy(), lambda records: {**records},
        lambda records: pickle.loads(pickle.dumps(records)), lambda records: dict(records.items()),
        lambda records: {id: records[id] for id in records},
        lambda records: dict(zip(records.keys(), records.values(), strict=True)),
        lambda records: dict(reversed(list(reversed(records.items())))), lambda records: {} | records,
        lambda records: records | {},
    ],
)  # fmt: skip
def test_a_copy_holds_all_of_it(taken: Any) -> None:
    graph = eventful().graph()
    expected = {id: graph.ops[id] for id in graph.ops}
    records = asked(eventful().graph().ops)
    records[9]
    assert list(taken(records).items()) == list(expected.items())


@pytest.mark.usefixtures("lazily")
def test_a_graph_with_other_records_can_be_made_of_it() -> None:
    graph = eventful().graph()
    changed = replace(graph, values={**graph.values, 1: replace(graph.values[1], name="other")})
    assert [value.name for value in changed.values.values()][:2] == ["other", "net.w"]
    assert pickle.loads(pickle.dumps(graph)) == graph


@pytest.mark.usefixtures("lazily")
def test_roads_of_a_large_graph_are_counted_once_and_let_go_with_it() -> None:
    graph = Graph.build(eventful().events())
    counted = count_roads(graph)
    assert count_roads(replace(graph, notes=())) is counted
    assert count_roads(replace(graph, sweeps=())) != counted
    assert count_roads(graph) == counted
    kept = ref(graph.ops)
    del graph
    gc.collect()
    assert kept() is None
    assert not roads._last


def test_what_columns_tell_is_what_the_records_say(monkeypatch: pytest.MonkeyPatch) -> None:
    b = eventful()
    b.leaf("v", (4,), requires_grad=True)
    b.set_requires_grad(b.leaf("late", (4,)), True)
    lazy, plain = both(monkeypatch, b.events())
    wanted = [value for value in plain.values.values() if value.leaf and value.requires_grad]
    assert [value.name for value in wanted][-2:] == ["v", "late"]
    first = [op.id for op in plain.ops.values() if op.outputs]
    forms = [(plain.values[id].shape, plain.values[id].dtype) for id in first]
    for graph in (lazy, plain):
        assert list(map(maker_of(graph.values), plain.values)) == [value.op for value in plain.values.values()]
        assert list(map(storage_of(graph.values), plain.values)) == [value.storage for value in plain.values.values()]
        assert list(map(form_of(graph.values), first)) == forms
    assert dict.__len__(lazy.values) == 0, "no record was made"
    assert trained(lazy.values) == trained(plain.values) == wanted
    lazy.values.keys()
    assert trained(lazy.values) == wanted
    assert storage_of(lazy.values)(first[-1]) == plain.values[first[-1]].storage
