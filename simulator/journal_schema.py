"""The tables of a journal, and opening one: a SQLite file in WAL mode that anybody can query."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Final, Literal

from roomhook.schemas.errors import ConfigurationError

__all__ = ["IN_DOUBT", "Kind", "connect", "create", "kind_of"]

Kind = Literal["sender", "listener"]

IN_DOUBT: Final = "in-doubt"
"""The outcome of an attempt that was in flight when its sender died: the target may or may not have got it."""

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

_SENDER: Final = """
CREATE TABLE events (
    id INTEGER PRIMARY KEY,
    time_ms INTEGER NOT NULL,
    command TEXT NOT NULL,
    client_ip TEXT NOT NULL,
    platform TEXT NOT NULL,
    body BLOB NOT NULL,
    query TEXT
);
CREATE TABLE attempts (
    event INTEGER NOT NULL,
    number INTEGER NOT NULL,
    run INTEGER NOT NULL,
    kind TEXT NOT NULL,
    intended_us INTEGER NOT NULL,
    sent_us INTEGER,
    done_us INTEGER,
    request_time INTEGER,
    outcome TEXT NOT NULL,
    status INTEGER,
    final INTEGER NOT NULL,
    resent INTEGER NOT NULL,
    requirements TEXT,
    answer INTEGER,
    note TEXT,
    PRIMARY KEY (event, number)
) WITHOUT ROWID;
CREATE TABLE answers (id INTEGER PRIMARY KEY, bytes BLOB NOT NULL);
CREATE TABLE signatures (request_time INTEGER PRIMARY KEY, query TEXT NOT NULL);
CREATE VIEW deliveries AS
SELECT events.id, events.time_ms, events.command, events.client_ip, events.platform,
    CAST(events.body AS TEXT) AS packet,
    (SELECT count(*) FROM attempts WHERE event = events.id) AS attempts,
    CASE
        WHEN EXISTS (SELECT 1 FROM attempts WHERE event = events.id AND outcome = 'delivered') THEN 'delivered'
        WHEN EXISTS (SELECT 1 FROM attempts WHERE event = events.id AND final) THEN 'failed'
        ELSE 'unsent'
    END AS state
FROM events;
"""

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


def create(path: Path, kind: Kind) -> sqlite3.Connection:
    """A new journal in *path*, which must not exist; raises ``ConfigurationError`` if it can't be made."""
    try:
        connection = sqlite3.connect(path, isolation_level=None)
        connection.execute("PRAGMA journal_mode = WAL")
        identity = f"PRAGMA application_id = {_APPLICATION_ID}; PRAGMA user_version = {_VERSION};"
        connection.executescript(f"BEGIN; {identity} {_TABLES[kind]} COMMIT;")
    except sqlite3.Error as error:
        raise ConfigurationError(
            f"{path} can't be made a journal: {error}; choose a folder that can be written"
        ) from None
    return connection


def connect(path: Path) -> sqlite3.Connection:
    """Open the journal in *path*; raises ``ConfigurationError`` if there is none or it is something else."""
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


def kind_of(connection: sqlite3.Connection) -> Kind:
    """Whose journal it is."""
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    return "sender" if "events" in tables else "listener"
