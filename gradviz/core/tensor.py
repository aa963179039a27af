"""`Tensor`: a numpy array, and what autograd knows of it.

The class holds state and PyTorch's autograd attributes. Its maths (`exp`, `sum`, operators, ...) comes from the op
table: `gradviz.core` binds every public op as a method.
"""

from __future__ import annotations

import functools
import sys
import warnings
import weakref
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from gradviz.core import dtypes
from gradviz.core.aliasing import View
from gradviz.core.assigning import refuse_gradient
from gradviz.core.device import CPU, device
from gradviz.core.hooks import Extras, RemovableHandle, hooks_of
from gradviz.core.listeners import listeners
from gradviz.core.size import Size
from gradviz.core.trace import STORED, Node, Storage, Trace
from gradviz.sites import user_frame

if TYPE_CHECKING:
    from typing import Self

_LEAF_FLAG = (
    "you can only change requires_grad flags of leaf variables. If you want to use a computed variable in a subgraph "
    "that doesn't require differentiation use var_no_grad = var.detach()."
)
_NON_LEAF_GRAD = (
    "The .grad attribute of a Tensor that is not a leaf Tensor is being accessed. Its .grad attribute won't be "
    "populated during autograd.backward(). If you indeed want the .grad field to be populated for a non-leaf Tensor, "
    "use .retain_grad() on the non-leaf Tensor. If you access the non-leaf Tensor by mistake, make sure you access the "
    "leaf Tensor instead. See github.com/pytorch/pytorch/pull/30531 for more information."
)


class Tensor:
    """A numpy array with a gradient. Made by `gradviz.tensor` and its relatives, not by calling the class.

    `_data` is an ndarray, or a numpy scalar for a 0-d tensor whose memory nobody shares yet. `_origin` is the Trace or
    Node that made it, `_number` as which of its outputs. `_storage` is shared by all tensors on the same memory; most
    have none of their own until someone asks (`_memory` is None until then).
    """

    __slots__ = (
        "__dict__",
        "__weakref__",
        "_data",
        "_extras",
        "_grad",
        "_memory",
        "_number",
        "_origin",
        "_requires_grad",
        "_view",
    )

    _data: Any
    _extras: Extras | None
    _grad: Tensor | None
    _number: int
    _origin: Trace
    _requires_grad: bool
    _memory: Storage | None
    _view: View | None

    __array_priority__ = 1000

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...

    # ---- shape and type

    @property
    def shape(self) -> Size:
        """The lengths of the dimensions; prints as `torch.Size([2, 3])` without its prefix."""
        return Size(self._data.shape)

    def size(self, dim: int | None = None) -> Any:
        """The shape, or the length of one dimension."""
        return self.shape if dim is None else self._data.shape[dim]

    @property
    def dtype(self) -> dtypes.dtype:
        """The element type."""
        return dtypes.of(self._data)

    @property
    def ndim(self) -> int:
        """The number of dimensions."""
        return int(self._data.ndim)

    def dim(self) -> int:
        """The number of dimensions."""
        return int(self._data.ndim)

    def numel(self) -> int:
        """The number of elements."""
        return int(self._data.size)

    def element_size(self) -> int:
        """Bytes an element."""
        return int(self._data.itemsize)

    @property
    def nbytes(self) -> int:
        """Bytes of all elements."""
        return int(self._data.nbytes)

    @property
    def device(self) -> device:
        """Always "cpu"."""
        return CPU

    def is_floating_point(self) -> bool:
        """True where the dtype can require grad."""
        return bool(self._data.dtype.kind == "f")

    def is_contiguous(self, memory_format: Any = None) -> bool:
        """True where the elements lie in memory in row order without gaps."""
        return bool(self._data.flags.c_contiguous)

    def stride(self) -> tuple[int, ...]:
        """For each dimension the step between neighbours, in elements."""
        return tuple(step // self._data.itemsize for step in self._array().strides)

    def data_ptr(self) -> int:
        """Address of the first element."""
        return int(self._array().ctypes.data)

    # ---- autograd

    @property
    def requires_grad(self) -> bool:
        """True where gradient is to be computed for this tensor, or flows through it; for every view of such a one."""
        return self._requires_grad or (self._view is not None and self._view.base._requires_grad)

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        if value and self._data.dtype.kind != "f":
            raise RuntimeError("only Tensors of floating point dtype can require gradients")
        self._set_requires_grad(value)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Set `requires_grad` of a leaf in place and return the tensor. Raises RuntimeError for a non-leaf."""
        if requires_grad and self._data.dtype.kind != "f":
            raise RuntimeError("only Tensors of floating point dtype can require gradients")
        self._set_requires_grad(requires_grad)
        return self

    def _set_requires_grad(self, value: bool) -> None:
        if self._requires_grad and self._origin.tracked:
            if value:
                return
            raise RuntimeError(_LEAF_FLAG)
        if value and self.is_inference() and not _in_inference_mode():
            raise RuntimeError(
                "Setting requires_grad=True on inference tensor outside InferenceMode is not allowed."
            )
        self._requires_grad = value
        if value:
            frame = user_frame(sys._getframe(2))
            self._origin.flagged = frame.f_code, frame.f_lasti
        if listeners:
            for listener in tuple(listeners):
                listener.flag_set(self, sys._getframe(2))

    @property
    def is_leaf(self) -> bool:
        """True where no tracked op made this tensor (so also for every result under `no_grad`)."""
        return self.grad_fn is None

    @property
    def grad_fn(self) -> Node | None:
        """The node that made this tensor, or None for a leaf."""
        self._refresh()
        origin = self._origin
        return origin if isinstance(origin, Node) and self._requires_grad else None

    @property
    def output_nr(self) -> int:
        """As which of its node's outputs this tensor was made."""
        return self._number

    @property
    def grad(self) -> Tensor | None:
        """The gradient that backward passes have added up, or None. Warns where the tensor is not a leaf."""
        missed = self._grad is None and self._requires_grad and self._origin.tracked and not self.retains_grad
        if listeners and (missed or self._grad is not None):
            self._tell("read_grad")
        elif listeners and not self._requires_grad and type(self) is Tensor:
            self._tell("miss_grad")
        if missed:
            warnings.warn(_NON_LEAF_GRAD, UserWarning, stacklevel=2)
        return self._grad

    @grad.setter
    def grad(self, value: Tensor | None) -> None:
        if value is not None:
            refuse_gradient(self, value, Tensor)
        self._grad = value
        if listeners:
            self._tell("write_grad")

    @grad.deleter
    def grad(self) -> None:
        self._grad = None
        if listeners:
            self._tell("write_grad")

    def _tell(self, act: str, hook: Any = None) -> None:
        """Tell that the caller's caller did something with this tensor; see `events.Act`."""
        for listener in tuple(listeners):
            listener.acted(act, self, sys._getframe(2), hook)

    def backward(
        self,
        gradient: Tensor | None = None,
        retain_graph: bool | None = None,
        create_graph: bool = False,
        inputs: Tensor | Sequence[Tensor] | None = None,
    ) -> None:
        """Add d self / d leaf to the `.grad` of every leaf behind this tensor.

        gradient: the cotangent, shaped like this tensor; may be left out for a single element.
        retain_graph: keep the saved tensors, so that a second backward works; by default what `create_graph` says.
        inputs: the only tensors to accumulate into.
        """
        _engine().backward((self,), None if gradient is None else (gradient,), retain_graph, create_graph, inputs)

    def retain_grad(self) -> None:
        """Ask for `.grad` of a non-leaf. Raises RuntimeError where no gradient is required."""
        if not self.requires_grad:
            raise RuntimeError("can't retain_grad on Tensor that has requires_grad=False")
        node = self.grad_fn if self._origin.tracked else None
        if node is not None:
            hooks_of(node).retained[self._number] = weakref.ref(self)
        if listeners:
            self._tell("retain_grad")

    @property
    def retains_grad(self) -> bool:
        """True where `retain_grad` was called on this non-leaf."""
        node = self._origin
        if not isinstance(node, Node) or node.hooks is None:
            return False
        kept = node.hooks.retained.get(self._number)
        return kept is not None and kept() is self

    def register_hook(self, hook: Callable[[Tensor], Tensor | None]) -> RemovableHandle:
        """Call `hook(gradient)` each time this tensor's gradient is computed; what it returns replaces the gradient.

        Hooks run in the order of registration. Raises RuntimeError where no gradient is required.
        """
        if not self.requires_grad:
            raise RuntimeError("cannot register a hook on a tensor that doesn't require gradient")
        if listeners:
            self._tell("hook", hook)
        node = self.grad_fn
        if node is None:
            return RemovableHandle(self._extras_or_new().hooks, hook)
        return RemovableHandle(hooks_of(node).tensor_hooks.setdefault(self._number, {}), hook)

    def register_post_accumulate_grad_hook(self, hook: Callable[[Tensor], None]) -> RemovableHandle:
        """Call `hook(self)` each time a backward pass has added to this leaf's `.grad`."""
        if not self.requires_grad:
            raise RuntimeError("cannot register a hook on a tensor that doesn't require gradient")
        if self.grad_fn is not None:
            raise RuntimeError("post accumulate grad hooks cannot be registered on non-leaf tensors")
        if listeners:
            self._tell("hook", hook)
        return RemovableHandle(self._extras_or_new().accumulator_hooks, hook)

    @property
    def _storage(self) -> Storage:
        storage = self._memory
        if storage is None:
            origin = self._origin
            if not origin.flags & STORED:
                origin.storage = Storage()
                origin.flags |= STORED
            storage = self._memory = origin.storage
        return storage

    @_storage.setter
    def _storage(self, storage: Storage) -> None:
        self._memory = storage

    @property
    def _version(self) -> int:
        if self._memory is None:
            return 0
        if self._memory.version is None:
            raise RuntimeError("Inference tensors do not track version counter.")
        return self._memory.version

    @property
    def _base(self) -> Tensor | None:
        return self._view.base if self._view is not None else None

    def _is_view(self) -> bool:
        return self._view is not None

    def is_inference(self) -> bool:
        """True for a tensor made in `inference_mode`."""
        return self._memory is not None and self._memory.version is None

    def _extras_or_new(self) -> Extras:
        if self._extras is None:
            self._extras = Extras()
        return self._extras

    def _refresh(self, strict: bool = True) -> None:
        """Bring a view's origin up to date after its memory was written in place.

        Raises RuntimeError, in PyTorch's words, where that cannot be done; if not strict, leaves it as it is.
        """
        if self._view is not None and self._view.version != self._storage.version:
            from gradviz.core.inplace import regenerate  # in-place writes build on apply, which imports Tensor

            regenerate(self, self._view, strict)

    def _array(self) -> Any:
        """`_data` as an ndarray whose memory others may share from now on."""
        data = self._data
        if type(data) is not np.ndarray:
            data = self._data = np.asarray(data)
        return data

    # ---- Python protocols

    def __len__(self) -> int:
        if not self._data.ndim:
            raise TypeError("len() of a 0-d tensor")
        return int(self._data.shape[0])

    def __iter__(self) -> Any:
        if not self._data.ndim:
            raise TypeError("iteration over a 0-d tensor")
        return iter(self.unbind(0))

    def __contains__(self, element: Any) -> bool:
        return bool((self == element).any())

    def __hash__(self) -> int:
        return id(self)

    def __repr__(self) -> str:
        from gradviz.core.printing import tensor_text  # printing is needed by few programs

        return tensor_text(self)

    def __format__(self, spec: str) -> str:
        if not self._data.ndim:
            return format(self._data.item(), spec)
        if spec:
            return object.__format__(self, spec)
        return repr(self)

    def __dir__(self) -> list[str]:
        return sorted({*vars(self), *(name for cls in type(self).__mro__ for name in vars(cls))})

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        from gradviz.core.copying import deep_copy  # copying imports Tensor

        return deep_copy(self, memo)

    def __reduce__(self) -> tuple[Any, ...]:
        return _revive, (type(self), self._data, self._requires_grad), vars(self) or None


FIELDS = tuple(name for name in Tensor.__slots__ if not name.startswith("__"))
"""What a tensor consists of, but for attributes of the user's own."""


@functools.cache
def _engine() -> Any:
    from gradviz.core import engine  # the engine imports Tensor

    return engine


def _in_inference_mode() -> bool:
    from gradviz.core.grad_mode import is_inference_mode_enabled

    return is_inference_mode_enabled()


def _revive(cls: type[Tensor], data: Any, requires_grad: bool) -> Tensor:
    from gradviz.core.apply import leaf  # apply imports Tensor

    return leaf(data, "tensor", requires_grad, cls)
