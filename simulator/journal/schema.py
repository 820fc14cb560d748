"""The tables of a journal, and opening one: a SQLite file in WAL mode for any SQL tool."""

from __future__ import annotations

import fcntl
import sqlite3
from pathlib import Path
from typing import Final, Literal

from roomhook.errors import ConfigurationError
from roomhook.simulator.protocol.outcomes import DeliveryOutcome

__all__ = [
    "ATTEMPT_COLUMNS",
    "FINAL",
    "INDEXED",
    "KIND_CODES",
    "NUMBER_BITS",
    "OF_EVENT",
    "OUTCOMES",
    "RESENT",
    "SCHEDULED",
    "Kind",
    "connect",
    "create",
    "kind_of",
    "locked",
    "result_code",
]

Kind = Literal["sender", "listener"]

IN_DOUBT: Final = "in-doubt"
"""The outcome of an attempt without a recorded end: the target may have received it or not."""

OUTCOMES: Final = (IN_DOUBT, *DeliveryOutcome)
"""Outcomes by their code. Codes never change, because journals are kept longer than programs."""

_CODES: Final = {str(outcome): code for code, outcome in enumerate(OUTCOMES)}

FINAL: Final = 1 << 8
KIND_CODES: Final = {"first": 0, "retry": 1 << 9, "copy": 2 << 9}
RESENT: Final = 1 << 11
"""Parts of ``ends.code``, as ``result_code`` and 0 for in doubt; ``ATTEMPT_COLUMNS`` takes it apart."""

NUMBER_BITS: Final = 20
OF_EVENT: Final = "ends.key BETWEEN events.id << 20 AND events.id << 20 | 1048575"
"""The SQL condition that an end belongs to an event, in the form that uses the index."""

SCHEDULED: Final = "max((SELECT ifnull(max(id), 0) FROM events), (SELECT ifnull(max(key), 0) >> 20 FROM ends))"
"""The SQL expression for how many events there are; a damaged log may have lost the rows of some."""

ATTEMPT_COLUMNS: Final = """
    key & 1048575 AS number, run,
    CASE ends.code >> 9 & 3 WHEN 0 THEN 'first' WHEN 1 THEN 'retry' ELSE 'copy' END AS kind,
    intended_us, sent_us, done_us, request_time, outcomes.name AS outcome, nullif(ends.code >> 12, 0) AS status,
    ends.code >> 8 & 1 AS final, ends.code >> 11 & 1 AS resent, requirements, answer, note
"""
"""The columns of an attempt from its row of ``ends`` and the row of ``outcomes`` for its code."""

_FORMAT: Final = (0x526D686B, 1)
"""Application id and version in the header of the file."""

_RUNS: Final = """
CREATE TABLE runs (
    id INTEGER PRIMARY KEY, kind TEXT NOT NULL, started_us INTEGER NOT NULL, ended_us INTEGER,
    url TEXT NOT NULL, sdkappid TEXT NOT NULL, signed INTEGER NOT NULL, headers TEXT NOT NULL,
    mode TEXT NOT NULL, options TEXT NOT NULL, version TEXT NOT NULL
);
"""

INDEXED: Final = """
CREATE TABLE IF NOT EXISTS indexed (segment INTEGER NOT NULL, offset INTEGER NOT NULL, lost_bytes INTEGER NOT NULL);
INSERT INTO indexed SELECT 1, 0, 0 WHERE NOT EXISTS (SELECT 1 FROM indexed);
"""
"""How far the log is in the tables, and how much of it was damaged; journals of older versions have no such table."""

_SENDER: Final = f"""
CREATE TABLE events (
    id INTEGER PRIMARY KEY, time_ms INTEGER NOT NULL, command TEXT NOT NULL, client_ip TEXT NOT NULL,
    platform TEXT NOT NULL, body BLOB NOT NULL, query TEXT
);
CREATE TABLE ends (
    key INTEGER PRIMARY KEY, run INTEGER, intended_us INTEGER, sent_us INTEGER, done_us INTEGER,
    request_time INTEGER, code INTEGER, answer INTEGER, requirements TEXT, note TEXT
);
CREATE TABLE outcomes (code INTEGER PRIMARY KEY, name TEXT NOT NULL);
INSERT INTO outcomes VALUES {", ".join(f"({code}, '{name}')" for name, code in _CODES.items())};
CREATE TABLE answers (id INTEGER PRIMARY KEY, bytes BLOB NOT NULL);
CREATE TABLE signatures (request_time INTEGER PRIMARY KEY, query TEXT NOT NULL);
CREATE VIEW attempts AS
SELECT key >> 20 AS event, {ATTEMPT_COLUMNS} FROM ends JOIN outcomes ON outcomes.code = ends.code & 255;
CREATE VIEW deliveries AS
SELECT events.id, events.time_ms, events.command, events.client_ip, events.platform,
    CAST(events.body AS TEXT) AS packet,
    (SELECT count(*) FROM ends WHERE {OF_EVENT}) AS attempts,
    CASE
        WHEN EXISTS (SELECT 1 FROM ends WHERE {OF_EVENT} AND code & 255 = {_CODES["delivered"]}) THEN 'delivered'
        WHEN EXISTS (SELECT 1 FROM ends WHERE {OF_EVENT} AND code & {FINAL}) THEN 'failed'
        ELSE 'unsent'
    END AS state
FROM events;
"""  # noqa: S608 (our own text)

_LISTENER: Final = """
CREATE TABLE received (
    id INTEGER PRIMARY KEY, run INTEGER NOT NULL, received_us INTEGER NOT NULL, peer TEXT NOT NULL,
    head BLOB NOT NULL, body BLOB NOT NULL,
    natural_key TEXT, command TEXT, room TEXT, type TEXT, problem TEXT, answer INTEGER
);
CREATE TABLE answers (id INTEGER PRIMARY KEY, bytes BLOB NOT NULL);
"""

_TABLES: Final[dict[Kind, str]] = {"sender": _SENDER, "listener": _LISTENER}


def result_code(outcome: str, status: int) -> int:
    """The part of ``ends.code`` for *outcome* and *status* (0: no answer)."""
    return _CODES[outcome] | status << 12


def create(path: Path, kind: Kind) -> sqlite3.Connection:
    """A new journal in the empty file *path*; raises ``ConfigurationError`` if it can't be made."""
    identity = f"PRAGMA application_id = {_FORMAT[0]}; PRAGMA user_version = {_FORMAT[1]};"
    try:
        connection = sqlite3.connect(path, isolation_level=None)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript(f"BEGIN; {identity} {_RUNS} {_TABLES[kind]} {INDEXED} COMMIT;")
    except sqlite3.Error as error:
        raise ConfigurationError(
            f"{path} can't be made a journal: {error}; choose a folder that can be written"
        ) from None
    return connection


def connect(path: Path) -> sqlite3.Connection:
    """Open the journal in *path*; raises ``ConfigurationError`` if there is none, or the file is something else."""
    if path.is_dir():
        raise ConfigurationError(f"{path} is a folder and no journal; name the file, as in {path / 'run.db'}")
    if not path.is_file():
        raise ConfigurationError(f"there is no journal {path}; `roomhook traffic URL --journal {path}` writes one")
    note = path.with_name(f"{path.name}-inflight")
    if note.exists():
        raise ConfigurationError(
            f"{path} was left by an older version that was killed: open it once with that one, or remove {note}"
        )
    connection = sqlite3.connect(path, isolation_level=None, timeout=60)
    problem = "is no journal of this version; give a file that --journal has written"
    try:
        if connection.execute("SELECT * FROM pragma_application_id, pragma_user_version").fetchone() == _FORMAT:
            return connection
    except sqlite3.OperationalError as error:
        problem = f"can't be read: {error}; copy it to a folder that can be written"
    except sqlite3.DatabaseError:
        pass  # another kind of file
    connection.close()
    raise ConfigurationError(f"{path} {problem}")


def locked(descriptor: int, *, exclusive: bool) -> bool:
    """Lock an open journal until it is closed: *exclusive* to write its log, otherwise to keep writers away.

    Returns False if another process holds a lock that excludes it. It is on the file, not on its name.
    """
    how = fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH
    try:
        fcntl.flock(descriptor, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def kind_of(connection: sqlite3.Connection) -> Kind:
    """Whose journal it is."""
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    return "sender" if "events" in tables else "listener"
