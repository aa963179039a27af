"""What a parameter was used for ran under `inference_mode`.

## What it does
Looks for `inference_mode` regions behind which a trained parameter gets no gradient, or backward raises.

## Why is this bad
Tensors made there can never be tracked: `enable_grad` inside of it does not help.

## Example
    @torch.inference_mode()
    def forward(self, x):
        return self.layer(x)

## Use instead
    def forward(self, x):
        return self.layer(x)
"""

from __future__ import annotations

from collections.abc import Iterator

from gradviz.diagnose.complaining import complaints
from gradviz.diagnose.facts import Facts
from gradviz.diagnose.findings import Complaint

CODE = "GV203"


def check(facts: Facts) -> Iterator[Complaint]:
    """One complaint for each cut."""
    return complaints(
        facts,
        "inference_mode",
        "inside `inference_mode` opened at {line}",
        "leave `inference_mode`; where gradients are needed in an evaluation, `no_grad` can be undone by `enable_grad`",
    )
