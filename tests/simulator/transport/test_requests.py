"""Requests as the Room backend writes them, byte by byte, and the targets that they may go to."""

from __future__ import annotations

import pytest
from sender_runs import EVENT, target

from roomhook.errors import ConfigurationError
from roomhook.simulator.protocol.callback_event import CallbackEvent
from roomhook.simulator.protocol.callback_request import CallbackRequest
from roomhook.simulator.protocol.callback_url import CallbackUrl, sign
from roomhook.simulator.transport.allowed_hosts import is_this_machine, require_allowed


def test_the_request_is_the_documented_one_byte_by_byte() -> None:
    there = target("http://127.0.0.1:8000/hook?tenant=a", token="xxxxyyyy")
    request = there.request(EVENT, 1669872112)
    line, _, rest = request.partition(b"\r\n")
    assert line == (
        b"POST /hook?tenant=a&SdkAppid=1400000001&CallbackCommand=Room.CallbackAfterMemberLeave&contenttype=json"
        b"&ClientIP=203.0.113.7&OptPlatform=iOS"
        b"&Sign=17773bc39a671d7b9aa835458704d2a6db81360a5940292b587d6d760d484061&RequestTime=1669872112 HTTP/1.1"
    )
    head, _, body = rest.partition(b"\r\n\r\n")
    assert body == EVENT.body
    assert [one.split(b":")[0] for one in head.split(b"\r\n")] == [
        b"Host",
        b"User-Agent",
        b"Content-Type",
        b"Content-Length",
    ]
    assert b"Host: 127.0.0.1:8000\r\n" in rest
    later = there.request(EVENT, 1669872113)
    assert sign("xxxxyyyy", 1669872113).encode() in later
    assert later.endswith(EVENT.body)
    shown = there.callback(EVENT, 1669872112)
    assert shown.url.encode().endswith(line.split(b" ")[1])
    assert there.raw_request(shown) == request


def test_a_users_header_replaces_ours_and_an_empty_one_drops_it() -> None:
    there = target("http://example.com/", headers=(("Host", "gateway"), ("X-Key", "1"), ("Content-Type", "")))
    head = there.request(EVENT, 0).partition(b"\r\n\r\n")[0]
    assert b"\r\nHost: gateway\r\n" in head
    assert b"\r\nX-Key: 1\r\n" in head
    assert b"Content-Type" not in head


@pytest.mark.parametrize("header", [("X\r\nY", "1"), ("X", "1\r\nY: 2"), ("", "1"), ("Content-Length", "3")])
def test_a_header_that_would_break_the_request_is_refused(header: tuple[str, str]) -> None:
    with pytest.raises(ConfigurationError):
        target("http://127.0.0.1/", headers=(header,))


def test_strange_values_are_percent_encoded_and_an_ipv6_target_is_bracketed() -> None:
    event = CallbackEvent(0, "Room.A&B", "2001:db8::1", "i OS", b"")
    request = target("http://[::1]:8000").request(event, 0)
    assert b"CallbackCommand=Room.A%26B&" in request
    assert b"&ClientIP=2001%3Adb8%3A%3A1&OptPlatform=i%20OS HTTP/1.1\r\nHost: [::1]:8000\r\n" in request


def test_a_raw_request_keeps_whatever_it_is_given() -> None:
    callback = CallbackRequest("http://127.0.0.1:8000/x?%53dkAppid=1", None, headers=(), method="GET")
    request = target("http://127.0.0.1:8000/").raw_request(callback)
    assert request.startswith(b"GET /x?%53dkAppid=1 HTTP/1.1\r\nHost: 127.0.0.1:8000\r\n")
    assert b"Content-" not in request


def test_only_this_machine_is_a_target_unless_named() -> None:
    for url in ("http://127.0.0.1/", "http://localhost:80/", "http://[::1]/", "http://127.9.9.9/", "http://0.0.0.0:1/"):
        require_allowed(CallbackUrl.parse(url), ())
    far = CallbackUrl.parse("https://203.0.113.9/cb")
    with pytest.raises(ConfigurationError, match=r"add --allow-host 203\.0\.113\.9"):
        require_allowed(far, ("example.com",))
    require_allowed(far, ("203.0.113.9",))
    assert not is_this_machine("nowhere.invalid")
