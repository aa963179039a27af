"""Pruning: a parameter that a mask of zeros and ones is put over before its module runs, and how the mask is chosen.

What is learned goes by `<name>_orig`, the mask is the buffer `<name>_mask`, and `<name>` is their product.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from numbers import Real
from typing import Any

from gradviz.core.public import FUNCTIONS
from gradviz.core.tensor import Tensor


class BasePruningMethod(ABC):
    """A way to choose what is pruned, and the hook that puts the mask over the parameter.

    A class of your own has a `PRUNING_TYPE`, which says what it is shown of a parameter that was pruned before:
    "unstructured" the elements that are left, "structured" the channels along `dim` that are left, "global" all.
    """

    PRUNING_TYPE = ""
    _tensor_name: Any = None

    @abstractmethod
    def compute_mask(self, t: Any, default_mask: Any) -> Any:
        """The mask, shaped like `t`, by whose elements it goes; `default_mask` is the one there was."""

    def __call__(self, module: Any, inputs: Any) -> None:
        setattr(module, self._tensor_name, self.apply_mask(module))

    def apply_mask(self, module: Any) -> Any:
        """The parameter with its mask over it."""
        mask, whole = getattr(module, f"{self._tensor_name}_mask"), getattr(module, f"{self._tensor_name}_orig")
        return mask.to(whole.dtype) * whole

    @classmethod
    def apply(cls, module: Any, name: str, *args: Any, importance_scores: Any = None, **kwargs: Any) -> Any:
        """Prune parameter `name` of a module by a method that is made of `args`, once more if it was pruned before.

        importance_scores: what the mask is chosen by, in place of the parameter. Returns the hook that does it. The
        module stays as it was where the mask cannot be computed.
        """
        before = _hook_of(module, name)
        made: BasePruningMethod = cls(*args, **kwargs)
        made._tensor_name = name
        whole = getattr(module, name)
        if importance_scores is not None and importance_scores.shape != whole.shape:
            raise AssertionError(
                f"importance_scores should have the same shape as parameter {name} of {module}, got "
                f"{_size(importance_scores)} vs {_size(whole)}"
            )
        scores = whole if importance_scores is None else importance_scores
        if before is None:
            mask = made.compute_mask(scores, default_mask=FUNCTIONS["ones_like"](whole))
            module.register_parameter(f"{name}_orig", whole)
            del module._parameters[name]
        else:
            number, hook = before
            container = hook if isinstance(hook, PruningContainer) else PruningContainer(hook)
            container.add_pruning_method(made)
            made = container
            mask = made.compute_mask(scores, default_mask=getattr(module, f"{name}_mask").detach().clone())
            del module._forward_pre_hooks[number]
        module.register_buffer(f"{name}_mask", mask)
        setattr(module, name, made.apply_mask(module))
        module.register_forward_pre_hook(made)
        return made

    def prune(self, t: Any, default_mask: Any = None, importance_scores: Any = None) -> Any:
        """A tensor with the mask over it that would be chosen for it."""
        if importance_scores is not None and importance_scores.shape != t.shape:
            raise AssertionError(
                f"importance_scores should have the same shape as tensor t, got {_size(importance_scores)} vs "
                f"{_size(t)}"
            )
        mask = FUNCTIONS["ones_like"](t) if default_mask is None else default_mask
        return t * self.compute_mask(t if importance_scores is None else importance_scores, default_mask=mask)

    def remove(self, module: Any) -> None:
        """Make the masked values those of the parameter, which gets its name back."""
        name = self._tensor_name
        masked, whole = self.apply_mask(module), module._parameters[f"{name}_orig"]
        for part in (name, f"{name}_orig", f"{name}_mask"):
            delattr(module, part)
        whole.data = masked.data
        setattr(module, name, whole)


class PruningContainer(BasePruningMethod):
    """Several methods for one parameter: the last one chooses from what those before it left."""

    def __init__(self, *args: Any) -> None:
        self._pruning_methods: tuple[Any, ...] = ()
        if len(args) == 1:
            self._tensor_name = args[0]._tensor_name
        for method in args:
            self.add_pruning_method(method)

    def add_pruning_method(self, method: Any) -> None:
        """Put a method after the others. Raises ValueError for one that is for another parameter."""
        if not isinstance(method, BasePruningMethod) and method is not None:
            raise TypeError(f"{type(method)} is not a BasePruningMethod subclass")
        if method is not None and method._tensor_name != self._tensor_name:
            raise ValueError(
                f"Can only add pruning methods acting on the parameter named '{self._tensor_name}' to "
                f"PruningContainer {self}. Found '{method._tensor_name}'"
            )
        self._pruning_methods += (method,)

    def __len__(self) -> int:
        return len(self._pruning_methods)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._pruning_methods)

    def __getitem__(self, idx: Any) -> Any:
        return self._pruning_methods[idx]

    def compute_mask(self, t: Any, default_mask: Any) -> Any:
        """The mask after the last method. Raises ValueError where it has no known `PRUNING_TYPE`."""
        method, mask = self._pruning_methods[-1], default_mask.to(t.dtype)
        left = _left(method, mask)
        mask = mask.clone()
        mask[left] = method.compute_mask(t[left], default_mask=default_mask[left]).to(mask.dtype)
        return mask


def _left(method: Any, mask: Any) -> Any:
    """The index of what a method may choose from."""
    if method.PRUNING_TYPE == "unstructured":
        return mask == 1
    if method.PRUNING_TYPE not in ("structured", "global"):
        raise ValueError(f"Unrecognized PRUNING_TYPE {method.PRUNING_TYPE}")
    index: list[Any] = [slice(None)] * mask.dim()
    if method.PRUNING_TYPE == "structured":
        if not hasattr(method, "dim"):
            raise AttributeError(
                'Pruning methods of PRUNING_TYPE "structured" need to have the attribute `dim` defined.'
            )
        dim = _dimension(method.dim, mask)
        index[dim] = mask.sum(dim=[other for other in range(mask.dim()) if other != dim]) != 0
    return tuple(index)


def _dimension(dim: int, t: Any) -> int:
    if not -t.dim() <= dim < t.dim():
        raise IndexError(f"Invalid index {dim} for tensor of size {_size(t)}")
    return dim % int(t.dim())


class Identity(BasePruningMethod):
    """Prunes nothing: the parameter gets a mask of ones."""

    PRUNING_TYPE = "unstructured"

    def compute_mask(self, t: Any, default_mask: Any) -> Any:
        """The mask there was."""
        return default_mask


class CustomFromMask(BasePruningMethod):
    """A mask that is given."""

    PRUNING_TYPE = "global"

    def __init__(self, mask: Any) -> None:
        self.mask = mask

    def compute_mask(self, t: Any, default_mask: Any) -> Any:
        """What both masks leave."""
        if default_mask.shape != self.mask.shape:
            raise AssertionError(
                f"default_mask shape {_size(default_mask)} must match self.mask shape {_size(self.mask)}"
            )
        return default_mask * self.mask.to(default_mask.dtype)


class _ByAmount(BasePruningMethod):
    """A method that is told how much to prune: so many, or that part of all."""

    def __init__(self, amount: Any) -> None:
        if not isinstance(amount, Real):
            raise TypeError(f"Invalid type for amount: {amount}. Must be int or float.")
        self.amount: int | float = _number(amount)
        if self.amount < 0 or (isinstance(self.amount, float) and self.amount > 1):
            raise ValueError(
                f"amount={amount} should either be a float in the range [0, 1] or a non-negative integer"
            )

    def _count(self, size: int) -> int:
        """How many of `size` are pruned."""
        if isinstance(self.amount, float):
            return round(self.amount * size)
        if self.amount > size:
            raise ValueError(
                f"amount={self.amount} should be smaller than the number of parameters to prune={size}"
            )
        return self.amount


def _number(amount: Any) -> int | float:
    return int(amount) if hasattr(amount, "__index__") else float(amount)


class RandomUnstructured(_ByAmount):
    """Elements that are drawn."""

    PRUNING_TYPE = "unstructured"

    def compute_mask(self, t: Any, default_mask: Any) -> Any:
        """The mask without the elements that were drawn."""
        return _without_elements(default_mask, lambda: FUNCTIONS["rand_like"](t), self._count(t.numel()), True)


class L1Unstructured(_ByAmount):
    """The elements of least magnitude."""

    PRUNING_TYPE = "unstructured"

    def compute_mask(self, t: Any, default_mask: Any) -> Any:
        """The mask without the elements of least magnitude."""
        return _without_elements(default_mask, lambda: FUNCTIONS["abs"](t), self._count(t.numel()), False)


def _without_elements(mask: Any, scores: Any, count: int, largest: bool) -> Any:
    """A mask without the `count` elements of the greatest, or the least, scores."""
    mask = mask.clone()
    if count:
        mask.view(-1)[scores().view(-1).topk(count, largest=largest).indices] = 0
    return mask


class _Structured(_ByAmount):
    PRUNING_TYPE = "structured"

    def __init__(self, amount: Any, dim: int = -1) -> None:
        super().__init__(amount)
        self.dim = dim

    def _kept(self, t: Any, count: int) -> Any:
        """For each channel whether it is kept; `count` are not."""
        raise NotImplementedError

    def compute_mask(self, t: Any, default_mask: Any) -> Any:
        """The mask without the channels that are pruned."""
        if t.dim() <= 1:
            raise ValueError(
                "Structured pruning can only be applied to multidimensional tensors. Found tensor of shape "
                f"{_size(t)} with {t.dim()} dims"
            )
        dim = _dimension(self.dim, t)
        count = self._count(t.shape[dim])
        if not count:
            return default_mask
        shape = [1] * t.dim()
        shape[dim] = t.shape[dim]
        return self._kept(t, count).to(default_mask.dtype).view(shape) * default_mask


class RandomStructured(_Structured):
    """Channels that are drawn."""

    def _kept(self, t: Any, count: int) -> Any:
        drawn = FUNCTIONS["rand"](t.shape[_dimension(self.dim, t)])
        return drawn > FUNCTIONS["kthvalue"](drawn, count).values


class LnStructured(_Structured):
    """The channels of least norm, of which `n` is the order."""

    def __init__(self, amount: Any, n: Any, dim: int = -1) -> None:
        super().__init__(amount, dim)
        self.n = n

    def _kept(self, t: Any, count: int) -> Any:
        dim = _dimension(self.dim, t)
        norms = FUNCTIONS["norm"](t, p=self.n, dim=[other for other in range(t.dim()) if other != dim])
        kept = FUNCTIONS["zeros_like"](norms)
        kept[norms.topk(norms.numel() - count).indices] = 1
        return kept


def identity(module: Any, name: str) -> Any:
    """Give a parameter a mask of ones; returns the module."""
    Identity.apply(module, name)
    return module


def random_unstructured(module: Any, name: str, amount: Any) -> Any:
    """Prune elements that are drawn; returns the module. amount: how many, or which part of all."""
    RandomUnstructured.apply(module, name, amount)
    return module


def l1_unstructured(module: Any, name: str, amount: Any, importance_scores: Any = None) -> Any:
    """Prune the elements of least magnitude; returns the module. amount: how many, or which part of all."""
    L1Unstructured.apply(module, name, amount, importance_scores=importance_scores)
    return module


def random_structured(module: Any, name: str, amount: Any, dim: int) -> Any:
    """Prune channels along `dim` that are drawn; returns the module. amount: how many, or which part of all."""
    RandomStructured.apply(module, name, amount, dim)
    return module


def ln_structured(module: Any, name: str, amount: Any, n: Any, dim: int, importance_scores: Any = None) -> Any:
    """Prune the channels along `dim` whose `n`-norm is least; returns the module."""
    LnStructured.apply(module, name, amount, n, dim, importance_scores=importance_scores)
    return module


def custom_from_mask(module: Any, name: str, mask: Any) -> Any:
    """Put a mask that is given over a parameter; returns the module."""
    CustomFromMask.apply(module, name, mask)
    return module


def global_unstructured(
    parameters: Any, pruning_method: Any, importance_scores: Any = None, **kwargs: Any
) -> None:
    """Prune several parameters as if they were one.

    parameters: pairs of a module and a name. importance_scores: for such pairs what is chosen by, in their place.
    Raises TypeError for a method that does not choose single elements.
    """
    if not isinstance(parameters, Iterable):
        raise TypeError("global_unstructured(): parameters is not an Iterable")
    pairs, given = list(parameters), importance_scores or {}
    method = pruning_method(**kwargs)
    if method.PRUNING_TYPE != "unstructured":
        raise TypeError(
            f'Only "unstructured" PRUNING_TYPE supported for the `pruning_method`. Found method {pruning_method} of '
            f"type {method.PRUNING_TYPE}"
        )
    tensors = [getattr(module, name) for module, name in pairs]
    scores = [given.get(pair, tensor) for pair, tensor in zip(pairs, tensors, strict=True)]
    masks = [getattr(module, f"{name}_mask", FUNCTIONS["ones_like"](tensor))
             for (module, name), tensor in zip(pairs, tensors, strict=True)]  # fmt: skip
    container = PruningContainer()
    container.add_pruning_method(method)
    whole = container.compute_mask(_joined(scores), _joined(masks))
    start = 0
    for (module, name), tensor in zip(pairs, tensors, strict=True):
        custom_from_mask(module, name, whole[start : start + tensor.numel()].view_as(tensor))
        start += tensor.numel()


def _joined(tensors: list[Tensor]) -> Any:
    return FUNCTIONS["cat"]([tensor.reshape(-1) for tensor in tensors])


def remove(module: Any, name: str) -> Any:
    """Make a pruned parameter an ordinary one that holds the masked values; returns the module."""
    found = _hook_of(module, name)
    if found is None:
        raise ValueError(
            f"Parameter '{name}' of module {module} has to be pruned before pruning can be removed"
        )
    number, hook = found
    hook.remove(module)
    del module._forward_pre_hooks[number]
    return module


def is_pruned(module: Any) -> bool:
    """Whether a parameter of a module, or of one inside it, is pruned."""
    return any(
        isinstance(hook, BasePruningMethod) for part in module.modules() for hook in part._forward_pre_hooks.values()
    )


def _hook_of(module: Any, name: str) -> tuple[int, BasePruningMethod] | None:
    for number, hook in module._forward_pre_hooks.items():
        if isinstance(hook, BasePruningMethod) and hook._tensor_name == name:
            return number, hook
    return None


def _size(tensor: Any) -> str:
    return f"torch.Size({list(tensor.shape)})"
