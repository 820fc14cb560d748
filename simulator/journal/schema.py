"""The tables of a journal, and opening one: a SQLite file in WAL mode that anybody can query."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any, Final, Literal

from roomhook.errors import ConfigurationError
from roomhook.simulator.protocol.outcomes import DeliveryOutcome

__all__ = [
    "DELIVERED",
    "FINAL",
    "IN_DOUBT",
    "KINDS",
    "NUMBER_BITS",
    "OF_EVENT",
    "OUTCOMES",
    "Kind",
    "connect",
    "create",
    "decoded",
    "end_code",
    "kind_of",
    "refuse_folder",
]

Kind = Literal["sender", "listener"]

IN_DOUBT: Final = "in-doubt"
"""The outcome of an attempt that was in flight when its sender died: the target may or may not have got it."""

KINDS: Final = ("first", "retry", "copy")
OUTCOMES: Final = (IN_DOUBT, *DeliveryOutcome)
"""Each by its code, which never changes: a journal outlives the program that wrote it."""

NUMBER_BITS: Final = 20
OF_EVENT: Final = "ends.key BETWEEN events.id << 20 AND events.id << 20 | 1048575"
"""The SQL condition that an end belongs to an event, in the form that uses the index."""

DELIVERED: Final = f"ends.code & 255 = {OUTCOMES.index(DeliveryOutcome.DELIVERED)}"
FINAL: Final = "ends.code & 256"

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
        WHEN EXISTS (SELECT 1 FROM ends WHERE {OF_EVENT} AND {DELIVERED}) THEN 'delivered'
        WHEN EXISTS (SELECT 1 FROM ends WHERE {OF_EVENT} AND {FINAL}) THEN 'failed'
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


def end_code(outcome: str, kind: str, status: int, *, final: bool, resent: bool) -> int:
    """How an attempt ended, in one number, which is not 0."""
    return OUTCOMES.index(outcome) | final << 8 | KINDS.index(kind) << 9 | resent << 11 | status << 12


def decoded(code: int) -> dict[str, Any]:
    """What ``end_code`` has put into one number."""
    return {
        "kind": KINDS[code >> 9 & 3],
        "outcome": str(OUTCOMES[code & 255]),
        "status": code >> 12 or None,
        "final": bool(code >> 8 & 1),
        "resent": bool(code >> 11 & 1),
    }


def create(path: Path, kind: Kind) -> sqlite3.Connection:
    """A new journal in *path*, which must not exist; raises ``ConfigurationError`` if it can't be made."""
    try:
        connection = sqlite3.connect(path, isolation_level=None)
        connection.execute("PRAGMA journal_mode = WAL")
        identity = f"PRAGMA application_id = {_APPLICATION_ID}; PRAGMA user_version = {_VERSION};"
        connection.executescript(f"BEGIN; {identity} {_TABLES[kind]} COMMIT;")
        if kind == "sender":
            connection.executemany("INSERT INTO outcomes VALUES (?,?)", enumerate(OUTCOMES))
    except sqlite3.Error as error:
        raise ConfigurationError(
            f"{path} can't be made a journal: {error}; choose a folder that can be written"
        ) from None
    return connection


def connect(path: Path) -> sqlite3.Connection:
    """Open the journal in *path*; raises ``ConfigurationError`` if there is none or it is something else."""
    refuse_folder(path)
    if not path.is_file():
        raise ConfigurationError(f"there is no journal {path}; `roomhook traffic URL --journal {path}` writes one")
    connection = sqlite3.connect(path, isolation_level=None, timeout=10)
    try:
        found = connection.execute("PRAGMA application_id").fetchone()[0]
        version = connection.execute("PRAGMA user_version").fetchone()[0]
    except sqlite3.Error as error:
        found, version = str(error), None
    if (found, version) != (_APPLICATION_ID, _VERSION):
        connection.close()
        what = f"has format {version}, not {_VERSION}" if found == _APPLICATION_ID else "is no journal of Roomhook"
        raise ConfigurationError(f"{path} {what}; give a file that --journal has written")
    return connection


def refuse_folder(path: Path) -> None:
    """Raise ``ConfigurationError`` if *path* is a folder, before anything is made beside it."""
    if path.is_dir():
        raise ConfigurationError(f"{path} is a folder and no journal; name the file, as in {path / 'run.db'}")


def kind_of(connection: sqlite3.Connection) -> Kind:
    """Whose journal it is."""
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    return "sender" if "events" in tables else "listener"
