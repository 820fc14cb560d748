"""Reads a journal: the state of every event, filters, exports, and the events for a replay."""
# ruff: noqa: S608 (what is put into SQL is our own text; values are bound)

from __future__ import annotations

import base64
import json
import sqlite3
from collections import Counter
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from msgspec import structs

from roomhook.simulator.journal.index import Progress, bring_up_to_date
from roomhook.simulator.journal.schema import ATTEMPT_COLUMNS, NUMBER_BITS, OF_EVENT, SCHEDULED, Kind, connect, kind_of
from roomhook.simulator.protocol.callback_event import CallbackEvent, with_type
from roomhook.simulator.protocol.callback_url import CallbackUrl
from roomhook.simulator.transport.recorded import from_request
from roomhook.simulator.transport.target import Target

__all__ = ["STATES", "Filters", "Reader", "reading"]

_Row = dict[str, Any]

STATES: Final = ("delivered", "failed", "unsent")
"""The states of an event."""

_PACKET: Final = "CASE WHEN json_valid(CAST(body AS TEXT)) THEN CAST(body AS TEXT) END"
_PACKET_MATCHES: Final = f"""
    (:room IS NULL OR json_extract({_PACKET}, '$.RoomId') = :room) AND (:member IS NULL OR EXISTS
        (SELECT 1 FROM json_each({_PACKET}, '$.MemberList_Account') WHERE value = :member))
"""
_ATTEMPT_MATCHES: Final = """
    (:outcome IS NULL OR ends.code & 255 = (SELECT code FROM outcomes WHERE name = :outcome))
    AND (:requirement IS NULL OR instr(' ' || requirements || ' ', ' ' || :requirement || ' '))
"""
_SENT: Final = f"""
SELECT events.id AS event, time_ms, command, client_ip, platform, body, query, {{columns}},
    (SELECT query FROM signatures WHERE signatures.request_time = ends.request_time) AS signature
FROM events LEFT JOIN ends ON {{joined}} LEFT JOIN outcomes ON outcomes.code = ends.code & 255
WHERE (:state IS NULL OR :state = (SELECT state FROM deliveries WHERE deliveries.id = events.id))
    AND {_PACKET_MATCHES} AND {{matches}}
ORDER BY events.id, ends.key LIMIT ifnull(:limit, -1)
"""
_ATTEMPTS: Final = _SENT.format(
    columns=f"{ATTEMPT_COLUMNS}, (SELECT bytes FROM answers WHERE answers.id = ends.answer) AS received",
    joined=OF_EVENT,
    matches=_ATTEMPT_MATCHES,
)
_EVENTS: Final = _SENT.format(
    columns="run, intended_us",
    joined=f"ends.key = (events.id << {NUMBER_BITS} | 1)",
    matches=f"""(coalesce(:outcome, :requirement) IS NULL
        OR EXISTS (SELECT 1 FROM ends WHERE {OF_EVENT} AND {_ATTEMPT_MATCHES}))""",
)
_RECEIVED: Final = f"""
SELECT id, run, received_us, peer, command, room, type, natural_key, problem, head, body,
    (SELECT bytes FROM answers WHERE answers.id = received.answer) AS answer
FROM received
WHERE (:state IS NULL OR :state = CASE WHEN problem IS NULL THEN 'delivered' ELSE 'failed' END) AND {_PACKET_MATCHES}
ORDER BY id LIMIT ifnull(:limit, -1)
"""
_EVENT_STATES: Final = """
SELECT count(*) FILTER (WHERE delivered) AS delivered, count(*) FILTER (WHERE final AND NOT delivered) AS failed
FROM (SELECT max(outcome = 'delivered') AS delivered, max(final) AS final FROM attempts GROUP BY event)
"""
_ATTEMPT_COUNTS: Final = """
SELECT count(*) FILTER (WHERE outcome = 'in-doubt') AS in_doubt, count(*) AS attempts,
    count(*) FILTER (WHERE kind = 'retry') AS retries, count(*) FILTER (WHERE kind = 'copy') AS copies,
    count(*) FILTER (WHERE resent) AS resent
FROM attempts
"""


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
        columns = "id, kind, started_us, ended_us, url, sdkappid, signed, mode, options, version"
        rows = self._select(f"SELECT {columns} FROM runs ORDER BY id")
        return [{**row, "options": json.loads(row["options"])} for row in rows]

    def rows(self, filters: Filters) -> Iterator[dict[str, Any]]:
        """One JSON object for each attempt (or received callback), with the bytes as they travelled."""
        return self._attempts(filters) if self.kind == "sender" else self._received(filters)

    def events(self, filters: Filters) -> Iterator[CallbackEvent]:
        """The matching events, each once and in order, with the time at which they were (first) sent or received."""
        return self._sent_events(filters) if self.kind == "sender" else self._received_events(filters)

    def _sender_summary(self) -> dict[str, Any]:
        (states,), (attempts,) = self._select(_EVENT_STATES), self._select(_ATTEMPT_COUNTS)
        (scheduled,) = self.connection.execute(f"SELECT {SCHEDULED}").fetchone()
        requirements: Counter[str] = Counter()
        for ids, count in self._counts("SELECT requirements, count(*) FROM ends GROUP BY 1").items():
            requirements.update(dict.fromkeys((ids or "").split(), count))
        return {
            "scheduled": scheduled,
            **states,
            "unsent": scheduled - states["delivered"] - states["failed"],
            **attempts,
            "lost_bytes": self._lost_bytes(),
            "outcomes": self._counts("SELECT outcome, count(*) FROM attempts GROUP BY 1 ORDER BY 2 DESC"),
            "requirements": dict(requirements.most_common()),
        }

    def _listener_summary(self) -> dict[str, Any]:
        sql = "SELECT count(*), count(DISTINCT natural_key), count(problem) FROM received"
        received, distinct, refused = self.connection.execute(sql).fetchone()
        types = "SELECT coalesce(nullif(type, ''), '?'), count(*) FROM received GROUP BY 1 ORDER BY 2 DESC"
        return {
            "received": received,
            "distinct": distinct,
            "duplicates": max(0, received - refused - distinct),
            "invalid": refused,
            "lost_bytes": self._lost_bytes(),
            "types": self._counts(types),
        }

    def _lost_bytes(self) -> int:
        """How much of the log was damaged; a journal of an older version had none."""
        with suppress(sqlite3.OperationalError):
            return int(self.connection.execute("SELECT lost_bytes FROM indexed").fetchone()[0])
        return 0

    def _counts(self, sql: str) -> dict[str, int]:
        return dict(self.connection.execute(sql))

    def _attempts(self, filters: Filters) -> Iterator[dict[str, Any]]:
        targets = self._targets()
        for row in self._select(_ATTEMPTS, filters):
            found = {"event": row["event"], "time": row["time_ms"], "attempt": row["number"]}
            if row["number"] is None:
                yield found | {"state": "unsent", **_bytes("body", row["body"])}
                continue
            event = _event(row, targets, row["time_ms"])
            lost = row["answer"] is not None and row["received"] is None
            names = ("run", "intended_us", "sent_us", "done_us", "outcome", "status", "kind")
            yield found | {
                **{name: row[name] for name in names},
                "final": bool(row["final"]),
                "resent": bool(row["resent"]),
                "requirements": (row["requirements"] or "").split(),
                "note": row["note"] or ("its answer was in a damaged part of the log" if lost else ""),
                **_bytes("request", targets[row["run"]].request_of(event.query, event.body)),
                **_bytes("answer", row["received"] or b""),
            }

    def _sent_events(self, filters: Filters) -> Iterator[CallbackEvent]:
        targets = self._targets()
        time_ms: int | None = None
        for row in self._select(_EVENTS, filters):
            if row["intended_us"] is not None:
                time_ms = row["intended_us"] // 1000
            yield _event(row, targets, row["time_ms"] if time_ms is None else time_ms)

    def _received(self, filters: Filters) -> Iterator[dict[str, Any]]:
        for row in self._select(_RECEIVED, filters):
            request, answer = row.pop("head") + row.pop("body"), row.pop("answer") or b""
            yield row | _bytes("request", request) | _bytes("answer", answer)

    def _received_events(self, filters: Filters) -> Iterator[CallbackEvent]:
        for row in self._select(_RECEIVED, filters):
            yield from_request(row["received_us"] // 1000, row["head"], row["body"])

    def _targets(self) -> dict[int, Target]:
        return {
            row["id"]: Target(
                CallbackUrl.parse(row["url"]), row["sdkappid"], headers=tuple(json.loads(row["headers"]).items())
            )
            for row in self._select("SELECT id, url, sdkappid, headers FROM runs")
        }

    def _select(self, sql: str, filters: Filters | None = None) -> Iterator[_Row]:
        """Rows by the names of their columns; *filters* are the values of parameters."""
        found = self.connection.execute(sql, vars(filters or Filters()))
        names = [column[0] for column in found.description]
        return (dict(zip(names, row, strict=True)) for row in found)


@contextmanager
def reading(path: Path, show: Progress | None = None) -> Generator[Reader]:
    """Open the journal in *path* with its whole log indexed; *show* is called with the progress.

    Raises ``ConfigurationError``.
    """
    connect(path).close()
    live = bring_up_to_date(path, show)
    with closing(connect(path)) as connection:
        yield Reader(path, connection, kind_of(connection), live)


def _bytes(name: str, data: bytes) -> dict[str, str]:
    """*data* for JSON: as text if it is UTF-8, else as base64 under ``<name>_base64``."""
    try:
        return {name: data.decode()}
    except UnicodeDecodeError:
        return {f"{name}_base64": base64.b64encode(data).decode()}


def _event(row: _Row, targets: Mapping[int, Target], time_ms: int) -> CallbackEvent:
    """The event, with the URL parameters that it was sent with; none if it is unsent and they are not recorded."""
    event = with_type(time_ms, row["command"], row["client_ip"], row["platform"], row["body"], query=row["query"] or "")
    if event.query or row["run"] is None:
        return event
    return structs.replace(event, query=targets[row["run"]].query_with(event, row["signature"] or ""))
