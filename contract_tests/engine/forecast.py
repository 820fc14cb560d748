"""Says early that a run against a slow target, or one that limits its rate, takes long, and what shortens it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from roomhook.contract_tests.transport.patient_client import PatientClient

__all__ = ["RunForecast"]

_CALLBACKS_A_CASE: Final = 2.7
_CALLBACKS_A_CASE_PROBED: Final = 6.0
"""Measured on the reference App backend, of all cases that were announced."""
_WORTH_SAYING_S: Final = 30.0
_LIMITED_S: Final = 0.05
"""The gap between callbacks from which on it is the target's rate limit that takes the time."""


class RunForecast:
    """Watches how fast *line* may send; *say* gets a line when the rest of the run is expected to take long.

    It is said again only if the rest takes twice as long as was said. *probed* tells whether effects are judged, too.
    """

    def __init__(self, line: PatientClient, say: Callable[[str], object], *, probed: bool = False) -> None:
        self._line = line
        self._say = say
        self._callbacks_a_case = _CALLBACKS_A_CASE_PROBED if probed else _CALLBACKS_A_CASE
        self._said_s = _WORTH_SAYING_S / 2

    def look(self, left: int, lanes: int = 1) -> None:
        """Say how long *left* cases take, *lanes* of them side by side, if that is long."""
        gap_s, latency_s = self._line.gap_s, self._line.latency_ms / 1000
        seconds = left * self._callbacks_a_case * max(gap_s, latency_s / lanes)
        if seconds < 2 * self._said_s:
            return
        self._said_s = seconds
        why = f"a response takes {latency_s:.1f} s"
        if gap_s >= _LIMITED_S:
            rate = f"{1 / gap_s:.0f} callbacks/s" if gap_s < 1 else f"one callback in {gap_s:.1f} s"
            why = f"the target allows about {rate}"
        self._say(
            f"the run takes about {_rounded(seconds)}: {why}; a part of it is quicker, e.g. --only 'ack.*,type.*'"
        )


def _rounded(seconds: float) -> str:
    return f"{round(seconds, -1):.0f} s" if seconds < 120 else f"{seconds / 60:.0f} minutes"
