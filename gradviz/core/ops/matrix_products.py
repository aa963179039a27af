"""The rows of products of vectors and matrices: `dot`, `mv`, `mm`, `bmm`, `addmm`, and what `matmul` is for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from gradviz.core.ops.samples import grid
from gradviz.core.ops.table import Row, Samples, op, sample
from gradviz.core.tensor import Tensor


def _flipped(x: Any) -> Any:
    return x.swapaxes(-1, -2)


def _product(x: Any, y: Any) -> Any:
    return np.matmul(x, y)


def _scaled(g: Any, factor: Any) -> Any:
    return g if factor == 1 else g * factor


def _added(total: Any, product: Any, beta: Any, alpha: Any) -> Any:
    """beta * total + alpha * product in the product's dtype; NaN in `total` does not count where beta is 0."""
    product = _scaled(product, alpha)
    if beta == 0:
        return product
    total = _scaled(total, beta)
    if total.dtype == product.dtype and product.shape:
        product += total
        return product
    return (product + total).astype(product.dtype, copy=False)


DOT = op(
    "dot(x, y)",
    _product,
    x=lambda g, y: g * y,
    y=lambda g, x: g * x,
    samples=lambda: [sample(grid(3), grid(3)), sample(grid(0), grid(0))],
)
MV = op(
    "mv(x, y)",
    _product,
    x=lambda g, y: g[:, None] * y,
    y=lambda g, x: _flipped(x) @ g,
    samples=lambda: [sample(grid(2, 3), grid(3)), sample(grid(2, 0), grid(0))],
)
MM = op(
    "mm(x, y)",
    _product,
    x=lambda g, y: g @ _flipped(y),
    y=lambda g, x: _flipped(x) @ g,
    samples=lambda: [sample(grid(2, 3), grid(3, 4)), sample(grid(2, 0), grid(0, 3))],
)
BMM = op(
    "bmm(x, y)",
    lambda x, y: _product(x, y).astype(y.dtype, copy=False),
    x=lambda g, y: g @ _flipped(y),
    y=lambda g, x: _flipped(x) @ g,
    samples=lambda: [sample(grid(2, 2, 3), grid(2, 3, 4)), sample(grid(0, 2, 3), grid(0, 3, 2))],
)
MATMUL = {
    ranks: op(
        "matmul(x, y)", _product, key=f"matmul.{row.key}", node=row.node_name, samples=row.samples,
        x=row.vjps["x"], y=row.vjps["y"],
    )
    for ranks, row in {(1, 1): DOT, (2, 1): MV, (2, 2): MM}.items()
}  # fmt: skip
"""The rows that `matmul` is for tensors of these ranks."""
ADDMM = op(
    "addmm(input, mat1, mat2, *, beta=1, alpha=1)",
    lambda input, mat1, mat2, beta, alpha: _added(input, mat1 @ mat2, beta, alpha),
    input=lambda g, beta: _scaled(g, beta),
    mat1=lambda g, mat2, alpha: _scaled(g @ _flipped(mat2), alpha),
    mat2=lambda g, mat1, alpha: _scaled(_flipped(mat1) @ g, alpha),
    samples=lambda: [
        sample(grid(2, 4), grid(2, 3), grid(3, 4)),
        sample(grid(4), grid(2, 3), grid(3, 4), beta=2, alpha=3),
    ],
)
ADDMV = op(
    "addmv(input, mat, vec, *, beta=1, alpha=1)",
    lambda input, mat, vec, beta, alpha: _added(input, mat @ vec, beta, alpha),
    input=lambda g, beta: _scaled(g, beta),
    mat=lambda g, vec, alpha: _scaled(g[:, None] * vec, alpha),
    vec=lambda g, mat, alpha: _scaled(_flipped(mat) @ g, alpha),
    samples=lambda: [sample(grid(2), grid(2, 3), grid(3)), sample(grid(2), grid(2, 3), grid(3), beta=2, alpha=3)],
)
BADDBMM = op(
    "baddbmm(input, batch1, batch2, *, beta=1, alpha=1)",
    lambda input, batch1, batch2, beta, alpha: _added(input, batch1 @ batch2, beta, alpha),
    input=lambda g, beta: _scaled(g, beta),
    batch1=lambda g, batch2, alpha: _scaled(g @ _flipped(batch2), alpha),
    batch2=lambda g, batch1, alpha: _scaled(_flipped(batch1) @ g, alpha),
    samples=lambda: [
        sample(grid(2, 2, 4), grid(2, 2, 3), grid(2, 3, 4)),
        sample(grid(2, 2, 4), grid(2, 2, 3), grid(2, 3, 4), beta=2, alpha=3),
    ],
)


# ---- by columns


def _by_columns(row: Row, vjp: Callable[..., Any], samples: Samples | None = None) -> Row:
    vjps: dict[str, Any] = {**row.vjps, row.inputs[-1]: vjp}
    key, call = f"{row.key}.columns", "nn.functional.linear"
    return op(row.signature, row.forward, key=key, node=row.node_name, call=call, samples=samples, **vjps)


_BY_COLUMNS = {
    MM: _by_columns(MM, lambda g, x: _flipped(_flipped(g) @ x)),
    MATMUL[2, 2]: _by_columns(
        MATMUL[2, 2], lambda g, x: _flipped(_flipped(g) @ x), lambda: [sample(grid(2, 3), grid(4, 3))]
    ),
    ADDMM: _by_columns(
        ADDMM,
        lambda g, mat1, alpha: _scaled(_flipped(_flipped(g) @ mat1), alpha),
        lambda: [sample(grid(2, 3), grid(4, 3), grid(4))],
    ),
}


def laid_out(row: Row, matrix: Tensor) -> Row:
    """`row` for a last factor that lies in memory as `matrix` does: its cotangent will lie so, too.

    A layer's weight is used transposed. What comes back to it is then in one piece, as the weight is.
    """
    down, along = matrix._data.strides
    return _BY_COLUMNS[row] if down < along else row
