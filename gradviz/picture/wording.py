"""Wording: what the boxes of a picture say of values, ops and the places in the user's source."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from pathlib import PurePath

from gradviz.events import BACKWARD, CHECKPOINT, Cause, Measure, Site
from gradviz.graphs import Graph, Op, Value

TITLE_LIMIT = 48
"""Longest title or name in a box, in characters; a tooltip has room for more."""

WIDE = 40
"""A box has room for so many small characters at least: of what would be more, the tooltip alone tells a part."""

TOOLTIP_LIMIT = 200
CALLERS_LIMIT = 8

Pairs = tuple[tuple[str, str], ...]

REASONS = {
    Cause.DETACH: "detach() gives the same numbers without their history",
    Cause.DETACH_: "detach_() takes the history away from the tensor itself",
    Cause.DATA: ".data gives the same numbers without their history, unseen by version checks",
    Cause.NO_GRAD: "ran under no_grad, so autograd did not record it",
    Cause.INFERENCE_MODE: "ran under inference_mode, so autograd did not record it",
    Cause.SET_GRAD_ENABLED: "ran after set_grad_enabled(False), so autograd did not record it",
    Cause.ITEM: "a Python number has no history",
    Cause.NUMPY: "a numpy array has no history",
    Cause.RETENSOR: "a tensor made from the numbers of another one starts a history of its own",
    Cause.INTEGER: "integers carry no gradient",
    Cause.NONDIFFERENTIABLE: "the op has no derivative",
    Cause.FROZEN: "requires_grad was switched off",
    Cause.CUSTOM_FUNCTION: "the custom function gives no gradient for it",
}
"""Why gradient stops, one sentence for each cause."""


STATUS = {
    Cause.NONDIFFERENTIABLE: "not differentiable",
    Cause.FROZEN: "frozen",
    Cause.CUSTOM_FUNCTION: "cut by the custom function",
}
"""What the box of an untracked op says where there is more to say than "not tracked"."""


class Wording:
    """The words for one graph. A line is called `line 5`, or `train.py:5` where several files take part.

    name_file   call it `train.py:5` in any case
    """

    def __init__(self, graph: Graph, *, name_file: bool = False) -> None:
        self._graph = graph
        files = {graph.sites[id].file for id in _sites_used(graph)}
        target = PurePath(graph.header.target).name
        elsewhere = bool(target) and any(PurePath(file).name != target for file in files)
        self._several = name_file or len(files) > 1 or elsewhere
        self._home = files | {graph.header.target}
        self._short = _shorten(files)
        self._place_pairs: dict[int, Pairs] = {}

    def line(self, site: int | None) -> str:
        """`line 5`, `train.py:5` where several files take part, or empty where the place is not known."""
        found = self._graph.sites.get(site) if site is not None else None
        if found is None or not found.line:
            return ""
        return f"{self._file(found)}:{found.line}" if self._several else f"line {found.line}"

    def file_line(self, site: int | None) -> str:
        """`train.py:5`, or empty where the place is not known."""
        found = self._graph.sites.get(site) if site is not None else None
        return f"{self._file(found)}:{found.line}" if found is not None and found.line else ""

    def place(self, path: str, line: int) -> str:
        """As `line`, for a place that need not be a site of the graph."""
        if not line:
            return ""
        at_home = path in self._home or PurePath(path).name == PurePath(self._graph.header.target).name
        if at_home and not self._several:
            return f"line {line}"
        return f"{self._short.get(path) or clean(PurePath(path).name)}:{line}"

    def value(self, id: int) -> str:
        """What a value is called: the user's name for it, or the op that made it."""
        value = self._graph.values.get(id)
        if value is None:
            return "a value that is not drawn"
        return shorten(value.name) or clean(self._graph.ops[value.op].name)

    def values(self, ids: Iterable[int]) -> str:
        """Several values, each once, joined for a sentence."""
        return join(list(dict.fromkeys(self.value(id) for id in ids)))

    def born(self, value: Value) -> str:
        """Where a leaf comes from: `line 5`, or `version 3`.

        Brought in from outside a part of a graph, a written leaf is better known by its version than by its writer.
        """
        return f"version {value.version}" if value.version else self.line(self._graph.ops[value.op].site)

    def op(self, op: Op) -> str:
        """`y = mul`, or `mul` where the result has no name."""
        names = [self._graph.values[output].name for output in op.outputs]
        target = ", ".join(name for name in names if name)
        # Of many results with long names, the op is worth more than the last of them.
        room = max(TITLE_LIMIT - len(op.name) - 3, TITLE_LIMIT // 3)
        short = shorten(target, room) if len(names) == 1 else clip(target, room)
        return clean(f"{target if len(target) <= room else short} = {op.name}" if target else op.name)

    def status(self, op: Op) -> str:
        """Why an op is not tracked, in a few words; empty for one that is."""
        if op.tracked:
            return ""
        region = self._graph.regions.get(op.region) if op.region is not None else None
        if region is not None and not region.enabled and region.kind != BACKWARD:
            return "skipped"
        if op.cause in (Cause.NO_GRAD, Cause.INFERENCE_MODE, Cause.SET_GRAD_ENABLED):
            return f"skipped under {op.cause}"
        if op.cause is Cause.CUSTOM_FUNCTION and op.name == CHECKPOINT:
            return "cut by the checkpoint"
        return STATUS.get(op.cause, "not tracked") if op.cause is not None else "not tracked"

    def cut_title(self, op: Op) -> str:
        """`c = x.detach()`, as the user would write it; where what it was called on has no name, as the line has it."""
        base, target = self._base(op), self._graph.values[op.outputs[0]].name
        if not base:
            text = self._written(op) or op.name
        elif op.cause is Cause.RETENSOR:
            text = f"{op.name}({base})"
        else:
            text = f"{base}.{op.name}" if op.cause is Cause.DATA else f"{base}.{op.name}()"
        return clean(f"{target} = {text}" if target and target != base else text)

    def _written(self, op: Op) -> str:
        """The expression in the source that is the call of `op`; empty where it is not one line, or too long."""
        site = self._graph.sites.get(op.site) if op.site is not None else None
        if site is None or site.column < 0 or site.end_line > site.line:
            return ""
        text = site.text[site.column : site.end_column]
        return text if len(text) <= TITLE_LIMIT // 2 and re.search(rf"\b{re.escape(op.name)}\b", text) else ""

    def cut_detail(self, op: Op) -> str:
        """What the value behind a cut still has in common with the one before it."""
        base = self.value(op.value_inputs[0])
        match op.cause:
            case Cause.RETENSOR:
                return f"a copy of {base}"
            case Cause.INTEGER:
                return shape_dtype(self._graph.values[op.outputs[0]])
            case Cause.DETACH_:
                return f"{base}, without its history"
            case _:
                return f"same storage as {base}"

    def _base(self, op: Op) -> str:
        value = self._graph.values.get(op.value_inputs[0])
        return value.name if value is not None else ""

    def place_pairs(self, site: int | None) -> Pairs:
        """Tooltip: the place, the source text there, and who called the function that it is in."""
        found = self._graph.sites.get(site) if site is not None else None
        if found is None:
            return ()
        pairs = self._place_pairs.get(found.id)
        if pairs is None:
            pairs = self._place_pairs[found.id] = self._describe_place(found)
        return pairs

    def _describe_place(self, site: Site) -> Pairs:
        column = f":{site.column + 1}" if site.column >= 0 else ""
        pairs = [("at", clean(f"{site.file}:{site.line}{column}", TOOLTIP_LIMIT))]
        if site.text:
            pairs.append(("source", clean(site.text.strip(), TOOLTIP_LIMIT)))
        road = self._callers(site)
        if road:
            pairs.append(("called from", clean(road, TOOLTIP_LIMIT)))
        return tuple(pairs)

    def _callers(self, site: Site) -> str:
        steps: list[str] = []
        seen = {site.id}
        inner = site
        while inner.caller is not None and inner.caller not in seen and len(steps) < CALLERS_LIMIT:
            outer = self._graph.sites.get(inner.caller)
            if outer is None:
                break
            steps.append(f"{inner.function} at {self._file(outer)}:{outer.line}")
            seen.add(outer.id)
            inner = outer
        return ", ".join(steps)

    def _file(self, site: Site) -> str:
        return self._short.get(site.file) or clean(PurePath(site.file).name)

    def value_pairs(self, value: Value) -> Pairs:
        """Tooltip: what the value is. Its memory is named after the value that first allocated it."""
        named = [("name", clean(value.name, TOOLTIP_LIMIT))] if len(value.name) > TITLE_LIMIT else []
        pairs = [
            *named,
            ("shape", str(value.shape)),
            ("dtype", clean(value.dtype)),
            ("bytes", f"{value.nbytes:,}"),
            ("requires_grad", str(value.requires_grad)),
        ]
        if value.storage != value.id:
            pairs.append(("storage", f"shared with {self.value(value.storage)}"))
        if value.version:
            pairs.append(("version", str(value.version)))
        if value.role is not None:
            pairs.append(("role", value.role.value))
        measure = self._graph.measures.get(value.id)
        if measure is not None:
            pairs.append(("numbers", numbers(measure, math.prod(value.shape))))
        return tuple(pairs)

    def op_pairs(self, op: Op) -> Pairs:
        """Tooltip: how autograd keeps the op, or why it does not."""
        pairs: list[tuple[str, str]] = []
        if op.node:
            pairs.append(("node", clean(op.node)))
        if op.cause is not None:
            pairs.append(("not tracked", REASONS[op.cause]))
        if op.saved:
            pairs.append(("saved bytes", f"{sum(saved.nbytes for saved in op.saved):,}"))
        if op.scope:
            pairs.append(("scope", clean(op.scope, TOOLTIP_LIMIT)))
        if op.thread:
            pairs.append(("thread", str(op.thread)))
        return tuple(pairs)


def numbers(measure: Measure, count: int) -> str:
    """What numbers are in a value of `count` elements: `-1 to 2.5, mean 0.3, norm 4.2, 3 zeros, 1 NaN`."""
    told = []
    if count > measure.nans + measure.infs:
        told.append(f"{measure.low:.4g}" if count == 1 else f"{measure.low:.4g} to {measure.high:.4g}")
        told += [f"mean {measure.mean:.4g}", f"norm {measure.norm:.4g}"] if count > 1 else []
    if measure.zeros and count > 1:
        told.append(plural(measure.zeros, "zero"))
    if measure.nans:
        told.append(plural(measure.nans, "NaN") if count > 1 else "NaN")
    if measure.infs:
        told.append("infinite" if count == 1 else f"{measure.infs:,} infinite")
    return ", ".join(told)


def clean(text: str, limit: int = TITLE_LIMIT) -> str:
    """`text` on one line of at most `limit` characters, what cannot be printed written as Python would escape it.

    Covers newlines, terminal escapes, characters that XML forbids, lone surrogates and marks that turn the direction
    of writing. The joiner inside an emoji stays.
    """
    if len(text) > limit:
        text = text[: limit - 1] + "…"
    if text.isprintable():
        return text
    escaped = "".join(char if char.isprintable() or char == "\u200d" else _escape(char) for char in text)
    return escaped if len(escaped) <= limit else escaped[: limit - 1] + "…"


def shorten(name: str, limit: int = TITLE_LIMIT) -> str:
    """A name cleaned, of at most `limit` characters: `…layer.1.attention.output.LayerNorm.weight`.

    A parameter is told from its neighbours by the end of its name, so that is what stays, from one dot to the end. Of a
    long part before the last, the beginning stays, too: `model.encoder_of_all_the_….weight`.
    """
    if len(name) <= limit:
        return clean(name, limit)
    tail = name[-(limit - 1) :]
    dot = tail.find(".") if name[-limit] != "." else -1
    tail = tail[dot + 1 :]
    if "." in tail:
        return f"…{clean(tail, limit - 1)}"
    end = clean(name[name.rfind(".") :], limit) if "." in name else ""
    return clean(name, limit - len(end)) + end if len(end) <= limit // 2 else clean(name, limit)


def clip(text: str, limit: int) -> str:
    """`text` cleaned and cut to at most `limit` characters, at a space where there is one near."""
    whole = clean(text, 4 * limit)
    if len(whole) <= limit:
        return whole
    head = whole[: limit - 1]
    space = head.rfind(" ")
    return (head[:space] if space > limit // 2 else head) + "…"


def join(words: list[str], limit: int = 3) -> str:
    """`a`, `a and b`, `a, b and c`, `a, b, c and 4 more`."""
    if len(words) > limit + 1:
        words = [*words[:limit], f"{len(words) - limit} more"]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}" if words else ""


def plural(count: int, one: str, many: str = "") -> str:
    """`1 op`, `2 ops`, `no ops`."""
    return f"{count:,} {one}" if count == 1 else f"{f'{count:,}' if count else 'no'} {many or one + 's'}"


def shape_dtype(value: Value) -> str:
    """`(2, 3) float32`"""
    return f"{value.shape} {clean(value.dtype)}"


def dots(*parts: str) -> str:
    """The parts that are not empty, with a dot between them."""
    return " · ".join(part for part in parts if part)


def _escape(char: str) -> str:
    return char.encode("unicode_escape", "surrogatepass").decode("ascii")


def _sites_used(graph: Graph) -> set[int]:
    regions = {op.region for op in graph.ops.values()}
    sites = [op.site for op in graph.ops.values()]
    sites += [region.site for region in graph.regions.values() if region.id in regions]
    sites += [sweep.site for sweep in graph.sweeps] + [error.site for error in graph.errors]
    return {site for site in sites if site is not None and site in graph.sites}


def _shorten(files: set[str]) -> dict[str, str]:
    """File -> its base name, or the whole of it where two base names are equal."""
    names = {file: PurePath(file).name for file in sorted(files)}
    taken = list(names.values())
    return {file: clean(name if taken.count(name) == 1 else file) for file, name in names.items()}
