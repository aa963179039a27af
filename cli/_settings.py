"""What a project asks of `gradviz check` in the `[tool.gradviz]` table of its pyproject.toml."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

from gradviz.errors import UsageError

SEVERITIES = ("error", "warning", "note", "never")


@dataclass(frozen=True, slots=True)
class Settings:
    """Codes of rules, or beginnings of codes, and the severity from which on the exit status is 1."""

    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    fail_on: str = "error"


def read_settings(folder: Path) -> Settings:
    """The settings in the nearest pyproject.toml of `folder` and the folders around it that has such a table.

    Raises `UsageError` for a file that is no TOML, and for a key or a value that means nothing.
    """
    for place in (folder, *folder.parents):
        path = place / "pyproject.toml"
        if not path.is_file():
            continue
        try:
            table = tomllib.loads(path.read_text(encoding="utf-8")).get("tool", {}).get("gradviz")
        except (OSError, ValueError) as error:
            raise UsageError(f"cannot read `{path}`: {error}", help="mend the file, or move it away") from None
        if table is not None:
            return _settings(table, path)
    return Settings()


def _settings(table: object, path: Path) -> Settings:
    if not isinstance(table, dict):
        raise UsageError(f"`tool.gradviz` in `{path}` is no table", help="write `[tool.gradviz]`")
    for key, value in table.items():
        fits = value in SEVERITIES if key == "fail-on" else _is_codes(value)
        if key not in ("select", "ignore", "fail-on") or not fits:
            known = '`select = ["GV1"]`, `ignore = ["GV504"]` and `fail-on = "warning"`'
            raise UsageError(f"`{key}` in `[tool.gradviz]` of `{path}` cannot be used", help=f"the keys are {known}")
    return Settings(tuple(table.get("select", ())), tuple(table.get("ignore", ())), table.get("fail-on", "error"))


def _is_codes(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(code, str) for code in value)
