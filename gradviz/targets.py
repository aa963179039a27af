"""Targets: what an assignment such as `a, (b, c[i]) = ...` calls each result of a call."""

from __future__ import annotations


def single_target(target: str) -> str:
    """The name that an assignment to `target` gives a lone result: none for an unpacked tuple, none for `_`."""
    parts = _split(target)
    return "" if len(parts) > 1 or target == "_" else parts[0]


def unpacked_target(target: str, index: int, count: int) -> str:
    """The name that an assignment to `target` gives result `index` of `count`: `a` of `a, b`, or `r[0]` of `r`."""
    parts = _split(target)
    if parts == [""]:
        return ""
    if len(parts) == 1 and not target.endswith(","):
        return f"{target}[{index}]"
    star = next((at for at, part in enumerate(parts) if part.startswith("*")), None)
    if star is not None:
        rest = count - len(parts) + 1
        parts[star:star + 1] = [f"{parts[star][1:]}[{at}]" for at in range(rest)]
    return parts[index] if len(parts) == count and parts[index] != "_" else ""


def _split(target: str) -> list[str]:
    """The parts of an assignment target: `a, b[i, j]` has two."""
    parts, depth, start = [], 0, 0
    for at, character in enumerate(target):
        depth += (character in "([{") - (character in ")]}")
        if character == "," and not depth:
            parts.append(target[start:at].strip())
            start = at + 1
    rest = target[start:].strip()
    return [*parts, rest] if rest or not parts else parts
