"""The journals of senders and listeners.

A sender's has events before they are sent, and attempts before they begin and after they end. A listener's has every
request before it is answered.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import chain, count
from operator import attrgetter
from pathlib import Path
from typing import Any, Final, NamedTuple

from roomhook.simulator.journal.file import JournalFile
from roomhook.simulator.journal.log import JournalError
from roomhook.simulator.journal.records import LoggedResult, ReceivedRecord, SentRecord, answer_id
from roomhook.simulator.journal.schema import NUMBER_BITS, OF_EVENT, SCHEDULED, result_code
from roomhook.simulator.protocol.callback_event import CallbackEvent, with_type
from roomhook.simulator.protocol.request_check import ValidationResult
from roomhook.simulator.transport.attempt import Attempt, AttemptResult
from roomhook.simulator.transport.delivery import Delivery, blocks
from roomhook.simulator.transport.target import Target
from roomhook.simulator.util.clock import WallClock

__all__ = ["Journal", "ReceivedCallback", "ReceivedCallbackJournal"]

_EVENT: Final = "id, time_ms, command, client_ip, platform, body, ifnull(query, '')"
_UNFINISHED: Final = "(SELECT state FROM deliveries WHERE deliveries.id = events.id) = 'unsent'"
_FOUND: Final = attrgetter("natural_key", "command", "room", "type", "problem")
_BLOCK: Final = 128
_MOST_KNOWN: Final = 1000
_LARGE: Final = 4096
"""Size up to which the sender gives equal responses the same result."""


class Journal(JournalFile):
    """Records a run: ``schedule`` its events, ``begin`` and ``end`` its attempts. Opens as ``JournalFile`` does.

    Records are collected, and ``begin`` writes them in one piece before the first byte of its attempts leaves;
    ``write`` writes them without attempts. Raises ``JournalError`` if the journal can no longer be written.
    """

    def __init__(
        self,
        path: Path,
        target: Target,
        *,
        mode: str,
        options: Mapping[str, Any],
        resume: bool = False,
        durable: bool = False,
    ) -> None:
        super().__init__(path, "sender", target, mode=mode, options=options, resume=resume, durable=durable)
        self._target = target
        self._clock = WallClock()
        self._next_event: int = self.connection.execute(f"SELECT 1 + {SCHEDULED}").fetchone()[0]
        self._record = SentRecord(self.run, self._next_event)
        self._known: dict[AttemptResult, LoggedResult] = {}
        self._written: set[int] = set()
        self._signed_at = 0

    @property
    def scheduled(self) -> int:
        """The number of events in the journal."""
        return self._next_event - 1

    def owed(self) -> int:
        """The number of events that earlier runs have not finished."""
        sql = f"SELECT count(*) FROM events WHERE {_UNFINISHED}"  # noqa: S608 (our own text)
        return int(self.connection.execute(sql).fetchone()[0])

    def schedule(self, events: Iterable[CallbackEvent]) -> Iterator[Delivery]:
        """Deliveries for *events*; each is written before it is sent."""
        return chain.from_iterable(map(self._scheduled, blocks(events, _BLOCK)))

    def unfinished(self) -> Iterator[Delivery]:
        """The deliveries that an earlier run has not finished (neither delivered nor finally failed), in order."""
        sql = (
            f"SELECT {_EVENT},"  # noqa: S608 (our own text)
            f" (SELECT coalesce(max(key) & {(1 << NUMBER_BITS) - 1}, 0) FROM ends WHERE {OF_EVENT}) FROM events"
            f" WHERE id > ? AND {_UNFINISHED}"
            " ORDER BY id LIMIT ?"
        )
        last, end = 0, self._next_event
        while rows := self.connection.execute(sql, (last, _BLOCK)).fetchall():
            for last, *fields, query, number in rows:
                if last >= end:
                    return
                yield Delivery(last, with_type(*fields, query=query), number)

    def restore(self, events: Iterable[CallbackEvent]) -> bool:
        """Put back what a damaged log has lost of *events*, which must be all that were ever scheduled.

        Returns whether they are, by the last one.
        """
        execute = self.connection.execute
        is_damaged = execute("SELECT count(*) FROM events").fetchone()[0] < self.scheduled
        row = None
        for number, one in enumerate(events, 1):
            row = number, one.time_ms, one.command, one.client_ip, one.platform, one.body, one.query
            if is_damaged:
                execute("INSERT OR IGNORE INTO events VALUES (?,?,?,?,?,?,nullif(?,''))", row)
        stored = execute(f"SELECT {_EVENT} FROM events ORDER BY id DESC LIMIT 1")  # noqa: S608 (our own text)
        return bool(row == stored.fetchone())

    def begin(self, attempts: Sequence[Attempt]) -> None:
        """Record that *attempts*, signed in one second, begin, and write all pending records."""
        record = self._record
        record.begun_ns = time.monotonic_ns()
        record.request_time = attempts[0].request_time
        if record.request_time != self._signed_at:
            self._signed_at = record.request_time
            record.signature = self._target.signature(record.request_time)
        record.begun += [(one.delivery.id, one.number, one.kind, one.intended_ns) for one in attempts]
        self._write()

    def end(self, attempts: Sequence[Attempt]) -> None:
        """Record how *attempts* ended."""
        known = self._known.get
        self._record.ended += [
            (
                one.delivery.id,
                one.number,
                one.kind,
                one.final,
                one.resent,
                one.intended_ns,
                one.sent_ns,
                one.done_ns,
                one.request_time,
                known(one.result) or self._add(one.result),
            )
            for one in attempts
        ]

    def write(self) -> None:
        """Write all pending records."""
        if self._record.ended or self._record.events:
            self._write()

    def close(self) -> None:
        """End the run normally."""
        try:
            self.write()
            super().close()
        finally:
            super().abandon()

    def abandon(self) -> None:
        """Leave the journal as a killed process would, except for ends that did not fit on the disk before."""
        self._record.events, self._record.begun = [], []  # they were never sent
        with suppress(JournalError):  # then they are in doubt
            self.write()
        super().abandon()

    def _scheduled(self, block: Sequence[CallbackEvent]) -> Iterator[Delivery]:
        first = self._next_event
        self._next_event += len(block)
        self._record.events += block
        return map(Delivery, count(first), block)

    def _write(self) -> None:
        self._clock.refresh()
        self._record.wall_offset_ns = self._clock.offset_ns
        if self.append(self._record):
            self._known.clear()
            self._written.clear()
        self._record = SentRecord(self.run, self._next_event)

    def _add(self, result: AttemptResult) -> LoggedResult:
        """What ends say of a *result* that is not known; its response is written if this segment does not have it."""
        answer = answer_id(result.received)
        if answer and answer not in self._written:
            self._written.add(answer)
            self._record.answers.append((answer, result.received))
        found = result_code(result.outcome, result.status), answer, " ".join(result.breaches), result.note
        if len(result.received) <= _LARGE:
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            self._known[result] = found
        return found


class ReceivedCallback(NamedTuple):
    """A request as it arrived: ``received_us`` since the epoch, ``head`` with its blank line, ``body`` unchunked."""

    received_us: int
    peer: str
    head: bytes
    body: bytes
    inspected: ValidationResult
    answer: bytes


class ReceivedCallbackJournal(JournalFile):
    """Creates a listener's journal in *path*, or continues it; raises ``ConfigurationError`` if that is not possible.

    With *durable*, records also survive a crash of the machine.
    """

    def __init__(self, path: Path, options: Mapping[str, Any], *, durable: bool = False) -> None:
        super().__init__(path, "listener", options=options, resume=path.exists(), durable=durable)

    def write(self, receipts: Sequence[ReceivedCallback]) -> None:
        """Write *receipts* in one piece, which survives ``kill -9``; raises ``JournalError`` if that fails."""
        answers = {answer: number for number, answer in enumerate({one.answer for one in receipts})}
        rows = [(*one[:4], *_FOUND(one.inspected), answers[one.answer]) for one in receipts]
        self.append(ReceivedRecord(self.run, list(answers), rows))
