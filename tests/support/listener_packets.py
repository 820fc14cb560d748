"""Packets and queries for a listener, as documented or changed, and its answers to them."""

from __future__ import annotations

import asyncio
import json
import socket
from pathlib import Path
from typing import Any

from roomhook.simulator.journal.writer import ReceivedCallbackJournal
from roomhook.simulator.listener.answers import parse_answer
from roomhook.simulator.listener.server import Listener
from roomhook.simulator.protocol.callback_url import CallbackUrl, parameters
from roomhook.simulator.protocol.request_check import CallbackValidator, ValidationResult

__all__ = ["LEAVE", "NOW_S", "answered", "fired", "inspected", "packet", "query"]

LEAVE = "Room.CallbackAfterMemberLeave"


NOW_S = 1_670_574_414


def packet(**changes: Any) -> bytes:
    fields = {
        "CallbackCommand": LEAVE,
        "Operator_Account": "user1",
        "RoomId": "rid-123",
        "MemberCount": 20,
        "Type": "Leave",
        "MemberList_Account": ["user1"],
        "Reason": "xxxx",
        "EventTime": 1670574414123,
    } | changes
    return json.dumps({name: value for name, value in fields.items() if value is not ...}).encode()


def query(token: str | None = None, request_time: int = NOW_S, **changes: str) -> bytes:
    known = parameters(
        sdkappid=1400000001,
        command=LEAVE,
        client_ip="203.0.113.7",
        platform="iOS",
        token=token,
        request_time=request_time,
    )
    values = dict(known) | {"SdkAppid": "1400000001"} | changes
    return b"/callback?tenant=a&" + "&".join(f"{name}={value}" for name, value in values.items()).encode()


def inspected(
    target: bytes | None = None, body: bytes | None = None, method: bytes = b"POST", **options: Any
) -> ValidationResult:
    inspector = CallbackValidator("1400000001", lambda: NOW_S, **options)
    return inspector.inspect(method, query() if target is None else target, packet() if body is None else body)


async def answered(head: bytes, path: Path, *, durable: bool = False) -> bytes:
    """What a listener with a journal at *path* answers to *head* alone, until it hangs up."""
    journal = ReceivedCallbackJournal(path, {}, durable=durable)
    listener = Listener(CallbackValidator("1400000001", lambda: NOW_S), parse_answer("ok"), journal)
    _, port = await listener.start("127.0.0.1", 0)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"POST " + query() + b" HTTP/1.1\r\nHost: x\r\n" + head)
    answer = await asyncio.wait_for(reader.read(), 5)
    writer.close()
    await listener.stop()
    return answer


def fired(url: str, body: bytes) -> bytes:
    """POST *body* by hand; the status line."""
    parts = CallbackUrl.parse(url)
    with socket.create_connection((parts.host, parts.port)) as connection:
        head = b"POST %b HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % (query(), len(body))
        connection.sendall(head + body)
        return connection.recv(65536).partition(b"\r\n")[0]
