"""`vmap`: a function of one element as one of many. It runs once for each, so a picture shows what became of each."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from gradviz.core.public import FUNCTIONS
from gradviz.core.random import stream
from gradviz.core.tensor import Tensor
from gradviz.func.trees import leaves_of, rebuilt, spread


def vmap(
    func: Callable[..., Any],
    in_dims: Any = 0,
    out_dims: Any = 0,
    randomness: str = "error",
    *,
    chunk_size: int | None = None,
) -> Callable[..., Any]:
    """A function that runs `func` on each part of its arguments along a dimension, and stacks the results.

    in_dims: that dimension, for all tensors or in the form of the arguments; None for what is the same for all,
    as is what is given by keyword. out_dims: where the results are stacked; None for the first one
    alone. randomness: "same" draws the same numbers for each part; otherwise they differ.
    """
    if randomness not in ("error", "different", "same"):
        raise RuntimeError(
            f"Only allowed values for randomness are 'error', 'different', or 'same'. Got {randomness}"
        )

    @functools.wraps(func)
    def run(*args: Any, **kwargs: Any) -> Any:
        name = getattr(func, "__name__", repr(func))
        dims = [*_dims_of(name, in_dims, args), *(None for _ in leaves_of(kwargs))]
        leaves = leaves_of((args, kwargs))
        count = _count(name, in_dims, leaves, dims)
        results = []
        state = stream(None).get_state()
        for number in range(count):
            if randomness == "same":
                stream(None).set_state(state)
            parts = [
                one if dim is None else one.select(dim, number) for one, dim in zip(leaves, dims, strict=True)
            ]
            given, named = rebuilt((args, kwargs), parts)
            results.append(func(*given, **named))
        return _joined(name, results, out_dims)

    return run


def _dims_of(name: str, in_dims: Any, args: tuple[Any, ...]) -> list[Any]:
    if not isinstance(in_dims, (int, tuple)) or isinstance(in_dims, bool):
        raise ValueError(
            f"vmap({name}, in_dims={in_dims}, ...)(<inputs>): expected `in_dims` to be int or a (potentially nested) "
            f"tuple matching the structure of inputs, got: {type(in_dims)}."
        )
    if not args:
        raise ValueError(
            f"vmap({name})(<inputs>): got no inputs. Maybe you forgot to add inputs, or you are trying to vmap over a "
            "function with no inputs. The latter is unsupported."
        )
    found = spread(in_dims, args)
    if found is None:
        raise ValueError(
            f"vmap({name}, in_dims={in_dims}, ...)(<inputs>): in_dims is not compatible with the structure of `inputs`."
        )
    return found


def _count(name: str, in_dims: Any, leaves: list[Any], dims: list[Any]) -> int:
    """How many parts there are."""
    sizes = []
    for one, dim in zip(leaves, dims, strict=True):
        if dim is None:
            continue
        where = f"vmap({name}, in_dims={in_dims}, ...)(<inputs>): Got in_dim={dim} for "
        if not isinstance(one, Tensor):
            raise ValueError(
                f"{where}an input but the input is of type {type(one)}. We cannot vmap over non-Tensor arguments, "
                "please use None as the respective in_dim"
            )
        if not -one.ndim <= dim < one.ndim:
            raise ValueError(
                f"{where}some input, but that input is a Tensor of dimensionality {one.ndim} so expected in_dim to "
                f"satisfy -{one.ndim} <= in_dim < {one.ndim}."
            )
        sizes.append(one.shape[dim])
    if not sizes:
        raise ValueError("vmap: at least one input must have a dimension that is mapped over")
    if len(set(sizes)) > 1:
        raise ValueError(
            f"vmap: Expected all tensors to have the same size in the mapped dimension, got sizes {sizes} for the "
            "mapped dimension"
        )
    return int(sizes[0])


def _joined(name: str, results: list[Any], out_dims: Any) -> Any:
    first = results[0]
    dims = spread(out_dims, first)
    if dims is None:
        raise ValueError(f"vmap({name}, ..., out_dims={out_dims}): out_dims is not compatible with the outputs")
    rows = [leaves_of(one) for one in results]
    joined = []
    for place, dim in enumerate(dims):
        parts = [row[place] for row in rows]
        if dim is not None and not isinstance(parts[0], Tensor):
            raise ValueError(
                f"vmap({name}, ...): `{name}` must only return Tensors, got type {type(parts[0])}. Did you mean to set "
                "out_dims= to None for output?"
            )
        joined.append(parts[0] if dim is None else FUNCTIONS["stack"](parts, dim))
    return rebuilt(first, joined)
