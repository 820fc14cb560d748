"""The callback URL: parameters appended to whatever an app has configured."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roomhook.errors import ConfigurationError
from roomhook.simulator.protocol.callback_url import CallbackUrl, parameters, sign

TEXT = st.text(st.characters(exclude_categories=["Cs"]))


def documented(**changes: object) -> tuple[tuple[str, str], ...]:
    given_: dict[str, object] = {
        "sdkappid": 1400000001,
        "command": "Room.CallbackAfterMemberLeave",
        "client_ip": "127.0.0.1",
        "platform": "iOS",
    }
    return parameters(**{**given_, **changes})  # type: ignore[arg-type]


def test_the_sample_url_of_the_page() -> None:
    url = CallbackUrl.parse("https://www.example.com").with_parameters(documented())
    assert url == (
        "https://www.example.com/?SdkAppid=1400000001&CallbackCommand=Room.CallbackAfterMemberLeave"
        "&contenttype=json&ClientIP=127.0.0.1&OptPlatform=iOS"
    )


def test_sign_is_the_documented_vector() -> None:
    assert sign("xxxxyyyy", 1669872112) == "17773bc39a671d7b9aa835458704d2a6db81360a5940292b587d6d760d484061"


def test_sign_and_request_time_come_last_and_only_with_a_token() -> None:
    names = [name for name, _ in documented(token="xxxxyyyy", request_time=1669872112)]
    assert names == ["SdkAppid", "CallbackCommand", "contenttype", "ClientIP", "OptPlatform", "Sign", "RequestTime"]
    assert [name for name, _ in documented(request_time=1669872112)] == names[:5]


def test_a_signed_callback_needs_its_time() -> None:
    with pytest.raises(ValueError, match="request_time"):
        documented(token="xxxxyyyy")


@pytest.mark.parametrize(
    ("configured", "called"),
    [
        ("http://h", "http://h/?A=1"),
        ("http://h/", "http://h/?A=1"),
        ("http://h:8000/callback", "http://h:8000/callback?A=1"),
        ("http://h/callback/", "http://h/callback/?A=1"),
        ("http://h/c?tenant=7", "http://h/c?tenant=7&A=1"),
        ("http://h/c?", "http://h/c?A=1"),
        ("http://h?tenant=7", "http://h/?tenant=7&A=1"),
        ("http://h/c?next=%2Fx%3Fy#part", "http://h/c?next=%2Fx%3Fy&A=1"),
        ("http://h/a%2Fb/%E4%BD%A0", "http://h/a%2Fb/%E4%BD%A0?A=1"),
        ("http://h/你好?名=值", "http://h/%E4%BD%A0%E5%A5%BD?%E5%90%8D=%E5%80%BC&A=1"),
        ("http://[::1]:8000/c", "http://[::1]:8000/c?A=1"),
        ("http://bücher.example:81/c", "http://xn--bcher-kva.example:81/c?A=1"),
        ("http://bücher.example/c", "http://xn--bcher-kva.example/c?A=1"),
        ("HTTP://Example.COM/c", "http://Example.COM/c?A=1"),
    ],
)
def test_parameters_are_appended_to_any_configured_url(configured: str, called: str) -> None:
    assert CallbackUrl.parse(configured).with_parameters([("A", "1")]) == called


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("http://h/", "h", 80),
        ("https://h/", "h", 443),
        ("https://h:8443/", "h", 8443),
        ("http://[2001:db8::1]:99/", "2001:db8::1", 99),
        ("https://H.Example/", "h.example", 443),
    ],
)
def test_host_and_port_are_those_to_connect_to(text: str, host: str, port: int) -> None:
    url = CallbackUrl.parse(text)
    assert (url.host, url.port) == (host, port)


def test_the_request_target_is_path_and_query() -> None:
    assert CallbackUrl.parse("https://h:1/c?x=1").target("A=1") == "/c?x=1&A=1"
    assert CallbackUrl.parse("https://h:1/c").target("") == "/c"
    assert CallbackUrl.parse("https://h:1").with_query("SdkAppid=%31") == "https://h:1/?SdkAppid=%31"


@given(st.lists(st.tuples(TEXT, TEXT)), st.sampled_from(["http://h", "http://h/c?x=%20", "http://[::1]:1/ü?ü"]))
def test_whatever_is_appended_is_read_back(pairs: list[tuple[str, str]], configured: str) -> None:
    url = CallbackUrl.parse(configured).with_parameters(pairs)
    assert url.isascii()
    own = parse_qsl(urlsplit(configured).query, keep_blank_values=True)
    assert parse_qsl(urlsplit(url).query, keep_blank_values=True) == own + pairs


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("", "http://"),
        ("h:8000/callback", "http://h:8000/callback"),
        ("127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("ftp://h/", "http:// or https://"),
        ("http://", "names no host"),
        ("http:///callback", "names no host"),
        ("http://h:0/", "1 to 65535"),
        ("http://h:65536/", "1 to 65535"),
        ("http://h:http/", "1 to 65535"),
        ("http://[::1/", "Invalid IPv6"),
        ("http://h/a b", "percent-encode"),
        ("http://h/\r\nX: y", "percent-encode"),
        ("http://a..b/", "host name"),
        ("http://" + "a" * 64 + ".example/", "host name"),
    ],
)
def test_a_url_that_cannot_be_called_is_refused_with_the_remedy(text: str, remedy: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        CallbackUrl.parse(text)
    message = str(raised.value)
    assert remedy in message
    assert "\n" not in message


def test_a_url_with_a_password_is_refused_without_telling_it() -> None:
    with pytest.raises(ConfigurationError, match="Authorization") as raised:
        CallbackUrl.parse("http://user:secret@h/")
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("SdkAppid=1400000001&CallbackCommand=Room.CallbackAfterMemberLeave", "SdkAppid and CallbackCommand"),
        ("tenant=7&Sign=", "Sign"),
        ("contenttype=json", "contenttype"),
    ],
)
def test_a_configured_url_holds_nothing_that_every_callback_gets_added(query: str, named: str) -> None:
    with pytest.raises(ConfigurationError, match=f"leave {named} out, which every callback gets added"):
        CallbackUrl.configured(f"http://127.0.0.1:8000/callback?{query}")


def test_a_configured_url_may_have_parameters_of_its_own() -> None:
    assert CallbackUrl.configured("http://127.0.0.1:8000/callback?tenant=7&sdkappid=8").query == "tenant=7&sdkappid=8"
