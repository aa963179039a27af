"""Compile a row: from its entry in the op table to one function that runs it. `compiling_pulls` has the way back.

`apply.remember` says what an op does, for any row and any inputs, and looks everything up. Here the same steps are
written out for one row, as `dataclasses` writes out an `__init__`: no loop over inputs, no name looked up, records
filled by plain stores. What `source_of_run` gives for `mul(x, y)` begins

    def run(x, y):
        if type(x) is not Tensor and not isinstance(x, Tensor): return general(row, (x, y), ())
        X, lx, nx, mx = x._data, x._origin, x._requires_grad, x._memory

Compiled code knows the ordinary case alone: operands that are tensors or Python numbers, of one float type where the
row promotes. It hands every other case to the general definition. A node that it made has no `GENERAL` flag.

An operand that is its op's second output, or a later one, has a pair for its link. So that the others need not ask, a
row has a second function for these: the same steps, written with `paired`.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

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
    put(" step.shape = shape")
    put(f" {_stored('link', [f'((l{i}, q{i}) if q{i} else l{i})' if paired else f'l{i}' for i in spots])}")
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


def _stored(name: str, values: list[str]) -> str:
    """Stores in the two fields of a record that keep a tuple of these values; see `fields`."""
    if len(values) == 2:
        return f"step.{name}0 = {values[0]}; step.{name}1 = {values[1]}"
    if len(values) == 1:
        return f"step.{name}0 = {values[0]}; step.{name}1 = ALONE"
    return f"step.{name}0 = ({''.join(value + ', ' for value in values)}); step.{name}1 = MANY"


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
    id = "next_ids(len(every)) if others else next(ids)" if row.plural else "next(ids)"
    lines = ["  tracked = True", f"  step = Node(); step.id = {id}"]
    lines.append("  step.rare = None if region is None else {'region': region}")
    values, marks, memories = [], [], []
    made = {"out": "every" if row.plural else "out", "out1": "every[1]"}
    for name in row.saved_names:
        readers = [i for i in derived if name in row.reads[i]]  # a row that takes any number of inputs saves none
        when = "" if len(derived) == 1 else " or ".join(f"n{i}" for i in readers) or "False"
        place = row.inputs.index(name) if name in row.inputs else -1
        value = made.get(name) or (f"a{place}" if 0 <= place < count else "None")
        values.append(f"({value} if {when} else None)" if when else value)
        marks.append("None")
        if 0 <= place < count:
            memories.append(f"m{place} is None")
            marks[-1] = f"mark_of(x{place})" if not when else f"mark_of(x{place}) if {when} else None"
    saved = _stored("saved", values)
    if count == 2 and is_linked(row):
        lines += [f"  if r1: {saved}", "  else: step.saved0 = LINKED; step.saved1 = MANY"]
    else:
        lines.append(f"  {saved}")
    if memories:
        numbers = " and ".join(f"r{i}" for i in range(1, count))
        fresh = f"FRESH if {numbers} else NUMBERS" if numbers else "FRESH"
        lines.append(f"  if {' and '.join(memories)}: step.marks = {fresh}")
        lines.append(f"  else: step.marks = ({''.join(mark + ', ' for mark in marks)})")
    else:
        lines.append("  step.marks = FRESH")
    leaves = [f"x{i} if n{i} and type(l{i}) is Untracked else None" if i in derived else "None" for i in range(count)]
    if count > 2:
        lines += [f"  f{i} = {leaf}" for i, leaf in enumerate(leaves) if i in derived]
        some = " and ".join(f"f{i} is None" for i in derived)
        every = "".join(f"f{i}, " if i in derived else "None, " for i in range(count))
        leaves = [f"None if {some} else ({every})", "None"]
    lines += [f"  step.leaf0 = {leaves[0]}", f"  step.leaf1 = {leaves[1] if count > 1 else 'None'}"]
    return lines


def _fill_trace(row: Row, count: int, otherwise: str) -> list[str]:
    """The lines for an op that is not tracked; what they do not know is left to the line `otherwise`."""
    spots = range(count)
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
    lines += [f"  past{i} = {f'l{i}.past if r{i} else 0' if i else 'l0.past'}" for i in spots]
    lines.append(f"  past = {' + '.join(f'past{i}' for i in spots)}")
    lines.append(f"  if past >= LIMIT: {otherwise}")
    id = "next_ids(len(every)) if others else next(ids)" if row.plural else "next(ids)"
    lines.append(f"  step = Untracked(); step.id = oldest = {id}; step.cause = cause")
    lines.append("  if past:")
    for i in spots:
        lines.append(f"   {'el' * bool(i)}if past{i} == past: oldest = l{i}.oldest")
    if count > 1:  # history that two inputs have may be the same
        lines.append("   else:")
        lines += [f"    if past{i} and l{i}.oldest < oldest: oldest = l{i}.oldest" for i in spots]
        lines.append("    if step.id - oldest < past: past = step.id - oldest")
    lines.append("  step.past = past + 1; step.oldest = oldest")
    lines.append("  step.rare = None; step.row = row; step.region = region")
    return lines


def is_linked(row: Row) -> bool:
    """Whether all that the cotangent of a first input asks for is the second one: a number need not be saved."""
    return len(row.inputs) == 2 and row.formulas[0] is not None and set(row.reads[0]) == {row.inputs[1]}
