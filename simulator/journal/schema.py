"""The tables of a journal, and opening one: a SQLite file in WAL mode for any SQL tool."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, Self

from roomhook.errors import ConfigurationError
from roomhook.simulator.protocol.outcomes import DeliveryOutcome

__all__ = [
    "FINAL",
    "IN_DOUBT",
    "IS_DELIVERED",
    "IS_FINAL",
    "KINDS",
    "KIND_SHIFT",
    "NUMBER_BITS",
    "OF_EVENT",
    "OUTCOMES",
    "RESENT",
    "SCHEDULED",
    "EndCode",
    "Kind",
    "connect",
    "connect_to_write",
    "create",
    "kind_of",
    "refuse_folder",
]

Kind = Literal["sender", "listener"]

IN_DOUBT: Final = "in-doubt"
"""The outcome of an attempt without a recorded end: the target may have received it or not."""

KINDS: Final = ("first", "retry", "copy")
OUTCOMES: Final = (IN_DOUBT, *DeliveryOutcome)
"""Outcomes by their code. Codes never change, because journals are kept longer than programs."""

FINAL: Final = 1 << 8
KIND_SHIFT: Final = 9
RESENT: Final = 1 << 11
_STATUS_SHIFT: Final = 12
_CODES: Final = {str(outcome): code for code, outcome in enumerate(OUTCOMES)}

NUMBER_BITS: Final = 20
OF_EVENT: Final = "ends.key BETWEEN events.id << 20 AND events.id << 20 | 1048575"
"""The SQL condition that an end belongs to an event, in the form that uses the index."""

SCHEDULED: Final = "max((SELECT ifnull(max(id), 0) FROM events), (SELECT ifnull(max(key), 0) >> 20 FROM ends))"
"""The SQL expression for how many events there are; a damaged log may have lost the rows of some."""

IS_DELIVERED: Final = f"ends.code & 255 = {OUTCOMES.index(DeliveryOutcome.DELIVERED)}"
IS_FINAL: Final = "ends.code & 256"

_APPLICATION_ID: Final = 0x526D686B
_VERSION: Final = 1

_RUNS: Final = """
CREATE TABLE runs (
    id INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    started_us INTEGER NOT NULL,
    ended_us INTEGER,
    url TEXT NOT NULL,
    sdkappid TEXT NOT NULL,
    signed INTEGER NOT NULL,
    headers TEXT NOT NULL,
    mode TEXT NOT NULL,
    options TEXT NOT NULL,
    version TEXT NOT NULL
);
"""

_INDEXED: Final = """
CREATE TABLE IF NOT EXISTS indexed (
    segment INTEGER NOT NULL,
    offset INTEGER NOT NULL,
    lost_bytes INTEGER NOT NULL
);
INSERT INTO indexed SELECT 1, 0, 0 WHERE NOT EXISTS (SELECT 1 FROM indexed);
"""
"""How far the log is in the tables, and how much of it was damaged; journals of older versions have no such table."""

_SENDER: Final = f"""
CREATE TABLE events (
    id INTEGER PRIMARY KEY,
    time_ms INTEGER NOT NULL,
    command TEXT NOT NULL,
    client_ip TEXT NOT NULL,
    platform TEXT NOT NULL,
    body BLOB NOT NULL,
    query TEXT
);
CREATE TABLE ends (
    key INTEGER PRIMARY KEY,
    run INTEGER,
    intended_us INTEGER,
    sent_us INTEGER,
    done_us INTEGER,
    request_time INTEGER,
    code INTEGER,
    answer INTEGER,
    requirements TEXT,
    note TEXT
);
CREATE TABLE outcomes (code INTEGER PRIMARY KEY, name TEXT NOT NULL);
CREATE TABLE answers (id INTEGER PRIMARY KEY, bytes BLOB NOT NULL);
CREATE TABLE signatures (request_time INTEGER PRIMARY KEY, query TEXT NOT NULL);
CREATE VIEW attempts AS
SELECT key >> 20 AS event, key & 1048575 AS number, run,
    CASE ends.code >> 9 & 3 WHEN 0 THEN 'first' WHEN 1 THEN 'retry' ELSE 'copy' END AS kind,
    intended_us, sent_us, done_us, request_time, outcomes.name AS outcome, nullif(ends.code >> 12, 0) AS status,
    ends.code >> 8 & 1 AS final, ends.code >> 11 & 1 AS resent, requirements, answer, note
FROM ends JOIN outcomes ON outcomes.code = ends.code & 255;
CREATE VIEW deliveries AS
SELECT events.id, events.time_ms, events.command, events.client_ip, events.platform,
    CAST(events.body AS TEXT) AS packet,
    (SELECT count(*) FROM ends WHERE {OF_EVENT}) AS attempts,
    CASE
        WHEN EXISTS (SELECT 1 FROM ends WHERE {OF_EVENT} AND {IS_DELIVERED}) THEN 'delivered'
        WHEN EXISTS (SELECT 1 FROM ends WHERE {OF_EVENT} AND {IS_FINAL}) THEN 'failed'
        ELSE 'unsent'
    END AS state
FROM events;
"""  # noqa: S608 (our own text)

_LISTENER: Final = """
CREATE TABLE received (
    id INTEGER PRIMARY KEY,
    run INTEGER NOT NULL,
    received_us INTEGER NOT NULL,
    peer TEXT NOT NULL,
    head BLOB NOT NULL,
    body BLOB NOT NULL,
    natural_key TEXT,
    command TEXT,
    room TEXT,
    type TEXT,
    problem TEXT,
    answer INTEGER
);
CREATE TABLE answers (id INTEGER PRIMARY KEY, bytes BLOB NOT NULL);
"""

_TABLES: Final[dict[Kind, str]] = {"sender": _RUNS + _SENDER, "listener": _RUNS + _LISTENER}


class EndCode(NamedTuple):
    """An end taken apart; ``final``: no further attempt follows, ``status`` is 0 without an answer."""

    outcome: str
    status: int = 0
    kind: str = "first"
    final: bool = False
    resent: bool = False

    @property
    def packed(self) -> int:
        """The code as an integer: outcome in bits 0–7, final 8, kind 9–10, resent 11, status from 12 on."""
        flags = FINAL * self.final | RESENT * self.resent
        return _CODES[self.outcome] | flags | KINDS.index(self.kind) << KIND_SHIFT | self.status << _STATUS_SHIFT

    @classmethod
    def unpacked(cls, code: int) -> Self:
        """The inverse of ``packed``."""
        outcome, kind = str(OUTCOMES[code & 255]), KINDS[code >> KIND_SHIFT & 3]
        return cls(outcome, code >> _STATUS_SHIFT, kind, bool(code & FINAL), bool(code & RESENT))

    def to_dict(self) -> dict[str, Any]:
        """As rows show it; ``status`` is None without an answer."""
        return {**self._asdict(), "status": self.status or None}


def create(path: Path, kind: Kind) -> sqlite3.Connection:
    """A new journal in *path*, which must be empty; raises ``ConfigurationError`` if it can't be made."""
    connection: sqlite3.Connection | None = None
    try:
        connection = sqlite3.connect(path, isolation_level=None)
        connection.execute("PRAGMA journal_mode = WAL")
        identity = f"PRAGMA application_id = {_APPLICATION_ID}; PRAGMA user_version = {_VERSION};"
        connection.executescript(f"BEGIN; {identity} {_TABLES[kind]} {_INDEXED} COMMIT;")
        if kind == "sender":
            connection.executemany("INSERT INTO outcomes VALUES (?,?)", enumerate(OUTCOMES))
    except sqlite3.Error as error:
        if connection is not None:
            connection.close()
        raise ConfigurationError(
            f"{path} can't be made a journal: {error}; choose a folder that can be written"
        ) from None
    return connection


def connect_to_write(path: Path) -> sqlite3.Connection:
    """As ``connect``, for writing the tables; readers are not blocked."""
    connection = connect(path)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")  # the log is deleted after each commit
    connection.execute("PRAGMA cache_size = -32768")  # KiB
    connection.executescript(_INDEXED)
    return connection


def connect(path: Path) -> sqlite3.Connection:
    """Open the journal in *path*; raises ``ConfigurationError`` if there is none, or the file is something else."""
    refuse_folder(path)
    if not path.is_file():
        raise ConfigurationError(f"there is no journal {path}; `roomhook traffic URL --journal {path}` writes one")
    note = path.with_name(f"{path.name}-inflight")
    if note.exists():
        raise ConfigurationError(
            f"{path} was left by an older version that was killed: open it once with that one, or remove {note}"
        )
    connection = sqlite3.connect(path, isolation_level=None, timeout=60)
    try:
        found = connection.execute("PRAGMA application_id").fetchone()[0]
        version = connection.execute("PRAGMA user_version").fetchone()[0]
    except sqlite3.OperationalError as error:
        connection.close()
        raise ConfigurationError(f"{path} can't be read: {error}; copy it to a folder that can be written") from None
    except sqlite3.Error as error:
        found, version = str(error), None
    if (found, version) != (_APPLICATION_ID, _VERSION):
        connection.close()
        what = f"has format {version}, not {_VERSION}" if found == _APPLICATION_ID else "is no journal of Roomhook"
        raise ConfigurationError(f"{path} {what}; give a file that --journal has written")
    return connection


def refuse_folder(path: Path) -> None:
    """Raise ``ConfigurationError`` if *path* is a folder, before any file is created beside it."""
    if path.is_dir():
        raise ConfigurationError(f"{path} is a folder and no journal; name the file, as in {path / 'run.db'}")


def kind_of(connection: sqlite3.Connection) -> Kind:
    """Whose journal it is."""
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    return "sender" if "events" in tables else "listener"
