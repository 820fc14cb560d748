"""For people's own pytest suites: fire callbacks at an App backend, and assert that it conforms."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from roomhook.contract_tests.engine.suite import SuiteRun
from roomhook.contract_tests.model.exchange import Exchange
from roomhook.contract_tests.model.settings import Settings
from roomhook.contract_tests.model.verdicts import RunFinished, RunOutcome, RunStarted
from roomhook.contract_tests.pytest_support.app_server import served
from roomhook.contract_tests.reports import text
from roomhook.contract_tests.reports.run_report import report_of
from roomhook.contract_tests.transport.client import Client
from roomhook.simulator.protocol.callback_request import JSON_CONTENT, curl
from roomhook.simulator.protocol.callback_url import CallbackUrl
from roomhook.simulator.protocol.outcomes import DeliveryOutcome as Ending
from roomhook.simulator.protocol.packets import encode
from roomhook.simulator.protocol.response_check import Violation
from roomhook.simulator.rooms.sample_callback import Given, Kind, RequestTemplate, fake
from roomhook.simulator.util.defaults import DEADLINE_MS, SDKAPPID

__all__ = ["CallbackTarget", "Fired", "RoomCallbacks", "assert_conforms"]

App = Callable[..., Any]


@dataclass(frozen=True, repr=False)
class Fired:
    """What came of one callback."""

    exchange: Exchange

    @property
    def acknowledged(self) -> bool:
        """HTTP 200 in time with a compliant packet whose ActionStatus is OK."""
        return self.exchange.acknowledged

    @property
    def outcome(self) -> Ending:
        """How the attempt ended in the Room backend's terms."""
        return self.exchange.outcome

    @property
    def findings(self) -> tuple[Violation, ...]:
        """What the answer breaks, by requirement id; empty for a compliant one."""
        return self.exchange.judgement.breaches

    @property
    def status(self) -> int | None:
        """The HTTP status, or None without an answer."""
        return self.exchange.status

    @property
    def body(self) -> bytes:
        """The answer's body."""
        return self.exchange.answer.body if self.exchange.answer else b""

    @property
    def headers(self) -> dict[str, str]:
        """The answer's headers, names in lower case."""
        pairs = self.exchange.answer.headers if self.exchange.answer else ()
        return {name.lower(): value for name, value in pairs}

    def __repr__(self) -> str:
        """Everything that an ``assert fired.acknowledged`` which fails wants to show."""
        found = "; ".join(f"{one.requirement}: expected {one.expected}, actual {one.actual}" for one in self.findings)
        return (
            f"<Fired {self.outcome}, HTTP {self.status}, {found or 'compliant'}; again: {curl(self.exchange.callback)}>"
        )


@dataclass(frozen=True)
class CallbackTarget:
    """An App backend to fire at; every call sends one callback and returns what came of it.

    Arguments are those of the packet: *room*, *member* (one or several), *operator*, *count* (people left in the room),
    *reason*, *event_time* (ms). What is not given is made up; *sdkappid* stands in for the target's own.
    """

    url: str
    sdkappid: int = SDKAPPID
    token: str | None = None
    deadline_ms: float = DEADLINE_MS
    headers: Sequence[tuple[str, str]] = ()
    seed: int = 0

    def leave(self, **given: Any) -> Fired:
        """A member leaves by himself."""
        return self._fire(Kind.LEAVE, **given)

    def kicked(self, **given: Any) -> Fired:
        """Members are kicked out."""
        return self._fire(Kind.KICKED, **given)

    def expired(self, **given: Any) -> Fired:
        """A member's heartbeat has expired."""
        return self._fire(Kind.EXPIRED, **given)

    def enter(self, **given: Any) -> Fired:
        """A member enters: Room.CallbackAfterMemberEnter."""
        return self._fire(Kind.ENTER, **given)

    def _fire(
        self, kind: Kind, *, member: str | Sequence[str] = (), sdkappid: int | None = None, **given: Any
    ) -> Fired:
        now = time.time()
        members = (member,) if isinstance(member, str) else tuple(member)
        made = fake(kind, Given(members=members, **given), seed=self.seed, now_ms=int(now * 1000))
        shot = RequestTemplate(
            url=CallbackUrl.parse(self.url),
            sdkappid=self.sdkappid if sdkappid is None else sdkappid,
            command=kind.command,
            client_ip=made.client_ip,
            platform=made.platform,
            contenttype="json",
            token=self.token,
            headers=JSON_CONTENT,
            body=encode(made.packet),
        )
        client = Client(headers=self.headers)
        give_up_ms = Settings(self.url, deadline_ms=self.deadline_ms).give_up_ms
        return Fired(client.send(shot.callback(int(now)), deadline_ms=self.deadline_ms, give_up_ms=give_up_ms))


class RoomCallbacks:
    """Fixture ``room_callbacks``: returns a ``CallbackTarget`` for a URL or an app; serves apps for the test."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack

    def __call__(
        self, url_or_app: str | App, *, path: str = "/", interface: str = "auto", **options: Any
    ) -> CallbackTarget:
        """A target at a URL, or at *path* of an ASGI or WSGI app in this process.

        *options* are those of ``CallbackTarget``.
        """
        return CallbackTarget(self._stack.enter_context(_reached(url_or_app, path, interface)), **options)


def assert_conforms(url_or_app: str | App, *, path: str = "/", interface: str = "auto", **options: Any) -> None:
    """Hold an App backend against the whole contract and raise ``AssertionError`` with the findings if it violates it.

    *url_or_app* is a callback URL, or an ASGI or WSGI app with the *path* that takes callbacks. *options* are those of
    ``Settings`` (``sdkappid``, ``token``, ``strict``, ``only``, ``exclude``, …); ``probe`` may also be a function from
    RoomId to the set of accounts in the room, and ``enter`` one that brings accounts into a room.
    """
    __tracebackhide__ = True
    functions = {name: options.pop(name) for name in ("probe", "enter") if callable(options.get(name))}
    with _reached(url_or_app, path, interface) as url:
        settings = Settings(url, **options)
        started: RunStarted | None = None
        finished: RunFinished | None = None
        for event in SuiteRun(settings, **functions).events():
            started = event if isinstance(event, RunStarted) else started
            finished = event if isinstance(event, RunFinished) else finished
    assert started is not None
    assert finished is not None
    if finished.summary.outcome is not RunOutcome.CONFORMS:
        raise AssertionError("the App backend does not conform\n" + text.render(report_of(started, finished)))


@contextmanager
def _reached(url_or_app: str | App, path: str, interface: str) -> Iterator[str]:
    if isinstance(url_or_app, str):
        yield url_or_app
        return
    with served(url_or_app, interface) as base:
        yield f"{base}/{path.lstrip('/')}"
