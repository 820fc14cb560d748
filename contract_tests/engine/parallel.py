"""Several cases at a time: those that wait on purpose, and all for a target that is slow but takes several at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from threading import Thread
from typing import Final

from roomhook.contract_tests.harness.context import RunContext
from roomhook.contract_tests.harness.drafts import CallbackDraft
from roomhook.contract_tests.harness.room_setup import prepare
from roomhook.contract_tests.harness.target_health import wait_until_recovered
from roomhook.contract_tests.model.register import Requirement
from roomhook.contract_tests.model.verdicts import CaseJudged

__all__ = ["WAITING", "judged_in_lanes", "start_waiting"]

_LANES: Final = 16
_SLOW_MS: Final = 100
"""How long a callback takes at least before anybody minds that cases wait for each other."""

_MAY_SHARE: Final = (
    frozenset(
        [
            *("type", "members", "count", "reason", "id", "operator", "time", "url", "app-id", "command", "packet"),
            *("sign", "http", "duplicate", "effect"),
        ]
    ),
    frozenset(["bad"]),
)
"""The groups whose cases may share the target, in two rounds: bad input may spoil what comes after it."""

_ALONE: Final = ("bad.alive", "bad.no-leak", "http.parallel", "http.burst", "http.half-request", "duplicate.parallel")
_ALONE_IN_EFFECTS: Final = (
    "effect.parallel",
    "effect.burst",
    "effect.duplicate-parallel",
    "effect.applied",
    "effect.bad-input",
)
WAITING: Final = ("http.idle", "http.slow-body", "http.split-head")
"""Cases that wait on purpose, and may do so beside everything else."""
_PATIENT_MS: Final = 1500
"""The deadline from which on nobody is late who has to wait for a case that waits."""

Trial = Callable[[Requirement], CaseJudged | None]
"""Judges a requirement in company: gives its verdict if that stands, and None if it must be judged alone."""


def start_waiting(run: RunContext, trial: Trial, requirements: Sequence[Requirement]) -> list[Thread]:
    """Let those of *requirements* that wait on purpose do so beside all the others; the threads in which they do."""
    threads: list[Thread] = []
    waiting = [one for one in requirements if one.id in WAITING]
    if _may_share(run) and run.settings.deadline_ms >= _PATIENT_MS and len(waiting) < len(requirements):
        threads = [Thread(target=trial, args=(one,), name=f"roomhook-{one.id}", daemon=True) for one in waiting]
        for thread in threads:
            thread.start()
    return threads


def judged_in_lanes(
    run: RunContext, trial: Trial, requirements: Sequence[Requirement], on_lanes: Callable[[int], object]
) -> Iterator[CaseJudged]:
    """The passes among those *requirements* whose cases may share the target, if it is worth it, as they come.

    What does not pass in company is judged again alone, since a neighbour may be at fault. *on_lanes* is told first how
    many cases run side by side.
    """
    lanes = run.line.lanes = _lanes_for(run)
    on_lanes(lanes)
    if lanes == 1:
        return
    for groups in _MAY_SHARE:
        shared = [
            one for one in requirements if one.group in groups and not one.id.startswith(_ALONE + _ALONE_IN_EFFECTS)
        ]
        shared.sort(key=lambda one: one.group != "http")  # among them are the longest
        with ThreadPoolExecutor(lanes, thread_name_prefix="roomhook-lane") as pool:
            try:
                for judged in as_completed([pool.submit(trial, one) for one in shared]):
                    passed = judged.result()
                    if passed is not None:
                        yield passed
            finally:
                pool.shutdown(wait=False, cancel_futures=True)  # Ctrl-C waits for what has begun, and for no more


def _may_share(run: RunContext) -> bool:
    """Whether cases have rooms and members of their own, and the target to themselves."""
    return not (run.settings.proxy or run.settings.room or run.settings.members)


def _lanes_for(run: RunContext) -> int:
    """How many cases the target takes at a time without answering each the later for it."""
    latency_ms = run.line.latency_ms
    if latency_ms < _SLOW_MS or not _may_share(run):
        return 1
    builder = run.builder("ack.ok")
    callbacks = [prepare(run, builder, CallbackDraft()) for _ in range(_LANES)]
    exchanges = run.send_together(callbacks, patience_ms=run.patience_ms(_LANES))
    if not all(exchange.acknowledged for exchange in exchanges):
        wait_until_recovered(run, _LANES)
        return 1
    slowest_ms = max(exchange.elapsed_ms for exchange in exchanges)
    return min(_LANES, max(1, round(_LANES * latency_ms / slowest_ms)))
