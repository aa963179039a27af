"""Sites: from a code object and an instruction's offset to file, line, columns and the name that the result was given.

While a program runs, a producer only keeps where it was: `(frame.f_code, frame.f_lasti)`, or with `call_path` the whole
road there. What that means in the user's source is worked out later, once a place, by `decode`.

    y = 3 * (x + 1)

The instruction of `x + 1` is followed by a multiplication, that of `3 * (...)` by `STORE_FAST y`: only the product is
called `y`. So names are not guessed from the text; `bytecode` follows the value until something stores it, and the text
is asked for the spelling of targets such as `self.h` alone.
"""

from __future__ import annotations

import linecache
import os
import sys
import sysconfig
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from threading import Lock
from types import CodeType, FrameType

from gradviz.bytecode import Span, assignment, listing

TEXT_LIMIT = 200
CODE_LIMIT = 20_000

_HERE = os.path.dirname(os.path.abspath(__file__))
_RUNNER = os.path.join(_HERE, "run.py")
_WRITTEN = "__create_fn__."
STAND_IN = ("_func", "_args", "_kwargs")
"""The variables of a function that looks like a frame of the user's and is nobody's: it makes a call in its place."""
_GENERATED = ("<frozen ", "<attrs generated ", "<__array_function__ ")


@dataclass(frozen=True, slots=True)
class Place:
    """Where in the user's source an instruction is, and what becomes of its value.

    Lines count from 1, columns from 0, in characters, `end_column` exclusive; 0 and -1 mean unknown. `file` is relative
    to the working directory when it lies below it, else absolute; names like `<string>` stay as they are. `function` is
    the qualified name. `target` is the variable that the value was assigned to, as written (`y`, `self.h`, `a, b`), or
    empty. `text` is the first source line without its newline, cut to 200 characters, or empty. `returns` says that the
    value is what the function returns, so that the caller's target names it.
    """

    file: str
    line: int
    end_line: int
    column: int
    end_column: int
    function: str
    target: str
    text: str
    returns: bool


class Spot(tuple[CodeType, int]):
    """A code object and an instruction's offset in it: `code, lasti = spot`.

    There is one Spot for a place (`spot_at` gives it), and it hashes and compares by identity, because hashing a code
    object takes microseconds. So spots, and paths of spots, are cheap keys.
    """

    __slots__ = ()
    __hash__ = object.__hash__

    def __eq__(self, other: object) -> bool:
        return self is other

    def __ne__(self, other: object) -> bool:
        return self is not other


class KnownCode:
    """What is known of one code object, which is kept alive so that its `id` stays its own.

    user      it is the user's
    runner    it is where `gradviz.run` hands over to the script: nothing outside of it is of interest
    spots     the places in it that were met, by offset
    """

    __slots__ = ("code", "places", "runner", "spots", "user")

    def __init__(self, code: CodeType) -> None:
        self.code = code
        # What `dataclass` writes has no file, and is nobody's own; nor is a stand-in, which has a file of the user's.
        written = code.co_qualname.startswith(_WRITTEN) or code.co_varnames == STAND_IN
        self.user = is_user_file(code.co_filename) and not written
        self.runner = code.co_filename == _RUNNER
        self.spots: dict[int, Spot] = {}
        self.places: dict[int, Place] = {}


codes: dict[int, KnownCode] = {}
"""All code that was met, by `id`. `admit` adds to it."""

user_files: set[str] = set()
"""The names of the user's files that were met, for a first look that costs little. `admit` adds to it."""

_admission = Lock()


def call_path(frame: FrameType) -> tuple[Spot, ...]:
    """The user's code on the stack, innermost first: where the op was called, where that function was called, ...

    Library frames are left out, and all that lies outside `gradviz.run`. Where no frame is the user's, the path is the
    innermost one that is not gradviz's own, or empty.
    """
    known = codes
    path: list[Spot] = []
    place: FrameType | None = frame
    while place is not None:
        code = place.f_code
        try:
            entry = known[id(code)]
        except KeyError:
            entry = admit(code)
        if entry.user:
            try:
                path.append(entry.spots[place.f_lasti])
            except KeyError:
                path.append(spot_at(code, place.f_lasti))
        elif entry.runner:
            break
        place = place.f_back
    return tuple(path) if path else _foreign_path(frame)


def user_frame(frame: FrameType) -> FrameType:
    """The innermost frame of the user's code, from `frame` outwards, where `call_path` begins.

    Where no frame is the user's, the innermost one that is not gradviz's own, or the outermost.
    """
    known = codes
    place: FrameType | None = frame
    while place is not None:
        code = place.f_code
        try:
            entry = known[id(code)]
        except KeyError:
            entry = admit(code)
        if entry.user:
            return place
        place = place.f_back
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_own_folders()):
        frame = frame.f_back
    return frame


def _foreign_path(frame: FrameType) -> tuple[Spot, ...]:
    place: FrameType | None = frame
    while place is not None:
        code = place.f_code
        if admit(code).runner:
            break
        if not code.co_filename.startswith(_own_folders()):
            return (spot_at(code, place.f_lasti),)
        place = place.f_back
    return ()


def spot_at(code: CodeType, lasti: int) -> Spot:
    """The one Spot for a place, for callers that kept code and offset themselves."""
    return admit(code).spots.setdefault(lasti, Spot((code, lasti)))


def admit(code: CodeType) -> KnownCode:
    """What is known of `code`."""
    entry = codes.get(id(code))
    if entry is None:
        with _admission:
            if len(codes) >= CODE_LIMIT:  # a program that compiles code in a loop must not grow for it
                codes.clear()
            entry = codes.setdefault(id(code), KnownCode(code))
            if entry.user:
                user_files.add(code.co_filename)
    return entry


def decode(code: CodeType, lasti: int) -> Place:
    """What the instruction at offset `lasti` of `code` means in the source; what cannot be told is empty, 0 or -1."""
    places = admit(code).places
    place = places.get(lasti)
    if place is None:
        place = places[lasti] = _decode(code, lasti)
    return place


def _decode(code: CodeType, lasti: int) -> Place:
    program = listing(code)
    index = program.at(lasti)
    span = program.span(index)
    lines = linecache.getlines(code.co_filename)

    def segment(span: Span) -> str:
        return _segment(lines, span)

    target, returns = assignment(program, index, segment)
    return Place(
        file=_shown(code.co_filename),
        line=span.line,
        end_line=span.end_line,
        column=_column(lines, span.line, span.start),
        end_column=_column(lines, span.end_line, span.end),
        function=code.co_qualname,
        target=target,
        text=_line(lines, span.line).rstrip("\r\n")[:TEXT_LIMIT],
        returns=returns,
    )


def _line(lines: list[str], number: int) -> str:
    return lines[number - 1] if 0 < number <= len(lines) else ""


def _column(lines: list[str], number: int, offset: int) -> int:
    """The character at byte `offset` of a line; without the source, the byte."""
    text = _line(lines, number)
    if offset < 0 or text.isascii():
        return offset
    return len(text.encode()[:offset].decode(errors="replace"))


def _segment(lines: list[str], span: Span) -> str:
    """The text of `span` on one line, runs of blanks made one, or empty where columns or source are unknown."""
    if span.start < 0 or not 0 < span.line <= span.end_line <= len(lines):
        return ""
    text = "".join(lines[span.line - 1 : span.end_line])
    before = sum(len(line.encode()) for line in lines[span.line - 1 : span.end_line - 1])
    return " ".join(text.encode()[span.start : before + span.end].decode(errors="replace").split())


def _shown(filename: str) -> str:
    if filename.startswith("<"):
        return filename
    try:
        folder = os.path.join(os.getcwd(), "")
    except OSError:  # the working directory was deleted
        return filename
    path = os.path.abspath(filename)
    return path.removeprefix(folder)


@cache
def is_user_file(filename: str) -> bool:
    """Whether code from `filename` is the user's: not gradviz's own, not installed, not the standard library.

    Names of no file, such as `<string>`, `<stdin>` and those of notebook cells, are the user's.
    """
    if filename.startswith("<"):
        return not filename.startswith(_GENERATED)
    path = os.path.abspath(filename)
    if path.startswith((*_own_folders(), *_library_folders())):
        return False
    *folders, name = path.split(os.sep)
    if "site-packages" in folders or "dist-packages" in folders:
        return False
    # `/tmp/torch_geometric.nn.conv.gcn_conv_x7.py`: a library wrote it for itself, and runs it.
    package, *rest = name.removesuffix(".py").split(".")
    is_written = bool(rest) and os.sep.join(folders) in _scratch()
    origin = getattr(sys.modules.get(package), "__file__", None) if is_written else None
    return origin is None or is_user_file(origin)


@cache
def _scratch() -> tuple[str, ...]:
    """The folder for temporary files, under the names that it goes by."""
    import tempfile

    folder = os.path.abspath(tempfile.gettempdir())
    return folder, os.path.realpath(folder)


@cache
def _own_folders() -> tuple[str, ...]:
    """gradviz and the commands, which an editable install keeps under another name than they are imported by."""
    commands = sys.modules.get("gradviz_cli") or find_spec("gradviz_cli")
    origin = getattr(commands, "__file__", None) or getattr(commands, "origin", None)
    folders = [_HERE, os.path.dirname(os.path.abspath(origin))] if origin else [_HERE]
    return tuple(os.path.join(folder, "") for folder in folders)


@cache
def _library_folders() -> tuple[str, ...]:
    """The standard library under each name it goes by, and the folder of installed console scripts."""
    paths = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "scripts")} | {os.path.dirname(os.__file__)}
    return tuple(sorted(os.path.join(os.path.abspath(path), "") for path in paths))
