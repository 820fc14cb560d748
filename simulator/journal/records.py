"""The payload of a frame in a journal's log, as MessagePack arrays: the records of one turn of the event loop."""

from __future__ import annotations

from typing import Any, Final

import msgspec

__all__ = ["ReceivedRecord", "Record", "ResultRow", "RunEnd", "SentRecord", "decode", "encode"]


class ResultRow(msgspec.Struct, array_like=True, gc=False):
    """The result of attempts, written once; later ends refer to its ``id``. ``received`` has the response's bytes."""

    id: int
    requirements: str
    note: str
    received: bytes


class _LoggedEvent(msgspec.Struct, array_like=True, gc=False):
    """A ``CallbackEvent``, or with a ``query`` a ``RecordedEvent``."""

    time_ms: int
    command: str
    client_ip: str
    platform: str
    body: bytearray  # sqlite3 binds it as it is, while it looks for an adapter for bytes
    check_out: str
    query: str = ""


class SentRecord(msgspec.Struct, array_like=True, tag=1, gc=False):
    """What a sender did in one turn. Times are ns on the monotonic clock; add ``wall_offset_ns`` for the epoch's.

    ``events`` were scheduled, with ids from ``first_event`` on. ``begun`` attempts, signed at ``request_time`` (s; 0:
    not signed), are key, kind and intended time. ``ended`` attempts are key, code, id of their result (0: none to
    store), sent and done.
    """

    run: int
    wall_offset_ns: int
    first_event: int
    events: list[Any]
    results: list[ResultRow]
    request_time: int
    signature: str
    begun: list[tuple[int, int, int]]
    ended: list[tuple[int, int, int, int, int]]


class ReceivedRecord(msgspec.Struct, array_like=True, tag=2, gc=False):
    """What a listener received in one turn: rows of ``received``; their ``answer`` is an index into ``answers``."""

    run: int
    answers: list[bytes]
    rows: list[tuple[int, str, bytes, bytes, str | None, str | None, str | None, str | None, str | None, int]]


class RunEnd(msgspec.Struct, array_like=True, tag=3, gc=False):
    """The normal end of a run (µs since the epoch)."""

    run: int
    ended_us: int


class _Sent(SentRecord, array_like=True, tag=1, gc=False):
    events: list[_LoggedEvent]


Record = SentRecord | ReceivedRecord | RunEnd

encode: Final = msgspec.msgpack.Encoder().encode
_decoder: Final = msgspec.msgpack.Decoder(_Sent | ReceivedRecord | RunEnd)


def decode(payload: bytes) -> Record:
    """The record in *payload*; raises ``msgspec.DecodeError`` for anything else."""
    record: Record = _decoder.decode(payload)
    return record
