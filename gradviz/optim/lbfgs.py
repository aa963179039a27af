"""`LBFGS`: steps along an approximation of Newton's direction, made from past gradients, with a line search.

Sources: J. Nocedal, 1980, for the direction; J. Nocedal and S. Wright, "Numerical Optimization", 3.5, for the search.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from gradviz.core.grad_mode import enable_grad
from gradviz.core.ops.table import TABLE
from gradviz.core.tensor import Tensor
from gradviz.nn.parameter import born
from gradviz.optim.optimizer import Closure, Optimizer, check

_DECREASE, _CURVATURE = 1e-4, 0.9
"""How much of the expected decrease must be there, and how much of the slope may be left."""


class LBFGS(Optimizer):
    """Up to `max_iter` such steps at a time; `step` calls a closure again and again. There can be one group only.

    max_eval: most calls of the closure in one step, by default a quarter more than `max_iter`. tolerance_grad,
    tolerance_change: what counts as no gradient, and as no progress. history_size: how many past gradients are kept.
    line_search_fn: "strong_wolfe", or None for steps of length `lr`.
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search_fn: str | None = None,
    ) -> None:
        check("learning rate", lr)
        super().__init__(
            params,
            {
                "lr": lr,
                "max_iter": max_iter,
                "max_eval": max_iter * 5 // 4 if max_eval is None else max_eval,
                "tolerance_grad": tolerance_grad,
                "tolerance_change": tolerance_change,
                "history_size": history_size,
                "line_search_fn": line_search_fn,
            },
        )
        if len(self.param_groups) != 1:
            raise ValueError("LBFGS doesn't support per-parameter options (parameter groups)")
        self._params: list[Tensor] = self.param_groups[0]["params"]

    def step(self, closure: Closure | None = None) -> Any:
        """Take steps until one of the limits is reached. closure: computes the loss anew, and its gradients.

        Returns the loss of the first call.
        """
        if closure is None:
            raise TypeError("LBFGS.step() missing 1 required positional argument: 'closure'")
        group = self.param_groups[0]
        state = self.state[self._params[0]]
        state.setdefault("func_evals", 0)
        state.setdefault("n_iter", 0)
        first, loss, grad = self._evaluate(closure)
        state["func_evals"] += 1
        calls = 1
        if np.abs(grad).max() <= group["tolerance_grad"]:
            return first
        for turn in range(1, group["max_iter"] + 1):
            state["n_iter"] += 1
            direction = self._direction(state, grad, group["history_size"])
            state["prev_flat_grad"], state["prev_loss"] = _tensor(grad.copy()), loss
            before = loss
            length = min(1.0, 1.0 / np.abs(grad).sum()) * group["lr"] if state["n_iter"] == 1 else group["lr"]
            state["d"], state["t"] = _tensor(direction), _plain(length)
            slope = grad.dot(direction)
            if slope > -group["tolerance_change"]:
                break
            more = 0
            if group["line_search_fn"] is not None:
                if group["line_search_fn"] != "strong_wolfe":
                    raise RuntimeError("only 'strong_wolfe' is supported")
                start = _Point(0, loss, grad, slope)
                reach = np.abs(direction).max()
                try_length = self._trial(closure, direction)
                found, more = _search(try_length, start, length, reach, group["max_eval"] - calls)
                length, loss, grad, _ = found
                state["t"] = _plain(length)
                self._move(length, direction)
            else:
                self._move(length, direction)
                if turn < group["max_iter"]:
                    _, loss, grad = self._evaluate(closure)
                    more = 1
            calls += more
            state["func_evals"] += more
            if (
                calls >= group["max_eval"]
                or np.abs(grad).max() <= group["tolerance_grad"]
                or np.abs(direction * grad.dtype.type(length)).max() <= group["tolerance_change"]
                or abs(loss - before) < group["tolerance_change"]
            ):
                break
        return first

    def _direction(self, state: dict[str, Any], grad: Any, limit: int) -> Any:
        """Where to go: the gradient, turned by what its past changes tell of the curvature."""
        if state["n_iter"] == 1:
            state.update(d=None, t=None, old_dirs=[], old_stps=[], ro=[], H_diag=1)
            return -grad
        changes, steps, weights = state["old_dirs"], state["old_stps"], state["ro"]
        change = grad - state["prev_flat_grad"]._data
        step = state["d"]._data * grad.dtype.type(state["t"])
        along = change.dot(step)
        if along > 1e-10:
            if len(changes) == limit:
                for kept in (changes, steps, weights):
                    kept.pop(0)
            changes.append(_tensor(change))
            steps.append(_tensor(step))
            weights.append(_plain(1.0 / along))
            state["H_diag"] = _plain(along / change.dot(change))
        shares = state.setdefault("al", [None] * limit)
        found = -grad
        for at in reversed(range(len(changes))):
            share = steps[at]._data.dot(found) * weights[at]
            shares[at] = _plain(share)
            found -= changes[at]._data * share
        found *= grad.dtype.type(state["H_diag"])
        for at, past in enumerate(changes):
            back = past._data.dot(found) * weights[at]
            found += steps[at]._data * (shares[at] - back)
        return found

    def _evaluate(self, closure: Closure) -> tuple[Any, float, Any]:
        """The loss as the closure gives it, as a number, and the gradient of all parameters in one row."""
        with enable_grad():
            loss = closure()
        parts = [
            np.zeros(one._data.size, one._data.dtype) if one._grad is None else np.ravel(one._grad._data)
            for one in self._params
        ]
        return loss, float(loss._data if isinstance(loss, Tensor) else loss), np.concatenate(parts)

    def _move(self, length: Any, direction: Any) -> None:
        start = 0
        for tensor in self._params:
            array = tensor._array()
            part = direction[start : start + array.size].reshape(array.shape)
            array += part * array.dtype.type(length)
            start += array.size
            _written(tensor)

    def _trial(self, closure: Closure, direction: Any) -> Callable[[Any], _Point]:
        """What asks for loss and gradient at a distance, and goes back."""
        start = [tensor._array().copy() for tensor in self._params]

        def at(length: Any) -> _Point:
            self._move(length, direction)
            _, loss, grad = self._evaluate(closure)
            for tensor, array in zip(self._params, start, strict=True):
                tensor._array()[...] = array
                _written(tensor)
            return _Point(length, loss, grad, grad.dot(direction))

        return at


class _Point(NamedTuple):
    """A place on the line: how far along, the loss and the gradient there, and the slope along the line."""

    length: Any
    loss: float
    grad: Any
    slope: Any


def _search(at: Callable[[Any], _Point], start: _Point, length: Any, reach: Any, limit: int) -> tuple[_Point, int]:
    """A place that meets the strong Wolfe conditions, and how many places were looked at.

    at: looks at one. reach: the greatest element of the direction. limit: most places after the first.
    """

    def is_too_high(point: _Point) -> bool:
        return bool(point.loss > start.loss + _DECREASE * point.length * start.slope)

    def is_flat(point: _Point) -> bool:
        return bool(abs(point.slope) <= -_CURVATURE * start.slope)

    turns, done = 0, False
    last, point = start, at(length)
    while turns < limit:
        if is_too_high(point) or (turns > 1 and point.loss >= last.loss):
            bracket = [last, point]
            break
        if is_flat(point):
            return point, turns + 1
        if point.slope >= 0:
            bracket = [last, point]
            break
        bounds = point.length + 0.01 * (point.length - last.length), point.length * 10
        last, point = point, at(_lowest(last, point, bounds))
        turns += 1
    else:
        bracket = [start, point]
    is_stuck = False
    low, high = (0, 1) if bracket[0].loss <= bracket[1].loss else (1, 0)
    while not done and turns < limit:
        one, two = bracket
        if abs(two.length - one.length) * reach < 1e-9:
            break
        least, most = min(one.length, two.length), max(one.length, two.length)
        length = _lowest(one, two, (least, most))
        margin = 0.1 * (most - least)
        is_near = min(most - length, length - least) < margin
        if is_near and (is_stuck or length >= most or length <= least):
            length = most - margin if abs(length - most) < abs(length - least) else least + margin
            is_stuck = False
        else:
            is_stuck = is_near
        point = at(length)
        turns += 1
        if is_too_high(point) or point.loss >= bracket[low].loss:
            bracket[high] = point
            low, high = (0, 1) if bracket[0].loss <= bracket[1].loss else (1, 0)
        else:
            done = is_flat(point)
            if not done and point.slope * (bracket[high].length - bracket[low].length) >= 0:
                bracket[high] = bracket[low]
            bracket[low] = point
    return bracket[low], turns + 1


def _lowest(one: _Point, two: _Point, bounds: tuple[Any, Any]) -> Any:
    """Where a cubic through two places with these slopes is lowest, within bounds; their middle where it is nowhere."""
    bend = one.slope + two.slope - 3 * (one.loss - two.loss) / (one.length - two.length)
    square = bend**2 - one.slope * two.slope
    if not square >= 0:
        return (bounds[0] + bounds[1]) / 2.0
    root = np.sqrt(square)
    near, far = (one, two) if one.length <= two.length else (two, one)
    ratio = (far.slope + root - bend) / (far.slope - near.slope + 2 * root)
    return min(max(far.length - (far.length - near.length) * ratio, bounds[0]), bounds[1])


def _written(tensor: Tensor) -> None:
    if tensor._storage.version is not None:
        tensor._storage.version += 1


def _tensor(array: Any) -> Any:
    return born(array, False, Tensor, TABLE["zeros"])


def _plain(number: Any) -> Any:
    """A number without numpy's type, exact."""
    return number.item() if isinstance(number, np.generic) else number
