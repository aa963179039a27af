"""What a backward pass complains of, in PyTorch's words, with a note that names the user's line.

The texts are PyTorch's to the letter, because people search for them; the note is gradviz's own and is printed under
the traceback.
"""

from __future__ import annotations

import re
from typing import Any

from gradviz.core.aliasing import Made
from gradviz.core.dtypes import FROM_NUMPY
from gradviz.core.saving import saved_by
from gradviz.core.trace import INPLACE, STORED, Node, Storage, Trace, before_writes, origin_of
from gradviz.sites import decode

HINT = (
    "Hint: enable anomaly detection to find the operation that failed to compute its gradient, with "
    "torch.autograd.set_detect_anomaly(True, check_nan=False)."
)
ANOMALY_HINT = (
    "Hint: the backtrace further above shows the operation that failed to compute its gradient. The variable in "
    "question was changed in there or anywhere later. Good luck!"
)
NO_GRAD_FN = "element {} of tensors does not require grad and does not have a grad_fn"
NOT_SCALAR = "grad can be implicitly created only for scalar outputs"
SECOND_TIME = (
    "Trying to backward through the graph a second time (or directly access saved tensors after they have already been "
    "freed). Saved intermediate values of the graph are freed when you call .backward() or autograd.grad(). Specify "
    "retain_graph=True if you need to backward through the graph a second time or if you need to access saved tensors "
    "after calling backward."
)
NOT_USED = (
    "The differentiated Tensor at index {} appears to not have been used in the graph. Set allow_unused=True if this "
    "is the desired behavior."
)

REFERENCE_CYCLE = (
    "Using backward() with create_graph=True will create a reference cycle between the parameter and its gradient "
    "which can cause a memory leak. We recommend using autograd.grad when creating the graph to avoid this. If you "
    "have to use this function, make sure to reset the .grad fields of your parameters to None after use to break the "
    "cycle and avoid the leak."
)


def check_versions(node: Node) -> None:
    """Raise PyTorch's error where a saved tensor was written in place since."""
    row = node.row
    kept = dict(zip(row.saved_names, zip(saved_by(node), node.marks, strict=False), strict=False))
    for name in row.reading_order:
        saved, mark = kept.get(name, (None, None))
        if saved is None:
            continue
        position = -1 if name.startswith("out") else row.inputs.index(name)
        several = row.variadic and position == len(row.inputs) - 1
        for offset, pair in enumerate(mark or (None,) * len(saved) if several else (mark,)):
            if pair is None:
                source = node if position < 0 else origin_of(node.links[position + offset])[0]
                pair = (source.storage, 0) if source is not None and source.flags & STORED else None
            if pair is not None and pair[0].version != pair[1]:
                error = noted(RuntimeError(_modified(node, position + offset, *pair)), node)
                vars(error)["concerned"] = (getattr(node, "within", node.id), *getattr(pair[0], "written", ()))
                raise error


def _modified(node: Node, position: int, storage: Storage, version: int) -> str:
    """What is wrong with the input that a node saved, or with its own result where `position` is -1."""
    if position < 0:
        written, _ = origin_of(node.links[0])
        cut = node.flags & INPLACE and written is not None and _is_view(written)
        maker = "AsStrided" if cut else short_name(node.name())
        what = _tensor_type(node.array_type, node.shape) + f", which is output 0 of {maker},"
    else:
        origin, number = origin_of(node.links[position])
        assert origin is not None
        shape, array_type = (origin.shape, origin.array_type) if number == 0 else origin.more[number - 1]
        what = _tensor_type(array_type, shape) + _maker(storage, origin, number)
    return _at_version(what, storage, version)


def written(tensor: Any, storage: Storage, version: int) -> str:
    """What is wrong with a tensor that was saved at `version` of its storage."""
    data = tensor._data
    what = _tensor_type(data.dtype, data.shape) + _maker(storage, tensor._origin, tensor._number)
    return _at_version(what, storage, version)


def _at_version(what: str, storage: Storage, version: int) -> str:
    return (
        "one of the variables needed for gradient computation has been modified by an inplace operation: "
        f"{what} is at version {storage.version}; expected version {version} instead. {HINT}"
    )


def _maker(storage: Storage, origin: Trace, number: int) -> str:
    """Which node a saved tensor comes from: by the time of the complaint often the one that wrote it in place.

    Raises RuntimeError, as PyTorch does, where that cannot be said of a view.
    """
    writer, name, root = getattr(storage, "writer", (0, "", 0))
    written = writer > origin.id and before_writes(_base_of(origin)).id == root
    if _is_view(origin):
        if not (origin.tracked or written or True in origin.needs):
            return ""
        made = _made(origin)
        if made is not Made.TRACKED:
            known = origin if isinstance(origin, Node) else None
            raise RuntimeError(untraceable(made, known, number, "its base or another view of its base has been"))
        return ", which is output 0 of AsStrided,"
    if written:
        return f", which is output 0 of {short_name(name)},"
    return f", which is output {number} of {short_name(origin.name())}," if isinstance(origin, Node) else ""


def _is_view(origin: Trace) -> bool:
    return (origin.row.view and origin.row.cause is None) or origin.row.key == "as_strided"


def _base_of(origin: Trace) -> Trace:
    step: Trace | None = origin
    while step is not None and _is_view(step):
        origin = step
        step, _ = origin_of(step.links[0])
    return step or origin


def _made(origin: Trace) -> Made:
    """How the view that an op gave, or the one that it is a view of, came to be."""
    step: Trace | None = origin
    while step is not None and _is_view(step):
        region = step.region
        if region is not None and not region.tracks:
            return Made.INFERENCE if region.inference else Made.NO_GRAD
        if step.row.several:
            return Made.SEVERAL
        step, _ = origin_of(step.links[0])
    return Made.TRACKED


def untraceable(made: Made, origin: Node | None, number: int, what: str) -> str:
    """Why an in-place write to a view, or to the memory behind it, cannot be followed.

    origin, number: the node that the view is an output of, if it has one. what: the subject and verb of "modified".
    """
    output = "" if origin is None else f"Output {number} of {short_name(origin.name())} is a view"
    if origin is not None and made is Made.SEVERAL:
        text = f"{output} and {what} modified inplace."
    else:
        mode = "inference" if made is Made.INFERENCE else "no_grad"
        how = "in normal mode" if made is Made.INFERENCE else "with grad mode enabled"
        source = "A view was created in" if origin is None else f"{output} of a view which was created in"
        text = f"{source} {mode} mode and {what} modified inplace {how}."
    if made is Made.SEVERAL:
        return (
            f"{text} This view is the output of a function that returns multiple views. Such functions do not allow "
            "the output views to be modified inplace. You should replace the inplace operation by an out-of-place one."
        )
    block = "inference_mode" if made is Made.INFERENCE else "no_grad"
    return (
        f"{text} Given that this use case is ambiguous and error-prone, it is forbidden. You can clarify your code by "
        f"moving both the view and the inplace either both inside the {block} block (if you don't want the inplace to "
        "be tracked) or both outside (if you want the inplace to be tracked)."
    )


def short_name(name: str) -> str:
    """A node's name as PyTorch's errors have it: `Mul` for MulBackward0, `Pow1` for PowBackward1."""
    return re.sub(r"Backward(0$|(?=\d+$))", "", name)


def _tensor_type(array_type: Any, shape: tuple[int, ...]) -> str:
    return f"[torch.{FROM_NUMPY[array_type].type_name} {list(shape)}]"


def noted(error: RuntimeError, node: Node) -> RuntimeError:
    """The error with a line of gradviz's own under it: which op of the user's, at which line, it is about."""
    place = decode(node.code, node.lasti)
    error.add_note(f"gradviz: `{node.op_name}` at {place.file}:{place.line}: {place.text.strip()}")
    return error
