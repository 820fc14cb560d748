"""Users for plain locust: each callback of the simulated rooms is sent, and its answer judged by requirement id.

class MyUser(LeaveCallbackUser):
    wait_time = constant(0.1)
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import gevent
from geventhttpclient.response import HTTPConnectionClosed
from locust import FastHttpUser, HttpUser, User, task
from locust.exception import CatchResponseError

from roomhook.loadtests.figures import failure_text
from roomhook.loadtests.session import Session, session_of
from roomhook.loadtests.stream import name_of, stamped
from roomhook.simulator.compliance import ACK_MUST, Answer, judge
from roomhook.simulator.outcomes import Outcome, outcome_of_error

__all__ = ["LeaveCallbackHttpUser", "LeaveCallbackUser"]

_BLAMED = {Outcome.TIMEOUT: "ack.deadline", Outcome.INCOMPLETE: "ack.complete"}
_IDLE_S = 0.2


def _wait_time(user: User) -> float:
    """So long that this user sends --callback-rate callbacks/s; the next moment is kept even if an answer was late."""
    rate = session_of(user.environment).settings.rate
    if not rate:
        return 0.0
    now = time.monotonic()
    due = max(getattr(user, "_due", now) + 1 / rate, now)
    user._due = due  # type: ignore[attr-defined]  # noqa: SLF001 (locust's users keep their own state so, too)
    return due - now


class _Caller:
    """What both users share: the next callback out, its answer judged and counted."""

    environment: Any
    client: Any

    def _call_back(self, **options: Any) -> None:
        session = session_of(self.environment)
        if session.stopping:
            gevent.sleep(_IDLE_S)  # what is under way ends; nothing new begins
            return
        with session.request():
            self._send(session, options)

    def _send(self, session: Session, options: Mapping[str, Any]) -> None:
        now = time.time()
        event = stamped(session.next_event(), int(now * 1000))
        name = name_of(event)
        callback = session.target.callback(event, int(now))
        begun = time.perf_counter()
        with self.client.post(
            callback.url,
            data=callback.body,
            headers=dict(callback.headers),
            name=name,
            allow_redirects=False,
            catch_response=True,
            **options,
        ) as response:
            elapsed_ms = (time.perf_counter() - begun) * 1000
            status, body = int(response.status_code or 0), bytes(response.content or b"")
            error = getattr(response, "error", None)
            outcome, breaches = _judged(status, body, elapsed_ms, error, session.settings.deadline_ms)
            session.figures.record(
                name, int(elapsed_ms * 1000), int(time.time() * 1e6), outcome, breaches, status=status, size=len(body)
            )
            if breaches:
                response.failure(CatchResponseError(failure_text(outcome, breaches, status)))
            else:
                response.success()


def _judged(
    status: int, body: bytes, elapsed_ms: float, error: BaseException | None, deadline_ms: float
) -> tuple[Outcome, tuple[str, ...]]:
    """Outcome and ids of the requirements that were not met."""
    if not status:
        if error is None or isinstance(error, HTTPConnectionClosed):  # which is a parse error by its base class
            outcome = Outcome.CLOSED
        else:
            outcome = outcome_of_error(error)
        return outcome, (_BLAMED.get(outcome, "ack.status"),)
    judgement = judge(Answer(status, (), body, elapsed_ms), deadline_ms=deadline_ms)
    ids = {breach.requirement for breach in judgement.breaches}
    return judgement.outcome, tuple(one for one in ACK_MUST if one in ids)


class LeaveCallbackUser(_Caller, FastHttpUser):
    """Carries callbacks of the simulated rooms on locust's FastHttpUser, one at a time: a closed loop of its own."""

    wait_time = _wait_time

    def __init__(self, environment: Any) -> None:
        session = session_of(environment)
        settings, target = session.settings, session.target
        self.network_timeout = self.connection_timeout = settings.deadline_s
        # One context for all users: each would take its time to read all authorities there are.
        self.ssl_context_factory = lambda **_: target.tls
        self.insecure = settings.insecure
        super().__init__(environment)

    @task
    def call_back(self) -> None:
        """Send the next callback and judge its answer."""
        self._call_back()


class LeaveCallbackHttpUser(_Caller, HttpUser):
    """The same on requests: slower, and with all that requests can do."""

    wait_time = _wait_time

    def __init__(self, environment: Any) -> None:
        parent: Any = super()
        parent.__init__(environment)
        settings = session_of(environment).settings
        self._timeout = settings.deadline_s
        self.client.verify = False if settings.insecure else settings.cacert or True
        self.client.cert = settings.cert
        self.client.trust_env = False

    @task
    def call_back(self) -> None:
        """Send the next callback and judge its answer."""
        self._call_back(timeout=self._timeout)
