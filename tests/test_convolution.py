"""Convolutions and pooling have PyTorch's values, gradients, graph and errors; and the rows behind their backward."""

from __future__ import annotations

from typing import Any

import numpy as np
import op_checks
import pytest
from op_checks import GRADVIZ, TORCH, Sample

from gradviz.core.ops.convolution import INPUT_GRAD, WEIGHT_GRAD
from gradviz.core.ops.padding import BORDER_GRAD
from gradviz.core.ops.samples import grid
from gradviz.core.ops.table import Row, sample

IMAGES = grid(2, 3, 6, 6)
FILTERS = grid(4, 3, 3, 3)

CALLS: list[tuple[str, Sample]] = [
    *(("conv2d", sample(IMAGES, FILTERS, padding=how)) for how in ("same", "valid")),
    ("conv2d", sample(IMAGES, grid(4, 3, 2, 2), padding="same")),
    ("conv2d", sample(IMAGES, FILTERS, padding="same", dilation=2)),
    ("conv1d", sample(grid(2, 3, 6), grid(4, 3, 4), padding="same")),
    ("conv2d", sample(IMAGES[0], FILTERS, grid(4))),
    ("conv1d", sample(grid(3, 6), grid(4, 3, 2))),
    ("conv3d", sample(grid(2, 3, 3, 3), grid(2, 2, 2, 2, 2))),
    ("conv_transpose2d", sample(IMAGES[0], grid(3, 2, 2, 2), stride=2)),
    ("conv_transpose2d", sample(IMAGES, grid(3, 2, 2, 2), dilation=3, output_padding=2)),
    ("conv2d", sample(grid(40, 3, 4, 4), FILTERS)),
    ("conv2d", sample(grid(2, 3, 40, 40), FILTERS, stride=3)),
    ("conv2d", sample(grid(9, 3, 70, 70), grid(4, 3, 3, 3), grid(4), padding=1)),
    ("conv2d", sample(grid(2, 4, 6, 6), grid(8, 1, 3, 3), groups=4, padding=2)),
    ("conv2d", sample(grid(2, 3, 6, 6), grid(4, 3, 1, 1))),
    ("conv2d", sample(IMAGES, FILTERS, padding=4)),
    ("conv2d", sample(grid(2, 2, 6, 5), grid(8, 1, 3, 2), groups=2, dilation=(1, 2), padding=(1, 0))),
    ("conv2d", sample(grid(21, 2, 40, 40), grid(4, 2, 5, 5), padding=2)),
    ("conv3d", sample(grid(2, 1, 4, 4, 3), grid(3, 1, 2, 2, 2), padding=(0, 1, 1))),
    ("conv2d", sample(grid(2, 2, 6, 36), grid(4, 2, 3, 3), padding=1)),
    ("conv2d", sample(grid(3, 2, 5, 6), grid(4, 2, 2, 3), dilation=(1, 2), padding=(1, 2))),
    ("conv2d", sample(grid(14, 2, 40, 40), grid(8, 2, 3, 3), padding=(2, 0))),
    ("conv2d", sample(grid(60, 4, 20, 16), grid(8, 4, 5, 3))),
    ("conv2d", sample(grid(2, 2, 5, 6), grid(8, 2, 1, 1))),
    ("pad", sample(grid(2, 3, 4), (1, 2), "circular")),
    ("pad", sample(grid(2, 3, 4, 5), (1, 2, 3, 0), "circular")),
    ("pad", sample(grid(2, 3, 4, 5), (1, -2, -1, 2), "circular")),
    ("pad", sample(grid(2, 3, 4, 5), (1, -1, -1, 2), "reflect")),
    ("pad", sample(grid(2, 3), (0, 0))),
]
WRONG: list[tuple[str, Sample]] = [
    ("conv2d", sample(grid(2, 4, 8, 8), FILTERS)),
    ("conv2d", sample(grid(4), FILTERS)),
    ("conv2d", sample(grid(3, 2, 2), FILTERS)),
    ("conv2d", sample(IMAGES, FILTERS, grid(5))),
    ("conv2d", sample(IMAGES, FILTERS, grid(1, 4))),
    ("conv2d", sample(IMAGES.astype("float32"), FILTERS)),
    ("conv2d", sample(IMAGES.astype("float32"), FILTERS.astype("float32"), grid(4))),
    ("conv2d", sample(IMAGES, FILTERS, stride=0)),
    ("conv2d", sample(IMAGES, FILTERS, padding=-1)),
    ("conv2d", sample(IMAGES.astype("float32"), FILTERS.astype("float32"), dilation=0)),
    ("conv2d", sample(IMAGES, FILTERS, groups=0)),
    ("conv2d", sample(IMAGES, FILTERS, groups=2)),
    ("conv2d", sample(IMAGES, FILTERS, groups=3)),
    ("conv2d", sample(IMAGES, FILTERS[:0])),
    ("conv2d", sample(IMAGES, FILTERS, padding="same", stride=2)),
    ("conv2d", sample(IMAGES, FILTERS, padding="most")),
    ("conv2d", sample(IMAGES, FILTERS, stride=(1, 2, 3))),
    ("conv1d", sample(IMAGES, FILTERS)),
    ("conv_transpose2d", sample(IMAGES, FILTERS)),
    ("conv_transpose2d", sample(IMAGES, grid(3, 2, 3, 3), output_padding=1)),
    ("conv_transpose2d", sample(IMAGES[:, :, :1, :1], grid(3, 2, 1, 1), padding=1)),
    ("conv_transpose2d", sample(IMAGES, grid(3, 2, 3, 3), groups=2)),
    ("pad", sample(grid(2, 3), (1,))),
    ("pad", sample(grid(2, 3), (1, 1, 1, 1, 1, 1))),
    ("pad", sample(grid(2, 3), (3, 3), "reflect")),
    ("pad", sample(grid(2, 3), (4, 3), "circular")),
    ("pad", sample(grid(2, 3), (-2, -3))),
]


@pytest.mark.parametrize("position", range(len(CALLS)))
def test_same_as_torch(position: int) -> None:
    name, call = CALLS[position]
    outcome = op_checks.check_against_torch(f"nn.functional.{name}", call)
    assert outcome is not None
    assert outcome.error is None


@pytest.mark.parametrize("position", range(len(WRONG)))
def test_the_errors_are_torchs(position: int) -> None:
    name, call = WRONG[position]
    ours, theirs = (op_checks.run(library, f"nn.functional.{name}", call).error for library in (GRADVIZ, TORCH))
    assert theirs is not None
    assert (type(ours), str(ours)) == (type(theirs), str(theirs))


BACKWARD: list[tuple[Row, tuple[Any, ...], tuple[Any, ...]]] = [
    (INPUT_GRAD, (grid(2, 4, 3, 3), grid(4, 2, 2, 2)), ((4, 4), (1, 1), (0, 0), (1, 1), 1)),
    (INPUT_GRAD, (grid(2, 4, 2, 3), grid(4, 1, 3, 3)), ((4, 5), (2, 2), (1, 1), (1, 1), 2)),
    (WEIGHT_GRAD, (grid(2, 4, 3, 3), grid(2, 2, 4, 4)), ((2, 2), (1, 1), (0, 0), (1, 1), 1)),
    (WEIGHT_GRAD, (grid(2, 4, 2, 3), grid(2, 2, 4, 5)), ((3, 3), (2, 2), (1, 1), (1, 1), 2)),
    (BORDER_GRAD, (grid(2, 3, 7),), ((2, 3, 4), (1, 2), "reflect")),
]


@pytest.mark.parametrize("position", range(len(BACKWARD)))
def test_the_rows_behind_a_backward_have_derivatives(position: int) -> None:
    row, inputs, static = BACKWARD[position]
    check_linear(row, inputs, static)


def check_linear(row: Row, inputs: tuple[Any, ...], static: tuple[Any, ...]) -> None:
    """The VJPs of a row that is linear in each input are its central differences."""
    out = row.forward(*inputs, *static)
    g = grid(*out.shape)
    known = {**dict(zip(row.inputs, inputs, strict=True)), **dict(zip(row.static, static, strict=True))}
    for position, formula in enumerate(row.formulas):
        assert formula is not None
        vjp, names = formula
        got = vjp(g, *[known[name] if name in known else inputs[position].shape for name in names])
        wanted = np.empty(inputs[position].shape)
        for index in np.ndindex(wanted.shape):
            moved = list(inputs)
            moved[position] = np.zeros(wanted.shape)
            moved[position][index] = 1
            wanted[index] = np.sum(row.forward(*moved, *static) * g)
        assert np.allclose(got, wanted)
