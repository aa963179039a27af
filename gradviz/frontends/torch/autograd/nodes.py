"""What an autograd node tells of itself: its op's name, its results, its arguments, and the tensors that it keeps.

Nothing here unpacks a saved tensor. A node's `_saved_x` would: that checks versions, runs the user's hooks and the
recomputation of a checkpoint, and raises after a backward. Its twin `_raw_saved_x` holds the same tensor untouched, so
a node can be read when it matters most: after a bad write in place, and after the graph was freed.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import torch

from gradviz.events import Output, Saved
from gradviz.frontends.torch.autograd.unpacking import CAN_READ_SAVED, unpacked

_RAW, _PLAIN = "_raw_saved_", "_saved_"

sequence_number = torch._C._autograd._get_sequence_nr
"""The number that the next node of this thread gets."""


def node_name(node: Any) -> str:
    """The node's name as a user sees it in `grad_fn`: `MulBackward0`."""
    return type(node).__name__


def grad_fn_of(tensor: torch.Tensor) -> Any:
    """The node that made a tensor; None for a leaf, and for a view of which autograd refuses to tell.

    It does so where the view was made with grad mode off, and it or what it is a view of was written since.
    """
    try:
        return tensor.grad_fn
    except RuntimeError:
        return None


def is_leaf(tensor: torch.Tensor) -> bool:
    """As `tensor.is_leaf`; a view of which autograd refuses to tell is one."""
    return grad_fn_of(tensor) is None


@cache
def op_name(node: str) -> str:
    """The op behind a node called `node`: `mul` for `MulBackward0`, `F` for the `FBackward` of a custom function.

    >>> op_name("NllLossBackward0"), op_name("MaxPool2DWithIndicesBackward0"), op_name("CopySlices")
    ('nll_loss', 'max_pool2d_with_indices', 'copy_slices')
    """
    stem, backward, overload = node.rpartition("Backward")
    if backward and not overload:
        return stem or node
    stem = re.sub(r"(\d)D(?=[A-Z]|$)", r"\1d", stem or node)
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", stem).lower()


def guess_node(op: str) -> str:
    """The most likely name of the node of an op: `MulBackward0` for `mul`.

    >>> guess_node("masked_fill")
    'MaskedFillBackward0'
    """
    return "".join(part.capitalize() for part in op.split("_")) + "Backward0"


def outputs_of(node: Any) -> tuple[Output, ...]:
    """The node's results: what autograd knows of them by itself, without holding them."""
    known = getattr(node, "_input_metadata", ())
    return tuple(Output(*type_of(metadata), requires_grad=True, leaf=False) for metadata in known)


def output_of(tensor: torch.Tensor, *, requires_grad: bool, leaf: bool) -> Output:
    """A tensor as an op's result."""
    return Output(*type_of(tensor), requires_grad, leaf, str(tensor.device))


def type_of(tensor: Any) -> tuple[tuple[int, ...], str, int]:
    """Shape, dtype and bytes of a tensor, or of what a node knows of its result.

    A nested tensor has no shape, or one with symbols in it: then it is told of without shape and bytes.
    """
    dtype = dtype_name(tensor.dtype)
    try:
        shape = tuple(tensor.shape)
    except RuntimeError:
        return (), dtype, 0
    if any(type(extent) is not int for extent in shape):
        return (), dtype, 0
    return shape, dtype, math.prod(shape) * tensor.dtype.itemsize


@cache
def dtype_name(dtype: torch.dtype) -> str:
    """`float32` for `torch.float32`."""
    return str(dtype).removeprefix("torch.")


def is_wrapped(tensor: torch.Tensor) -> bool:
    """True for what `torch.func` hands to a function: it stands for many tensors or a traced one, and has no memory.

    The same goes for what a sweep is given that runs for many seeds at once.
    """
    functorch = torch._C._functorch
    return bool(functorch.is_functorch_wrapped_tensor(tensor) or functorch.is_legacy_batchedtensor(tensor))


def saved_tensors(node: Any, *, fresh: bool = False) -> Iterator[tuple[str, Any]]:
    """Attribute name and what the node keeps under it, in order of name: a tensor, a hook's object, or None if freed.

    Left out is what the node has a place for and did not need. A custom function's `save_for_backward` is called
    `tensors[0]`, `tensors[1]`, ...; what it stored on `ctx` goes by its own name.

    fresh: the op has just run. Older versions of PyTorch show what it saved only then.
    """
    kind: type = type(node)
    raw = _attributes(kind)[0]
    if not CAN_READ_SAVED:
        if fresh:
            yield from unpacked(node, [attribute.removeprefix(_RAW) for attribute in raw])
        raw = ()
    for attribute in raw:
        name = attribute.removeprefix(_RAW)
        try:
            kept = getattr(node, attribute)
        except RuntimeError:
            # Only a custom function raises here. After a backward it does not even say how many tensors it kept.
            yield name, None
            continue
        several = isinstance(kept, tuple)
        for index, one in enumerate(kept if several else (kept,)):
            held = one.data
            if held is not None or _is_freed(one):
                yield f"{name}[{index}]" if several else name, held
    for name, held in getattr(node, "__dict__", {}).items():
        if isinstance(held, torch.Tensor):
            yield name, held


def describe_saved(name: str, held: Any, source: int | None = None) -> Saved:
    """The record of what `saved_tensors` gave."""
    if isinstance(held, torch.Tensor):
        return Saved(name, *type_of(held), source)
    return Saved(name, (), "freed" if held is None else "packed", 0, source)


def attributes_of(node: Any) -> tuple[tuple[str, str], ...]:
    """The plain arguments that a node keeps, in order of name, as text; `None` where it needed no tensor."""
    kind: type = type(node)
    raw, plain = _attributes(kind)
    told = {}
    for attribute in plain:
        try:
            told[attribute.removeprefix(_PLAIN)] = str(getattr(node, attribute))
        except RuntimeError:
            continue
    present = {name.partition("[")[0] for name, _ in saved_tensors(node)} if raw else set()
    for attribute in raw if CAN_READ_SAVED else ():
        name = attribute.removeprefix(_RAW)
        if name not in present and name != "tensors":
            told[name] = "None"
    return tuple(sorted(told.items()))


def _is_freed(saved: Any) -> bool:
    """True for a saved tensor that a backward let go, False for one that never was there.

    Called where `data` is None. Both look alike until they are unpacked; no hook is left that this could run, and no
    tensor whose version it could check.
    """
    if saved.unpack_hook is not None:
        return False
    try:
        return saved.unpack() is not None
    except RuntimeError:
        return True


@cache
def _attributes(kind: type) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names of the attributes that hold saved tensors untouched, and of those that hold plain arguments."""
    names = dir(kind)
    raw = tuple(name for name in names if name.startswith(_RAW))
    tensors = {_PLAIN + name.removeprefix(_RAW) for name in raw}
    return raw, tuple(name for name in names if name.startswith(_PLAIN) and name not in tensors)
