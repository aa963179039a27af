"""Compile a row: from its entry in the op table to one function that runs it and one that pulls its cotangent back.

`apply.remember` and `pullback.run_node` say what an op and its backward do, for any row and any inputs. Both look
everything up. Here the same steps are written out for one row, as `dataclasses` writes out an `__init__`: no loop over
inputs, no name looked up, records filled by plain stores. What `source_of_run` gives for `mul(x, y)` begins

    def run(x, y):
        if type(x) is not Tensor and not isinstance(x, Tensor): return general(row, (x, y), ())
        X, lx, nx, mx = x._data, x._origin, x._requires_grad, x._memory

Compiled code knows the ordinary case alone: operands that are tensors or Python numbers, of one float type where the
row promotes. It hands every other case to the general definition. A node that it made has no `GENERAL` flag.

An operand that is its op's second output, or a later one, has a pair for its link. So that the others need not ask, a
row has a second function for these, and another one that pulls back: the same steps, written with `paired`.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from gradviz.core.ops.table import argument_names

if TYPE_CHECKING:
    from gradviz.core.ops.table import Row

_INLINE = {operator.mul: "{} * {}", operator.add: "{} + {}", operator.sub: "{} - {}", operator.truediv: "{} / {}",
           operator.neg: "-{}"}  # fmt: skip
"""Forwards that are an operator of Python's and work element by element, written in place."""
_WRITTEN = {**_INLINE, operator.matmul: "{} @ {}"}


def keeps_type(forward: Callable[..., Any]) -> bool:
    """Whether a forward works element by element and gives what it takes: from one float type, that type again."""
    types = getattr(forward, "types", ())
    return forward in _INLINE or "f->f" in types or "ff->f" in types


def compiled(namespace: dict[str, Any], source: str, row: Row, **names: Any) -> Callable[..., Any]:
    """Execute `source`, which defines one function, with `namespace` and `names` for its globals."""
    scope = {**namespace, "row": row, "Node": row.node_class, "CAUSE": row.cause, **names}
    exec(compile(source, f"{__file__}.{row.key}", "exec"), scope)  # a file of gradviz's own is no site of the user's
    function: Callable[..., Any] = scope["made"]
    return function


def _needs(count: int, known: tuple[bool, ...] = ()) -> str:
    """An expression for the tuple of `n0`, `n1`, ...: a constant, the same one each time."""
    place = len(known)
    if place == count:
        return str(known)
    return f"({_needs(count, (*known, True))} if n{place} else {_needs(count, (*known, False))})"


MOST = 8
"""So many inputs at most a row may be compiled for that takes any number."""


def can_run(row: Row, count: int) -> bool:
    """Whether a call of `row` with `count` inputs can be compiled."""
    if row.variadic:
        return len(row.inputs) == 1 and not row.saved_names and 0 < count <= MOST
    return 0 < count <= len(row.inputs)


def can_pull(row: Row) -> bool:
    """Whether the backward of `row` can be compiled."""
    known = {*row.inputs, *row.static, *row.shared, "out", "out1", "shape", "index", "shapes", "outputs"}
    read = {name for names in row.reading_of for name in names}
    return (not row.variadic or can_run(row, 1)) and read <= known


def source_of_run(
    row: Row, count: int, forward: Any, floats: bool, fixed: bool, depth: int = 1, more: bool = False, unless: str = "",
    paired: bool = False,
) -> str:
    """A function of the inputs, and unless `fixed` of the static arguments, that does what `apply` does.

    floats: it is for tensors of one float type (float32 or float64) only.
    depth: how many calls lie between the user's code and it, itself included, in the ordinary case.
    more: it may be given other arguments, too, with which it calls `spare`.
    unless: an expression of the arrays, `a0` and so on, and of their records, `l0` and so on, that says where the case
    is not an ordinary one.
    paired: an input may be any of its op's outputs. If not, one that is not the first is handed to `paired`.
    """
    spots = range(count)
    xs = [f"x{i}" for i in spots]
    statics = [] if fixed else [f"s{i}" for i in range(len(row.static))]
    static = "static" if fixed else "(" + "".join(f"{name}, " for name in statics) + ")"
    inputs = "(" + "".join(f"{x}, " for x in xs) + ")"
    arrays = "(" + "".join(f"a{i}, " for i in spots) + ")"
    slow = f"return general(row, {inputs}, {static})"
    lines = [f"def made({', '.join(xs + statics + ['*more', '**named'] * more)}):"]
    put = lines.append
    if more:
        put(f" if more or named: return spare({', '.join(xs)}, *more, **named)")
    for i in spots:
        x = f"x{i}"
        put(f" if type({x}) is Tensor or isinstance({x}, Tensor):")
        if i:
            put(f"  r{i} = True")
        put(f"  a{i} = {x}._data; l{i} = {x}._origin; n{i} = {x}._requires_grad; m{i} = {x}._memory; view = {x}._view")
        stale = f"(view.version != m{i}.version or not n{i} and view.base._requires_grad)"
        if paired:
            lines.insert(1, f" q{i} = 0")
            put(f"  q{i} = {x}._number")
            put(f"  if view is not None and {stale}: {slow}")
        else:
            put(f"  if {x}._number or view is not None and {stale}: return paired(row, {inputs}, {static})")
        if floats:
            kind = f"a{i}.dtype" if paired else f"l{i}.array_type"
            put(f"  own = {kind}" if not i else f"  if {kind} is not own: {slow}")
            if not i:
                put(f"  if own is not F32 and own is not F64: {slow}")
        if i:
            put(f" elif type({x}) is float or type({x}) is int: a{i} = l{i} = {x}; n{i} = r{i} = False; m{i} = None")
        put(f" else: {slow}")
    if unless:
        put(f" if {' or '.join([*(f'not r{i}' for i in spots[1:]), unless])}: {slow}")
    if row.view:
        put(" if type(a0) is not ndarray: a0 = x0._array()")
    call = [f"a{i}" for i in spots]
    inline = _WRITTEN.get(forward)
    rest = ["*static"] if fixed and row.static and forward is row.forward else statics if forward is row.forward else []
    text = inline.format(*call) if inline else f"forward({', '.join(call + rest)})"
    put(f" try: {'every' if row.plural else 'out'} = {text}")
    put(" except ValueError as error:")
    put(f"  refuse_shapes(error, {arrays}); raise")
    put(" region = current()")
    whole = "every" if row.plural else "out"
    otherwise = f"return remember(row, {inputs}, {arrays}, {static}, {whole})"
    same_type = floats and keeps_type(forward)
    if row.plural:
        put(f" if region is not None and region.inference or type(every) is not tuple or not every: {otherwise}")
        put(" out = every[0]; others = tuple([(one.shape, one.dtype) for one in every[1:]])")
    else:
        put(f" if region is not None and region.inference{'' if same_type else ' or type(out) is tuple'}: {otherwise}")
    if paired:
        put(" k0 = one_shape(a0.shape, a0.shape)")
    lines += _describe_result(same_type, floats and row.differentiable, count, slow, paired)
    put(f" frame = getframe({depth}); code = frame.f_code")
    put(" if code is not here[0]:")  # to ask for its file takes longer
    put("  if code.co_filename in user_files: here[0] = code")
    put("  else: frame = user_frame(frame); code = frame.f_code")
    formulas = row.formulas_of(count)
    derived = [i for i in spots if formulas[i] is not None]
    wanted = " or ".join(f"n{i}" for i in derived)
    if derived:
        fractions = "" if floats and row.differentiable else " and (kind is F32 or kind is F64)"
        put(f" if ({wanted}) and (region is None or region.tracks){fractions}:")
        lines += _fill_node(row, count, derived)
        put(" else:")
    else:
        put(" if 1:")
    lines += _fill_trace(row, count, otherwise)
    links = [f"(l{i}, q{i}) if q{i} else l{i}" if paired else f"l{i}" for i in spots]
    put(f" step.shape = shape; step.links = ({''.join(link + ', ' for link in links)})")
    put(f" step.needs = {_needs(count)}")
    put(f" step.static = {static}; step.code = code")
    put(" lasti = frame.f_lasti; step.lasti = OFFSETS[lasti] if lasti < 4096 else lasti")
    flags = [name for name, has in (("ALIAS", row.view), ("PAIRED", paired)) if has]
    put(f" step.array_type = kind; step.flags = {' | '.join(flags) or '0'}")
    number, data, step = ("number", "one", "(row.forward, static, number)") if row.plural else ("0", "out", static)
    if row.plural:
        put(" if others: step.more = others; step.flags |= SEVERAL")
        put(" results = []" if fixed else f" results = []; static = {static}")
        put(" for number, one in enumerate(every):")
    make = ["result = Tensor()"]
    closed = f" and number not in {row.nondifferentiable_outputs}" if row.nondifferentiable_outputs else ""
    make.append(f"result._data = {data}; result._origin = step; result._number = {number}")
    make.append(f"result._requires_grad = tracked{closed}; result._grad = result._view = result._extras = None")
    make.append(f"result._memory = {'Storage() if others else None' if row.plural else 'None'}")
    if row.view:
        make += _share(row, count, "nth" if row.plural else "forward", step)
    if row.plural:
        make.append("results.append(result)")
    lines += [f"{'  ' if row.plural else ' '}{line}" for line in make]
    put(f" if attended: finish(step, frame, {'every' if row.plural else 'out'})")
    put(f" return {'tuple(results)' if row.plural else 'result'}")
    return "\n".join(lines) + "\n"


def _share(row: Row, count: int, forward: str, static: str) -> list[str]:
    """The lines that make the result a view; what is not an ordinary tensor's memory is left to `share`."""
    general = f"share(result, x0, row, ({forward}, {static}), region)"
    if row.cause is not None or count > 1:
        return [general]
    made = "SEVERAL_VIEWS" if row.plural else "TRACKED if view is None else view.made"
    return [
        "memory = m0 if m0 is not None else x0._storage; version = memory.version",
        f"if version is None: {general}",
        "else:",
        " result._memory = memory; result._view = cut = View.__new__(View); cut.version = version",
        f" if view is None: cut.base = base = x0; cut.own = (({forward}, {static}),)",
        f" else: cut.base = base = view.base; cut.own = (*view.replay, ({forward}, {static}))",
        f" cut.made = NO_GRAD if region is not None and not region.tracks else {made}",
        " if base._requires_grad and not tracked: step.flags |= LEAF_GRAD",
    ]


def _describe_result(same_type: bool, checked: bool, count: int, slow: str, paired: bool) -> list[str]:
    """The lines that find dtype and shape of what came out. They share the tuple of an input, where it is the same."""
    first = "k0" if paired else "l0.shape"
    if same_type:
        lines = [f" kind = own; shape = {first}"]
        if count > 1 and paired:
            lines.append(" if r1 and out.shape != shape: shape = one_shape(out.shape, out.shape)")
        elif count > 1:
            lines.append(" if r1 and l1.shape is not shape:")
            lines.append("  if out.shape != shape: shape = one_shape(out.shape, out.shape)")
        return lines
    lines = [" if type(out) is float32: kind = F32; shape = ()"]  # numpy takes long to say it of a scalar
    lines.append(" else: kind = out.dtype; shape = out.shape")
    if checked:
        lines.append(f" if kind is not own: {slow}")
    lines.append(f" shape = {first} if {first} == shape else one_shape(shape, shape)")
    return lines


def _fill_node(row: Row, count: int, derived: list[int]) -> list[str]:
    id = "next_ids(len(every)) if others else next_id()" if row.plural else "next_id()"
    lines = ["  tracked = True", f"  step = Node(); step.id = {id}"]
    lines.append("  step.rare = None if region is None else {'region': region}")
    values, marks, memories = [], [], []
    made = {"out": "every" if row.plural else "out", "out1": "every[1]"}
    for name in row.saved_names:
        readers = [i for i in derived if name in row.reads[i]]  # a row that takes any number of inputs saves none
        when = "" if len(derived) == 1 else " or ".join(f"n{i}" for i in readers) or "False"
        place = row.inputs.index(name) if name in row.inputs else -1
        value = made.get(name) or (f"a{place}" if 0 <= place < count else "None")
        values.append(f"{value} if {when} else None" if when else value)
        marks.append("None")
        if 0 <= place < count:
            memories.append(f"m{place} is None")
            marks[-1] = f"mark_of(x{place})" if not when else f"mark_of(x{place}) if {when} else None"
    linked = " if r1 else LINKED" if count == 2 and _is_linked(row) else ""
    lines.append(f"  step.saved = ({''.join(value + ', ' for value in values)}){linked}")
    if memories:
        numbers = " and ".join(f"r{i}" for i in range(1, count))
        fresh = f"FRESH if {numbers} else NUMBERS" if numbers else "FRESH"
        lines.append(f"  if {' and '.join(memories)}: step.marks = {fresh}")
        lines.append(f"  else: step.marks = ({''.join(mark + ', ' for mark in marks)})")
    else:
        lines.append("  step.marks = FRESH")
    for i in derived:
        lines.append(f"  f{i} = x{i} if n{i} and type(l{i}) is Untracked else None")
    some = " and ".join(f"f{i} is None" for i in derived)
    leaves = "".join(f"f{i}, " if i in derived else "None, " for i in range(count))
    lines.append(f"  step.leaves = None if {some} else ({leaves})")
    return lines


def _fill_trace(row: Row, count: int, otherwise: str) -> list[str]:
    """The lines for an op that is not tracked; what they do not know is left to the line `otherwise`."""
    spots = range(count)
    past = " + ".join(f"(l{i}.past if r{i} else 0)" if i else "l0.past" for i in spots)
    lines = ["  tracked = False", "  cause = None"]
    lines.append(f"  if {' or '.join(f'n{i}' for i in spots)}:")
    if row.cause is not None:
        lines.append("   cause = CAUSE")
    else:
        lines.append("   if region is not None and not region.tracks: cause = region.cause")
        reason = "INTEGER if kind.kind in 'iu' else NONDIFFERENTIABLE"
        lines.append(f"   else: {otherwise if row.differentiable else f'cause = {reason}'}")
    for i in spots:
        lines.append(f"   if {f'r{i} and ' if i else ''}type(l{i}) is not Untracked:")
        lines.append(f"    if not isinstance(l{i}, AnyNode): {otherwise}")
        lines.append(f"    l{i} = Faint(l{i})")
    lines.append(f"  past = {past}")
    lines.append(f"  if past >= LIMIT: {otherwise}")
    id = "next_ids(len(every)) if others else next_id()" if row.plural else "next_id()"
    lines.append(f"  step = Untracked(); step.id = number = oldest = {id}; step.cause = cause")
    lines.append("  if past:")
    for i in spots:
        known = f"r{i} and " if i else ""
        lines.append(f"   if {known}l{i}.past and l{i}.oldest < oldest: oldest = l{i}.oldest")
    lines.append("   if number - oldest < past: past = number - oldest")
    lines.append("  step.past = past + 1; step.oldest = oldest")
    lines.append("  step.rare = None; step.row = row; step.region = region")
    return lines


def _is_linked(row: Row) -> bool:
    """Whether all that the cotangent of a first input asks for is the second one: a number need not be saved."""
    return len(row.inputs) == 2 and row.formulas[0] is not None and set(row.reads[0]) == {row.inputs[1]}


def source_of_pull(row: Row, pointwise: bool, paired: bool = False) -> str:
    """A function that does what `pullback.run_node` does for a node that compiled code made.

    pointwise: its VJPs work element by element, so that a cotangent has the result's shape.
    paired: its links may be pairs, and it may have several outputs, the cotangents of which are a tuple then.
    """
    derived = {i: formula[1] for i, formula in enumerate(row.formulas) if formula is not None}
    names = row.saved_names
    lines = ["def made(node, g, pending, arrivals, keep):"]
    lines.append(" links = node.links; needs = node.needs; shape = node.shape; leaves = node.leaves")
    put = lines.append
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
        about = {"shape": "want" if paired else f"links[{at}].shape", "index": str(at)}
        own = {*row.inputs, *row.static, *row.shared}  # `select` has an index of its own
        arguments = ", ".join(["g", *(f"v_{name}" if name in own else about.get(name, f"v_{name}") for name in reads)])
        if row.variadic:
            put(" for i in range(len(links)):")
            put("  if not needs[i]: continue")
        else:
            put(f" if len(needs) > {i} and needs[{i}]:" if i else " if needs[0]:")
        put(f"  l = links[{at}]")
        if paired:
            put("  if type(l) is tuple: l, q = l; want, kind = l.more[q - 1]")
            put("  else: q = 0; want = l.shape; kind = l.array_type")
        part = row.parts.get(row.inputs[i])
        if part is None:
            lines += _pull_whole(i, at, arguments, pointwise, paired, "  ")
        else:
            key = ", ".join(f"v_{name}" for name in argument_names(part, 0))
            put(f"  entry = None if leaves is None or leaves[{at}] is None else arrivals[id(leaves[{at}])]")
            put("  held = pending[l] if entry is None else entry[2] if entry[3] else None")
            put("  if type(held) is ndarray and "
                "(entry is not None or getrefcount(held) == SOLE + 1 and held.base is None): "
                f"held[p{i}({key})] += g")  # fmt: skip
            put("  else:")
            lines += _pull_whole(i, at, arguments, pointwise, paired, "   ", fresh=True)
    if names:
        put(" if not keep: node.saved = FREED; node.marks = ()")
    return "\n".join(lines) + "\n"


def _unpack(row: Row) -> list[str]:
    """The lines that see to it that what a node saved is there and is as it was, and give it names."""
    names = row.saved_names
    lines = [" saved = node.saved; marks = node.marks"]
    put = lines.append
    put(" if saved is FREED: raise noted(RuntimeError(SECOND_TIME), node)")
    kept = [i for i in range(len(row.inputs)) if row.inputs[i] in names]
    # What had no storage when it was saved may have one since, and may have been written.
    since = "{0}.flags & STORED and {0}.storage.version"
    late = [f"{'' if not i else f'len(links) > {i} and '}{since.format(f'links[{i}]')}" for i in kept]
    first = [text for text in late if text.startswith("links")]
    own = [since.format("node")] if "out" in names else []
    put(f" if marks is FRESH:\n  if {' or '.join(late + own) or 'False'}: check_versions(node)")
    put(f" elif marks is NUMBERS:\n  if {' or '.join(first + own) or 'False'}: check_versions(node)")
    stored = [f"len(links) > {i} and getattr(links[{i}], 'flags', 0) & STORED and links[{i}].storage.version"
              for i in kept]  # fmt: skip
    places = [names.index(row.inputs[i]) for i in kept]
    changed = [f"(m[0].version != m[1] if (m := marks[{place}]) else {text})"
               for place, text in zip(places, stored, strict=True)]  # fmt: skip
    put(f" elif {' or '.join(changed + own) or 'False'}: check_versions(node)")
    unpacked = f"{''.join(f'v_{name}, ' for name in names)} = saved"
    if _is_linked(row):
        nothing = f"v_{row.inputs[0]} = None; " if row.inputs[0] in names else ""
        put(f" if saved is LINKED: {nothing}v_{row.inputs[1]} = links[1]")
        put(f" else: {unpacked}")
    else:
        put(f" {unpacked}")
    return lines


def _pull_whole(
    i: int, at: int | str, arguments: str, pointwise: bool, paired: bool, indent: str, fresh: bool = False
) -> list[str]:
    """The lines that compute the cotangent of input `at` and send it on. fresh: nobody else has what the VJP gives."""
    want, kind, q = ("want", "kind", "q") if paired else ("l.shape", "l.array_type", "0")
    misfit = f"{want} is not shape and c.shape != {want}" if pointwise else f"c.shape != {want}"
    lines = [
        f"c = d{i}({arguments})",
        "if c is not None:",
        " if type(c) is ndarray:",
        f"  if {misfit} or c.dtype is not {kind}: c = fitted(c, {want}, {kind})",
        f" elif {want} or type(c) is not {kind}.type: c = fitted(c, {want}, {kind})",
        f" if leaves is not None and leaves[{at}] is not None:",
        f"  entry = arrivals[id(leaves[{at}])]; held = entry[2]",
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
