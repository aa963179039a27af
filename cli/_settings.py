"""What a project asks of `gradviz check`: the `[tool.gradviz]` table of its pyproject.toml."""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from gradviz.errors import UsageError

SEVERITIES = ("error", "warning", "note", "never")

_EXAMPLES = {"select": '["GV1", "GV2"]', "ignore": '["GV504"]', "fail-on": '"warning"'}


@dataclass(frozen=True, slots=True)
class Settings:
    """Codes of rules, or beginnings of codes, and the severity from which on the exit status is 1."""

    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    fail_on: str = "error"


def read_settings(*folders: Path) -> Settings:
    """The settings in the nearest pyproject.toml that has such a table: around the first of `folders`, else the next.

    Raises `UsageError` for a file that is no TOML, and for a key or a value that means nothing.
    """
    for place in dict.fromkeys(parent for folder in folders for parent in (folder, *folder.parents)):
        path = place / "pyproject.toml"
        if not path.is_file():
            continue
        try:
            tool = tomllib.loads(path.read_text(encoding="utf-8")).get("tool")
        except (OSError, ValueError) as error:
            raise UsageError(f"cannot read `{_shown(path)}`: {error}", help="mend the file, or move it away") from None
        if isinstance(tool, dict) and "gradviz" in tool:
            return _settings(tool["gradviz"], f"`[tool.gradviz]` of `{_shown(path)}`")
    return Settings()


def _settings(table: object, where: str) -> Settings:
    if not isinstance(table, dict):
        raise UsageError(f"{where} is no table", help="write `[tool.gradviz]` and a line for each setting")
    for key, value in table.items():
        if key not in _EXAMPLES:
            keys = ", ".join(f"`{name}`" for name in _EXAMPLES)
            help = _near(key.replace("_", "-"), _EXAMPLES, f"the keys are {keys}")
            raise UsageError(f"{where} has the unknown key `{key}`", help=help)
        if key == "fail-on":
            if value not in SEVERITIES:
                known = ", ".join(SEVERITIES)
                help = _near(str(value), SEVERITIES, f"write one of {known}")
                raise UsageError(f"`fail-on` in {where} is `{value}`, not one of {known}", help=help)
        elif not isinstance(value, list) or not all(isinstance(code, str) for code in value):
            raise UsageError(f"`{key}` in {where} is no list of codes", help=f"write `{key} = {_EXAMPLES[key]}`")
    from gradviz.diagnose.choosing import codes_of

    return Settings(
        codes_of(table.get("select", ()), f"`select` in {where}"),
        codes_of(table.get("ignore", ()), f"`ignore` in {where}"),
        table.get("fail-on", "error"),
    )


def _near(word: str, known: Iterable[str], otherwise: str) -> str:
    close = difflib.get_close_matches(word, list(known), n=1)
    return f"did you mean `{close[0]}`?" if close else otherwise


def _shown(path: Path) -> str:
    """A path as short as it can be said from here."""
    relative = os.path.relpath(path)
    return relative if len(relative) < len(str(path)) else str(path)
