"""Tells a failing case from a target that is unwell, by the baseline callback."""

from __future__ import annotations

import time
from typing import Final

from roomhook.contract_tests.harness.baseline import TargetLostError
from roomhook.contract_tests.harness.context import RunContext
from roomhook.contract_tests.harness.drafts import CallbackDraft
from roomhook.contract_tests.harness.room_setup import prepare
from roomhook.contract_tests.model.exchange import Exchange
from roomhook.simulator.protocol.outcomes import DeliveryOutcome

__all__ = ["verify_target_alive", "wait_until_recovered"]

_PULSES_S: Final = (0.0, 0.3, 1.0)
"""Pauses before each baseline that tells whether the target is still well."""
_CATCH_UP_S: Final = 10.0
"""How long a target may take after a crowd, beyond three times what its share of the work should take."""
_CASE: Final = "ack.ok"


def verify_target_alive(run: RunContext, *, after: str = "") -> None:
    """Return once the baseline is acknowledged; raises ``TargetLostError``, which names what it was *after*, if not."""
    failed: Exchange | None = None
    for pause_s in _PULSES_S * (2 if run.flaky else 1):
        run.pause(pause_s)
        exchange = run.send(prepare(run, run.builder(_CASE), CallbackDraft()))
        run.count_valid(exchange)
        if exchange.acknowledged:
            if failed is not None:
                run.flaky.add(failed)
            return
        failed = exchange
    then = f" after {after}" if after else ""
    run.lose(exchange, f"even the baseline callback is not acknowledged any more{then}")
    raise TargetLostError(run.lost)


def wait_until_recovered(run: RunContext, crowd: int = 1) -> bool:
    """After *crowd* at once, wait until the target is in time again, for later cases; False if it never is."""
    end = time.monotonic() + _CATCH_UP_S + 3 * crowd * run.line.latency_ms / 1000
    while (left_s := end - time.monotonic()) > 0 and not run.lost:
        exchange = run.line.attempt(run.builder(_CASE).build(CallbackDraft()), patience_ms=left_s * 1000)
        if not exchange.late and exchange.outcome is not DeliveryOutcome.REFUSED:
            return True
        run.pause(0.1)
    return False
