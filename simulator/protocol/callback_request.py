"""One callback as an HTTP request, as it was recorded, and how much of it may be shown."""

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
"""Request headers that hold no secret; any other may, whatever its name."""

_HARMLESS: Final = "\t\u200c\u200d"
"""Unprintable in name only: the tab, and the two joiners that emoji and several scripts need."""


@dataclass(frozen=True, slots=True)
class CallbackRequest:
    """A request as it is sent: ``url`` and ``body`` travel byte by byte.

    ``signed`` says that the URL's Sign and RequestTime are genuine, so that a repeating line may compute fresh ones.
    """

    url: str
    body: bytes | None
    headers: tuple[tuple[str, str], ...] = JSON_CONTENT
    method: str = "POST"
    signed: bool = False


def recorded_message(data: bytes) -> tuple[str, tuple[tuple[str, str], ...], bytes]:
    """First line, headers and body of recorded bytes, a request's or an answer's."""
    head, _, body = data.partition(b"\r\n\r\n")
    line, *lines = head.decode("latin-1").split("\r\n")
    pairs = ((name, value.strip()) for name, _, value in (one.partition(":") for one in lines))
    return line, tuple(pairs), body


def recorded_request(data: bytes, origin: str = "") -> CallbackRequest:
    """The request that recorded bytes hold; *origin* (``http://host:port``), if given, replaces its Host."""
    line, pairs, body = recorded_message(data)
    method, _, rest = line.partition(" ")
    target = rest.partition(" HTTP/")[0]
    host = next((value for name, value in pairs if name.lower() == "host"), "localhost")
    return CallbackRequest((origin or f"http://{host}") + target, body, pairs, method or "POST")


def masked(callback: CallbackRequest) -> CallbackRequest:
    """*callback* as it may be shown: without secret URL parameters, and with the values of public headers only."""
    headers = tuple((name, value if name.lower() in _PUBLIC else "***") for name, value in callback.headers)
    return replace(callback, url=masked_url(callback.url), headers=headers)


def masked_answer(headers: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """The *headers* of a response as they may be shown: cookies and the like are gone."""
    return tuple((name, "***" if _SECRET.search(name) else value) for name, value in headers)


def masked_url(url: str) -> str:
    """*url* as it may be shown: ``?token=abc`` in a configured callback URL is a secret, as a header would be."""
    before, mark, query = url.partition("?")
    return before + mark + "&".join(_masked_parameter(one) for one in query.split("&"))


def _masked_parameter(parameter: str) -> str:
    name, equals, value = parameter.partition("=")
    return f"{name}{equals}***" if value and _SECRET.search(unquote(name)) else parameter


def printable(text: str) -> str:
    """*text* with what would steer a terminal made visible: it comes from the target."""
    return "".join(one if one.isprintable() or one in _HARMLESS else repr(one)[1:-1] for one in text)
