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
from roomhook.simulator.journal.log import damaged_end, frames_in, segment_path, segments
from roomhook.simulator.journal.records import Rows, decode
from roomhook.simulator.journal.schema import connect_to_write, locked

__all__ = ["IndexerProcess", "Progress", "bring_up_to_date", "index", "main"]

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
    with journal.open("rb") as lock:
        is_over = locked(lock.fileno(), exclusive=False)
        if segments(journal.resolve()):
            with closing(connect_to_write(journal)) as connection:
                index(connection, journal.resolve(), is_over=is_over, show=show)
                if is_over:
                    _make_portable(connection)
    return not is_over


def index(connection: sqlite3.Connection, journal: Path, *, is_over: bool, show: Progress | None = None) -> None:
    """Index all that is in the log; its last segment is deleted only if the run *is_over*."""
    there = segments(journal)
    for count, number in enumerate(there, 1):
        _index_segment(connection, journal, number, is_over=is_over or number < there[-1])
        if show is not None:
            show(count / len(there))


def _index_segment(connection: sqlite3.Connection, journal: Path, number: int, *, is_over: bool) -> None:
    """Index the rest of one segment; delete it if nothing more will be written to it."""
    path = segment_path(journal, number)
    with connection:
        connection.execute("BEGIN IMMEDIATE")
        segment, offset = connection.execute("SELECT segment, offset FROM indexed").fetchone()
        if number >= segment:  # otherwise another process has indexed it
            content = path.read_bytes()
            end, lost = _write_rows(connection, content, offset if number == segment else 0)
            segment, offset = number, end
            if is_over:
                lost += damaged_end(content, end)
                segment, offset = number + 1, 0
            sql = "UPDATE indexed SET segment = ?, offset = ?, lost_bytes = lost_bytes + ?"
            connection.execute(sql, (segment, offset, lost))
    if number < segment:
        path.unlink(missing_ok=True)


def _write_rows(connection: sqlite3.Connection, content: bytes, offset: int) -> tuple[int, int]:
    """Write what follows *offset* in the *content* of a segment; returns the end of its frames and the damage."""
    rows = Rows()
    end, lost = offset, 0
    for frame in frames_in(content, offset):
        end = frame.end
        lost += frame.lost
        try:
            decode(frame.payload).add_to(rows)
        except msgspec.DecodeError:
            lost += len(frame.payload)
    rows.write(connection)
    return end, lost


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
            if len(segments(journal)) > 1:
                index(connection, journal, is_over=False)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
