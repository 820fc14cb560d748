"""Compliant App backends on a raw socket: the reference's logic, with wire and form of answers left to a variant."""

from __future__ import annotations

import asyncio
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import parse_qsl

from starlette.datastructures import Headers
from starlette.responses import Response

from roomhook.contract_tests.app_backends.reference.backend import IncomingCallback, ReferenceBackend

SDKAPPID = 1400000001
OK_BODY = b'{"ActionStatus":"OK","ErrorInfo":"","ErrorCode":0}'


class HangUpError(Exception):
    """Raised by a variant that closes the connection instead of answering."""


class Variant(ReferenceBackend):
    """The reference App backend, seen from the wire.

    A variant overrides ``acknowledge`` and ``refuse`` for another form of answer, ``frame`` for other bytes,
    ``on_head`` to act before the body is read, ``serve`` for another life of connections.
    """

    version = "HTTP/1.1"
    keep_alive = True
    alone = False
    """Whether one request is dealt with at a time."""
    delay_s = 0.0
    path = "/callback"

    def __init__(self, token: str | None = None, clock_ahead_s: float = 0) -> None:
        super().__init__(str(SDKAPPID), token, lambda: time.time() + clock_ahead_s)
        self.lock = asyncio.Lock()
        self.connections = 0
        self.in_flight = 0
        self.requests = 0
        self.server: asyncio.Server | None = None
        self.tasks: set[asyncio.Task[Any]] = set()

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """A new connection, looked after to its end."""
        task = asyncio.current_task()
        assert task is not None
        self.tasks.add(task)
        quietly = HangUpError, asyncio.CancelledError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError
        try:
            with suppress(*quietly):
                await self.serve(reader, writer)
        finally:
            self.tasks.discard(task)
            writer.close()
            with suppress(OSError, asyncio.CancelledError):
                await writer.wait_closed()

    async def stop(self) -> None:
        """Take no connections any more and end those that there are."""
        if self.server is not None:
            self.server.close()
        for _ in range(3):  # what was accepted a moment ago needs a turn of the loop to be known, and one to be closed
            await asyncio.sleep(0)
            for task in tuple(self.tasks):
                task.cancel()
            await asyncio.gather(*self.tasks, return_exceptions=True)
        await asyncio.sleep(0)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, until either side is done with it."""
        self.connections += 1
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            await self.on_head(head, reader, writer)
            callback, method, path = await self.read_request(head, reader)
            self.requests += 1
            self.in_flight += 1
            try:
                response = await self.answer(callback, method, path)
            finally:
                self.in_flight -= 1
            await self.write(writer, self.frame(response))
            if not self.stays_open(response):
                return

    async def on_head(self, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """What happens before the body is read."""

    async def read_request(self, head: bytes, reader: asyncio.StreamReader) -> tuple[IncomingCallback, str, str]:
        """The rest of a request whose *head* has come: the callback, the method and the path."""
        first, *lines = head.decode("latin-1").rstrip().split("\r\n")
        method, target, _ = first.split(" ")
        path, _, query = target.partition("?")
        headers = Headers({name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)})
        if headers.get("transfer-encoding") == "chunked":
            body = await _chunks(reader)
        else:
            body = await reader.readexactly(int(headers.get("content-length", 0)))
        return IncomingCallback(query, tuple(parse_qsl(query, keep_blank_values=True)), headers, body), method, path

    async def answer(self, callback: IncomingCallback, method: str, path: str) -> Response:
        """The answer to one request."""
        if path != self.path:
            return Response(status_code=404)
        if method != "POST":
            return Response(status_code=405)
        if not self.alone:
            await asyncio.sleep(self.delay_s)
            return await self.handle(callback)
        async with self.lock:
            await asyncio.sleep(self.delay_s)
            return await self.handle(callback)

    def frame(self, response: Response) -> bytes:
        """The bytes of an answer."""
        return self.head(response, self.framing(response)) + bytes(response.body)

    def head(self, response: Response, extra: list[tuple[bytes, bytes]]) -> bytes:
        """The status line and headers of an answer, its own framing in *extra*."""
        headers = [(name, value) for name, value in response.raw_headers if name != b"content-length"] + extra
        lines = b"".join(b"%b: %b\r\n" % pair for pair in headers)
        return f"{self.version} {response.status_code} Whatever\r\n".encode() + lines + b"\r\n"

    def framing(self, response: Response) -> list[tuple[bytes, bytes]]:
        """The headers that say where the body ends."""
        return [(b"Content-Length", str(len(response.body)).encode())]

    def stays_open(self, response: Response) -> bool:  # noqa: ARG002 (for variants)
        """Whether the connection takes another request after *response*."""
        return self.keep_alive

    async def write(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        """Send the bytes of an answer."""
        writer.write(data)
        await writer.drain()


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    body = b""
    while size := int(await reader.readuntil(b"\n"), 16):
        body += (await reader.readexactly(size + 2))[:-2]
    await reader.readline()
    return body


@contextmanager
def listening(
    variant: Variant, *, host: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None
) -> Iterator[str]:
    """The callback URL of *variant*, served from a thread of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    server = asyncio.run_coroutine_threadsafe(
        asyncio.start_server(variant.connected, host, port, ssl=tls, backlog=1024), loop
    ).result()
    variant.server = server
    port = server.sockets[0].getsockname()[1]
    shown = f"[{host}]" if ":" in host else host
    try:
        yield f"{'https' if tls else 'http'}://{shown}:{port}{variant.path}"
    finally:
        asyncio.run_coroutine_threadsafe(variant.stop(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
        variant.close()
