"""What the mock Room backend keeps: the state of its rooms, every callback, every attempt, in one SQLite file.

What an answered call has changed and caused is committed before the answer leaves, so that ``kill -9`` loses none of
it: a callback stays pending until its last attempt is written down, and is sent again by the next run.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from roomhook.errors import ConfigurationError
from roomhook.simulator.protocol.callback_event import CallbackEvent
from roomhook.simulator.room_backend.state.rooms import Key, PendingCallback

__all__ = ["AttemptRow", "CallbackRow", "Store"]

_APPLICATION_ID: Final = 0x526D6873
_VERSION: Final = 1
_KEPT_IN_MEMORY: Final = 10_000
"""Ended callbacks that a store without a file remembers."""

_TABLES: Final = """
CREATE TABLE state (
    sdkappid INTEGER NOT NULL, room TEXT NOT NULL, kind TEXT NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL,
    PRIMARY KEY (sdkappid, room, kind, name)
) WITHOUT ROWID;
CREATE TABLE clock (id INTEGER PRIMARY KEY CHECK (id = 1), now_ms INTEGER NOT NULL);
CREATE TABLE callbacks (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    sdkappid INTEGER NOT NULL, url TEXT NOT NULL, room TEXT NOT NULL, time_ms INTEGER NOT NULL, command TEXT NOT NULL,
    client_ip TEXT NOT NULL, platform TEXT NOT NULL, body BLOB NOT NULL,
    state TEXT NOT NULL DEFAULT 'pending', attempts INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX pending ON callbacks (sdkappid, url, id) WHERE state = 'pending';
CREATE TABLE attempts (
    callback INTEGER NOT NULL, number INTEGER NOT NULL, kind TEXT NOT NULL, sent_us INTEGER NOT NULL,
    done_us INTEGER NOT NULL, request_time INTEGER NOT NULL, outcome TEXT NOT NULL, status INTEGER, breaches TEXT,
    PRIMARY KEY (callback, number)
) WITHOUT ROWID;
"""


class AttemptRow(NamedTuple):
    """One ended attempt; ``final`` is the state that its callback is in from now on, None if it is still pending."""

    callback: int
    number: int
    kind: str
    sent_us: int
    done_us: int
    request_time: int
    outcome: str
    status: int | None
    breaches: str
    final: str | None


class CallbackRow(NamedTuple):
    """One stored callback; ``state`` is pending, delivered, failed or dropped."""

    id: int
    sdkappid: int
    url: str
    room: str
    time_ms: int
    command: str
    client_ip: str
    platform: str
    body: bytes
    state: str
    attempts: int

    @property
    def event(self) -> CallbackEvent:
        """What is sent."""
        return CallbackEvent(self.time_ms, self.command, self.client_ip, self.platform, self.body)


class Store:
    """The store in the file *path*, made if need be; None keeps everything in memory."""

    def __init__(self, path: Path | None) -> None:
        self._lock = _locked(path) if path is not None else -1
        try:
            self._connection = _opened(path)
        except ConfigurationError:
            self._unlock()
            raise
        self._in_memory = path is None

    def state(self) -> Iterator[tuple[Key, bytes]]:
        """All that is stored of the rooms and apps."""
        for sdkappid, room, kind, name, value in self._connection.execute("SELECT * FROM state"):
            yield Key(sdkappid, room, kind, name), value.encode()

    def clock_ms(self) -> int | None:
        """Where the virtual clock of the run before stood."""
        row = self._connection.execute("SELECT now_ms FROM clock").fetchone()
        return row[0] if row else None

    def commit(
        self, changed: Sequence[tuple[Key, bytes | None]], caused: Sequence[PendingCallback], now_ms: int | None = None
    ) -> list[int]:
        """Write the changed state (None: gone) and the callbacks in one transaction; returns the callbacks' ids."""
        execute = self._connection.execute
        execute("BEGIN")
        for key, value in changed:
            if value is None:
                execute("DELETE FROM state WHERE sdkappid = ? AND room = ? AND kind = ? AND name = ?", key)
            else:
                execute("INSERT OR REPLACE INTO state VALUES (?,?,?,?,?)", (*key, value.decode()))
        ids: list[int] = []
        for one in caused:
            event = one.event
            row = (one.sdkappid, one.url, one.room_id, event.time_ms, event.command)
            sql = (
                "INSERT INTO callbacks (sdkappid, url, room, time_ms, command, client_ip, platform, body)"
                " VALUES (?,?,?,?,?,?,?,?)"
            )
            ids.append(execute(sql, (*row, event.client_ip, event.platform, event.body)).lastrowid or 0)
        if now_ms is not None:
            execute("INSERT OR REPLACE INTO clock VALUES (1, ?)", (now_ms,))
        execute("COMMIT")
        return ids

    def write_attempts(self, rows: Sequence[AttemptRow]) -> None:
        """Write down ended attempts, and what has become of their callbacks."""
        connection = self._connection
        connection.execute("BEGIN")
        connection.executemany("INSERT OR REPLACE INTO attempts VALUES (?,?,?,?,?,?,?,?,?)", (row[:9] for row in rows))
        connection.executemany(
            "UPDATE callbacks SET attempts = max(attempts, ?) WHERE id = ?",
            ((row.number, row.callback) for row in rows),
        )
        self.conclude((row.callback, row.final) for row in rows if row.final is not None)
        if self._in_memory:
            limit = (max(row.callback for row in rows) - _KEPT_IN_MEMORY,)
            connection.execute("DELETE FROM attempts WHERE callback < ?", limit)
            connection.execute("DELETE FROM callbacks WHERE id < ? AND state <> 'pending'", limit)
        connection.execute("COMMIT")

    def conclude(self, states: Iterable[tuple[int, str]]) -> None:
        """Set the state of callbacks; a delivered one stays so whatever comes later."""
        self._connection.executemany(
            "UPDATE callbacks SET state = ?2 WHERE id = ?1 AND state <> 'delivered'", list(states)
        )

    def pending(self, sdkappid: int, url: str, after: int, most: int) -> list[CallbackRow]:
        """At most *most* callbacks that wait to be sent there, with ids above *after*, in their order."""
        where = "state = 'pending' AND sdkappid = ? AND url = ? AND id > ?"
        sql = f"SELECT * FROM callbacks WHERE {where} ORDER BY id LIMIT ?"  # noqa: S608 (our own text)
        return [CallbackRow(*row) for row in self._connection.execute(sql, (sdkappid, url, after, most))]

    def pending_targets(self) -> list[tuple[int, str]]:
        """The apps and URLs that callbacks wait to be sent to."""
        return self._connection.execute(
            "SELECT sdkappid, url FROM callbacks WHERE state = 'pending' GROUP BY 1, 2 ORDER BY min(id)"
        ).fetchall()

    def callbacks(self, sdkappid: int, after: int, most: int) -> list[CallbackRow]:
        """At most *most* callbacks of an app with ids above *after*, in their order."""
        sql = "SELECT * FROM callbacks WHERE sdkappid = ? AND id > ? ORDER BY id LIMIT ?"
        return [CallbackRow(*row) for row in self._connection.execute(sql, (sdkappid, after, most))]

    def outcomes(self, callback: int) -> list[str]:
        """How the attempts of a callback have ended, in their order."""
        sql = "SELECT outcome FROM attempts WHERE callback = ? ORDER BY number"
        return [outcome for (outcome,) in self._connection.execute(sql, (callback,))]

    def pending_count(self) -> int:
        """How many callbacks wait for their outcome."""
        return int(self._connection.execute("SELECT count(*) FROM callbacks WHERE state = 'pending'").fetchone()[0])

    def close(self) -> None:
        """Close the file; it can be opened again."""
        self._connection.close()
        self._unlock()

    def _unlock(self) -> None:
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


def _locked(path: Path) -> int:
    """Keep a second run away from *path*."""
    try:
        descriptor = os.open(path.with_name(f"{path.name}-lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise ConfigurationError(f"{path} can't be written: {error.strerror}; choose another --state") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise ConfigurationError(f"{path} is in use by another roomhook serve; choose another --state") from None
    return descriptor


def _opened(path: Path | None) -> sqlite3.Connection:
    connection = sqlite3.connect(path or ":memory:", isolation_level=None, check_same_thread=False)
    try:
        problem = _prepare(connection)
    except sqlite3.Error as error:
        problem = f"can't be used ({error})"
    if problem:
        connection.close()
        raise ConfigurationError(f"{path} {problem}; choose another --state")
    return connection


def _prepare(connection: sqlite3.Connection) -> str | None:
    """Make the tables, or find them; says what is wrong with the file."""
    connection.execute("PRAGMA journal_mode = WAL").fetchall()
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("PRAGMA wal_autocheckpoint = 4000")
    if not connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone():
        marks = f"PRAGMA application_id = {_APPLICATION_ID}; PRAGMA user_version = {_VERSION};"
        connection.executescript(f"BEGIN; {_TABLES} {marks} COMMIT;")
    elif (_pragma(connection, "application_id"), _pragma(connection, "user_version")) != (_APPLICATION_ID, _VERSION):
        return "is no state of this roomhook serve"
    return None


def _pragma(connection: sqlite3.Connection, name: str) -> Any:
    return connection.execute(f"PRAGMA {name}").fetchone()[0]
