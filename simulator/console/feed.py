"""The latest callbacks with their attempts, in memory, for live pages."""

from __future__ import annotations

import asyncio
import json
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final, NamedTuple

__all__ = ["Feed", "FeedAttempt", "FeedFilter", "FeedRow", "settled_row"]

_MOST_ROWS: Final = 10_000
_MOST_BYTES: Final = 64 * 1024 * 1024
_OTHER_BYTES: Final = 600


class FeedAttempt(NamedTuple):
    """One request and its answer; times in µs since the epoch and ms, ``breaches`` are requirement ids."""

    number: int
    kind: str
    sent_us: int
    elapsed_ms: float
    outcome: str
    status: int | None
    breaches: tuple[str, ...]
    note: str
    request: bytes
    answer: bytes


@dataclass
class FeedRow:
    """A callback; ``state`` is pending, delivered, failed or dropped, of a received one ok or refused.

    ``origin`` is the scheme, host and port that it was sent to.
    """

    id: int
    time_us: int
    command: str
    body: bytes
    state: str = "pending"
    attempts: list[FeedAttempt] = field(default_factory=list)
    origin: str = ""

    @cached_property
    def packet(self) -> Mapping[str, Any]:
        """The packet, empty if the body is not a JSON object."""
        try:
            found = json.loads(self.body)
        except (ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}

    @property
    def room(self) -> str:
        """RoomId."""
        info = self.packet.get("RoomInfo")
        return _text(self.packet.get("RoomId") or (info.get("RoomId") if isinstance(info, dict) else ""))

    @property
    def method(self) -> str:
        """The check-out method, or the packet's other Type."""
        return _text(self.packet.get("Type", ""))

    @property
    def members(self) -> list[str]:
        """Member_Account values."""
        found = self.packet.get("MemberList_Account")
        return [_text(one) for one in found] if isinstance(found, list) else []

    @property
    def name(self) -> str:
        """The end of the command, e.g. MemberLeave."""
        return self.command.rpartition("Callback")[2].removeprefix("After") or "?"

    @property
    def last(self) -> FeedAttempt | None:
        """The latest attempt."""
        return self.attempts[-1] if self.attempts else None

    @property
    def outcome(self) -> str:
        """How the latest attempt ended, or the state without one."""
        return self.last.outcome if self.last is not None else self.state

    @property
    def compliant(self) -> bool | None:
        """Whether the latest answer meets every requirement; None without one."""
        return None if self.last is None else not self.last.breaches

    @property
    def size(self) -> int:
        """Bytes of memory, roughly."""
        return len(self.body) + sum(len(one.request) + _OTHER_BYTES for one in self.attempts) + _OTHER_BYTES


class FeedFilter(NamedTuple):
    """What a page shows: parts of RoomId and of any text, and exact command, method and outcome; "" means all."""

    room: str = ""
    command: str = ""
    method: str = ""
    outcome: str = ""
    q: str = ""

    @classmethod
    def of(cls, query: Mapping[str, str]) -> FeedFilter:
        """The filter in a URL's query."""
        return cls(*(query.get(name, "")[:200] for name in cls._fields))

    def __bool__(self) -> bool:
        return any(self)

    def matches(self, row: FeedRow) -> bool:
        """Whether *row* is shown."""
        if self.command and self.command not in {row.command, row.name}:
            return False
        if self.method and row.method != self.method:
            return False
        if self.outcome and not self._outcome_matches(row):
            return False
        if self.room and self.room not in row.room:
            return False
        return not self.q or self.q.lower() in f"{row.command} {row.body.decode(errors='replace')}".lower()

    def _outcome_matches(self, row: FeedRow) -> bool:
        if self.outcome == "not compliant":
            return row.compliant is False
        return self.outcome in {row.outcome, row.state}


class Feed:
    """The last 10,000 rows, at most 64 MiB of them; ``version`` grows with every change."""

    def __init__(self) -> None:
        self.version = 0
        self.rooms_version = 0
        self.closed = False
        self._rows: OrderedDict[int, FeedRow] = OrderedDict()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def newest(self) -> int:
        """The id of the newest row; 0 without one."""
        return next(reversed(self._rows), 0)

    def touch(self) -> None:
        """Report a change that is not a row."""
        self.version += 1

    def row(self, number: int) -> FeedRow | None:
        """The row with this id, if the feed still has it."""
        return self._rows.get(number)

    def add(self, row: FeedRow) -> None:
        """Add a row; removes the oldest beyond the limits."""
        self._rows[row.id] = row
        self._bytes += row.size
        self.version += 1
        while len(self._rows) > _MOST_ROWS or (self._bytes > _MOST_BYTES and len(self._rows) > 1):
            _, oldest = self._rows.popitem(last=False)
            self._bytes -= oldest.size

    def add_attempt(self, row: FeedRow, attempt: FeedAttempt, state: str | None) -> None:
        """Add an attempt to a row in the feed; *state* is the row's new state, if it changed."""
        if row.id in self._rows:
            self._bytes -= row.size
            row.attempts.append(attempt)
            self._bytes += row.size
        row.state = state or row.state
        self.version += 1

    def select(self, chosen: FeedFilter, as_of: int | None = None) -> list[FeedRow]:
        """The rows that match, newest first; without those added after the row *as_of*."""
        rows = (row for row in reversed(self._rows.values()) if as_of is None or row.id <= as_of)
        return [row for row in rows if not chosen or chosen.matches(row)]


async def settled_row(feed: Feed, number: int, patience_s: float) -> FeedRow | None:
    """The row when it has an attempt, or after *patience_s* without one."""
    until = time.monotonic() + patience_s
    while True:
        row = feed.row(number)
        if row is None or row.attempts or time.monotonic() > until:
            return row
        await asyncio.sleep(0.02)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value) if value is not None else ""
