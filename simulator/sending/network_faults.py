"""Network faults in a stream of callbacks: duplicates, reordering, delays. Randomness is passed in."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from random import Random
from typing import Final, TypeVar

__all__ = ["NetworkFaults", "ScheduledSend"]

_FARTHEST: Final = 10
"""Most callbacks that overtake a delayed one, or that come between a callback and its duplicate."""

_Item = TypeVar("_Item")

ScheduledSend = tuple[_Item, bool, float]
"""One sending of an item: whether it is a duplicate, and its delay (ms)."""


@dataclass(frozen=True, slots=True)
class NetworkFaults:
    """Shares of callbacks to duplicate and to hold back (0–1), and the delay of each (ms, from–to)."""

    duplicate: float = 0.0
    reorder: float = 0.0
    delay_ms: tuple[float, float] = (0.0, 0.0)

    @property
    def none(self) -> bool:
        """Whether there are no faults."""
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
