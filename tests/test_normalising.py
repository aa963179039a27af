"""Layers that normalise, pooling and attention have PyTorch's values, gradients, graph, statistics and errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import op_checks
import pytest
import torch
from op_checks import GRADVIZ, TORCH, Sample

import gradviz as gv
from gradviz.core.ops.samples import flags, grid, positive
from gradviz.core.ops.table import sample

_FAR = grid(1, 2, 3, 4, low=-20, high=20)
"""Of which the scores are so far apart that their powers are not computed as they are."""
CALLS: list[tuple[str, Sample]] = [
    ("instance_norm", sample(grid(2, 3, 4))),
    ("instance_norm", sample(grid(2, 3, 2, 2), None, None, grid(3), grid(3))),
    ("rms_norm", sample(grid(2, 3), (3,))),
    ("rms_norm", sample(grid(2, 3, 2), (3, 2), grid(3, 2), 0.1)),
    ("local_response_norm", sample(grid(2, 5, 3), 3)),
    ("local_response_norm", sample(grid(2, 5, 3, 2), 2, k=2.0)),
    ("max_pool1d", sample(grid(2, 3, 7), 2)),
    ("max_pool1d", sample(grid(3, 7), 3, 2, 1, return_indices=True)),
    ("avg_pool1d", sample(grid(2, 3, 7), 2)),
    ("avg_pool1d", sample(grid(3, 7), 3, 2, 1, True, False)),
    ("adaptive_avg_pool1d", sample(grid(2, 3, 7), 3)),
    ("adaptive_avg_pool1d", sample(grid(2, 3, 7), 1)),
    ("adaptive_avg_pool2d", sample(grid(2, 3, 4, 4), 1)),
    ("adaptive_avg_pool3d", sample(grid(1, 2, 3, 4, 4), 1)),
    ("adaptive_max_pool1d", sample(grid(2, 3, 7), 3)),
    ("scaled_dot_product_attention", sample(grid(2, 3, 4), grid(2, 5, 4), grid(2, 5, 4))),
    ("scaled_dot_product_attention", sample(grid(2, 2, 3, 4), grid(2, 2, 5, 4), grid(2, 2, 5, 3))),
    ("scaled_dot_product_attention", sample(grid(2, 3, 4), grid(2, 3, 4), grid(2, 3, 4), is_causal=True)),
    ("scaled_dot_product_attention", sample(grid(2, 3, 4), grid(2, 3, 4), grid(2, 3, 4), flags(3, 3))),
    ("scaled_dot_product_attention", sample(grid(1, 2, 3, 4), grid(1, 2, 3, 4), grid(1, 2, 3, 4), grid(3, 3))),
    (
        "scaled_dot_product_attention",
        sample(grid(1, 2, 3, 4), grid(1, 2, 3, 4), grid(1, 2, 3, 4), np.zeros((3, 3), dtype=bool)),
    ),
    ("scaled_dot_product_attention", sample(_FAR, _FAR, grid(1, 2, 3, 4), is_causal=True)),
    ("scaled_dot_product_attention", sample(_FAR, -_FAR, grid(1, 2, 3, 4), is_causal=True)),
    ("scaled_dot_product_attention", sample(_FAR, _FAR, grid(1, 2, 3, 4))),
]
WRONG: list[tuple[str, Sample]] = [
    ("batch_norm", sample(grid(2, 3, 2), None, None)),
    ("batch_norm", sample(grid(1, 3), None, None, training=True)),
    ("batch_norm", sample(grid(2, 3), None, None, grid(2), training=True)),
    ("group_norm", sample(grid(2, 3, 2), 2)),
    ("group_norm", sample(grid(3), 1)),
    ("group_norm", sample(grid(2, 3, 2), 3, grid(2))),
    ("instance_norm", sample(grid(2, 3, 1))),
    ("max_pool2d", sample(grid(2, 3, 3), 2, padding=2)),
    ("max_pool2d", sample(grid(2, 3, 3), 4)),
    ("max_pool2d", sample(grid(3, 3), 2)),
    ("max_pool2d", sample(grid(2, 3, 3), 2, 0)),
    ("avg_pool2d", sample(grid(2, 3, 3), 2, divisor_override=0)),
    ("avg_pool2d", sample(grid(2, 3, 3), 4)),
    ("scaled_dot_product_attention", sample(grid(2, 3), grid(2, 3), grid(2, 3), grid(2, 2), is_causal=True)),
    ("scaled_dot_product_attention", sample(grid(2, 3), grid(2, 3), grid(3))),
]


@pytest.mark.parametrize("position", range(len(CALLS)))
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_same_as_torch(position: int, dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    name, call = CALLS[position]
    if name == "scaled_dot_product_attention":
        # On some processors PyTorch's fused kernel is 5e-6 from its own float64.
        monkeypatch.setitem(op_checks.TOLERANCE, "float32", (2e-5, 1e-5))
    outcome = op_checks.check_against_torch(f"nn.functional.{name}", op_checks.cast(call, dtype))
    assert outcome is not None
    assert outcome.error is None


@pytest.mark.parametrize("position", range(len(WRONG)))
def test_the_errors_are_torchs(position: int) -> None:
    name, call = WRONG[position]
    ours, theirs = (op_checks.run(library, f"nn.functional.{name}", call).error for library in (GRADVIZ, TORCH))
    assert theirs is not None
    assert (type(ours), str(ours)) == (type(theirs), str(theirs).replace("torch.Size", "gradviz.Size"))


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("shape", [(4, 3), (2, 3, 4), (2, 3, 2, 2)])
def test_batch_norm_with_running_statistics(training: bool, affine: bool, shape: tuple[int, ...]) -> None:
    def run(library: Any) -> Any:
        leaf = library.leaf
        x, mean, var = leaf(grid(*shape), True), leaf(grid(3), False), leaf(positive(3), False)
        scale = (leaf(grid(3) + 2, True), leaf(grid(3), True)) if affine else ()
        out = library.find("nn.functional.batch_norm")(x, mean, var, *scale, training=training, momentum=0.3)
        gradients = library.gradients([out], [x, *scale], [op_checks.cotangent_of(library, out)])
        return out, [out, mean, var, *gradients]

    (ours, mine), (theirs, yours) = run(GRADVIZ), run(TORCH)
    for one, oracle in zip(mine, yours, strict=True):
        assert np.allclose(GRADVIZ.array(one), TORCH.array(oracle))
        assert one._version == oracle._version
    op_checks.check_output("batch_norm", ours, theirs, (1e-11, 1e-12))


def test_attention_drops_weights() -> None:
    gv.manual_seed(3)
    torch.manual_seed(3)
    q = grid(2, 3, 4)
    ours = gv.nn.functional.scaled_dot_product_attention(gv.tensor(q), gv.tensor(q), gv.tensor(q), dropout_p=0.5)
    t = torch.tensor(q)
    theirs = torch.nn.functional.scaled_dot_product_attention(t, t, t, dropout_p=0.5)
    assert np.allclose(ours.numpy(), theirs.numpy())
