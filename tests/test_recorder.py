"""Recordings: what they hold, how they nest and end, and that they never disturb the program they watch."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from gradviz import recorder as recording
from gradviz.emitters import FrontEnd
from gradviz.errors import UsageError
from gradviz.events import Context, End, Error, Event, Header, Name, Note, Op, Output, Role, Signature, Site, Status
from gradviz.graphs import Graph
from gradviz.gvlog import read_log
from gradviz.naming import ITEM_LIMIT, name_values
from gradviz.recorder import Recorder, active, record


class Tensor:
    """A value of the framework below."""

    def __init__(self, id: int) -> None:
        self.id = id


class Framework:
    """A framework small enough to see through: `run` is its one op, emitters that are installed hear of it."""

    def __init__(self) -> None:
        self.emitters: list[FakeEmitter] = []
        self.count = 0

    def run(self) -> Tensor:
        self.count += 1
        for emitter in list(self.emitters):
            emitter.heard(self.count)
        return Tensor(self.count)


class FakeEmitter:
    """The producer's side of the contract that `recorder.Emitter` describes."""

    def __init__(self, sink: Recorder, framework: Framework) -> None:
        self.sink = sink
        self.framework = framework
        self.first = True

    def install(self) -> None:
        self.framework.emitters.append(self)

    def uninstall(self) -> None:
        self.framework.emitters.remove(self)

    def heard(self, id: int) -> None:
        if self.first:
            self.first = False
            self.sink.emit(Site(0, "script.py", 1))
            self.sink.emit(Context(0))
            self.sink.emit(Signature(0, "make", outputs=(Output((), "float32", 4),)))
        self.sink.emit(Op(id, 0, 0, 0))

    def name(self, value: object, name: str, role: Role | None = None) -> bool:
        if isinstance(value, Tensor):
            self.sink.emit(Name(value.id, name, role))
        return isinstance(value, Tensor)


@pytest.fixture
def framework(monkeypatch: pytest.MonkeyPatch) -> Framework:
    """The only front end, imported already."""
    framework = Framework()
    emit = SimpleNamespace(Emitter=lambda sink: FakeEmitter(sink, framework))
    monkeypatch.setitem(sys.modules, "fake_framework", ModuleType("fake_framework"))
    monkeypatch.setitem(sys.modules, "fake_framework_emit", emit)
    monkeypatch.setattr(recording, "FRONT_ENDS", (FrontEnd("fake", "fake_framework", "fake_framework_emit"),))
    return framework


def ops(events: tuple[Event, ...]) -> list[int]:
    return [event.id for event in events if isinstance(event, Op)]


def names(events: tuple[Event, ...]) -> dict[str, int]:
    return {event.name: event.value for event in events if isinstance(event, Name)}


def test_memory_holds_all_from_header_to_end(framework: Framework) -> None:
    framework.run()
    with record() as rec:
        framework.run()
        framework.run()
        assert active() == (rec,)
    framework.run()
    assert active() == ()
    assert framework.emitters == []
    assert isinstance(rec.events[0], Header)
    assert rec.events[0].producer == "fake"
    assert rec.events[-1] == End(Status.FINISHED, 0)
    assert ops(rec.events) == [2, 3]
    assert rec.ops == 2
    assert rec.failures == []


def test_file_and_memory_give_equal_graphs(framework: Framework, tmp_path: Path) -> None:
    path = tmp_path / "run.gvlog"
    with record(path) as on_file, record() as in_memory:
        framework.run()
        while_open = on_file.graph()
    assert on_file.path == str(path)
    assert tuple(read_log(path)) == on_file.events
    assert on_file.graph() == in_memory.graph()
    assert list(while_open.ops) == [1]
    assert while_open.end is None


def test_recordings_nest_and_each_gets_everything(framework: Framework) -> None:
    with record() as outer:
        framework.run()
        with record() as inner:
            framework.run()
            assert active() == (outer, inner)
        framework.run()
    assert ops(outer.events) == [1, 2, 3]
    assert ops(inner.events) == [2]


def test_recordings_may_end_in_any_order(framework: Framework) -> None:
    first, second = record(), record()
    first.start()
    second.start()
    framework.run()
    first.stop()
    framework.run()
    second.stop()
    assert (ops(first.events), ops(second.events)) == ([1], [1, 2])


def test_all_threads_are_recorded(framework: Framework) -> None:
    with record() as rec:
        threads = [threading.Thread(target=framework.run) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(ops(rec.events)) == 8


def test_entering_twice_is_refused(framework: Framework) -> None:
    rec = record()
    with rec, pytest.raises(UsageError, match="entered once"):
        rec.start()
    with pytest.raises(UsageError, match="entered once"), rec:
        pass
    assert active() == ()


def record_and_raise(rec: Recorder, framework: Framework, exception: BaseException) -> None:
    def fail() -> None:
        raise exception

    with rec:
        framework.run()
        fail()


@pytest.mark.parametrize(
    ("exception", "end"),
    [
        (ValueError("first\nsecond"), End(Status.RAISED, 1)),
        (KeyboardInterrupt(), End(Status.INTERRUPTED, 130)),
        (SystemExit(4), End(Status.EXITED, 4)),
    ],
)
def test_exception_is_noted_and_goes_on(framework: Framework, exception: BaseException, end: End) -> None:
    rec = record()
    with pytest.raises(type(exception)) as caught:
        record_and_raise(rec, framework, exception)
    assert caught.value is exception
    assert rec.events[-1] == end
    noted = [event for event in rec.events if isinstance(event, Error)]
    assert [(error.type, error.message) for error in noted] == (
        [("ValueError", "first\nsecond")] if end.status is Status.RAISED else []
    )
    graph = rec.graph()
    for error in graph.errors:
        assert error.site is not None
        site = graph.sites[error.site]
        assert (Path(site.file).name, site.text.strip()) == ("test_recorder.py", "raise exception")


def test_error_in_a_function_knows_its_call(framework: Framework) -> None:
    rec = record()
    with pytest.raises(ValueError, match="here"):
        record_and_raise(rec, framework, ValueError("here"))
    graph = rec.graph()
    site = graph.sites[graph.errors[0].site or 0]
    assert site.function.endswith("fail")
    assert graph.sites[site.caller or 0].text.strip() == "fail()"


def test_unwritable_path_is_refused_on_entry(framework: Framework, tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing" / "run.gvlog"):
        with pytest.raises(UsageError, match="cannot write") as caught, record(path):
            raise AssertionError("not reached")
        assert caught.value.help
    assert active() == ()


def test_front_end_is_installed_when_its_framework_is_imported(
    framework: Framework, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delitem(sys.modules, "fake_framework")
    (tmp_path / "fake_framework.py").write_text("seen = __spec__.loader.__class__.__name__\n")
    monkeypatch.syspath_prepend(tmp_path)
    before = list(sys.meta_path)
    with record() as outer, record() as inner:
        framework.run()
        import fake_framework  # type: ignore[import-not-found]

        framework.run()
    assert sys.meta_path == before
    assert ops(outer.events) == ops(inner.events) == [2]
    assert "exec_module" not in vars(fake_framework.__loader__)


def test_import_hook_is_gone_where_nothing_was_imported(framework: Framework, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "fake_framework")
    before = list(sys.meta_path)
    with record() as rec:
        assert sys.meta_path != before
    assert sys.meta_path == before
    assert [type(event) for event in rec.events] == [Header, End]


# ---- failures of the recording itself


@pytest.fixture
def failing(framework: Framework, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Lets a method of the front end fail."""

    def fail(method: str) -> None:
        def broken(*_: object) -> None:
            raise RuntimeError("broken")

        monkeypatch.setattr(FakeEmitter, method, broken)

    return fail


@pytest.mark.parametrize("method", ["install", "uninstall", "name"])
def test_failing_front_end_is_told_and_breaks_nothing(
    framework: Framework, failing: Callable[[str], None], method: str
) -> None:
    failing(method)
    with record() as rec:
        framework.run()
    assert len(rec.failures) == 1
    assert "RuntimeError: broken" in rec.failures[0]
    assert [event.kind for event in rec.events if isinstance(event, Note)] == ["failure"]
    assert rec.events[-1] == End(Status.FINISHED, 0)
    rec.graph()


def test_after_a_lost_event_nothing_is_kept(framework: Framework) -> None:
    with record() as rec:
        framework.run()
        rec.failed("recording an op", RuntimeError("broken"))
        framework.run()
        framework.run()
    assert ops(rec.events) == [1]
    (note,) = (event for event in rec.events if isinstance(event, Note))
    assert note.kind == "failure"
    assert "recording an op: RuntimeError: broken" in note.text
    assert list(rec.graph().ops) == [1]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
def test_full_disk_does_not_reach_the_program(framework: Framework) -> None:
    with record("/dev/full") as rec:
        for _ in range(3000):
            framework.run()
    assert any("No space left" in failure for failure in rec.failures)


# ---- forks


FORKING = """
import os, sys
from gradviz.events import Note, Op
from gradviz.recorder import active, record
import gradviz
with record(sys.argv[1]) as rec:
    x = gradviz.tensor(1.0)
    y = x + 1
    child = os.fork()
    if child == 0:
        z = y + 2
        assert active() == ()
    else:
        assert os.waitpid(child, 0)[1] == 0
        z = y * 2
        assert active() == (rec,)
if child:
    graph = rec.graph()
    assert [op.name for op in graph.ops.values()] == ["tensor", "add", "mul"], graph.ops
    assert [(note.kind, note.count) for note in graph.notes] == [("unrecorded", 1)]
    print("parent is done")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_forked_child_leaves_its_parents_log_alone(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", FORKING, str(tmp_path / "run.gvlog")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("parent is done\n", "")


# ---- names


@pytest.fixture
def tensors() -> Iterator[Callable[[], Tensor]]:
    counter = iter(range(1, 10_000))
    yield lambda: Tensor(next(counter))  # noqa: PT022


def told(namespace: dict[str, object]) -> list[str]:
    found: list[str] = []

    def take(value: object, name: str) -> bool:
        is_tensor = issubclass(type(value), Tensor)
        if is_tensor:
            found.append(name)
        return is_tensor

    name_values(namespace, take)
    return found


def test_block_names_the_values_of_its_function(framework: Framework) -> None:
    with record() as rec:
        weight = framework.run()
        layers = [framework.run(), framework.run()]
    assert names(rec.events) == {"weight": weight.id, "layers[0]": layers[0].id, "layers[1]": layers[1].id}


def test_names_lead_through_containers_and_attributes(tensors: Callable[[], Tensor]) -> None:
    class Slotted:
        __slots__ = ("empty", "v")

    model = SimpleNamespace(w=tensors(), parts=[tensors()])
    slotted = Slotted()
    slotted.v = tensors()
    namespace = {
        "_": tensors(),
        "__hidden__": tensors(),
        "x": tensors(),
        "params": {"w": tensors(), 3: tensors(), ("odd", "key"): tensors()},
        "pair": (tensors(), [tensors()]),
        "model": model,
        "slotted": slotted,
    }
    assert told(namespace) == [
        "__hidden__",
        "x",
        "_",
        "params['w']",
        "params[3]",
        "pair[0]",
        "model.w",
        "slotted.v",
        "pair[1][0]",
        "model.parts[0]",
    ]


def test_each_value_gets_its_shortest_name(tensors: Callable[[], Tensor]) -> None:
    weight = tensors()
    assert told({"params": {"w": weight}, "w": weight, "again": weight}) == ["w"]


def test_naming_ends_with_cycles_and_large_data(tensors: Callable[[], Tensor]) -> None:
    cycle: list[object] = [tensors()]
    cycle.append(cycle)
    node = SimpleNamespace(tensor=tensors())
    node.next = node
    data = [object() for _ in range(100 * ITEM_LIMIT)]
    assert told({"cycle": cycle, "node": node, "data": data, "sys": sys}) == ["cycle[0]", "node.tensor"]


def test_naming_runs_no_code_of_the_users(tensors: Callable[[], Tensor]) -> None:
    class Hostile(dict):  # type: ignore[type-arg]
        def items(self) -> object:  # type: ignore[override]
            raise AssertionError

        def __getattribute__(self, name: str) -> object:
            raise AssertionError

        def __eq__(self, other: object) -> bool:
            raise AssertionError

        __hash__ = None  # type: ignore[assignment]

    assert told({"odd": Hostile(w=tensors())}) == ["odd['w']"]


def test_graph_is_built_from_what_was_recorded(framework: Framework) -> None:
    with record() as rec:
        framework.run()
    assert isinstance(rec.graph(), Graph)
    rec.graph().validate()
