"""Requirements on the callback URL's parameters: platform, contenttype, client address, order, extras, encoding."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from roomhook.contract_tests.checks.registry import check
from roomhook.contract_tests.harness.case import Case, passes
from roomhook.contract_tests.harness.drafts import ABSENT, CallbackDraft, raw_query
from roomhook.simulator.protocol.callback_url import Parameters

__all__: list[str] = []

_PLATFORMS: Final = {
    "restapi": "RESTAPI",
    "web": "Web",
    "android": "Android",
    "windows": "Windows",
    "ipad": "iPad",
    "unknown": "Unknown",
    "mac": "Mac",
    "macos": "macOS",
    "new": "HarmonyOS",
}


@check(*(f"url.platform.{name}" for name in _PLATFORMS))
def platforms(case: Case) -> None:
    """Each value of OptPlatform, in both spellings where the pages disagree (protocol.md 1.2)."""
    value = _PLATFORMS[case.requirement.id.rpartition(".")[2]]
    case.acknowledges(case.leave().url(OptPlatform=value), note=f"OptPlatform={value}")
    alone = ("operator.other", "id.system", "url.client-ip.zero")
    if value == "RESTAPI" and not case.findings and all(passes(case, one) for one in alone):
        kick = case.leave(Type="Kicked", Operator_Account="administrator", Reason="kicked by your own server")
        kick = kick.url(OptPlatform=value, ClientIP="0.0.0.0")  # noqa: S104 (what REST events carry)
        case.acknowledges(kick, note="a kick with OptPlatform=RESTAPI and ClientIP=0.0.0.0")


def _reversed(params: Parameters) -> str:
    return raw_query(tuple(reversed(params)))


def _with_first_letters_encoded(params: Parameters) -> str:
    """The first letter of every name and of the command percent-encoded, which RFC 3986 holds to be the same."""
    pairs = raw_query(params).split("&")
    encoded = "&".join(f"%{ord(pair[0]):02X}{pair[1:]}" for pair in pairs)
    return encoded.replace("Room.Callback", "%52oom.Callback", 1)


_ACKNOWLEDGED: Final[dict[str, Callable[[Case], CallbackDraft]]] = {
    "url.platform.absent": lambda case: case.leave().url(ClientIP=ABSENT, OptPlatform=ABSENT),
    "url.contenttype.upper": lambda case: case.leave().url(contenttype="JSON"),
    "url.contenttype.absent": lambda case: case.leave().url(contenttype=ABSENT),
    "url.client-ip.zero": lambda case: case.leave().url(ClientIP="0.0.0.0"),  # noqa: S104 (what REST events carry)
    "url.client-ip.v6": lambda case: case.leave().url(ClientIP="2001:db8::7"),
    "url.order": lambda case: case.leave().sent_as(query=_reversed),
    "url.extra": lambda case: case.leave().url(Region="ap-singapore", Debug=""),
    "url.encoded": lambda case: case.leave().sent_as(query=_with_first_letters_encoded),
}


@check(*_ACKNOWLEDGED)
def acknowledged(case: Case) -> None:
    """One departure in the URL, which a sane App backend does not mind."""
    case.acknowledges(_ACKNOWLEDGED[case.requirement.id](case))


@check("url.https")
def https(case: Case) -> None:
    """The page says https; the overviews allow http as well."""
    if case.run.url.scheme != "https":
        case.note("the target is reached by http; the page says https", expected="https", actual="http")
