"""The sender's journal: every event before it is sent, every attempt when it has ended, in batches, in SQLite.

What makes it survive ``kill -9`` at any moment: events are written before any of them is sent, attempts under way are
noted in ``simulator.journal.in_flight``, and both are brought together when the journal is opened the next time.
"""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import version
from itertools import chain, count
from pathlib import Path
from typing import Any, Final, Self

from msgspec.structs import astuple

from roomhook.errors import ConfigurationError
from roomhook.simulator.journal.in_flight import InFlightFile
from roomhook.simulator.journal.schema import (
    DELIVERED,
    FINAL,
    IN_DOUBT,
    KINDS,
    NUMBER_BITS,
    OF_EVENT,
    OUTCOMES,
    Kind,
    connect,
    create,
    end_code,
    kind_of,
)
from roomhook.simulator.protocol.callback_event import CallbackEvent, with_type
from roomhook.simulator.protocol.callback_request import CallbackRequest, masked
from roomhook.simulator.transport.attempt import AttemptResult
from roomhook.simulator.transport.delivery import Delivery, SentAttempt, blocks
from roomhook.simulator.transport.recorded import RecordedEvent, as_recorded
from roomhook.simulator.transport.target import Target

__all__ = ["Journal", "JournalFile", "recover"]

_EVENT: Final = "time_ms, command, client_ip, platform, body"
_INSERT_EVENTS: Final = f"INSERT INTO events ({_EVENT}) VALUES "  # noqa: S608 (our own text)
_INSERT_RECORDED: Final = f"INSERT INTO events ({_EVENT}, query) VALUES "  # noqa: S608 (our own text)
_INSERT_ENDS: Final = "INSERT INTO ends (key, run, intended_us, sent_us, done_us, code, answer) VALUES "
_NOTE_TROUBLE: Final = "UPDATE ends SET requirements = nullif(?, ''), note = nullif(?, '') WHERE key = ?"
_UNFINISHED: Final = f"NOT EXISTS (SELECT 1 FROM ends WHERE {OF_EVENT} AND ({FINAL} OR {DELIVERED}))"  # noqa: S608 (our own text)
_BLOCK: Final = 128
"""Rows of one INSERT: many in one statement take two thirds of the time of as many statements."""

_MOST_ENDED: Final = 256
"""Attempts that have ended and are not written yet, beside as many as may be in flight."""

_MOST_ANSWERS: Final = 4096
_ROWS_A_CHECKPOINT: Final = 100_000
_OUTCOME_CODES: Final = {outcome: code for code, outcome in enumerate(OUTCOMES)}
_KIND_CODES: Final = {kind: end_code(IN_DOUBT, kind, 0, final=False, resent=False) for kind in KINDS}
_FINAL: Final = end_code(IN_DOUBT, "first", 0, final=True, resent=False)
_RESENT: Final = end_code(IN_DOUBT, "first", 0, final=False, resent=True)
_STATUS_SHIFT: Final = 12
_AT_ONCE: Final = _FINAL | _KIND_CODES["first"]


class JournalFile:
    """A journal open for writing: the lock, the connection, the row of this run, checkpoints in the background."""

    def __init__(self, path: Path, kind: Kind, *, resume: bool) -> None:
        """Make *path*, or with *resume* go on with it; raises ``ConfigurationError`` if that can't be."""
        self.path = path
        if path.exists() and not resume:
            raise ConfigurationError(f"{path} exists; add --resume to go on with it, or choose another --journal")
        self.note = InFlightFile.lock(path)
        try:
            self.connection = _opened(path, kind) if path.exists() else create(path, kind)
        except ConfigurationError:
            self.note.close(clean=not any(self.note.left_behind()))
            raise
        self.connection.execute("PRAGMA synchronous = NORMAL")
        self.connection.execute("PRAGMA wal_autocheckpoint = 0")
        recover(self.connection, self.note)
        self.run = 0
        self._rows = 0
        self._checkpoint: threading.Thread | None = None

    def begin_run(self, kind: Kind, target: Target | None, mode: str, options: Mapping[str, Any]) -> None:
        """Write the row of this run; header values that look secret are masked."""
        url, signed = "", False
        headers: dict[str, str] = {}
        if target is not None:
            url = target.url.with_query("").replace(target.url.netloc, target.url.netloc.rpartition("@")[2], 1)
            headers = dict(masked(CallbackRequest("", None, tuple(target.headers))).headers)
            signed = target.token is not None
        row = (
            kind,
            time.time_ns() // 1000,
            url,
            str(target.sdkappid if target else options.get("sdkappid", "")),
            signed,
            json.dumps(headers),
            mode,
            json.dumps(dict(options)),
            version("roomhook"),
        )
        columns = "kind, started_us, url, sdkappid, signed, headers, mode, options, version"
        sql = f"INSERT INTO runs ({columns}) VALUES (?,?,?,?,?,?,?,?,?)"  # noqa: S608 (our own text)
        self.run = self.connection.execute(sql, row).lastrowid or 0

    @contextmanager
    def writing(self, rows: int) -> Generator[sqlite3.Connection]:
        """A transaction of about so many *rows*; from time to time, they move from the log into the file proper."""
        self.connection.execute("BEGIN")
        yield self.connection
        self.connection.execute("COMMIT")
        self._rows += rows
        if self._checkpoint is not None and not self._checkpoint.is_alive():
            self._checkpoint.join()
            self._checkpoint = None
            self.connection.execute("PRAGMA wal_checkpoint(PASSIVE)")  # the little that came meanwhile
        elif self._rows >= _ROWS_A_CHECKPOINT and self._checkpoint is None:
            self._rows = 0
            self._checkpoint = threading.Thread(target=self._check_point)
            self._checkpoint.start()

    def close(self) -> None:
        """End the run; the journal is one file again."""
        if self._checkpoint is not None:
            self._checkpoint.join()
        self.connection.execute("UPDATE runs SET ended_us = ? WHERE id = ?", (time.time_ns() // 1000, self.run))
        self.connection.close()
        self.note.close(clean=True)

    def abandon(self) -> None:
        """Close without a word: the run has not ended in order."""
        if self._checkpoint is not None:
            self._checkpoint.join()
        self.connection.close()
        self.note.close(clean=False)

    def _check_point(self) -> None:
        connection = sqlite3.connect(self.path, isolation_level=None)
        try:
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        finally:
            connection.close()


@dataclass
class Journal:
    """What a run writes: ``schedule`` its events, ``begin``, ``end`` and ``write`` its attempts."""

    file: JournalFile
    target: Target
    _note: InFlightFile
    _wall_offset_us: int = field(default_factory=lambda: (time.time_ns() - time.monotonic_ns()) // 1000)
    _next_event: int = 1
    _answers: dict[bytes, int] = field(default_factory=dict)
    _new_answers: list[tuple[int, bytes]] = field(default_factory=list)
    _next_answer: int = 1
    _signed: set[int] = field(default_factory=set)

    @classmethod
    def open(
        cls,
        path: Path,
        target: Target,
        *,
        connections: int,
        mode: str,
        options: Mapping[str, Any],
        resume: bool = False,
    ) -> Self:
        """A journal in *path* for a run with at most *connections* attempts in flight."""
        file = JournalFile(path, "sender", resume=resume)
        file.begin_run("sender", target, mode, options)
        journal = cls(file, target, file.note)
        file.note.prepare(connections, connections + _MOST_ENDED, journal._wall_offset_us)
        (last,) = file.connection.execute("SELECT coalesce(max(id), 0) FROM events").fetchone()
        (answer,) = file.connection.execute("SELECT coalesce(max(id), 0) FROM answers").fetchone()
        journal._next_event, journal._next_answer = last + 1, answer + 1
        return journal

    @property
    def scheduled(self) -> int:
        """How many events the journal holds."""
        return self._next_event - 1

    def owed(self) -> int:
        """How many events earlier runs have left unfinished."""
        sql = f"SELECT count(*) FROM events WHERE {_UNFINISHED}"  # noqa: S608 (our own text)
        return int(self.file.connection.execute(sql).fetchone()[0])

    def schedule(self, events: Iterable[CallbackEvent]) -> Iterator[Delivery]:
        """Deliveries for *events*, each written before it is handed out."""
        return chain.from_iterable(map(self._scheduled, blocks(events, _BLOCK)))

    def unfinished(self) -> Iterator[Delivery]:
        """The deliveries that an earlier run has left: neither delivered nor failed for good; in their order."""
        sql = (
            f"SELECT id, {_EVENT}, query,"  # noqa: S608 (our own text)
            f" (SELECT coalesce(max(key) & {(1 << NUMBER_BITS) - 1}, 0) FROM ends WHERE {OF_EVENT}) FROM events"
            f" WHERE id > ? AND {_UNFINISHED}"
            " ORDER BY id LIMIT ?"
        )
        last, end = 0, self._next_event
        while rows := self.file.connection.execute(sql, (last, _BLOCK)).fetchall():
            for last, *fields, query, number in rows:
                if last >= end:
                    return
                yield Delivery(last, _event(fields, query), number)

    def begin(self, sendings: Sequence[SentAttempt]) -> None:
        """Note that *sendings* are under way, before their first bytes leave."""
        now = time.monotonic_ns()
        for one in sendings:
            one.key = one.delivery.id << NUMBER_BITS | one.number
        self._note.begin([(one.key, one.intended_ns or now, _KIND_CODES[one.kind]) for one in sendings])

    def end(self, sendings: Sequence[SentAttempt]) -> None:
        """Note the outcomes of *sendings*."""
        for one in sendings:
            code = one.result.code or _coded(one.result)
            if one.final and one.kind == "first" and not one.resent:
                one.code = code | _AT_ONCE  # nearly always so
            else:
                one.code = code | _KIND_CODES[one.kind] | _FINAL * one.final | _RESENT * one.resent
        self._note.end([(one.key, one.code, one.intended_ns or one.sent_ns, one.done_ns) for one in sendings])

    def write(self, sendings: Sequence[SentAttempt]) -> None:
        """Write down *sendings*, all that have been noted as ended; from then on the note need not remember them."""
        offset, run = self._wall_offset_us, self.file.run
        results = {one.result for one in sendings}
        answers = {one: self._answers.get(one.received) or self._new_answer(one.received) for one in results}
        rows: list[tuple[Any, ...]] = [
            (
                one.key,
                run,
                (one.intended_ns or one.sent_ns) // 1000 + offset,
                one.sent_ns // 1000 + offset,
                one.done_ns // 1000 + offset,
                one.code,
                answers[one.result],
            )
            for one in sendings
        ]
        rows.sort()  # by key: SQLite is quick to add what belongs to the end
        remarks = {one: (" ".join(one.breaches), one.note) for one in results if one.breaches or one.note}
        troubles = [(*remarks[one.result], one.key) for one in sendings if one.result in remarks] if remarks else []
        with self.file.writing(len(rows)) as connection:
            if self._new_answers:
                connection.executemany("INSERT INTO answers VALUES (?,?)", self._new_answers)
                self._new_answers.clear()
            _insert(connection, _INSERT_ENDS, list(chain.from_iterable(rows)), 7)
            if troubles:
                connection.executemany(_NOTE_TROUBLE, troubles)
            if self.target.token is not None:
                self._write_signatures(sendings)
        self._note.forget_ends()

    def last_event(self) -> CallbackEvent | None:
        """The event that was scheduled last."""
        sql = f"SELECT {_EVENT}, query FROM events ORDER BY id DESC LIMIT 1"  # noqa: S608 (our own text)
        row = self.file.connection.execute(sql).fetchone()
        return _event(row[:5], row[5]) if row else None

    def abandon(self) -> None:
        """Leave everything as a dying process would; the next one to open the journal brings it in order."""
        self.file.abandon()

    def close(self) -> None:
        """End the run; everything has been written."""
        self.file.close()

    def _scheduled(self, block: Sequence[CallbackEvent]) -> Iterator[Delivery]:
        """Write a *block* of events, which get the next ids."""
        first = self._next_event
        self._next_event += len(block)
        recorded = isinstance(block[0], RecordedEvent)  # a stream holds one kind or the other
        values = list(chain.from_iterable(map(astuple, block)))
        width = 7 if recorded else 6
        del values[5::width]  # check_out, which the body holds
        width -= 1
        bodies = slice(4, None, width)
        values[bodies] = map(bytearray, values[bodies])  # it is bound as it is; for bytes, sqlite3 looks for an adapter
        with self.file.writing(len(block)) as connection:
            _insert(connection, _INSERT_RECORDED if recorded else _INSERT_EVENTS, values, width)
        return map(Delivery, count(first), block)

    def _write_signatures(self, sendings: Sequence[SentAttempt]) -> None:
        """Keep what requests were signed with: the token itself is nowhere in the journal."""
        connection = self.file.connection
        times = [(one.request_time, one.key) for one in sendings]
        connection.executemany("UPDATE ends SET request_time = ? WHERE key = ?", times)
        new = {one for one, _ in times} - self._signed
        rows = [(one, self.target.signature(one)) for one in new]
        connection.executemany("INSERT OR IGNORE INTO signatures VALUES (?,?)", rows)
        self._signed |= new

    def _new_answer(self, received: bytes) -> int | None:
        """The id of an answer that is not known yet; equal ones are stored once."""
        if not received:
            return None
        found = self._next_answer
        self._next_answer += 1
        if len(self._answers) >= _MOST_ANSWERS:
            self._answers.clear()
        self._answers[received] = found
        self._new_answers.append((found, received))
        return found


def _coded(result: AttemptResult) -> int:
    result.code = _OUTCOME_CODES[result.outcome] | result.status << _STATUS_SHIFT
    return result.code


def _insert(connection: sqlite3.Connection, insert: str, values: Sequence[Any], width: int) -> None:
    """Insert *values* as rows of *width*, as many at once as there is a statement for that SQLite keeps."""
    at, rows, size = 0, len(values) // width, _BLOCK
    while at < rows:
        while size > rows - at:
            size //= 2
        connection.execute(_statement(insert, width, size), values[at * width : (at + size) * width])
        at += size


@cache
def _statement(insert: str, width: int, rows: int) -> str:
    row = f"({','.join('?' * width)})"
    return insert + ",".join([row] * rows)


def _event(fields: Sequence[Any], query: str | None) -> CallbackEvent:
    event = with_type(*fields)
    return event if query is None else as_recorded(event, query)


def _opened(path: Path, kind: Kind) -> sqlite3.Connection:
    connection = connect(path)
    if (found := kind_of(connection)) != kind:
        connection.close()
        raise ConfigurationError(f"{path} is the journal of a {found}; choose another --journal")
    return connection


def recover(connection: sqlite3.Connection, note: InFlightFile) -> None:
    """Bring what a dead run had noted into its journal: how attempts ended, or that they are in doubt."""
    left = list(note.left_behind())
    if not left:
        return
    (run,) = connection.execute("SELECT coalesce(max(id), 0) FROM runs").fetchone()
    lost = "the sender died in the middle of it", "the sender died before it wrote this down"
    rows = [(one.key, run, one.intended_us, one.done_us or None, one.code, lost[one.code & 255 != 0]) for one in left]
    connection.execute("BEGIN")
    connection.executemany(
        "INSERT OR IGNORE INTO ends (key, run, intended_us, done_us, code, note) VALUES (?,?,?,?,?,?)", rows
    )
    connection.execute("COMMIT")
