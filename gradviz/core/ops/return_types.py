"""Results with names: what `max(dim)` and its relatives return, a tuple that prints as PyTorch's does."""

from __future__ import annotations

from typing import Any

from gradviz.core.spelling import spelling


def return_type(name: str, *fields: str) -> type[tuple[Any, ...]]:
    """A tuple type whose elements are also attributes: `return_type("max", "values", "indices")`."""

    def shown(self: tuple[Any, ...]) -> str:
        lines = ",\n".join(f"{field}={value!r}" for field, value in zip(fields, self, strict=True))
        return f"{spelling.name}.return_types.{name}(\n{lines})"

    def element(position: int) -> property:
        return property(lambda self: self[position])

    members: dict[str, Any] = {field: element(position) for position, field in enumerate(fields)}
    return type(name, (tuple,), {"__slots__": (), "__repr__": shown, "__module__": "gradviz.return_types", **members})
