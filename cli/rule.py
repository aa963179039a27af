"""`gradviz rule`: print the documentation of one rule, or a list of them all."""

from __future__ import annotations

import click

from ._output import shared_stdout


@click.command()
@click.argument("rule", required=False)
def command(rule: str | None) -> None:
    """Print what RULE looks for, why that is bad and what to write instead.

    RULE is a code such as GV101 or a name such as detach. Without one, all are listed, a line each.
    """
    from gradviz.diagnose import find_rule, rules
    from gradviz.diagnose.report import document_rule, list_rules

    text = list_rules(rules()) if rule is None else document_rule(find_rule(rule))
    with shared_stdout() as stdout:
        stdout.write(text)
