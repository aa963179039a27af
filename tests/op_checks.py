"""How one row of the op table is checked: against central differences, against PyTorch, and at the edges of shapes.

A check calls the row's public function on the row's own samples, and on variants of them that nobody wrote down: every
dtype, every tensor made 0-d, empty or broadcast, the in-place method. PyTorch says what each call must do; where it
raises, so must gradviz.
"""

from __future__ import annotations

import operator
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from gradviz.core import dtypes
from gradviz.core.engine import grad
from gradviz.core.grad_mode import no_grad
from gradviz.core.ops.samples import grid
from gradviz.core.ops.table import Row, Sample
from gradviz.core.public import FUNCTIONAL, FUNCTIONS, LINALG, METHODS, SPECIAL
from gradviz.core.signatures import saved_by
from gradviz.core.tensor import Tensor

STEP = 1e-6
"""Half the distance between the two points of a central difference."""
TOLERANCE = {"float64": (1e-11, 1e-12), "float32": (2e-5, 1e-6), "float16": (4e-3, 2e-3)}
"""By dtype the relative and the absolute difference from PyTorch that rounding explains."""
TYPES = ("float64", "float32", "float16", "int64", "uint8", "bool")
"""What the floating arrays of a sample are cast to, one after the other."""

MIXED = (("float64", "float32"), ("float32", "float64"), ("float32", "int64"), ("float16", "int32"))
"""What all floating arrays of a sample but one, and that one, are cast to."""
NO_KERNEL = (
    "not implemented for '",
    "derivative for 'inplace version of",
    "Autograd not support dtype",
    "returned an invalid gradient at index",
    "grad_input must be contiguous",
    "step must be nonzero",
    "addmv input tensors must have the same dtype, but got ",  # of the gradient of `addr`
    "expects its input's 'channel' dimension to be divisible by the square of upscale_factor",
)
"""What PyTorch says where it has not got round to a case that makes sense."""
BY_PROCESSOR = "Input type (half) and bias type ("
"""What PyTorch says of a float16 convolution on some processors; on others it converts the bias."""


@dataclass(frozen=True)
class Library:
    """gradviz or torch, seen through the few things in which their calls differ."""

    name: str
    find: Callable[[str], Callable[..., Any]]
    leaf: Callable[[Any, bool], Any]
    dtype: Callable[[dtypes.dtype], Any]
    is_tensor: Callable[[Any], bool]
    gradients: Callable[[list[Any], list[Any], list[Any]], Sequence[Any]]
    array: Callable[[Any], Any]


@dataclass(frozen=True)
class Outcome:
    """What a call gave: the exception, or the results and the gradients of the tensors it was given."""

    error: Exception | None = None
    result: Any = None
    tensors: tuple[Any, ...] = ()
    gradients: tuple[Any, ...] = ()


# ---- the two libraries


def _found(
    functions: dict[str, Any], functional: dict[str, Any], linalg: dict[str, Any], special: dict[str, Any], tensor: type
) -> Callable[[str], Callable[..., Any]]:
    def find(call: str) -> Callable[..., Any]:
        space, _, name = call.rpartition(".")
        if space == "operator":
            return getattr(operator, name)
        if space == "Tensor":

            def member(self: Any, *args: Any, **kwargs: Any) -> Any:
                value = getattr(self, name)
                return value(*args, **kwargs) if callable(value) else value

            getattr(tensor, name)  # one that is missing is to be noticed here, not in the call
            return member
        return {"": functions, "nn.functional": functional, "linalg": linalg, "special": special}[space][name]

    return find


def _torch_leaf(array: Any, requires_grad: bool) -> Any:
    return torch.from_numpy(np.array(array)).requires_grad_(requires_grad)


GRADVIZ = Library(
    "gradviz",
    _found(FUNCTIONS, FUNCTIONAL, LINALG, SPECIAL, Tensor),
    lambda array, requires_grad: FUNCTIONS["tensor"](np.array(array), requires_grad=requires_grad),
    lambda dtype: dtype,
    lambda value: isinstance(value, Tensor),
    lambda outputs, inputs, cotangents: grad(outputs, inputs, cotangents, allow_unused=True),
    lambda tensor: np.asarray(tensor._data),
)
TORCH = Library(
    "torch",
    _found(vars(torch), vars(torch.nn.functional), vars(torch.linalg), vars(torch.special), torch.Tensor),
    _torch_leaf,
    lambda dtype: getattr(torch, dtype.name),
    lambda value: isinstance(value, torch.Tensor),
    lambda outputs, inputs, cotangents: torch.autograd.grad(outputs, inputs, cotangents, allow_unused=True),
    lambda tensor: tensor.detach().numpy(force=True),  # some tensors only say that they are zero
)


# ---- calling


def run(library: Library, call: str, sample: Sample, *, inplace: bool = False, backward: bool = True) -> Outcome:
    """Call one public function on a sample's arrays as tensors, and pull fixed cotangents back from what it gave.

    Every floating tensor requires grad.
    inplace: the call writes into its first tensor, which then must not be a leaf.
    backward: without it no cotangent is pulled back, and the nodes still hold what they saved.
    """
    tensors: list[Any] = []

    def build(value: Any) -> Any:
        if is_array(value):
            tensors.append(library.leaf(value, value.dtype.kind == "f"))
            return tensors[-1]
        return library.dtype(value) if isinstance(value, dtypes.dtype) else value

    args, kwargs = map_sample(build, sample)
    with warnings.catch_warnings():
        # What users are warned of is tested where it is said; numpy's warnings are not to come through.
        warnings.simplefilter("ignore", Warning if library is TORCH else UserWarning)
        try:
            if inplace:
                args = (args[0] * 1 if args[0].requires_grad else args[0], *args[1:])
            result = library.find(call)(*args, **kwargs)
            gradients = pull(library, result, tensors) if backward else ()
        except Exception as error:
            return Outcome(error)
    return Outcome(None, result, tuple(tensors), gradients)


def pull(library: Library, result: Any, tensors: list[Any]) -> tuple[Any, ...]:
    """The gradient of each tensor, or None, for fixed cotangents of the outputs."""
    outputs = [output for output in flat(result) if library.is_tensor(output) and output.requires_grad]
    wanted = [tensor for tensor in tensors if tensor.requires_grad]
    if not outputs or not wanted:
        return (None,) * len(tensors)
    cotangents = [cotangent_of(library, output) for output in outputs]
    before = [library.array(cotangent).copy() for cotangent in cotangents]
    pulled = library.gradients(outputs, wanted, cotangents)
    for kept, cotangent in zip(before, cotangents, strict=True):
        if not same(kept, library.array(cotangent)):
            raise WrittenCotangentError
    given = {id(tensor): gradient for tensor, gradient in zip(wanted, pulled, strict=True)}
    return tuple(given.get(id(tensor)) for tensor in tensors)


class WrittenCotangentError(Exception):
    """A VJP wrote into the cotangent that it was given."""


def cotangent_of(library: Library, output: Any) -> Any:
    """The fixed cotangent that a check pulls back from an output."""
    array = library.array(output)
    return library.leaf(grid(*array.shape).astype(array.dtype), False)


def is_array(value: Any) -> bool:
    """True for what stands in place of a tensor in a sample."""
    return isinstance(value, (np.ndarray, np.generic))


def map_sample(change: Callable[[Any], Any], sample: Sample) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The sample's arguments with `change` applied to every value, inside lists and tuples too."""

    def walk(value: Any) -> Any:
        if isinstance(value, (list, tuple)):
            return type(value)(walk(part) for part in value)
        return change(value)

    return tuple(walk(value) for value in sample.args), {name: walk(value) for name, value in sample.kwargs.items()}


def change_arrays(sample: Sample, change: Callable[[int, Any], Any]) -> Sample:
    """The sample with each array replaced by `change(position, array)`."""
    count = iter(range(1000))
    args, kwargs = map_sample(lambda value: change(next(count), value) if is_array(value) else value, sample)
    return replace(sample, args=args, kwargs=kwargs)


def arrays_of(sample: Sample) -> list[Any]:
    """The sample's arrays, in the order in which `change_arrays` counts them."""
    found: list[Any] = []
    map_sample(lambda value: found.append(value) if is_array(value) else None, sample)
    return found


def flat(result: Any) -> list[Any]:
    """The outputs of a call, out of whatever tuples or lists they came in."""
    return [part for item in result for part in flat(item)] if isinstance(result, (tuple, list)) else [result]


# ---- central differences


def check_gradient(row: Row, sample: Sample) -> None:
    """The gradient of every floating tensor is the central difference of the public function in float64."""
    sample = cast(sample, "float64")
    outcome = run(GRADVIZ, row.call, sample)
    assert outcome.error is None, f"{row.call} raised {outcome.error!r}"
    check_reached(row, outcome)
    find = GRADVIZ.find(row.call)
    arrays = arrays_of(sample)
    for array, tensor in zip(arrays, outcome.tensors, strict=True):
        assert same(array, GRADVIZ.array(tensor)), f"{row.call} wrote into its input"

    def projected(position: int, index: tuple[int, ...], change: float) -> float:
        def moved(number: int, array: Any) -> Any:
            if number != position:
                return array
            copy = np.array(array)
            copy[index] += change
            return copy

        args, kwargs = map_sample(
            lambda value: GRADVIZ.leaf(value, False) if is_array(value) else value, change_arrays(sample, moved)
        )
        with no_grad():
            results = flat(find(*args, **kwargs))
        total = 0.0
        for result, output in zip(results, flat(outcome.result), strict=True):
            if isinstance(output, Tensor) and output.requires_grad:
                total += float(np.sum(result._data * cotangent_of(GRADVIZ, output)._data))
        return total

    for position, (array, tensor, gradient) in enumerate(zip(arrays, outcome.tensors, outcome.gradients, strict=True)):
        if not tensor.requires_grad:
            continue
        got = np.zeros(array.shape) if gradient is None else GRADVIZ.array(gradient)
        assert got.shape == array.shape, f"the gradient of input {position} has shape {got.shape}, not {array.shape}"
        assert got.dtype == array.dtype, f"the gradient of input {position} is {got.dtype}, not {array.dtype}"
        wanted = np.empty(array.shape)
        for index in np.ndindex(array.shape):
            wanted[index] = (projected(position, index, STEP) - projected(position, index, -STEP)) / (2 * STEP)
        assert np.allclose(got, wanted, rtol=1e-6, atol=1e-7), (
            f"the gradient of input {position} of {row.call} is\n{got}\nbut central differences give\n{wanted}"
        )


def check_reached(row: Row, outcome: Outcome) -> None:
    """The public function ran this row and not another one of that name."""
    for output in flat(outcome.result):
        if isinstance(output, Tensor):
            assert output._origin.row is row, f"{row.call} ran row `{output._origin.row.key}`, not `{row.key}`"
            return


# ---- PyTorch


def check_against_torch(call: str, sample: Sample, *, inplace: bool = False) -> Outcome | None:
    """gradviz gives what PyTorch gives for this call, or raises what it raises; None where PyTorch has no kernel."""
    theirs = run(TORCH, call, sample, inplace=inplace)
    if theirs.error is not None and any(text in str(theirs.error) for text in NO_KERNEL):
        return None
    ours = run(GRADVIZ, call, sample, inplace=inplace)
    what = f"{call}{describe(sample)}"
    if theirs.error is not None:
        assert ours.error is not None, f"{what} gave {ours.result!r}, where PyTorch raises {theirs.error!r}"
        assert same_kind(ours.error, theirs.error), f"{what} raised {ours.error!r}, PyTorch {theirs.error!r}"
        return ours
    if ours.error is not None:
        if BY_PROCESSOR in str(ours.error):
            return ours
        raise AssertionError(f"{what} raised {ours.error!r}, PyTorch did not") from ours.error
    mine, yours = flat(ours.result), flat(theirs.result)
    tensors = [*ours.tensors, *(output for output in mine if isinstance(output, Tensor))]
    tolerance = max((TOLERANCE.get(tensor.dtype.name, (0.0, 0.0)) for tensor in tensors), default=(0.0, 0.0))
    assert len(mine) == len(yours), f"{what} gave {len(mine)} results, not {len(yours)}"
    for number, (output, oracle) in enumerate(zip(mine, yours, strict=True)):
        check_output(f"output {number} of {what}", output, oracle, tolerance)
    for position, (gradient, oracle) in enumerate(zip(ours.gradients, theirs.gradients, strict=True)):
        name = f"the gradient of tensor {position} of {what}"
        assert (gradient is None) == (oracle is None), f"{name} is {gradient}, not {oracle}"
        if oracle is not None:
            check_values(name, gradient, oracle, tolerance)
    return ours


def same_kind(error: Exception, oracle: Exception) -> bool:
    """True for the oracle's type of error, and never for one of numpy's.

    For bad shapes PyTorch raises now RuntimeError, now IndexError: either will do.
    """
    if type(error).__module__.startswith("numpy"):
        return False
    shape_errors = (RuntimeError, IndexError)
    return isinstance(error, type(oracle)) or (isinstance(error, shape_errors) and isinstance(oracle, shape_errors))


def check_output(what: str, output: Any, oracle: Any, tolerance: tuple[float, float]) -> None:
    """One output has PyTorch's values and PyTorch's place in the graph."""
    if not isinstance(oracle, torch.Tensor):
        assert type(output) is type(oracle), f"{what} is a {type(output).__name__}, not a {type(oracle).__name__}"
        assert output == oracle, f"{what} is {output}, not {oracle}"
        return
    assert isinstance(output, Tensor), f"{what} is {output!r}, not a tensor"
    check_values(what, output, oracle, tolerance)
    assert output.requires_grad == oracle.requires_grad, f"requires_grad of {what} is {output.requires_grad}"
    assert output.is_leaf == oracle.is_leaf, f"is_leaf of {what} is {output.is_leaf}"
    if not output.is_leaf:
        ours, theirs = output.grad_fn, oracle.grad_fn
        assert ours is not None
        assert ours.name() == theirs.name(), f"the node of {what} is {ours.name()}, not {theirs.name()}"
        follow, oracles = ([step and step.name() for step, _ in node.next_functions] for node in (ours, theirs))
        assert follow == oracles, f"next_functions of {what} are {follow}, not {oracles}"


def check_values(what: str, tensor: Any, oracle: Any, tolerance: tuple[float, float]) -> None:
    """Shape, dtype and values; the tolerance is that of the least exact tensor around."""
    ours, theirs = GRADVIZ.array(tensor), TORCH.array(oracle)
    assert ours.shape == theirs.shape, f"the shape of {what} is {ours.shape}, not {theirs.shape}"
    assert ours.dtype == theirs.dtype, f"the dtype of {what} is {ours.dtype}, not {theirs.dtype}"
    assert close(ours, theirs, tolerance), f"{what} is\n{ours}\nnot\n{theirs}"


def close(ours: Any, theirs: Any, tolerance: tuple[float, float]) -> bool:
    """Equal but for rounding; NaN equals NaN."""
    if ours.dtype.kind != "f":
        return bool((ours == theirs).all())
    relative, absolute = max(tolerance, TOLERANCE[ours.dtype.name])
    if ours.dtype == np.float16 and theirs.size:  # on some processors PyTorch rounds partial sums, too
        absolute *= max(1.0, float(np.max(np.abs(theirs), where=np.isfinite(theirs), initial=0)))
    return np.allclose(ours.astype(np.float64), theirs.astype(np.float64), relative, absolute, equal_nan=True)


def same(before: Any, after: Any) -> bool:
    """Equal to the bit; NaN equals NaN."""
    return np.array_equal(before, after, equal_nan=np.asarray(before).dtype.kind == "f")


def describe(sample: Sample) -> str:
    """The call as it could be typed, each tensor as its dtype and shape."""

    def shown(value: Any) -> Any:
        return _Shown(f"{value.dtype.name}{list(value.shape)}") if is_array(value) else value

    args, kwargs = map_sample(shown, sample)
    return f"({', '.join([*map(repr, args), *(f'{name}={value!r}' for name, value in kwargs.items())])})"


class _Shown(str):
    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def kept_bytes(row: Row, sample: Sample) -> tuple[int, int]:
    """How many bytes the call's node keeps for its backward, in gradviz and in PyTorch."""
    call, sample = row.call, cast(sample, "float64")
    nodes = [
        [output.grad_fn for output in flat(run(library, call, sample, backward=False).result)]
        for library in (GRADVIZ, TORCH)
    ]
    node, theirs = (next(node for node in found if node is not None) for found in nodes)
    saved = [getattr(theirs, name) for name in dir(theirs) if name.startswith("_saved_")]
    tensors = [part for part in flat(tuple(saved)) if isinstance(part, torch.Tensor)]
    node.rare = {name: held for name, held in (node.rare or {}).items() if name != "whole"} or None  # by itself
    return sum(kept.nbytes for kept in saved_by(node)), sum(tensor.nbytes for tensor in tensors)


# ---- variants that the samples do not spell out


def cast(sample: Sample, name: str) -> Sample:
    """The sample with its floating arrays in another dtype."""
    with np.errstate(all="ignore"):
        return change_arrays(sample, lambda _, array: array.astype(name) if array.dtype.kind == "f" else array)


def mixtures(sample: Sample) -> Iterator[Sample]:
    """The sample with one of its floating arrays in another dtype than the others, and once 0-d besides."""
    arrays = arrays_of(sample)
    if sum(array.dtype.kind == "f" for array in arrays) < 2:
        return
    for chosen, array in enumerate(arrays):
        if array.dtype.kind == "f":
            for others, name in MIXED:
                usual, mixed = cast(sample, others), cast(sample, name)
                odd = arrays_of(mixed)[chosen]
                for new in (odd, odd.reshape(-1)[0]) if odd.size else (odd,):
                    yield change_arrays(usual, lambda at, old, new=new, to=chosen: new if at == to else old)


def edges(sample: Sample) -> Iterator[Sample]:
    """The sample with its tensors 0-d, empty, in another memory order, and each in turn smaller by broadcasting."""
    arrays = arrays_of(sample)
    yield change_arrays(sample, lambda _, array: array.reshape(-1)[0] if array.size else array)
    yield change_arrays(sample, lambda _, array: array[:0] if array.ndim else array)
    yield change_arrays(sample, lambda _, array: array[..., :0] if array.ndim else array)
    yield change_arrays(sample, lambda _, array: np.array(array, order="F"))
    for chosen, array in enumerate(arrays):
        if len(arrays) > 1 and array.ndim and array.size:
            for smaller in (array[..., :1], array[0], array.reshape(-1)[0]):
                yield change_arrays(sample, lambda at, old, new=smaller, to=chosen: new if at == to else old)


def refuses(row: Row) -> bool:
    """Whether a backward that comes to the row raises, as PyTorch's does."""
    return bool(row.vjps) and all(getattr(vjp, "refuses", False) for vjp in row.vjps.values())


def inplace_call(row: Row) -> str | None:
    """The row's in-place method, if it has one."""
    name = row.call.rpartition(".")[2] + "_"
    return f"Tensor.{name}" if name in METHODS and hasattr(torch.Tensor, name) else None
