"""Custom functions: `Function`, and `once_differentiable` for their backward."""

from __future__ import annotations

from gradviz.core.function import Function as Function
from gradviz.core.function import FunctionNode as FunctionCtx
from gradviz.core.function import once_differentiable as once_differentiable

BackwardCFunction = FunctionCtx
