"""First aid for a valid callback that was not acknowledged: what its answer most often means."""

from __future__ import annotations

from typing import Final

from roomhook.contract_tests.client import Exchange
from roomhook.contract_tests.settings import Settings
from roomhook.simulator.compliance import header
from roomhook.simulator.outcomes import Outcome

__all__ = ["hint_for"]

_BY_STATUS: Final = {
    400: "The callback is valid: look what your parser or validation dislikes in it.",
    401: "Check --sdkappid; if your backend verifies Sign, set ROOMHOOK_TOKEN; a gateway may want --header.",
    403: "Check --sdkappid; if your backend verifies Sign, set ROOMHOOK_TOKEN.",
    404: "Check the path in the target URL; 404 may also mean an SDKAppID, room or member that is not known.",
    405: "Check the path in the target URL: callbacks come by POST.",
    413: "A callback is a few hundred bytes: look for a body limit in front of your backend.",
    415: "Accept application/json.",
    422: "The callback is valid: look which field your validation dislikes, and declare unknown fields as allowed.",
    429: "Callbacks come in bursts when a room ends: exempt this path from rate limiting.",
}


_WITHOUT_ANSWER: Final = {
    Outcome.TIMEOUT: "Answer first and process afterwards; if the target is only slow to start, say --wait-for 30.",
    Outcome.TLS: "For a certificate of your own authority, say --cacert FILE.",
    Outcome.REFUSED: "The target listens no longer: look into its log for what has ended it.",
    Outcome.NOT_HTTP: "Check the port and the scheme, http or https.",
}
_CUT_OFF: Final = "Look into the target's log for a crash in the handler, and check the scheme, http or https."
_CUT_OFF_TLS: Final = "Look into the target's log; one that asks for a client certificate needs --cert FILE."

_ABOUT_THE_TARGET: Final = (401, 403, 404, 405)
"""Whoever has acknowledged a callback before has the right path, SDKAppID and token."""


def hint_for(exchange: Exchange, settings: Settings, *, acknowledged_before: bool = False) -> str:
    """What to look at first, or an empty string; *acknowledged_before* says that the set-up is right."""
    answer = exchange.answer
    if answer is None:
        return _without_answer(exchange)
    if acknowledged_before and (answer.status in _ABOUT_THE_TARGET or answer.status == 200):
        return ""
    if 300 <= answer.status < 400:
        location = header(answer, "Location") or "nowhere"
        return f"Give the final URL: it redirects to {location}, and no redirect is followed."
    if answer.status != 200:
        return _BY_STATUS.get(answer.status, "")
    if exchange.judgement.action_status == "FAIL":
        unknown = "If your backend acknowledges only rooms and members that it knows, say --enter-first"
        existing = ", or name existing ones with --room and --member."
        secret = "" if settings.token else " If it verifies Sign, give its token in ROOMHOOK_TOKEN."
        return f"{unknown}{existing} Check --sdkappid.{secret}"
    return ""


def _without_answer(exchange: Exchange) -> str:
    if exchange.outcome in {Outcome.CLOSED, Outcome.RESET}:
        return _CUT_OFF_TLS if exchange.callback.url.startswith("https:") else _CUT_OFF
    return _WITHOUT_ANSWER.get(exchange.outcome, "")
