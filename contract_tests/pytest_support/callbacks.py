"""For people's own pytest suites: fire callbacks at an App backend, and assert that it conforms."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from roomhook.contract_tests.api.app_server import reached
from roomhook.contract_tests.api.checking import check
from roomhook.contract_tests.api.firing import Fired, fire
from roomhook.contract_tests.reports import text
from roomhook.simulator.rooms.sample_callback import Kind
from roomhook.simulator.util.defaults import DEADLINE_MS, SDKAPPID

__all__ = ["CallbackTarget", "RoomCallbacks", "assert_conforms"]

App = Callable[..., Any]


@dataclass(frozen=True)
class CallbackTarget:
    """An App backend to fire at; every call sends one callback and returns what came of it.

    Arguments are those of ``fire``: *room*, *member* (one or several), *operator*, *count* (people left in the room),
    *reason*, *event_time* (ms). What is not given is made up; *sdkappid* stands in for the target's own.
    """

    url: str
    sdkappid: int = SDKAPPID
    token: str | None = None
    deadline_ms: float = DEADLINE_MS
    headers: Sequence[tuple[str, str]] = ()
    seed: int = 0

    def leave(self, **given: Any) -> Fired:
        """A member leaves by themselves."""
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

    def _fire(self, kind: Kind, *, sdkappid: int | None = None, **given: Any) -> Fired:
        return fire(
            self.url,
            kind,
            sdkappid=self.sdkappid if sdkappid is None else sdkappid,
            token=self.token,
            deadline_ms=self.deadline_ms,
            headers=self.headers,
            seed=self.seed,
            **given,
        )


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
        return CallbackTarget(self._stack.enter_context(reached(url_or_app, path, interface)), **options)


def assert_conforms(url_or_app: str | App, **options: Any) -> None:
    """Hold an App backend against the whole contract and raise ``AssertionError`` with the findings if it violates it.

    *url_or_app* and *options* are those of ``check``.
    """
    __tracebackhide__ = True
    report = check(url_or_app, **options)
    if not report.conforms:
        raise AssertionError("the App backend does not conform\n" + text.render(report))
