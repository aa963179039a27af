"""Every row of the op table, checked from its own samples: a row that is added is checked without another line here."""

from __future__ import annotations

from typing import Any

import numpy as np
import op_checks
import pytest

import gradviz.nn
import gradviz.optim  # noqa: F401 - these fill the table, and the core before them
from gradviz.core.ops.table import TABLE, Row

EXIT = "has no derivative; what it cuts is tested with the graph"
INTERNAL = "no user calls it; runs behind the in-place writes to views"
DUAL = "runs in gradients that have a graph of their own, which test_higher_derivatives compares with PyTorch's"
FILL = "is only ever written over what was there; tested with the other ways to fill a tensor"
BACKWARD = "runs behind a backward; its values and derivatives are tested in test_convolution"
LINEAR = "runs behind a backward; its values and derivatives are compared with PyTorch's in test_backward_rows"
SIGNS = "takes special matrices, or gives vectors up to their signs; tested in test_linalg"
RANDOM = "draws from a stream, which is compared with PyTorch's in test_sources"
CHECKED_ELSEWHERE = {
    **dict.fromkeys(("detach", "data", "detach_", "set_data", "item", "tolist", "numpy", "retensor"), EXIT),
    **dict.fromkeys(("convolution.input_grad", "convolution.weight_grad", "pad.border_grad"), BACKWARD),
    **dict.fromkeys(("max_pool.backward", "max_pool.picked", "avg_pool.backward"), LINEAR),
    **dict.fromkeys(("adaptive_avg_pool.backward", "to_index", "unfold_backward", "upsample.backward"), LINEAR),
    **dict.fromkeys(("linalg_cholesky", "linalg_qr", "linalg_svd", "linalg_eigh"), SIGNS),
    **dict.fromkeys(("lu_unpack", "linalg_lu_solve", "cholesky_solve", "cholesky_inverse"), "tested in test_linalg"),
    **dict.fromkeys(("_pack_padded_sequence", "_pad_packed_sequence"), "tested in test_packing"),
    "_weight_norm": "PyTorch crashes on empty tensors; tested in test_parametrize",
    "_trilinear": "only runs inside bilinear; tested in test_composed_functional",
    "linalg_matrix_exp": "PyTorch's float16 overflows on the way; tested in test_linalg",
    "prelu": "is given its weight in the input's shape; tested in test_composed_functional",
    "mm.columns": "is `mm` of a matrix that was transposed, which test_owned_gradients compares with PyTorch",
    "safe_softmax": "only runs inside attention, which is compared with PyTorch",
    **dict.fromkeys(
        ("_threshold_", "leaky_relu_", "elu_", "selu_", "celu_"), "only runs in place; tested in test_written_over"
    ),
    "fractional_max_pool2d": "is given what it draws in its input's dtype; tested in test_fractional_pooling",
    **dict.fromkeys(("copy_slices", "as_strided"), INTERNAL),
    "_ctc_loss_backward": "runs behind ctc_loss; tested in test_ctc",
    "ctc_loss": "its gradient is that of what `log_softmax` was taken of; tested in test_ctc",
    "pdist": "PyTorch crashes on empty tensors; tested in test_special",
    "cdist.product": "only runs for many vectors; tested in test_special",
    "error": "runs behind `once_differentiable` only, which is tested with custom functions",
    **dict.fromkeys(("taken_at", "added_at", "placed_at", "on_diagonal", "part_zeroed", "scattered", "unpacked"), DUAL),
    **dict.fromkeys(("bernoulli", "bernoulli_", "normal.mean", "normal.std", "normal.both", "normal_"), RANDOM),
    **dict.fromkeys(("uniform_", "random_", "exponential_", "multinomial", "rrelu", "rrelu_"), RANDOM),
    **dict.fromkeys(("_standard_gamma", "_sample_dirichlet", "poisson", "binomial"), "draws; tested in test_variates"),
    **dict.fromkeys(("cauchy_", "geometric_", "log_normal_"), "draws; tested in test_variates"),
    **dict.fromkeys(("_standard_gamma_grad", "_dirichlet_grad"), "only runs in gradients; tested in test_variates"),
    **dict.fromkeys(("igamma", "igammac", "special_zeta"), "has a derivative for one input; tested in test_special"),
    **dict.fromkeys(("Parameter.tensor", "BackwardHookFunction"), "what modules do, which test_module compares"),
    "step": "what an optimizer does, which test_optimizers and test_nn_conformance compare with PyTorch",
    "mul.number": "only runs inside cross_entropy with label smoothing, which test_functional compares with PyTorch",
    **dict.fromkeys(
        [f"{key}.in_place" for key in ("t", "transpose", "squeeze", "squeeze.dim", "squeeze.dims", "unsqueeze")],
        "turns a tensor in place, which test_aliasing compares with PyTorch",
    ),
    **dict.fromkeys(
        [
            f"{key}.{kind}_in_place"
            for key in ("eq", "ne", "lt", "le", "gt", "ge") for kind in ("number", "tensor")
        ],
        "only runs in place, which test_aliasing compares with PyTorch",
    ),
    **dict.fromkeys(("copy", "fill.number", "fill.tensor", "zero"), FILL),
}
"""The rows that may be without samples, each with its reason; besides these only sources, which have no input."""

ROWS = [row for row in TABLE.values() if row.samples is not None]
KEYS = [row.key for row in ROWS]
DIFFERENTIABLE = [row.key for row in ROWS if row.differentiable and not op_checks.refuses(row)]


def samples_of(row: Row) -> list[Any]:
    assert row.samples is not None
    return list(row.samples())


def check_gradients(row: Row) -> None:
    for sample in samples_of(row):
        if sample.smooth:
            op_checks.check_gradient(row, sample)


def test_every_row_has_samples_or_a_reason() -> None:
    without = {key for key, row in TABLE.items() if row.samples is None and row.inputs}
    assert sorted(without - set(CHECKED_ELSEWHERE)) == []
    assert sorted(set(CHECKED_ELSEWHERE) - without) == [], "these have samples, or are gone"


@pytest.mark.parametrize("key", KEYS)
def test_every_sample_reaches_the_row(key: str) -> None:
    row = TABLE[key]
    assert samples_of(row)
    for sample in samples_of(row):
        outcome = op_checks.run(op_checks.GRADVIZ, row.call, sample, backward=False)
        assert outcome.error is None, repr(outcome.error)
        op_checks.check_reached(row, outcome)


@pytest.mark.parametrize("key", DIFFERENTIABLE)
def test_gradients_are_central_differences(key: str) -> None:
    check_gradients(TABLE[key])


@pytest.mark.parametrize("key", KEYS)
def test_torch_agrees_in_every_dtype(key: str) -> None:
    row = TABLE[key]
    for sample in samples_of(row):
        for name in op_checks.TYPES:
            op_checks.check_against_torch(row.call, op_checks.cast(sample, name))
        for mixture in op_checks.mixtures(sample):
            op_checks.check_against_torch(row.call, mixture)


@pytest.mark.parametrize("key", KEYS)
def test_torch_agrees_at_the_edges_of_shapes(key: str) -> None:
    row = TABLE[key]
    for sample in samples_of(row):
        for edge in op_checks.edges(sample):
            op_checks.check_against_torch(row.call, edge)


@pytest.mark.parametrize("key", [row.key for row in ROWS if op_checks.inplace_call(row) is not None])
def test_torch_agrees_in_place(key: str) -> None:
    row = TABLE[key]
    call = op_checks.inplace_call(row)
    assert call is not None
    for sample in samples_of(row):
        if sample.args and op_checks.is_array(sample.args[0]):
            for name in op_checks.TYPES:
                op_checks.check_against_torch(call, op_checks.cast(sample, name), inplace=True)
            for edge in op_checks.edges(sample):
                op_checks.check_against_torch(call, edge, inplace=True)


@pytest.mark.parametrize("key", DIFFERENTIABLE)
def test_a_node_keeps_no_more_than_torchs(key: str) -> None:
    row = TABLE[key]
    for sample in samples_of(row):
        outcome = op_checks.run(op_checks.GRADVIZ, row.call, op_checks.cast(sample, "float64"), backward=False)
        if any(getattr(output, "grad_fn", None) is not None for output in op_checks.flat(outcome.result)):
            ours, theirs = op_checks.kept_bytes(row, sample)
            assert ours <= theirs, f"{row.call}{op_checks.describe(sample)} keeps {ours} bytes, PyTorch {theirs}"


# ---- the checks themselves


@pytest.mark.parametrize("key", DIFFERENTIABLE)
def test_a_wrong_derivative_of_any_input_is_found(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    row = TABLE[key]
    for position, formula in enumerate(row.formulas):
        if formula is None:
            continue
        vjp, names = formula
        broken = list(row.formulas)
        broken[position] = (_off_by_a_quarter(vjp), names)
        monkeypatch.setitem(row.__dict__, "formulas", tuple(broken))
        _compile_anew(row, monkeypatch)
        with pytest.raises(AssertionError, match="central differences give"):
            check_gradients(row)
        monkeypatch.undo()


def _off_by_a_quarter(vjp: Any) -> Any:
    def broken(g: Any, *saved: Any) -> Any:
        right = vjp(g, *saved)
        return None if right is None else right + 0.25

    return broken


def _break(row: Row, monkeypatch: pytest.MonkeyPatch, vjp: Any) -> None:
    names = row.formulas[0][1] if row.formulas[0] else ()
    monkeypatch.setitem(row.__dict__, "formulas", ((vjp, names), *row.formulas[1:]))
    _compile_anew(row, monkeypatch)


def _compile_anew(row: Row, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let what was changed in a row be seen: what was compiled of it is made again when it is next used."""
    monkeypatch.setattr(row, "runs", {})
    monkeypatch.setattr(row, "pull", None)
    monkeypatch.setattr(row, "pull_paired", None)


def test_the_checks_find_a_sign_a_none_and_a_written_cotangent(monkeypatch: pytest.MonkeyPatch) -> None:
    row = TABLE["mul"]
    sample = samples_of(row)[0]

    def into_the_cotangent(g: Any, y: Any) -> Any:
        g *= y
        return g

    for vjp, complaint in [
        (lambda g, y: -g * y, "central differences give"),
        (lambda g, y: None, "central differences give"),
        (into_the_cotangent, "WrittenCotangent"),
    ]:
        _break(row, monkeypatch, vjp)
        with pytest.raises(AssertionError, match=complaint):
            op_checks.check_gradient(row, sample)
        monkeypatch.undo()


def test_the_checks_find_a_forward_that_writes_into_its_input(monkeypatch: pytest.MonkeyPatch) -> None:
    row = TABLE["neg"]

    def forward(x: Any) -> Any:
        np.negative(x, out=x)
        return x + 0

    monkeypatch.setattr(row, "forward", forward)
    _compile_anew(row, monkeypatch)
    with pytest.raises(AssertionError, match="wrote into its input"):
        op_checks.check_gradient(row, samples_of(row)[0])


@pytest.mark.parametrize(
    ("forward", "complaint"),
    [
        (lambda x: -x * 1.001, "is\n"),
        (lambda x: (-x).astype(np.float64), "the dtype of"),
        (lambda x: (-x)[None], "the shape of"),
    ],
)
def test_the_checks_find_other_values_than_torchs(
    forward: Any, complaint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = TABLE["neg"]
    monkeypatch.setattr(row, "forward", forward)
    _compile_anew(row, monkeypatch)
    with pytest.raises(AssertionError, match=complaint):
        op_checks.check_against_torch("neg", op_checks.cast(samples_of(row)[0], "float32"))


def test_the_checks_find_another_node_name_than_torchs(monkeypatch: pytest.MonkeyPatch) -> None:
    row = TABLE["neg"]
    other = type("MulBackward0", (row.node_class,), {"__slots__": (), "full_name": "MulBackward0"})
    monkeypatch.setitem(row.__dict__, "node_class", other)
    _compile_anew(row, monkeypatch)
    with pytest.raises(AssertionError, match="the node of"):
        op_checks.check_against_torch("neg", samples_of(row)[0])


def test_the_checks_find_a_call_that_torch_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    row = TABLE["neg"]
    sample = op_checks.cast(samples_of(row)[0], "bool")
    monkeypatch.setattr(row, "forward", np.logical_not)
    _compile_anew(row, monkeypatch)
    with pytest.raises(AssertionError, match="where PyTorch raises"):
        op_checks.check_against_torch("neg", sample)
