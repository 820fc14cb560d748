"""What the network and a retrying Room backend do to a stream of callbacks: copies, reordering, delays and retries.

All of it is pure: randomness is passed in, time is a number.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from random import Random
from typing import Final, TypeVar

from roomhook.simulator.protocol.outcomes import DeliveryOutcome

__all__ = ["PROFILES", "NetworkFaults", "RetryPolicy", "ScheduledSend"]

_FARTHEST: Final = 10
"""How many callbacks at most overtake one that is held back, or part a callback from its copy."""

_Item = TypeVar("_Item")


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """When a callback that was not delivered is sent again.

    The first retry follows ``first_ms`` after the failure, the others ``then_ms``, as long as ``until_ms`` since the
    first attempt have not passed and there were fewer than ``most`` attempts; ``outcomes`` of None means any failure.
    """

    name: str
    outcomes: frozenset[DeliveryOutcome] | None
    first_ms: float = 0
    then_ms: float = 0
    until_ms: float = 0
    most: int = 1

    def wait_ms(self, outcome: DeliveryOutcome, number: int, since_first_ms: float) -> float | None:
        """How long to wait (ms) after attempt *number* (from 1) ended with *outcome*; None: no further attempt."""
        if (
            outcome is DeliveryOutcome.DELIVERED
            or number >= self.most
            or (self.outcomes is not None and outcome not in self.outcomes)
        ):
            return None
        wait = self.first_ms if number == 1 else self.then_ms
        return wait if since_first_ms + wait <= self.until_ms else None


PROFILES: Final = {
    "none": RetryPolicy("none", frozenset()),
    "on-timeout": RetryPolicy(
        "on-timeout", frozenset({DeliveryOutcome.TIMEOUT}), first_ms=1_000, then_ms=1_000, until_ms=60_000, most=3
    ),
    "trtc": RetryPolicy("trtc", None, first_ms=0, then_ms=10_000, until_ms=60_000, most=1_000),
}
"""The documented default (none), the switch that the overview mentions without numbers (protocol.md 1.4 and 7.2: three
attempts, 1 s apart, are ours), and the rule of the TRTC engine (3.8): at once, then every 10 s, for 1 minute."""


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
