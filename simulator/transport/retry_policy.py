"""When the Room backend sends an undelivered callback again."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from roomhook.simulator.protocol.outcomes import DeliveryOutcome

__all__ = ["PROFILES", "RetryPolicy", "RetryProfile"]


class RetryProfile(StrEnum):
    """The policies by name."""

    NONE = "none"
    ON_TIMEOUT = "on-timeout"
    TRTC = "trtc"


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
