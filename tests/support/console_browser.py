"""A headless Chromium for tests of the console, and a mock Room backend with its console."""

from __future__ import annotations

import shutil
import time
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from recording_target import Target, recording_target

from roomhook.cli.shared.access import guard_rules
from roomhook.cli.shared.contract_runner import run_contract
from roomhook.cli.shared.explained import explained
from roomhook.simulator.console.service_console import ServiceConsole
from roomhook.simulator.room_backend.client import MockRoomBackend
from roomhook.simulator.room_backend.runtime.clock import VirtualClock
from roomhook.simulator.room_backend.runtime.service import Service, parse_apps
from roomhook.simulator.room_backend.runtime.store import Store
from roomhook.simulator.room_backend.server import running
from roomhook.simulator.room_backend.state.options import BackendOptions

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

__all__ = ["APP", "ConsoleRun", "console_running", "new_page", "started_browser"]

APP = 1400000001


@dataclass
class ConsoleRun:
    """A running mock Room backend with its console, and the App backend that it sends to."""

    url: str
    backend: MockRoomBackend
    target: Target
    service: Service


@contextmanager
def console_running(*, auth: str | None = None, callback: bool = True) -> Generator[ConsoleRun]:
    """Run it in this process, on a free port."""
    with ExitStack() as stack:
        target = stack.enter_context(recording_target())
        options = BackendOptions(callback_hosts=frozenset())
        clock = VirtualClock(int(time.time()) * 1000)
        service = Service(parse_apps([APP], [], ["a-secret-token"]), options, Store(None), clock)
        console = ServiceConsole(service, explained, run_contract, auth)
        rules = guard_rules("127.0.0.1", auth, (), lenient=False)
        url = stack.enter_context(running(service, rules, console.routes()))
        stack.callback(console.close)
        backend = MockRoomBackend(url)
        stack.callback(backend.close)
        if callback:
            backend.set_callback(target.url)
        yield ConsoleRun(url, backend, target, service)


def started_browser(*switches: str) -> Iterator[Browser]:
    """A Chromium for the tests of a module, with *switches*; they skip without playwright or Debian's chromium."""
    api: Any = pytest.importorskip("playwright.sync_api", reason="pip install playwright")
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("Chromium is not installed (apt-get install chromium)")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", *switches])
        yield browser
        browser.close()


@contextmanager
def new_page(browser: Browser, url: str, **options: Any) -> Generator[Page]:
    """A page at *url*, without animations; the test fails on a script error and on what the page's policy blocks."""
    # An animation that runs shows what doesn't last: half-faded text has too little contrast.
    context = browser.new_context(reduced_motion="reduce", **options)
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.goto(url)
    yield page
    context.close()
    assert [error for error in errors if "status of 4" not in error] == []
