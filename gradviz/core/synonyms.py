"""Second names of ops, as PyTorch has them: `multiply` for `mul`, `clip` for `clamp`, `fix` for `trunc`, ..."""

from __future__ import annotations

from gradviz.core.composites import called
from gradviz.core.public import FUNCTIONS, METHODS

_SYNONYMS = {
    "multiply": "mul",
    "divide": "div",
    "true_divide": "div",
    "subtract": "sub",
    "negative": "neg",
    "absolute": "abs",
    "arcsin": "asin",
    "arccos": "acos",
    "arctan": "atan",
    "arcsinh": "asinh",
    "arccosh": "acosh",
    "arctanh": "atanh",
    "arctan2": "atan2",
    "fix": "trunc",
    "clip": "clamp",
}
"""Functions, methods, and methods that write in place."""
_COMPARISONS = {"greater": "gt", "greater_equal": "ge", "less": "lt", "less_equal": "le", "not_equal": "ne"}
"""Functions and methods."""
_WRITES = ("relu_", "zero_", "fill_", "clamp_", "clamp_min_", "clamp_max_", "detach_", "round_", "xlogy_", "ldexp_")
"""Methods that are functions, too."""
_STACKS = {"row_stack": "vstack"}
"""Functions only."""


def add_synonyms() -> None:
    """Publish the second names, once every op is published. Raises KeyError where an op has no first name."""
    for second, first in {**_SYNONYMS, **_COMPARISONS, **_STACKS}.items():
        FUNCTIONS[second] = called(second)(FUNCTIONS[first])
    for second, first in {**_SYNONYMS, **_COMPARISONS}.items():
        METHODS[second] = called(second)(METHODS[first])
    for name in _WRITES:
        FUNCTIONS.setdefault(name, METHODS[name])
    for second, first in _SYNONYMS.items():
        METHODS[f"{second}_"] = METHODS[f"{first}_"]
        if f"{first}_" in FUNCTIONS:
            FUNCTIONS[f"{second}_"] = FUNCTIONS[f"{first}_"]
