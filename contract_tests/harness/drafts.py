"""The baseline callback and each departure from it, as a value that is made anew for every sending."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Final

from roomhook.simulator.protocol.callback_request import JSON_CONTENT, CallbackRequest
from roomhook.simulator.protocol.callback_url import CallbackUrl, Parameters, parameters, sign
from roomhook.simulator.protocol.packets import LEAVE_COMMAND

__all__ = [
    "ABSENT",
    "BEYOND_WINDOW_S",
    "MISTAKEN_SIGNATURES",
    "CallbackDraft",
    "Signature",
    "genuine",
    "raw_query",
    "signed_at",
    "unsigned",
    "wrong_sign",
]

BEYOND_WINDOW_S: Final = 90
"""Seconds off that are surely outside the documented minute, with some room for clocks that differ."""

ABSENT: Final = object()
"""In place of a field's value: the field is left out."""

Signature = Callable[[str, int], Parameters]
"""Token and the target's time (s) to the parameters that authenticate a callback."""


def genuine(token: str, now_s: int) -> Parameters:
    """Sign and RequestTime as documented (protocol.md 1.5)."""
    return (("Sign", sign(token, now_s)), ("RequestTime", str(now_s)))


def unsigned(token: str, now_s: int) -> Parameters:  # noqa: ARG001 (a Signature that needs neither)
    """Neither Sign nor RequestTime."""
    return ()


def wrong_sign(token: str, now_s: int) -> Parameters:  # noqa: ARG001 (a Signature that needs no token)
    """64 zeros, beside the present RequestTime."""
    return (("Sign", "0" * 64), ("RequestTime", str(now_s)))


def signed_at(offset_s: int) -> Signature:
    """A genuine Sign and RequestTime, *offset_s* from the present."""
    return lambda token, now_s: genuine(token, now_s + offset_s)


def _made_by(digest: Callable[[bytes, bytes], str], unit: int = 1) -> Signature:
    def signature(token: str, now_s: int) -> Parameters:
        now = str(now_s * unit)
        return (("Sign", digest(token.encode(), now.encode())), ("RequestTime", now))

    return signature


MISTAKEN_SIGNATURES: Final[dict[str, Signature]] = {
    "sha256(RequestTime + Token)": _made_by(lambda token, now: hashlib.sha256(now + token).hexdigest()),
    "upper-case hex": _made_by(lambda token, now: hashlib.sha256(token + now).hexdigest().upper()),
    "sha256 of a RequestTime in ms": _made_by(lambda token, now: hashlib.sha256(token + now).hexdigest(), 1000),
    "base64": _made_by(lambda token, now: base64.b64encode(hashlib.sha256(token + now).digest()).decode()),
    "HMAC-SHA256 keyed by the token": _made_by(lambda token, now: hmac.digest(token, now, "sha256").hex()),
    "MD5": _made_by(lambda token, now: hashlib.md5(token + now, usedforsecurity=False).hexdigest()),
    "SHA-1": _made_by(lambda token, now: hashlib.sha1(token + now, usedforsecurity=False).hexdigest()),
}
"""What a target may take for Sign = sha256(Token + RequestTime), by how it is made."""


@dataclass(frozen=True)
class CallbackDraft:
    """How a callback departs from the baseline.

    ``fields`` replace, add or drop (``ABSENT``) members of the packet, ``params`` those of the URL; ``body`` makes the
    body out of the finished packet, ``query`` the raw query out of the finished parameters.
    """

    fields: dict[str, Any] = field(default_factory=dict)
    params: dict[str, Any] = field(default_factory=dict)
    headers: tuple[tuple[str, str], ...] = JSON_CONTENT
    method: str = "POST"
    signature: Signature = genuine
    body: Callable[[dict[str, Any]], bytes | None] | None = None
    query: Callable[[Parameters], str] | None = None

    def url(self, **params: Any) -> CallbackDraft:
        """With other URL parameters; ``ABSENT`` drops one."""
        return replace(self, params={**self.params, **params})

    def packet(self, **fields: Any) -> CallbackDraft:
        """With other members of the packet; ``ABSENT`` drops one."""
        return replace(self, fields={**self.fields, **fields})

    def sent_as(
        self,
        *,
        headers: tuple[tuple[str, str], ...] | None = None,
        method: str | None = None,
        signature: Signature | None = None,
        body: Callable[[dict[str, Any]], bytes | None] | bytes | None = None,
        query: Callable[[Parameters], str] | None = None,
    ) -> CallbackDraft:
        """With another envelope: headers, method, signature, the body's bytes or the raw query."""
        made = (lambda _: body) if isinstance(body, bytes) else body
        return replace(
            self,
            headers=self.headers if headers is None else headers,
            method=method or self.method,
            signature=signature or self.signature,
            body=made or self.body,
            query=query or self.query,
        )

    def build(
        self, url: CallbackUrl, packet: dict[str, Any], *, sdkappid: int, token: str | None, client_ip: str, now_s: int
    ) -> CallbackRequest:
        """The callback: the baseline *packet* and URL with this draft's departures; *now_s*: the target's time (s)."""
        finished = _changed(packet, self.fields)
        command = str(packet["CallbackCommand"])
        baseline = dict(parameters(sdkappid=sdkappid, command=command, client_ip=client_ip, platform="iOS"))
        params: Parameters = tuple(_changed(baseline, self.params).items())
        if token is not None:
            params += self.signature(token, now_s)
        body = self.body(finished) if self.body else _as_json(finished)
        return CallbackRequest(
            url=url.with_query(self.query(params)) if self.query else url.with_parameters(params),
            body=body,
            headers=self.headers,
            method=self.method,
            signed=token is not None and self.signature is genuine,
        )

    @property
    def is_leave(self) -> bool:
        """Whether the packet still names the leave command."""
        return bool(self.fields.get("CallbackCommand", LEAVE_COMMAND) == LEAVE_COMMAND)


def _as_json(packet: dict[str, Any]) -> bytes:
    return json.dumps(packet, separators=(",", ":"), ensure_ascii=False).encode()


def raw_query(params: Parameters) -> str:
    """*params* joined as the documents print them, nothing percent-encoded but what must be."""
    return CallbackUrl.parse("http://x").with_parameters(params).partition("?")[2]


def _changed(original: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    merged = {**original, **changes}
    return {key: value for key, value in merged.items() if value is not ABSENT}
