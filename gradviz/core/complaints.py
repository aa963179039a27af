"""What a backward pass complains of, in PyTorch's words, with a note that names the user's line.

The texts are PyTorch's to the letter, because people search for them; the note is gradviz's own and is printed under
the traceback.
"""

from __future__ import annotations

from typing import Any

from gradviz.core.dtypes import FROM_NUMPY
from gradviz.core.trace import Node, origin_of
from gradviz.sites import decode

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


def check_versions(node: Node) -> None:
    """Raise PyTorch's error where a saved tensor was written in place since."""
    for name, mark in zip(node.row.saved_names, node.marks, strict=True):
        if mark is None:
            continue
        for pair in mark if not mark or type(mark[0]) is tuple or mark[0] is None else (mark,):
            if pair is not None and pair[0].version != pair[1]:
                raise noted(RuntimeError(_modified(node, name, pair)), node)


def _modified(node: Node, name: str, mark: Any) -> str:
    storage, version = mark
    if name == "out":
        what = _tensor_type(node.array_type, node.shape) + f", which is output 0 of {node.name()},"
    else:
        position = node.row.inputs.index(name)
        origin, number = origin_of(node.links[position])
        assert origin is not None
        shape, array_type = (origin.shape, origin.array_type) if number == 0 else origin.more[number - 1]
        what = _tensor_type(array_type, shape)
        if isinstance(origin, Node):
            what += f", which is output {number} of {origin.name()},"
    return (
        f"one of the variables needed for gradient computation has been modified by an inplace operation: {what} is at "
        f"version {storage.version}; expected version {version} instead. Hint: enable anomaly detection to find the "
        "operation that failed to compute its gradient, with torch.autograd.set_detect_anomaly(True)."
    )


def _tensor_type(array_type: Any, shape: tuple[int, ...]) -> str:
    return f"[torch.{FROM_NUMPY[array_type].type_name} {list(shape)}]"


def noted(error: RuntimeError, node: Node) -> RuntimeError:
    """The error with a line of gradviz's own under it: which op of the user's, at which line, it is about."""
    place = decode(node.code, node.lasti)
    error.add_note(f"gradviz: `{node.row.name}` at {place.file}:{place.line}: {place.text.strip()}")
    return error
