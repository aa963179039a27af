"""Naming: what an op is called, which of its plain arguments are operands, and what a call of it does at all."""

from __future__ import annotations

import enum
from functools import cache
from typing import Any

import torch

from gradviz.events import Cause


class Deed(enum.Enum):
    """What the recording makes of a call."""

    NOTHING = enum.auto()
    OP = enum.auto()
    EXIT = enum.auto()
    GRAD_MODE = enum.auto()
    GRAD_READ = enum.auto()
    GRAD_WRITE = enum.auto()
    DATA_WRITE = enum.auto()
    REQUIRES_GRAD = enum.auto()
    HOOK = enum.auto()


class Call:
    """All that is known of calls of one function before any of them is looked at.

    name      the op as the user calls it, without the underscores of operators and of writing in place
    deed      what a call does
    operands  how many leading arguments are operands, so that a number among them is an input of the op
    inplace   the function writes to its first argument
    asks      the position of its argument `inplace`, which asks for that; -1 where it has none
    python    it is written in Python, so its own frames lie between the mode and the caller
    cause     the cut that each call makes, whatever it is given
    unlike    the cut that a call makes where autograd could have tracked it and did not
    source    it makes a tensor from nothing, although it is given one
    copies    its arguments are data to be copied: tensors among them keep their values, not their history
    laned     it copies nothing and cuts nothing by itself: `Lane` may tell of it
    plain     and it writes to nothing and is not written in Python, so that a call may be looked at after it
    one       of its tensors only the first is an operand; the others say of which shape or type the result is
    silent    with fewer than three arguments it never warns, so that nobody needs to see where it was called
    """

    __slots__ = (
        "asks", "cause", "copies", "deed", "inplace", "laned", "name", "one", "operands", "plain", "python",
        "silent", "source", "unlike", "variants",
    )  # fmt: skip

    def __init__(self, name: str, deed: Deed) -> None:
        self.name = name
        self.deed = deed
        self.operands = 0
        self.inplace = False
        self.asks = -1
        self.python = False
        self.cause: Cause | None = None
        self.copies = False
        self.source = False
        self.one = False
        self.unlike = Cause.NONDIFFERENTIABLE
        self.variants = 0
        self.laned = False
        self.plain = False
        self.silent = False


_OPERATORS = {
    "__add__": "add", "__radd__": "add", "__iadd__": "add", "__sub__": "sub", "__rsub__": "rsub", "__isub__": "sub",
    "__mul__": "mul", "__rmul__": "mul", "__imul__": "mul", "__truediv__": "div", "__rtruediv__": "div",
    "__div__": "div", "__rdiv__": "div", "__itruediv__": "div", "__idiv__": "div", "__pow__": "pow",
    "__rpow__": "pow", "__ipow__": "pow", "__floordiv__": "floor_divide", "__rfloordiv__": "floor_divide",
    "__ifloordiv__": "floor_divide", "__mod__": "remainder", "__rmod__": "remainder", "__imod__": "remainder",
    "__matmul__": "matmul", "__rmatmul__": "matmul", "__imatmul__": "matmul", "__neg__": "neg", "__pos__": "positive",
    "__abs__": "abs", "__invert__": "bitwise_not", "__and__": "bitwise_and", "__rand__": "bitwise_and",
    "__iand__": "bitwise_and", "__or__": "bitwise_or", "__ror__": "bitwise_or", "__ior__": "bitwise_or",
    "__xor__": "bitwise_xor", "__rxor__": "bitwise_xor", "__ixor__": "bitwise_xor", "__eq__": "eq", "__ne__": "ne",
    "__lt__": "lt", "__le__": "le", "__gt__": "gt", "__ge__": "ge", "__lshift__": "bitwise_left_shift",
    "__rshift__": "bitwise_right_shift", "__deepcopy__": "deepcopy",
}  # fmt: skip

_INPLACE_OPERATORS = frozenset(name for name in _OPERATORS if name.startswith("__i") and name != "__invert__")

_FILLS = frozenset(
    {"normal_", "uniform_", "bernoulli_", "random_", "exponential_", "geometric_", "cauchy_", "log_normal_", "detach_",
     "squeeze_"}
)  # fmt: skip
"""In-place functions that have no other form, or another meaning than it: their underscore stays."""

_BINARY = frozenset(
    {"add", "sub", "rsub", "mul", "div", "pow", "floor_divide", "remainder", "fmod", "eq", "ne", "lt", "le", "gt", "ge",
     "maximum", "minimum", "atan2", "true_divide", "multiply", "subtract", "divide", "bitwise_and", "bitwise_or",
     "bitwise_xor", "float_power"}
)  # fmt: skip

_SILENT = frozenset({torch.Tensor.add, torch.Tensor.sub, torch.Tensor.mul, torch.Tensor.div})
"""What the operators come down to: with one operand besides the tensor, these never warn."""

_SILENT_READS = frozenset(
    {"size", "dim", "numel", "stride", "is_floating_point", "is_complex", "is_contiguous", "shape", "dtype", "device",
     "layout", "ndim", "requires_grad", "is_leaf", "is_sparse", "is_quantized", "is_cuda"}
)  # fmt: skip

_PROPERTY_OPS = {
    "T": "permute", "mT": "transpose", "H": "adjoint", "mH": "adjoint", "real": "real", "imag": "imag", "data": "data",
}  # fmt: skip

_EXITS = {
    "item": "item", "__float__": "item", "__int__": "item", "__bool__": "item", "__index__": "item",
    "__complex__": "item", "tolist": "tolist", "numpy": "numpy", "__array__": "numpy", "equal": "equal",
    "allclose": "allclose", "is_nonzero": "item", "__contains__": "item", "__dlpack__": "numpy",
}  # fmt: skip
"""Calls whose result has left the graph, and the op that the core tells of for it."""

_COPIES = frozenset({"tensor", "new_tensor", "asarray"})

_PATTERNS = frozenset(
    {"zeros_like", "ones_like", "empty_like", "full_like", "rand_like", "randn_like", "randint_like", "new_zeros",
     "new_ones", "new_empty", "new_full", "new_empty_strided", "__deepcopy__"}
)  # fmt: skip
"""Functions that take only shape and dtype from a tensor, or make a twin of it: what they make begins a new history."""

_SHAPED_LIKE = frozenset({"expand_as", "view_as", "reshape_as", "type_as"})
"""Methods that take only shape or type from another tensor: nothing of its data, and no gradient comes to it."""

_HOOKS = frozenset(
    {"register_hook", "register_post_accumulate_grad_hook", "retain_grad", "register_multi_grad_hook"}
)

_PASSED_OVER = frozenset(
    {"backward", "__torch_function__", "is_floating_point", "is_complex", "is_contiguous", "is_inference", "is_pinned",
     "is_shared", "is_signed", "is_same_size", "is_conj", "is_neg", "is_set_to", "size", "dim", "numel", "nelement",
     "element_size", "stride", "storage_offset", "data_ptr", "ndimension", "get_device", "untyped_storage", "storage",
     "storage_type", "share_memory_", "dense_dim", "sparse_dim", "has_names", "result_type", "can_cast", "is_tensor",
     "is_storage", "_is_view", "_has_compatible_shallow_copy_type", "__len__", "__repr__", "__format__", "__hash__",
     "__dir__", "__reduce_ex__", "__setstate__", "__array_priority__", "__dlpack_device__", "__cuda_array_interface__",
     "__iter__", "names", "_assert_async", "_debug_has_internal_overlap"}
)  # fmt: skip


def describe_call(func: Any) -> Call:
    """What calls of `func` are; `func` is what a torch function mode is handed."""
    name = getattr(func, "__name__", "") or type(func).__name__
    if isinstance(func, torch._ops.OpOverload):
        name = name.partition(".")[0]  # `add.Tensor`: what is added to what makes no other op of it
    if name in ("__get__", "__set__", "__delete__"):
        return _describe_property(getattr(getattr(func, "__self__", None), "__name__", ""), name)
    if name == "_set_grad_enabled":
        return Call(name, Deed.GRAD_MODE)
    if name == "requires_grad_":
        return Call(name, Deed.REQUIRES_GRAD)
    if name in _HOOKS:
        return _in_python(Call(name, Deed.HOOK), func)
    if name in _PASSED_OVER:
        call = Call(name, Deed.NOTHING)
        call.silent = name in _SILENT_READS
        return call
    if name in _EXITS:
        call = Call(_EXITS[name], Deed.EXIT)
        call.cause = Cause.NUMPY if call.name == "numpy" else Cause.ITEM
        return _in_python(call, func)
    call = _in_python(Call(_OPERATORS.get(name, name), Deed.OP), func)
    ends_in_place = name.endswith("_") and not name.endswith("__")
    call.inplace = ends_in_place or name == "__setitem__" or name in _INPLACE_OPERATORS
    if call.inplace and name not in _FILLS and name not in _OPERATORS and name != "__setitem__":
        call.name = name.rstrip("_")
    call.operands = 2 if call.name in _BINARY or name == "__setitem__" else 3 if call.name == "where" else 0
    call.cause = {"detach": Cause.DETACH, "detach_": Cause.DETACH_}.get(name)
    if name in ("detach_", "set_"):
        call.inplace = False
    call.source = name in _PATTERNS
    if name in _COPIES:
        call.copies = True
        call.cause = Cause.RETENSOR
    call.one = name in _SHAPED_LIKE
    call.laned = not (call.cause or call.source or call.one or name in ("detach_", "set_", "__setitem__"))
    call.plain = call.laned and not call.python and not call.inplace
    call.silent = func in _SILENT
    return call


def _describe_property(name: str, access: str) -> Call:
    if access == "__get__":
        if name == "grad":
            return Call("grad", Deed.GRAD_READ)
        if name in _PROPERTY_OPS:
            call = Call(_PROPERTY_OPS[name], Deed.OP)
            call.cause = Cause.DATA if name == "data" else None
            return call
    elif name == "grad":
        return Call("grad", Deed.GRAD_WRITE)
    elif name == "data":
        return Call("set_data", Deed.DATA_WRITE)
    elif name == "requires_grad":
        return Call(name, Deed.REQUIRES_GRAD)
    call = Call(name, Deed.NOTHING)
    call.silent = access == "__get__" and name in _SILENT_READS
    return call


def _in_python(call: Call, func: Any) -> Call:
    code = getattr(func, "__code__", None)
    call.python = code is not None
    if code is not None and "inplace" in code.co_varnames[: code.co_argcount]:
        call.asks = code.co_varnames.index("inplace")
    return call


def op_name(call: Call, args: tuple[Any, ...]) -> str:
    """The op that a call comes down to where the call's name leaves that open."""
    if call.name == "__getitem__" and len(args) == 2:
        return _index_name(args[1])
    if call.name == "__setitem__":
        return "index_put" if _index_name(args[1]) == "index" else "copy"
    return call.name


def _index_name(index: Any) -> str:
    entries = index if isinstance(index, tuple) else (index,)
    if any(isinstance(entry, (torch.Tensor, list)) or hasattr(entry, "__array__") for entry in entries):
        return "index"
    # Among others, a whole slice is passed over, as in PyTorch.
    if isinstance(index, slice) or any(isinstance(entry, slice) and entry != slice(None) for entry in entries):
        return "slice"
    if any(isinstance(entry, int) for entry in entries):
        return "select"
    return "unsqueeze" if None in entries else "alias"


def named_arguments(name: str, args: tuple[Any, ...]) -> tuple[tuple[Any, ...], tuple[str, ...]]:
    """The positional arguments of a call of PyTorch's function `name` and their names; none where it has no schema.

    A size that was given as several numbers, `x.view(3, -1)`, is one argument.
    """
    if name == "__setitem__":
        target, index, value = args
        return (target, value, index), ("self", "value", "index")
    if name == "__getitem__":
        return args, ("self", "index")
    kinds = tuple(map(_kind, args))
    names = _argument_names(name, kinds)
    if not names and len(kinds) > 2 and set(kinds[1:]) == {"int"}:
        names = _argument_names(name, (kinds[0], "ints"))
        if names:
            args = (args[0], args[1:])
    return args, names


def _kind(item: Any) -> str:
    if isinstance(item, torch.Tensor):
        return "Tensor"
    if isinstance(item, (tuple, list)):
        inner = set(map(_kind, item))
        return "ints" if inner <= {"int"} else "Tensors" if inner == {"Tensor"} else "list"
    return type(item).__name__


_ACCEPTED = {
    "Tensor": {"Tensor"}, "List[Tensor]": {"Tensors"}, "List[int]": {"ints"}, "int": {"int", "dtype"},
    "number": {"int", "float", "bool", "complex"}, "float": {"float", "int"}, "bool": {"bool"}, "str": {"str"},
    "Device": {"device", "str"},
}  # fmt: skip
"""The kinds of argument that each type of a schema takes. A number may stand for a list of one, where nothing else."""


@cache
def _argument_names(name: str, kinds: tuple[str, ...]) -> tuple[str, ...]:
    for lone in ("List[int]", ""):
        for schema in torch._C._jit_get_schemas_for_operator(f"aten::{name}"):
            given = [argument for argument in schema.arguments if not argument.kwarg_only][: len(kinds)]
            if len(given) == len(kinds) and not any("." in argument.name for argument in given):
                pairs = zip(given, kinds, strict=True)
                if all(_accepts(str(argument.type), kind, lone) for argument, kind in pairs):
                    return tuple(argument.name for argument in given)
    return ()


def _accepts(wanted: str, kind: str, lone: str) -> bool:
    if wanted.startswith("Optional["):
        wanted = wanted[9:-1]
        if kind == "NoneType":
            return True
    return kind in _ACCEPTED.get(wanted, ()) or (wanted == lone and kind == "int")
