"""The engine: opens a run, lets every check judge, and yields the events that reports are made of."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from http import HTTPStatus
from typing import Final

from roomhook.contract_tests.checks.baseline import OBSERVED
from roomhook.contract_tests.checks.registry import load_checks
from roomhook.contract_tests.engine.forecast import RunForecast
from roomhook.contract_tests.engine.opening import open_run
from roomhook.contract_tests.engine.parallel import WAITING, judged_in_lanes, start_waiting
from roomhook.contract_tests.harness.baseline import NotJudgedError, TargetLostError
from roomhook.contract_tests.harness.case import Case
from roomhook.contract_tests.harness.context import RunContext
from roomhook.contract_tests.harness.hints import hint_for
from roomhook.contract_tests.harness.records.ledger import EffectLedger
from roomhook.contract_tests.harness.room_setup import try_lists
from roomhook.contract_tests.model.exchange import Exchange
from roomhook.contract_tests.model.register import Level, Requirement, load_register, planned
from roomhook.contract_tests.model.settings import Settings
from roomhook.contract_tests.model.verdicts import (
    CaseJudged,
    Finding,
    RunEvent,
    RunFinished,
    RunOutcome,
    RunStarted,
    Summary,
    Verdict,
    apply_known_failures,
    group_findings,
)
from roomhook.contract_tests.transport.probe import EnterMembers, Probe
from roomhook.simulator.protocol.response_check import ACK_MUST
from roomhook.simulator.util.threads import wait_for_end

__all__ = ["SuiteRun", "run_suite"]

_DEFERRED: Final = (
    *WAITING,
    "http.half-request",
    "http.burst",
    "effect.burst",
    "fuzz.valid",
    "fuzz.near-miss",
    "effect.applied",
    "effect.applied.variants",
    "effect.bad-input",
    *OBSERVED,
    *ACK_MUST,
    "ack.steady",
)
"""Judged last: what waits beside the others, what could weigh on later cases, and what sums up all the answers."""


_ALONE_WITHIN_S: Final = 5.0
_BURSTS: Final = "http.burst"
"""The one requirement that a rate limit may violate: the leaves of a room that ends arrive together."""
_WATCHED: Final = frozenset({"effect.applied", "effect.applied.variants", "effect.burst"})
"""What needs all valid leaves of the run to be watched."""


_HARMED_BY: Final = {frozenset({"bad", "fuzz"}): "bad.alive", frozenset({"command"}): "command.alive"}
"""By the groups whose cases a target may die of, the requirement that it then breaks."""
_NO_PROBE: Final = "no probe given (add --probe 'http://127.0.0.1:8000/rooms/{RoomId}', which lists a room's members)"


class SuiteRun:
    """Orders the cases of one run, judges them, and says how the run ends; *clock* gives s since the epoch.

    *on_exchange* gets every exchange as it ends, from the thread that sent it. *on_forecast* gets a line when the run
    will take long.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], object] = time.sleep,
        probe: Probe | None = None,
        enter: EnterMembers | None = None,
        on_exchange: Callable[[Exchange], object] = lambda _: None,
        on_forecast: Callable[[str], object] = lambda _: None,
    ) -> None:
        self.settings = settings
        self.context = RunContext(settings, clock=clock, sleep=sleep, probe=probe, enter=enter, on_exchange=on_exchange)
        self._forecast = RunForecast(self.context.line, on_forecast, probed=self.context.access.probe is not None)
        self._clock = clock
        self._started = clock()
        self._baseline: Sequence[Finding] | None = None
        """What is wrong with the baseline; None until the run is open."""
        self._judged: dict[str, CaseJudged] = {}
        self._turns: dict[str, threading.RLock] = {}
        self.context.findings = lambda: [one for judged in list(self._judged.values()) for one in judged.findings]
        self._company = threading.local()
        """Whether this thread's cases run beside others."""
        self._waiting: list[threading.Thread] = []
        """Where cases that wait on purpose do so."""

    @property
    def summary(self) -> Summary:
        """The totals so far."""
        return self.context.summary

    # The run

    def events(self) -> Iterator[RunEvent]:
        """Run everything that is selected; the last event is the summary."""
        self._started = self._clock()
        wanted = self.wanted()
        yield self.announced()
        self.open()
        if self.summary.outcome is not RunOutcome.UNREACHABLE:
            left = {one.id: one for one in wanted}
            tell_lanes = partial(self._forecast.look, len(left))
            for judged in judged_in_lanes(self.context, self._trial, wanted, tell_lanes):
                del left[judged.requirement.id]
                yield self._weighed(judged)
            for number, one in enumerate(left.values()):
                yield self.verdict_on(one)
                self._forecast.look(len(left) - number - 1)
        yield self._finished()

    def announced(self) -> RunStarted:
        """The first event."""
        return RunStarted(self.settings, self._started, len(self.wanted()))

    def cut_short(self, why: str) -> RunFinished:
        """The last event of a run that is stopped before its end: nothing more is sent, the rest not judged: *why*."""
        self.context.stop(why)
        for one in self.wanted():
            self.judge(one)
        self.summary.outcome = RunOutcome.INTERRUPTED
        self.summary.detail = f"{why}, so this is a part of a run and no verdict"
        return self._finished()

    def wanted(self) -> tuple[Requirement, ...]:
        """What is selected, in the order in which it is best judged."""
        order = {one: number for number, one in enumerate(_DEFERRED)}
        selected = planned(self.settings.only, self.settings.exclude, fuzz=self.settings.fuzz > 0)
        return tuple(sorted(selected, key=lambda one: order.get(one.id, -1)))

    def open(self) -> None:
        """Reach the target and send the baseline, on which everything else depends."""
        self._baseline = open_run(self.context, self.judge)
        probed = self.context.access.probe is not None and not self.settings.members and not self._baseline
        if probed and any(one.group == "effect" for one in self.wanted()):
            self._prepare_effects()
        if not self._baseline and self.summary.outcome is not RunOutcome.UNREACHABLE:
            self._waiting = start_waiting(self.context, self._trial, self.wanted())

    def _prepare_effects(self) -> None:
        """Watch the effects of all valid leaves, if that is asked for and if leaves have effects at all."""
        if self.judge(load_register()["effect.leave"]).verdict is not Verdict.PASS:
            return
        try:
            try_lists(self.context, self.context.builder("effect.leave"))
        except (NotJudgedError, TargetLostError):
            return  # the cases find the same, and say so
        if any(one.id in _WATCHED for one in self.wanted()):
            self.context.ledger = EffectLedger()

    def verdict_on(self, requirement: Requirement) -> CaseJudged:
        """The verdict on one requirement as it is reported, known failures weighed; the run must be open."""
        return self._weighed(self.judge(requirement))

    def judge(self, requirement: Requirement) -> CaseJudged:
        """What came out for one requirement, known or not; the run must be open."""
        with self._turns.setdefault(requirement.id, threading.RLock()):
            judged = self._judged.get(requirement.id) or self._first_verdict_on(requirement)
            if _stands_in_company(judged) or not getattr(self._company, "kept", False):
                self._judged[requirement.id] = judged
            return self._blamed().get(requirement.id) or judged

    def _trial(self, requirement: Requirement) -> CaseJudged | None:
        """The verdict reached beside other cases, if it stands: what fails in company is judged again alone."""
        self._company.kept = True
        try:
            with self.context.flaky.company():
                judged = self.judge(requirement)
        finally:
            self._company.kept = False
        return judged if _stands_in_company(judged) else None

    # Verdicts

    def _first_verdict_on(self, requirement: Requirement) -> CaseJudged:
        checks = load_checks()
        reason = self._not_applicable(requirement) or self._ended(requirement)
        if not reason and requirement.id not in checks:
            reason = "no check covers it in this version"
        if reason:
            return CaseJudged(requirement, Verdict.NOT_JUDGED, reason=reason)
        beside = not getattr(self._company, "kept", False) and any(thread.is_alive() for thread in self._waiting)
        judged = self._run_case(requirement, checks[requirement.id])
        if beside and judged.findings and not _stands_in_company(judged) and not self.context.lost:
            self._wait_to_be_alone()
            judged = self._run_case(requirement, checks[requirement.id])
        return judged

    def _wait_to_be_alone(self) -> None:
        """Wait until the cases beside are over: a neighbour may be at fault for what failed."""
        end = time.monotonic() + _ALONE_WITHIN_S
        for thread in self._waiting:
            wait_for_end(thread, end - time.monotonic())

    def _run_case(self, requirement: Requirement, check: Callable[[Case], None]) -> CaseJudged:
        case = Case(self.context, requirement, self.judge)
        self.context.trail.began(requirement.id)
        started = time.monotonic()
        reason = ""
        try:
            check(case)
        except NotJudgedError as error:
            reason = str(error)
        except TargetLostError as error:
            reason = "" if case.findings else str(error)
        if case.findings and requirement.id != _BURSTS and all(map(_limited, case.findings)):
            case.findings.clear()
            reason = "the target limits its rate (HTTP 429)"
        duration_ms = (time.monotonic() - started) * 1000
        verdict = self._verdict(requirement) if case.findings else Verdict.NOT_JUDGED if reason else Verdict.PASS
        self.context.trail.ended(requirement.id, failed=verdict is Verdict.FAIL)
        return CaseJudged(
            requirement,
            verdict,
            group_findings(case.findings),
            reason="" if case.findings else reason,
            duration_ms=duration_ms,
        )

    def _verdict(self, requirement: Requirement) -> Verdict:
        if requirement.level is Level.INFO:
            return Verdict.INFO
        failing = requirement.level is Level.MUST or self.settings.strict
        return Verdict.FAIL if failing else Verdict.WARN

    def _weighed(self, judged: CaseJudged) -> CaseJudged:
        return apply_known_failures(judged, self.settings.known, datetime.fromtimestamp(self._started, UTC).date())

    def _not_applicable(self, requirement: Requirement) -> str:
        context = self.context
        if requirement.needs == "token" and self.settings.token is None:
            return "no token given (ROOMHOOK_TOKEN)"
        if requirement.needs == "https" and context.url.scheme != "https":
            return "the target is not https"
        if requirement.needs == "fuzz" and not self.settings.fuzz:
            return "not asked for (--fuzz N)"
        if requirement.needs == "probe":
            return _NO_PROBE if context.access.probe is None else context.access.failure
        return ""

    # The end

    def _ended(self, requirement: Requirement) -> str:
        """Why nothing more is judged, or an empty string; ``ack.*`` sums up what has come so far, so it still is."""
        if self._baseline:
            ids = (one.requirement.id for one in self._baseline if one.cause)
            return f"the baseline callback is not acknowledged ({', '.join(ids)})"
        return "" if requirement.group == "ack" and self._baseline is not None else self.context.lost

    def _blamed(self) -> dict[str, CaseJudged]:
        """The verdicts that no case has reached: on the baseline, and on what the target was lost by."""
        found = [*(self._baseline or ()), *self._loss()]
        return {
            one.requirement.id: CaseJudged(one.requirement, self._verdict(one.requirement), (one,)) for one in found
        }

    def _loss(self) -> Iterator[Finding]:
        """The finding for a target that was lost, unless another finding tells of it."""
        loss = self.context.loss
        if self._baseline is None or self._baseline or loss is None or loss.exchange is None or loss.explained:
            return
        breach = loss.exchange.judgement.breaches[0]
        harm = {one.partition(".")[0] for one in loss.suspects if one != "fuzz.valid"}
        by = next((alive for groups, alive in _HARMED_BY.items() if harm & groups), breach.requirement)
        yield Finding(
            load_register()[by],
            str(loss),
            breach.expected,
            breach.actual,
            loss.exchange,
            breach.path,
            cause=breach.requirement,
            hint=hint_for(loss.exchange, self.settings, every=False),
        )

    def _finished(self) -> RunFinished:
        judged = {one.id: self._judged[one.id] for one in self.wanted() if one.id in self._judged} | self._blamed()
        cases = tuple(self._weighed(judged[one]) for one in load_register() if one in judged)
        self._conclude({case.verdict for case in cases}, {case.reason for case in cases})
        return RunFinished(self.summary, cases, self._clock() - self._started)

    def _conclude(self, verdicts: set[Verdict], reasons: set[str]) -> None:
        summary = self.summary
        if summary.outcome in {RunOutcome.UNREACHABLE, RunOutcome.INTERRUPTED}:
            return
        failure = self.context.access.failure
        if Verdict.FAIL in verdicts:
            summary.outcome = RunOutcome.VIOLATES
        elif failure:
            summary.outcome = RunOutcome.SETUP_FAILED
            summary.detail = failure
        elif verdicts <= {Verdict.NOT_JUDGED}:
            summary.outcome = RunOutcome.NOTHING_RAN
            summary.detail = f"nothing could be judged: {'; '.join(sorted(reasons))}"
        summary.detail = summary.detail or self.context.lost


def _limited(finding: Finding) -> bool:
    """Whether *finding* is about no more than a rate limit, which no page forbids."""
    return finding.exchange is not None and finding.exchange.status == HTTPStatus.TOO_MANY_REQUESTS


def _stands_in_company(judged: CaseJudged) -> bool:
    """Whether a verdict reached beside other cases needs no second look: a pass, or a note that no bad answer shows."""
    noted = judged.verdict is Verdict.INFO
    fine = all(one.exchange is None or one.exchange.acknowledged for one in judged.findings)
    return judged.verdict is Verdict.PASS or (noted and fine)


def run_suite(settings: Settings) -> Iterator[RunEvent]:
    """Hold the App backend at ``settings.target`` against the register, event by event."""
    return SuiteRun(settings).events()
