"""Requirements on Sign and RequestTime, judged only when the user gives the token."""

from __future__ import annotations

from typing import Final
from urllib.parse import parse_qsl, urlsplit

from roomhook.contract_tests.checks.registry import check
from roomhook.contract_tests.harness.case import Case
from roomhook.contract_tests.harness.drafts import BEYOND_WINDOW_S, Signature, genuine, signed_at, unsigned, wrong_sign
from roomhook.contract_tests.harness.refusals import refuses, refuses_known
from roomhook.simulator.protocol.callback_url import Parameters, sign
from roomhook.simulator.protocol.response_check import Violation

__all__: list[str] = []

_AFTER_ITS_SIGN: Final = "after a callback with the same Sign was acknowledged"


def _pair(signature: str, request_time: object) -> Parameters:
    return (("Sign", signature), ("RequestTime", str(request_time)))


def _refused(case: Case, signature: Signature, what: str, *, server_error_ok: bool = True) -> None:
    refuses(case, case.leave().sent_as(signature=signature), what, server_error_ok=server_error_ok)


@check("sign.valid")
def valid(case: Case) -> None:
    """A correct Sign, made from the present second."""
    case.acknowledges(case.leave())


@check("sign.missing")
def missing(case: Case) -> None:
    """No authentication at all, and each half of it."""
    _refused(case, unsigned, "a callback without Sign and RequestTime")
    _refused(case, lambda token, now: genuine(token, now)[:1], "a callback with Sign but without RequestTime")
    _refused(case, lambda token, now: genuine(token, now)[1:], "a callback with RequestTime but without Sign")


@check("sign.wrong")
def wrong(case: Case) -> None:
    """64 hex digits that are none of the token's; and the right ones but for the last, or cut short."""
    _refused(case, wrong_sign, "a callback with a wrong Sign")
    _refused(case, _last_digit_changed, "a Sign that is wrong in its last digit only")
    _refused(case, lambda token, now: _pair(sign(token, now)[:32], now), "the first half of the right Sign")
    refuses_known(
        case, case.leave().sent_as(signature=wrong_sign), "an acknowledged packet that comes again with a wrong Sign"
    )


def _last_digit_changed(token: str, now: int) -> Parameters:
    right = sign(token, now)
    return _pair(right[:-1] + ("0" if right[-1] != "0" else "1"), now)


@check("sign.other-token")
def other_token(case: Case) -> None:
    """A Sign made with another token, and with none."""
    _refused(case, lambda token, now: genuine(token[::-1] + "x", now), "a Sign made with another token")
    _refused(case, lambda _token, now: genuine("", now), "a Sign made without a token")


@check("sign.time-swapped")
def time_swapped(case: Case) -> None:
    """A genuine Sign of ten seconds ago over the present RequestTime; an acknowledged one over an older RequestTime."""
    _refused(
        case,
        lambda token, now: _pair(sign(token, now - 10), now),
        "the Sign of another RequestTime",
    )
    known = None if case.findings else case.send_valid(case.leave())
    if known is not None and known.acknowledged:
        given = dict(parse_qsl(urlsplit(known.callback.url).query))
        earlier = int(given["RequestTime"]) - 10
        refuses(
            case,
            case.leave().sent_as(signature=lambda _token, _now: _pair(given["Sign"], earlier)),
            "the Sign of an acknowledged callback beside another RequestTime",
            series=_AFTER_ITS_SIGN,
        )


@check("sign.stale")
def stale(case: Case) -> None:
    """A genuine Sign from before the window: a replay."""
    case.needs("sign.wrong")
    _refused(case, signed_at(-BEYOND_WINDOW_S), f"a RequestTime {BEYOND_WINDOW_S} s ago")


@check("sign.ahead")
def ahead(case: Case) -> None:
    """A genuine Sign from after the window."""
    case.needs("sign.wrong")
    _refused(case, signed_at(BEYOND_WINDOW_S), f"a RequestTime {BEYOND_WINDOW_S} s ahead")


@check("sign.not-a-number")
def not_a_number(case: Case) -> None:
    """A RequestTime that is none, correctly signed."""
    case.needs("sign.wrong")
    for text in ("soon", "NaN", "1e400", "-1", "9" * 40):
        _refused(case, _at_text(text), f"RequestTime={text}", server_error_ok=False)


def _at_text(text: str) -> Signature:
    return lambda token, _now: _pair(sign(token, text), text)


@check("sign.empty")
def empty(case: Case) -> None:
    """Parameters that are there but hold nothing."""
    case.needs("sign.wrong")
    _refused(case, lambda _token, now: _pair("", now), "an empty Sign", server_error_ok=False)
    _refused(case, lambda token, _now: _pair(sign(token, ""), ""), "an empty RequestTime", server_error_ok=False)


@check("sign.duplicate")
def duplicate(case: Case) -> None:
    """A right Sign beside a wrong one, in both orders."""
    case.needs("sign.wrong")
    wrong_pair = ("Sign", "0" * 64)
    _refused(
        case,
        lambda token, now: (*genuine(token, now), wrong_pair),
        "two Signs, the right one first",
        server_error_ok=False,
    )
    _refused(
        case,
        lambda token, now: (wrong_pair, *genuine(token, now)),
        "two Signs, the wrong one first",
        server_error_ok=False,
    )


@check("sign.upper")
def upper(case: Case) -> None:
    """Worth knowing: whether upper-case hex is taken; the documents show lower case."""
    exchange = case.send(case.leave().sent_as(signature=lambda token, now: _pair(sign(token, now).upper(), now)))
    if not exchange.acknowledged:
        case.blame(exchange, "upper-case hex in Sign is refused", Violation("", "either case", "lower case only"))
