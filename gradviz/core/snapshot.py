"""What the core remembers of tensors without a recording, as the events that a recording would have emitted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gradviz import events
from gradviz.core.emit import Emitter
from gradviz.core.tensor import Tensor
from gradviz.core.values import made_by
from gradviz.ids import next_id


class _List:
    """A sink that keeps events in a list; a failure is the caller's to see."""

    def __init__(self) -> None:
        self.events: list[events.Event] = []

    def emit(self, event: events.Event) -> None:
        self.events.append(event)

    def failed(self, what: str, failure: Exception) -> None:
        raise failure

    missed = failed


def snapshot(
    tensors: Sequence[Tensor], names: Mapping[str, Tensor] | None = None, around: Mapping[str, Tensor] | None = None
) -> list[events.Event]:
    """The events that lead to `tensors`, from what the core remembers without a recording.

    names: the user's names for tensors, which go before those from assignments.
    around: more of them, for tensors that are met on the way; the others are left out.
    """
    sink = _List()
    sink.emit(events.Header("core"))
    emitter = Emitter(sink)
    emitter._began = next_id()
    named = {name: tensor for name, tensor in (names or {}).items() if isinstance(tensor, Tensor)}
    emitter.history(made_by(tensor)[0] for tensor in (*tensors, *named.values()))
    emitter.settle((*tensors, *named.values()))
    for name, tensor in (around or {}).items():
        emitter._holdings.tell_name(tensor, name, events.Role.PARAMETER)
    for name, tensor in named.items():
        emitter.name(tensor, name)
    for region in sorted(emitter._regions.values()):
        sink.emit(events.RegionEnd(region))
    sink.emit(events.End())
    return sink.events
