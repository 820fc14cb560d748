"""Reads a journal: the state of every event, filters, exports, and the events for a replay."""
# ruff: noqa: S608 (what is put into SQL is our own text; values are bound)

from __future__ import annotations

import base64
import json
import sqlite3
from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl

from roomhook.errors import ConfigurationError
from roomhook.simulator.journal.index import Progress, bring_up_to_date
from roomhook.simulator.journal.schema import (
    IN_DOUBT,
    IS_DELIVERED,
    IS_FINAL,
    NUMBER_BITS,
    OF_EVENT,
    SCHEDULED,
    EndCode,
    Kind,
    connect,
    kind_of,
)
from roomhook.simulator.protocol.callback_event import with_type
from roomhook.simulator.protocol.callback_url import CallbackUrl
from roomhook.simulator.transport.recorded import RecordedEvent, as_recorded, recorded_query
from roomhook.simulator.transport.target import Target

__all__ = ["STATES", "Filters", "Reader", "added_up", "reading"]

_ENDED: Final = f"EXISTS (SELECT 1 FROM ends WHERE {OF_EVENT} AND {{}})"
_DELIVERED: Final = _ENDED.format(IS_DELIVERED)
_STATES: Final = {
    "delivered": _DELIVERED,
    "failed": f"NOT {_DELIVERED} AND {_ENDED.format(IS_FINAL)}",
    "unsent": "NOT " + _ENDED.format(f"({IS_FINAL} OR {IS_DELIVERED})"),
}
_RECEIVED_STATES: Final = {"delivered": "problem IS NULL", "failed": "problem IS NOT NULL", "unsent": "0"}
STATES: Final = tuple(_STATES)
"""The states of an event."""


@dataclass(frozen=True)
class Filters:
    """Selects rows; None and False select all. ``room`` and ``member`` search the packet."""

    state: str | None = None
    outcome: str | None = None
    requirement: str | None = None
    room: str | None = None
    member: str | None = None
    limit: int | None = None


@dataclass(frozen=True)
class Reader:
    """An open journal; ``live`` says that a run is writing it now."""

    path: Path
    connection: sqlite3.Connection
    kind: Kind
    live: bool

    def summary(self) -> dict[str, Any]:
        """Counts that add up: scheduled = delivered + failed + unsent, or what a listener received."""
        about = {"journal": str(self.path), "kind": self.kind, "live": self.live, "runs": self.runs()}
        return about | (self._sender_summary() if self.kind == "sender" else self._listener_summary())

    def runs(self) -> list[dict[str, Any]]:
        """The runs that wrote it, in order; ``ended_us`` is None for one that was killed or is running."""
        names = ("id", "kind", "started_us", "ended_us", "url", "sdkappid", "signed", "mode", "options", "version")
        rows = self.connection.execute(f"SELECT {', '.join(names)} FROM runs ORDER BY id")
        found = [dict(zip(names, row, strict=True)) for row in rows]
        return [one | {"options": json.loads(one["options"])} for one in found]

    def rows(self, filters: Filters) -> Iterator[dict[str, Any]]:
        """One JSON object for each attempt (or received callback), with the bytes as they travelled."""
        return self._attempts(filters) if self.kind == "sender" else self._received(filters)

    def events(self, filters: Filters) -> Iterator[RecordedEvent]:
        """The matching events, each once and in order, with the time at which they were (first) sent or received."""
        where, values = _where(filters, self.kind)
        limit = "" if filters.limit is None else f" LIMIT {filters.limit:d}"
        if self.kind == "listener":
            sql = f"SELECT received_us, head, body FROM received WHERE {where} ORDER BY id{limit}"
            for received_us, head, body in self.connection.execute(sql, values):
                yield _from_request(received_us // 1000, head, body)
            return
        sql = (
            "SELECT intended_us, time_ms, command, client_ip, platform, body, events.query, ends.run,"
            f" signatures.query FROM events LEFT JOIN ends ON ends.key = (events.id << {NUMBER_BITS} | 1)"
            f" LEFT JOIN signatures USING (request_time) WHERE {where} ORDER BY id{limit}"
        )
        targets = self._targets()
        time_ms: int | None = None
        for intended_us, own_ms, *fields, query, run, signature in self.connection.execute(sql, values):
            if intended_us is not None:
                time_ms = intended_us // 1000
            event = with_type(own_ms if time_ms is None else time_ms, *fields)
            follows = "" if query is not None or run is None else targets[run].query_with(event, signature or "")
            yield as_recorded(event, query or follows)

    def _sender_summary(self) -> dict[str, Any]:
        one = self.connection.execute
        (scheduled,) = one(f"SELECT {SCHEDULED}").fetchone()
        delivered, failed, attempts = one(
            "SELECT coalesce(sum(d), 0), coalesce(sum(f AND NOT d), 0), coalesce(sum(n), 0) FROM"
            f" (SELECT max({IS_DELIVERED}) AS d, max({IS_FINAL}) > 0 AS f, count(*) AS n FROM ends"
            f" GROUP BY key >> {NUMBER_BITS})"
        ).fetchone()
        outcomes = dict(one("SELECT outcome, count(*) FROM attempts GROUP BY outcome ORDER BY count(*) DESC"))
        kinds = dict(one("SELECT kind, count(*) FROM attempts GROUP BY kind"))
        (resent,) = one("SELECT count(*) FROM attempts WHERE resent").fetchone()
        requirements: dict[str, int] = {}
        for ids, count in one(
            "SELECT requirements, count(*) FROM ends WHERE requirements IS NOT NULL GROUP BY requirements"
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
            "lost_bytes": self._lost_bytes(),
            "outcomes": outcomes,
            "requirements": dict(sorted(requirements.items(), key=lambda pair: -pair[1])),
        }

    def _listener_summary(self) -> dict[str, Any]:
        one = self.connection.execute
        received, distinct, refused = one(
            "SELECT count(*), count(DISTINCT natural_key), count(problem) FROM received"
        ).fetchone()
        by_type = dict(
            one(
                "SELECT coalesce(nullif(type, ''), '?') AS said, count(*) FROM received"
                " GROUP BY said ORDER BY count(*) DESC"
            )
        )
        return {
            "received": received,
            "distinct": distinct,
            "duplicates": received - refused - distinct if received - refused >= distinct else 0,
            "invalid": refused,
            "lost_bytes": self._lost_bytes(),
            "types": by_type,
        }

    def _lost_bytes(self) -> int:
        """How much of the log was damaged; a journal of an older version had none."""
        with suppress(sqlite3.OperationalError):
            return int(self.connection.execute("SELECT lost_bytes FROM indexed").fetchone()[0])
        return 0

    def _attempts(self, filters: Filters) -> Iterator[dict[str, Any]]:
        where, values = _where(filters, "sender")
        extra, more = _attempt_conditions(filters)
        limit = "" if filters.limit is None else f" LIMIT {filters.limit:d}"
        sql = (
            "SELECT events.id, time_ms, command, client_ip, platform, body, events.query, ends.key, ends.run,"
            " intended_us, sent_us, done_us, ends.code, requirements, note,"
            " (SELECT bytes FROM answers WHERE answers.id = ends.answer),"
            " (SELECT query FROM signatures WHERE signatures.request_time = ends.request_time)"
            f" FROM events LEFT JOIN ends ON {OF_EVENT} WHERE {where}{extra} ORDER BY events.id, ends.key{limit}"
        )
        targets = self._targets()
        for row in self.connection.execute(sql, (*values, *more)):
            event, query, key, run = with_type(*row[1:6]), row[6], row[7], row[8]
            found: dict[str, Any] = {"event": row[0], "time": event.time_ms}
            if key is None:
                yield found | {"attempt": None, "state": "unsent", **_bytes("body", event.body)}
                continue
            intended_us, sent_us, done_us, code, requirements, note, answer, signature = row[9:]
            target = targets[run]
            if query is None:
                query = target.query_with(event, signature or "")
            yield found | {
                "attempt": key & ((1 << NUMBER_BITS) - 1),
                "run": run,
                "intended_us": intended_us,
                "sent_us": sent_us,
                "done_us": done_us,
                **EndCode.unpacked(code).to_dict(),
                "requirements": (requirements or "").split(),
                "note": note or "",
                **_bytes("request", target.request_of(query, event.body)),
                **_bytes("answer", answer or b""),
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


def added_up(summaries: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The sum of *summaries* of journals of one kind; raises ``ConfigurationError`` if their kinds differ."""
    if len({one["kind"] for one in summaries}) > 1:
        raise ConfigurationError("a sender's and a listener's journal can't be added up; give them one at a time")
    total: dict[str, Any] = {
        "journal": ", ".join(one["journal"] for one in summaries),
        "kind": summaries[0]["kind"],
        "live": any(one["live"] for one in summaries),
        "runs": [run for one in summaries for run in one["runs"]],
    }
    for name, value in summaries[0].items():
        if name in total:
            continue
        if isinstance(value, dict):
            sums: Counter[str] = Counter()
            for one in summaries:
                sums.update(one[name])
            total[name] = dict(sums.most_common())
        else:
            total[name] = sum(one[name] for one in summaries)
    return total


@contextmanager
def reading(path: Path, show: Progress | None = None) -> Generator[Reader]:
    """Open the journal in *path* with its whole log indexed; *show* is called with the progress.

    Raises ``ConfigurationError``.
    """
    connect(path).close()
    try:
        live = bring_up_to_date(path, show)
    except (sqlite3.Error, OSError) as error:
        raise ConfigurationError(f"{path} can't be brought up to date: {error}; make room, or copy it first") from None
    connection = connect(path)
    try:
        yield Reader(path, connection, kind_of(connection), live)
    finally:
        connection.close()


def _where(filters: Filters, kind: Kind) -> tuple[str, list[str]]:
    """The SQL condition on events (or on received callbacks), and its values."""
    conditions = ["1"]
    values: list[str] = []
    if kind == "sender":
        conditions += [_STATES[filters.state]] if filters.state else []
        extra, values = _attempt_conditions(filters)
        if extra:
            conditions.append(f"EXISTS (SELECT 1 FROM ends WHERE {OF_EVENT}{extra})")
    else:
        conditions += [_RECEIVED_STATES[filters.state]] if filters.state else []
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
        extra += " AND ends.code & 255 = (SELECT code FROM outcomes WHERE name = ?)"
        values.append(filters.outcome)
    if filters.requirement is not None:
        extra += " AND instr(' ' || requirements || ' ', ?)"
        values.append(f" {filters.requirement} ")
    return extra, values


def _bytes(name: str, data: bytes) -> dict[str, str]:
    """*data* for JSON: as text if it is UTF-8, else as base64 under ``<name>_base64``."""
    try:
        return {name: data.decode()}
    except UnicodeDecodeError:
        return {f"{name}_base64": base64.b64encode(data).decode()}


def _from_request(time_ms: int, head: bytes, body: bytes) -> RecordedEvent:
    """The event in a request as it arrived."""
    target = head.split(b" ", 2)[1] if head.count(b" ") > 1 else b""
    query = recorded_query(target)
    get = dict(parse_qsl(query, keep_blank_values=True)).get
    event = with_type(time_ms, get("CallbackCommand", ""), get("ClientIP", ""), get("OptPlatform", ""), body)
    return as_recorded(event, query)
