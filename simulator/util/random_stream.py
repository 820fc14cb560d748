"""Randomness that is the same on every platform and Python version: a generator, and quantile tables of integers."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from random import Random
from statistics import NormalDist
from typing import Final, TypeVar

__all__ = ["INDEX_RANGE", "QUANTILES", "RandomStream", "exponential", "log_normal", "pareto"]

T = TypeVar("T")

QUANTILES: Final = 1 << 12
"""Entries of a table of quantiles."""

_LOT_BITS: Final = 10
_LARGEST_EXPONENT: Final = 600.0
"""Of what a float can still hold, with room for a scale."""

INDEX_RANGE: Final = 1 << _LOT_BITS
"""How many lots ``RandomStream.index`` draws from."""


class RandomStream:
    """A stream of random numbers that depends only on *seed* and the name *stream*.

    ``index()`` returns an integer from 0 to ``INDEX_RANGE`` - 1, and is the fastest draw.
    """

    __slots__ = ("_random", "index")

    def __init__(self, seed: int, stream: str) -> None:
        source = Random(f"{seed}/{stream}")
        self._random = source.random
        self.index: Callable[[], int] = partial(source.getrandbits, _LOT_BITS)

    def below(self, limit: int) -> int:
        """A whole number from 0 to *limit* - 1."""
        return int(self._random() * limit)

    def between(self, low: int, high: int) -> int:
        """A whole number from *low* to *high*, both included."""
        return low + int(self._random() * (high - low + 1))

    def hit(self, share: float) -> bool:
        """True with the probability *share* (0 to 1)."""
        return self._random() < share

    def choice(self, among: Sequence[T]) -> T:
        """One *among* several."""
        return among[int(self._random() * len(among))]

    def shuffled(self, items: Sequence[T]) -> list[T]:
        """*items* in random order."""
        return sorted(items, key=lambda _: self._random())

    def stratified(self, among: Sequence[T]) -> list[T]:
        """``INDEX_RANGE`` of them, evenly spaced and in random order: each as often as on average at random."""
        picked = [among[len(among) * (2 * index + 1) // (2 * INDEX_RANGE)] for index in range(INDEX_RANGE)]
        return self.shuffled(picked)


def exponential(mean: float) -> list[int]:
    """The quantiles of waiting times with this *mean*, in its unit."""
    return _table(lambda p: -math.log1p(-p) * mean)


def log_normal(median: float, sigma: float) -> list[int]:
    """The quantiles of stays with this *median*, in its unit; *sigma* is the spread of their logarithm."""
    normal = NormalDist()
    return _table(lambda p: median * math.exp(sigma * normal.inv_cdf(p)))


def pareto(scale: float, alpha: float) -> list[int]:
    """The quantiles of sizes from *scale* up, the heavier in the tail the smaller *alpha*."""
    return _table(lambda p: scale * math.exp(min(-math.log1p(-p) / alpha, _LARGEST_EXPONENT)))


def _table(inverse: Callable[[float], float]) -> list[int]:
    """*inverse* at evenly spaced points; rounded, so that the last bit of a C library never shows."""
    return [round(inverse((index + 0.5) / QUANTILES)) for index in range(QUANTILES)]
