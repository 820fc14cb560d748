"""Master and workers: who has which rooms, when all is counted, and what becomes of a run that loses a worker."""

from __future__ import annotations

import logging
import time
from typing import Any, Final

import gevent
from locust.rpc import Message
from locust.runners import STATE_RUNNING, STATE_SPAWNING, LocalRunner, MasterRunner, WorkerRunner

from roomhook.loadtests.figures import Figures
from roomhook.loadtests.session import Session

__all__ = ["coordinate"]

_log = logging.getLogger("roomhook")
_KEY: Final = "roomhook"
_SPARE_S: Final = 15.0


def coordinate(session: Session, runner: Any) -> None:
    """Let *session* take part in what its *runner* does."""
    if isinstance(runner, MasterRunner):
        _Master(session, runner)
    elif isinstance(runner, WorkerRunner):
        _Worker(session, runner)
    elif isinstance(runner, LocalRunner):
        _Local(session)


class _Local:
    """One process that does it all."""

    def __init__(self, session: Session) -> None:
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
    """Shares out the rooms, adds up what workers report, and waits at the end until all have."""

    def __init__(self, session: Session, runner: MasterRunner) -> None:
        self._session = session
        self._runner = runner
        self._undrained: set[str] = set()
        self._worlds = 0
        runner.register_message("roomhook-drained", self._drained)
        runner.register_message("roomhook-lost", self._lost)
        events: Any = session.environment.events
        events.test_start.add_listener(self._start)
        events.test_stopping.add_listener(self._stopping)
        events.worker_report.add_listener(self._report)
        events.reset_stats.add_listener(lambda **_: session.forget())
        events.spawning_complete.add_listener(lambda **_: _reset_after_spawning(session))

    def _start(self, **_: Any) -> None:
        self._session.begin()
        ids = sorted((one.id for one in self._present()), key=self._runner.get_worker_index)
        for position, client in enumerate(ids, 1):
            self._send("roomhook-world", client, {"shard": [position, len(ids)], "world": 0})
        gevent.spawn(_watch, self._session, self._look_for_lost)

    def _stopping(self, **_: Any) -> None:
        """Ask every worker to finish; its last report comes before its answer."""
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

    def _report(self, data: dict[str, Any], **_: Any) -> None:
        if _KEY in data:
            self._session.figures.add(Figures.from_dict(data[_KEY]))

    def _drained(self, msg: Message, **_: Any) -> None:
        self._undrained.discard(msg.node_id)

    def _lost(self, msg: Message, **_: Any) -> None:
        self._session.lose(str(msg.data["why"]))

    def _look_for_lost(self) -> None:
        for why in self._missing():
            self._session.lose(why)

    def _note(self, losses: list[str]) -> None:
        """The run ends already: say it, don't end it twice."""
        for why in losses:
            if why not in self._session.lost:
                self._session.lost.append(why)
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
    """Sends its part and reports; a worker that joins a run has rooms of its own, since the others are taken."""

    def __init__(self, session: Session, runner: WorkerRunner) -> None:
        self._session = session
        self._runner = runner
        self._told = False
        runner.register_message("roomhook-world", self._world)
        runner.register_message("roomhook-drain", self._drain, concurrent=True)
        events: Any = session.environment.events
        events.test_start.add_listener(self._start)
        events.test_stopping.add_listener(lambda **_: session.drain())
        events.report_to_master.add_listener(self._report)
        events.quitting.add_listener(self._quitting)
        events.spawning_complete.add_listener(lambda **_: _reset_after_spawning(session))

    def _world(self, msg: Message, **_: Any) -> None:
        self._session.share(tuple(msg.data["shard"]), msg.data["world"])
        self._told = True

    def _start(self, **_: Any) -> None:
        if not self._told:
            self._session.share((1, 1), 1 + max(0, self._runner.worker_index))
        self._told = False
        self._session.begin()

    def _drain(self, **_: Any) -> None:
        self._session.drain()
        self._report_now()
        self._runner.send_message("roomhook-drained", {})

    def _quitting(self, **_: Any) -> None:
        """Leave in order: what was sent is reported before locust says goodbye."""
        self._session.drain()
        self._report_now()

    def _report_now(self) -> None:
        runner: Any = self._runner  # there is no public way to report before the interval ends
        runner._send_stats()  # noqa: SLF001

    def _report(self, data: dict[str, Any], **_: Any) -> None:
        data[_KEY] = self._session.take().to_dict()


def _watch(session: Session, look: Any = None) -> None:
    """Each second of a run: note how much is asked for, and look whether everybody is still there."""
    runner: Any = session.environment.runner
    begun = False
    while True:
        running = runner.state in {STATE_RUNNING, STATE_SPAWNING}
        begun = begun or running
        if begun and not running:
            return
        if begun:
            session.asked[int(time.time())] = runner.user_count * session.settings.rate
            if look is not None:
                look()
        gevent.sleep(1 if begun else 0.05)


def _reset_after_spawning(session: Session) -> None:
    if session.environment.reset_stats:
        session.forget()
