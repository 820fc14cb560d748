"""A target that does to its connections exactly what a test says: answers in pieces, stalls, resets, hangs up."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

OK_BODY = b'{"ActionStatus":"OK","ErrorInfo":"","ErrorCode":0}'
OK_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 50\r\n\r\n" + OK_BODY


async def until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    """Poll until *condition* holds; raises ``TimeoutError`` after *seconds*."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 (what is waited for sets no event)
            await asyncio.sleep(0.001)


Script = Callable[["Peer"], Awaitable[None]]


class Peer:
    """One connection to the scripted target; ``requests`` are all that the target has read, over all connections."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, requests: list[bytes]) -> None:
        self.reader, self.writer, self.requests = reader, writer, requests

    async def read(self) -> bytes:
        """One request with its body; raises ``IncompleteReadError`` when the sender has hung up."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = next(
            int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")
        )
        request = head + await self.reader.readexactly(length)
        self.requests.append(request)
        return request

    async def write(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def serve(self, answer: bytes = OK_ANSWER) -> None:
        """Answer everything alike until the sender hangs up."""
        while True:
            await self.read()
            await self.write(answer)

    def reset(self) -> None:
        connection = self.writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def hang(self) -> None:
        await self.reader.read()


@asynccontextmanager
async def scripted(*scripts: Script, port: int = 0) -> AsyncIterator[tuple[str, list[bytes]]]:
    """Yields a target's URL and its list of requests; connection N follows script N, the last one serves all others."""
    requests: list[bytes] = []
    tasks: set[asyncio.Task[None]] = set()
    count = 0

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal count
        script = scripts[min(count, len(scripts) - 1)]
        count += 1
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await script(Peer(reader, writer, requests))
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()
            tasks.discard(task)

    server = await asyncio.start_server(connected, "127.0.0.1", port)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/callback", requests
    finally:
        server.close()
        for _ in range(3):  # what was accepted a moment ago needs a turn of the loop to be known, and one to be closed
            await asyncio.sleep(0)
            for task in tuple(tasks):
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)
