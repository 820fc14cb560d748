"""Writes ended attempts to the store in batches, and keeps them while the disk is full."""

from __future__ import annotations

import asyncio
import sqlite3
from typing import Final

from roomhook.simulator.room_backend.runtime.store import AttemptRow, Store

__all__ = ["OutcomeWriter"]

_BATCH: Final = 256
_DELAY_S: Final = 0.05
_PAUSE_S: Final = 1.0
"""How long to wait after a failure before the next try."""


class OutcomeWriter:
    """Collects rows and writes them after 50 ms or 256 rows; after a failure it keeps them and tries every second."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._rows: list[AttemptRow] = []
        self._timer: asyncio.TimerHandle | None = None
        self._failing = False

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, row: AttemptRow) -> None:
        """Write *row* soon."""
        self._rows.append(row)
        if len(self._rows) >= _BATCH and not self._failing:
            self.flush()
        elif self._timer is None:
            self._schedule(_PAUSE_S if self._failing else _DELAY_S)

    def flush(self) -> bool:
        """Write all rows now; False if that failed and they are kept."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._rows:
            return True
        try:
            self._store.write_attempts(self._rows)
        except sqlite3.Error:  # the store says so
            self._failing = True
            self._schedule(_PAUSE_S)
            return False
        self._rows = []
        self._failing = False
        return True

    def close(self) -> bool:
        """Write all rows for the last time; False if that failed."""
        written = self.flush()
        if self._timer is not None:
            self._timer.cancel()
        return written

    def _schedule(self, delay_s: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(delay_s, self.flush)
