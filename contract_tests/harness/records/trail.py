"""Which cases may have harmed the target: those that have sent something since it last acknowledged a callback."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["Trail"]


@dataclass
class _Entry:
    requirement: str
    ended_at: float | None = None
    failed: bool = False


class Trail:
    """The cases under suspicion, in the order in which they began; safe for cases that run side by side.

    *monotonic* gives s. A case is cleared by an acknowledgement only if it had ended before that callback was sent: the
    answer to an earlier one says nothing about what the case did afterwards.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._entries: list[_Entry] = []

    def began(self, requirement: str) -> None:
        """A case for *requirement* begins to send."""
        with self._lock:
            self._entries.append(_Entry(requirement))

    def ended(self, requirement: str, *, failed: bool) -> None:
        """The case sends nothing more; *failed*: a finding of it fails the run."""
        with self._lock:
            running = (one for one in self._entries if one.requirement == requirement and one.ended_at is None)
            for entry in running:
                entry.ended_at, entry.failed = self._monotonic(), failed

    def acknowledged(self, elapsed_ms: float) -> None:
        """The target has acknowledged a callback that was sent *elapsed_ms* ago."""
        sent_at = self._monotonic() - elapsed_ms / 1000
        with self._lock:
            self._entries = [one for one in self._entries if one.ended_at is None or one.ended_at > sent_at]

    @property
    def suspects(self) -> tuple[str, ...]:
        """The requirements whose cases may have harmed the target."""
        with self._lock:
            return tuple(dict.fromkeys(one.requirement for one in self._entries))

    @property
    def explained(self) -> bool:
        """Whether one of them has failed, so that its finding tells of the harm already."""
        with self._lock:
            return any(one.failed for one in self._entries)
