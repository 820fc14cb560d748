"""Master and workers: assigns rooms, completes the totals, and ends a run that loses a worker."""

from __future__ import annotations

import logging
import sys
import time
from typing import Any, Final

import gevent
import msgspec
from locust import runners
from locust.rpc import Message
from locust.runners import STATE_RUNNING, STATE_SPAWNING, LocalRunner, MasterRunner, WorkerRunner

from roomhook.errors import RoomhookError
from roomhook.loadtests.results.stats import LoadStats
from roomhook.loadtests.session.session import LoadSession
from roomhook.loadtests.workload.worker_rooms import RoomShare, RoomShareAllocator

__all__ = ["coordinate"]

_log = logging.getLogger("roomhook")
_KEY: Final = "roomhook"
_SPARE_S: Final = 15.0
_REPORT_S: Final = 1.0
"""Interval of a worker's reports (s): locust's 3 s are too long for a step of a staircase and for a display."""
_USAGE: Final = 2
_REFUSED: Final = (
    "all rooms of --rooms or --people have workers; start this one before the run, or leave out those files"
)


def coordinate(session: LoadSession, runner: Any) -> None:
    """Connect *session* to *runner*, once per process: a master, a worker, or a single process."""
    locust_runners: Any = runners
    locust_runners.WORKER_REPORT_INTERVAL = _REPORT_S
    if isinstance(runner, MasterRunner):
        _Master(session, runner)
    elif isinstance(runner, WorkerRunner):
        _Worker(session, runner)
    elif isinstance(runner, LocalRunner):
        _Local(session)


class _Local:
    """A load test in a single process: starts, stops and resets the session with locust."""

    def __init__(self, session: LoadSession) -> None:
        self._session = session
        events: Any = session.environment.events
        events.test_start.add_listener(self._start)
        events.test_stopping.add_listener(self._stopping)
        events.reset_stats.add_listener(lambda **_: session.forget())
        events.spawning_complete.add_listener(lambda **_: _reset_after_spawning(session))

    def _start(self, **_: Any) -> None:
        self._session.begin()
        gevent.spawn(_watch, self._session)

    def _stopping(self, **_: Any) -> None:
        self._session.drain()


class _Master:
    """The master: assigns rooms to workers, adds their statistics, and waits at the end for their last reports."""

    def __init__(self, session: LoadSession, runner: MasterRunner) -> None:
        self._session = session
        self._runner = runner
        self._undrained: set[str] = set()
        self._shares = RoomShareAllocator((), extensible=True)
        self._dispatched: set[str] = set()
        runner.register_message("roomhook-drained", self._drained)
        runner.register_message("roomhook-lost", self._lost)
        events: Any = session.environment.events
        events.test_start.add_listener(self._start)
        events.test_stopping.add_listener(self._stopping)
        events.worker_connect.add_listener(self._welcome)
        events.worker_report.add_listener(self._report)
        events.reset_stats.add_listener(lambda **_: session.forget())
        events.spawning_complete.add_listener(lambda **_: _reset_after_spawning(session))

    def _start(self, **_: Any) -> None:
        self._session.begin()
        ids = sorted((one.id for one in self._present()), key=self._runner.get_worker_index)
        settings = self._session.settings
        self._shares = RoomShareAllocator(ids, extensible=not (settings.room_ids() or settings.people))
        self._tell_shares()
        self._dispatched = self._present_ids()
        gevent.spawn(_watch, self._session, self._look_after_workers)

    def _stopping(self, **_: Any) -> None:
        """Ask every worker to finish, and wait: a worker sends its last report before its reply.

        A worker that does not reply within the deadline and 15 s is noted as a loss.
        """
        self._session.run.stopping = True
        self._undrained = self._present_ids()
        for client in self._undrained:
            self._send("roomhook-drain", client, {})
        end = time.monotonic() + self._session.options.deadline + _SPARE_S
        while self._undrained & self._present_ids() and time.monotonic() < end:
            gevent.sleep(0.02)
            self._note(self._missing())
        late = sorted(self._undrained & self._present_ids())
        self._note([f"worker {one} did not end in time; totals hold what it has reported" for one in late])
        self._undrained.clear()

    def _welcome(self, client_id: str, **_: Any) -> None:
        """Give rooms to a worker that connects during a run; before a run there is nothing to do."""
        run = self._session.run
        if run.begun is None or run.stopping or client_id in self._shares.held:
            return
        share = self._shares.of(client_id, set(self._runner.clients))
        if share is None:
            came = "when all rooms of --rooms or --people had workers, and was refused"
        else:
            came = f"later and has {'new rooms' if share.annex else 'the rooms of a worker that left'}"
        run.notes.append(f"worker {client_id} came {came}")
        _log.info(run.notes[-1])
        self._tell_shares()

    def _tell_shares(self) -> None:
        """Add the shares to locust's options, which locust sends to each worker before it starts."""
        held = self._shares.held.items()
        self._session.options.room_shares = {worker: msgspec.structs.asdict(share) for worker, share in held}

    def _report(self, data: dict[str, Any], **_: Any) -> None:
        if _KEY in data:
            self._session.run.figures.add(LoadStats.from_dict(data[_KEY]))

    def _drained(self, msg: Message, **_: Any) -> None:
        self._undrained.discard(msg.node_id)

    def _lost(self, msg: Message, **_: Any) -> None:
        self._session.report_loss(str(msg.data["why"]))

    def _look_after_workers(self) -> None:
        """End the run if a worker is lost; divide the users again if workers have joined or left."""
        for why in self._missing():
            self._session.report_loss(why)
        runner, present = self._runner, self._present_ids()
        if present != self._dispatched and present and runner.state == STATE_RUNNING and runner.spawning_completed:
            self._dispatched = present  # locust itself does this only once in a run
            gevent.spawn(runner.start, runner.target_user_count, runner.spawn_rate)

    def _note(self, losses: list[str]) -> None:
        """Record *losses* of a run that is already ending, each once."""
        for why in losses:
            if why not in self._session.run.lost:
                self._session.run.lost.append(why)
                _log.error(why)

    def _missing(self) -> list[str]:
        return [f"worker {one.id} is gone; totals hold what it has reported" for one in self._runner.clients.missing]

    def _present(self) -> list[Any]:
        clients = self._runner.clients
        return [*clients.ready, *clients.spawning, *clients.running]

    def _present_ids(self) -> set[str]:
        return {one.id for one in self._present()}

    def _send(self, kind: str, client: str, data: dict[str, Any]) -> None:
        self._runner.send_message(kind, data, client)


class _Worker:
    """A worker: sends the callbacks of its rooms, and adds its statistics to locust's reports to the master."""

    def __init__(self, session: LoadSession, runner: WorkerRunner) -> None:
        self._session = session
        self._runner = runner
        session.share = self._share
        runner.register_message("roomhook-drain", self._drain, concurrent=True)
        events: Any = session.environment.events
        events.test_start.add_listener(lambda **_: session.begin())
        events.test_stopping.add_listener(lambda **_: session.drain())
        events.report_to_master.add_listener(self._report)
        events.quitting.add_listener(self._quitting)
        events.spawning_complete.add_listener(lambda **_: _reset_after_spawning(session))

    def _share(self) -> RoomShare:
        """This worker's rooms, from the options that the master sent.

        Looked up when the run needs it, because locust may start the run before this object can listen for its start.
        Raises ``RoomhookError`` if the master is another version, or if no rooms are left; then this process quits.
        """
        shares: dict[str, Any] | None = getattr(self._session.options, "room_shares", None)
        if shares is None:
            raise RoomhookError("the master sent no rooms; install the same version of Roomhook on every machine")
        if self._runner.client_id in shares:
            return RoomShare(**shares[self._runner.client_id])
        environment = self._session.environment
        if environment.process_exit_code is None:
            sys.stderr.write(f"roomhook: {_REFUSED}\n")
            sys.stderr.flush()
            environment.process_exit_code = _USAGE
            gevent.spawn(self._runner.quit)
        gevent.sleep(_SPARE_S)  # until quitting kills this greenlet
        raise RoomhookError(_REFUSED)

    def _drain(self, **_: Any) -> None:
        self._session.drain()
        self._report_now()
        self._runner.send_message("roomhook-drained", {})

    def _quitting(self, **_: Any) -> None:
        """Report what was sent before locust disconnects from the master."""
        self._session.drain()
        self._report_now()

    def _report_now(self) -> None:
        runner: Any = self._runner  # locust has no public method to report before the interval ends
        runner._send_stats()  # noqa: SLF001

    def _report(self, data: dict[str, Any], **_: Any) -> None:
        data[_KEY] = self._session.drain_stats().to_dict()


def _watch(session: LoadSession, look: Any = None) -> None:
    """Each second of a run, record the requested rate (callbacks/s) and call *look*; returns when the run ends."""
    runner: Any = session.environment.runner
    begun = False
    while True:
        running = runner.state in {STATE_RUNNING, STATE_SPAWNING}
        begun = begun or running
        if begun and not running:
            return
        if begun:
            session.run.asked[int(time.time())] = runner.user_count * session.settings.rate
            if look is not None:
                look()
        gevent.sleep(1 if begun else 0.05)


def _reset_after_spawning(session: LoadSession) -> None:
    if session.environment.reset_stats:
        session.forget()
