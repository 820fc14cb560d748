"""``FastUser``: a locust user whose callbacks the fast sender sends, in another process.

All fast users of one locust process share one sender. Each brings ``--callback-rate`` callbacks/s, or one
connection in the closed loop, so that locust's users, spawn rate and shapes mean what they always do.
"""

from __future__ import annotations

import logging
import subprocess
import sys
from typing import Any, Final
from weakref import WeakKeyDictionary

import gevent
import msgspec
from gevent import select
from gevent.event import Event as Signal
from gevent.lock import RLock
from locust import User, events, task
from locust.env import Environment
from locust.runners import MasterRunner

from roomhook.loadtests import shapes  # noqa: F401  # pyright: ignore[reportUnusedImport]  # registers --shape
from roomhook.loadtests.results.stats import LoadStats
from roomhook.loadtests.session.session import LoadSession, session_of
from roomhook.loadtests.workload.settings import LoadSettings

__all__ = ["FastUser"]

_log = logging.getLogger("roomhook")
_SPARE_S: Final = 5.0
_START_S: Final = 20.0


class FastUser(User):
    """One user of the fast sender: adds its rate while it runs."""

    open_loop = True
    """With a rate, latency counts from the intended moment of sending."""

    @task
    def drive(self) -> None:
        """Take part in the sending until locust stops this user."""
        session = session_of(self.environment)
        lane = None if session.run.stopping else _lane_of(session)
        if lane is None or lane.ended.is_set():
            gevent.sleep(1)
            return
        lane.join()
        try:
            lane.ended.wait()
        finally:
            lane.leave()


def _lane_of(session: LoadSession) -> _SenderProcess | None:
    """The sender that all users share, started by the first; None if the run ends before it is ready."""
    if isinstance(session.run.sender, _SenderProcess):
        return session.run.sender
    with _starting:
        if session.run.sender is None and not session.run.stopping:
            process = _ready.pop(session.environment, None) or _spawn()
            session.run.sender = _SenderProcess(session, session.settings, process)
    if session.run.sender is not None and session.run.stopping:
        session.run.sender.stop()
    return session.run.sender if isinstance(session.run.sender, _SenderProcess) else None


def _spawn() -> Any:
    """Start a process that waits for its settings."""
    return subprocess.Popen(
        # -P: nothing in the current folder hides one of our modules.
        [sys.executable, "-P", "-m", "roomhook.loadtests.fast_sender.process"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )


def _warm_up(environment: Environment, **_: Any) -> None:
    """Start a sender before the run begins, so that its start costs no run time."""
    options = environment.parsed_options
    named = FastUser.__name__ in (getattr(options, "user_classes", None) or ())
    if not named and getattr(options, "engine", "") != "fast":
        return
    if isinstance(environment.runner, MasterRunner):
        return
    with _starting:
        process = _ready[environment] = _spawn()
    select.select([process.stdout], [], [], _START_S)  # its driver reads the line that says ready


_starting: Final = RLock()
_ready: WeakKeyDictionary[Environment, Any] = WeakKeyDictionary()


class _SenderProcess:
    """Handle of the sender process: sets the number of users, receives figures."""

    def __init__(self, session: LoadSession, settings: LoadSettings, process: Any) -> None:
        self.ended = Signal()
        self._session = session
        self._users = 0
        self._stopping = False
        self._done = False
        self._process = process
        self._patience_s = settings.deadline_s + _SPARE_S
        self._write(msgspec.json.encode(settings))
        self._reading = gevent.spawn(self._read)

    def join(self) -> None:
        """Add a user."""
        self._resize(1)

    def leave(self) -> None:
        """Remove a user."""
        self._resize(-1)

    def stop(self) -> None:
        """Stop sending; returns after the last figures are counted."""
        if not self._stopping:
            self._stopping = True
            self._write(b'{"stop":true}')
        self._reading.join(timeout=self._patience_s)
        if not self._reading.ready():
            self._session.report_loss(
                f"the sender did not end within {self._patience_s:g} s; totals hold what it has reported"
            )
            self._process.kill()
            self._reading.join()

    def _resize(self, change: int) -> None:
        self._users += change
        if not self._stopping:
            self._write(b'{"users":%d}' % self._users)

    def _write(self, line: bytes) -> None:
        try:
            self._process.stdin.write(line + b"\n")
            self._process.stdin.flush()
        except OSError:
            _log.debug("the sender has ended; its reader reports it")

    def _read(self) -> None:
        """Count the figures of the sender until it ends."""
        error = ""
        try:
            for line in self._process.stdout:
                if not line.endswith(b"\n"):
                    break  # it was killed in the middle of a line
                message: dict[str, Any] = msgspec.json.decode(line)
                if "figures" in message:
                    self._session.count(LoadStats.from_dict(message["figures"]))
                self._done = self._done or "done" in message
                error = message.get("error", error)
        finally:
            code = self._process.wait()
            self._stopping = True
            self._process.stdin.close()
            self._process.stdout.close()
            self.ended.set()
        if error:
            self._session.report_loss(f"the sender stopped: {error}")
        elif not self._done:
            how = f"by signal {-code}" if code < 0 else f"with exit code {code}"
            self._session.report_loss(f"the sender ended {how}; totals hold what it has reported")


_events: Any = events
_events.init.add_listener(_warm_up)
