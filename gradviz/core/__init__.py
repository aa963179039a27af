"""The numpy core: PyTorch's autograd semantics on numpy arrays, built to be watched.

Importing this package puts the ops' methods on Tensor. What users reach as `gradviz.<name>` is in `FUNCTIONS`.
"""

# ruff: noqa: F401 - modules are imported for the rows and the public functions that they add

from __future__ import annotations

import warnings

from gradviz.core import custom_rows, differentiable, dual, numpy_protocol, printing, random
from gradviz.core.ops import (
    activations,
    activations_more,
    arithmetic,
    asking,
    attention,
    bags,
    casting,
    classification,
    comparison,
    composed,
    composed_more,
    convolution,
    convolving,
    copying,
    counting,
    ctc,
    cumulative,
    decompositions,
    distances,
    draws,
    dropping,
    einsum,
    elementwise,
    exits,
    extremes,
    factors,
    fills,
    gamma,
    gathering,
    indexed_writes,
    indexing,
    joining,
    layers,
    least_squares,
    linear,
    logic,
    losses,
    margins,
    matrices,
    max_pooling,
    normalising,
    norms,
    padding,
    pairs,
    pairs_more,
    pairwise,
    placing,
    pooling,
    pools,
    probability,
    quantiles,
    reductions,
    replacing,
    resizing,
    sampling,
    selection,
    shaping,
    shuffling,
    sorting,
    sources,
    special,
    triangles,
    unfolding,
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
