"""Several cases at a time, for a target that is slow over each callback but takes several at once: a distant one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import Final

from roomhook.contract_tests.harness.case import Judge
from roomhook.contract_tests.harness.context import RunContext
from roomhook.contract_tests.harness.drafts import CallbackDraft
from roomhook.contract_tests.harness.room_setup import prepare
from roomhook.contract_tests.harness.target_health import wait_until_recovered
from roomhook.contract_tests.model.register import Requirement
from roomhook.contract_tests.model.verdicts import CaseJudged

__all__ = ["judged_in_lanes"]

_LANES: Final = 6
_SLOW_MS: Final = 100
"""How long a callback takes at least before anybody minds that cases wait for each other."""

_MAY_SHARE: Final = (
    frozenset(
        ["type", "members", "count", "reason", "id", "operator", "time", "url", "app-id", "command", "packet", "sign"]
    ),
    frozenset(["bad"]),
)
"""The groups whose cases may share the target, in two rounds: bad input may spoil what comes after it."""

_SUM_UP: Final = frozenset({"bad.alive", "bad.no-leak"})


def judged_in_lanes(run: RunContext, judge: Judge, requirements: Sequence[Requirement]) -> Iterator[CaseJudged]:
    """The verdicts on those *requirements* whose cases may share the target, if it is worth it, as they are reached."""
    lanes = _lanes_for(run)
    if lanes == 1:
        return
    for groups in _MAY_SHARE:
        shared = [one for one in requirements if one.group in groups and one.id not in _SUM_UP]
        with ThreadPoolExecutor(lanes, thread_name_prefix="roomhook-lane") as pool:
            try:
                for judged in as_completed([pool.submit(judge, one) for one in shared]):
                    yield judged.result()
            finally:
                pool.shutdown(wait=False, cancel_futures=True)  # Ctrl-C waits for what has begun, and for no more


def _lanes_for(run: RunContext) -> int:
    """How many cases the target takes at a time without answering each the later for it."""
    settings, latency_ms = run.settings, run.line.latency_ms
    if latency_ms < _SLOW_MS or settings.proxy or settings.room or settings.members:
        return 1
    builder = run.builder("ack.ok")
    callbacks = [prepare(run, builder, CallbackDraft()) for _ in range(_LANES)]
    exchanges = run.send_together(callbacks, patience_ms=run.patience_ms(_LANES))
    if not all(exchange.acknowledged for exchange in exchanges):
        wait_until_recovered(run, _LANES)
        return 1
    slowest_ms = max(exchange.elapsed_ms for exchange in exchanges)
    return min(_LANES, max(1, round(_LANES * latency_ms / slowest_ms)))
