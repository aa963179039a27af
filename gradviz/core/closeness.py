"""`torch.testing.assert_close` on the core: two tensors, or nests of them, are alike up to rounding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gradviz.core.tensor import Tensor

_TOLERANCES = {"float16": (1e-3, 1e-5), "float32": (1.3e-6, 1e-5), "float64": (1e-7, 1e-7)}
"""By dtype the relative and the absolute difference that rounding explains."""


def assert_close(
    actual: Any,
    expected: Any,
    *,
    allow_subclasses: bool = True,
    rtol: float | None = None,
    atol: float | None = None,
    equal_nan: bool = False,
    check_device: bool = True,
    check_dtype: bool = True,
    check_layout: bool = True,
    check_stride: bool = False,
    msg: Any = None,
) -> None:
    """Raise AssertionError unless |actual - expected| <= atol + rtol * |expected|, element by element.

    rtol, atol: by default those of the less exact dtype; give both or none. msg: what to say instead, or a function of
    what would be said. Numbers, sequences and mappings of tensors are compared, too.
    """
    if (rtol is None) != (atol is None):
        raise ValueError(
            "Both 'rtol' and 'atol' must be either specified or omitted, but got no "
            f"{'rtol' if rtol is None else 'atol'}."
        )
    for place, one, other in _pairs(actual, expected):
        told = _difference(one, other, rtol, atol, equal_nan, check_dtype)
        if told is not None:
            told += f"\n\nThe failure occurred for item {place}" if place else ""
            raise AssertionError(told if msg is None else msg(told) if callable(msg) else msg)


def _pairs(actual: Any, expected: Any) -> list[tuple[str, Any, Any]]:
    """Where each pair is and what it is; nests are opened, not walked by recursion."""
    found, left = [], [("", actual, expected)]
    while left:
        place, one, other = left.pop()
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            if set(one) != set(other):
                raise AssertionError(
                    "The keys of the mappings do not match:\n"
                    f"Missing keys in the actual mapping: {sorted(set(other) - set(one))}\n"
                    f"Additional keys in the actual mapping: {sorted(set(one) - set(other))}"
                )
            left += [(f"{place}[{key!r}]", one[key], other[key]) for key in reversed(list(one))]
        elif isinstance(one, Sequence) and isinstance(other, Sequence) and not isinstance(one, str):
            if len(one) != len(other):
                raise AssertionError(f"The length of the sequences mismatch: {len(one)} != {len(other)}")
            left += [(f"{place}[{at}]", one[at], other[at]) for at in reversed(range(len(one)))]
        else:
            found.append((place, one, other))
    return found


def _difference(
    actual: Any, expected: Any, rtol: float | None, atol: float | None, equal_nan: bool, check_dtype: bool
) -> str | None:
    """What is wrong with one pair, or None."""
    if isinstance(actual, bool) and isinstance(expected, bool):
        return None if actual is expected else f"Booleans mismatch: {actual} is not {expected}"
    single = not isinstance(actual, Tensor) and not isinstance(expected, Tensor)
    if isinstance(actual, Tensor) != isinstance(expected, Tensor):
        raise TypeError(f"No comparison pair was able to handle inputs of type {type(actual)} and {type(expected)}.")
    one, other = (np.asarray(x._data if isinstance(x, Tensor) else x) for x in (actual, expected))
    if one.shape != other.shape:
        return f"The values for attribute 'shape' do not match: {actual.shape} != {expected.shape}."
    if not single and check_dtype and one.dtype != other.dtype:
        return f"The values for attribute 'dtype' do not match: {actual.dtype} != {expected.dtype}."
    if rtol is None or atol is None:
        known = [_TOLERANCES.get(x.dtype.name, (0.0, 0.0)) for x in (one, other)]
        rtol, atol = max(known[0][0], known[1][0]), max(known[0][1], known[1][1])
    wide = np.promote_types(one.dtype, other.dtype)
    one, other = one.astype(wide), other.astype(wide)
    alike = np.isclose(one, other, rtol, atol, equal_nan) if wide.kind == "f" else _near(one, other, rtol, atol)
    if alike.all():
        return None
    return _told(one, other, alike, rtol, atol, "Scalars" if single else "Tensor-likes")


def _near(one: Any, other: Any, rtol: float, atol: float) -> Any:
    if not rtol and not atol:
        return one == other
    return np.abs(one.astype(np.float64) - other) <= atol + rtol * np.abs(other.astype(np.float64))


def _told(one: Any, other: Any, alike: Any, rtol: float, atol: float, what: str) -> str:
    exact = not rtol and not atol
    wide = one.dtype if one.dtype.kind == "f" else np.dtype(np.int64)
    one, other = one.astype(wide), other.astype(wide)
    apart = np.where(alike, 0, np.abs(one - other))
    quotient = wide if wide.kind == "f" else np.float64 if what == "Scalars" else np.float32
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(alike, 0, (apart / np.abs(other)).astype(quotient))
    if one.ndim:
        wrong = int(one.size - np.count_nonzero(alike))
        line = f"Mismatched elements: {wrong} / {one.size} ({wrong / one.size:.1%})"
    else:
        what, line = "Scalars", f"Expected {other.item()} but got {one.item()}."
    lines = [f"{what} are not {'equal' if exact else 'close'}!", "", line]
    return "\n".join(lines + _greatest(apart, share, rtol, atol, exact, bool(one.ndim)))


def _greatest(apart: Any, share: Any, rtol: float, atol: float, exact: bool, places: bool) -> list[str]:
    lines = []
    for name, values, limit in (("absolute", apart, atol), ("relative", share, rtol)):
        at = np.unravel_index(np.argmax(np.where(np.isnan(values), np.inf, values)), values.shape)
        where = f" at index {tuple(int(number) for number in at)}" if places else ""
        allowed = "" if exact else f" (up to {limit} allowed)"
        start = f"Greatest {name} difference:" if places else f"{name.capitalize()} difference:"
        lines.append(f"{start} {values[at].item()}{where}{allowed}")
    return lines
