"""`gradviz rule`: print the documentation of one rule."""

from __future__ import annotations

import click

from ._output import shared_stdout


@click.command()
@click.argument("rule")
def command(rule: str) -> None:
    """Print what RULE looks for, why that is bad and what to write instead.

    RULE is a code such as GV101 or a name such as detach; `gradviz check --rules` lists them.
    """
    from gradviz.diagnose import find_rule
    from gradviz.diagnose.report import document_rule

    found = find_rule(rule)
    with shared_stdout() as stdout:
        stdout.write(document_rule(found))
