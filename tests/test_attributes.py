"""Attributes of the user's own on tensors, and the sign of what is no number: as in PyTorch."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
from alike import assert_alike

import gradviz

NAN = float("nan")


def test_a_tensor_takes_attributes() -> None:
    def program(lib: Any) -> Any:
        x, w = lib.tensor([[1.0, 2.0]]), lib.tensor([[3.0], [4.0]])
        out = x @ w
        out.g = lib.ones_like(out)
        x.g, w.g = out.g @ w.t(), x.t() @ out.g
        twin = copy.deepcopy(x)
        twin.g.zero_()
        return x.g, w.g, twin.g, pickle.loads(pickle.dumps(w)).g, hasattr(x + 1, "g")

    assert_alike(program)


def test_a_parameter_takes_them_as_before() -> None:
    parameter = gradviz.nn.Parameter(gradviz.ones(2))
    parameter.tag = "kept"
    assert pickle.loads(pickle.dumps(parameter)).tag == "kept"


@pytest.mark.parametrize("name", ["abs", "sign", "l1_loss", "norm", "copysign"])
def test_the_sign_of_nan_is_zero(name: str) -> None:
    calls: dict[str, Any] = {
        "l1_loss": lambda lib, x: lib.nn.functional.l1_loss(x, lib.zeros(5)),
        "norm": lambda lib, x: x.norm(1),
        "copysign": lambda lib, x: lib.copysign(x[:4], lib.tensor(-1.0)),
    }

    def program(lib: Any) -> Any:
        x = lib.tensor([NAN, -1.0, 0.0, 2.0, float("inf")], requires_grad=True)
        result = calls.get(name, lambda lib, x: getattr(lib, name)(x))(lib, x)
        result.sum().backward()
        return [repr(one) for one in result.flatten().tolist()], [repr(one) for one in x.grad.tolist()]

    assert_alike(program)
