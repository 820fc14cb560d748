"""What a network does to a stream of callbacks: copies, reordering and delays. Randomness is passed in."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from random import Random
from typing import Final, TypeVar

__all__ = ["NetworkFaults", "ScheduledSend"]

_FARTHEST: Final = 10
"""How many callbacks at most overtake one that is held back, or part a callback from its copy."""

_Item = TypeVar("_Item")

ScheduledSend = tuple[_Item, bool, float]
"""One sending of an item: whether it is a copy, sent in addition to the item itself, and its delay (ms)."""


@dataclass(frozen=True, slots=True)
class NetworkFaults:
    """Which share of callbacks is sent twice or held back (0–1), and how much later (ms, from–to) each leaves."""

    duplicate: float = 0.0
    reorder: float = 0.0
    delay_ms: tuple[float, float] = (0.0, 0.0)

    @property
    def none(self) -> bool:
        """Does everything leave once, in its order and at its time?"""
        return not self.duplicate and not self.reorder and self.delay_ms == (0.0, 0.0)

    def apply(self, items: Iterable[_Item], random: Random) -> Iterator[ScheduledSend[_Item]]:
        """The steps in which *items* leave; the same *random* gives the same steps."""
        held: list[tuple[int, int, ScheduledSend[_Item]]] = []
        low, high = self.delay_ms
        serial = 0
        for position, item in enumerate(items):
            step = item, False, random.uniform(low, high) if high else 0.0
            duplicated = random.random() < self.duplicate
            if random.random() < self.reorder:
                serial += 1
                heapq.heappush(held, (position + random.randint(1, _FARTHEST), serial, step))
            else:
                yield step
            if duplicated:
                serial += 1
                delay = random.uniform(low, high) if high else 0.0
                later = position + random.randint(0, _FARTHEST)
                heapq.heappush(held, (later, serial, (item, True, delay)))
            while held and held[0][0] <= position:
                yield heapq.heappop(held)[2]
        while held:
            yield heapq.heappop(held)[2]
