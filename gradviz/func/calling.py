"""Modules as functions of their parameters: `functional_call`, `stack_module_state`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gradviz.core.public import FUNCTIONS
from gradviz.core.tensor import Tensor
from gradviz.nn.module import Module


def functional_call(
    module: Any,
    parameter_and_buffer_dicts: Any,
    args: Any = None,
    kwargs: dict[str, Any] | None = None,
    *,
    tie_weights: bool = True,
    strict: bool = False,
) -> Any:
    """What a module gives with other tensors in place of its parameters and buffers, which stay what they are.

    parameter_and_buffer_dicts: these tensors by name, in one dictionary or several. tie_weights: what is there under
    two names is replaced under both. strict: raise RuntimeError where one is missing or unknown.
    """
    given: dict[str, Any] = {}
    dicts = parameter_and_buffer_dicts
    for one in (dicts,) if isinstance(dicts, dict) else dicts:
        twice = sorted(set(given) & set(one))
        if twice:
            raise ValueError(f"{twice} appeared in multiple dictionaries; behavior of functional call is ambiguous")
        given.update(one)
    places = _places(module)
    if strict:
        _check_names(module, set(places), set(given))
    held = {path: getattr(owner, kind)[name] for path, (owner, kind, name) in places.items()}
    put = {path: given[path] for path in places if path in given}
    if tie_weights:
        by_tensor = {id(held[path]): tensor for path, tensor in put.items()}
        put |= {path: by_tensor[id(one)] for path, one in held.items() if id(one) in by_tensor and path not in put}
    try:
        for path, tensor in put.items():
            owner, kind, name = places[path]
            getattr(owner, kind)[name] = tensor
        return module(*_as_tuple(args), **(kwargs or {}))
    finally:
        for path in put:
            owner, kind, name = places[path]
            getattr(owner, kind)[name] = held[path]


def _places(module: Any) -> dict[str, tuple[Any, str, str]]:
    """For the path of each parameter and buffer the module that has it, in which dictionary, under which name."""
    found: dict[str, tuple[Any, str, str]] = {}
    for path, owner in module.named_modules(remove_duplicate=False):
        for kind in ("_parameters", "_buffers"):
            for name, tensor in getattr(owner, kind).items():
                if tensor is not None:
                    found[f"{path}.{name}" if path else name] = owner, kind, name
    return found


def _check_names(module: Any, known: set[str], given: set[str]) -> None:
    lines = [
        f"\t{what} key(s): {', '.join(repr(name) for name in sorted(names))}."
        for what, names in (("Unexpected", given - known), ("Missing", known - given))
        if names
    ]
    if lines:
        raise RuntimeError(f"Error(s) in reparametrizing for {type(module).__name__}:\n" + "\n".join(lines))


def _as_tuple(args: Any) -> tuple[Any, ...]:
    if args is None:
        return ()
    return args if isinstance(args, tuple) else (args,)


def stack_module_state(models: Sequence[Module]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The parameters of modules of one class, stacked, and their buffers, as `vmap` takes them."""
    if not models:
        raise RuntimeError("stack_module_state: Expected at least one model, got 0.")
    if len({model.training for model in models}) > 1:
        raise RuntimeError("stack_module_state: Expected all models to have the same training/eval mode.")
    if len({type(model) for model in models}) > 1:
        raise RuntimeError("stack_module_state: Expected all models to be of the same class.")
    parameters = [dict(model.named_parameters()) for model in models]
    buffers = [dict(model.named_buffers()) for model in models]
    return (
        {name: _stacked([one[name] for one in parameters]) for name in parameters[0]},
        {name: _stacked([one[name] for one in buffers]) for name in buffers[0]},
    )


def _stacked(tensors: list[Tensor]) -> Any:
    needs = {one.requires_grad for one in tensors}
    if len(needs) > 1:
        raise RuntimeError("Expected parameters from different models to have the same requires_grad")
    return FUNCTIONS["stack"]([one.detach() for one in tensors]).requires_grad_(needs.pop())
