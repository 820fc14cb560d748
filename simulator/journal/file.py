"""A journal open for writing: its lock, the row of its run, the writer of its log and the indexer."""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Mapping
from contextlib import ExitStack, closing
from importlib.metadata import version
from pathlib import Path
from subprocess import Popen
from typing import Any, Final

from roomhook.errors import ConfigurationError
from roomhook.simulator.journal.index import open_indexed, start_indexer
from roomhook.simulator.journal.log import JournalError, LogWriter
from roomhook.simulator.journal.records import Record, RunEnd, encode
from roomhook.simulator.journal.schema import Kind, create, kind_of, locked
from roomhook.simulator.protocol.callback_request import CallbackRequest, masked
from roomhook.simulator.transport.target import Target

__all__ = ["JournalFile"]

_PATIENCE_S: Final = 1.0
"""How long a writer waits for processes that only index."""


class JournalFile:
    """Creates the journal *path*, or continues it with *resume*, for a run of *kind* to *target* with these *options*.

    Raises ``ConfigurationError`` if that is not possible. ``connection`` is for reading the rows of earlier runs, and
    ``run`` is the id of this one. With *durable*, records also survive a crash of the machine.
    """

    def __init__(
        self,
        path: Path,
        kind: Kind,
        target: Target | None = None,
        *,
        options: Mapping[str, Any],
        mode: str = "",
        resume: bool = False,
        durable: bool = False,
    ) -> None:
        if path.exists() and not resume:
            raise ConfigurationError(f"{path} exists; add --resume to go on with it, or choose another --journal")
        self.path = path
        self._real_path = path.resolve()  # the log is beside the file itself, not beside a link to it
        self._indexer: Popen[bytes] | None = None
        is_new = not path.exists()
        with ExitStack() as opened:
            self._lock = _lock_for_writing(self._real_path, opened, create=is_new)
            connection = create(self._real_path, kind) if is_new else open_indexed(path, is_over=True)
            self.connection = opened.enter_context(closing(connection))
            if (found := kind_of(connection)) != kind:
                raise ConfigurationError(f"{path} is the journal of a {found}; choose another --journal")
            try:
                self.run = self._add_run(kind, target, mode, options)
                (segment,) = connection.execute("SELECT segment FROM indexed").fetchone()
                self._log = LogWriter(self._real_path, segment, durable=durable)
            except (sqlite3.Error, JournalError) as error:
                raise ConfigurationError(f"{path} can't be written: {error}; make room or choose another") from None
            opened.callback(self._log.close)
            self._opened = opened.pop_all()

    def append(self, record: Record) -> bool:
        """Write one record; returns whether the next one starts a new segment, which repeats what it refers to.

        Raises ``JournalError`` if it can't be written; then the log is unchanged.
        """
        is_full = self._log.append(encode(record))
        if is_full and self._indexer is None:
            self._indexer = self._opened.enter_context(start_indexer(self._real_path))
            self._opened.callback(self._indexer.kill)
        return is_full

    def close(self) -> None:
        """End the run normally; raises ``JournalError`` if the journal has been deleted."""
        with self._opened:
            if os.fstat(self._lock).st_nlink == 0:
                raise JournalError("it was deleted during the run")
            self.append(RunEnd(self.run, time.time_ns() // 1000))

    def abandon(self) -> None:
        """Leave the journal as a killed process would."""
        self._opened.close()

    def _add_run(self, kind: Kind, target: Target | None, mode: str, options: Mapping[str, Any]) -> int:
        """Write the row of this run, in which the values of secret headers and URL parameters are masked."""
        url, headers, signed, sdkappid = "", {}, False, options.get("sdkappid", "")
        if target is not None:
            shown = masked(CallbackRequest(target.url.with_query(""), None, tuple(target.headers)))
            url, headers = shown.url, dict(shown.headers)
            signed, sdkappid = target.token is not None, target.sdkappid
        about = str(sdkappid), signed, json.dumps(headers), mode, json.dumps(dict(options)), version("roomhook")
        row = kind, time.time_ns() // 1000, url, *about
        return self.connection.execute("INSERT INTO runs VALUES (NULL,?,?,NULL,?,?,?,?,?,?,?)", row).lastrowid or 0


def _lock_for_writing(journal: Path, opened: ExitStack, *, create: bool) -> int:
    """A descriptor that holds the lock until *opened* ends; raises ``ConfigurationError`` if another run has it."""
    flags = os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT | os.O_EXCL if create else 0)
    try:
        descriptor = os.open(journal, flags, 0o644)
    except OSError as error:
        raise ConfigurationError(
            f"{journal} can't be written: {error.strerror}; choose a file in a folder that can be"
        ) from None
    opened.callback(os.close, descriptor)
    until = time.monotonic() + _PATIENCE_S
    while not locked(descriptor, exclusive=True):
        if time.monotonic() > until:
            raise ConfigurationError(
                f"{journal} is being written by another run; wait for it to end or choose another --journal"
            )
        time.sleep(0.02)
    if os.fstat(descriptor).st_nlink > 1:
        raise ConfigurationError(
            f"{journal} has several names (hard links), and its log is beside one of them only: write to a copy of it"
        )
    return descriptor
