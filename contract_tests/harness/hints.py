"""First aid for a valid callback that was not acknowledged: what its answer most often means."""

from __future__ import annotations

import json
import re
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Final

from roomhook.contract_tests.model.exchange import Exchange
from roomhook.contract_tests.model.settings import Settings
from roomhook.simulator.protocol.outcomes import DeliveryOutcome
from roomhook.simulator.protocol.response_check import Response, header, parse_json

__all__ = ["complains_of_sign", "hint_for"]

_FOR_ONE: Final = {
    400: "The callback is valid: look what your parser or validation dislikes in it.",
    413: "A callback is a few hundred bytes: look for a body limit in front of your backend.",
    415: "Accept application/json.",
    422: "The callback is valid: look which field your validation dislikes, and declare unknown fields as allowed.",
    500: "Your handler crashed: look at your app's log.",
    429: "Callbacks come in bursts when a room ends: exempt this path from rate limiting.",
}
"""What a status tells, whichever callback it answers."""

_FOR_ALL: Final = {
    401: "Check --sdkappid; a gateway may want --header.",
    403: "Check --sdkappid.",
    404: "Check the path in the target URL; 404 may also mean an SDKAppID, room or member that is not known.",
    405: "Check the path in the target URL: callbacks come by POST.",
}
"""What a status tells that answers every callback."""

_MAY_MIND_SIGN: Final = {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}
_MAY_MIND_STRANGERS: Final = {HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT, HTTPStatus.INTERNAL_SERVER_ERROR}


_OF_THE_LABEL: Final = {HTTPStatus.UNSUPPORTED_MEDIA_TYPE, HTTPStatus.UNPROCESSABLE_ENTITY}
_UNLABELLED: Final = "This callback is not labelled application/json: read the raw body, whatever its Content-Type."

_CSRF: Final = (
    "Exempt this path from CSRF protection: @csrf_exempt in Django, the list of exceptions in Laravel, "
    "skip_forgery_protection in Rails."
)
_READ: Final = 65536
"""Bytes of an answer that are looked through."""

_WITHOUT_ANSWER: Final = {
    DeliveryOutcome.TIMEOUT: "Answer first and process afterwards. If the target is slow to start, add --wait-for 30.",
    DeliveryOutcome.TLS: "For a certificate of your own authority, say --cacert FILE.",
    DeliveryOutcome.REFUSED: "The target listens no longer: look into its log for what has ended it.",
    DeliveryOutcome.NOT_HTTP: "Check the port and the scheme, http or https.",
}
_CUT_OFF: Final = "Look into the target's log for a crash in the handler, and check the scheme, http or https."
_CUT_OFF_TLS: Final = "Look into the target's log; one that asks for a client certificate needs --cert FILE."

_CLOCK_TOLERANCE_S: Final = 30


def hint_for(exchange: Exchange, settings: Settings, *, every: bool) -> str:
    """What to look at first, or an empty string; *every* says that even the baseline callback is answered like this."""
    answer = exchange.answer
    if answer is None:
        return _without_answer(exchange)
    if 300 <= answer.status < 400:
        location = header(answer, "Location") or "nowhere"
        return f"Give the final URL: it redirects to {location}, and no redirect is followed."
    if answer.status in {HTTPStatus.UNSUPPORTED_MEDIA_TYPE, HTTPStatus.UNPROCESSABLE_ENTITY} and _is_unlabelled(
        exchange
    ):
        return _UNLABELLED
    if b"CSRF" in answer.body[:_READ].upper() and answer.status != 200:
        return _CSRF
    if answer.status in _FOR_ONE:
        unknown = _about_strangers(settings) if every and answer.status in _MAY_MIND_STRANGERS else ""
        return f"{_FOR_ONE[answer.status]} {unknown}".strip()
    if answer.status == 200 and _holds_more(answer):
        return "More follows the JSON document in the body: send the response packet, and nothing else."
    if answer.status == 200 and _is_cut(answer):
        return "The body ends where Content-Length says, in the middle: that counts bytes, not characters."
    return _about_every_answer(exchange, settings) if every else ""


def _about_every_answer(exchange: Exchange, settings: Settings) -> str:
    if exchange.judgement.action_status != "FAIL" or exchange.status != 200:
        status = exchange.status or 0
        hints = [
            _FOR_ALL.get(status, ""),
            _about_token(settings) if status in _MAY_MIND_SIGN else "",
            _about_strangers(settings) if status in _MAY_MIND_STRANGERS else "",
        ]
        return " ".join(filter(None, hints))
    hints = list(filter(None, [_about_strangers(settings), "Check --sdkappid.", _about_token(settings)]))
    ahead_s = _clock_ahead_s(exchange)
    if abs(ahead_s) > _CLOCK_TOLERANCE_S:
        hints.insert(0, f"Its Date header is {ahead_s:+d} s off the RequestTime: set the clocks, or say --clock-skew.")
    return " ".join(hints)


def _about_strangers(settings: Settings) -> str:
    if settings.enter_first or settings.room is not None:
        return ""
    unknown = "If your backend acknowledges only rooms and members that it knows, say --enter-first"
    return f"{unknown}, or name existing ones with --room and --member."


def _about_token(settings: Settings) -> str:
    token = settings.token
    if token is None:
        return "If your backend verifies Sign, give its token in ROOMHOOK_TOKEN."
    if token != token.strip():
        return (
            "The token that you gave begins or ends with a blank or a line break: give it without (printf, not echo)."
        )
    given = f"the one that you gave, of {len(token)} characters"
    return f"If your backend verifies Sign, compare its token with {given}, and its clock with UTC."


def _clock_ahead_s(exchange: Exchange) -> int:
    """How far the target's clock is ahead of the RequestTime that it was sent, by its Date header (s)."""
    sent = re.search(r"[?&]RequestTime=(\d+)", exchange.callback.url)
    date = header(exchange.answer, "Date") if exchange.answer else None
    try:
        return int(parsedate_to_datetime(date).timestamp()) - int(sent[1]) if sent and date else 0
    except ValueError:
        return 0


def _is_unlabelled(exchange: Exchange) -> bool:
    kinds = [value for name, value in exchange.callback.headers if name.lower() == "content-type"]
    return not any("json" in kind.lower() for kind in kinds)


def _holds_more(answer: Response) -> bool:
    """Whether a whole JSON object begins the body, and is not all of it."""
    text = answer.body[:_READ].decode(errors="replace").lstrip("\ufeff \t\r\n")
    try:
        end = json.JSONDecoder().raw_decode(text)[1]
    except (ValueError, RecursionError):
        return False
    return text.startswith("{") and bool(text[end:].strip())


def _is_cut(answer: Response) -> bool:
    if not answer.body.lstrip().startswith(b"{") or header(answer, "Content-Length") != str(len(answer.body)):
        return False
    try:
        parse_json(answer.body)
    except ValueError:
        return not answer.body.rstrip().endswith(b"}")
    return False


def complains_of_sign(exchange: Exchange) -> bool:
    """Whether an answer that is no acknowledgement names Sign or the signature."""
    return exchange.answer is not None and re.search(rb"(?i)\bsign(ature)?\b", exchange.answer.body[:4096]) is not None


def _without_answer(exchange: Exchange) -> str:
    if exchange.outcome in {DeliveryOutcome.CLOSED, DeliveryOutcome.RESET}:
        return _CUT_OFF_TLS if exchange.callback.url.startswith("https:") else _CUT_OFF
    return _WITHOUT_ANSWER.get(exchange.outcome, "")
