"""Random numbers, bit for bit those of PyTorch's CPU generator from the same seed.

The source is mt19937, which numpy has too. What a draw makes of its 32-bit words follows PyTorch: a float32 takes 24
bits of one word, a float64 53 bits of two, a permutation one word a swap. Normal numbers come by Box and Muller: one
after the other for fewer than 16 elements, in blocks of 16 for more. float32 and float16 have them there with the
logarithm, sine and cosine that PyTorch uses on processors with AVX2; `gradviz.core.cephes` repeats these operation by
operation. On a processor without AVX2, PyTorch's own differ from these in the last bit.
"""

from __future__ import annotations

import math
import secrets
import threading
from typing import Any

import numpy as np

from gradviz.core.cephes import fused, log, sine_and_cosine
from gradviz.core.public import function

BLOCK = 16
"""Elements of which PyTorch makes normal numbers at a time."""
ONE_WORD = 2**28
"""Ranges from here on take two words an integer."""


class Generator:
    """A stream of random numbers of its own. Draws from several threads are serialised.

    device: accepted for programs that name it; "cpu".
    """

    __slots__ = ("_lock", "_seed", "_source", "_spare", "device")

    def __init__(self, device: Any = "cpu") -> None:
        self.device = device
        self._lock = threading.RLock()
        self.manual_seed(67280421310721)

    def manual_seed(self, seed: int) -> Generator:
        """Start the stream over from `seed`, -2**63 to 2**64 - 1, of which 32 bits count; returns the generator.

        Raises ValueError for a seed outside this range.
        """
        seed = int(seed)
        if not -(2**63) <= seed < 2**64:
            raise ValueError("Overflow when unpacking long long")
        with self._lock:
            self._seed = seed % 2**64
            self._source = np.random.MT19937(0)
            self._source.state = {"bit_generator": "MT19937", "state": {"key": _first_state(self._seed), "pos": 624}}
            self._spare: float | None = None
        return self

    def seed(self) -> int:
        """Start over from a seed that nobody can foresee, and return it."""
        self.manual_seed(secrets.randbits(64))
        return self._seed

    def initial_seed(self) -> int:
        """The seed that the stream was last started from."""
        return self._seed

    def words(self, count: int) -> Any:
        """The next 32-bit words. (count,), uint64."""
        return self._source.random_raw(count)

    def long_words(self, count: int) -> Any:
        """The next 64-bit words, each of two words, the high one first. (count,), uint64."""
        words = self.words(2 * count)
        return words[0::2] << np.uint64(32) | words[1::2]

    def uniform(self, count: int, array_type: Any, low: float = 0.0, high: float = 1.0) -> Any:
        """Numbers in [low, high). (count,), of a floating type."""
        with self._lock:
            if array_type == np.float64:
                values = (self.long_words(count) & np.uint64(2**53 - 1)) * 2.0**-53
            else:
                values = ((self.words(count) & np.uint64(2**24 - 1)) * 2.0**-24).astype(np.float32)
        kind = values.dtype.type
        values = _scaled(values, low, kind(high) - kind(low)).astype(array_type)
        # Rounding takes some of what lies just below `high` up to it, all the more in float16.
        values[values == high] = low
        return values

    def normal(self, count: int, array_type: Any, mean: float = 0.0, deviation: float = 1.0) -> Any:
        """Normal numbers. (count,), of a floating type."""
        with self._lock:
            if count < BLOCK:
                values = np.array([self.one_normal() for _ in range(count)], np.float64)
                # float16 is reached by way of float32.
                narrow = np.float32 if array_type == np.float16 else array_type
                return _scaled(values, mean, deviation).astype(narrow).astype(array_type)
            wide = np.float64 if array_type == np.float64 else np.float32
            whole = count // BLOCK * BLOCK
            # float32 and float64 draw for the incomplete last block too, and then draw that block anew.
            drawn = self.uniform(count if array_type == wide else whole, wide)
            blocks = _box_muller(drawn[:whole], mean, deviation)
            if whole == count:
                return blocks.astype(array_type)
            values = np.empty(count, array_type)
            values[:whole] = blocks
            values[-BLOCK:] = _box_muller(self.uniform(BLOCK, wide), mean, deviation)
            return values

    def one_uniform(self) -> float:
        """One number in [0, 1)."""
        draw = self._source.random_raw
        return ((int(draw()) << 32 | int(draw())) & 2**53 - 1) * 2.0**-53

    def one_normal(self) -> float:
        """One of a pair of normal numbers; the other one is kept for the next call."""
        if self._spare is not None:
            value, self._spare = self._spare, None
            return value
        turn, height = self.uniform(2, np.float64).tolist()
        radius = math.sqrt(-2.0 * math.log1p(-height))
        angle = 2.0 * math.pi * turn
        self._spare = radius * math.sin(angle)
        return radius * math.cos(angle)

    def integers(self, low: int, high: int, count: int) -> Any:
        """Whole numbers from `low` to `high` - 1. (count,), int64."""
        span = high - low
        with self._lock:
            words = self.words(count) if span < ONE_WORD else self.long_words(count)
        return (words % np.uint64(span)).astype(np.int64) + low

    def permutation(self, count: int) -> Any:
        """0 to `count` - 1 in random order. (count,), int64."""
        with self._lock:
            words = self.words(max(count - 1, 0))
        jumps = (words % np.arange(count, 1, -1, dtype=np.uint64)).tolist()
        order = list(range(count))
        for position, jump in enumerate(jumps):
            other = position + jump
            order[position], order[other] = order[other], order[position]
        return np.array(order, np.int64)

    def chances(self, probability: Any, count: int) -> Any:
        """True with a probability, which is one number, or an array of `count`. (count,), bool."""
        single = not isinstance(probability, np.ndarray)
        wide = np.float64 if single or probability.dtype == np.float64 else np.float32
        return self.uniform(count, wide) < probability

    def get_state(self) -> Any:
        """What `set_state` needs to come back to this point of the stream, as an opaque value."""
        with self._lock:
            return self._source.state, self._spare, self._seed

    def set_state(self, state: Any) -> Generator:
        """Go on from where `get_state` was called; returns the generator."""
        with self._lock:
            self._source.state, self._spare, self._seed = state
        return self


def _first_state(seed: int) -> Any:
    """mt19937's state for a seed (Matsumoto and Nishimura's `init_genrand`, 2002). (624,), uint32."""
    state = [seed & 0xFFFFFFFF]
    for position in range(1, 624):
        before = state[-1]
        state.append(1812433253 * (before ^ before >> 30) + position & 0xFFFFFFFF)
    return np.array(state, np.uint32)


def _box_muller(uniform: Any, mean: float, deviation: float) -> Any:
    """Normal numbers from as many uniform ones, whose count is a multiple of the block.

    The first half of a block gives the distances from the origin and the second half the angles; the first half of the
    result takes the cosines and the second the sines.
    """
    kind = uniform.dtype.type
    halves = uniform.reshape(-1, 2, BLOCK // 2)
    heights, turns = 1 - halves[:, 0], halves[:, 1]
    angle = kind(2 * math.pi) * turns
    if kind is np.float32:
        radius = np.sqrt(kind(-2) * log(heights))
        sine, cosine = sine_and_cosine(angle)
    else:
        # The C library's functions, as in PyTorch; numpy's own differ from these in the last bit on some processors.
        radius = np.sqrt(-2 * _each(math.log, heights))
        sine, cosine = _each(math.sin, angle), _each(math.cos, angle)
    return _scaled(np.stack([radius * cosine, radius * sine], axis=1).reshape(-1), mean, deviation)


def _scaled(values: Any, mean: float, deviation: float) -> Any:
    """values * deviation + mean, rounded once, as a fused multiply-add does it."""
    if (mean, deviation) == (0.0, 1.0):
        return values
    kind = values.dtype.type
    if kind is np.float32:
        return fused(values, kind(deviation), kind(mean))
    # What the product loses to rounding (T. J. Dekker, 1971), and what the sum loses (D. E. Knuth), added at the end.
    product = values * deviation
    high, low = _halves(values)
    deviation_high, deviation_low = _halves(np.float64(deviation))
    lost = high * deviation_high - product + high * deviation_low + low * deviation_high + low * deviation_low
    total = product + mean
    back = total - product
    return total + (product - (total - back) + (mean - back) + lost)


def _halves(x: Any) -> tuple[Any, Any]:
    """Two float64 of half the digits each that add up to x."""
    high = x * 134217729.0
    high = high - (high - x)
    return high, x - high


def _each(call: Any, array: Any) -> Any:
    return np.array([call(value) for value in array.ravel().tolist()]).reshape(array.shape)


class _Default(Generator):
    """The generator that draws use where none is named; starts from an unforeseeable seed when it is first used."""

    __slots__ = ()

    def __init__(self) -> None:
        self.device = "cpu"
        self._lock = threading.RLock()

    def __getattr__(self, name: str) -> Any:
        # Only reached while a slot is empty, so before the first seed.
        if name not in ("_source", "_spare", "_seed"):
            raise AttributeError(f"'Generator' object has no attribute '{name}'")
        with self._lock:
            try:
                return object.__getattribute__(self, name)
            except AttributeError:
                self.seed()
            return object.__getattribute__(self, name)


default_generator: Generator = _Default()


@function
def manual_seed(seed: int) -> Generator:
    """Start the default stream over from `seed`; returns the default generator."""
    return default_generator.manual_seed(seed)


@function
def seed() -> int:
    """Start the default stream over from a seed that nobody can foresee, and return it."""
    return default_generator.seed()


@function
def initial_seed() -> int:
    """The seed that the default stream was last started from."""
    return default_generator.initial_seed()


def stream(generator: Generator | None) -> Generator:
    """The generator to draw from: the one given, or the default one. Raises TypeError for anything else."""
    if generator is None:
        return default_generator
    if not isinstance(generator, Generator):
        raise TypeError(f"argument 'generator' must be Generator, not {type(generator).__name__}")
    return generator
