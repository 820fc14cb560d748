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

from roomhook.errors import ConfigurationError
from roomhook.simulator.journal.log import damaged_end, frames_in, segment_path, segments
from roomhook.simulator.journal.records import Rows, decode
from roomhook.simulator.journal.schema import INDEXED, connect, locked

__all__ = ["Progress", "bring_up_to_date", "main", "open_indexed", "start_indexer"]

Progress = Callable[[float], object]
"""Called with the share of the work that is done (0 to 1)."""

_PAUSE_S: Final = 0.2


def open_indexed(journal: Path, *, is_over: bool, show: Progress | None = None) -> sqlite3.Connection:
    """Open *journal* with its whole log in its tables; the last segment is deleted only if the run *is_over*.

    Raises ``ConfigurationError`` if there is none or its tables can't be written; then the log keeps everything.
    """
    connection = connect(journal)
    try:
        connection.execute("PRAGMA journal_mode = WAL")  # readers are not blocked
        connection.execute("PRAGMA synchronous = FULL")  # the log is deleted after each commit
        connection.execute("PRAGMA cache_size = -32768")  # KiB
        connection.executescript(INDEXED)
        there = segments(journal.resolve())
        for count, number in enumerate(there, 1):
            path = segment_path(journal.resolve(), number)
            _index_segment(connection, path, number, is_over=is_over or number < there[-1])
            if show is not None:
                show(count / len(there))
    except (sqlite3.Error, OSError) as error:
        connection.close()
        said = f"the tables of {journal} can't be written ({error}): its log beside it keeps everything"
        remedy = f"make room, or copy all to a folder that can be written, and `roomhook journal {journal}` writes them"
        raise ConfigurationError(f"{said}; {remedy}") from None
    return connection


def bring_up_to_date(journal: Path, show: Progress | None = None) -> bool:
    """Index the log of *journal*, if any; returns whether a run is still writing it.

    Raises ``ConfigurationError`` as ``open_indexed`` does.
    """
    try:
        with journal.open("rb") as lock:
            is_over = locked(lock.fileno(), exclusive=False)
            if segments(journal.resolve()):
                with closing(open_indexed(journal, is_over=is_over, show=show)) as connection:
                    if is_over:
                        _make_portable(connection)
    except OSError as error:
        raise ConfigurationError(f"{journal} can't be read: {error.strerror}; copy it with its log beside it") from None
    return not is_over


def _make_portable(connection: sqlite3.Connection) -> None:
    """Make the journal a single file that can be read in a folder that can't be written."""
    with suppress(sqlite3.Error):  # another process has it open: the last one to close it merges its files
        connection.execute("PRAGMA busy_timeout = 0")
        connection.execute("PRAGMA journal_mode = DELETE")


def start_indexer(journal: Path) -> subprocess.Popen[bytes]:
    """A process of low priority that indexes *journal* until its stdin is closed; killing it loses nothing."""
    return subprocess.Popen(  # noqa: S603 (our own module)
        [sys.executable, "-m", __name__, str(journal)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        process_group=0,  # the run handles a terminal's Ctrl-C
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )


def _index_segment(connection: sqlite3.Connection, path: Path, number: int, *, is_over: bool) -> None:
    """Index the rest of segment *number* in *path*; delete it if nothing more will be written to it."""
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


def main(journal: Path) -> None:
    """Index until stdin ends or the disk is full; the run itself reports a full disk at its end."""
    if sys.platform == "linux":  # a nice process would still finish its time slice when the run wakes up
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    else:
        os.nice(19)
    with suppress(OSError, ConfigurationError):
        while not select.select([sys.stdin], [], [], _PAUSE_S)[0]:
            if len(segments(journal)) > 1:
                open_indexed(journal, is_over=False).close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
