"""A target quick enough for load tests that counts every callback it has answered, by room."""

from __future__ import annotations

import asyncio
import re
import ssl
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import httptools

__all__ = ["CountingTarget", "counting_target"]

_ROOM = re.compile(rb'"RoomId":"([^"]*)"')


@dataclass
class CountingTarget:
    """Answers after ``delay_s``. ``answers`` counts them; ``rooms`` how many callbacks each room had.

    ``moments`` are when each came (s on the monotonic clock).
    """

    url: str = ""
    body: bytes = b'{"ActionStatus":"OK","ErrorInfo":"","ErrorCode":0}'
    delay_s: float = 0.0
    answers: int = 0
    rooms: Counter[str] = field(default_factory=Counter)
    moments: list[float] = field(default_factory=list)
    connections: set[asyncio.Transport] = field(default_factory=set, repr=False)


class _Protocol(asyncio.Protocol):
    def __init__(self, target: CountingTarget) -> None:
        self._target = target
        self._parser = httptools.HttpRequestParser(self)
        self._body = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._target.connections.add(transport)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 (the base class's signature)
        self._target.connections.discard(self._transport)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_begin(self) -> None:
        self._body = b""

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        target = self._target
        found = _ROOM.search(self._body)
        if found:
            target.rooms[found[1].decode()] += 1
        target.answers += 1
        target.moments.append(time.monotonic())
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        answer = head % len(target.body) + target.body
        if target.delay_s:
            asyncio.get_running_loop().call_later(target.delay_s, self._transport.write, answer)
        else:
            self._transport.write(answer)


@contextmanager
def counting_target(tls: ssl.SSLContext | None = None) -> Iterator[CountingTarget]:
    """A target on a free port of loopback, served by a thread; https with *tls*."""
    target = CountingTarget()
    ready = threading.Event()
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()

    async def serve() -> None:
        server = await loop.create_server(lambda: _Protocol(target), "127.0.0.1", 0, ssl=tls)
        target.url = f"{'https' if tls else 'http'}://127.0.0.1:{server.sockets[0].getsockname()[1]}/callback"
        ready.set()
        await stop.wait()
        server.close()
        for _ in range(3):  # what was accepted a moment ago needs a turn of the loop to be known, and one to be closed
            await asyncio.sleep(0)
            for connection in tuple(target.connections):
                connection.abort()
        await asyncio.sleep(0)

    def run() -> None:
        loop.run_until_complete(serve())
        loop.close()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert ready.wait(10)
    try:
        yield target
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)
