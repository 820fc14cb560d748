"""Reading a journal: what became of every event, filters, exports, and the events for a replay."""
# ruff: noqa: S608 (what is put into SQL is our own text; values are bound)

from __future__ import annotations

import base64
import json
import sqlite3
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

from roomhook.simulator.callback_url import CallbackUrl
from roomhook.simulator.events import Event
from roomhook.simulator.inflight import InFlight, is_locked, note_of
from roomhook.simulator.journal import recover
from roomhook.simulator.journal_schema import IN_DOUBT, Kind, connect, kind_of
from roomhook.simulator.target import Target

__all__ = ["STATES", "Filters", "Reader", "reading"]

_FINISHED: Final = "EXISTS (SELECT 1 FROM attempts WHERE event = events.id AND {})"
_DELIVERED: Final = _FINISHED.format("outcome = 'delivered'")
_STATES: Final = {
    "delivered": _DELIVERED,
    "failed": f"NOT {_DELIVERED} AND {_FINISHED.format('final')}",
    "unsent": "NOT " + _FINISHED.format("(final OR outcome = 'delivered')"),
}
STATES: Final = tuple(_STATES)
"""What may have become of an event."""


@dataclass(frozen=True)
class Filters:
    """Which rows are wanted; None and False stand for all. ``room`` and ``member`` look into the packet."""

    state: str | None = None
    outcome: str | None = None
    requirement: str | None = None
    room: str | None = None
    member: str | None = None
    limit: int | None = None


@dataclass(frozen=True)
class Reader:
    """An open journal; ``live`` says that a run is writing it at this moment."""

    path: Path
    connection: sqlite3.Connection
    kind: Kind
    live: bool

    def summary(self) -> dict[str, Any]:
        """Counts that reconcile: scheduled = delivered + failed + unsent, or what a listener received."""
        about = {"journal": str(self.path), "kind": self.kind, "live": self.live, "runs": self.runs()}
        return about | (self._sender_summary() if self.kind == "sender" else self._listener_summary())

    def runs(self) -> list[dict[str, Any]]:
        """The runs that wrote it, the first one first; ``ended_us`` is None for one that died (or is alive)."""
        names = ("id", "kind", "started_us", "ended_us", "url", "sdkappid", "signed", "mode", "options", "version")
        rows = self.connection.execute(f"SELECT {', '.join(names)} FROM runs ORDER BY id")
        return [dict(zip(names, row, strict=True)) for row in rows]

    def rows(self, filters: Filters) -> Iterator[dict[str, Any]]:
        """One JSON object an attempt (or a callback received), with the bytes that travelled."""
        return self._attempts(filters) if self.kind == "sender" else self._received(filters)

    def events(self, filters: Filters) -> Iterator[Event]:
        """The events that match, each once, in the order in which they were scheduled or received."""
        where, values = _where(filters, self.kind)
        limit = "" if filters.limit is None else f" LIMIT {filters.limit:d}"
        if self.kind == "sender":
            sql = f"SELECT time_ms, command, client_ip, platform, body FROM events WHERE {where} ORDER BY id{limit}"
            for row in self.connection.execute(sql, values):
                yield Event(*row)
            return
        sql = f"SELECT received_us, head, body FROM received WHERE {where} ORDER BY id{limit}"
        for received_us, head, body in self.connection.execute(sql, values):
            query = _query_of(head)
            get = query.get
            yield Event(
                received_us // 1000,
                get("CallbackCommand", ""),
                get("ClientIP", ""),
                get("OptPlatform", ""),
                body,
            )

    def _sender_summary(self) -> dict[str, Any]:
        one = self.connection.execute
        (scheduled,) = one("SELECT count(*) FROM events").fetchone()
        delivered, failed, attempts = one(
            "SELECT coalesce(sum(d), 0), coalesce(sum(f AND NOT d), 0), coalesce(sum(n), 0) FROM"
            " (SELECT max(outcome = 'delivered') AS d, max(final) AS f, count(*) AS n FROM attempts GROUP BY event)"
        ).fetchone()
        outcomes = dict(one("SELECT outcome, count(*) FROM attempts GROUP BY outcome ORDER BY count(*) DESC"))
        kinds = dict(one("SELECT kind, count(*) FROM attempts GROUP BY kind"))
        (resent,) = one("SELECT count(*) FROM attempts WHERE resent").fetchone()
        requirements: dict[str, int] = {}
        for ids, count in one(
            "SELECT requirements, count(*) FROM attempts WHERE requirements IS NOT NULL GROUP BY requirements"
        ):
            for requirement in ids.split():
                requirements[requirement] = requirements.get(requirement, 0) + count
        return {
            "scheduled": scheduled,
            "delivered": delivered,
            "failed": failed,
            "unsent": scheduled - delivered - failed,
            "in_doubt": outcomes.get(IN_DOUBT, 0),
            "attempts": attempts,
            "retries": kinds.get("retry", 0),
            "copies": kinds.get("copy", 0),
            "resent": resent,
            "outcomes": outcomes,
            "requirements": dict(sorted(requirements.items(), key=lambda pair: -pair[1])),
        }

    def _listener_summary(self) -> dict[str, Any]:
        one = self.connection.execute
        received, distinct, refused = one(
            "SELECT count(*), count(DISTINCT natural_key), count(problem) FROM received"
        ).fetchone()
        by_type = dict(one("SELECT coalesce(type, ''), count(*) FROM received GROUP BY type ORDER BY count(*) DESC"))
        return {
            "received": received,
            "distinct": distinct,
            "duplicates": received - refused - distinct if received - refused >= distinct else 0,
            "invalid": refused,
            "types": by_type,
        }

    def _attempts(self, filters: Filters) -> Iterator[dict[str, Any]]:
        where, values = _where(filters, "sender")
        extra, more = _attempt_conditions(filters)
        limit = "" if filters.limit is None else f" LIMIT {filters.limit:d}"
        sql = (
            "SELECT events.id, time_ms, command, client_ip, platform, body, number, attempts.run, kind, intended_us,"
            " sent_us, done_us, request_time, outcome, status, final, resent, requirements, note,"
            " (SELECT bytes FROM answers WHERE answers.id = attempts.answer),"
            " (SELECT query FROM signatures WHERE signatures.request_time = attempts.request_time)"
            f" FROM events LEFT JOIN attempts ON attempts.event = events.id WHERE {where}{extra}"
            f" ORDER BY events.id, number{limit}"
        )
        targets = self._targets()
        for row in self.connection.execute(sql, (*values, *more)):
            event = Event(*row[1:6])
            found: dict[str, Any] = {"event": row[0], "time": event.time_ms, "attempt": row[6]}
            if row[6] is None:
                yield found | {"state": "unsent", **_bytes("body", event.body)}
                continue
            target = targets[row[7]]
            yield found | {
                "run": row[7],
                "kind": row[8],
                "intended_us": row[9],
                "sent_us": row[10],
                "done_us": row[11],
                "outcome": row[13],
                "status": row[14],
                "final": bool(row[15]),
                "resent": bool(row[16]),
                "requirements": (row[17] or "").split(),
                "note": row[18] or "",
                **_bytes("request", target.request_with(event, row[20] or "")),
                **_bytes("answer", row[19] or b""),
            }

    def _received(self, filters: Filters) -> Iterator[dict[str, Any]]:
        where, values = _where(filters, "listener")
        limit = "" if filters.limit is None else f" LIMIT {filters.limit:d}"
        sql = (
            "SELECT id, run, received_us, peer, head, body, natural_key, command, room, type, problem,"
            " (SELECT bytes FROM answers WHERE answers.id = received.answer)"
            f" FROM received WHERE {where} ORDER BY id{limit}"
        )
        for row in self.connection.execute(sql, values):
            yield {
                "id": row[0],
                "run": row[1],
                "received_us": row[2],
                "peer": row[3],
                "command": row[7],
                "room": row[8],
                "type": row[9],
                "natural_key": row[6],
                "problem": row[10],
                **_bytes("request", row[4] + row[5]),
                **_bytes("answer", row[11] or b""),
            }

    def _targets(self) -> dict[int, Target]:
        found: dict[int, Target] = {}
        for run, url, sdkappid, headers in self.connection.execute("SELECT id, url, sdkappid, headers FROM runs"):
            found[run] = Target(CallbackUrl.parse(url), sdkappid, headers=tuple(json.loads(headers).items()))
        return found


@contextmanager
def reading(path: Path) -> Generator[Reader]:
    """Open the journal in *path*, bringing in what a run that died had noted; raises ``ConfigurationError``."""
    connection = connect(path)
    try:
        live = is_locked(path)
        if not live and note_of(path).exists():
            note = InFlight.lock(path)
            recover(connection, note)
            note.close(clean=True)
        yield Reader(path, connection, kind_of(connection), live)
    finally:
        connection.close()


def _where(filters: Filters, kind: Kind) -> tuple[str, list[str]]:
    """The SQL condition on events (or on what was received), and its values."""
    conditions = ["1"]
    values: list[str] = []
    if kind == "sender":
        conditions += [_STATES[filters.state]] if filters.state else []
        extra, values = _attempt_conditions(filters)
        if extra:
            conditions.append(f"EXISTS (SELECT 1 FROM attempts WHERE event = events.id{extra})")
    elif filters.state or filters.outcome or filters.requirement:
        conditions.append("problem IS NOT NULL" if filters.state == "failed" else "problem IS NULL")
    packet = "CASE WHEN json_valid(CAST(body AS TEXT)) THEN CAST(body AS TEXT) END"
    if filters.room is not None:
        conditions.append(f"json_extract({packet}, '$.RoomId') = ?")
        values.append(filters.room)
    if filters.member is not None:
        conditions.append(f"EXISTS (SELECT 1 FROM json_each({packet}, '$.MemberList_Account') WHERE value = ?)")
        values.append(filters.member)
    return " AND ".join(conditions), values


def _attempt_conditions(filters: Filters) -> tuple[str, list[str]]:
    extra = ""
    values: list[str] = []
    if filters.outcome is not None:
        extra += " AND outcome = ?"
        values.append(filters.outcome)
    if filters.requirement is not None:
        extra += " AND ' ' || requirements || ' ' LIKE ?"
        values.append(f"% {filters.requirement} %")
    return extra, values


def _bytes(name: str, data: bytes) -> dict[str, str]:
    """*data* as JSON can hold it: as text where it is text, else as base64 under ``<name>_base64``."""
    try:
        return {name: data.decode()}
    except UnicodeDecodeError:
        return {f"{name}_base64": base64.b64encode(data).decode()}


def _query_of(head: bytes) -> dict[str, str]:
    """The URL parameters in the head of a request."""
    target = head.split(b" ", 2)[1].decode("latin-1") if head.count(b" ") > 1 else ""
    return dict(parse_qsl(urlsplit(target).query, keep_blank_values=True))
