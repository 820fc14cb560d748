"""The start of a run: reach the target, then the baseline callback, on which everything else depends."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from http import HTTPStatus
from typing import Final

from roomhook.contract_tests.engine.diagnosis import diagnose
from roomhook.contract_tests.harness.baseline import TargetLostError
from roomhook.contract_tests.harness.case import Case, Judge
from roomhook.contract_tests.harness.context import RunContext
from roomhook.contract_tests.harness.drafts import CallbackDraft
from roomhook.contract_tests.model.exchange import Exchange
from roomhook.contract_tests.model.register import load_register
from roomhook.contract_tests.model.verdicts import Finding, RunOutcome
from roomhook.contract_tests.transport.warm_up import warm_up
from roomhook.simulator.protocol.callback_request import CallbackRequest
from roomhook.simulator.protocol.outcomes import DeliveryOutcome

__all__ = ["open_run"]

_WARM_UP_MS: Final = 10_000
"""How long a cold start may take, of which the first answer has to wait."""
_GATEWAY_WAITS: Final = {HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT}
"""What a gateway answers for a target that is still starting."""


def open_run(run: RunContext, judge: Judge) -> Sequence[Finding]:
    """Nothing if the baseline is acknowledged; else the findings that say why not, and all the rest is unfounded.

    A target that cannot be reached is noted in the summary.
    """
    silence = _reach(run)
    if run.summary.outcome is RunOutcome.UNREACHABLE:
        return ()
    case = Case(run, load_register()["ack.ok"], judge)
    if silence:
        return _blamed_on_silence(run, case, silence)
    try:
        exchange = case.acknowledges(CallbackDraft())
        if not exchange.late and not _takes_long_rooms(run, case):
            run.ids.short_rooms = True
            run.ids.short_rooms = case.send(CallbackDraft()).acknowledged
            if run.ids.short_rooms:
                run.unacknowledged.clear()  # they were refused for their RoomIds
                case = Case(run, load_register()["ack.ok"], judge)
        if not case.findings:
            run.line.latency_ms = statistics.median(case.acknowledges(CallbackDraft()).elapsed_ms for _ in range(3))
    except TargetLostError:
        if not case.findings and run.loss and run.loss.exchange:
            case.blame_unacknowledged(run.loss.exchange, run.lost)
    if not case.findings:
        return ()
    shown = case.findings[0].exchange
    assert shown is not None
    return diagnose(case, shown)


def _reach(run: RunContext) -> Sequence[Exchange]:
    """Send the warm-up, which is judged only if nothing comes: then all the callbacks that hung are returned."""
    settings = run.settings
    end = time.monotonic() + settings.wait_for_s
    met: Exchange | None = None
    while True:
        warm = warm_up(
            lambda left_ms: run.line.attempt(_first_callback(run), patience_ms=left_ms),
            patience_ms=max(_WARM_UP_MS, 2 * settings.give_up_ms, (end - time.monotonic()) * 1000),
            give_up_ms=settings.give_up_ms,
        )
        first, *more = warm.exchanges
        certificate = first.outcome is DeliveryOutcome.TLS and "CERTIFICATE" in first.detail.upper()
        away = not first.connected and not certificate
        starting = first.outcome in {DeliveryOutcome.RESET, DeliveryOutcome.CLOSED} or first.status in _GATEWAY_WAITS
        if not (away or starting) or time.monotonic() >= end:
            break
        met = first if first.connected else met
        run.pause(0.1)
    if away:
        run.summary.outcome = RunOutcome.UNREACHABLE
        before = f"took a callback before and {met.judgement.breaches[0].actual}, then " if met else ""
        run.summary.detail = f"{settings.target} {before}{first.outcome.explained} ({first.detail})"
        return ()
    if run.line.record_silence((first, *more)):
        return first, *more
    run.summary.first_late_ms = warm.first_ms if warm.first_ms > settings.deadline_ms else None
    return ()


def _first_callback(run: RunContext) -> CallbackRequest:
    """A leave, or an enter for a target that may mind a leave of strangers."""
    builder = run.builder("ack.ok")
    if run.settings.enter_first and run.access.enter is None:
        return builder.build_enter(builder.accounts(1), run.settings.room or builder.room())
    return builder.build(CallbackDraft())


def _blamed_on_silence(run: RunContext, case: Case, silence: Sequence[Exchange]) -> Sequence[Finding]:
    """The baseline was sent several times in the warm-up and got no answer: nothing is asked again."""
    for exchange in silence:
        run.observe(exchange)
        run.count_valid(exchange)
    first, *_ = silence
    run.lose(first, run.line.broken)
    return diagnose(case, first)


def _takes_long_rooms(run: RunContext, case: Case) -> bool:
    longest = max(load_register(), key=len)
    return any(
        case.send(CallbackDraft(), room=run.settings.room or run.ids.next_room(longest)).acknowledged for _ in range(2)
    )
