"""The requirement that sums up valid callbacks which failed now and then, and which no other finding tells of."""

from __future__ import annotations

from collections import Counter
from typing import Final

from roomhook.contract_tests.checks.registry import check
from roomhook.contract_tests.harness.case import Case
from roomhook.contract_tests.harness.effects import RefusedLate
from roomhook.contract_tests.harness.hints import hint_for
from roomhook.contract_tests.model.exchange import Exchange
from roomhook.contract_tests.model.register import Level
from roomhook.simulator.protocol.response_check import Violation

__all__: list[str] = []

_HINT: Final = "It fails now and then: look at your app's log around the time of this request."

_LATE: Final = (
    "Acknowledge a leave that arrives late as well: when its member has come back, it has nothing to change, and a"
    " refusal only counts as a failed callback."
)


@check("ack.steady")
def steady(case: Case) -> None:
    """Judged last: failures whose like is the subject of no other finding."""
    run = case.run
    if run.lost:
        return
    told = {
        _kind(one.exchange)
        for one in run.findings()
        if one.requirement.level is not Level.INFO and one.exchange is not None and not one.exchange.acknowledged
    }
    failed = [one for one in run.unacknowledged if _kind(one) not in told and not _closed_when_idle(one)]
    if not failed:
        return
    kinds = Counter(one.judgement.breaches[0].requirement for one in failed)
    listed = ", ".join(f"{kind} {count} times" if count > 1 else f"{kind} once" for kind, count in kinds.items())
    breach = Violation(
        "", "every valid callback acknowledged", f"{listed}; here {failed[0].judgement.breaches[0].actual}"
    )
    late = run.kept(RefusedLate).bodies
    if all(one.callback.body in late for one in failed):
        message = f"{len(failed)} of {run.summary.sent} valid callbacks failed, all of them leaves that arrive late"
        case.blame(failed[0], f"{message}, with an older EventTime, each time they were sent", breach, hint=_LATE)
        return
    message = f"{len(failed)} of {run.summary.sent} valid callbacks failed, and others like them did not"
    hint = f"{hint_for(failed[0], run.settings, every=False)} {_HINT}".strip()
    case.blame(failed[0], message, breach, hint=hint)


def _closed_when_idle(exchange: Exchange) -> bool:
    """Whether a server ended an idle connection, by closing it or by 408 (RFC 9110, 15.5.9), as the callback came."""
    return exchange.reused and (exchange.status == 408 or exchange.cut_off)


def _kind(exchange: Exchange) -> str:
    breaches = exchange.judgement.breaches
    return breaches[0].requirement if breaches else ""
