"""A journal open for writing: its lock, the row of its run, the writer of its log and the indexer."""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from roomhook.errors import ConfigurationError
from roomhook.simulator.journal.index import IndexerProcess, index
from roomhook.simulator.journal.lock import lock_for_writing
from roomhook.simulator.journal.log import JournalError, LogWriter
from roomhook.simulator.journal.records import Record, RunEnd, encode
from roomhook.simulator.journal.schema import Kind, connect_to_write, create, kind_of
from roomhook.simulator.protocol.callback_request import CallbackRequest, masked
from roomhook.simulator.transport.target import Target

__all__ = ["JournalFile"]


class JournalFile:
    """Creates the journal *path*, or continues it with *resume*; raises ``ConfigurationError`` if that is not possible.

    ``connection`` is for reading the rows of earlier runs.
    """

    def __init__(self, path: Path, kind: Kind, *, resume: bool, durable: bool = False) -> None:
        if path.exists() and not resume:
            raise ConfigurationError(f"{path} exists; add --resume to go on with it, or choose another --journal")
        self.path = path
        self._durable = durable
        self._real_path = path.resolve()  # the log is beside the file itself, not beside a link to it
        is_new = not path.exists()
        self._lock = lock_for_writing(self._real_path, create=is_new)
        try:
            self.connection = create(self._real_path, kind) if is_new else self._opened(kind)
        except BaseException:
            os.close(self._lock)
            raise
        self.run = 0
        self._log: LogWriter | None = None
        self._indexer: IndexerProcess | None = None

    def begin_run(self, kind: Kind, target: Target | None, mode: str, options: Mapping[str, Any]) -> None:
        """Write the row of this run and start its log; the values of secret headers and URL parameters are masked."""
        url, signed = "", False
        headers: dict[str, str] = {}
        if target is not None:
            shown = masked(CallbackRequest(target.url.with_query(""), None, tuple(target.headers)))
            url, headers = shown.url, dict(shown.headers)
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
        (segment,) = self.connection.execute("SELECT segment FROM indexed").fetchone()
        try:
            self._log = LogWriter(self._real_path, segment, durable=self._durable)
        except JournalError as error:
            raise ConfigurationError(f"{self.path} can't be written: {error}; make room or choose another") from None

    def append(self, record: Record) -> bool:
        """Write one record; returns True if it is the first of a new segment, which has no results of the last one.

        Raises ``JournalError`` if it can't be written; then the log is unchanged.
        """
        assert self._log is not None
        self._log.append(encode(record))
        if not self._log.is_full:
            return False
        self._log.next_segment()
        if self._indexer is None:
            self._indexer = IndexerProcess(self._real_path)
        return True

    def close(self) -> None:
        """End the run normally; raises ``JournalError`` if the journal has been deleted."""
        try:
            if os.fstat(self._lock).st_nlink == 0:
                raise JournalError("it was deleted during the run")
            self.append(RunEnd(self.run, time.time_ns() // 1000))
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Leave the journal as a killed process would."""
        if self._indexer is not None:
            self._indexer.stop()
        if self._log is not None:
            self._log.close()
        self.connection.close()
        os.close(self._lock)

    def _opened(self, kind: Kind) -> sqlite3.Connection:
        """An existing journal, with its whole log indexed."""
        connection = connect_to_write(self._real_path)
        if (found := kind_of(connection)) != kind:
            connection.close()
            raise ConfigurationError(f"{self.path} is the journal of a {found}; choose another --journal")
        try:
            index(connection, self._real_path, is_over=True)
        except (sqlite3.Error, OSError) as error:
            connection.close()
            raise ConfigurationError(f"{self.path} can't be brought up to date: {error}; make room first") from None
        return connection
