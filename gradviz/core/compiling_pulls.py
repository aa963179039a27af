"""Compile a row's backward: one function that pulls a node's cotangent back to its inputs.

`pullback.run_node` says what that is, for any node; here it is written out for the nodes of one row that `compiling`
made. A row has a second function for nodes that have pairs for links, or several outputs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradviz.core.compiling import can_run, is_linked
from gradviz.core.ops.table import argument_names

if TYPE_CHECKING:
    from gradviz.core.ops.table import Row


def can_pull(row: Row) -> bool:
    """Whether the backward of `row` can be compiled."""
    known = {*row.inputs, *row.static, *row.shared, "out", "out1", "shape", "index", "shapes", "outputs"}
    read = {name for names in row.reading_of for name in names}
    return (not row.variadic or can_run(row, 1)) and read <= known


def source_of_pull(row: Row, pointwise: bool, paired: bool = False) -> str:
    """A function that does what `pullback.run_node` does for a node that compiled code made.

    pointwise: its VJPs work element by element, so that a cotangent has the result's shape.
    paired: its links may be pairs, and it may have several outputs, the cotangents of which are a tuple then.
    """
    derived = {i: formula[1] for i, formula in enumerate(row.formulas) if formula is not None}
    names = row.saved_names
    lines = ["def made(node, g, pending, arrivals, keep):"]
    put = lines.append
    put(" needs = node.needs; shape = node.shape")
    if _is_long(row):
        put(" if node.link1 is MANY: links = node.link0; leaves = node.leaf0")
        put(" else: links = node.links; leaves = node.leaves")
    else:
        put(" link0 = node.link0; link1 = node.link1")
    if names:
        lines += _unpack(row)
    read = {name for names in row.reading_of for name in names}
    for place, name in enumerate(row.static):
        if name in read and name not in names:
            put(f" v_{name} = node.static[{place}]")
    for name, source in (("shapes", "input_shapes(node)"), ("outputs", "((shape, node.array_type), *node.more)")):
        if name in read:
            put(f" v_{name} = {source}")
    for name, (_, reads) in row.shared_by(row.formulas):
        readers = [i for i in derived if name in row.reading_of[i]]
        when = " or ".join(f"len(needs) > {i} and needs[{i}]" if i else "needs[0]" for i in readers)
        put(f" if {when}: v_{name} = s_{name}({', '.join(['g', *(f'v_{one}' for one in reads)])})")
    for i, reads in derived.items():
        at: int | str = "i" if row.variadic else i
        link = f"links[{at}]" if _is_long(row) else f"link{at}"
        about = {"shape": "want" if paired else f"{link}.shape", "index": str(at)}
        own = {*row.inputs, *row.static, *row.shared}  # `select` has an index of its own
        arguments = ["g", *(f"v_{name}" if name in own else about.get(name, f"v_{name}") for name in reads)]
        vjp = f"d{i}({', '.join(arguments)})"
        if row.variadic:
            put(" for i in range(len(links)):")
            put("  if not needs[i]: continue")
        else:
            put(f" if len(needs) > {i} and needs[{i}]:" if i else " if needs[0]:")
        put(f"  l = {link}")
        if paired:
            put("  if type(l) is tuple: l, q = l; want, kind = l.more[q - 1]")
            put("  else: q = 0; want = l.shape; kind = l.array_type")
        part = row.parts.get(row.inputs[i])
        if part is None:
            put(f"  {_leaf(row, at)}")
            lines += _pull_whole(vjp, pointwise, paired, "  ")
        else:
            key = ", ".join(f"v_{name}" for name in argument_names(part, 0))
            put(f"  {_leaf(row, at)}")
            put("  entry = None if leaf is None else arrivals[id(leaf)]")
            put("  held = pending[l] if entry is None else entry[2] if entry[3] else None")
            put("  if type(held) is ndarray and "
                "(entry is not None or getrefcount(held) == SOLE + 1 and held.base is None): "
                f"held[p{i}({key})] += g")  # fmt: skip
            put("  else:")
            lines += _pull_whole(vjp, pointwise, paired, "   ", fresh=True)
    if names:
        put(" if not keep: node.saved0 = FREED; node.saved1 = MANY; node.marks = ()")
    return "\n".join(lines) + "\n"


def _unpack(row: Row) -> list[str]:
    """The lines that see to it that what a node saved is there and is as it was, and give it names."""
    names = row.saved_names
    lines = [" saved = node.saved0; marks = node.marks"]
    put = lines.append
    put(" if saved is FREED: raise noted(RuntimeError(SECOND_TIME), node)")
    kept = [i for i in range(len(row.inputs)) if row.inputs[i] in names]
    link = [f"links[{i}]" if _is_long(row) else f"link{i}" for i in range(len(row.inputs))]
    there = [f"len(links) > {i} and " if _is_long(row) else "link1 is not ALONE and " * i for i in range(len(link))]
    # What had no storage when it was saved may have one since, and may have been written.
    since = "{0}.flags & STORED and {0}.storage.version"
    late = [there[i] * bool(i) + since.format(link[i]) for i in kept]
    first = [text for text in late if text.startswith("link") and not text.startswith("link1")]
    own = [since.format("node")] if "out" in names else []
    put(f" if marks is FRESH:\n  if {' or '.join(late + own) or 'False'}: check_versions(node)")
    put(f" elif marks is NUMBERS:\n  if {' or '.join(first + own) or 'False'}: check_versions(node)")
    stored = [f"{there[i]}getattr({link[i]}, 'flags', 0) & STORED and {link[i]}.storage.version" for i in kept]
    places = [names.index(row.inputs[i]) for i in kept]
    changed = [f"(m[0].version != m[1] if (m := marks[{place}]) else {text})"
               for place, text in zip(places, stored, strict=True)]  # fmt: skip
    put(f" elif {' or '.join(changed + own) or 'False'}: check_versions(node)")
    if len(names) > 2:
        unpacked = f"{''.join(f'v_{name}, ' for name in names)} = saved"
    else:
        fields = zip(names, ("saved", "node.saved1"), strict=False)
        unpacked = "; ".join(f"v_{name} = {value}" for name, value in fields)
    if is_linked(row):
        nothing = f"v_{row.inputs[0]} = None; " if row.inputs[0] in names else ""
        put(f" if saved is LINKED: {nothing}v_{row.inputs[1]} = link1")
        put(f" else: {unpacked}")
    else:
        put(f" {unpacked}")
    return lines


def _leaf(row: Row, at: int | str) -> str:
    """The line that finds the leaf that input `at` of the node is, or None."""
    return f"leaf = None if leaves is None else leaves[{at}]" if _is_long(row) else f"leaf = node.leaf{at}"


def _is_long(row: Row) -> bool:
    """Whether a node of this row may have more links than its record has fields for."""
    return row.variadic or len(row.inputs) > 2


def _pull_whole(vjp: str, pointwise: bool, paired: bool, indent: str, fresh: bool = False) -> list[str]:
    """The lines that compute the cotangent of an input and send it on to `leaf` or to the node `l`.

    fresh: nobody else has what the VJP gives.
    """
    want, kind, q = ("want", "kind", "q") if paired else ("l.shape", "l.array_type", "0")
    misfit = f"{want} is not shape and c.shape != {want}" if pointwise else f"c.shape != {want}"
    lines = [
        f"c = {vjp}",
        "if c is not None:",
        " if type(c) is ndarray:",
        f"  if {misfit} or c.dtype is not {kind}: c = fitted(c, {want}, {kind})",
        f" elif {want} or type(c) is not {kind}.type: c = fitted(c, {want}, {kind})",
        " if leaf is not None:",
        "  entry = arrivals[id(leaf)]; held = entry[2]",
        f"  if held is None: entry[2] = c{'; entry[3] = True' if fresh else ''}",
        "  elif entry[3]: held += c; entry[2] = held",
        "  else: entry[2] = held + c; entry[3] = True",
        " else:",
        "  held = pending[l]",
        "  if held is None: pending[l] = c",
        f"  elif type(held) is list: held[{q}] = c if held[{q}] is None else held[{q}] + c",
        "  else: pending[l] = held + c",
    ]
    return [indent + line for line in lines]
