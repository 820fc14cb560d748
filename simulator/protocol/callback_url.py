"""Callback URLs: the documented parameters, appended in their order to the URL that an app has configured."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Self
from urllib.parse import SplitResult, parse_qsl, quote, urlsplit

from roomhook.errors import ConfigurationError
from roomhook.simulator.protocol.callback_request import masked_url

__all__ = ["PLATFORMS", "CallbackUrl", "Parameters", "parameters", "sign"]

PLATFORMS: Final = ("RESTAPI", "Web", "Android", "iOS", "Windows", "Mac", "iPad", "Unknown")
"""OptPlatform as the Chinese overview spells it (protocol.md 1.2; the English one writes macOS)."""

_ADDED: Final = frozenset(
    ("SdkAppid", "CallbackCommand", "contenttype", "ClientIP", "OptPlatform", "Sign", "RequestTime")
)
"""The documented parameters, which the Room backend appends."""

_CREDENTIALS: Final = re.compile(r"//[^/?#]*@")

Parameters = tuple[tuple[str, str], ...]
"""Names and values of the query, decoded, in the order in which they are sent."""


def sign(token: str, request_time: int | str) -> str:
    """``sha256(Token + RequestTime)`` in lower-case hex; *request_time* is in seconds (protocol.md 1.5)."""
    return hashlib.sha256(f"{token}{request_time}".encode()).hexdigest()


def parameters(
    *,
    sdkappid: int | str,
    command: str,
    client_ip: str,
    platform: str,
    contenttype: str = "json",
    token: str | None = None,
    request_time: int | None = None,
) -> Parameters:
    """The documented parameters in documented order; Sign and RequestTime (s) only with a *token* (page, 1.1, 1.5)."""
    documented = (
        ("SdkAppid", str(sdkappid)),
        ("CallbackCommand", command),
        ("contenttype", contenttype),
        ("ClientIP", client_ip),
        ("OptPlatform", platform),
    )
    if token is None:
        return documented
    if request_time is None:
        raise ValueError("a signed callback needs its request_time")
    return (*documented, ("Sign", sign(token, request_time)), ("RequestTime", str(request_time)))


@dataclass(frozen=True, slots=True)
class CallbackUrl:
    """A parsed callback URL.

    ``base`` is everything before the query (scheme, host, port, path; an empty path becomes ``/``), ``query`` is the
    URL's own query, as configured. A fragment is dropped, because HTTP does not send it (protocol.md 7.9).
    """

    scheme: str
    host: str
    port: int
    netloc: str
    path: str
    query: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse *text*; raises ``ConfigurationError`` if it is not a usable URL."""
        parts = _split(text)
        if parts.scheme not in {"http", "https"}:
            hint = f"http://{masked_url(text)}" if "://" not in text else "http://127.0.0.1:8000/callback"
            raise _malformed(text, f"it must start with http:// or https://, as in {hint}")
        try:
            port = parts.port
        except ValueError:
            raise _malformed(text, "its port is not a number from 1 to 65535") from None
        if port == 0:
            raise _malformed(text, "its port is not a number from 1 to 65535")
        if not parts.hostname:
            raise _malformed(text, "it names no host, as in http://127.0.0.1:8000/callback")
        if "@" in parts.netloc:
            raise _malformed(text, "it holds a password; send that by --header 'Authorization: Basic …'")
        host = _ascii_host(text, parts.hostname)
        return cls(
            scheme=parts.scheme,
            host=host,
            port=port or (443 if parts.scheme == "https" else 80),
            netloc=parts.netloc if parts.netloc.isascii() else host if port is None else f"{host}:{port}",
            path=quote(parts.path or "/", safe="/%:@!$&'()*+,;=-._~"),
            query=quote(parts.query, safe="/?%:@!$&'()*+,;=-._~"),
        )

    @classmethod
    def configured(cls, text: str) -> Self:
        """As ``parse``; also refuses a URL that has parameters which the Room backend adds."""
        url = cls.parse(text)
        ours = [name for name, _ in parse_qsl(url.query, keep_blank_values=True) if name in _ADDED]
        if ours:
            names = " and ".join(dict.fromkeys(ours))
            raise _malformed(text, f"leave {names} out, which every callback gets added (--sdkappid says whose it is)")
        return url

    def with_parameters(self, params: Iterable[tuple[str, str]]) -> str:
        """The whole URL with *params* appended; every byte outside RFC 3986's unreserved set is percent-encoded."""
        return self.with_query("&".join(f"{_encoded(name)}={_encoded(value)}" for name, value in params))

    def with_query(self, raw: str) -> str:
        """The whole URL with *raw* (already encoded) appended to the URL's own query, joined by ``&``."""
        return f"{self.scheme}://{self.netloc}{self.target(raw)}"

    def target(self, raw: str) -> str:
        """The request target: path and query as they stand in the request line."""
        query = f"{self.query}&{raw}" if self.query and raw else self.query or raw
        return f"{self.path}?{query}" if query else self.path


@lru_cache(maxsize=1024)
def _encoded(text: str) -> str:
    return quote(text, safe="")


def _split(text: str) -> SplitResult:
    if re.search(r"[\x00-\x20\x7f]", text):
        raise _malformed(text, "percent-encode its spaces and control characters")
    try:
        return urlsplit(text)
    except ValueError as error:
        raise _malformed(text, str(error)) from None


def _ascii_host(text: str, host: str) -> str:
    """*host* for DNS: international names in their ASCII form."""
    try:
        return host.encode("idna").decode()
    except UnicodeError:
        raise _malformed(text, "a part of its host name is empty or longer than 63 characters") from None


def _malformed(text: str, why: str) -> ConfigurationError:
    shown = masked_url(_CREDENTIALS.sub("//…@", text))
    return ConfigurationError(f"{shown!r} is not a callback URL: {why}")
