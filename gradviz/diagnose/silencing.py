"""Comments that silence findings: `# gradviz: ignore[GV101]`, on any line of the statement that a finding is about.

The statement is found in the file, where it is still there and still says what was recorded; else the recorded line is
all there is. Of a compound statement (`with`, `for`, `def`) only the head counts, decorators with it.
"""

from __future__ import annotations

import ast
import linecache
import os
import re
from collections.abc import Iterable, Iterator, Mapping

from gradviz.diagnose.findings import Finding
from gradviz.events import Site

_COMMENT = re.compile(r"#\s*gradviz:\s*ignore\b(?:\s*\[([^\]]*))?", re.IGNORECASE)


class Comments:
    """The comments in the files of one recording."""

    def __init__(self) -> None:
        self._heads: dict[str, list[tuple[int, int]]] = {}

    def silence(self, finding: Finding) -> bool:
        """A comment on one of its lines names the finding's code, its beginning, or none at all."""
        return any(
            not codes or finding.code.startswith(codes) for line in self._lines(finding) for codes in _codes_in(line)
        )

    def _lines(self, finding: Finding) -> list[str]:
        lines = _lines_of(finding.path) if finding.line else []
        if not 0 < finding.line <= len(lines) or not lines[finding.line - 1].startswith(finding.source):
            return [finding.source]
        first, last = finding.line, finding.line
        if any(_COMMENT.search(line) for line in lines):  # only then is it worth to parse the file
            if finding.path not in self._heads:
                self._heads[finding.path] = sorted(_heads("".join(lines)))
            around = [(start, end) for start, end in self._heads[finding.path] if start <= finding.line <= end]
            first, last = max(around, default=(first, last))
        return lines[first - 1 : last]


def misspelt_codes(sites: Mapping[int, Site], known: Iterable[str]) -> list[tuple[str, int, str]]:
    """Codes in comments that no rule's code begins with: file, line, and the code as it is written."""
    known = tuple(known)
    texts = {(site.file, site.line): site.text for site in sites.values()}
    for file in {file for file, _ in texts}:
        texts |= {(file, number): line for number, line in enumerate(_lines_of(file), 1)}
    return sorted(
        (file, number, code)
        for (file, number), line in texts.items()
        for codes in _codes_in(line)
        for code in codes
        if not any(name.startswith(code) for name in known)
    )


def _lines_of(path: str) -> list[str]:
    """The lines of a file as it is now, or those that a notebook keeps of a cell; empty where there is none."""
    try:
        file = path if path.startswith("<") else os.path.abspath(path)
    except OSError:  # the working directory was deleted
        return []
    linecache.checkcache(file)
    return linecache.getlines(file)


def _codes_in(line: str) -> Iterator[tuple[str, ...]]:
    """The codes of each comment on a line; a comment without any stands for every rule."""
    for comment in _COMMENT.finditer(line):
        # Of each part the first word: behind a bracket that was not closed, there may be prose.
        yield tuple(part.split()[0].upper() for part in (comment[1] or "").split(",") if part.strip())


def _heads(source: str) -> Iterator[tuple[int, int]]:
    """First and last line of each statement; of a compound one, up to the line before its body."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.stmt):
            body = getattr(node, "body", None) or getattr(node, "cases", None)
            end = node.end_lineno or node.lineno
            yield _start(node), max(node.lineno, _start(body[0]) - 1) if body else end


def _start(node: ast.stmt | ast.match_case) -> int:
    if isinstance(node, ast.match_case):
        return node.pattern.lineno
    decorators: list[ast.expr] = getattr(node, "decorator_list", [])
    return min([node.lineno, *(decorator.lineno for decorator in decorators)])
