"""The rules' documentation: the list of them, one of them as a page, and the page of all."""

from __future__ import annotations

from collections.abc import Iterable

from gradviz.diagnose.registry import Rule


def list_rules(rules: Iterable[Rule]) -> str:
    """One line for each rule: code, name, and what it looks for."""
    rules = tuple(rules)
    width = max((len(rule.name) for rule in rules), default=0)
    return "".join(f"{rule.code}  {rule.name:{width}}  {rule.title}\n" for rule in rules)


def document_rule(rule: Rule, level: int = 1) -> str:
    """The documentation of one rule in Markdown; its own headings are one `level` below its title."""
    body = rule.text.partition("\n")[2].strip().replace("\n## ", f"\n{'#' * (level + 1)} ")
    if body.startswith("## "):
        body = "#" * (level - 1) + body
    return f"{'#' * level} {rule.code}: {rule.name}\n\n{rule.title}\n\n{_spaced(body)}\n"


def document_rules(rules: Iterable[Rule]) -> str:
    """The page of all rules."""
    rules = tuple(rules)
    listed = "".join(
        f"- [{rule.code}: {rule.name}](#{rule.code.lower()}-{rule.name}): {rule.title}\n" for rule in rules
    )
    intro = (
        "# Rules\n\nWhat `gradviz check` looks for. `gradviz rule GV101` prints one of them. The page is made from\n"
        "the docstrings in `gradviz/diagnose`.\n\n"
    )
    return intro + listed + "\n" + "\n".join(document_rule(rule, level=2) for rule in rules)


def _spaced(body: str) -> str:
    """`body` with an empty line behind each heading, as Markdown wants it."""
    lines: list[str] = []
    for line in body.split("\n"):
        lines += [line, ""] if line.startswith("#") else [line]
    return "\n".join(lines)
