"""Fills the tables of a journal while a run writes its log, in a process that takes only what time is left.

Runs as ``python -m roomhook.simulator.journal.indexer FILE`` until its stdin ends, as it does when the run dies.
"""

from __future__ import annotations

import os
import select
import sqlite3
import subprocess
import sys
from contextlib import closing, suppress
from pathlib import Path
from typing import Final

from roomhook.errors import RoomhookError
from roomhook.simulator.journal.index import index_whole_segments
from roomhook.simulator.journal.schema import connect_to_write

__all__ = ["IndexerProcess", "main"]

_PAUSE_S: Final = 0.2


class IndexerProcess:
    """The process; killing it at any moment loses nothing."""

    def __init__(self, journal: Path) -> None:
        command = [sys.executable, "-m", __name__, str(journal)]
        self._process = subprocess.Popen(  # noqa: S603 (ourselves)
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            process_group=0,  # a terminal's Ctrl-C is for the run
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )

    def stop(self) -> None:
        """End it at once: what it has not committed is still in the log."""
        self._process.kill()
        self._process.communicate()


def main(journal: Path) -> None:
    """Index until stdin ends, or the disk is full: the run itself says so at its end."""
    os.nice(19)
    with suppress(sqlite3.Error, OSError, RoomhookError), closing(connect_to_write(journal)) as connection:
        while not select.select([sys.stdin], [], [], _PAUSE_S)[0]:
            index_whole_segments(connection, journal)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
