"""`device`: where a tensor lives. There is one, the CPU."""

from __future__ import annotations


class device(str):
    """A device by its name, such as "cpu" or "cuda:0". Only tensors on the CPU can be made."""

    __slots__ = ()

    def __new__(cls, type: str | device = "cpu", index: int | None = None) -> device:
        return super().__new__(cls, str(type) if index is None else f"{type}:{index}")

    @property
    def type(self) -> str:
        """The kind of the device: "cpu"."""
        return str(self).partition(":")[0]

    @property
    def index(self) -> int | None:  # type: ignore[override]
        """Its number among those of its kind, None where none was given."""
        number = str(self).partition(":")[2]
        return int(number) if number else None

    def __str__(self) -> str:
        return str.__str__(self)

    def __repr__(self) -> str:
        number = "" if self.index is None else f", index={self.index}"
        return f"device(type={self.type!r}{number})"


CPU = device("cpu")
