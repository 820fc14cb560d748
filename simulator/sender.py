"""The sender: a pool of kept-alive connections that carries callbacks to one target, each to its one outcome.

    async with Sender(target, deadline_ms=2000) as sender:
        attempt = await sender.send(target.request(event, now_s))

``send`` waits for its answer; ``start`` calls back, for who keeps thousands in flight (``roomhook.simulator.run``).
"""

from __future__ import annotations

import asyncio
import resource
import socket
import ssl
import time
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, Final, Self, TypeVar

from roomhook.schemas.errors import ConfigurationError, UnreachableError
from roomhook.simulator.attempts import Attempt, Done
from roomhook.simulator.compliance import ACK_MUST
from roomhook.simulator.connection import BufferedConnection, Connection, PlainConnection
from roomhook.simulator.outcomes import Outcome, outcome_of_error
from roomhook.simulator.target import Target

__all__ = ["DEADLINE_MS", "Sender", "most_connections", "run_loop"]

DEADLINE_MS: Final = 2000.0
"""The Room backend waits this long for an answer (OV-CHAT; protocol.md 1.4)."""

_OTHER_FILES: Final = 64
_SWEEP_S: Final = 0.02
_MOST_VERDICTS: Final = 1024
_LONGEST_JUDGED: Final = 4096
_MUST: Final = frozenset(ACK_MUST)

_Result = TypeVar("_Result")


def run_loop(main: Coroutine[Any, Any, _Result]) -> _Result:
    """Run *main* to its end on uvloop, or on plain asyncio where uvloop is missing."""
    try:
        import uvloop  # noqa: PLC0415 (optional on some platforms)
    except ImportError:
        factory: Callable[[], asyncio.AbstractEventLoop] | None = None
    else:
        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(main)


class Sender:
    """At most *connections* attempts at once, each on a connection of its own, kept alive between them.

    An attempt is judged by *deadline_ms*, from the first byte sent to the last byte read, and given up after
    *give_up_ms* (default: the deadline). Redirects are answers like any other. Everything happens on the running loop.
    """

    def __init__(
        self,
        target: Target,
        *,
        deadline_ms: float = DEADLINE_MS,
        give_up_ms: float | None = None,
        connections: int = 64,
        keep_alive: bool = True,
    ) -> None:
        if target.url.scheme == "https" and target.tls is None:
            raise ConfigurationError(f"{target.url.host} is reached by https: give the target a TLS context")
        self.target = target
        self.deadline_ms = deadline_ms
        self.connections = connections
        self.in_flight = 0
        self.opened = 0
        self.buffer = memoryview(bytearray(256 * 1024))
        self.known: dict[bytes, tuple[bytes, int, bytes]] = {}
        self._deadline_ns = int(deadline_ms * 1e6)
        self._give_up_ns = int(max(give_up_ms or 0, deadline_ms) * 1e6)
        self._keep_alive = keep_alive
        self._idle: list[Connection] = []
        self._open: set[Connection] = set()
        self._waiting: deque[tuple[Attempt, Done]] = deque()
        self._closing = False
        self._opening: set[asyncio.Task[None]] = set()
        self._addresses: list[tuple[str, int]] = []
        self._verdicts: dict[bytes, tuple[Outcome, tuple[str, ...]]] = {}
        self._sweeper: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        _allow_open_files(connections)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def check_reachable(self) -> None:
        """Open one connection and keep it; raises ``UnreachableError`` if the target accepts none."""
        connection = await self._connect_or_raise()
        self._idle.append(connection)

    async def send(self, request: bytes) -> Attempt:
        """Send *request*, as soon as a connection is free, and wait for its outcome."""
        answered: asyncio.Future[Attempt] = self._loop.create_future()
        attempt = Attempt(request, time.monotonic_ns())
        self.start(attempt, lambda found: None if answered.done() else answered.set_result(found))
        return await answered

    def start(self, attempt: Attempt, done: Done, now_ns: int = 0) -> None:
        """Send *attempt* and call *done* with it when it has its outcome; beyond *connections* it waits its turn.

        *now_ns* is the time, for who knows it already.
        """
        if self.in_flight >= self.connections:
            self._waiting.append((attempt, done))
            return
        self.in_flight += 1
        attempt.when_done = done
        idle = self._idle
        while idle:
            connection = idle.pop()
            if connection.reusable:
                attempt.sent_ns = now_ns or time.monotonic_ns()
                if self._sweeper is None:
                    self._sweeper = self._loop.call_later(_SWEEP_S, self._sweep)
                connection.send(attempt, attempt.sent_ns + self._give_up_ns)
                return
        self._open_for(attempt)

    async def close(self) -> None:
        """Close all connections; attempts under way end as closed."""
        self._closing = True
        self._waiting.clear()
        for task in self._opening:
            task.cancel()
        if self._sweeper is not None:
            self._sweeper.cancel()
        connections = list(self._open)
        for connection in connections:
            if connection.attempt is not None or self.target.tls is not None:
                connection.abort(Outcome.CLOSED, "given up: the sender stopped")
            else:
                connection.close()
        if connections:
            await asyncio.wait([connection.gone for connection in connections], timeout=2)

    # What connections call.

    def answered(self, connection: Connection, attempt: Attempt) -> None:
        """Judge the answer, keep the connection, tell whoever started the attempt."""
        attempt.done_ns = time.monotonic_ns()
        body = attempt.body
        if attempt.status == 200 and attempt.done_ns - attempt.sent_ns <= self._deadline_ns:
            verdict = self._verdicts.get(body)
            if verdict is None:
                verdict = self._verdict(attempt)
            attempt.outcome, attempt.breaches = verdict
        else:
            self._judge(attempt)
        if connection.reusable and self._keep_alive:
            self._idle.append(connection)
        else:
            connection.close()
        self.in_flight -= 1
        attempt.when_done(attempt)
        if self._waiting:
            self._let_in()

    def ended(self, connection: Connection, attempt: Attempt | None, outcome: Outcome, note: str) -> None:
        """Forget the connection; send the attempt again if only its kept-alive connection was stale."""
        self._open.discard(connection)
        if attempt is None:
            if connection in self._idle:
                self._idle.remove(connection)
            return
        stale = outcome in {Outcome.CLOSED, Outcome.RESET} and not attempt.received
        if stale and attempt.reused and not attempt.resent and not self._closing:
            attempt.resent = True
            self._open_for(attempt)
            return
        self._fail(attempt, outcome, note)

    def _write(self, connection: Connection, attempt: Attempt) -> None:
        """Write to a new connection; an attempt that is sent again keeps its time."""
        if not attempt.sent_ns:
            attempt.sent_ns = time.monotonic_ns()
        if self._sweeper is None:
            self._sweeper = self._loop.call_later(_SWEEP_S, self._sweep)
        connection.send(attempt, attempt.sent_ns + self._give_up_ns)

    def _sweep(self) -> None:
        """End what is past its time: cheaper than a timer an attempt, and late answers are judged by their time."""
        now = time.monotonic_ns()
        for connection in [one for one in self._open if one.give_up_ns <= now]:
            connection.abort(Outcome.TIMEOUT, f"no whole answer within {self._give_up_ns / 1e6:g} ms")
        self._sweeper = self._loop.call_later(_SWEEP_S, self._sweep) if self.in_flight else None

    def _judge(self, attempt: Attempt) -> None:
        judgement = attempt.judgement(self.deadline_ms)
        attempt.outcome = judgement.outcome
        attempt.breaches = tuple(sorted({breach.requirement for breach in judgement.breaches} & _MUST))

    def _verdict(self, attempt: Attempt) -> tuple[Outcome, tuple[str, ...]]:
        """Judge an answer that came with 200 in time; the same bytes get the same verdict, so it is kept."""
        self._judge(attempt)
        verdict = attempt.outcome, attempt.breaches
        if len(attempt.body) <= _LONGEST_JUDGED:
            if len(self._verdicts) >= _MOST_VERDICTS:
                self._verdicts.clear()
            self._verdicts[attempt.body] = verdict
        return verdict

    def _fail(self, attempt: Attempt, outcome: Outcome, note: str) -> None:
        attempt.done_ns = time.monotonic_ns()
        if not attempt.sent_ns:  # never got as far
            attempt.sent_ns, attempt.reused = attempt.done_ns, False
        if not attempt.received:
            attempt.body, attempt.complete = b"", False
        attempt.outcome, attempt.note = outcome, note
        attempt.breaches = tuple(breach.requirement for breach in attempt.judgement(self.deadline_ms).breaches)
        self._conclude(attempt)

    def _conclude(self, attempt: Attempt) -> None:
        self.in_flight -= 1
        attempt.when_done(attempt)
        self._let_in()

    def _let_in(self) -> None:
        while self._waiting and self.in_flight < self.connections:
            self.start(*self._waiting.popleft())

    # Opening connections.

    def _open_for(self, attempt: Attempt) -> None:
        task = self._loop.create_task(self._open_and_write(attempt))
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    async def _open_and_write(self, attempt: Attempt) -> None:
        try:
            connection = await self._connect()
        except OSError as error:
            self._fail(attempt, outcome_of_error(error), _text(error))
            return
        except asyncio.CancelledError:
            self._fail(attempt, Outcome.CLOSED, "given up: the sender stopped")
            raise
        if connection.reusable:
            self._write(connection, attempt)
        else:
            self._fail(attempt, Outcome.CLOSED, "closed right after it was opened")

    async def _connect_or_raise(self) -> Connection:
        host, port = self.target.address
        try:
            return await self._connect()
        except OSError as error:
            outcome = outcome_of_error(error)
            raise UnreachableError(f"{host}:{port} {outcome.explained} ({_text(error)}); {_remedy(error)}") from None

    async def _connect(self) -> Connection:
        """Open a connection to the first address that takes one; raises ``OSError`` (time-outs included)."""
        host, port = self.target.address
        timeout = self._give_up_ns / 1e9
        async with asyncio.timeout(timeout):
            if not self._addresses:
                found = await self._loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
                self._addresses = list(dict.fromkeys((str(one[4][0]), port) for one in found))
            failure: OSError | None = None
            for address in tuple(self._addresses):
                try:
                    connection = await self._connect_to(address, host)
                except OSError as error:
                    failure = failure or error
                else:
                    if address != self._addresses[0]:
                        self._addresses = [address]
                    return connection
            self._addresses = []
            assert failure is not None
            raise failure

    async def _connect_to(self, address: tuple[str, int], host: str) -> Connection:
        tls = self.target.tls if self.target.url.scheme == "https" else None
        plain_uvloop = tls is None and type(self._loop).__module__.startswith("uvloop")
        kind = PlainConnection if plain_uvloop else BufferedConnection
        _, connection = await self._loop.create_connection(
            lambda: kind(self), *address, ssl=tls, server_hostname=host if tls else None
        )
        self._open.add(connection)
        self.opened += 1
        return connection


def _text(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]


def _remedy(error: OSError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return "name its own authority by --cacert FILE, or accept any certificate by --insecure"
    if isinstance(error, ssl.SSLError):
        return "is it http in place of https?"
    return "is your App backend running?"


def most_connections() -> int | None:
    """How many connections this process may open, or None if there is no limit."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if hard == resource.RLIM_INFINITY else max(1, hard - _OTHER_FILES)


def _allow_open_files(connections: int) -> None:
    """Raise this process's soft limit of open files as far as *connections* need it."""
    needed = connections + _OTHER_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < needed:
        if hard != resource.RLIM_INFINITY and hard < needed:
            raise ConfigurationError(
                f"{connections} connections need {needed} open files and this shell allows {hard}: ulimit -n"
            )
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
