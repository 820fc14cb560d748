"""Requirements that every answer to a valid callback is held to, and those whose value the baseline itself uses.

The engine sends the baseline before any check runs (``suite.Run.open``); a check here runs only once it
was acknowledged, so most of them have nothing left to ask.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from roomhook.contract_tests.checks.registry import check
from roomhook.contract_tests.harness.case import Case
from roomhook.contract_tests.harness.drafts import ABSENT, MISTAKEN_SIGNATURES, CallbackDraft, unsigned
from roomhook.contract_tests.harness.hints import hint_for
from roomhook.contract_tests.harness.target_health import verify_target_alive
from roomhook.contract_tests.model.register import load_register
from roomhook.contract_tests.model.verdicts import Finding
from roomhook.simulator.protocol.response_check import ACK_MUST

__all__ = ["BASELINE_VALUES", "OBSERVED"]

BASELINE_VALUES: Final[dict[str, Callable[[int], dict[str, CallbackDraft]]]] = {
    "type.leave": lambda _: {
        "Type Kicked": CallbackDraft({"Type": "Kicked", "Reason": "kicked out"}),
        "Type Expired": CallbackDraft({"Type": "Expired"}),
    },
    "members.one": lambda _: {"two accounts": CallbackDraft({"MemberList_Account": ["rhmemberone", "rhmembertwo"]})},
    "time.now": lambda now_ms: {
        "EventTime in seconds": CallbackDraft({"EventTime": now_ms // 1000}),
        "an EventTime of 2022 in seconds": CallbackDraft({"EventTime": 1_670_574_414}),
        "an EventTime of 2022": CallbackDraft({"EventTime": 1_670_574_414_123}),
    },
    "url.platform.ios": lambda _: {
        f"OptPlatform={one}": CallbackDraft(params={"OptPlatform": one}) for one in ("Android", "Web", "IOS", "ios")
    },
    "url.contenttype.json": lambda _: {
        "contenttype=JSON": CallbackDraft(params={"contenttype": "JSON"}),
        "no contenttype": CallbackDraft(params={"contenttype": ABSENT}),
    },
    "url.client-ip.v4": lambda _: {
        "ClientIP=127.0.0.1": CallbackDraft(params={"ClientIP": "127.0.0.1"}),
        "no ClientIP": CallbackDraft(params={"ClientIP": ABSENT}),
    },
    "sign.valid": lambda _: {
        "no Sign": CallbackDraft(signature=unsigned),
        **{f"Sign as {how}": CallbackDraft(signature=signature) for how, signature in MISTAKEN_SIGNATURES.items()},
    },
}
"""Requirement to the drafts that put another value in the place of the baseline's: what tells which value is minded.

Each is made of the present time (ms) and named by its value.
"""


_ONCE: Final = "and once more, when it passed"


@check(*ACK_MUST)
def baseline(case: Case) -> None:
    """The baseline's own answer, once more at the end; and answers that failed once and not again."""
    if case.requirement.id == "ack.ok" and not case.run.lost:
        verify_target_alive(case.run)  # a target that has died passes every refusal
    flaky = case.run.flaky
    company_is_borne = not flaky.in_company or not case.judge(load_register()["http.parallel"]).findings
    for exchange in (*flaky.seen, *(flaky.in_company if company_is_borne else ())):
        breach = exchange.judgement.breaches[0]
        if breach.requirement == case.requirement.id:
            message = "a valid callback failed, and was acknowledged when it was sent again"
            hint = hint_for(exchange, case.run.settings, every=False)
            case.blame(exchange, message, breach, hint=hint, series=_ONCE)


@check("type.leave", "members.one", "time.now", "url.platform.ios", "url.contenttype.json", "url.client-ip.v4")
def baseline_value(case: Case) -> None:
    """A value that the baseline uses, once more on its own."""
    case.acknowledges(case.leave())


@check("ack.cold-start")
def cold_start(case: Case) -> None:
    """What the Room backend would have made of a first callback that the suite has waited for."""
    late_ms = case.run.summary.first_late_ms
    if late_ms is not None:
        case.note(
            "the Room backend would have counted the first callback as failed, and by default not sent it again",
            expected=f"an answer within {case.run.settings.deadline_ms / 1000:g} s",
            actual=f"none before {late_ms / 1000:.1f} s",
        )


OBSERVED: Final = (
    "ack.consistent",
    "ack.content-type",
    "ack.bom",
    "ack.coding",
    "ack.margin",
    "ack.extra",
    "ack.family",
)


@check(*OBSERVED)
def observed(case: Case) -> None:
    """What the run has seen in all the answers so far."""
    case.findings += [
        Finding(case.requirement, seen.message, seen.expected, seen.actual, seen.exchange, seen.path, count=seen.count)
        for seen in case.run.observations.seen(case.requirement.id)
    ]
