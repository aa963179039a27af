"""Scores `gradviz check` on the programs in tests/cases. `python tests/score_cases.py [NUMBER ...]` prints a table."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

CASES = Path(__file__).parent / "cases"
ROOT = Path(__file__).parents[1]

Case = dict[str, Any]


@cache
def expected() -> tuple[Case, ...]:
    """What expected.json says, one record for each program."""
    return tuple(json.loads((CASES / "expected.json").read_text(encoding="utf-8")))


def check(case: Case) -> list[Case]:
    """The findings of `gradviz check` for one program, which runs in a process of its own."""
    return findings_of(CASES / case["file"])


def findings_of(program: Path, *options: str) -> list[Case]:
    """What `gradviz check` finds in a program, which runs in a process of its own."""
    path = os.pathsep.join([str(ROOT), *sys.path])
    command = [sys.executable, "-m", "gradviz", "check", str(program), "--format", "json", *options]
    done = subprocess.run(
        [*command, "--fail-on", "never"],
        env={**os.environ, "PYTHONPATH": path, "PYTHONWARNINGS": "ignore"},
        cwd=program.parent,
        capture_output=True,
        text=True,
        timeout=300,
    )
    try:
        findings: list[Case] = json.loads(done.stdout)["findings"]
    except ValueError:
        raise AssertionError(f"{program.name}: no findings were printed\n{done.stderr[-2000:]}") from None
    return findings


def judge(case: Case, findings: Iterable[Case]) -> str:
    """What is wrong with `findings` for `case`; empty where all is right.

    A healthy program must get no error and no warning. Any other must get a finding of an accepted kind on a culprit
    line, or within the simple statement that stands there; such findings must name all that is affected, and nothing
    that does get its gradient.
    """
    findings = list(findings)
    if case["healthy"]:
        loud = [f"{f['severity']} {f['code']} at line {f['line']}" for f in findings if f["severity"] != "note"]
        return f"healthy, but {', '.join(loud)}" if loud else ""
    of_kind = [f for f in findings if f["kind"] in case["accepted_kinds"]]
    if not of_kind:
        got = ", ".join(f"{f['kind']} at line {f['line']}" for f in findings) or "nothing"
        return f"no finding of kind {' or '.join(case['accepted_kinds'])}, but {got}"
    lines = culprit_lines(case)
    here = [f for f in of_kind if f["line"] in lines and Path(f["path"]).name == case["file"]]
    if not here:
        return f"at line {', '.join(str(f['line']) for f in of_kind)}, not at {sorted(case['culprit_lines'])}"
    names = {name for f in here for name in f["names"]}
    missing = [name for name in case["affected"] if name not in names]
    wrong = [name for name in case["gets_gradient"] if name in names]
    if missing:
        return f"does not name {', '.join(missing)}, but {', '.join(sorted(names)) or 'nothing'}"
    return f"names {', '.join(wrong)}" if wrong else ""


def culprit_lines(case: Case) -> set[int]:
    """The culprit's lines, and all lines of the simple statements that stand there."""
    found = set(case["culprit_lines"])
    tree = ast.parse((CASES / case["file"]).read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.stmt) and not hasattr(node, "body"):
            extent = set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
            if extent & set(case["culprit_lines"]):
                found |= extent
    return found


def main(numbers: list[str]) -> int:
    """Print one line for each miss, and for each kind how many are right. Returns how many are missed."""
    table: dict[str, list[bool]] = {}
    missed = 0
    for case in expected():
        if numbers and not case["file"].startswith(tuple(numbers)):
            continue
        wrong = judge(case, check(case))
        table.setdefault("healthy" if case["healthy"] else case["kind"], []).append(not wrong)
        if wrong:
            missed += 1
            print(f"{case['file']}: {wrong}", flush=True)
    width = max(map(len, table), default=0)
    print()
    for kind, results in sorted(table.items()):
        print(f"{kind:{width}}  {sum(results):2} of {len(results):2}")
    right = sum(sum(results) for results in table.values())
    print(f"{'all':{width}}  {right:2} of {right + missed:2}")
    return missed


if __name__ == "__main__":
    sys.exit(1 if main(sys.argv[1:]) else 0)
