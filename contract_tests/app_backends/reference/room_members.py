"""Who is in which room, in SQLite: events that come twice, at once or out of order end in the same state."""

from __future__ import annotations

import sqlite3
import weakref
from collections.abc import Iterable
from typing import Final

__all__ = ["RoomMembers"]

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS presence (
  room TEXT NOT NULL, account TEXT NOT NULL, inside INTEGER NOT NULL, event_time INTEGER NOT NULL,
  PRIMARY KEY (room, account)
) WITHOUT ROWID
"""
# The later event wins, and of two in the same millisecond the leave, in whatever order they arrive.
_RECORD: Final = """
INSERT INTO presence (room, account, inside, event_time) VALUES (?, ?, ?, ?)
ON CONFLICT (room, account) DO UPDATE SET inside = excluded.inside, event_time = excluded.event_time
WHERE (excluded.event_time, NOT excluded.inside) > (event_time, NOT inside)
"""
_MEMBERS: Final = "SELECT account FROM presence WHERE room = ? AND inside ORDER BY account"


class RoomMembers:
    """The last known event of each account in each room; *database* is a file, or memory."""

    def __init__(self, database: str = ":memory:") -> None:
        self._connection = sqlite3.connect(database, isolation_level=None, check_same_thread=False)
        weakref.finalize(self, self._connection.close)  # Python 3.13 warns of one that is dropped open
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = OFF")
        self._connection.execute(_SCHEMA)

    def enter(self, room: str, accounts: Iterable[str], event_time: int) -> None:
        """Record that *accounts* entered *room* at *event_time* (ms)."""
        self._record(room, accounts, event_time, inside=True)

    def leave(self, room: str, accounts: Iterable[str], event_time: int) -> None:
        """Record that *accounts* left *room* at *event_time* (ms)."""
        self._record(room, accounts, event_time, inside=False)

    def members(self, room: str) -> list[str]:
        """The accounts in *room*, sorted; empty for a room nobody has heard of."""
        return [account for (account,) in self._connection.execute(_MEMBERS, (room,))]

    def close(self) -> None:
        """Close the database."""
        self._connection.close()

    def _record(self, room: str, accounts: Iterable[str], event_time: int, *, inside: bool) -> None:
        rows = [(room, account, inside, event_time) for account in accounts]
        self._connection.execute("BEGIN")
        self._connection.executemany(_RECORD, rows)
        self._connection.execute("COMMIT")
