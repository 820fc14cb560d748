"""The records in a journal's log, as MessagePack arrays, and the rows that they become in its tables."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Sequence
from hashlib import blake2b
from operator import itemgetter
from typing import Any, Final

import msgspec

from roomhook.simulator.journal.schema import FINAL, KIND_CODES, NUMBER_BITS, RESENT
from roomhook.simulator.protocol.callback_event import CallbackEvent

__all__ = ["LoggedResult", "ReceivedRecord", "Record", "Rows", "RunEnd", "SentRecord", "answer_id", "decode", "encode"]

LoggedResult = tuple[int, int, str, str]
"""A result: its ``result_code``, the id of its answer (0: none), requirements and note (empty: none)."""

# sqlite3 binds int and str as they are, and looks for an adapter for None, which costs twice: hence nullif.
_EVENT: Final = "INSERT OR REPLACE INTO events VALUES (?,?,?,?,?,?,nullif(?,''))"
_END: Final = """
INSERT OR REPLACE INTO ends (key, run, intended_us, sent_us, done_us, request_time, code, answer)
VALUES (?,?,?,?,?,nullif(?,0),?,nullif(?,0))
"""
_REMARK: Final = "UPDATE ends SET requirements = nullif(?,''), note = nullif(?,'') WHERE key = ?"
_IN_DOUBT: Final = """
INSERT INTO ends (key, run, intended_us, request_time, code, note)
VALUES (?,?,?,nullif(?,0),?,'no outcome was written down')
"""
_ANSWER: Final = "INSERT OR IGNORE INTO answers VALUES (?,?)"
_SIGNATURE: Final = "INSERT OR IGNORE INTO signatures VALUES (?,?)"
_RECEIVED: Final = """
INSERT INTO received (run, received_us, peer, head, body, natural_key, command, room, type, problem, answer)
VALUES (?,?,?,?,?,?,?,?,?,?,?)
"""
_RUN_END: Final = "UPDATE runs SET ended_us = ? WHERE id = ?"


class Rows:
    """The rows that one transaction writes: lists by SQL statement, and those of attempts ``in_doubt`` by key."""

    def __init__(self) -> None:
        self.of: defaultdict[str, list[Sequence[Any]]] = defaultdict(list)
        self.in_doubt: dict[int, Sequence[Any]] = {}

    def write(self, connection: sqlite3.Connection) -> None:
        """Write all rows."""
        for sql, rows in [*self.of.items(), (_IN_DOUBT, [*self.in_doubt.values()])]:
            if rows:
                rows.sort(key=itemgetter(0))  # SQLite appends faster in the order of keys
                connection.executemany(sql, rows)


class SentRecord(msgspec.Struct, array_like=True, tag=1, gc=False):
    """What a sender did in one turn. Times are ns on the monotonic clock; add ``wall_offset_ns`` for the epoch's.

    ``events`` were scheduled, with ids from ``first_event`` on. Attempts that have ``begun`` at ``begun_ns``, signed at
    ``request_time`` (s; 0: not signed), are event, number, kind and intended time (0: none). ``ended`` ones are event,
    number, kind, whether final and resent, intended time, sent, done, request time and result. ``answers`` are ids and
    bytes of responses that this segment did not have.
    """

    run: int
    first_event: int
    wall_offset_ns: int = 0
    begun_ns: int = 0
    request_time: int = 0
    signature: str = ""
    events: list[CallbackEvent] = []
    begun: list[tuple[int, int, str, int]] = []
    ended: list[tuple[int, int, str, bool, bool, int, int, int, int, LoggedResult]] = []
    answers: list[tuple[int, bytes]] = []

    def add_to(self, rows: Rows) -> None:
        """Add its rows; an attempt that has begun is in doubt until its end is added."""
        run, offset, in_doubt, ends = self.run, self.wall_offset_ns, rows.in_doubt, rows.of[_END]
        rows.of[_EVENT] += [
            (number, one.time_ms, one.command, one.client_ip, one.platform, one.body, one.query)
            for number, one in enumerate(self.events, self.first_event)
        ]
        for event, number, kind, intended_ns in self.begun:
            key, intended_us = event << NUMBER_BITS | number, ((intended_ns or self.begun_ns) + offset) // 1000
            in_doubt[key] = key, run, intended_us, self.request_time, KIND_CODES[kind]
        for event, number, kind, final, resent, intended_ns, sent_ns, done_ns, request_time, result in self.ended:
            key = event << NUMBER_BITS | number
            in_doubt.pop(key, None)
            code, answer, requirements, note = result
            code |= KIND_CODES[kind] | (FINAL if final else 0) | (RESENT if resent else 0)
            intended_us, sent_us = ((intended_ns or sent_ns) + offset) // 1000, (sent_ns + offset) // 1000
            ends.append((key, run, intended_us, sent_us, (done_ns + offset) // 1000, request_time, code, answer))
            if requirements or note:
                rows.of[_REMARK].append((requirements, note, key))
        rows.of[_ANSWER] += self.answers
        if self.signature:
            rows.of[_SIGNATURE].append((self.request_time, self.signature))


class ReceivedRecord(msgspec.Struct, array_like=True, tag=2, gc=False):
    """What a listener received in one turn: rows of ``received``; their ``answer`` is an index into ``answers``."""

    run: int
    answers: list[bytes]
    rows: list[tuple[int, str, bytes, bytes, str | None, str | None, str | None, str | None, str | None, int]]

    def add_to(self, rows: Rows) -> None:
        """Add its rows."""
        ids = [answer_id(answer) for answer in self.answers]
        rows.of[_ANSWER] += zip(ids, self.answers, strict=True)
        rows.of[_RECEIVED] += [(self.run, *row, ids[answer]) for *row, answer in self.rows]


class RunEnd(msgspec.Struct, array_like=True, tag=3, gc=False):
    """The normal end of a run (µs since the epoch)."""

    run: int
    ended_us: int

    def add_to(self, rows: Rows) -> None:
        """Add its row."""
        rows.of[_RUN_END].append((self.ended_us, self.run))


Record = SentRecord | ReceivedRecord | RunEnd

encode: Final = msgspec.msgpack.Encoder().encode
decode: Final = msgspec.msgpack.Decoder(SentRecord | ReceivedRecord | RunEnd).decode
"""The record in a payload; raises ``msgspec.DecodeError`` for anything else."""


def answer_id(received: bytes) -> int:
    """The id of a response (0: nothing arrived); it is derived from the bytes, so equal responses are one row."""
    return int.from_bytes(blake2b(received, digest_size=8).digest()) >> 1 if received else 0
