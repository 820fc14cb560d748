"""Faults injected into callbacks: dropped, sent twice, overtaken, delayed."""

from __future__ import annotations

from random import Random
from typing import NamedTuple

import msgspec

__all__ = ["CallbackFate", "FaultInjector", "Faults"]


class Faults(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Shares (0 to 1) of an app's callbacks to drop, send twice or let others overtake, and a delay (ms, from-to).

    ``callbacks`` limits the faults to so many callbacks; None: until they are changed.
    """

    drop: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0
    delay_ms: tuple[int, int] = (0, 0)
    callbacks: int | None = None


class CallbackFate(NamedTuple):
    """The faults drawn for one callback."""

    dropped: bool
    duplicated: bool
    overtaken: bool
    delay_ms: int


_UNHARMED = CallbackFate(dropped=False, duplicated=False, overtaken=False, delay_ms=0)


class FaultInjector:
    """Draws the fate of each callback from the current ``faults``."""

    def __init__(self, random: Random, faults: Faults) -> None:
        self.faults = faults
        self._random = random

    def draw(self) -> CallbackFate:
        """The fate of the next callback."""
        faults = self.faults
        if faults.callbacks is not None:
            left = faults.callbacks - 1
            self.faults = msgspec.structs.replace(faults, callbacks=left) if left > 0 else Faults()
        if faults == Faults():
            return _UNHARMED
        chance = self._random.random
        dropped, duplicated, overtaken = (chance() < share for share in (faults.drop, faults.duplicate, faults.reorder))
        return CallbackFate(dropped, duplicated, overtaken, self._random.randint(*faults.delay_ms))
