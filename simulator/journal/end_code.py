"""How an attempt ended, in the one number that the tables hold: outcome, status, kind, and two flags."""

from __future__ import annotations

from typing import Any, Final, NamedTuple, Self

from roomhook.simulator.protocol.outcomes import DeliveryOutcome

__all__ = ["FINAL", "IN_DOUBT", "KINDS", "KIND_SHIFT", "OUTCOMES", "RESENT", "EndCode"]

IN_DOUBT: Final = "in-doubt"
"""The outcome of an attempt that was begun and has no end on record: the target may or may not have got it."""

KINDS: Final = ("first", "retry", "copy")
OUTCOMES: Final = (IN_DOUBT, *DeliveryOutcome)
"""Each by its code, which never changes: a journal outlives the program that wrote it."""

FINAL: Final = 1 << 8
KIND_SHIFT: Final = 9
RESENT: Final = 1 << 11
_STATUS_SHIFT: Final = 12
_CODES: Final = {str(outcome): code for code, outcome in enumerate(OUTCOMES)}


class EndCode(NamedTuple):
    """An end taken apart; ``final``: no further attempt follows, ``status`` is 0 without an answer."""

    outcome: str
    status: int = 0
    kind: str = "first"
    final: bool = False
    resent: bool = False

    @property
    def packed(self) -> int:
        """The number: outcome in bits 0–7, final 8, kind 9–10, resent 11, status from 12 on."""
        flags = FINAL * self.final | RESENT * self.resent
        return _CODES[self.outcome] | flags | KINDS.index(self.kind) << KIND_SHIFT | self.status << _STATUS_SHIFT

    @classmethod
    def unpacked(cls, code: int) -> Self:
        """What ``packed`` made one number of."""
        outcome, kind = str(OUTCOMES[code & 255]), KINDS[code >> KIND_SHIFT & 3]
        return cls(outcome, code >> _STATUS_SHIFT, kind, bool(code & FINAL), bool(code & RESENT))

    def to_dict(self) -> dict[str, Any]:
        """As rows show it; ``status`` is None without an answer."""
        return {**self._asdict(), "status": self.status or None}
