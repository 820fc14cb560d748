"""For people's own pytest suites: a mock Room backend in this process, with a virtual clock."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from roomhook.contract_tests.pytest_support.app_server import served
from roomhook.simulator.protocol.room_packets import COMMANDS
from roomhook.simulator.room_backend.client import MockRoomBackend
from roomhook.simulator.room_backend.runtime.clock import VirtualClock
from roomhook.simulator.room_backend.runtime.service import Service
from roomhook.simulator.room_backend.runtime.store import Store
from roomhook.simulator.room_backend.server import running
from roomhook.simulator.room_backend.state.options import AppSettings, BackendOptions
from roomhook.simulator.util.defaults import SDKAPPID

__all__ = ["LocalRoomBackend", "local_room_backend"]


class LocalRoomBackend(MockRoomBackend):
    """As ``MockRoomBackend``; in addition it serves an App backend that is an ASGI or WSGI app of this process."""

    stack: ExitStack

    def callbacks_to(
        self, url_or_app: str | Callable[..., Any], *, path: str = "/", commands: Iterable[str] = COMMANDS
    ) -> str:
        """Send callbacks to a URL, or to *path* of an app in this process; returns the callback URL."""
        url = url_or_app
        if not isinstance(url, str):
            url = f"{self.stack.enter_context(served(url))}/{path.lstrip('/')}"
        self.set_callback(url, commands)
        return url


@contextmanager
def local_room_backend(
    *,
    sdkappid: int = SDKAPPID,
    token: str | None = None,
    secret_key: str | None = None,
    start_ms: int,
    options: BackendOptions | None = None,
) -> Iterator[LocalRoomBackend]:
    """A mock Room backend on a free port of loopback; its clock begins at *start_ms* and stands still."""
    app = AppSettings(sdkappid=sdkappid, token=token, secret_key=secret_key)
    service = Service([app], options or BackendOptions(), Store(None), VirtualClock(start_ms))
    with ExitStack() as stack:
        url = stack.enter_context(running(service, service.options.behaviour.administrator))
        backend = LocalRoomBackend(
            url, sdkappid, administrator=service.options.behaviour.administrator, secret_key=secret_key
        )
        stack.callback(backend.close)
        backend.stack = stack
        yield backend
