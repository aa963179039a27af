"""The same elements in another shape or order: `view`, `reshape`, `permute`, `squeeze`, `expand`, `repeat`, `flip`, ...

A view's forward is pure: it is run again on other arrays to find the view's part of its base after an in-place write.
Its result is writable wherever its input is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from gradviz.core.apply import apply, runner
from gradviz.core.composites import called, composite, renamed, whole_called
from gradviz.core.dual import run_row
from gradviz.core.ops.copying import CONTIGUOUS, contiguous
from gradviz.core.ops.samples import grid
from gradviz.core.ops.shapes import expanded, filled_in, spread, wrap, wrap_all
from gradviz.core.ops.table import Row, op, sample
from gradviz.core.public import FUNCTIONS, METHODS, both, first_tensor, method
from gradviz.core.tensor import Tensor

# ---- rows


def _inverse(dims: Sequence[int]) -> tuple[int, ...]:
    return tuple(sorted(range(len(dims)), key=dims.__getitem__))


def _swapped(x: Any, dim0: int, dim1: int) -> Any:
    return x.swapaxes(dim0, dim1) if x.ndim else x[...]


def _squeezed(x: Any, dims: tuple[int, ...]) -> Any:
    return x.squeeze(tuple(dim for dim in dims if x.shape[dim] == 1)) if x.ndim else x[...]


def _expanded(x: Any, size: tuple[int, ...]) -> Any:
    """numpy's own `broadcast_to` gives a read-only array; a part of this one may be written."""
    if type(x) is not np.ndarray:
        x = np.asarray(x)
    extra = len(size) - x.ndim
    strides = [0] * extra
    for have, want, step in zip(x.shape, size[extra:], x.strides):  # noqa: B905 - as many as dimensions
        strides.append(0 if have == 1 != want else step)
    # The second takes longer, and any array.
    return np.ndarray(size, x.dtype, x, 0, strides) if x.flags.c_contiguous and x.size else as_strided(x, size, strides)


def _fortran(*shape: int) -> Any:
    return np.array(grid(*shape), order="F")


VIEW = op(
    "view(x, *, size)",
    lambda x, size: x.reshape(size),
    view=True,
    call="Tensor.view",
    x=lambda g, shape: g.reshape(shape),
    samples=lambda: [
        sample(grid(2, 3), 6),
        sample(grid(2, 3), (3, -1)),
        sample(grid(2, 3), 1, 2, 3, 1),
        sample(grid(1), ()),
        sample(grid(), 1, 1),
        sample(grid(0, 2), 2, 0),
    ],
)
RESHAPE = op(
    "reshape(x, *, size)",
    lambda x, size: x.reshape(size),
    node="ViewBackward0",
    view=True,
    x=lambda g, shape: g.reshape(shape),
    samples=lambda: [sample(grid(2, 3), (6,)), sample(grid(2, 3), (3, -1)), sample(grid(), (1,))],
)
RESHAPE_ALIAS = op(
    "reshape(x, *, size)",
    lambda x, size: x.reshape(size),
    node="ReshapeAliasBackward0",
    key="reshape.alias",
    view=True,
    x=lambda g, shape: g.reshape(shape),
    samples=lambda: [sample(_fortran(2, 4), (2, 2, 2))],
)
UNSAFE_VIEW = op(
    "reshape(x, *, size)",
    lambda x, size: x.reshape(size),
    node="UnsafeViewBackward0",
    key="reshape.copy",
    x=lambda g, shape: g.reshape(shape),
    samples=lambda: [sample(_fortran(2, 3), (6,)), sample(_fortran(2, 3), (-1, 2))],
)
PERMUTE = op(
    "permute(x, *, dims)",
    lambda x, dims: x.transpose(dims),
    view=True,
    x=lambda g, dims: np.transpose(g, _inverse(dims)),
    samples=lambda: [sample(grid(2, 3), (1, 0)), sample(grid(2, 3, 4), (2, 0, -2)), sample(grid(), ())],
)
TRANSPOSE = op(
    "transpose(x, *, dim0, dim1)",
    _swapped,
    view=True,
    x=_swapped,
    samples=lambda: [sample(grid(2, 3), 0, 1), sample(grid(2, 3, 4), -1, 0), sample(grid(), 0, -1)],
)
T: Row = op(
    "t(x)",
    lambda x: x.transpose(),
    view=True,
    x=lambda g: run_row(T, (g,)),
    samples=lambda: [sample(grid(2, 3)), sample(grid(3)), sample(grid())],
)
SQUEEZE = op(
    "squeeze(x)",
    lambda x: x.squeeze(),
    view=True,
    x=lambda g, shape: g.reshape(shape),
    samples=lambda: [sample(grid(1, 3, 1)), sample(grid(2, 3)), sample(grid(1))],
)
SQUEEZE_DIM = op(
    "squeeze(x, *, dim)",
    lambda x, dim: _squeezed(x, (dim,)),
    key="squeeze.dim",
    node="SqueezeBackward1",
    view=True,
    x=lambda g, shape: g.reshape(shape),
    samples=lambda: [sample(grid(1, 3, 1), 0), sample(grid(1, 3, 1), -2), sample(grid(), 0)],
)
SQUEEZE_DIMS = op(
    "squeeze(x, *, dim)",
    _squeezed,
    key="squeeze.dims",
    node="SqueezeBackward2",
    view=True,
    x=lambda g, shape: g.reshape(shape),
    samples=lambda: [sample(grid(1, 3, 1), (0, 2)), sample(grid(1, 3, 1), (1, -1)), sample(grid(1, 2), ())],
)
UNSQUEEZE = op(
    "unsqueeze(x, *, dim)",
    lambda x, dim: x[(*(slice(None),) * dim, None, ...)],
    view=True,
    x=lambda g, shape: g.reshape(shape),
    samples=lambda: [sample(grid(2, 3), 0), sample(grid(2, 3), -1), sample(grid(), 0)],
)
EXPAND = op(
    "expand(x, *, size)",
    _expanded,
    view=True,
    call="Tensor.expand",
    x=lambda g: g,
    samples=lambda: [
        sample(grid(3), 2, 3),
        sample(grid(2, 1), (2, 4)),
        sample(grid(2, 1), 5, -1, 2),
        sample(grid(), 2),
        sample(grid(1, 2), 0, 2),
    ],
)
# ---- other shapes of the same elements


@method
def view(self: Tensor, *size: Any) -> Tensor:
    """Another shape on the same memory; one length may be -1. Raises RuntimeError where that would take a copy."""
    array = self._array()
    lengths = filled_in(spread(size), array.size)
    if not array.flags.c_contiguous and not _viewable(array, lengths):
        raise RuntimeError(
            "view size is not compatible with input tensor's size and stride (at least one dimension spans across two "
            "contiguous subspaces). Use .reshape(...) instead."
        )
    return (VIEW.runs.get(1) or runner(VIEW, 1))(self, lengths)  # type: ignore[no-any-return]


@both
def reshape(input: Tensor, *shape: Any) -> Tensor:
    """The elements in another shape; one length may be -1. A view where the memory allows it, else a copy."""
    array = first_tensor("reshape", input)._array()
    lengths = filled_in(spread(shape), array.size)
    if array.flags.c_contiguous:
        return (RESHAPE.runs.get(1) or runner(RESHAPE, 1))(input, lengths)  # type: ignore[no-any-return]
    if _viewable(array, lengths):
        return apply(RESHAPE_ALIAS, (input,), (lengths,))
    return _copied(input, lengths)


@whole_called("reshape")
def _copied(input: Tensor, size: tuple[int, ...]) -> Tensor:
    return apply(UNSAFE_VIEW, (apply(CONTIGUOUS, (input,)),), (size,))


def _viewable(array: Any, size: tuple[int, ...]) -> bool:
    return bool(not array.size or array.flags.c_contiguous or np.may_share_memory(array.reshape(size), array))


@method
@renamed
def view_as(self: Tensor, other: Tensor) -> Tensor:
    """`view` in the shape of `other`."""
    return view(self, other.shape)


@method
@renamed
def reshape_as(self: Tensor, other: Tensor) -> Tensor:
    """`reshape` to the shape of `other`."""
    return reshape(self, other.shape)


@both
@renamed
def flatten(input: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """The dimensions from `start_dim` to `end_dim`, both included, as one."""
    shape = first_tensor("flatten", input)._data.shape
    start, end = wrap(start_dim, len(shape)), wrap(end_dim, len(shape))
    if start > end:
        raise RuntimeError("flatten() has invalid args: start_dim cannot come after end_dim")
    if not shape:
        return reshape(input, 1)
    if start == end:
        return input
    return reshape(input, (*shape[:start], _product(shape[start : end + 1]), *shape[end + 1 :]))


def _product(lengths: Sequence[int]) -> int:
    total = 1
    for length in lengths:
        total *= length
    return total


@both
@composite
def ravel(input: Tensor) -> Tensor:
    """All elements in one dimension; a view where they lie in order."""
    return view(contiguous(input), -1 if input.numel() else 0)


@both
@renamed
def unflatten(input: Tensor, dim: int, sizes: Sequence[int]) -> Tensor:
    """One dimension spread over several, whose lengths multiply to its own; one of them may be -1."""
    shape = input.shape
    dim = wrap(dim, len(shape))
    if not sizes:
        raise RuntimeError("unflatten: sizes must be non-empty")
    try:
        parts = filled_in(spread((tuple(sizes),)), shape[dim])
    except RuntimeError:
        raise RuntimeError(
            f"unflatten: Provided sizes {list(sizes)} don't multiply up to the size of dim {dim} ({shape[dim]}) in the "
            "input tensor"
        ) from None
    return view(input, (*shape[:dim], *parts, *shape[dim + 1 :]))


@both
def squeeze(input: Tensor, dim: int | Sequence[int] | None = None) -> Tensor:
    """Without the dimensions of length 1: all of them, or `dim` if it is one."""
    if dim is None:
        return apply(SQUEEZE, (first_tensor("squeeze", input),))
    if isinstance(dim, (tuple, list)):
        return apply(SQUEEZE_DIMS, (input,), (wrap_all(dim, input.ndim),))
    place = wrap(dim, input._data.ndim)  # type: ignore[arg-type]
    return (SQUEEZE_DIM.runs.get(1) or runner(SQUEEZE_DIM, 1))(input, place)  # type: ignore[no-any-return]


@both
def unsqueeze(input: Tensor, dim: int) -> Tensor:
    """With a dimension of length 1 inserted at `dim`."""
    place = wrap(dim, first_tensor("unsqueeze", input)._data.ndim + 1)
    return (UNSQUEEZE.runs.get(1) or runner(UNSQUEEZE, 1))(input, place)  # type: ignore[no-any-return]


# ---- other orders of the dimensions


@both
def permute(input: Tensor, *dims: Any) -> Tensor:
    """The dimensions in another order."""
    order = spread(dims)
    ndim = first_tensor("permute", input)._data.ndim
    if len(order) != ndim:
        raise RuntimeError(
            "permute(sparse_coo): number of dimensions in the tensor input does not match the length of the desired "
            f"ordering of dimensions i.e. input.dim() = {input.ndim} is not equal to len(dims) = {len(order)}"
        )
    order = tuple([wrap(dim, ndim) for dim in order])
    if len(set(order)) != len(order):
        raise RuntimeError("permute(): duplicate dims are not allowed.")
    return (PERMUTE.runs.get(1) or runner(PERMUTE, 1))(input, order)  # type: ignore[no-any-return]


@both
def transpose(input: Tensor, dim0: int, dim1: int) -> Tensor:
    """Two dimensions swapped."""
    ndim = first_tensor("transpose", input)._data.ndim
    run = TRANSPOSE.runs.get(1) or runner(TRANSPOSE, 1)
    return run(input, wrap(dim0, ndim), wrap(dim1, ndim))  # type: ignore[no-any-return]


for _name in ("swapaxes", "swapdims"):
    FUNCTIONS[_name] = METHODS[_name] = called(_name)(transpose)


@both
def t(input: Tensor) -> Tensor:
    """A matrix transposed; 0-d and 1-D tensors as they are. Raises RuntimeError for more dimensions."""
    if first_tensor("t", input).ndim > 2:
        raise RuntimeError(f"t() expects a tensor with <= 2 dimensions, but self is {input.ndim}D")
    return apply(T, (input,))


def _reversed(self: Tensor) -> Tensor:
    """All dimensions in reverse order."""
    return apply(PERMUTE, (self,), (tuple(reversed(range(self.ndim))),))


def _matrices_transposed(self: Tensor) -> Tensor:
    """The last two dimensions swapped. Raises RuntimeError for fewer than two."""
    if self.ndim < 2:
        raise RuntimeError(
            f"tensor.mT is only supported on matrices or batches of matrices. Got {self.ndim}-D tensor."
        )
    return transpose(self, -2, -1)


METHODS["T"] = property(_reversed)
METHODS["mT"] = property(_matrices_transposed)


@both
@renamed
def movedim(input: Tensor, source: int | Sequence[int], destination: int | Sequence[int]) -> Tensor:
    """The dimensions `source` moved to the places `destination`; the others keep their order."""
    froms, tos = (
        tuple(wrap(dim, input.ndim) for dim in ((dims,) if isinstance(dims, int) else dims))
        for dims in (source, destination)
    )
    for name, dims in (("source", froms), ("destination", tos)):
        if len(set(dims)) != len(dims):
            raise RuntimeError(f"movedim: repeated dim in `{name}` ({list(dims)})")
    if len(froms) != len(tos):
        raise RuntimeError(
            f"movedim: Invalid source or destination dims: source ({list(froms)} dims) should contain the same number "
            f"of dims as destination ({list(tos)} dims)"
        )
    if not input.ndim:
        return apply(PERMUTE, (input,), ((),))
    rest = iter(dim for dim in range(input.ndim) if dim not in froms)
    placed = dict(zip(tos, froms, strict=True))
    return permute(input, [placed[dim] if dim in placed else next(rest) for dim in range(input.ndim)])


FUNCTIONS["moveaxis"] = METHODS["moveaxis"] = called("moveaxis")(movedim)

# ---- repetition


@method
def expand(self: Tensor, *size: Any) -> Tensor:
    """Dimensions of length 1 repeated without a copy, and new ones in front; -1 leaves a dimension as it is."""
    lengths = spread(size)
    if not _repeats(lengths, self._data.shape):
        lengths = expanded(lengths, self.shape, self.dtype.type_name)
    return (EXPAND.runs.get(1) or runner(EXPAND, 1))(self, lengths)  # type: ignore[no-any-return]


def _repeats(size: tuple[int, ...], shape: tuple[int, ...]) -> bool:
    """Whether `size` is what `shape` is expanded to as it stands."""
    if len(size) != len(shape):
        return False
    return not [want for want, have in zip(size, shape) if want != have and (have != 1 or want < 0)]  # noqa: B905


@method
@renamed
def expand_as(self: Tensor, other: Tensor) -> Tensor:
    """`expand` to the shape of `other`."""
    return expand(self, other.shape)


@both
@renamed
def broadcast_to(input: Tensor, size: Sequence[int]) -> Tensor:
    """`expand` as a function."""
    return expand(input, size)
