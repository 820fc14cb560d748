"""Indexes the log of a journal: moves it into the tables, one segment per transaction.

Each transaction also stores how far the log is indexed. So any process can continue the work of any other, even a
killed one, and nothing is written twice. During a run, a process of low priority does it: ``python -m
roomhook.simulator.journal.index FILE``, until its stdin ends.
"""

from __future__ import annotations

import os
import select
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Final

import msgspec

from roomhook.errors import RoomhookError
from roomhook.simulator.journal.lock import try_to_share
from roomhook.simulator.journal.log import damaged_end, frames_in, segment_path, segments
from roomhook.simulator.journal.records import ReceivedRecord, SentRecord, decode
from roomhook.simulator.journal.rows import Results, Rows, answer_id
from roomhook.simulator.journal.schema import connect_to_write

__all__ = ["IndexerProcess", "Progress", "bring_up_to_date", "index", "index_whole_segments", "main"]

Progress = Callable[[float], object]
"""Called with the share of the work that is done (0 to 1)."""

_PAUSE_S: Final = 0.2


class IndexerProcess:
    """A process of low priority that indexes *journal* during a run; killing it loses nothing."""

    def __init__(self, journal: Path) -> None:
        command = [sys.executable, "-m", __name__, str(journal)]
        self._process = subprocess.Popen(  # noqa: S603 (our own module)
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            process_group=0,  # the run handles a terminal's Ctrl-C
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )

    def stop(self) -> None:
        """End it at once; what it has not committed is still in the log."""
        self._process.kill()
        self._process.communicate()


def bring_up_to_date(journal: Path, show: Progress | None = None) -> bool:
    """Index the log of *journal*; returns whether a run is still writing it.

    Raises ``sqlite3.Error`` or ``OSError`` if the disk is full; then the log keeps everything.
    """
    lock = try_to_share(journal)
    try:
        if segments(journal.resolve()):
            with closing(connect_to_write(journal)) as connection:
                index(connection, journal.resolve(), is_over=lock is not None, show=show)
                if lock is not None:
                    _make_portable(connection)
    finally:
        if lock is not None:
            os.close(lock)
    return lock is None


def index(connection: sqlite3.Connection, journal: Path, *, is_over: bool, show: Progress | None = None) -> None:
    """Index all existing segments; the last one is deleted only if the run *is_over*."""
    there = segments(journal)
    for number, segment in enumerate(there, 1):
        _index_segment(connection, journal, segment, is_over=is_over or segment < there[-1])
        if show is not None:
            show(number / len(there))


def index_whole_segments(connection: sqlite3.Connection, journal: Path) -> None:
    """Index the segments that a run has finished."""
    for segment in segments(journal)[:-1]:
        _index_segment(connection, journal, segment, is_over=True)


def _index_segment(connection: sqlite3.Connection, journal: Path, number: int, *, is_over: bool) -> None:
    """Index the rest of one segment; delete it if nothing more will be written to it."""
    path = segment_path(journal, number)
    connection.execute("BEGIN IMMEDIATE")
    try:
        segment, offset, _ = connection.execute("SELECT segment, offset, lost_bytes FROM indexed").fetchone()
        if number >= segment and path.exists():
            end, lost = _write_rows(connection, path.read_bytes(), offset if number == segment else 0, is_over=is_over)
            place = (number + 1, 0) if is_over else (number, end)
            connection.execute(
                "UPDATE indexed SET segment = ?, offset = ?, lost_bytes = lost_bytes + ?", (*place, lost)
            )
        connection.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise
    if is_over or number < segment:
        path.unlink(missing_ok=True)


def _write_rows(connection: sqlite3.Connection, content: bytes, offset: int, *, is_over: bool) -> tuple[int, int]:
    """Write what follows *offset* in the *content* of a segment; returns the end of its frames and the damage."""
    rows, results = Rows(), Results()
    end, lost = offset, 0
    for frame in frames_in(content):
        is_new = frame.end > offset
        end = max(end, frame.end)
        lost += frame.lost * is_new
        try:
            record = decode(frame.payload)
        except msgspec.DecodeError:
            lost += len(frame.payload) * is_new
            continue
        if isinstance(record, SentRecord):
            _learn(record, results)
        if not is_new:
            continue
        if isinstance(record, SentRecord):
            rows.add_sent(record, results)
        elif isinstance(record, ReceivedRecord):
            rows.add_received(record)
        else:
            rows.run_ends.append((record.ended_us, record.run))
    rows.write(connection)
    return end, lost + (damaged_end(content, end) if is_over else 0)


def _learn(record: SentRecord, results: Results) -> None:
    """Remember the results that later ends of the same segment refer to."""
    for one in record.results:
        remark = (one.requirements, one.note) if one.requirements or one.note else None
        results[one.id] = answer_id(one.received), remark


def _make_portable(connection: sqlite3.Connection) -> None:
    """Make the journal a single file that can be read in a folder that can't be written."""
    with suppress(sqlite3.Error):  # another process has it open: the last one to close it merges its files
        connection.execute("PRAGMA busy_timeout = 0")
        connection.execute("PRAGMA journal_mode = DELETE")


def main(journal: Path) -> None:
    """Index until stdin ends or the disk is full; the run itself reports a full disk at its end."""
    if sys.platform == "linux":  # a nice process would still finish its time slice when the run wakes up
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    else:
        os.nice(19)
    with suppress(sqlite3.Error, OSError, RoomhookError), closing(connect_to_write(journal)) as connection:
        while not select.select([sys.stdin], [], [], _PAUSE_S)[0]:
            index_whole_segments(connection, journal)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
