"""Attempts of a sender at scripted answers, for the tests of the sender."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from scripted_server import Peer, Script, scripted

from roomhook.simulator.protocol.callback_event import CallbackEvent
from roomhook.simulator.protocol.callback_url import CallbackUrl
from roomhook.simulator.transport.attempt import Attempt
from roomhook.simulator.transport.sender import Sender
from roomhook.simulator.transport.target import Target

__all__ = ["EVENT", "Run", "answering", "attempts", "hang", "target", "with_length"]
EVENT = CallbackEvent(1670574414123, "Room.CallbackAfterMemberLeave", "203.0.113.7", "iOS", b'{"Type":"Leave"}')


Run = Callable[[Coroutine[Any, Any, Any]], Any]


def target(url: str, **options: Any) -> Target:
    return Target(CallbackUrl.parse(url), 1400000001, **options)


async def attempts(*scripts: Script, count: int = 1, **options: Any) -> list[Attempt]:
    async with scripted(*scripts) as (url, _), Sender(target(url), **options) as sender:
        return [await sender.send(sender.target.request(EVENT, 0)) for _ in range(count)]


def answering(*pieces: bytes, pause: float = 0.0) -> Script:
    """Read one request, write *pieces*, hang up."""

    async def script(peer: Peer) -> None:
        await peer.read()
        for piece in pieces:
            await peer.write(piece)
            await asyncio.sleep(pause)

    return script


def with_length(body: bytes, status: bytes = b"200 OK", more: bytes = b"") -> bytes:
    return b"HTTP/1.1 %b\r\nContent-Length: %d\r\n%b\r\n%b" % (status, len(body), more, body)


async def hang(peer: Peer) -> None:
    await peer.read()
    await peer.hang()
