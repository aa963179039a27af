"""The numpy core: PyTorch's autograd semantics on numpy arrays, built to be watched.

Importing this package puts the ops' methods on Tensor. What users reach as `gradviz.<name>` is in `FUNCTIONS`.
"""

from __future__ import annotations

from gradviz.core.ops import arithmetic, exits, sources
from gradviz.core.public import FUNCTIONS, METHODS
from gradviz.core.tensor import Tensor

for _name, _call in METHODS.items():
    setattr(Tensor, _name, _call)
