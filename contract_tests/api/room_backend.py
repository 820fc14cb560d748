"""A mock Room backend in this process, with a virtual clock, for tests in Python."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final, Self

from roomhook.contract_tests.api.app_server import served
from roomhook.simulator.protocol.callback_request import printable
from roomhook.simulator.protocol.room_packets import COMMANDS
from roomhook.simulator.room_backend.client import MockRoomBackend
from roomhook.simulator.room_backend.runtime.clock import VirtualClock
from roomhook.simulator.room_backend.runtime.service import Service
from roomhook.simulator.room_backend.runtime.store import Store
from roomhook.simulator.room_backend.server import running
from roomhook.simulator.room_backend.state.options import AppSettings, BackendOptions
from roomhook.simulator.util.defaults import SDKAPPID
from roomhook.simulator.util.html_words import readable

if TYPE_CHECKING:
    from roomhook.simulator.room_backend.runtime.delivery_queue import DeliveryAttempt
    from roomhook.simulator.room_backend.runtime.store import AttemptRow

__all__ = ["RoomBackend"]

_LOG: Final = logging.getLogger("roomhook")
_LONGEST_ANSWER: Final = 160


class RoomBackend(MockRoomBackend):
    """A mock Room backend on a free port of loopback, as a context manager.

    Its clock begins at *start_ms* (ms since the epoch, by default now) and moves only by ``advance``. It is a client of
    itself: see ``MockRoomBackend`` for rooms, REST calls and faults. *token* signs its callbacks, *secret_key* makes
    genuine usersigs. A callback that your app does not acknowledge is logged as a warning of the logger ``roomhook``.
    """

    def __init__(
        self,
        *,
        sdkappid: int = SDKAPPID,
        token: str | None = None,
        secret_key: str | None = None,
        start_ms: int | None = None,
        options: BackendOptions | None = None,
    ) -> None:
        app = AppSettings(sdkappid=sdkappid, token=token, secret_key=secret_key)
        clock = VirtualClock(time.time_ns() // 1_000_000 if start_ms is None else start_ms)
        self.service = Service([app], options or BackendOptions(), Store(None), clock)
        self.service.deliveries.listeners.append(_warn_of)
        administrator = self.service.options.behaviour.administrator
        self._stack = ExitStack()
        url = self._stack.enter_context(running(self.service))
        super().__init__(url, sdkappid, administrator=administrator, secret_key=secret_key)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop the server, and the apps that it serves."""
        super().close()
        self._stack.close()

    def callbacks_to(
        self, url_or_app: str | Callable[..., Any], *, path: str = "/", commands: Iterable[str] = COMMANDS
    ) -> str:
        """Send callbacks to a URL, or to *path* of an ASGI or WSGI app in this process; returns the callback URL."""
        url = url_or_app
        if not isinstance(url, str):
            url = f"{self._stack.enter_context(served(url))}/{path.lstrip('/')}"
        self.set_callback(url, commands)
        return url


def _warn_of(row: AttemptRow, attempt: DeliveryAttempt | None) -> None:
    """Log an attempt that was not acknowledged: pytest shows it beside the assertion that fails because of it."""
    if attempt is None or not row.breaches:
        return
    name = attempt.callback.event.command.rpartition("Callback")[2].removeprefix("After")
    answer = printable(readable(attempt.result.body.decode(errors="replace")))[:_LONGEST_ANSWER]
    _LOG.warning("%s was not acknowledged (%s): %s", name, row.breaches.replace(" ", ", "), answer or row.outcome)
