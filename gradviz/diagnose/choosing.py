"""Which rules a user chose: codes, or beginnings of codes."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from gradviz.diagnose.registry import rules
from gradviz.errors import UsageError


def codes_of(given: str | Iterable[str], where: str) -> tuple[str, ...]:
    """The codes or beginnings of codes in texts that may hold several, parted by commas.

    Raises `UsageError`, which begins with `where`, for one that begins no rule's code, and where there is none at all.
    """
    texts = (given,) if isinstance(given, str) else tuple(given)
    codes = tuple(code.strip().upper() for text in texts for code in text.split(",") if code.strip())
    if texts and not codes:
        raise UsageError(f"{where} names no rule", help="leave it out, or name codes such as `GV101` or `GV1`")
    known = [rule.code for rule in rules()]
    for code in codes:
        if not any(name.startswith(code) for name in known):
            close = difflib.get_close_matches(code, known, n=len(known))
            # Of those that are as close, one of the same family.
            near = max(close, key=lambda name: name[:3] == code[:3], default="")
            help = f"did you mean `{near}`?" if near else "`gradviz check --rules` lists them"
            raise UsageError(f"{where}: no rule has a code that begins with `{code}`", help=help)
    return codes
