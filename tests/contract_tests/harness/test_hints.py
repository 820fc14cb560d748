"""What to look at first, told from the answer to a valid callback."""

from __future__ import annotations

import pytest

from roomhook.contract_tests.harness.hints import hint_for
from roomhook.contract_tests.model.exchange import Exchange
from roomhook.contract_tests.model.settings import Settings
from roomhook.simulator.protocol.callback_request import JSON_CONTENT, CallbackRequest
from roomhook.simulator.protocol.outcomes import DeliveryOutcome
from roomhook.simulator.protocol.response_check import Response

TARGET = "http://127.0.0.1:8000/callback"


def hint(status: int, *, headers: tuple[tuple[str, str], ...] = JSON_CONTENT) -> str:
    callback = CallbackRequest(TARGET, b"{}", headers)
    answer = Response(status, (), b"", 1.0)
    exchange = Exchange(callback, answer, DeliveryOutcome.HTTP_STATUS, "", 1.0, 2000.0)
    return hint_for(exchange, Settings(TARGET), every=False)


def test_a_server_error_points_to_the_log() -> None:
    assert hint(500) == "Your handler crashed: look at your app's log."


@pytest.mark.parametrize("status", [415, 422])
@pytest.mark.parametrize("headers", [(), (("Content-Type", "text/plain"),)])
def test_an_unlabelled_body_that_is_refused_points_to_its_label(
    status: int, headers: tuple[tuple[str, str], ...]
) -> None:
    assert "read the raw body, whatever its Content-Type" in hint(status, headers=headers)
    assert "raw body" not in hint(status)
