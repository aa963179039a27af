"""`parametrizations.orthogonal`: a weight whose columns, or rows, are orthogonal and of length one.

Sources: M. Lezcano-Casado and D. Martínez-Rubio, "Cheap orthogonal constraints in neural networks", arXiv:1901.08428;
M. Lezcano-Casado, "Trivializations for gradient-based optimization on manifolds", arXiv:1909.09501.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gradviz.core.grad_mode import no_grad
from gradviz.core.public import FUNCTIONS, LINALG
from gradviz.core.tensor import Tensor
from gradviz.nn.module import Module
from gradviz.nn.utils.parametrize import register_parametrization

MAPS = ("matrix_exp", "cayley", "householder")


class _Orthogonal(Module):
    """An orthogonal matrix from any: (..., n, k) to the same shape.

    base: an orthogonal matrix that the one that is made is multiplied by, where `use_trivialization`; it is that which
    the weight was last assigned.
    """

    base: Any

    def __init__(self, weight: Any, orthogonal_map: str, *, use_trivialization: bool = True) -> None:
        super().__init__()
        self.shape = weight.shape
        self.orthogonal_map = orthogonal_map
        if use_trivialization:
            self.register_buffer("base", None)

    def forward(self, X: Any) -> Any:
        """The orthogonal matrix."""
        wide = X.shape[-2] < X.shape[-1]
        tall = X.mT if wide else X
        made = _reflected(tall) if self.orthogonal_map == "householder" else self._turned(tall)
        if "base" in self._buffers:
            made = self.base @ made
        return made.mT if wide else made

    def _turned(self, X: Any) -> Any:
        """The first columns of the exponential, or of the Cayley map, of what is below the diagonal, made skew."""
        n, k = X.shape[-2:]
        below = X.tril()
        if n != k:
            zeros = FUNCTIONS["zeros"]((*X.shape[:-2], n, n - k), dtype=X.dtype)
            below = FUNCTIONS["cat"]([below, zeros], -1)
        skew = below - below.mT
        if self.orthogonal_map == "matrix_exp":
            turned: Any = LINALG["matrix_exp"](skew)
        else:
            one: Any = FUNCTIONS["eye"](n, dtype=X.dtype)
            turned = LINALG["solve"](FUNCTIONS["add"](one, skew, alpha=-0.5), FUNCTIONS["add"](one, skew, alpha=0.5))
        return turned if n == k else turned[..., :k]

    def right_inverse(self, Q: Any) -> Any:
        """What `forward` makes `Q` of, or the nearest orthogonal matrix that its decomposition gives.

        Raises ValueError for another shape, NotImplementedError where the map cannot be undone.
        """
        if Q.shape != self.shape:
            raise ValueError(
                f"Expected a matrix or batch of matrices of shape {self.shape}. Got a tensor of shape {Q.shape}."
            )
        with no_grad():
            wide = Q.shape[-2] < Q.shape[-1]
            tall = Q.mT if wide else Q
            if "base" not in self._buffers:
                return self._undone(tall, wide)
            self.base = _completed(tall)
            start = FUNCTIONS["zeros_like"](Q)
            start.diagonal(dim1=-2, dim2=-1).fill_(-1.0)
            return start

    def _undone(self, Q: Any, wide: bool) -> Any:
        if self.orthogonal_map != "householder":
            raise NotImplementedError(
                "It is not possible to assign to the matrix exponential or the Cayley parametrizations when "
                "use_trivialization=False."
            )
        raw, lengths = np.linalg.qr(np.asarray(Q._array()), mode="raw")
        vectors = np.swapaxes(raw, -1, -2).copy()
        at = np.arange(vectors.shape[-1])
        signs = np.sign(vectors[..., at, at])
        vectors[..., at, at] = np.where(lengths == 0, -signs, signs)
        made = FUNCTIONS["tensor"](vectors, dtype=Q.dtype)
        return made.mT if wide else made


def _reflected(X: Any) -> Any:
    """The product of a reflection for each column of `X`, by what is below its diagonal, which has its signs."""
    n, k = X.shape[-2:]
    vectors = X.tril(-1)
    lengths = 2.0 / (1.0 + (vectors * vectors).sum(dim=-2))
    one: Any = FUNCTIONS["eye"](n, k, dtype=X.dtype)
    vectors, made = vectors + one, one
    for column in reversed(range(k)):
        vector = vectors[..., :, column : column + 1]
        made = made - lengths[..., column, None, None] * (vector @ (vector.mT @ made))
    return made * X.diagonal(dim1=-2, dim2=-1).int().unsqueeze(-2)


def _completed(Q: Any) -> Any:
    """An orthogonal square matrix that begins with the columns of `Q`, made orthogonal where they are not."""
    n, k = Q.shape[-2:]
    if n == k and _is_orthogonal(Q):
        return Q.clone()
    if n != k:
        Q = FUNCTIONS["cat"]([Q, FUNCTIONS["randn"]((*Q.shape[:-2], n, n - k), dtype=Q.dtype)], -1)
    columns, factor = LINALG["qr"](Q)
    return columns * factor.diagonal(dim1=-2, dim2=-1).sign().unsqueeze(-2)


def _is_orthogonal(Q: Any) -> bool:
    array = Q._array()
    slack = 10 * Q.shape[-2] * float(np.finfo(array.dtype).eps)
    return bool(np.allclose(np.swapaxes(array, -1, -2) @ array, np.eye(Q.shape[-1]), rtol=1e-5, atol=slack))


def orthogonal(
    module: Any, name: str = "weight", orthogonal_map: str | None = None, *, use_trivialization: bool = True
) -> Any:
    """Keep a module's weight orthogonal; returns the module.

    orthogonal_map: "matrix_exp", by default for squares, "cayley" or "householder", for others. use_trivialization:
    multiply by an orthogonal matrix that is no parameter, so that any orthogonal matrix can be assigned.
    """
    weight = getattr(module, name, None)
    if not isinstance(weight, Tensor):
        raise ValueError(f"Module '{module}' has no parameter or buffer with name '{name}'")
    if weight.ndim < 2:
        raise ValueError(f"Expected a matrix or batch of matrices. Got a tensor of {weight.ndim} dimensions.")
    if orthogonal_map is None:
        orthogonal_map = "matrix_exp" if weight.shape[-2] == weight.shape[-1] else "householder"
    if orthogonal_map not in MAPS:
        raise ValueError(
            f'orthogonal_map has to be one of "matrix_exp", "cayley", "householder". Got: {orthogonal_map}'
        )
    made = _Orthogonal(weight, orthogonal_map, use_trivialization=use_trivialization)
    register_parametrization(module, name, made, unsafe=True)
    return module
