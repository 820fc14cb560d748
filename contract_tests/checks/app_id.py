"""Requirements on the SDKAppID: every callback that is not the App backend's own is refused."""

from __future__ import annotations

from roomhook.contract_tests.checks.registry import check
from roomhook.contract_tests.harness.case import Case, taken_as_valid
from roomhook.contract_tests.harness.drafts import ABSENT, CallbackDraft, raw_query
from roomhook.contract_tests.harness.foreign_app import other_region
from roomhook.contract_tests.harness.refusals import need_explicit_refusal, refuses, refuses_known
from roomhook.simulator.protocol.response_check import Violation, header

__all__: list[str] = []


def _own(case: Case) -> str:
    return str(case.run.settings.sdkappid)


def _next_digit(own: str, position: int) -> str:
    changed = str((int(own[position]) + 1) % 10)
    return own[:position] + changed + own[position + 1 :] if position != -1 else own[:-1] + changed


def _as(case: Case, sdkappid: object) -> CallbackDraft:
    return case.leave().url(SdkAppid=sdkappid)


@check("app-id.wrong")
def wrong(case: Case) -> None:
    """Somebody else's app."""
    other = other_region(_own(case))
    refuses(case, _as(case, other), f"a callback of SdkAppid {other}")
    refuses_known(case, _as(case, other), f"an acknowledged packet that comes again under SdkAppid {other}")


@check("app-id.missing")
def missing(case: Case) -> None:
    """No SdkAppid at all, and a parameter whose name only ends so."""
    refuses(case, _as(case, ABSENT), "a callback without SdkAppid")
    if not case.findings:
        lookalike = _as(case, ABSENT).url(XSdkAppid=_own(case))
        refuses(case, lookalike, "a callback with XSdkAppid in place of SdkAppid")


@check("app-id.empty")
def empty(case: Case) -> None:
    """SdkAppid= and nothing behind it."""
    refuses(case, _as(case, ""), "a callback with an empty SdkAppid")


@check("app-id.near")
def near(case: Case) -> None:
    """Ids that a prefix test, a substring test or a lossy number would take for the own one."""
    own = _own(case)
    ids = [f"{own}0", f"9{own}", f"1{own}1", own[:-1], own[1:], _next_digit(own, -1), _next_digit(own, len(own) // 2)]
    for one in dict.fromkeys(ids):
        if one and one.lstrip("0") != own:
            refuses(case, _as(case, one), f"a callback of SdkAppid {one}, near {own},")


@check("app-id.padded")
def padded(case: Case) -> None:
    """The own id, dressed up with zeros or spaces."""
    case.needs("app-id.wrong")
    own = _own(case)
    for one in (f"0{own}", f"000{own}", f" {own}", f"{own} "):
        refuses(case, _as(case, one), f"a callback of SdkAppid {one!r}")


@check("app-id.duplicate")
def duplicate(case: Case) -> None:
    """Two ids in one URL: whichever an App backend reads, somebody else may read the other."""
    case.needs("app-id.wrong")
    other = other_region(_own(case))
    refuses(
        case,
        case.leave().sent_as(query=lambda params: raw_query((*params, ("SdkAppid", other)))),
        f"a callback with its own SdkAppid and then {other}",
    )
    refuses(
        case,
        case.leave().sent_as(query=lambda params: raw_query((("SdkAppid", other), *params))),
        f"a callback with SdkAppid {other} and then its own",
    )


@check("app-id.elsewhere")
def elsewhere(case: Case) -> None:
    """The id only in the body, or only in a header: the documents put it into the URL."""
    case.needs("app-id.wrong")
    case.needs("app-id.missing")
    own = case.run.settings.sdkappid
    in_body = case.leave(SdkAppid=own, SdkAppId=str(own)).url(SdkAppid=ABSENT)
    refuses(case, in_body, "a callback with SdkAppid in the body only")
    headers = (("Content-Type", "application/json"), ("SdkAppid", str(own)))
    in_header = case.leave().url(SdkAppid=ABSENT).sent_as(headers=headers)
    refuses(case, in_header, "a callback with SdkAppid in a header only")


@check("app-id.recovers")
def recovers(case: Case) -> None:
    """A refusal must not spoil what follows, on the same connection if the target keeps it open."""
    foreign = _as(case, other_region(_own(case)))
    for _ in range(2):
        with case.run.line.client.connection() as connection:
            case.send(foreign, connection=connection)
            case.run.pause(0.02)  # a target that closes is given the time to say so
            exchange = case.send_valid(case.leave(), connection=connection)
        if exchange.acknowledged:
            return
        if exchange.cut_off and exchange.reused:
            case.acknowledges(case.leave(), note="a valid callback on a new connection after a refused one")
            return
    case.needs("http.reuse")
    case.blame_unacknowledged(exchange, "a valid callback right after a refused one")


@check("app-id.packet")
def packet(case: Case) -> None:
    """Worth knowing: whether the refusal itself is a response packet."""
    need_explicit_refusal(case)
    exchange = case.send(_as(case, other_region(_own(case))))
    if taken_as_valid(exchange):
        return  # app-id.wrong says it
    breaches = [one for one in exchange.judgement.breaches if one.requirement != "ack.ok"]
    if breaches:
        kind = header(exchange.answer, "Content-Type") if exchange.answer else None
        body = "" if exchange.answer is None or exchange.answer.body else ", an empty body"
        answered = f"HTTP {exchange.status}, {kind or 'no Content-Type'}{body}"
        shown = answered if exchange.answer else exchange.outcome.explained
        expected = "a response packet with ActionStatus FAIL"
        case.blame(exchange, "a refusal is no response packet", Violation("", expected, shown))
