"""The store of the mock Room backend: rooms, callbacks and attempts in one SQLite file.

The changes and callbacks of a call are committed before it is answered, so ``kill -9`` loses none of them. A callback
stays pending until its last attempt is stored; otherwise the next run sends it again.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import weakref
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from roomhook.errors import ConfigurationError
from roomhook.simulator.protocol.callback_event import CallbackEvent
from roomhook.simulator.room_backend.state.changes import PendingCallback, StateKey

__all__ = ["AttemptRow", "CallbackRow", "Store"]

_APPLICATION_ID: Final = 0x526D6873
_VERSION: Final = 1
_KEPT_IN_MEMORY: Final = 10_000
"""Settled callbacks that a store without a file keeps."""

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
    """One ended attempt; ``final`` is the final state of its callback, None if it is still pending."""

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
        """The event to send."""
        return CallbackEvent(self.time_ms, self.command, self.client_ip, self.platform, self.body)


class Store:
    """The store in the file *path*, created if missing; None keeps everything in memory.

    A method that writes raises ``sqlite3.Error`` if it can't, and then has changed nothing; ``warn`` gets one line when
    that begins and one when it ends. As a context manager it is a transaction (``contextlib`` would cost 1 µs a call).
    """

    def __init__(self, path: Path | None) -> None:
        self._lock = _locked(path) if path is not None else -1
        try:
            self._connection = _opened(path)
            weakref.finalize(self, self._connection.close)  # Python 3.13 warns of one that is dropped open
        except ConfigurationError:
            self._unlock()
            raise
        self._in_memory = path is None
        self._failing = False
        self.warn: Callable[[str], object] = lambda _: None

    def state(self) -> Iterator[tuple[StateKey, bytes]]:
        """Everything stored of rooms and apps."""
        for sdkappid, room, kind, name, value in self._connection.execute("SELECT * FROM state"):
            yield StateKey(sdkappid, room, kind, name), value.encode()

    def state_of(self, rooms: Collection[tuple[int, str]]) -> Iterator[tuple[StateKey, bytes]]:
        """What is stored of some rooms, given as SDKAppID and RoomId ("": the app's own)."""
        for room in rooms:
            sql = "SELECT * FROM state WHERE sdkappid = ? AND room = ?"
            for sdkappid, room_id, kind, name, value in self._connection.execute(sql, room):
                yield StateKey(sdkappid, room_id, kind, name), value.encode()

    def clock_ms(self) -> int | None:
        """The virtual clock's time when the last run stopped."""
        row = self._connection.execute("SELECT now_ms FROM clock").fetchone()
        return row[0] if row else None

    def commit(
        self,
        changed: Sequence[tuple[StateKey, bytes | None]],
        callbacks: Sequence[PendingCallback],
        now_ms: int | None = None,
    ) -> list[int]:
        """Write the changed state (None: removed) and the callbacks in one transaction; returns the callbacks' ids."""
        ids: list[int] = []
        with self as connection:
            execute = connection.execute
            for key, value in changed:
                if value is None:
                    execute("DELETE FROM state WHERE sdkappid = ? AND room = ? AND kind = ? AND name = ?", key)
                else:
                    execute("INSERT OR REPLACE INTO state VALUES (?,?,?,?,?)", (*key, value.decode()))
            for callback in callbacks:
                event = callback.event
                row = (callback.sdkappid, callback.url, callback.room_id, event.time_ms, event.command)
                sql = (
                    "INSERT INTO callbacks (sdkappid, url, room, time_ms, command, client_ip, platform, body)"
                    " VALUES (?,?,?,?,?,?,?,?)"
                )
                ids.append(execute(sql, (*row, event.client_ip, event.platform, event.body)).lastrowid or 0)
            if now_ms is not None:
                execute("INSERT OR REPLACE INTO clock VALUES (1, ?)", (now_ms,))
        return ids

    def write_attempts(self, rows: Sequence[AttemptRow]) -> None:
        """Write ended attempts and the resulting states of their callbacks; a delivered callback stays delivered."""
        with self as connection:
            connection.executemany(
                "INSERT OR REPLACE INTO attempts VALUES (?,?,?,?,?,?,?,?,?)", [row[:9] for row in rows]
            )
            connection.executemany(
                "UPDATE callbacks SET attempts = max(attempts, :number),"
                " state = iif(:final IS NULL OR state = 'delivered', state, :final) WHERE id = :callback",
                [{"callback": row.callback, "number": row.number, "final": row.final} for row in rows],
            )
            if self._in_memory:
                limit = (max(row.callback for row in rows) - _KEPT_IN_MEMORY,)
                connection.execute("DELETE FROM attempts WHERE callback < ?", limit)
                connection.execute("DELETE FROM callbacks WHERE id < ? AND state <> 'pending'", limit)

    def pending(self, sdkappid: int, url: str, after: int, most: int) -> list[CallbackRow]:
        """At most *most* pending callbacks of an app and URL with ids above *after*, in order."""
        where = "state = 'pending' AND sdkappid = ? AND url = ? AND id > ?"
        sql = f"SELECT * FROM callbacks WHERE {where} ORDER BY id LIMIT ?"  # noqa: S608 (our own text)
        return [CallbackRow(*row) for row in self._connection.execute(sql, (sdkappid, url, after, most))]

    def pending_targets(self) -> list[tuple[int, str]]:
        """The apps and URLs that have pending callbacks."""
        return self._connection.execute(
            "SELECT sdkappid, url FROM callbacks WHERE state = 'pending' GROUP BY 1, 2 ORDER BY min(id)"
        ).fetchall()

    def callbacks(self, sdkappid: int, after: int, most: int) -> list[CallbackRow]:
        """At most *most* callbacks of an app with ids above *after*, in order."""
        sql = "SELECT * FROM callbacks WHERE sdkappid = ? AND id > ? ORDER BY id LIMIT ?"
        return [CallbackRow(*row) for row in self._connection.execute(sql, (sdkappid, after, most))]

    def callback(self, number: int) -> CallbackRow | None:
        """The callback with this id."""
        row = self._connection.execute("SELECT * FROM callbacks WHERE id = ?", (number,)).fetchone()
        return None if row is None else CallbackRow(*row)

    def latest(self, most: int) -> list[CallbackRow]:
        """The *most* latest callbacks of all apps, in order."""
        rows = self._connection.execute("SELECT * FROM callbacks ORDER BY id DESC LIMIT ?", (most,)).fetchall()
        return [CallbackRow(*row) for row in reversed(rows)]

    def attempts_since(self, callback: int) -> Iterator[AttemptRow]:
        """The attempts of a callback and all later ones, in order; their ``final`` is not known any more."""
        sql = "SELECT * FROM attempts WHERE callback >= ? ORDER BY callback, number"
        for row in self._connection.execute(sql, (callback,)):
            yield AttemptRow._make((*row, None))

    def outcomes(self, callback: int) -> list[str]:
        """How the attempts of a callback ended, in order."""
        sql = "SELECT outcome FROM attempts WHERE callback = ? ORDER BY number"
        return [outcome for (outcome,) in self._connection.execute(sql, (callback,))]

    def pending_count(self) -> int:
        """The number of callbacks without a final outcome."""
        return int(self._connection.execute("SELECT count(*) FROM callbacks WHERE state = 'pending'").fetchone()[0])

    def close(self) -> None:
        """Close the file; it can be opened again."""
        self._connection.close()
        self._unlock()

    def __enter__(self) -> sqlite3.Connection:
        """Begin a transaction."""
        try:
            self._connection.execute("BEGIN")
        except sqlite3.Error as error:
            self._roll_back(error)
            raise
        return self._connection

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        """Commit it, or after an error undo it."""
        if error is not None:
            self._roll_back(error)
            return
        try:
            self._connection.execute("COMMIT")
        except sqlite3.Error as failure:
            self._roll_back(failure)
            raise
        if self._failing:
            self._failing = False
            self.warn("the state can be written again; nothing was lost")

    def _roll_back(self, error: object) -> None:
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")
        if isinstance(error, sqlite3.Error) and not self._failing:
            self._failing = True
            self.warn(f"the state can't be written ({error}); calls fail with 100001 until it can")

    def _unlock(self) -> None:
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


def _locked(path: Path) -> int:
    """Lock *path*, whatever name it was given by, against other runs."""
    try:
        found = path.resolve()
        name = found.with_name(f"{found.name}-lock")
        descriptor = os.open(name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except (OSError, ValueError, RuntimeError) as error:
        reason = (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
        raise ConfigurationError(f"{path} can't be written: {reason}; choose another --state") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise ConfigurationError(f"{path} is in use by another roomhook serve; choose another --state") from None
    if found.is_file() and found.stat().st_nlink > 1:  # SQLite keeps what is new beside one of the names
        os.close(descriptor)
        raise ConfigurationError(f"{path} has several names (hard links): copy it, and give the copy as --state")
    return descriptor


def _opened(path: Path | None) -> sqlite3.Connection:
    try:
        connection = sqlite3.connect(path or ":memory:", isolation_level=None, check_same_thread=False)
    except sqlite3.Error as error:
        raise ConfigurationError(f"{path} can't be used ({error}); choose another --state") from None
    try:
        problem = _prepare(connection)
    except sqlite3.Error as error:
        problem = f"can't be used ({error})"
    if problem:
        connection.close()
        raise ConfigurationError(f"{path} {problem}; choose another --state")
    return connection


def _prepare(connection: sqlite3.Connection) -> str | None:
    """Create or check the tables; returns what is wrong with the file."""
    connection.execute("PRAGMA journal_mode = WAL").fetchall()
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("PRAGMA wal_autocheckpoint = 4000")
    if not connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone():
        marks = f"PRAGMA application_id = {_APPLICATION_ID}; PRAGMA user_version = {_VERSION};"
        connection.executescript(f"BEGIN; {_TABLES} {marks} COMMIT;")
    elif (_pragma(connection, "application_id"), _pragma(connection, "user_version")) != (_APPLICATION_ID, _VERSION):
        return "was not written by this version of roomhook serve"
    return None


def _pragma(connection: sqlite3.Connection, name: str) -> Any:
    return connection.execute(f"PRAGMA {name}").fetchone()[0]
