"""The numpy core: PyTorch's autograd semantics on numpy arrays, built to be watched.

Importing this package puts the ops' methods on Tensor. What users reach as `gradviz.<name>` is in `FUNCTIONS`.
"""

# ruff: noqa: F401 - modules are imported for the rows and the public functions that they add

from __future__ import annotations

import warnings

from gradviz.core import custom_rows, differentiable, dual, numpy_protocol, printing, random
from gradviz.core.ops import (
    accumulating,
    arithmetic,
    asking,
    attention,
    bags,
    bessel,
    casting,
    classification,
    comparison,
    convolution,
    convolving,
    copying,
    counting,
    ctc,
    cumulative,
    decompositions,
    differences,
    distances,
    draws,
    dropping,
    einsum,
    elementwise,
    exits,
    extremes,
    factors,
    fills,
    fractional_pooling,
    gamma,
    gates,
    gathering,
    histograms,
    incomplete,
    index_reducing,
    indexed_writes,
    indexing,
    joining,
    layers,
    layouts,
    least_squares,
    linear,
    logic,
    losses,
    lu,
    mantissas,
    margins,
    matrices,
    max_pooling,
    memory,
    normalising,
    norms,
    older,
    overwriting,
    padding,
    pairs,
    pairwise,
    picking,
    placing,
    pooling,
    pools,
    probability,
    products,
    putting,
    quantiles,
    ragged,
    rearranging,
    rectifiers,
    reductions,
    remainders,
    replacing,
    resizing,
    rounded_division,
    sampling,
    selection,
    settings,
    shaping,
    shifts,
    shuffling,
    sigmoids,
    signs,
    softmax,
    sorting,
    sources,
    special,
    statistics,
    streams,
    striding,
    tapers,
    triangles,
    turns,
    unfolding,
    variates,
    whole_numbers,
    writing,
)
from gradviz.core.public import FUNCTIONS, METHODS
from gradviz.core.synonyms import add_synonyms
from gradviz.core.tensor import Tensor

add_synonyms()
for _name, _call in METHODS.items():
    setattr(Tensor, _name, _call)

# Overflow, 0 / 0 and their like give inf and NaN without a word, as in PyTorch; an `np.errstate` for each op would cost
# more than most ops. The user's own numpy warnings are left alone.
warnings.filterwarnings("ignore", category=RuntimeWarning, module=r"gradviz\.core\b")
