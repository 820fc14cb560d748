"""``check``: hold an App backend against the whole contract from Python, and get the report as data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypedDict, Unpack

from roomhook.contract_tests.api.app_server import reached
from roomhook.contract_tests.engine.suite import SuiteRun
from roomhook.contract_tests.model.known_failures import KnownFailure
from roomhook.contract_tests.model.settings import Settings
from roomhook.contract_tests.model.verdicts import RunEvent, RunFinished, RunStarted
from roomhook.contract_tests.reports.run_report import RunReport, report_of
from roomhook.contract_tests.transport.probe import EnterMembers, Probe

__all__ = ["CheckOptions", "check"]


class CheckOptions(TypedDict, total=False):
    """The options of ``check``, which are those of ``Settings`` and of the command line."""

    sdkappid: int
    token: str | None
    deadline_ms: float
    strict: bool
    refusal: str
    seed: int
    only: Sequence[str]
    exclude: Sequence[str]
    headers: Sequence[tuple[str, str]]
    cacert: Path | None
    insecure: bool
    cert: Path | None
    proxy: str | None
    wait_for_s: float
    clock_skew_s: float
    enter_first: bool
    room: str | None
    members: Sequence[str]
    probe_command: str | None
    probe_pointer: str
    enter_command: str | None
    settle_s: float
    known: Sequence[KnownFailure]
    fuzz: int


def check(
    url_or_app: str | Callable[..., Any],
    *,
    path: str = "/",
    interface: str = "auto",
    probe: str | Probe | None = None,
    enter: EnterMembers | None = None,
    on_event: Callable[[RunEvent], object] | None = None,
    **options: Unpack[CheckOptions],
) -> RunReport:
    """The report of a contract run against a callback URL, or against *path* of an ASGI or WSGI app of this process.

    *interface* is "asgi", "wsgi" or "auto". *probe* is a URL with ``{RoomId}``, or a function from RoomId to the
    accounts in the room; *enter* is a function that brings accounts into a room. *on_event* gets each event as it
    happens. Raises ``ConfigurationError`` for options that cannot be. An unreachable target is a verdict, no error.
    """
    functions: dict[str, Any] = {"enter": enter}
    texts: dict[str, Any] = {"probe": probe} if isinstance(probe, str) else {}
    if not isinstance(probe, str):
        functions["probe"] = probe
    started: RunStarted | None = None
    finished: RunFinished | None = None
    with reached(url_or_app, path, interface) as url:
        for event in SuiteRun(Settings(url, **texts, **options), **functions).events():
            started = event if isinstance(event, RunStarted) else started
            finished = event if isinstance(event, RunFinished) else finished
            if on_event is not None:
                on_event(event)
    assert started is not None
    assert finished is not None
    return report_of(started, finished)
