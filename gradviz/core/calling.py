"""`torch.Tensor` of scripts that run with `--core`: a class that can be called: `Tensor([1, 2])`, `Tensor(2, 3)`.

The class that the core works with makes a tensor without a memory when it is called, and must be quick at that.
"""

from __future__ import annotations

from typing import Any

from gradviz.core import dtypes
from gradviz.core.ops.older import made_by_type
from gradviz.core.tensor import FIELDS
from gradviz.core.tensor import Tensor as Bare


class _Called(type):
    """Makes the class that stands for `Bare` wherever users ask: what is set on it, and compared with it, is Bare's."""

    def __call__(cls, *given: Any, **options: Any) -> Any:
        if cls is Tensor:
            options.pop("device", None)
            return made_by_type(dtypes.get_default_dtype(), given)
        own = vars(cls).keys() | {name for base in cls.__mro__[1:-1] for name in vars(base)}
        if {"__new__", "__init__"} & own:
            return type.__call__(cls, *given, **options)
        made: Any = type.__call__(cls)
        source = made_by_type(dtypes.get_default_dtype(), given)
        for name in FIELDS:
            setattr(made, name, getattr(source, name))
        return made

    def __instancecheck__(cls, value: Any) -> bool:
        return isinstance(value, Bare) if cls is Tensor else type.__instancecheck__(cls, value)

    def __subclasscheck__(cls, kind: type) -> bool:
        return issubclass(kind, Bare) if cls is Tensor else type.__subclasscheck__(cls, kind)

    def __eq__(cls, other: object) -> bool:
        return cls is other or (cls is Tensor and other is Bare)

    __hash__ = type.__hash__

    def __setattr__(cls, name: str, value: Any) -> None:
        if cls is Tensor:
            setattr(Bare, name, value)
        else:
            type.__setattr__(cls, name, value)


Tensor: Any = _Called("Tensor", (Bare,), {"__slots__": (), "__module__": "gradviz", "__doc__": Bare.__doc__})
