"""Protects Roomhook's servers from foreign web pages: checks Host, Origin, Sec-Fetch-Site, Content-Type and a token."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import json
from collections.abc import Awaitable, Callable, Collection, Mapping, MutableMapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from starlette.requests import ClientDisconnect

__all__ = ["COOKIE", "GuardRules", "HttpGuard", "cookie_value", "is_loopback_name"]

COOKIE: Final = "roomhook_auth"
"""The cookie of a browser that has sent the token."""

_WRITING: Final = frozenset({"POST", "PUT", "PATCH", "DELETE"})

_Scope = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
_Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
_App = Callable[[_Scope, _Receive, _Send], Awaitable[None]]


@dataclass(frozen=True, kw_only=True)
class GuardRules:
    """The rules of a guard.

    ``hosts`` are names allowed in Host besides IP addresses and localhost. ``token``, if set, is required with every
    request whose path does not start with one of ``without_token``; browsers without it are sent to the path ``login``.
    Bodies for paths that start with one of ``json_only`` must be application/json.
    """

    hosts: Collection[str] = ()
    token: str | None = None
    without_token: tuple[str, ...] = ()
    login: str | None = None
    json_only: tuple[str, ...] = ()

    def refusal(self, method: str, path: str, headers: Mapping[str, str]) -> tuple[int, str] | None:
        """The HTTP status and the reason to refuse a request, or None. Names in *headers* are lower-case."""
        host = headers.get("host", "")
        authorised = self.token is not None and _brings(headers, self.token)
        if not authorised and host and not self._is_known(host):
            return 403, f"the Host {host[:100]} is unknown; use 127.0.0.1, or allow the name by --allow-host"
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc.lower() != host.lower():
            return 403, f"the Origin {origin[:100]} is foreign; only pages of this server may call it"
        if headers.get("sec-fetch-site") in {"cross-site", "same-site"} and not _is_navigation(method, headers):
            return 403, "a page of another site may not call this server (Sec-Fetch-Site)"
        if self.token is not None and not authorised and not path.startswith(self.without_token):
            return 401, "the token is missing or wrong; send Authorization: Bearer TOKEN with that of --auth"
        kind = headers.get("content-type", "application/json").partition(";")[0].strip().lower()
        if method in _WRITING and kind != "application/json" and path.startswith(self.json_only):
            return 415, f"the Content-Type {kind[:100]} is refused; send -H 'Content-Type: application/json'"
        return None

    def _is_known(self, host: str) -> bool:
        name = (urlsplit(f"//{host}").hostname or "") if "@" not in host else ""
        return name in {one.lower() for one in self.hosts} or is_loopback_name(name) or _is_address(name)


class HttpGuard:
    """ASGI middleware that answers requests against the *rules* itself, and ends those whose client is gone."""

    def __init__(self, app: _App, rules: GuardRules) -> None:
        self._app = app
        self._rules = rules

    async def __call__(self, scope: _Scope, receive: _Receive, send: _Send) -> None:
        """Pass the request on or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        path = scope["path"]
        try:
            refused = self._rules.refusal(scope["method"], path, headers)
        except ValueError:  # a Host or Origin that can't be parsed
            refused = 403, "the Host or Origin is malformed"
        if refused is None:
            with suppress(ClientDisconnect):  # nobody reads an answer
                await self._app(scope, receive, send)
            return
        status, reason = refused
        fields = [(b"content-type", b"application/json"), (b"connection", b"close")]
        if status == 401 and self._rules.login is not None and _is_navigation(scope["method"], headers):
            status = 303
            fields.append((b"location", self._rules.login.encode()))
        body = json.dumps({"ActionStatus": "FAIL", "ErrorInfo": reason, "ErrorCode": 60002}).encode()
        fields.append((b"content-length", b"%d" % len(body)))
        await send({"type": "http.response.start", "status": status, "headers": fields})
        await send({"type": "http.response.body", "body": body})


def cookie_value(token: str) -> str:
    """The value of the cookie: a digest, so that no browser stores the token."""
    return hashlib.sha256(f"roomhook console {token}".encode()).hexdigest()


def is_loopback_name(host: str) -> bool:
    """Whether *host* is localhost or a loopback address, without a DNS query."""
    name = host.lower().strip("[]").rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None) or address
    return bool(mapped.is_loopback or mapped.is_unspecified)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        return False
    return True


def _is_navigation(method: str, headers: Mapping[str, str]) -> bool:
    """Whether the user follows a link: the other page can't read the response, and GET changes nothing."""
    return method in {"GET", "HEAD"} and headers.get("sec-fetch-mode", "navigate") == "navigate"


def _brings(headers: Mapping[str, str], token: str) -> bool:
    """Whether a request has the token in Authorization, or its cookie."""
    scheme, _, value = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return hmac.compare_digest(value.strip().encode(), token.encode())
    pairs = (pair.strip().partition("=") for pair in headers.get("cookie", "").split(";"))
    given = next((value for name, _, value in pairs if name == COOKIE), "")
    return hmac.compare_digest(given.encode(), cookie_value(token).encode())
