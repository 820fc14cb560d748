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


def hint_for(exchange: Exchange, settings: Settings) -> str:
    """What to look at first, or an empty string."""
    answer = exchange.answer
    if answer is None:
        return _without_answer(exchange.outcome)
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


def _without_answer(outcome: Outcome) -> str:
    if outcome is Outcome.TIMEOUT:
        return "Answer first and process afterwards; if the target is only slow to start, say --wait-for 30."
    if outcome is Outcome.TLS:
        return "For a certificate of your own authority, say --cacert FILE."
    return ""
