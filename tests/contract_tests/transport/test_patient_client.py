"""When the line to a target is broken: by callbacks that hang one after the other, not by one stall."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from roomhook.contract_tests.model.exchange import Exchange
from roomhook.contract_tests.model.settings import Settings
from roomhook.contract_tests.transport.client import Client, user_agent
from roomhook.contract_tests.transport.patient_client import PatientClient
from roomhook.contract_tests.transport.raw_requests import head
from roomhook.simulator.protocol.callback_request import CallbackRequest
from roomhook.simulator.protocol.callback_url import CallbackUrl
from roomhook.simulator.protocol.outcomes import DeliveryOutcome

CALLBACK = CallbackRequest("http://127.0.0.1:1/", b"{}")


@pytest.fixture
def line() -> PatientClient:
    return PatientClient(Settings("http://127.0.0.1:1/"), clock=time.time, pause=lambda _: None)


def hanging(monkeypatch: pytest.MonkeyPatch, wait: Callable[[], object] = lambda: None) -> None:
    def send(_: Client, callback: CallbackRequest, *, deadline_ms: float, **__: Any) -> Exchange:
        started = time.monotonic()
        wait()
        elapsed_ms = (time.monotonic() - started) * 1000
        return Exchange(callback, None, DeliveryOutcome.TIMEOUT, "none", elapsed_ms, deadline_ms)

    monkeypatch.setattr(Client, "send", send)


def test_three_callbacks_that_hang_one_after_the_other_break_the_line(
    line: PatientClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    hanging(monkeypatch)
    for _ in range(2):
        line.send(CALLBACK)
    assert not line.broken
    line.send(CALLBACK)
    assert line.broken.startswith("3 callbacks in a row got no answer")


def test_six_callbacks_that_one_stall_holds_up_side_by_side_count_as_one(
    line: PatientClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    stall = threading.Barrier(6)
    hanging(monkeypatch, stall.wait)
    with ThreadPoolExecutor(6) as lanes:
        list(lanes.map(line.send, [CALLBACK] * 6))
    assert not line.broken


def test_the_silence_of_the_whole_warm_up_breaks_the_line(line: PatientClient) -> None:
    silence = [Exchange(CALLBACK, None, DeliveryOutcome.TIMEOUT, "none", 5000, 2000)] * 3
    assert line.record_silence(silence)


def test_a_raw_request_calls_itself_as_every_other_callback_does() -> None:
    raw = head(CallbackUrl.parse("http://127.0.0.1:1/"), CALLBACK, ())
    assert f"\r\nUser-Agent: {user_agent()}\r\n".encode() in raw
