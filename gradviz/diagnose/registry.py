"""The rules: every module of this package that has a `CODE`, found by looking."""

from __future__ import annotations

import inspect
import pkgutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING

from gradviz.errors import UsageError

if TYPE_CHECKING:
    from gradviz.diagnose.facts import Facts
    from gradviz.diagnose.findings import Complaint


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. `kind` is its module's name, `name` the same with hyphens, `text` its documentation."""

    code: str
    kind: str
    text: str
    check: Callable[[Facts], Iterable[Complaint]]

    @property
    def name(self) -> str:
        """As the documentation writes it: `stale-optimizer`."""
        return self.kind.replace("_", "-")

    @property
    def title(self) -> str:
        """The first line of its documentation."""
        return self.text.partition("\n")[0]


@cache
def rules() -> tuple[Rule, ...]:
    """Every rule, by code."""
    from gradviz import diagnose

    found = []
    for module in pkgutil.iter_modules(diagnose.__path__):
        loaded = import_module(f"gradviz.diagnose.{module.name}")
        if hasattr(loaded, "CODE"):
            found.append(Rule(loaded.CODE, module.name, inspect.cleandoc(loaded.__doc__ or ""), loaded.check))
    return tuple(sorted(found, key=lambda rule: rule.code))


def find_rule(name: str) -> Rule:
    """The rule called `name`, by code or by name. Raises `UsageError` with near ones where there is none."""
    wanted = name.strip().lower().replace("_", "-")
    for rule in rules():
        if wanted in (rule.code.lower(), rule.name):
            return rule
    near = _near(wanted)
    help = f"did you mean {' or '.join(f'`{other}`' for other in near)}?" if near else "`gradviz rule` lists them all"
    raise UsageError(f"there is no rule `{name}`", help=help)


_MISTYPED = 0.75
"""How alike a code must be: one letter amiss of five. Any two codes share their `GV`, and some digit by chance."""


def _near(wanted: str) -> list[str]:
    """At most two rules that somebody who wrote `wanted` may mean: codes like it, else names of its words."""
    import difflib  # only a mistake needs it

    codes = difflib.get_close_matches(wanted.upper(), [rule.code for rule in rules()], n=2, cutoff=_MISTYPED)
    names = [rule.name for rule in rules()]
    worded = [name for name in names if wanted in name.split("-")]
    return codes or difflib.get_close_matches(wanted, names, n=2) or worded[:2]
