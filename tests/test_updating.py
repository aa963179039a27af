"""The short way to write in place against the general definition: whatever is written, the same is seen afterwards."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from test_compiling import record_of, told

import gradviz
from gradviz.core import public
from gradviz.core.ops import arithmetic
from gradviz.core.tensor import Tensor

WRITES: dict[str, Callable[[Any, Any], Any]] = {
    "add": lambda x, y: x.__iadd__(y),
    "sub": lambda x, y: x.__isub__(y),
    "mul": lambda x, y: x.__imul__(y),
    "div": lambda x, y: x.__itruediv__(y),
    "add_": lambda x, y: x.add_(y),
    "add_ with alpha": lambda x, y: x.add_(y, alpha=2),
    "mul_": lambda x, y: x.mul_(y),
}


def leaf(*shape: int, grad: bool = False, dtype: Any = None) -> Tensor:
    numbers = gradviz.arange(1.0, 7.0).reshape(2, 3) if shape == (2, 3) else gradviz.ones(*shape)
    return gradviz.tensor(numbers.tolist(), dtype=dtype, requires_grad=grad)


def under(region: Any, make: Callable[[], Any]) -> Any:
    with region():
        return make()


TARGETS: dict[str, Callable[[], Tensor]] = {
    "leaf": lambda: leaf(2, 3),
    "leaf with grad": lambda: leaf(2, 3, grad=True),
    "tracked": lambda: leaf(2, 3, grad=True) * 2,
    "view": lambda: leaf(2, 3)[:],
    "transposed": lambda: leaf(3, 2).t(),
    "double": lambda: leaf(2, 3, dtype=gradviz.float64),
    "integers": lambda: leaf(2, 3, dtype=gradviz.int64),
    "0-d": lambda: leaf(2, 3).sum(),
    "untracked": lambda: under(gradviz.no_grad, lambda: leaf(2, 3, grad=True) * 2),
    "second output": lambda: under(gradviz.no_grad, lambda: leaf(2, 3).max(0)[0]),
    "inference": lambda: under(gradviz.inference_mode, lambda: leaf(2, 3) * 2),
}
OPERANDS: dict[str, Callable[[Tensor], Any]] = {
    "float": lambda target: 0.5,
    "int": lambda target: 3,
    "bool": lambda target: True,
    "itself": lambda target: target,
    "tensor": lambda target: leaf(2, 3),
    "with grad": lambda target: leaf(2, 3, grad=True),
    "tracked": lambda target: leaf(2, 3, grad=True).exp(),
    "untracked": lambda target: under(gradviz.no_grad, lambda: (leaf(2, 3, grad=True) * 2).exp()),
    "row": lambda target: leaf(3),
    "too large": lambda target: leaf(4, 2, 3),
    "double": lambda target: leaf(2, 3, dtype=gradviz.float64),
    "view": lambda target: leaf(2, 3)[:],
    "0-d": lambda target: leaf(2, 3).sum(),
}
REGIONS = {"grad": gradviz.enable_grad, "no_grad": gradviz.no_grad, "inference": gradviz.inference_mode}




def outcome(target: str, operand: str, region: str, write: Callable[[Any, Any], Any]) -> Any:
    """All that can be seen after two writes to a tensor, or the error."""
    x = TARGETS[target]()
    y = OPERANDS[operand](x)
    try:
        with REGIONS[region]():
            assert write(x, y) is x
            write(x, y)
    except RuntimeError as error:
        return str(error), told(x._data)
    written = getattr(x._memory, "written", None)
    return (
        told(x._data),
        x._number,
        x.requires_grad,
        None if x.is_inference() else x._version,
        None if written is None else x._origin.id - written[0],
        record_of(x._origin, {}),
    )


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("operand", OPERANDS)
def test_the_short_way_and_the_general_definition_do_the_same(
    target: str, operand: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for region in REGIONS:
        for write in WRITES.values():
            short = outcome(target, operand, region, write)
            with monkeypatch.context() as patch:
                for module in (arithmetic, public):
                    patch.setattr(module, "updated", lambda *given: False)
                assert short == outcome(target, operand, region, write), (region, write)


def test_a_long_loop_of_writes_keeps_a_bounded_history() -> None:
    w = gradviz.tensor([1.0, 2.0], requires_grad=True)
    g = gradviz.tensor([0.5, 0.25])
    with gradviz.no_grad():
        for _ in range(2_000):
            w -= 0.01 * g
    graph = gradviz.graph(w)
    assert len(graph.ops) < 600
    assert len(graph.ops) + sum(op.forgotten for op in graph.ops.values()) >= 4_000
    assert w._version == 2_000
    assert w.tolist() == pytest.approx([1 - 10.0, 2 - 5.0], rel=1e-3)


def test_the_short_way_is_taken_by_a_hand_written_step(monkeypatch: pytest.MonkeyPatch) -> None:
    w = gradviz.tensor([1.0, 2.0], requires_grad=True)
    (w * w).sum().backward()
    assert w.grad is not None
    monkeypatch.setattr(arithmetic, "apply_inplace", lambda *given: pytest.fail("the general definition ran"))
    with gradviz.no_grad():
        w -= 0.1 * w.grad
    assert w.tolist() == pytest.approx([0.8, 1.6])
