"""What a foreign web page, or a name that leads to loopback, may do to our servers: nothing."""

from __future__ import annotations

import pytest

from roomhook.simulator.http_server.http_guard import COOKIE, GuardRules, cookie_value, is_loopback_name

RULES = GuardRules(hosts=("backend.test",), json_only=("/sim/",))
SECRET = GuardRules(token="s3cret", without_token=("/v4/",), login="/console/login", json_only=("/sim/",))
JSON = {"content-type": "application/json"}


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "127.0.0.1:8090", **JSON},
        {"host": "[::1]:8090", **JSON},
        {"host": "localhost:8090", "content-type": "application/json; charset=utf-8"},
        {"host": "app.localhost", **JSON},
        {"host": "192.0.2.7:8090", **JSON},
        {"host": "Backend.test:8090", **JSON},
        {"host": "127.0.0.1:8090"},
        {"host": "127.0.0.1:8090", "origin": "http://127.0.0.1:8090", "sec-fetch-site": "same-origin", **JSON},
        {"host": "127.0.0.1:8090", "sec-fetch-site": "none", **JSON},
    ],
)
def test_programs_and_our_own_pages_are_let_through(headers: dict[str, str]) -> None:
    assert RULES.refusal("POST", "/sim/enter", headers) is None


@pytest.mark.parametrize(
    ("headers", "status", "said"),
    [
        ({"host": "evil.example", **JSON}, 403, "--allow-host"),
        ({"host": "127.0.0.1.evil.example:8090", **JSON}, 403, "Host"),
        ({"host": "127.0.0.1@evil.example", **JSON}, 403, "Host"),
        ({"host": "127.0.0.1:8090", "origin": "http://evil.example", **JSON}, 403, "Origin"),
        ({"host": "127.0.0.1:8090", "origin": "http://127.0.0.1:8091", **JSON}, 403, "Origin"),
        ({"host": "127.0.0.1:8090", "origin": "null", **JSON}, 403, "Origin"),
        ({"host": "127.0.0.1:8090", "origin": "", **JSON}, 403, "Origin"),
        ({"host": "127.0.0.1:8090", "sec-fetch-site": "cross-site", **JSON}, 403, "Sec-Fetch-Site"),
        ({"host": "127.0.0.1:8090", "sec-fetch-site": "same-site", **JSON}, 403, "Sec-Fetch-Site"),
        ({"host": "127.0.0.1:8090", "content-type": "text/plain"}, 415, "application/json"),
        ({"host": "127.0.0.1:8090", "content-type": "application/x-www-form-urlencoded"}, 415, "application/json"),
    ],
)
def test_foreign_pages_and_rebound_names_are_refused(headers: dict[str, str], status: int, said: str) -> None:
    refused = RULES.refusal("POST", "/sim/enter", headers)
    assert refused is not None
    assert refused[0] == status
    assert said in refused[1]


def test_a_link_on_another_page_may_lead_to_ours_and_a_script_there_may_not_read_it() -> None:
    link = {"host": "localhost", "sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
    assert RULES.refusal("GET", "/console", link) is None
    assert RULES.refusal("GET", "/sim/rooms", {**link, "sec-fetch-mode": "no-cors"}) is not None
    assert RULES.refusal("POST", "/sim/reset", {**link, **JSON}) is not None


def test_a_token_is_demanded_everywhere_but_under_v4() -> None:
    host = {"host": "192.0.2.7"}
    for headers in ({}, {"authorization": "Bearer wrong"}, {"authorization": "s3cret"}, {"cookie": f"{COOKIE}=s3cret"}):
        refused = SECRET.refusal("GET", "/sim/rooms", {**host, **headers})
        assert refused is not None
        assert refused[0] == 401
        assert SECRET.refusal("POST", "/v4/x", {**host, **headers}) is None
    for headers in ({"authorization": "Bearer s3cret"}, {"cookie": f"a=b; {COOKIE}={cookie_value('s3cret')}"}):
        assert SECRET.refusal("GET", "/sim/rooms", {**host, **headers}) is None
    named = {"host": "roomhook", "authorization": "Bearer s3cret"}
    assert SECRET.refusal("GET", "/sim/rooms", named) is None, "a page that was led here by a name has no token"
    foreign = {**host, "cookie": f"{COOKIE}={cookie_value('s3cret')}", "origin": "http://evil.example"}
    assert SECRET.refusal("POST", "/sim/reset", {**foreign, **JSON}) is not None


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "[::1]", "localhost", "a.localhost", "0.0.0.0"])
def test_loopback_is_known_without_a_name_server(host: str) -> None:
    assert is_loopback_name(host)


@pytest.mark.parametrize("host", ["10.0.0.1", "localhost.example", "example", "::2", "", "127.0.0.1.nip.io"])
def test_what_is_not_loopback(host: str) -> None:
    assert not is_loopback_name(host)
