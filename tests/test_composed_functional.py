"""Losses, distances and activations that are composed have PyTorch's values, gradients and errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import op_checks
import pytest
from op_checks import GRADVIZ, TORCH, Sample

from gradviz.core.ops.samples import grid, positive, unit
from gradviz.core.ops.table import sample

SIGNS = np.array([1, -1, 1])
CALLS: list[tuple[str, Sample]] = [
    *(("kl_div", sample(grid(2, 3), positive(2, 3), reduction=how)) for how in ("none", "mean", "sum", "batchmean")),
    ("kl_div", sample(grid(2, 3), unit(2, 3), log_target=True)),
    ("cosine_similarity", sample(grid(2, 3), unit(2, 3))),
    ("cosine_similarity", sample(grid(2, 3), unit(3), -1)),
    ("pairwise_distance", sample(grid(2, 3), unit(3, 2).T)),
    ("pairwise_distance", sample(grid(2, 3), unit(3, 2).T, 1.0, keepdim=True)),
    *(
        ("cosine_embedding_loss", sample(grid(3, 2), unit(2, 3).T, SIGNS, 0.1, reduction=how))
        for how in ("none", "mean", "sum")
    ),
    ("margin_ranking_loss", sample(grid(3), unit(3), SIGNS, 0.3)),
    ("hinge_embedding_loss", sample(grid(3), SIGNS)),
    ("triplet_margin_loss", sample(grid(2, 3), unit(2, 3), positive(2, 3))),
    ("triplet_margin_loss", sample(grid(2, 3), unit(2, 3), positive(2, 3), 0.5, 1, swap=True, reduction="sum")),
    ("soft_margin_loss", sample(grid(3), SIGNS)),
    ("multilabel_soft_margin_loss", sample(grid(2, 3), unit(2, 3) ** 2)),
    ("poisson_nll_loss", sample(grid(3), positive(3))),
    ("poisson_nll_loss", sample(positive(3), positive(3), False, True, reduction="sum")),
    ("gaussian_nll_loss", sample(grid(3), unit(3), positive(3), full=True)),
    *(("multi_margin_loss", sample(grid(4, 3), np.array([1, 0, 2, 2]), p, reduction=how))
      for p in (1, 2) for how in ("mean", "sum")),
    ("multi_margin_loss", sample(grid(4, 3), np.array([1, 0, 2, 2]), 1, 0.5)),
    *(("multilabel_margin_loss", sample(grid(2, 4), np.array([[3, 0, -1, 1], [1, -1, 0, 0]]), reduction=how))
      for how in ("mean", "sum")),
    ("lp_pool1d", sample(positive(2, 3, 6), 2.0, 2)),
    ("lp_pool2d", sample(positive(2, 3, 6, 5), 3.0, (2, 3), stride=2, ceil_mode=True)),
    ("lp_pool3d", sample(positive(1, 2, 3, 3, 3), 2.0, 2)),
    ("max_unpool1d", sample(grid(2, 2), np.array([[1, 2], [0, 3]]), 2)),
    ("softsign", sample(grid(2, 3))),
    ("tanhshrink", sample(grid(2, 3))),
    ("softmin", sample(grid(2, 3), 1)),
    ("prelu", sample(grid(2, 3, 2), unit(3))),
    ("bilinear", sample(grid(4, 2), unit(4, 3), positive(5, 2, 3), grid(5))),
    ("bilinear", sample(grid(2, 4, 2), unit(2, 4, 3), positive(5, 2, 3))),
    ("bilinear", sample(grid(2), unit(3), positive(5, 2, 3), grid(5))),
    ("prelu", sample(grid(2, 3), unit(1))),
    ("prelu", sample(grid(3), unit(1)[0])),
]
WRONG: list[tuple[str, Sample]] = [
    ("prelu", sample(grid(2, 3), unit(2))),
    ("prelu", sample(grid(2, 3), unit(2, 3))),
    ("bilinear", sample(grid(4, 2), unit(3, 3), positive(5, 2, 3))),
    ("bilinear", sample(grid(4, 2), unit(4, 3), positive(5, 3, 3))),
    ("bilinear", sample(grid(4, 2), unit(4, 3), positive(5, 2, 2))),
    ("bilinear", sample(grid(4, 2), unit(4, 3), positive(5, 2, 3), grid(4))),
    ("glu", sample(grid(2, 3))),
    ("pixel_shuffle", sample(grid(1, 3, 2, 2), 2)),
    ("pixel_unshuffle", sample(grid(1, 3, 3, 2), 2)),
    ("channel_shuffle", sample(grid(1, 3, 2), 2)),
    ("interpolate", sample(grid(1, 3, 2, 2))),
    ("interpolate", sample(grid(1, 3, 2, 2), 2, 2.0)),
    ("interpolate", sample(grid(1, 3, 2, 2), (2,))),
    ("interpolate", sample(grid(1, 3, 2, 2), 2, align_corners=True)),
    ("triplet_margin_loss", sample(grid(2, 3), unit(2, 3), positive(2, 3), -1.0)),
    ("gaussian_nll_loss", sample(grid(3), unit(3), -positive(3))),
    ("cosine_embedding_loss", sample(grid(3, 2), unit(3, 2), grid(3, 2))),
]


@pytest.mark.parametrize("position", range(len(CALLS)))
def test_values_and_gradients_are_torchs(position: int) -> None:
    name, call = CALLS[position]
    ours, theirs = (op_checks.run(library, f"nn.functional.{name}", call) for library in (GRADVIZ, TORCH))
    assert (ours.error, theirs.error) == (None, None)
    pairs: list[tuple[Any, Any]] = [
        (ours.result, theirs.result),
        *zip(ours.gradients, theirs.gradients, strict=True),
    ]
    for one, oracle in pairs:
        assert (one is None) == (oracle is None)
        if one is not None:
            op_checks.check_values(name, one, oracle, (1e-9, 1e-11))
    assert ours.result.dtype.name == str(theirs.result.dtype).removeprefix("torch.")


@pytest.mark.parametrize("position", range(len(WRONG)))
def test_the_errors_are_torchs(position: int) -> None:
    name, call = WRONG[position]
    ours, theirs = (op_checks.run(library, f"nn.functional.{name}", call).error for library in (GRADVIZ, TORCH))
    assert theirs is not None
    assert (type(ours), str(ours)) == (type(theirs), str(theirs))
