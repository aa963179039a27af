"""Where the default stream of random numbers stands, as a tensor: `get_rng_state`, `set_rng_state`, `fork_rng`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from gradviz.core.ops.creation import born, source
from gradviz.core.public import function
from gradviz.core.random import default_generator
from gradviz.core.tensor import Tensor

source("get_rng_state")

SIZE = 5056
"""Bytes, as many as PyTorch's; what they mean is gradviz's own."""
_WORDS = 624


@function
def get_rng_state() -> Tensor:
    """What `set_rng_state` needs to come back to this point of the default stream, as bytes."""
    source_state, spare, seed = default_generator.get_state()
    inner = source_state["state"]
    words = np.array([seed, inner["pos"], spare is not None, *inner["key"]], np.uint64)
    packed = words.tobytes() + np.float64(spare or 0.0).tobytes()
    return born("get_rng_state", np.frombuffer(packed.ljust(SIZE, b"\0"), np.uint8).copy(), False)


@function
def set_rng_state(new_state: Any) -> None:
    """Let the default stream go on from where `get_rng_state` was called.

    Raises TypeError for what is no uint8 tensor, RuntimeError for one that `get_rng_state` did not give.
    """
    if not isinstance(new_state, Tensor) or new_state._data.dtype != np.uint8:
        kind = new_state.type() if isinstance(new_state, Tensor) else type(new_state).__name__
        raise TypeError(f"expected a torch.ByteTensor, but got {kind}")
    packed = np.ascontiguousarray(new_state._data).tobytes()
    head = 8 * (3 + _WORDS)
    if len(packed) != SIZE:
        raise RuntimeError(f"RNG state is wrong size: {len(packed)} bytes, expected {SIZE}")
    words = np.frombuffer(packed[:head], np.uint64)
    spare = float(np.frombuffer(packed[head : head + 8], np.float64)[0]) if words[2] else None
    inner = {"key": words[3:].astype(np.uint32), "pos": int(words[1])}
    default_generator.set_state(({"bit_generator": "MT19937", "state": inner}, spare, int(words[0])))


@contextmanager
def fork_rng(devices: Any = None, enabled: bool = True, **unused: Any) -> Iterator[None]:
    """A block after which the default stream goes on as if nothing had been drawn inside."""
    before = default_generator.get_state() if enabled else None
    try:
        yield
    finally:
        if before is not None:
            default_generator.set_state(before)
