"""Programs that Hypothesis draws, differentiated twice and with hooks: whatever can be seen is as in PyTorch."""

from __future__ import annotations

import warnings
from contextlib import nullcontext
from typing import Any

import aliasing
import torch
from aliasing import KINDS, MATRIX, MODES, VECTOR, Pool, Step, attempt, complaint, numbers
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import gradviz

STEPS = st.lists(
    st.builds(Step, st.sampled_from(KINDS), st.integers(0, 7), st.integers(0, 7), st.sampled_from(MODES)),
    min_size=1,
    max_size=7,
)
HOOKS = st.lists(st.tuples(st.sampled_from(("see", "double", "square", "retain")), st.integers(0, 7)), max_size=3)


def run(library: Any, steps: list[Step], hooks: list[tuple[str, int]], ending: str) -> list[Any]:
    """Run the steps, put hooks on some of the tensors, differentiate the sum of cubes twice; returns what was seen."""
    pool = Pool(library)
    leaves = [library.tensor(MATRIX, requires_grad=True), library.tensor(VECTOR, requires_grad=True)]
    for tensor in (*leaves, library.tensor(MATRIX) * 2, leaves[0] * 1):
        pool.put(tensor)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for step in steps:
            aliasing._bring_up_to_date(pool)
            with getattr(library, step.mode)() if step.mode else nullcontext():
                try:
                    aliasing._run(pool, step)
                except Exception as error:
                    pool.log.append(complaint(error))
        aliasing._bring_up_to_date(pool)
        for kind, place in hooks:
            attempt(lambda kind=kind, place=place: _hook(pool, kind, place))  # type: ignore[misc]
        pool.log.append(attempt(lambda: _differentiate(library, pool, leaves, ending)))
        pool.log += [attempt(lambda tensor=tensor: _grad_of(tensor)) for tensor in pool.tensors]  # type: ignore[misc]
    return pool.log


def _hook(pool: Pool, kind: str, place: int) -> None:
    tensor = pool.tensors[place % len(pool.tensors)]
    if kind == "retain":
        tensor.retain_grad()
        return

    def hook(gradient: Any) -> Any:
        pool.log.append((kind, place, numbers(gradient), gradient.requires_grad))
        return {"see": None, "double": gradient * 2, "square": gradient * gradient}[kind]

    tensor.register_hook(hook)


def _differentiate(library: Any, pool: Pool, leaves: list[Any], ending: str) -> Any:
    total: Any = 0.0
    for tensor in pool.tensors:
        if tensor.requires_grad:
            total = total + (tensor * tensor * tensor).sum()
    if isinstance(total, float):
        return None
    if ending == "backward":
        total.backward(create_graph=True)
        first = [leaf.grad for leaf in leaves]
    else:
        first = library.autograd.grad(total, leaves, create_graph=True, allow_unused=True)
    seen = [None if one is None else (numbers(one), one.requires_grad) for one in first]
    slopes = [one.sin().sum() for one in first if one is not None and one.requires_grad]
    if not slopes:
        return seen
    if ending == "twice backward":
        sum(slopes[1:], slopes[0]).backward()
        return seen
    second = library.autograd.grad(sum(slopes[1:], slopes[0]), leaves, allow_unused=True)
    # PyTorch gives now zeros, now nothing, where a second derivative vanishes.
    return seen, [numbers(leaf * 0 if one is None else one) for one, leaf in zip(second, leaves, strict=True)]


def _grad_of(tensor: Any) -> Any:
    return None if tensor.grad is None else (numbers(tensor.grad), tensor.grad.requires_grad)


@settings(
    max_examples=200, deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow]
)
@given(STEPS, HOOKS, st.sampled_from(("grad", "backward", "twice backward")))
def test_any_program_has_pytorchs_second_derivatives(
    steps: list[Step], hooks: list[tuple[str, int]], ending: str
) -> None:
    theirs, ours = (run(library, steps, hooks, ending) for library in (torch, gradviz))
    for place, (mine, yours) in enumerate(zip(ours, theirs, strict=True)):
        assert alike(mine, yours), f"entry {place} of {steps}, {hooks}, {ending}: {mine}, not {yours}"


def alike(mine: Any, yours: Any) -> bool:
    """Equal but for rounding."""
    if isinstance(mine, (list, tuple)) and isinstance(yours, (list, tuple)):
        return len(mine) == len(yours) and all(map(alike, mine, yours))
    if isinstance(mine, float) and isinstance(yours, float):
        return abs(mine - yours) <= 1e-6 * max(1.0, abs(yours)) or (mine != mine and yours != yours)
    return bool(mine == yours)
