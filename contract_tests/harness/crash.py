"""Tells a handler that crashed, with HTTP 5xx or without any answer, from a target that closes on purpose."""

from __future__ import annotations

import threading

from roomhook.contract_tests.harness.context import RunContext
from roomhook.contract_tests.harness.drafts import CallbackDraft
from roomhook.contract_tests.harness.foreign_app import other_region
from roomhook.contract_tests.model.exchange import Exchange
from roomhook.contract_tests.transport.raw_requests import connect
from roomhook.simulator.protocol.response_check import Violation

__all__ = ["CRASH_HINT", "crash_of"]

CRASH_HINT = "Your handler seems to have crashed: look at your app's log."
_CASE = "app-id.wrong"
_CONNECT_S = 1.0


class _RefusalForm:
    """Whether the target refuses by closing the connection; asked once in a run."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.closes: bool | None = None


def crash_of(run: RunContext, exchange: Exchange) -> Violation | None:
    """How the answer to a callback that may be refused shows a crash, or None.

    Servers such as Go's net/http drop the connection when a handler panics. A lost connection is no crash where the
    target answers a foreign SdkAppid in the same way. A target that is gone altogether is the subject of bad.alive.
    """
    if exchange.server_error:
        return Violation("", "any answer below 500", f"HTTP {exchange.status}")
    if exchange.cut_off and _is_there(run) and not _refuses_by_closing(run):
        return Violation("", "any answer below 500", f"it {exchange.outcome.explained}")
    return None


def _is_there(run: RunContext) -> bool:
    """Whether the target takes connections at this moment; asked without waiting for a restart."""
    if run.settings.proxy:
        return True
    try:
        connect(run.url, run.line.client, _CONNECT_S).close()
    except OSError:
        return False
    return True


def _refuses_by_closing(run: RunContext) -> bool:
    form = run.kept(_RefusalForm)
    with form.lock:
        if form.closes is None:
            foreign = CallbackDraft().url(SdkAppid=other_region(str(run.settings.sdkappid)))
            form.closes = run.send(run.builder(_CASE).build(foreign)).cut_off
        return form.closes
