"""From the log into the tables: whoever needs a journal's tables brings them up to date, in large transactions.

The place in the log that the tables have come to is written in the same transaction as the rows, so that any process
can take over from any other, killed or not, and nothing is written twice.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final, Self

import msgspec

from roomhook.simulator.journal.lock import try_to_share
from roomhook.simulator.journal.log import Frames, read_frames, segment_path, segments
from roomhook.simulator.journal.records import ReceivedRecord, RunEnd, SentRecord, decode
from roomhook.simulator.journal.rows import Results, Rows, answer_id
from roomhook.simulator.journal.schema import connect_to_write

__all__ = ["Index", "Progress", "bring_up_to_date"]

Progress = Callable[[float], object]
"""Is told which share of the work is done."""

_TRANSACTION_BYTES: Final = 4 * 1024 * 1024


def bring_up_to_date(journal: Path, show: Progress | None = None) -> bool:
    """Index what the log of *journal* holds; is a run still writing it?

    Raises ``sqlite3.Error`` and ``OSError`` for a disk that is full; the log then keeps everything.
    """
    journal = journal.resolve()
    lock = try_to_share(journal)
    try:
        if segments(journal):
            with Index(journal, finish=lock is not None) as index:
                index.run(show)
                if lock is not None:
                    index.make_portable()
    finally:
        if lock is not None:
            os.close(lock)
    return lock is None


class Index:
    """The tables of *journal* while its log is brought in; *finish*: nobody writes the log any more.

    Removes segments that are in the tables as a whole.
    """

    def __init__(self, journal: Path, *, finish: bool) -> None:
        self._journal = journal.resolve()
        self._finish = finish
        self._connection = connect_to_write(journal)
        self._at = (0, 0)
        self._descriptor = -1
        self._results: Results = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._connection.close()

    def run(self, show: Progress | None = None, *, most: int = _TRANSACTION_BYTES) -> None:
        """Bring in all that is there, about *most* bytes of the log at a time."""
        total = done = 0
        for number in segments(self._journal) if show else ():
            with suppress(FileNotFoundError):
                total += segment_path(self._journal, number).stat().st_size
        while (size := self.step(most)) is not None:
            done += size
            if show and total:
                show(min(1.0, done / total))

    def make_portable(self) -> None:
        """Make the journal a single file that can be read in a folder that can't be written."""
        with suppress(sqlite3.Error):  # somebody else has it open: the last one to close it merges its files
            self._connection.execute("PRAGMA busy_timeout = 0")
            self._connection.execute("PRAGMA journal_mode = DELETE")

    def step(self, most: int) -> int | None:
        """Bring in about *most* bytes: how many they were, or None if there are none left."""
        execute = self._connection.execute
        execute("BEGIN IMMEDIATE")
        try:
            segment, offset, _ = execute("SELECT segment, offset, lost_bytes FROM indexed").fetchone()
            there = [one for one in self._remove_before(segment) if one >= segment]
            if not there:
                execute("ROLLBACK")
                return None
            segment, offset = (segment, offset) if segment == there[0] else (there[0], 0)
            self._open(segment, offset)
            found = read_frames(self._descriptor, offset, most)
            is_over = not found.payloads and (segment < there[-1] or self._finish)
            lost = found.lost + self._write(found.payloads) + (self._damaged_end(found) if is_over else 0)
            self._at = (segment + 1, 0) if is_over else (segment, found.end)
            execute("UPDATE indexed SET segment = ?, offset = ?, lost_bytes = lost_bytes + ?", (*self._at, lost))
            execute("COMMIT")
        except BaseException:
            self._at = (0, 0)
            with suppress(sqlite3.Error):
                execute("ROLLBACK")
            raise
        self._remove_before(self._at[0])
        return found.end - offset if found.payloads or is_over else None

    def _remove_before(self, segment: int) -> list[int]:
        """Remove what is in the tables as a whole; the segments that were there."""
        there = segments(self._journal)
        for number in [one for one in there if one < segment]:
            segment_path(self._journal, number).unlink(missing_ok=True)
        return there

    def _open(self, segment: int, offset: int) -> None:
        """Turn to *segment*; its results before *offset* are read again if another has brought them in."""
        if (segment, offset) == self._at and self._descriptor >= 0 and offset:
            return
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = os.open(segment_path(self._journal, segment), os.O_RDONLY | os.O_CLOEXEC)
        self._results.clear()
        at = 0
        while at < offset:
            found = read_frames(self._descriptor, at, _TRANSACTION_BYTES)
            if not found.payloads:
                break
            at = found.end
            for payload in found.payloads:
                record = _decoded(payload)
                if isinstance(record, SentRecord):
                    self._learn(record)

    def _damaged_end(self, found: Frames) -> int:
        """Bytes behind the last frame that no death of a writer can explain: a whole frame, but damaged."""
        size = os.fstat(self._descriptor).st_size
        rest = os.pread(self._descriptor, size - found.end, found.end)
        return len(rest) if len(rest) > 16 and len(rest) >= 16 + int.from_bytes(rest[8:12], "little") else 0

    def _write(self, payloads: Iterable[bytes]) -> int:
        """Put what *payloads* hold into the tables; how many bytes of them nobody can read."""
        lost = 0
        rows = Rows()
        for payload in payloads:
            record = _decoded(payload)
            if isinstance(record, SentRecord):
                self._learn(record, rows)
                rows.add_sent(record, self._results)
            elif isinstance(record, ReceivedRecord):
                rows.add_received(record)
            elif isinstance(record, RunEnd):
                rows.run_ends.append((record.ended_us, record.run))
            else:
                lost += len(payload)
        rows.write(self._connection)
        return lost

    def _learn(self, record: SentRecord, rows: Rows | None = None) -> None:
        """Remember the results that later ends name."""
        for one in record.results:
            answer = answer_id(one.received)
            if rows is not None and answer:
                rows.answers.append((answer, one.received))
            remark = (one.requirements, one.note) if one.requirements or one.note else None
            self._results[one.id] = answer, remark


def _decoded(payload: bytes) -> SentRecord | ReceivedRecord | RunEnd | None:
    try:
        return decode(payload)
    except msgspec.DecodeError:
        return None
