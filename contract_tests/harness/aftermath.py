"""What a valid callback comes to right after a callback that may have harmed the target."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from roomhook.contract_tests.harness.case import Case
from roomhook.contract_tests.harness.drafts import CallbackDraft
from roomhook.contract_tests.harness.target_health import verify_target_alive, wait_until_recovered
from roomhook.contract_tests.model.exchange import Exchange
from roomhook.simulator.protocol.response_check import Violation

__all__ = ["Aftermath", "blame_aftermath", "then_valid"]

Send = Callable[[CallbackDraft, str], object]
"""Sends a draft, and judges the answer as that of what the text names."""


@dataclass
class Aftermath:
    """By what was sent, the valid callback that failed right after it, or None."""

    failed: dict[str, Exchange | None] = field(default_factory=dict)


def then_valid(case: Case, what: str, draft: CallbackDraft, send: Send) -> None:
    """*send* the *draft*, then a valid callback; its failure is kept for ``blame_aftermath`` if it happens again."""
    run = case.run
    aftermath = run.kept(Aftermath).failed
    for attempt in range(run.repeats):
        comebacks = run.line.comebacks
        valid = case.prepare_valid()  # first, since an enter in between could be what fails
        if attempt == 0:
            send(draft, what)
        else:
            case.send(draft)
        exchange = case.send_valid(valid)
        if exchange.acknowledged and run.line.comebacks == comebacks:
            aftermath[what] = None
            return
        wait_until_recovered(run)
    aftermath[what] = exchange
    verify_target_alive(run, after=what)


def blame_aftermath(case: Case, inputs: Iterable[tuple[str, CallbackDraft]]) -> None:
    """Add a finding for each of the *inputs* after which a valid callback failed; those not sent yet are sent now."""
    aftermath = case.run.kept(Aftermath).failed
    for what, draft in inputs:
        if what not in aftermath:
            then_valid(case, what, draft, lambda draft, _: case.send(draft))
        exchange = aftermath[what]
        if exchange is not None:
            _blame(case, exchange, what)


def _blame(case: Case, exchange: Exchange, what: str) -> None:
    if not exchange.acknowledged:
        case.blame_unacknowledged(exchange, f"a valid callback right after {what}")
    else:
        breach = Violation(
            "", "a target that takes connections all the time", "refused connections, until it came back"
        )
        case.blame(exchange, f"the target was gone for a while after {what}", breach)
