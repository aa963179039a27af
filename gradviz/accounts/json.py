"""An account as JSON: the same that the text says, for programs; roads are whole."""

from __future__ import annotations

import json
from dataclasses import asdict
from math import isfinite

from gradviz.accounts.lookup import Found
from gradviz.accounts.records import Account


def as_json(account: Account) -> str:
    """One object; a norm that is no finite number is null. Lines of findings count from 1, 0 is unknown."""
    told = asdict(account)
    for passage in told["passages"]:
        if passage["norm"] is not None and not isfinite(passage["norm"]):
            passage["norm"] = None
    told["findings"] = [
        {
            "code": finding.code,
            "kind": finding.kind,
            "severity": finding.severity.value,
            "path": finding.path,
            "line": finding.line,
            "message": finding.message,
            "help": finding.help,
        }
        for finding in account.findings
    ]
    return json.dumps(told, indent=2) + "\n"


def choices_as_json(found: Found) -> str:
    """One object with the list of what there is to choose from."""
    return json.dumps({"choices": [asdict(choice) for choice in found.choices]}, indent=2) + "\n"
