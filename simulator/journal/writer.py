"""The sender's journal: events before they are sent, attempts before they begin and after they end."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from itertools import chain, count
from pathlib import Path
from typing import Any, Final, Self

from msgspec.structs import astuple

from roomhook.simulator.journal.file import JournalFile
from roomhook.simulator.journal.log import JournalError
from roomhook.simulator.journal.records import ResultRow, SentRecord
from roomhook.simulator.journal.schema import (
    FINAL,
    IS_DELIVERED,
    IS_FINAL,
    KINDS,
    NUMBER_BITS,
    OF_EVENT,
    RESENT,
    SCHEDULED,
    EndCode,
)
from roomhook.simulator.protocol.callback_event import CallbackEvent, with_type
from roomhook.simulator.transport.attempt import Attempt, AttemptResult
from roomhook.simulator.transport.delivery import Delivery, blocks
from roomhook.simulator.transport.recorded import as_recorded
from roomhook.simulator.transport.target import Target
from roomhook.simulator.util.clock import WallClock

__all__ = ["Journal"]

_EVENT: Final = "time_ms, command, client_ip, platform, body, query"
_UNFINISHED: Final = f"NOT EXISTS (SELECT 1 FROM ends WHERE {OF_EVENT} AND ({IS_FINAL} OR {IS_DELIVERED}))"  # noqa: S608 (our own text)
_BLOCK: Final = 128
_KINDS: Final = {kind: number for number, kind in enumerate(KINDS)}
_LARGE: Final = 4096
"""Size up to which the sender gives equal responses the same result."""

_MOST_KNOWN_BYTES: Final = 4 * 1024 * 1024
"""Memory for remembered results, so that each is written once."""


class Journal:
    """Records a run: ``schedule`` its events, ``begin`` and ``end`` its attempts.

    Records are collected, and ``begin`` writes them in one piece before the first byte of its attempts leaves;
    ``write`` writes them without attempts. Raises ``JournalError`` if the journal can no longer be written.
    """

    def __init__(self, file: JournalFile, target: Target) -> None:
        self.file = file
        self._target = target
        self._clock = WallClock()
        (scheduled,) = file.connection.execute(f"SELECT {SCHEDULED}").fetchone()
        self._next_event: int = scheduled + 1
        self._events: list[CallbackEvent] = []
        self._begun: list[tuple[int, int, int]] = []
        self._ended: list[tuple[int, int, int, int, int]] = []
        self._results: list[ResultRow] = []
        self._known = _KnownResults()
        self._signed_at = 0

    @classmethod
    def open(
        cls,
        path: Path,
        target: Target,
        *,
        mode: str,
        options: Mapping[str, Any],
        resume: bool = False,
        durable: bool = False,
    ) -> Self:
        """A journal in *path* for a run; with *durable*, records also survive a crash of the machine."""
        file = JournalFile(path, "sender", resume=resume, durable=durable)
        file.begin_run("sender", target, mode, options)
        return cls(file, target)

    @property
    def scheduled(self) -> int:
        """The number of events in the journal."""
        return self._next_event - 1

    def owed(self) -> int:
        """The number of events that earlier runs have not finished."""
        sql = f"SELECT count(*) FROM events WHERE {_UNFINISHED}"  # noqa: S608 (our own text)
        return int(self.file.connection.execute(sql).fetchone()[0])

    def schedule(self, events: Iterable[CallbackEvent]) -> Iterator[Delivery]:
        """Deliveries for *events*; each is written before it is sent."""
        return chain.from_iterable(map(self._scheduled, blocks(events, _BLOCK)))

    def unfinished(self) -> Iterator[Delivery]:
        """The deliveries that an earlier run has not finished (neither delivered nor finally failed), in order."""
        sql = (
            f"SELECT id, {_EVENT},"  # noqa: S608 (our own text)
            f" (SELECT coalesce(max(key) & {(1 << NUMBER_BITS) - 1}, 0) FROM ends WHERE {OF_EVENT}) FROM events"
            f" WHERE id > ? AND {_UNFINISHED}"
            " ORDER BY id LIMIT ?"
        )
        last, end = 0, self._next_event
        while rows := self.file.connection.execute(sql, (last, _BLOCK)).fetchall():
            for last, *fields, number in rows:
                if last >= end:
                    return
                yield Delivery(last, _event(fields), number)

    def restore(self, events: Iterable[CallbackEvent]) -> CallbackEvent | None:
        """Put back those of *events*, all that were ever scheduled, that a damaged log has lost; the last of them."""
        execute = self.file.connection.execute
        if execute("SELECT count(*) FROM events").fetchone()[0] == self.scheduled:
            return next(iter(deque(events, maxlen=1)), None)
        there = {number for (number,) in execute("SELECT id FROM events")}
        last = None
        for number, last in enumerate(events, 1):
            if number not in there:
                row = (number, *astuple(last)[:5], getattr(last, "query", None))
                execute("INSERT INTO events VALUES (?,?,?,?,?,?,?)", row)
        return last

    def last_event(self) -> CallbackEvent | None:
        """The event that was scheduled last."""
        sql = f"SELECT {_EVENT} FROM events ORDER BY id DESC LIMIT 1"  # noqa: S608 (our own text)
        row = self.file.connection.execute(sql).fetchone()
        return _event(row) if row else None

    def begin(self, attempts: Sequence[Attempt], request_time: int) -> None:
        """Record that *attempts* begin, signed at *request_time* (s since the epoch), and write all pending records."""
        now_ns = time.monotonic_ns()
        self._begun += [
            (one.delivery.id << NUMBER_BITS | one.number, _KINDS[one.kind], one.intended_ns or now_ns)
            for one in attempts
        ]
        self._write(request_time)

    def end(self, attempts: Sequence[Attempt]) -> None:
        """Record how *attempts* ended."""
        known = self._known.get
        self._ended += [
            (
                one.delivery.id << NUMBER_BITS | one.number,
                code | (FINAL if one.final else 0) | (RESENT if one.resent else 0),
                result,
                one.sent_ns,
                one.done_ns,
            )
            for one in attempts
            for code, result in (known(one.result) or self._add(one.result),)
        ]

    def write(self) -> None:
        """Write all pending records."""
        if self._ended or self._events:
            self._write(0)

    def close(self) -> None:
        """End the run normally."""
        try:
            self.write()
        except JournalError:
            self.file.abandon()
            raise
        self.file.close()

    def abandon(self) -> None:
        """Leave the journal as a killed process would, except for ends that did not fit on the disk before."""
        self._events, self._begun = [], []  # they were never sent
        try:
            self.write()
        except JournalError:
            pass  # they are in doubt
        finally:
            self.file.abandon()

    def _scheduled(self, block: Sequence[CallbackEvent]) -> Iterator[Delivery]:
        first = self._next_event
        self._next_event += len(block)
        self._events += block
        return map(Delivery, count(first), block)

    def _write(self, request_time: int) -> None:
        self._clock.refresh()
        signature = ""
        if request_time > self._signed_at and self._target.token is not None:
            signature = self._target.signature(request_time)
        is_new_segment = self.file.append(
            SentRecord(
                self.file.run,
                self._clock.offset_ns,
                self._next_event - len(self._events),
                self._events,
                self._results,
                request_time if self._target.token is not None else 0,
                signature,
                self._begun,
                self._ended,
            )
        )
        self._events, self._results, self._begun, self._ended = [], [], [], []
        if signature:
            self._signed_at = request_time
        if is_new_segment:
            self._known.clear()

    def _add(self, result: AttemptResult) -> tuple[int, int]:
        """Add a *result* that is not written yet."""
        code = _result_code(result.outcome, result.status)
        number, is_new = self._known.add(result, code)
        if is_new:
            self._results.append(ResultRow(number, " ".join(result.breaches), result.note, result.received))
        return code, number


class _KnownResults:
    """The codes and ids of written results, within a limit of memory."""

    def __init__(self) -> None:
        self._by_identity: dict[AttemptResult, tuple[int, int]] = {}
        self._large: dict[tuple[int, bytes], int] = {}
        self._bytes = self._last = 0
        self.get = self._by_identity.get

    def add(self, result: AttemptResult, code: int) -> tuple[int, bool]:
        """The id of *result*, and whether it must be written: equal responses are written once."""
        size = len(result.received)
        self._bytes += 256 + 2 * size
        if self._bytes > _MOST_KNOWN_BYTES:
            self.clear()
        number = self._large.get((code, result.received)) if size > _LARGE else None
        if is_new := number is None:
            self._last = number = self._last + 1
            if size > _LARGE:
                self._large[code, result.received] = number
        self._by_identity[result] = code, number
        return number, is_new

    def clear(self) -> None:
        """Forget all results; an id is never used twice."""
        self._by_identity.clear()
        self._large.clear()
        self._bytes = 0


@cache
def _result_code(outcome: str, status: int) -> int:
    return EndCode(outcome, status).packed


def _event(fields: Sequence[Any]) -> CallbackEvent:
    *own, query = fields
    event = with_type(*own)
    return event if query is None else as_recorded(event, query)
