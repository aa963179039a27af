"""Fields of records that take no more objects than they must: what few records have, and tuples of one or two.

Python's collector looks at every tuple that lives. So a record keeps the elements of a short one itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from gradviz.core.trace import Trace

T = TypeVar("T")


class Rare(Generic[T]):
    """A field that few records have; reads as `usual`, or raises AttributeError where there is none."""

    def __init__(self, *usual: T) -> None:
        self._usual = usual

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, record: Trace, owner: type) -> T:
        rare = record.rare
        value: T
        if rare is not None and self._name in rare:
            value = rare[self._name]
        elif self._usual:
            value = self._usual[0]
        else:
            raise AttributeError(f"the record has no `{self._name}`")
        return value

    def __set__(self, record: Trace, value: T) -> None:
        if record.rare is None:
            record.rare = {}
        record.rare[self._name] = value


class _End:
    """Stands where the second element would be."""

    __slots__ = ()


ALONE: Any = _End()
"""The second of the two fields of a tuple that has one element."""
MANY: Any = _End()
"""The second field where the first one has the whole tuple, or whatever stands in its place."""


def joined(first: Any, second: Any) -> Any:
    """The tuple that two fields keep."""
    if second is MANY:
        return first
    return (first,) if second is ALONE else (first, second)


def parted(whole: Any) -> tuple[Any, Any]:
    """The two fields for a tuple."""
    if type(whole) is tuple:
        if len(whole) == 2:
            return whole
        if len(whole) == 1:
            return whole[0], ALONE
    return whole, MANY
