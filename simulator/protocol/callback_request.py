"""One callback as an HTTP request, and the masking of its secrets."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import unquote

__all__ = [
    "JSON_CONTENT",
    "CallbackRequest",
    "masked",
    "masked_answer",
    "masked_url",
    "printable",
    "recorded_message",
    "recorded_request",
]

JSON_CONTENT: Final = (("Content-Type", "application/json"),)

_SECRET = re.compile(
    r"(?i)authorization|cookie|token|secret|passw|pwd|credential|session|signature|(?:api|access|auth)[-_]?key|^(?:key|auth|sig|code)$"
)
_PUBLIC: Final = frozenset(
    [
        "accept",
        "accept-encoding",
        "accept-language",
        "cache-control",
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "date",
        "expect",
        "host",
        "sdkappid",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "user-agent",
        "via",
    ]
)
"""Request headers without secrets; any other may have one."""

_HARMLESS: Final = "\t\u200c\u200d"
"""Harmless in a terminal: the tab, and the two joiners of emoji and several scripts."""


@dataclass(frozen=True, slots=True)
class CallbackRequest:
    """A request to be sent: ``url`` and ``body`` travel byte for byte.

    ``signed`` says that Sign and RequestTime of the URL are genuine, so a curl line may compute new ones.
    """

    url: str
    body: bytes | None
    headers: tuple[tuple[str, str], ...] = JSON_CONTENT
    method: str = "POST"
    signed: bool = False


def recorded_message(data: bytes) -> tuple[str, tuple[tuple[str, str], ...], bytes]:
    """First line, headers and body of the recorded bytes of a request or a response."""
    head, _, body = data.partition(b"\r\n\r\n")
    line, *lines = head.decode("latin-1").split("\r\n")
    pairs = ((name, value.strip()) for name, _, value in (one.partition(":") for one in lines))
    return line, tuple(pairs), body


def recorded_request(data: bytes, origin: str = "") -> CallbackRequest:
    """The request in recorded bytes; *origin* (``http://host:port``), if given, replaces its Host."""
    line, pairs, body = recorded_message(data)
    method, _, rest = line.partition(" ")
    target = rest.partition(" HTTP/")[0]
    host = next((value for name, value in pairs if name.lower() == "host"), "localhost")
    return CallbackRequest((origin or f"http://{host}") + target, body, pairs, method or "POST")


def masked(callback: CallbackRequest) -> CallbackRequest:
    """*callback* for display: without secret URL parameters, and with the values of public headers only."""
    headers = tuple((name, value if name.lower() in _PUBLIC else "***") for name, value in callback.headers)
    return replace(callback, url=masked_url(callback.url), headers=headers)


def masked_answer(headers: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """The *headers* of a response for display, without cookies and other secrets."""
    return tuple((name, "***" if _SECRET.search(name) else value) for name, value in headers)


def masked_url(url: str) -> str:
    """*url* for display: ``?token=abc`` in a configured callback URL is a secret, as in a header."""
    before, mark, query = url.partition("?")
    return before + mark + "&".join(_masked_parameter(one) for one in query.split("&"))


def _masked_parameter(parameter: str) -> str:
    name, equals, value = parameter.partition("=")
    return f"{name}{equals}***" if value and _SECRET.search(unquote(name)) else parameter


def printable(text: str) -> str:
    """*text* from a target, with terminal control characters made visible."""
    return "".join(one if one.isprintable() or one in _HARMLESS else repr(one)[1:-1] for one in text)
