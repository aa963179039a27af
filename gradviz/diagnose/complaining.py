"""Complaining: what the rules on lost roads say of each one: who lost what, by which line, and the way out."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from gradviz.diagnose.blaming import MODES, cut_of
from gradviz.diagnose.counting import lost_count, roads_are_cut
from gradviz.diagnose.facts import Facts, verb
from gradviz.diagnose.findings import Complaint, Severity
from gradviz.diagnose.lost import Lost, lost_roads, ways_back
from gradviz.graphs import Cut
from gradviz.picture.wording import join

_LINES = 4
_SWITCH_ON = "switch grad mode on before this runs"


def complaints(
    facts: Facts, kind: str, how: str | Callable[[Facts, Lost], str], help: str | Callable[[Facts, Lost], str]
) -> Iterator[Complaint]:
    """What a rule on `kind` says: `how` follows "is cut by", or "ran" where grad mode was off, and has `{line}` in it.

    `help` is the one action. Either may be asked of one loss.
    """
    for lost in lost_roads(facts):
        if lost.kind == kind:
            cut = cut_of(facts, lost.op)
            if cut.cause in MODES and not _is_opened(facts, cut):
                told, advice = "with grad mode off, as it was before the recording began", _SWITCH_ON
            else:
                told = (how if isinstance(how, str) else how(facts, lost)).format(line=_opener(facts, lost))
                advice = help if isinstance(help, str) else help(facts, lost)
            yield _complaint(facts, lost, told, advice)


def _is_opened(facts: Facts, cut: Cut) -> bool:
    """Somebody in the program switched off the grad mode that cuts."""
    return cut.region is not None and bool(facts.graph.regions[cut.region].kind)


def _opener(facts: Facts, lost: Lost) -> str:
    """`line 5`, and the function there where a grad mode that somebody else switched off is to blame."""
    sites = facts.graph.sites
    opener = sites.get(lost.site) if lost.site is not None else None
    used = sites.get(lost.used) if lost.used is not None else None
    line = facts.line(lost.site)
    if opener is None or used is None or opener.text.lstrip().startswith("@"):
        return line
    return f"{line} in `{opener.function}`" if opener.function not in (used.function, "<module>") else line


def _complaint(facts: Facts, lost: Lost, how: str, help: str) -> Complaint:
    subject = facts.subject(lost.values, "parameter")
    it = verb(lost.values, "its", "their")
    related: list[tuple[int | None, str]] = []
    if lost.used is not None:
        related.append((lost.used, "the last use on the road to the loss"))
    opener = facts.graph.sites.get(lost.site) if lost.site is not None else None
    if opener is not None and opener.text.lstrip().startswith("@"):
        related.append((opener.caller, "called here on the road to the loss"))
    related += [(site, "the same happens here") for site in lost.others]
    if lost.sweep is not None:
        related.append((lost.sweep.site, "backward starts here"))
    related += [(site, "another road is cut here") for site in lost.elsewhere]
    related += [(site, "this goes on with the numbers") for site in lost.through]
    mode = cut_of(facts, lost.op).cause in MODES
    road = _road(facts, lost, how, it, mode)
    severity = Severity.ERROR
    match lost.state:
        case "raised":
            root = facts.name(lost.sweep.roots[0]) if lost.sweep and lost.sweep.roots else ""
            message = f"backward cannot start{f' at `{root}`' if root else ''}: {subject} went into it, but {road}"
        case "starved":
            owned = any(facts.parameters[value].owners for value in lost.values if value in facts.parameters)
            severity = Severity.ERROR if owned else Severity.WARNING
            role = (
                f"{verb(lost.values, 'is', 'are')} in the optimizer"
                if owned
                else f"{verb(lost.values, 'requires', 'require')} grad"
            )
            returned = any(facts.parameters[value].gradients for value in lost.values if value in facts.parameters)
            none = "no gradient from `backward`" if returned else "no gradient"
            message = f"{subject} {role} but got {none}: {road}"
        case "term":
            severity = Severity.WARNING
            message = f"the term `{lost.term}` of the loss is a constant, which trains nothing: {subject} went into it"
            message += (
                f", but {f'the last use ({facts.line(lost.used)}) ran' if mode else f'{it} road is cut by'} {how}"
            )
            if lost.through:
                lines = join(list(dict.fromkeys(facts.line(site) for site in lost.through)), _LINES)
                message += f"; {lines} {'goes' if lines.count('line') == 1 else 'go'} on with its numbers"
        case _:
            severity = Severity.WARNING
            message = (
                f"{subject} {verb(lost.values, 'is', 'are')} used past autograd by {how}: that use adds "
                f"nothing to {it} gradient"
            )
    return Complaint(severity, message, help, lost.site, lost.values, tuple(related), returns=ways_back(facts, lost))


def _road(facts: Facts, lost: Lost, how: str, it: str, mode: bool) -> str:
    """What became of the road from the tensors of `lost` to the loss."""
    where = f" ({facts.line(lost.used)})" if lost.used is not None else ""
    last = f" (last at {facts.line(lost.used)})" if lost.used is not None else ""
    if lost.elsewhere:
        places = " and ".join(facts.line(site) for site in lost.elsewhere)
        here = f"the last use{where} on one ran {how}" if mode else f"one by {how}"
        rest = "the other" if len(lost.elsewhere) == 1 else "others"
        return f"{it} roads to the loss are cut, {here}, {rest} at {places}"
    if not mode:
        here = facts.line(lost.site)
        also = [line for line in dict.fromkeys(map(facts.line, lost.others)) if line != here]
        count = lost_count(facts, lost.values, lost.op, lost.sweep)
        count = 1 if count is None else count
        count = 0 if also and count == 1 else count  # one road to each of several losses
        return f"{roads_are_cut(count, 'the loss', verb(lost.values, 'it', 'them'))} by {join([how, *also])}"
    if all(_only_used_with_grad_off(facts, value) for value in lost.values):
        return f"every use of {verb(lost.values, 'it', 'them')}{last} ran {how}"
    count = lost_count(facts, lost.values, lost.op, lost.sweep)
    if count in (None, 1):
        return f"the last use on {it} road to the loss{where} ran {how}"
    return f"{roads_are_cut(count or 0, 'the loss', verb(lost.values, 'it', 'them'))}: the last use{where} ran {how}"


def _only_used_with_grad_off(facts: Facts, value: int) -> bool:
    """No op used the tensor while grad mode was on: none recorded it, and none used it while it was frozen."""
    versions = facts.parameters[value].versions if value in facts.parameters else (value,)
    users = [facts.graph.ops[op] for version in versions for op in facts.consumers.get(version, ())]
    return all(op.cause in MODES or facts.renews(op) or facts.in_sweep(op) for op in users)
