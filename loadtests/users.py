"""Users for plain locust: send callbacks of simulated rooms and judge each response by requirement id.

class MyUser(LeaveCallbackUser):
    wait_time = constant(0.1)
"""

from __future__ import annotations

import time
from functools import partial
from http.cookiejar import DefaultCookiePolicy
from typing import Any, Final

import gevent
from locust import FastHttpUser, HttpUser, User, task
from locust.contrib.fasthttp import FastResponse
from locust.exception import CatchResponseError

from roomhook.loadtests import shapes  # noqa: F401  # pyright: ignore[reportUnusedImport]  # registers --shape
from roomhook.loadtests.http_clients.answer_socket import BoundedClients, bound_session, reading_answer
from roomhook.loadtests.results.stats import failure_line
from roomhook.loadtests.session.session import LoadSession, session_of
from roomhook.loadtests.workload.callback_stream import stamped
from roomhook.simulator.protocol.callback_request import CallbackRequest
from roomhook.simulator.protocol.outcomes import outcome_of_error
from roomhook.simulator.transport.attempt import AttemptResult
from roomhook.simulator.transport.result_cache import requirement_ids

__all__ = ["LeaveCallbackHttpUser", "LeaveCallbackUser"]

_IDLE_S = 0.2
_GOLDEN: Final = 0.618_033_988_75
"""Multiples of the golden ratio, whole parts dropped, lie evenly between 0 and 1, however many there are."""

_UNCOMPRESSED: Final = {"Accept-Encoding": "identity"}
"""Without it both clients would ask for compression."""


def _wait_time(user: User) -> float:
    """Time (s) until this user sends again at --callback-rate; a late response does not shift the schedule."""
    rate = session_of(user.environment).settings.rate
    if not rate:
        return 0.0
    now = time.monotonic()
    due = max(getattr(user, "_due", now) + 1 / rate, now)
    user._due = due  # type: ignore[attr-defined]  # noqa: SLF001 (locust's users keep their own state so, too)
    return due - now


class _Caller:
    """Common base of both users: sends the next callback, judges and counts the response."""

    environment: Any
    client: Any
    wait_time: Any = _wait_time

    def on_start(self) -> None:
        """Wait for a different time per user, so that users started together do not send together."""
        session = session_of(self.environment)
        if type(self).wait_time is _wait_time and session.settings.rate:
            gevent.sleep(next(session.run.users) * _GOLDEN % 1 / session.settings.rate)

    def _call_back(self, **options: Any) -> None:
        session = session_of(self.environment)
        if session.run.stopping:
            gevent.sleep(_IDLE_S)  # requests in flight end; none begins
            return
        session.graceful_requests.carry(partial(self._send, session, options))

    def _send(self, session: LoadSession, options: dict[str, Any]) -> None:
        now = time.time()
        event = stamped(session.next_event(), int(now * 1000))
        name = event.check_out
        callback = session.target.callback(event, int(now))
        begun = time.perf_counter()
        with reading_answer(session.settings.deadline_s) as answer:
            try:
                response = self._post(callback, name, session.settings.deadline_s, options)
            except Exception as failure:
                session.report_loss(f"a request came to no outcome, totals lack it: {failure!r}")
                raise
        elapsed_ms = (time.perf_counter() - begun) * 1000
        with response:
            result = answer.result or _unsent(response)
            if elapsed_ms > session.settings.deadline_ms:
                late = result.judgement(elapsed_ms, session.settings.deadline_ms)
                outcome, missed = late.outcome, requirement_ids(late.breaches)
            else:
                outcome, missed = result.outcome, result.breaches
            session.run.figures.record(
                name,
                int(elapsed_ms * 1000),
                int(time.time() * 1e6),
                outcome,
                missed,
                status=result.status,
                size=len(result.body),
            )
            if missed:
                response.failure(CatchResponseError(failure_line(outcome, missed, result.status)))
            else:
                response.success()

    def _post(self, callback: CallbackRequest, name: str, deadline_s: float, options: dict[str, Any]) -> Any:
        """The response as locust's client returns it; one that is incomplete at the deadline is a timeout."""
        # For connecting and sending. Both clients close the connection, so that a late answer is not the next one's.
        with gevent.Timeout(deadline_s, TimeoutError):
            return self.client.post(
                callback.url,
                data=callback.body,
                headers=_UNCOMPRESSED | dict(callback.headers),
                name=name,
                allow_redirects=False,
                catch_response=True,
                **options,
            )


def _unsent(response: Any) -> AttemptResult:
    """Result of a request that failed before a response could be read."""
    outcome = outcome_of_error(getattr(response, "error", None) or response.request_meta["exception"])
    return AttemptResult(outcome, (outcome.missed,))


class _AsItCame(FastResponse):
    """A response whose body is judged without decompression."""

    def __init__(self, answer: Any, *args: Any, **kwargs: Any) -> None:
        answer.info().discard("content-encoding")
        parent: Any = super()
        parent.__init__(answer, *args, **kwargs)


def _leave_as_it_came(response: Any, **_: Any) -> None:
    """The same for the requests library, which calls its hooks before it reads the body."""
    response.raw.headers.discard("content-encoding")


class LeaveCallbackUser(_Caller, FastHttpUser):
    """Sends callbacks of simulated rooms by locust's FastHttpUser, one at a time (closed loop)."""

    def __init__(self, environment: Any) -> None:
        session = session_of(environment)
        settings, target = session.settings, session.target
        self.network_timeout = self.connection_timeout = settings.deadline_s
        # One context for all users: reading all certificate authorities takes time.
        self.ssl_context_factory = lambda **_: target.tls
        self.insecure = settings.insecure
        super().__init__(environment)
        agent: Any = self.client.client
        agent.response_type = _AsItCame
        agent.clientpool = BoundedClients(agent.clientpool)
        agent.valid_response_codes = range(1000)  # Roomhook judges the status
        agent.cookiejar = None  # as in the fast sender

    @task
    def call_back(self) -> None:
        """Send the next callback and judge the response."""
        self._call_back()


class LeaveCallbackHttpUser(_Caller, HttpUser):
    """The same with requests: slower, with all features of requests."""

    def __init__(self, environment: Any) -> None:
        parent: Any = super()
        parent.__init__(environment)
        settings = session_of(environment).settings
        self._timeout = settings.deadline_s
        self.client.verify = False if settings.insecure else settings.cacert or True
        self.client.cert = settings.cert
        self.client.trust_env = False
        bound_session(self.client)
        self.client.hooks["response"].append(_leave_as_it_came)
        self.client.cookies.set_policy(DefaultCookiePolicy(allowed_domains=()))

    @task
    def call_back(self) -> None:
        """Send the next callback and judge the response."""
        self._call_back(timeout=self._timeout)
