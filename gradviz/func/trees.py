"""Trees: tensors in tuples, lists and dictionaries, taken out of them and put back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def leaves_of(tree: Any) -> list[Any]:
    """What is in a tree, in order; the tree itself where it is neither tuple nor list nor dictionary."""
    if isinstance(tree, dict):
        return [leaf for part in tree.values() for leaf in leaves_of(part)]
    if isinstance(tree, (tuple, list)):
        return [leaf for part in tree for leaf in leaves_of(part)]
    return [] if tree is None else [tree]


def mapped(call: Callable[[Any], Any], tree: Any) -> Any:
    """The tree with `call` of each leaf in its place."""
    if tree is None:
        return None
    if isinstance(tree, dict):
        return type(tree)((key, mapped(call, part)) for key, part in tree.items())
    if isinstance(tree, tuple) and hasattr(tree, "_fields"):
        return type(tree)(*(mapped(call, part) for part in tree))
    if isinstance(tree, (tuple, list)):
        return type(tree)(mapped(call, part) for part in tree)
    return call(tree)


def rebuilt(tree: Any, leaves: list[Any]) -> Any:
    """A tree of the same form with other leaves."""
    rest = iter(leaves)
    return mapped(lambda _: next(rest), tree)


def spread(value: Any, tree: Any) -> list[Any] | None:
    """For each leaf of `tree` its part of `value`, which may have one value for a whole branch; None if it has not."""
    if isinstance(tree, (tuple, list, dict)) and type(value) is type(tree):
        if len(value) != len(tree) or (isinstance(tree, dict) and list(value) != list(tree)):
            return None
        pairs = [(value[key], tree[key]) for key in tree] if isinstance(tree, dict) else zip(value, tree, strict=True)
        parts = [spread(*pair) for pair in pairs]
        return None if None in parts else [one for part in parts for one in part]  # type: ignore[union-attr]
    if isinstance(value, (tuple, list, dict)):
        return None
    return [value] * len(leaves_of(tree))
