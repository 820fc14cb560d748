"""What to look at first, told from the answer to a valid callback."""

from __future__ import annotations

from typing import Any

import pytest

from roomhook.contract_tests.harness.hints import hint_for
from roomhook.contract_tests.model.exchange import Exchange
from roomhook.contract_tests.model.settings import Settings
from roomhook.simulator.protocol.callback_request import JSON_CONTENT, CallbackRequest
from roomhook.simulator.protocol.outcomes import DeliveryOutcome
from roomhook.simulator.protocol.response_check import Response

TARGET = "http://127.0.0.1:8000/callback"


def hint(status: int, *, headers: tuple[tuple[str, str], ...] = JSON_CONTENT, body: bytes = b"") -> str:
    callback = CallbackRequest(TARGET, b"{}", headers)
    answer = Response(status, (), body, 1.0)
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


def test_what_follows_the_packet_is_told_from_a_packet_that_is_cut() -> None:
    packet = b'{"ActionStatus": "OK", "ErrorInfo": "", "ErrorCode": 0}'
    assert "More follows the JSON document" in hint(200, body=packet + b" cached")
    assert "More follows" not in hint(200, body=packet[:40])
    assert hint(200, body=b"cached") == ""


@pytest.mark.parametrize("status", [200, 401, 403])
def test_a_token_with_a_blank_or_line_break_at_its_end_is_suspected_first(status: int) -> None:
    assert "begins or ends with a blank or a line break" in about_all(status, token="secret\n")
    assert "compare its token with the one that you gave, of 6 characters" in about_all(status, token="secret")
    assert "give its token in ROOMHOOK_TOKEN" in about_all(status)


@pytest.mark.parametrize("status", [200, 404, 500])
def test_a_target_that_may_mind_strangers_is_offered_members_that_enter_first(status: int) -> None:
    assert "say --enter-first" in about_all(status)
    assert "--enter-first" not in about_all(status, enter_first=True)
    assert "--enter-first" not in hint(status)


def about_all(status: int, **options: Any) -> str:
    """The hint where every valid callback is answered like this."""
    refusal = b'{"ActionStatus":"FAIL","ErrorInfo":"no","ErrorCode":1}'
    answer = Response(status, JSON_CONTENT, refusal, 1.0)
    exchange = Exchange(
        CallbackRequest(TARGET, b"{}", JSON_CONTENT), answer, DeliveryOutcome.DELIVERED, "", 1.0, 2000.0
    )
    return hint_for(exchange, Settings(TARGET, **options), every=True)


@pytest.mark.parametrize("status", [400, 403, 419])
def test_a_complaint_about_csrf_points_to_the_protection(status: int) -> None:
    assert "@csrf_exempt in Django" in hint(status, body=b"<p>CSRF verification failed. Request aborted.</p>")
