"""The sender: a pool of kept-alive connections that carries callbacks to one target, each to its one outcome.

    async with Sender(target, deadline_ms=2000) as sender:
        attempt = await sender.send(target.request(event, now_s))

``send`` waits for one outcome. ``simulator.sending.dispatcher`` keeps thousands in flight: it starts many at once and
receives all outcomes of one turn of the event loop together, which costs less per callback.
"""

from __future__ import annotations

import asyncio
import resource
import socket
import ssl
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Sequence
from time import monotonic_ns
from typing import Any, Final, Self, TypeVar

from roomhook.errors import ConfigurationError, UnreachableError
from roomhook.simulator.protocol.outcomes import DeliveryOutcome, outcome_of_error
from roomhook.simulator.protocol.response_check import ACK_MUST, Response, Violation, check_response
from roomhook.simulator.transport.attempt import Attempt, AttemptResult, Carrier
from roomhook.simulator.transport.connection import BufferedConnection, Came, Connection, PlainConnection
from roomhook.simulator.transport.target import Target
from roomhook.simulator.util.defaults import DEADLINE_MS

__all__ = ["Done", "Sender", "most_connections", "run_loop"]

Done = Callable[[list[Attempt]], object]
"""Who is told of attempts that have their outcomes."""

_OTHER_FILES: Final = 64
_SWEEP_S: Final = 0.02
_STOPPED: Final = "given up: the sender stopped"
_MOST_KNOWN: Final = 256
_LONGEST_KNOWN: Final = 4096
_MUST: Final = frozenset(ACK_MUST)

_Returned = TypeVar("_Returned")
_Key = TypeVar("_Key")
_Kept = TypeVar("_Kept")


def run_loop(main: Coroutine[Any, Any, _Returned]) -> _Returned:
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

    ``on_complete`` is told of the attempts that were started, as they get their outcomes; it may start others.
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
        self.known: dict[bytes, AttemptResult] = {}
        self.turn: list[Attempt] = []
        self.on_complete: Done | None = None
        self._deadline_ns = int(deadline_ms * 1e6)
        self._give_up_ns = int(max(give_up_ms or 0, deadline_ms) * 1e6)
        self._keep_alive = keep_alive
        self._idle: list[Carrier] = []
        self._open: set[Connection] = set()
        self._waiting: deque[Attempt] = deque()
        self._awaited: dict[Attempt, asyncio.Future[Attempt]] = {}
        self._closing = False
        self._opening: set[asyncio.Task[None]] = set()
        self._addresses: list[tuple[str, int]] = []
        self._verdicts: dict[tuple[int, bytes], tuple[DeliveryOutcome, tuple[str, ...]]] = {}
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
        attempt = Attempt(request, monotonic_ns())
        outcome: asyncio.Future[Attempt] = self._loop.create_future()
        self._awaited[attempt] = outcome
        self.start([attempt])
        return await outcome

    def start(self, attempts: Sequence[Attempt]) -> None:
        """Send *attempts*, each on a connection of its own; beyond *connections* they wait their turn."""
        room = self.connections - self.in_flight
        if len(attempts) > room:
            self._waiting.extend(attempts[room:])
            attempts = attempts[:room]
        self.in_flight += len(attempts)
        if self._sweeper is None:
            self._sweeper = self._loop.call_later(_SWEEP_S, self._sweep)
        idle = self._idle
        for attempt in attempts:
            while idle:
                connection = idle.pop()
                if connection.reusable:
                    attempt.connection = connection
                    attempt.sent_ns = monotonic_ns()
                    connection.send(attempt)
                    break
            else:
                self._open_for(attempt)

    async def close(self) -> None:
        """Close all connections; attempts under way end as closed."""
        self._closing = True
        while self._waiting:
            self.in_flight += 1
            self._fail(self._waiting.popleft(), DeliveryOutcome.CLOSED, _STOPPED)
        for task in self._opening:
            task.cancel()
        if self._sweeper is not None:
            self._sweeper.cancel()
        connections = list(self._open)
        for connection in connections:
            if connection.attempt is not None or self.target.tls is not None:
                connection.abort(DeliveryOutcome.CLOSED, _STOPPED)
            else:
                connection.close()
        if connections:
            await asyncio.wait([connection.gone for connection in connections], timeout=2)

    # What connections call.

    def begin_turn(self) -> None:
        """Look at what has come when the loop has read the rest of what is there."""
        self._loop.call_soon(self._end_turn)

    def ended(
        self, connection: Connection, attempt: Attempt | None, outcome: DeliveryOutcome, note: str, came: Came
    ) -> None:
        """Forget the connection; send the attempt again if only its kept-alive connection was stale."""
        self._open.discard(connection)
        if attempt is None:
            if connection in self._idle:
                self._idle.remove(connection)
            return
        stale = outcome in {DeliveryOutcome.CLOSED, DeliveryOutcome.RESET} and not came[0]
        if stale and attempt.reused and not attempt.resent and not self._closing:
            attempt.resent = True
            self._open_for(attempt)
            return
        self._fail(attempt, outcome, note, came)

    def result_of(self, received: bytes, status: int, body: bytes, *, reusable: bool) -> AttemptResult:
        """What a whole answer comes to in time. It is a matter of the bytes alone, so what has come before is known."""
        kind = status, body
        verdict = self._verdicts.get(kind)
        if verdict is None:
            judgement = check_response(Response(status, (), body, 0), deadline_ms=self.deadline_ms)
            verdict = judgement.outcome, _ids(judgement.breaches)
            _keep(self._verdicts, kind, verdict, len(body))
        result = AttemptResult(*verdict, received=received, status=status, body=body, complete=True)
        if reusable:
            _keep(self.known, received, result, len(received))
        return result

    def _end_turn(self) -> None:
        """Keep the connections and tell who waits for the attempts."""
        attempts = self.turn.copy()
        self.turn.clear()
        if min([one.sent_ns for one in attempts]) < monotonic_ns() - self._deadline_ns:
            self._judge_late(attempts)
        keep_alive, idle = self._keep_alive, self._idle
        for attempt in attempts:
            connection = attempt.connection
            if connection is None:
                continue
            if keep_alive and connection.reusable:
                idle.append(connection)
            else:
                connection.close()
        self.in_flight -= len(attempts)
        if self._awaited:
            attempts = self._without_awaited(attempts)
        if attempts and self.on_complete is not None:
            self.on_complete(attempts)
        while self._waiting and self.in_flight < self.connections:
            self.start([self._waiting.popleft()])

    def _without_awaited(self, attempts: list[Attempt]) -> list[Attempt]:
        """Those of *attempts* that nobody awaits, after waking up who awaits the others."""
        for attempt in attempts:
            outcome = self._awaited.get(attempt)
            if outcome is not None and not outcome.done():
                outcome.set_result(attempt)
        return [attempt for attempt in attempts if self._awaited.pop(attempt, None) is None]

    def _sweep(self) -> None:
        """End what is past its time: cheaper than a timer an attempt, and late answers are judged by their time."""
        latest = monotonic_ns() - self._give_up_ns
        for connection in [one for one in self._open if one.attempt is not None and one.attempt.sent_ns <= latest]:
            connection.abort(DeliveryOutcome.TIMEOUT, f"no whole answer within {self._give_up_ns / 1e6:g} ms")
        self._sweeper = self._loop.call_later(_SWEEP_S, self._sweep) if self.in_flight else None

    def _judge_late(self, attempts: Iterable[Attempt]) -> None:
        """Judge anew the whole answers among *attempts* that came after the deadline."""
        for attempt in attempts:
            found = attempt.result
            if found.complete and attempt.done_ns - attempt.sent_ns > self._deadline_ns:
                judgement = attempt.judgement(self.deadline_ms)
                attempt.result = AttemptResult(
                    judgement.outcome,
                    _ids(judgement.breaches),
                    received=found.received,
                    status=found.status,
                    body=found.body,
                    complete=True,
                )

    def _fail(self, attempt: Attempt, outcome: DeliveryOutcome, note: str, came: Came = (b"", 0, b"")) -> None:
        attempt.done_ns = monotonic_ns()
        attempt.sent_ns = attempt.sent_ns or attempt.done_ns  # it never got as far
        received, status, body = came
        attempt.result = AttemptResult(outcome, received=received, status=status, body=body, note=note)
        attempt.result.breaches = _ids(attempt.judgement(self.deadline_ms).breaches)
        if not self.turn:
            self.begin_turn()
        self.turn.append(attempt)

    # Opening connections.

    def _open_for(self, attempt: Attempt) -> None:
        task = self._loop.create_task(self._open_and_write(attempt))
        self._opening.add(task)
        task.add_done_callback(lambda ended: self._opened(ended, attempt))

    def _opened(self, task: asyncio.Task[None], attempt: Attempt) -> None:
        """Give the attempt its outcome if it was not sent, whatever the reason."""
        self._opening.discard(task)
        if task.cancelled():
            self._fail(attempt, DeliveryOutcome.CLOSED, _STOPPED)
        elif (error := task.exception()) is not None:
            outcome = outcome_of_error(error) if isinstance(error, OSError) else DeliveryOutcome.CLOSED
            self._fail(attempt, outcome, _text(error))

    async def _open_and_write(self, attempt: Attempt) -> None:
        connection = await self._connect()
        if connection.reusable:
            attempt.connection, attempt.fresh = connection, True
            attempt.sent_ns = attempt.sent_ns or monotonic_ns()  # one that is sent again keeps its time
            connection.send(attempt)
        else:
            self._fail(attempt, DeliveryOutcome.CLOSED, "closed right after it was opened")

    async def _connect_or_raise(self) -> Connection:
        host, port = self.target.address
        try:
            return await self._connect()
        except OSError as error:
            outcome = outcome_of_error(error)
            remedy = _remedy(error, tls=self.target.tls is not None)
            raise UnreachableError(f"{host}:{port} {outcome.explained} ({_text(error)}); {remedy}") from None

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


def _ids(breaches: Iterable[Violation]) -> tuple[str, ...]:
    return tuple(sorted({breach.requirement for breach in breaches} & _MUST))


def _keep(known: dict[_Key, _Kept], key: _Key, value: _Kept, size: int) -> None:
    """Remember what need not be looked at again, within limits."""
    if size <= _LONGEST_KNOWN:
        if len(known) >= _MOST_KNOWN:
            known.clear()
        known[key] = value


def _text(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]


def _remedy(error: OSError, *, tls: bool) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return "name its own authority by --cacert FILE, or accept any certificate by --insecure"
    if isinstance(error, ssl.SSLError) or (tls and isinstance(error, TimeoutError)):
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
