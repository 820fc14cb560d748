"""The rows for the tables from records of the log, collected for one transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from hashlib import blake2b
from itertools import count
from typing import Any, Final

from roomhook.simulator.journal.records import ReceivedRecord, SentRecord
from roomhook.simulator.journal.schema import KIND_SHIFT

__all__ = ["Results", "Rows", "answer_id"]

Results = dict[int, tuple[int, tuple[str, str] | None]]
"""For each result that ends name: the id of its answer (0: none), and its requirements and note, if any."""

_LOST: Final = 0, ("", "its answer was in a damaged part of the log")

# sqlite3 binds int, str and bytearray as they are, and looks for an adapter for all else: None and bytes cost twice.
_EVENT: Final = "INSERT OR REPLACE INTO events VALUES (?,?,?,?,?,?,nullif(?,''))"
_END: Final = (
    "INSERT OR REPLACE INTO ends (key, run, intended_us, sent_us, done_us, code, answer)"
    " VALUES (?,?,?,?,?,?,nullif(?,0))"
)
_IN_DOUBT: Final = "INSERT INTO ends (key, run, intended_us, code, note) VALUES (?,?,?,?,'no outcome was written down')"
_END_OF_ONE_IN_DOUBT: Final = (
    f"UPDATE ends SET sent_us = ?, done_us = ?, code = code & {3 << KIND_SHIFT} | ?, answer = nullif(?,0),"  # noqa: S608 (our own text)
    " note = NULL WHERE key = ?"
)
_REMARK: Final = "UPDATE ends SET requirements = nullif(?,''), note = nullif(?,'') WHERE key = ?"
_SIGNED: Final = "UPDATE ends SET request_time = ? WHERE key = ?"
_RECEIVED: Final = (
    "INSERT INTO received (run, received_us, peer, head, body, natural_key, command, room, type, problem, answer)"
    " VALUES (?,?,?,?,?,?,?,?,?,?,?)"
)


class Rows:
    """The rows that one transaction writes."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, bytes]] = []
        self.run_ends: list[tuple[int, int]] = []
        self._events: list[tuple[Any, ...]] = []
        self._ends: list[tuple[int, ...]] = []
        self._late_ends: list[tuple[int, ...]] = []
        self._remarks: list[tuple[str, str, int]] = []
        self._begun: dict[int, tuple[int, int, int]] = {}
        self._signed: list[tuple[int, int]] = []
        self._signatures: list[tuple[int, str]] = []
        self._received: list[tuple[Any, ...]] = []

    def add_received(self, record: ReceivedRecord) -> None:
        """Add the record of a listener's turn."""
        ids = [answer_id(answer) for answer in record.answers]
        self.answers += zip(ids, record.answers, strict=True)
        self._received += [(record.run, *row, ids[answer]) for *row, answer in record.rows]

    def add_sent(self, record: SentRecord, results: Results) -> None:
        """Add the record of a sender's turn; *results* has those that its ends refer to."""
        run, offset, second = record.run, record.wall_offset_ns, record.request_time
        self._events += [
            (number, one.time_ms, one.command, one.client_ip, one.platform, one.body, one.query)
            for number, one in zip(count(record.first_event), record.events, strict=False)
        ]
        self.answers += [(results[one.id][0], one.received) for one in record.results if one.received]
        begun, ends = self._begun, self._ends
        for key, code, result, sent_ns, done_ns in record.ended:
            sent_us, done_us = (sent_ns + offset) // 1000, (done_ns + offset) // 1000
            answer, remark = results.get(result, _LOST)
            start = begun.pop(key, None)
            if start is None:
                self._late_ends.append((sent_us, done_us, code, answer, key, run))
            else:
                _, intended_us, kind = start
                if intended_us > sent_us:  # noqa: PLR1730 (min() takes as long as all the rest)
                    intended_us = sent_us  # the clock was set in between
                ends.append((key, run, intended_us, sent_us, done_us, code | kind, answer))
            if remark is not None:
                self._remarks.append((*remark, key))
        for key, kind, intended_ns in record.begun:
            begun[key] = run, (intended_ns + offset) // 1000, kind << KIND_SHIFT
        if second:
            self._signed += [(second, key) for key, _, _ in record.begun]
        if record.signature:
            self._signatures.append((second, record.signature))

    def write(self, connection: sqlite3.Connection) -> None:
        """Write all rows; an attempt that has begun is in doubt until its end is written."""
        for *end, run in self._late_ends:
            if not connection.execute(_END_OF_ONE_IN_DOUBT, end).rowcount:  # its begin is lost; use what is known
                sent_us, done_us, code, answer, key = end
                self._ends.append((key, run, sent_us, sent_us, done_us, code, answer))
        self._ends.sort()  # by key: appending is fast in SQLite
        in_doubt = [(key, *start) for key, start in self._begun.items()]
        statements: list[tuple[str, Sequence[tuple[Any, ...]]]] = [
            (_EVENT, self._events),
            (_END, self._ends),
            (_IN_DOUBT, in_doubt),
            (_REMARK, self._remarks),
            (_SIGNED, self._signed),
            ("INSERT OR IGNORE INTO answers VALUES (?,?)", sorted(self.answers)),
            ("INSERT OR IGNORE INTO signatures VALUES (?,?)", self._signatures),
            (_RECEIVED, self._received),
            ("UPDATE runs SET ended_us = ? WHERE id = ?", self.run_ends),
        ]
        for sql, rows in statements:
            if rows:
                connection.executemany(sql, rows)


def answer_id(received: bytes) -> int:
    """The id of a response (0: nothing arrived); it is derived from the bytes, so equal responses are one row."""
    return int.from_bytes(blake2b(received, digest_size=8).digest()) >> 1 if received else 0
