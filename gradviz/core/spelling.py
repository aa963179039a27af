"""What the library is called in the texts of its values: `gradviz.float32`, or `torch.float32` in PyTorch's place."""

from __future__ import annotations

OWN = "gradviz"


class Spelling:
    """The name that prefixes dtypes and shapes, for the whole process."""

    name = OWN


spelling = Spelling()
