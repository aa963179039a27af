"""Logs: what is written can be read by us and by the published schema; what is damaged, newer or cut off is told."""

from __future__ import annotations

import dataclasses
import io
import json
import re
import signal
import subprocess
import sys
import tempfile
import textwrap
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_type_hints

import jsonschema
import pytest
from building import Builder
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gradviz import events
from gradviz import gvlog as log
from gradviz.errors import LogError, UsageError
from gradviz.events import (
    Act,
    Cause,
    Clock,
    Context,
    End,
    Error,
    Event,
    Gradient,
    Header,
    Measure,
    Module,
    Name,
    Note,
    Op,
    Optimizer,
    Output,
    Region,
    RegionEnd,
    RequiresGrad,
    Role,
    Saved,
    Signature,
    Site,
    Statement,
    Status,
    Sweep,
    Work,
)
from gradviz.graphs import Graph
from gradviz.gvlog import LogWriter, is_log, read_log, writing

ROOT = Path(__file__).parents[1]
LOGS = Path(__file__).parent / "logs"
SCHEMA = json.loads(Path(log.__file__).with_name("gvlog.schema.json").read_text(encoding="utf-8"))
# Without its name, which is a `urn:`: older releases of jsonschema look for what a `$ref` means behind it.
VALIDATOR = jsonschema.Draft202012Validator({key: part for key, part in SCHEMA.items() if key != "$id"})

HEADER = '{"gradviz":{"producer":"core","schema":[1,2]}}\n'
END = '{"end":{}}\n'

# Every record twice over: with all of its fields set, and with none that has a default.
FULL: tuple[Event, ...] = (
    Header("core+torch", "dir/train.py", (("numpy", "2.4.0"), ("torch", "2.13.0"))),
    Site(0, "train.py", 3, 4, 8, 20, "forward", "self.h", "self.h = f(x)", None),
    Site(1, "train.py", 9, 9, 0, 4, "<lambda>", "a, b", "a, b = g()", 0),
    Signature(
        0,
        "tensor",
        outputs=(Output((2, 3), "float32", 24, True, True), Output((), "int64", 8, device="cuda:0")),
        attrs=(("dim", "0"),),
    ),
    Signature(1, "mul", "MulBackward0", True, None, (True, False), (Output((0,), "float16", 0, True, False),), 0, True,
              (Saved("self", (2,), "float64", 16, 0), Saved("result", (), "bool", 1, -1), Saved("m", (1,), "bool", 1))),
    Signature(2, "item", cause=Cause.ITEM, needs=(True,)),
    Region(1, "set_grad_enabled(False)", False, 0),
    Region(2, "enable_grad", True, 1, 0, 1),
    Context(0),
    Context(1, 3, "encoder.layer.3", 2),
    Op(1, 0, None, 0),
    Op(3, 1, 0, 1, (1, "0.1"), 7),
    Op(4, 2, 1, 1, (3,)),
    RegionEnd(2),
    Name(1, "w", Role.PARAMETER),
    Name(3, "h"),
    RequiresGrad(1, False, 0),
    RequiresGrad(1, True),
    Optimizer(0, "SGD", (1, 3), 0),
    Optimizer(0, "SGD", ()),
    Act("step", (1,), 0, 1, 0, 3),
    Act("hook"),
    Act("attribute", (1,), text="requires_grad = False"),
    Module("net.act", "ReLU", 0),
    Module("net", "Net"),
    Work(2, 0, 1, 3),
    Work(2),
    Statement("return", 0, 3, 9, "self.items", ("x", "y")),
    Statement("branch", 1, 3, 9),
    Sweep(
        1, "grad", (3,), 1, 1, (1,), (Gradient(1, float("nan"), False, True), Gradient(2, 0.5)), False, True, "no", (1,)
    ),
    Sweep(2, "backward", (), gradients=(Gradient(1, float("inf")), Gradient(1, 0.0, True))),
    Clock(0, 1_500),
    Clock(1, 20, 1, 0),
    Measure(1, 2, 3, 4, -0.5, float("inf"), 0.25, 1e300),
    Measure(3),
    Error("ValueError", "bad", 0, (1, 3)),
    Error("E", ""),
    Note("unrecorded", "2 threads", 2),
    Note("failure", "lost"),
    End(Status.EXITED, 3),
)  # fmt: skip

HOSTILE = (
    'say "hi"', "it's", "a\nb\r\n\u2028c", "\0\x07\x1b[31m", "🙂é漢", "\ud800 alone", "</script><b>", "{}[]\\",
    "x" * 10_000,
)  # fmt: skip


def write(path: Path, stream: Iterator[Event] | list[Event] | tuple[Event, ...]) -> Path:
    writer = LogWriter(path)
    for event in stream:
        writer.emit(event)
    writer.close()
    return path


def damaged(tmp_path: Path, text: str | bytes) -> Path:
    path = tmp_path / "run.gvlog"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="ascii").splitlines()]


# round trips


def test_every_kind_of_record_survives(tmp_path: Path) -> None:
    kinds = {hint for hint in vars(events).values() if dataclasses.is_dataclass(hint)} - {Output, Saved, Gradient}
    assert {type(event) for event in FULL} == kinds
    assert tuple(read_log(write(tmp_path / "run.gvlog", FULL))) == FULL


def test_every_line_is_as_the_published_schema_says(tmp_path: Path) -> None:
    VALIDATOR.check_schema(SCHEMA)
    for line in lines_of(write(tmp_path / "run.gvlog", FULL)):
        VALIDATOR.validate(line)


def test_the_schema_has_the_fields_of_the_records() -> None:
    """A field that is added to `events` must be added to the schema, with the same default."""
    for name, record in vars(events).items():
        if not dataclasses.is_dataclass(record) or record is Op:
            continue
        described = SCHEMA["$defs"][name]
        fields = {field.name: field for field in dataclasses.fields(record)}
        assert list(described["properties"]) == list(fields), name
        required = {name for name, field in fields.items() if field.default is dataclasses.MISSING or name == "schema"}
        assert set(described.get("required", ())) == required, name
        for field in fields.keys() - required:
            default = writing._text(fields[field].default)
            written = json.dumps(described["properties"][field]["default"], separators=(",", ":"))
            assert written == default, (name, field)


def test_the_schema_has_the_words_of_the_enums() -> None:
    definitions = SCHEMA["$defs"]
    for record, field, words in (("Signature", "cause", Cause), ("Name", "role", Role), ("End", "status", Status)):
        listed = [word for word in definitions[record]["properties"][field]["enum"] if word is not None]
        assert listed == [str(word) for word in words]


@pytest.mark.parametrize(
    "line",
    [
        {"op": [1, 0, 0, 0]},
        {"op": [1, 0, 0, 0, [0]]},
        {"op": [1, 0, 0, 0, [1.5]]},
        {"end": {"status": "asleep"}},
        {"end": {}, "note": {"kind": "a", "text": "b"}},
        {"hook": {}},
        {"name": {"value": 1}},
        {"gradviz": {"producer": "core", "schema": [2, 0]}},
        [],
    ],
)
def test_the_schema_is_not_for_everything(line: object) -> None:
    assert not VALIDATOR.is_valid(line)


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_survives_everywhere(tmp_path: Path, text: str) -> None:
    def spoil(value: Any, hint: Any) -> Any:
        if hint is str:
            return text
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            hints = get_type_hints(type(value))
            return dataclasses.replace(
                value, **{f.name: spoil(getattr(value, f.name), hints[f.name]) for f in dataclasses.fields(value)}
            )
        if isinstance(value, tuple) and type(value) is tuple:
            return tuple(spoil(item, str if type(item) is str else None) for item in value)
        return value

    hostile = tuple(spoil(event, None) for event in FULL)
    path = write(tmp_path / "run.gvlog", hostile)
    assert len(path.read_bytes().split(b"\n")) == len(hostile) + 1
    assert tuple(read_log(path)) == hostile


@st.composite
def recordings(draw: st.DrawFn) -> Builder:
    """A random program: leaves, ops, writes in place, regions, cuts, sweeps, names."""
    builder = Builder()
    values = [builder.leaf("x", (2,), requires_grad=True, line=1)]
    text = st.text(max_size=8)

    def step(depth: int) -> None:
        value = draw(st.sampled_from(values))
        match draw(st.sampled_from(["leaf", "op", "op", "split", "inplace", "view", "detach", "item", "region", "sweep",
                                    "name", "flag", "note", "error"])):  # fmt: skip
            case "leaf":
                line = draw(st.integers(0, 9))
                values.append(builder.leaf(draw(text), (3,), requires_grad=draw(st.booleans()), line=line))
            case "op":
                other = draw(st.one_of(st.sampled_from(values), text))
                forgotten = draw(st.integers(0, 2))
                values.append(builder.op("mul", value, other, name=draw(text), line=2, forgotten=forgotten))
            case "split":
                first = builder.op("split", value, outputs=2, name="a, b")
                values.extend((first, first + 1))
            case "inplace":
                values.append(builder.inplace("add_", value, "1", line=3))
            case "view":
                values.append(builder.view("t", value))
            case "detach":
                values.append(builder.detach(value))
            case "item":
                builder.item(value, line=4)
            case "region" if depth < 3:
                with builder.region(draw(st.sampled_from(["no_grad", "enable_grad", "inference_mode"])), line=5):
                    for _ in range(draw(st.integers(0, 3))):
                        step(depth + 1)
            case "sweep":
                norm = draw(st.floats())
                builder.sweep(value, line=6, gradients=[Gradient(values[0], norm)], error=draw(text))
            case "name":
                builder.name(value, draw(text), draw(st.sampled_from([None, *Role])))
            case "flag":
                builder.set_requires_grad(values[0], draw(st.booleans()), line=7)
            case "note":
                builder.note(draw(text), draw(text))
            case "error":
                builder.error("E", draw(text), value)

    for _ in range(draw(st.integers(0, 12))):
        step(0)
    return builder


# Hypothesis builds its table of characters within the first example, which may take a second.
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(recordings())
def test_a_graph_from_a_file_is_the_one_from_memory(builder: Builder) -> None:
    stream = io.StringIO()
    writer = LogWriter(stream)
    for event in builder.events():
        writer.emit(event)
    writer.close()
    with tempfile.TemporaryDirectory() as folder:
        read = list(read_log(damaged(Path(folder), stream.getvalue())))
    assert read == builder.events()
    graph = Graph.build(read)
    assert graph == builder.graph()
    graph.validate()
    for line in stream.getvalue().splitlines():
        VALIDATOR.validate(json.loads(line))


def test_nan_written_is_nan_read(tmp_path: Path) -> None:
    b = Builder()
    x = b.leaf("x", requires_grad=True)
    b.sweep(x, gradients=[Gradient(x, float("nan"), nan=True)])
    path = write(tmp_path / "run.gvlog", b.events())
    assert "NaN" not in path.read_text(encoding="ascii")
    assert Graph.build(read_log(path)) == b.graph()


# the written form


def test_an_op_takes_at_most_40_bytes(tmp_path: Path) -> None:
    """At a million ops on two values each, with hundreds of sites and a new context every ten ops."""
    stream = io.StringIO()
    writer = LogWriter(stream)
    count = 2_000
    for id in range(1_000_000 - count, 1_000_000):
        writer.emit(Op(id, id % 90, id % 900, 100_000 + id // 10, (id - 1, id % 100 if id % 2 else id - 40)))
    writer.flush()
    assert len(stream.getvalue()) / count <= 40


def test_the_header_goes_out_at_once_and_lines_go_out_whole(tmp_path: Path) -> None:
    path = tmp_path / "run.gvlog"
    writer = LogWriter(path)
    writer.emit(Header("core"))
    assert is_log(path)
    for id in range(writing.FLUSH_RECORDS * 2):
        writer.emit(Op(id + 1, 0, None, 0))
        assert path.read_bytes().endswith(b"\n")
    assert path.read_bytes().count(b"\n") >= writing.FLUSH_RECORDS
    writer.close()
    assert path.read_bytes().count(b"\n") == 1 + writing.FLUSH_RECORDS * 2


def test_a_slow_program_is_written_as_it_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(writing, "monotonic", lambda: now)
    path = tmp_path / "run.gvlog"
    writer = LogWriter(path)
    writer.emit(Header("core"))
    for count in range(1, writing.FLUSH_RECORDS):
        writer.emit(Note("a", "goes"))
        assert path.read_bytes().count(b"\n") == 1 + count
    writer.emit(Note("a", "waits"))
    assert path.read_bytes().count(b"\n") == writing.FLUSH_RECORDS
    now += writing.FLUSH_SECONDS
    writer.emit(Note("a", "goes"))
    assert path.read_bytes().count(b"\n") == writing.FLUSH_RECORDS + 2
    writer.close()
    writer.close()


def test_a_stream_is_written_and_left_open() -> None:
    stream = io.StringIO()
    writer = LogWriter(stream)
    writer.emit(Header("core"))
    writer.emit(End())
    writer.close()
    assert stream.getvalue() == HEADER + END


class Full(io.StringIO):
    """A stream on a disk that has room for `room` characters."""

    room = 150

    def write(self, text: str) -> int:
        super().write(text[: self.room])
        if len(text) > self.room:
            raise OSError(28, "No space left on device")
        self.room -= len(text)
        return len(text)


def test_after_a_failed_write_nothing_more_is_written(tmp_path: Path) -> None:
    stream = Full()
    writer = LogWriter(stream)
    writer.emit(Header("core"))
    ops = iter([Op(id + 1, 0, None, 0) for id in range(100)])
    with pytest.raises(OSError, match="No space"):
        deque(map(writer.emit, ops), maxlen=0)
    with pytest.raises(OSError, match="No space"):
        writer.flush()
    with pytest.raises(OSError, match="No space"):
        writer.close()
    read = list(read_log(damaged(tmp_path, stream.getvalue())))
    assert [type(event).__name__ for event in read[-3:]] == ["Op", "Note", "Note"]


def test_what_is_no_record_is_refused() -> None:
    with pytest.raises(KeyError):
        LogWriter(io.StringIO()).emit("op")  # type: ignore[arg-type]


# killed, cut off, damaged


def test_a_killed_run_leaves_a_log(tmp_path: Path) -> None:
    program = textwrap.dedent(
        """
        import os, signal, sys
        from gradviz.events import Context, Header, Op, Output, Signature
        from gradviz.gvlog import LogWriter
        writer = LogWriter(sys.argv[1])
        writer.emit(Header("core"))
        writer.emit(Signature(0, "tensor", outputs=(Output((), "float32", 4),)))
        writer.emit(Context(0))
        for id in range(1, 100_001):
            writer.emit(Op(id, 0, None, 0))
        os.kill(os.getpid(), signal.SIGKILL)
        """
    )
    path = tmp_path / "run.gvlog"
    ended = subprocess.run([sys.executable, "-c", program, str(path)], cwd=ROOT, check=False)
    assert ended.returncode == -signal.SIGKILL
    graph = Graph.build(read_log(path))
    graph.validate()
    assert 100_000 - writing.FLUSH_RECORDS <= len(graph.ops) <= 100_000
    assert graph.end is None
    assert [note.kind for note in graph.notes] == ["unfinished"]


@pytest.mark.parametrize("keep", range(1, 19))
def test_a_last_line_that_was_cut_off_is_dropped_and_told(tmp_path: Path, keep: int) -> None:
    last = '{"op":[2,0,null,0,[1]]}'
    path = damaged(tmp_path, HEADER + '{"op":[1,0,null,0,[]]}\n' + last[:keep])
    assert list(read_log(path))[1:] == [
        Op(1, 0, None, 0),
        Note("truncated", "the last line of the log, line 3, was cut off and is left out"),
        Note("unfinished", "the log has no end: its writer was killed, or is still writing"),
    ]


def test_a_last_line_without_its_newline_is_whole(tmp_path: Path) -> None:
    path = damaged(tmp_path, HEADER + END.rstrip("\n"))
    assert list(read_log(path)) == [Header("core"), End()]


def test_a_tail_of_zeros_counts_as_cut_off(tmp_path: Path) -> None:
    """What a file system may leave behind after a power cut."""
    path = damaged(tmp_path, HEADER.encode() + b"\0" * 512)
    assert [event.kind for event in read_log(path) if isinstance(event, Note)] == ["truncated", "unfinished"]


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ('{"op":[1,0,nu', "it is not JSON"),
        ("\0\xff\xfe", "it is not JSON"),
        ("[" * 100_000, "it is not JSON"),
        ("17", "it does not have the form of a record"),
        ("null", "it does not have the form of a record"),
        ('{"op":[1,0,null,0,[]],"end":{}}', "it does not have the form of a record"),
        ('{"op":[1,0]}', "it does not have the form of a record"),
        ('{"op":7}', "it does not have the form of a record"),
        ('{"op":["1",0,null,0,[]]}', "an op refers to something by other than a number"),
        ('{"op":[1,0,true,0,[]]}', "an op refers to something by other than a number"),
        ('{"op":[2,0,null,0,[1.0]]}', "an input of an op is neither a number nor a text"),
        ('{"site":{"id":1,"line":2}}', "`Site` has no `file`"),
        ('{"site":{"id":1,"file":null,"line":2}}', "`file` of `Site`: expected a text, found null"),
        ('{"end":[]}', "expected an object, found an array"),
        ('{"end":{"exit_code":true}}', "`exit_code` of `End`: expected a whole number, found true or false"),
        ('{"signature":{"id":0,"name":"a","attrs":[["b"]]}}', "there are 1 items where 2 belong"),
        (
            '{"signature":{"id":0,"name":"a","outputs":[{"shape":3,"dtype":"b","nbytes":1}]}}',
            "`outputs` of `Signature`: `shape` of `Output`: expected an array, found a whole number",
        ),
        ('{"sweep":{"id":0,"kind":"grad","roots":[1],"gradients":[{"value":1,"norm":"big"}]}}', "expected a number"),
        ('{"gradviz":{"producer":"core","schema":[1,0]}}', "a second recording begins"),
    ],
)
def test_damage_is_told_by_its_line(tmp_path: Path, line: str, what: str) -> None:
    before = HEADER + '{"op":[1,0,null,0,[]]}\n'
    path = damaged(tmp_path, (before + line + "\n" + END).encode("latin-1"))
    read = read_log(path)
    with pytest.raises(LogError, match=r"is damaged at line 3: .*" + re.escape(what)) as caught:
        list(read)
    assert caught.value.message.startswith(f"`{path}`")
    assert caught.value.exit_code == 3
    assert "\n" not in caught.value.message


def test_damage_far_into_a_log_is_told_by_its_line(tmp_path: Path) -> None:
    ops = "".join(f'{{"op":[{id},0,null,0,[]]}}\n' for id in range(1, 5001))
    path = damaged(tmp_path, HEADER + ops + "}\n" + END)
    with pytest.raises(LogError, match="line 5002"):
        list(read_log(path))


def test_two_objects_on_a_line_are_damage(tmp_path: Path) -> None:
    with pytest.raises(LogError, match="line 2: it is not JSON"):
        list(read_log(damaged(tmp_path, HEADER + '{"end":{}},{"end":{}}\n\n' + END)))


def test_blank_lines_mean_nothing(tmp_path: Path) -> None:
    path = damaged(tmp_path, HEADER + "\n  \n" + END + "\n")
    assert list(read_log(path)) == [Header("core"), End()]


@pytest.mark.parametrize(
    "content",
    [
        b"", b"\n", b"\x89PNG\r\n\x1a\n\0\0", bytes(range(256)), b'{"a": 1}\n', b"[1, 2]\n", b"17", b'"a"', b"null\n",
        b'{"gradviz": 1}\n', b'{"gradviz": {}}\n', b'{"gradviz": {"schema": "1.0"}}\n', b'{"gradviz":{"produ',
        b'{"end":{}}\n', b"print('hello')\n",
    ],
)  # fmt: skip
def test_what_is_no_log_is_refused_before_anything_is_read(tmp_path: Path, content: bytes) -> None:
    path = damaged(tmp_path, content)
    with pytest.raises(LogError, match=r"not a gradviz log") as caught:
        read_log(path)
    assert "gradviz record" in caught.value.help


def test_a_header_may_be_damaged_too(tmp_path: Path) -> None:
    with pytest.raises(LogError, match="damaged at line 1: `Header` has no `producer`"):
        read_log(damaged(tmp_path, '{"gradviz":{"schema":[1,0]}}\n'))


@pytest.mark.parametrize("name", ["nowhere.gvlog", "."])
def test_what_cannot_be_opened_is_a_mistake_in_use(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="cannot read") as caught:
        read_log(tmp_path / name)
    assert caught.value.exit_code == 2
    assert not is_log(tmp_path / name)


@pytest.mark.parametrize(
    ("content", "answer"),
    [
        (HEADER, True),
        ('\n { "gradviz" :{}', True),
        ("", False),
        ("import gradviz\n", False),
        ('{"gradvizard":1}', False),
    ],
)
def test_a_log_is_known_by_its_first_line(tmp_path: Path, content: str, answer: bool) -> None:
    assert is_log(damaged(tmp_path, content)) is answer


# other versions


@pytest.mark.parametrize("schema", ["[2,0]", "[0,9]", "[17,3]"])
def test_another_major_schema_is_refused(tmp_path: Path, schema: str) -> None:
    path = damaged(tmp_path, f'{{"gradviz":{{"schema":{schema},"unheard":["of"]}}}}\nwhatever\n')
    with pytest.raises(LogError, match=r"has log schema \d+\.\d, and this gradviz reads 1\.x"):
        read_log(path)


def test_a_newer_minor_schema_is_read_as_far_as_it_is_known(tmp_path: Path) -> None:
    path = damaged(
        tmp_path,
        '{"gradviz":{"producer":"core","schema":[1,9],"mood":"fine"}}\n'
        '{"hook":{"value":1}}\n'
        '{"signature":{"id":0,"name":"fork","cause":"quantized","needs":[true],"outputs":[],"fused":true}}\n'
        '{"context":{"id":0}}\n'
        '{"hook":[]}\n'
        '{"op":[1,0,null,0,[],0,"eager"]}\n'
        '{"end":{"status":"suspended","exit_code":4}}\n',
    )
    read = list(read_log(path))
    assert read[0] == Header("core", schema=(1, 9))
    assert read[1:5] == [Signature(0, "fork", needs=(True,)), Context(0), Op(1, 0, None, 0), End(exit_code=4)]
    notes = [(note.kind, note.count, note.text) for note in read[5:] if isinstance(note, Note)]
    assert [(kind, count) for kind, count, _ in notes] == [("newer", 1), ("newer", 2), ("newer", 1)]
    for word, (_, _, text) in zip(("cause `quantized`", "record `hook`", "status `suspended`"), notes, strict=True):
        assert word in text


def test_a_log_of_schema_1_0_can_be_read() -> None:
    """This file was written when 1.0 was new, and must stay readable and mean the same."""
    graph = Graph.build(read_log(LOGS / "schema-1.0.gvlog"))
    graph.validate()
    assert not graph.notes
    assert [op.name for op in graph.ops.values()] == ["tensor", "mul", "detach", "add", "item", "sum", "mul", "sub_"]
    cuts = [(cut.op, cut.cause, cut.region) for cut in graph.cuts]
    assert cuts == [(3, "detach", None), (5, "item", None), (8, "no_grad", 1)]
    names = {value.id: value.name for value in graph.values.values() if value.name}
    assert names == {1: "x", 2: "y", 4: "z", 6: "r", 8: "x"}
    assert graph.sweeps[0].gradients == (Gradient(1, 3.4641016),)
    assert graph.end == End()


def test_the_example_of_the_documentation_is_a_log(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "log-format.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```json\n(.*?)```", page, re.DOTALL)
    for line in example.splitlines():
        VALIDATOR.validate(json.loads(line))
    graph = Graph.build(read_log(damaged(tmp_path, example)))
    graph.validate()
    assert [(cut.cause, graph.values[cut.value].name) for cut in graph.cuts] == [("detach", "x")]
    assert not graph.notes


def test_the_documentation_names_every_record_field_and_word() -> None:
    page = (ROOT / "docs" / "log-format.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`([a-z_]+)`", page))
    fields = {f.name for r in vars(events).values() if dataclasses.is_dataclass(r) for f in dataclasses.fields(r)}
    assert set(SCHEMA["properties"]) | fields | set(Cause) | set(Role) | set(Status) <= named | {"thread"}
