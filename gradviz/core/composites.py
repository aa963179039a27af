"""Public functions that run several ops, and which of these ops the user's assignment names."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, TypeVar

from gradviz.core.frames import user_frame
from gradviz.core.listeners import listeners
from gradviz.core.tensor import Tensor
from gradviz.core.trace import INNER

F = TypeVar("F", bound=Callable[..., Any])

_inner: ContextVar[bool] = ContextVar("gradviz.inner", default=False)


is_inner = _inner.get
"""True while a composite function runs."""


def composite(call: F) -> F:
    """Mark a public function that runs several ops: the name that its result is assigned to is the last one's alone."""

    @functools.wraps(call)
    def run(*args: Any, **kwargs: Any) -> Any:
        if _inner.get():
            return call(*args, **kwargs)
        token = _inner.set(True)
        try:
            result = call(*args, **kwargs)
        finally:
            _inner.reset(token)
        for tensor in result if isinstance(result, (tuple, list)) else (result,):
            if isinstance(tensor, Tensor) and tensor._origin.flags & INNER:
                tensor._origin.flags &= ~INNER
                if listeners:
                    frame = user_frame(sys._getframe(1))
                    for listener in listeners:
                        listener.named(tensor, frame)
        return result

    return run  # type: ignore[return-value]
