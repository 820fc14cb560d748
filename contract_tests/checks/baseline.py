"""Requirements that every answer to a valid callback is held to, and those whose value the baseline itself uses.

The engine sends the baseline before any check runs (``suite.Run.open``); a check here runs only once it
was acknowledged, so most of them have nothing left to ask.
"""

from __future__ import annotations

from typing import Final

from roomhook.contract_tests.case import Case
from roomhook.contract_tests.checks.registry import check
from roomhook.contract_tests.drafts import ABSENT, Draft, unsigned
from roomhook.contract_tests.verdicts import Finding
from roomhook.simulator.compliance import ACK_MUST

__all__ = ["BASELINE_VALUES", "OBSERVED"]

BASELINE_VALUES: Final[dict[str, tuple[Draft, ...]]] = {
    "type.leave": (Draft({"Type": "Kicked", "Reason": "kicked out"}), Draft({"Type": "Expired"})),
    "members.one": (Draft({"MemberList_Account": ["rhmemberone", "rhmembertwo"]}),),
    "time.now": (Draft({"EventTime": 1_670_574_414}), Draft({"EventTime": 1_670_574_414_123})),
    "url.platform.ios": (Draft(params={"OptPlatform": "Android"}), Draft(params={"OptPlatform": "Web"})),
    "url.contenttype.json": (Draft(params={"contenttype": "JSON"}), Draft(params={"contenttype": ABSENT})),
    "url.client-ip.v4": (Draft(params={"ClientIP": "127.0.0.1"}), Draft(params={"ClientIP": ABSENT})),
    "sign.valid": (Draft(signature=unsigned),),
}
"""Requirement to the drafts that put another value in the place of the baseline's: what tells which value is minded."""


@check(*ACK_MUST)
def baseline(case: Case) -> None:
    """The baseline's own answer; and answers that failed once and not again."""
    for exchange in case.run.flaky:
        breach = exchange.judgement.breaches[0]
        if breach.requirement == case.requirement.id:
            case.blame(exchange, "a valid callback failed, and was acknowledged when it was sent again", breach)


@check("type.leave", "members.one", "time.now", "url.platform.ios", "url.contenttype.json", "url.client-ip.v4")
def baseline_value(case: Case) -> None:
    """A value that the baseline uses, once more on its own."""
    case.acknowledges(case.leave())


OBSERVED: Final = ("ack.consistent", "ack.content-type", "ack.margin", "ack.extra", "ack.family")


@check(*OBSERVED)
def observed(case: Case) -> None:
    """What the run has seen in all the answers so far."""
    case.findings += [
        Finding(case.requirement, seen.message, seen.expected, seen.actual, seen.exchange, seen.path, count=seen.count)
        for seen in case.run.observations.seen(case.requirement.id)
    ]
