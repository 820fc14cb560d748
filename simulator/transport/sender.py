"""The sender: a pool of kept-alive connections that carries callbacks to one target, each to its one outcome.

    async with Sender(target, deadline_ms=2000) as sender:
        attempt = await sender.send(target.request(event, now_s))

``send`` waits for one outcome. ``simulator.sending.dispatcher`` keeps thousands in flight: it starts many at once and
receives all outcomes of one turn of the event loop together, which costs less per callback.
"""

from __future__ import annotations

import asyncio
import resource
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Sequence
from time import monotonic_ns
from typing import Any, Final, Self, TypeVar

from roomhook.errors import ConfigurationError
from roomhook.simulator.protocol.outcomes import DeliveryOutcome, outcome_of_error
from roomhook.simulator.transport.attempt import Attempt, AttemptResult, Carrier
from roomhook.simulator.transport.connection import Came, Connection
from roomhook.simulator.transport.connector import Connector, first_line
from roomhook.simulator.transport.deadline_sweeper import DeadlineSweeper
from roomhook.simulator.transport.result_cache import ResultCache, requirement_ids
from roomhook.simulator.transport.target import Target
from roomhook.simulator.transport.turn import Turn
from roomhook.simulator.util.defaults import DEADLINE_MS

__all__ = ["Done", "Sender", "most_connections", "run_loop"]

Done = Callable[[list[Attempt]], object]
"""Called with finished attempts."""

_OTHER_FILES: Final = 64
_STOPPED: Final = "given up: the sender stopped"

_Returned = TypeVar("_Returned")


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
    """At most *connections* attempts at once, each on its own kept-alive connection.

    An attempt is judged by *deadline_ms*, from the first byte sent to the last byte read, and given up after
    *give_up_ms* (default: the deadline). Redirects are responses like any other. Everything happens on the running
    loop. ``on_complete`` is called with attempts that were started when they have their outcomes; it may start others.
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
        self.buffer = memoryview(bytearray(256 * 1024))
        self.results = ResultCache(deadline_ms)
        self.turn = Turn(asyncio.get_running_loop(), self._end_turn)
        self.on_complete: Done | None = None
        self._deadline_ns = int(deadline_ms * 1e6)
        give_up_ns = int(max(give_up_ms or 0, deadline_ms) * 1e6)
        self._keep_alive = keep_alive
        self._idle: list[Carrier] = []
        self._connector = Connector(self, target, give_up_ns / 1e9)
        self._waiting: deque[Attempt] = deque()
        self._awaited: dict[Attempt, asyncio.Future[Attempt]] = {}
        self._closing = False
        self._opening: set[asyncio.Task[None]] = set()
        self._sweeper = DeadlineSweeper(self._connector.open, give_up_ns)
        self._loop = asyncio.get_running_loop()
        _allow_open_files(connections)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def opened(self) -> int:
        """How many connections have been opened so far."""
        return self._connector.opened

    async def check_reachable(self) -> None:
        """Open one connection and keep it; raises ``UnreachableError`` if the target accepts none."""
        connection = await self._connector.connect_or_raise()
        self._idle.append(connection)

    async def send(self, request: bytes) -> Attempt:
        """Send *request* when a connection is free, and wait for its outcome."""
        attempt = Attempt(request, monotonic_ns())
        outcome: asyncio.Future[Attempt] = self._loop.create_future()
        self._awaited[attempt] = outcome
        self.start([attempt])
        return await outcome

    def start(self, attempts: Sequence[Attempt]) -> None:
        """Send *attempts*, each on its own connection; those beyond *connections* wait for a free one."""
        room = self.connections - self.in_flight
        if len(attempts) > room:
            self._waiting.extend(attempts[room:])
            attempts = attempts[:room]
        self.in_flight += len(attempts)
        self._sweeper.watch()
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
        """Close all connections; attempts in flight end as closed."""
        self._closing = True
        while self._waiting:
            self.in_flight += 1
            self._fail(self._waiting.popleft(), DeliveryOutcome.CLOSED, _STOPPED)
        for task in self._opening:
            task.cancel()
        self._sweeper.stop()
        connections = list(self._connector.open)
        for connection in connections:
            if connection.attempt is not None or self.target.tls is not None:
                connection.abort(DeliveryOutcome.CLOSED, _STOPPED)
            else:
                connection.close()
        if connections:
            await asyncio.wait([connection.gone for connection in connections], timeout=2)

    # What connections call.

    def ended(
        self, connection: Connection, attempt: Attempt | None, outcome: DeliveryOutcome, note: str, came: Came
    ) -> None:
        """Forget the connection; send the attempt again if only its kept-alive connection was stale."""
        self._connector.open.discard(connection)
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

    def _end_turn(self, attempts: list[Attempt]) -> None:
        """Keep the connections, and hand the attempts to those that wait for them."""
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
        """Those of *attempts* that ``send`` does not wait for, after waking up the callers of ``send``."""
        for attempt in attempts:
            outcome = self._awaited.get(attempt)
            if outcome is not None and not outcome.done():
                outcome.set_result(attempt)
        return [attempt for attempt in attempts if self._awaited.pop(attempt, None) is None]

    def _judge_late(self, attempts: Iterable[Attempt]) -> None:
        """Judge again the complete responses among *attempts* that came after the deadline."""
        for attempt in attempts:
            found = attempt.result
            if found.complete and attempt.done_ns - attempt.sent_ns > self._deadline_ns:
                judgement = attempt.judgement(self.deadline_ms)
                attempt.result = AttemptResult(
                    judgement.outcome,
                    requirement_ids(judgement.breaches),
                    received=found.received,
                    status=found.status,
                    body=found.body,
                    complete=True,
                )

    def _fail(self, attempt: Attempt, outcome: DeliveryOutcome, note: str, came: Came = (b"", 0, b"")) -> None:
        attempt.done_ns = monotonic_ns()
        attempt.sent_ns = attempt.sent_ns or attempt.done_ns  # it never got as far
        received, status, body = came
        result = AttemptResult(outcome, received=received, status=status, body=body, note=note)
        result.breaches = requirement_ids(result.judgement(attempt.elapsed_ms, self.deadline_ms).breaches)
        attempt.result = result
        if not self.turn.ended:
            self.turn.begin()
        self.turn.ended.append(attempt)

    # Opening connections.

    def _open_for(self, attempt: Attempt) -> None:
        task = self._loop.create_task(self._open_and_write(attempt))
        self._opening.add(task)
        task.add_done_callback(lambda ended: self._opened(ended, attempt))

    def _opened(self, task: asyncio.Task[None], attempt: Attempt) -> None:
        """Give the attempt its outcome if it was not sent, for whatever reason."""
        self._opening.discard(task)
        if task.cancelled():
            self._fail(attempt, DeliveryOutcome.CLOSED, _STOPPED)
        elif (error := task.exception()) is not None:
            outcome = outcome_of_error(error) if isinstance(error, OSError) else DeliveryOutcome.CLOSED
            self._fail(attempt, outcome, first_line(error))

    async def _open_and_write(self, attempt: Attempt) -> None:
        connection = await self._connector.connect()
        if connection.reusable:
            attempt.connection, attempt.fresh = connection, True
            attempt.sent_ns = attempt.sent_ns or monotonic_ns()  # one that is sent again keeps its time
            connection.send(attempt)
            self._sweeper.watch()
        else:
            self._fail(attempt, DeliveryOutcome.CLOSED, "closed right after it was opened")


def most_connections() -> int | None:
    """How many connections this process may open, or None if there is no limit."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if hard == resource.RLIM_INFINITY else max(1, hard - _OTHER_FILES)


def _allow_open_files(connections: int) -> None:
    """Raise this process's soft limit of open files to what *connections* need."""
    needed = connections + _OTHER_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < needed:
        if hard != resource.RLIM_INFINITY and hard < needed:
            raise ConfigurationError(
                f"{connections} connections need {needed} open files and this shell allows {hard}: ulimit -n"
            )
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
