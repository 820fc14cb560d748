"""A recording App backend: receives callbacks as fast as one core can, loses none, and answers as configured.

Requests that arrive together are written to the journal together, and only then answered. So an answered request is
always in the journal.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from roomhook.simulator.http_server.asgi_server import listening_socket
from roomhook.simulator.journal.log import JournalError
from roomhook.simulator.journal.writer import ReceivedCallback, ReceivedCallbackJournal
from roomhook.simulator.listener.answers import CannedAnswer, error_answer, refusal
from roomhook.simulator.listener.connection import ArrivedRequest, ListenerConnection
from roomhook.simulator.listener.forward import Forwarder
from roomhook.simulator.protocol.request_check import CallbackValidator, ValidationResult

__all__ = ["Listener"]

_BACKLOG: Final = 4096
_GRACE_S: Final = 5.0
_MOST_TYPES: Final = 100
"""Most Types that are counted by name."""


@dataclass
class Listener:
    """Receives callbacks on a socket; ``counts`` has the totals so far (received, problem, one for each Type).

    *on_complete* is called with every batch of requests when it is stored. With a *forwarder*, its responses replace
    Roomhook's. Use ``start`` and ``stop`` on a running loop.
    """

    validator: CallbackValidator
    answer: CannedAnswer
    journal: ReceivedCallbackJournal | None = None
    on_complete: Callable[[Sequence[ReceivedCallback]], object] | None = None
    forwarder: Forwarder | None = None
    counts: Counter[str] = field(default_factory=Counter)
    _forwarding: dict[ListenerConnection, asyncio.Task[None]] = field(default_factory=dict)
    _waiting: list[tuple[ListenerConnection, ReceivedCallback, bool]] = field(default_factory=list)
    _connections: set[ListenerConnection] = field(default_factory=set)
    _server: asyncio.Server | None = None
    _limit: int | None = None
    _on_limit: Callable[[], object] | None = None
    _failed: asyncio.Future[None] | None = None

    async def start(self, host: str, port: int, tls: ssl.SSLContext | None = None) -> tuple[str, int]:
        """Listen at an address (port 0: a free one), and return it; raises ``ConfigurationError`` if that fails."""
        loop = asyncio.get_running_loop()
        self._failed = loop.create_future()
        listening = listening_socket(host, port)
        self._server = await loop.create_server(
            lambda: ListenerConnection(self), sock=listening, ssl=tls, backlog=_BACKLOG
        )
        address = listening.getsockname()
        return str(address[0]), int(address[1])

    async def failure(self) -> None:
        """Wait until the journal can no longer be written, then raise its ``JournalError``."""
        assert self._failed is not None
        await asyncio.shield(self._failed)

    def stop_after(self, count: int | None, reached: Callable[[], object]) -> None:
        """Call *reached* once *count* requests have been answered."""
        self._limit = count
        self._on_limit = reached

    async def stop(self) -> None:
        """Accept no more requests, answer those that arrived, close all connections."""
        if self._server is not None:
            self._server.close()
        if self._forwarding:
            await asyncio.wait(self._forwarding.values(), timeout=_GRACE_S)
        if self.forwarder is not None:
            await self.forwarder.close()
        self._flush()
        if self._failed is not None:
            self._failed.cancel()
        for connection in tuple(self._connections):
            connection.hang_up()
        await asyncio.sleep(0)
        for _ in range(200):
            if not self._connections:
                break
            await asyncio.sleep(0.005)
        for connection in tuple(self._connections):
            connection.abort()
        if self.journal is not None:
            self.journal.close()

    # What connections call.

    def joined(self, connection: ListenerConnection) -> None:
        """A connection was opened."""
        self._connections.add(connection)

    def left(self, connection: ListenerConnection) -> None:
        """A connection is closed."""
        self._connections.discard(connection)

    def answers_late(self) -> bool:
        """Whether answers may still come after the sender has closed its side."""
        return self.answer.delay_s > 0 or self.forwarder is not None

    def arrived(self, connection: ListenerConnection, request: ArrivedRequest) -> None:
        """A complete request arrived."""
        found = self.validator.inspect(request.method, request.target, request.body)
        if self.forwarder is not None:
            self._forward(self.forwarder, connection, request, found)
            return
        answer = self.answer if found.problem is None else refusal(found)
        self._note(connection, request, found, answer.last if request.last else answer.kept)

    def _forward(
        self, forwarder: Forwarder, connection: ListenerConnection, request: ArrivedRequest, found: ValidationResult
    ) -> None:
        """Answer with the forwarder's response, after the responses to earlier requests of the connection."""
        before = self._forwarding.get(connection)

        async def answered() -> None:
            forwarded = await forwarder.forward(request)
            if before is not None:
                await asyncio.wait([before])
            self._note(connection, request._replace(last=forwarded.last), found, forwarded.answer)

        task = asyncio.get_running_loop().create_task(answered())
        self._forwarding[connection] = task

        def done(_: asyncio.Task[None]) -> None:
            if self._forwarding.get(connection) is task:
                del self._forwarding[connection]

        task.add_done_callback(done)

    def broken(self, connection: ListenerConnection, raw: bytes, status: int, problem: str) -> None:
        """Bytes arrived that are not a request."""
        request = ArrivedRequest(b"", b"", raw, b"", last=True)
        found = ValidationResult(problem=problem, refusal="http")
        self._note(connection, request, found, error_answer(status, problem).last)

    def _note(
        self, connection: ListenerConnection, request: ArrivedRequest, found: ValidationResult, answer: bytes
    ) -> None:
        received_us = time.time_ns() // 1000
        received = ReceivedCallback(received_us, connection.name, request.head, request.body, found, answer)
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self._flush)
        self._waiting.append((connection, received, request.last))

    def _flush(self) -> None:
        """Store the requests that arrived since the last call, then answer them."""
        waiting, self._waiting = self._waiting, []
        if not waiting:
            return
        batch = [received for _, received, _ in waiting]
        try:
            if self.journal is not None:
                self.journal.write(batch)
        except JournalError as error:  # then nothing is answered, so nothing counts as taken
            assert self._failed is not None
            if not self._failed.done():
                self._failed.set_exception(error)
            return
        self._count(batch)
        delay_s = self.answer.delay_s
        for connection, received, last in waiting:
            if delay_s and received.inspected.problem is None:
                late = partial(connection.answer, received.answer, last=last)
                asyncio.get_running_loop().call_later(delay_s, late)
            else:
                connection.answer(received.answer, last=last)
        if self.on_complete is not None:
            self.on_complete(batch)
        if self._limit is not None and self._on_limit is not None and self.counts["received"] >= self._limit:
            self._on_limit()

    def _count(self, batch: Sequence[ReceivedCallback]) -> None:
        self.counts["received"] += len(batch)
        for received in batch:
            found = received.inspected
            name = "problem" if found.problem is not None else found.type or "?"
            self.counts[name if name in self.counts or len(self.counts) < _MOST_TYPES else "other"] += 1
