"""What is to be folded, as its reader asked for it, and the patterns by which scopes are meant."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase


@dataclass(frozen=True, slots=True)
class Choice:
    """How much is drawn as one.

    depth       scopes this deep are one box each; None leaves it to the size of the picture
    expand      patterns of scopes that are opened, with all around them
    collapse    patterns of scopes that are one box in any case
    everything  nothing is folded that `depth` and `collapse` do not name
    """

    depth: int | None = None
    expand: tuple[str, ...] = ()
    collapse: tuple[str, ...] = ()
    everything: bool = False


def is_meant(scope: str, patterns: tuple[str, ...]) -> bool:
    """Whether a pattern means `scope`: it fits the whole of it, or its last parts (`h.0` for `model.h.0`).

    >>> is_meant("model.h.0", ("h.0",)), is_meant("model.h.0", ("h.*",)), is_meant("model.h.0", ("0.h",))
    (True, True, False)
    """
    if not patterns:
        return False
    parts = scope.split(".")
    tails = [".".join(parts[at:]) for at in range(len(parts))]
    return any(fnmatchcase(tail, pattern) for pattern in patterns for tail in tails)
