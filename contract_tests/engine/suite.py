"""The engine: opens a run with the baseline, lets every check judge, and yields the events that reports are made of."""

from __future__ import annotations

import random
import statistics
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Final

from roomhook.contract_tests.checks.baseline import OBSERVED
from roomhook.contract_tests.checks.registry import load_checks
from roomhook.contract_tests.engine.diagnosis import diagnose
from roomhook.contract_tests.engine.parallel import judged_in_lanes
from roomhook.contract_tests.harness.case import Case, NotJudgedError, TargetLostError
from roomhook.contract_tests.harness.drafts import CallbackDraft
from roomhook.contract_tests.harness.hints import hint_for
from roomhook.contract_tests.harness.observations import Observations
from roomhook.contract_tests.model.known_failures import apply_known_failures
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
    group_findings,
)
from roomhook.contract_tests.transport.client import Connection, Exchange
from roomhook.contract_tests.transport.patient_client import PatientClient
from roomhook.contract_tests.transport.probe import Enter, Probe, command_enter, command_probe, http_probe
from roomhook.contract_tests.transport.warm_up import warm_up
from roomhook.simulator.protocol.callback_request import CallbackRequest
from roomhook.simulator.protocol.callback_url import CallbackUrl
from roomhook.simulator.protocol.outcomes import DeliveryOutcome as Ending
from roomhook.simulator.protocol.response_check import ACK_MUST, ResponseVerdict
from roomhook.simulator.rooms.people import ADDRESSES, address

__all__ = ["SuiteRun", "run_suite"]

_REPEATS: Final = 2
_REPEATS_IF_FLAKY: Final = 5
_CATCH_UP_S: Final = 10.0
"""How long a target may take after a crowd, beyond three times what its share of the work should take."""
_WARM_UP_MS: Final = 10_000
"""How long a cold start may take, of which the first answer has to wait."""
_PULSES_S: Final = (0.0, 0.3, 1.0)
"""Pauses before each baseline that tells whether the target is still well."""
_GATEWAY_WAITS: Final = {HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT}
"""What a gateway answers for a target that is still starting."""

_DEFERRED: Final = ("http.half-request", "http.burst", "fuzz.valid", "fuzz.near-miss", *OBSERVED, *ACK_MUST)
"""Judged last: what could weigh on the cases after it, and what sums up all the answers."""

_EVENT_TIME_STEP_MS: Final = 1


class SuiteRun:
    """The state of one run against one target; *clock* gives s since the epoch, *sleep* waits s."""

    def __init__(
        self,
        settings: Settings,
        *,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], object] = time.sleep,
        probe: Probe | None = None,
        enter: Enter | None = None,
    ) -> None:
        self.settings = settings
        self.probe = probe or _probe_of(settings)
        self.enter = enter or (command_enter(settings.enter_command) if settings.enter_command else None)
        self.setup_failure = ""
        self.url = CallbackUrl.parse(settings.target)
        self.line = PatientClient(settings, clock=clock, pause=sleep)
        self.observations = Observations(
            coding_allowed=any(name.lower() == "accept-encoding" for name, _ in settings.headers)
        )
        self.flaky: list[Exchange] = []
        self.summary = Summary()
        self.pause = sleep
        self.latency_ms = 0.0
        self._clock = clock
        self._started = self._began = clock()
        self._random = random.Random(f"{settings.seed}/{int(self._started * 1000)}")
        self.id = "".join(self._random.choice("abcdefghjkmnpqrstuvwxyz23456789") for _ in range(4))
        self.client_ip = address(random.Random(settings.seed).randrange(ADDRESSES))
        self._number = 0
        self._rooms: Counter[str] = Counter()
        self._event_time = 0
        self._lost_connection: Exchange | None = None
        self._silence: tuple[Exchange, ...] = ()
        self.aftermath: dict[str, Exchange | None] = {}
        self.short_rooms = False
        self.lost = ""
        self._last_words: Exchange | None = None
        self.opened = False
        self._unfounded = ""
        self._since: list[str] = []
        self._judged: dict[str, CaseJudged] = {}
        self._counting = threading.Lock()
        self._turns: dict[str, threading.RLock] = {}
        self._reported: set[str] = set()

    # What cases ask for

    def now_ms(self) -> int:
        """The present time, ms since the epoch."""
        return int(self._clock() * 1000)

    def target_time(self) -> int:
        """The present second as the target's clock has it."""
        return int(self._clock() + self.settings.clock_skew_s)

    def next_event_time(self) -> int:
        """The present time in ms, and never the same twice: no two events share their natural key."""
        with self._counting:
            self._event_time = max(self.now_ms(), self._event_time + _EVENT_TIME_STEP_MS)
            return self._event_time

    def next_number(self) -> int:
        """A number that no other account of this run has."""
        with self._counting:
            self._number += 1
            return self._number

    def next_room(self, case: str) -> str:
        """A RoomId that no other callback of this run has, of at most 32 bytes: it carries the run and *case*.

        For a target that minds its length or signs, of which no document tells, it is short and does without *case*.
        """
        prefix = f"rh{self.id}" if self.short_rooms else f"rh-{self.id}-{case[:20]}-"
        with self._counting:
            self._rooms[prefix] += 1
            return f"{prefix}{self._rooms[prefix]}"

    def patience_ms(self, count: int) -> float:
        """How long *count* callbacks at once may take a target that handles one at a time."""
        return self.settings.give_up_ms + 8000 + 3 * count * self.latency_ms

    # Sending

    def send(
        self, callback: CallbackRequest, *, connection: Connection | None = None, patience_ms: float | None = None
    ) -> Exchange:
        """Send *callback* and look at its answer; raises ``TargetLostError`` when nothing more can be judged."""
        if self.lost:
            raise TargetLostError(self.lost)
        exchange = self.line.send(callback, connection=connection, patience_ms=patience_ms)
        self.observe(exchange)
        if self.line.broken:
            self._lose(exchange, self.line.broken)
        return exchange

    def observe(self, exchange: Exchange) -> None:
        """Look at *exchange* in passing."""
        if exchange.acknowledged:
            self._since = self._since[-1:]
        self.observations.look_at(exchange)

    def count_valid(self, exchange: Exchange) -> None:
        """Count a valid callback into the two axes of the summary."""
        judgement = exchange.judgement
        with self._counting:
            self._count(exchange, judgement)

    def _count(self, exchange: Exchange, judgement: ResponseVerdict) -> None:
        self.summary.sent += 1
        self.summary.delivered += judgement.outcome is Ending.DELIVERED
        self.summary.acknowledged += judgement.acknowledged
        if judgement.outcome is not Ending.DELIVERED:
            outcome = str(judgement.outcome)
            self.summary.undelivered[outcome] = self.summary.undelivered.get(outcome, 0) + 1
        if exchange.answer is not None:
            self.summary.judged_answers += 1
            self.summary.compliant += all(one.requirement in {"ack.ok", "ack.deadline"} for one in judgement.breaches)

    def saw_flaky(self, exchange: Exchange) -> None:
        """Keep a valid callback that failed once and not again; a lone loss or delay proves nothing."""
        lost = exchange.answer is None and exchange.outcome is not Ending.INCOMPLETE
        if not exchange.late and not (lost and self._lost_connection is None):
            self.flaky.append(exchange)
        if lost:
            self._lost_connection = exchange

    @property
    def repeats(self) -> int:
        """How often a valid callback that failed is asked for again, alone, before it is blamed."""
        return _REPEATS_IF_FLAKY if self.flaky else _REPEATS

    def verify_target_alive(self) -> None:
        """Tell a failing case from a target that is unwell: raises ``TargetLostError`` if even the baseline fails."""
        case = Case(self, load_register()["ack.ok"])
        failed: Exchange | None = None
        for pause_s in _PULSES_S * (2 if self.flaky else 1):
            self.pause(pause_s)
            exchange = case.send(CallbackDraft())
            self.count_valid(exchange)
            if exchange.acknowledged:
                if failed is not None:
                    self.saw_flaky(failed)
                return
            failed = exchange
        self._lose(exchange, "even the baseline callback is not acknowledged any more")
        raise TargetLostError(self.lost)

    def wait_until_recovered(self, crowd: int = 1) -> bool:
        """After *crowd* at once, wait until the target is in time again, for later cases; False if it never is."""
        case = Case(self, load_register()["ack.ok"])
        end = self._clock() + _CATCH_UP_S + 3 * crowd * self.latency_ms / 1000
        while (left_s := end - self._clock()) > 0 and not self.lost:
            exchange = self.line.attempt(case.build(CallbackDraft()), patience_ms=left_s * 1000)
            if not exchange.late and exchange.outcome is not Ending.REFUSED:
                return True
            self.pause(0.1)
        return False

    def set_up_failed(self, why: str) -> None:
        """Note that the user's set-up is at fault, not the target: the run can't be a success."""
        self.setup_failure = f"set-up failed: {why}"

    def _lose(self, exchange: Exchange, why: str) -> None:
        """Nothing more can be judged; unless a finding has said so already, add the one that does."""
        since = list(dict.fromkeys(self._since))
        self._last_words = exchange
        self.lost = f"{why}, since {', '.join(since)}" if since else why
        if not self.opened or any(self._verdict_of(one) is Verdict.FAIL for one in since):
            return
        breach = exchange.judgement.breaches[0]
        after_bad_input = any(one.startswith(("bad.", "fuzz.near-miss")) for one in since)
        requirement = load_register()["bad.alive" if after_bad_input else breach.requirement]
        finding = Finding(
            requirement,
            self.lost,
            breach.expected,
            breach.actual,
            exchange,
            breach.path,
            cause=breach.requirement,
            hint=hint_for(exchange, self.settings, every=False),
        )
        self._report(CaseJudged(requirement, self._verdict(requirement), (finding,)))

    def _verdict_of(self, requirement: str) -> Verdict | None:
        judged = self._judged.get(requirement)
        return judged.verdict if judged else None

    def _report(self, judged: CaseJudged) -> None:
        """Keep a verdict that belongs into the report even if it was not asked for."""
        self._judged[judged.requirement.id] = judged
        self._reported.add(judged.requirement.id)

    # The run

    def events(self) -> Iterator[RunEvent]:
        """Run everything that is selected; the last event is the summary."""
        self._began = self._clock()
        wanted = self.wanted()
        self._reported = {one.id for one in wanted}
        yield self.announced()
        self.open()
        if self.summary.outcome is not RunOutcome.UNREACHABLE:
            early: set[str] = set()
            for judged in judged_in_lanes(self, wanted):
                early.add(judged.requirement.id)
                yield judged
            yield from (self.verdict_on(one) for one in wanted if one.id not in early)
        yield self._finished()

    def announced(self) -> RunStarted:
        """The first event."""
        return RunStarted(self.settings, self._started, len(self.wanted()))

    def cut_short(self, why: str) -> RunFinished:
        """The last event of a run that is stopped before its end: nothing more is sent, the rest not judged: *why*."""
        self.lost = self.lost or why
        if not self.opened:
            self._unfounded = why
        wanted = self.wanted()
        self._reported |= {one.id for one in wanted}
        for one in wanted:
            self.judge(one)
        self.summary.outcome = RunOutcome.INTERRUPTED
        self.summary.detail = f"{why}, so this is a part of a run and no verdict"
        return self._finished()

    def _finished(self) -> RunFinished:
        reported = [one for one in load_register() if one in self._judged and one in self._reported]
        cases = tuple(self._weighed(self._judged[one]) for one in reported)
        self._conclude({case.verdict for case in cases}, {case.reason for case in cases})
        return RunFinished(self.summary, cases, self._clock() - self._began)

    def wanted(self) -> tuple[Requirement, ...]:
        """What is selected, in the order in which it is best judged."""
        order = {one: number for number, one in enumerate(_DEFERRED)}
        selected = planned(self.settings.only, self.settings.exclude, fuzz=self.settings.fuzz > 0)
        return tuple(sorted(selected, key=lambda one: order.get(one.id, -1)))

    def open(self) -> None:
        """Reach the target and send the baseline, on which everything else depends."""
        self._reach()
        if self.summary.outcome is not RunOutcome.UNREACHABLE:
            for judged in self._baseline():
                self._report(judged)
        self.opened = True

    def verdict_on(self, requirement: Requirement) -> CaseJudged:
        """The verdict on one requirement as it is reported, known failures weighed; the run must be open."""
        return self._weighed(self.judge(requirement))

    def judge(self, requirement: Requirement) -> CaseJudged:
        """What came out for one requirement, known or not; the run must be open."""
        with self._turns.setdefault(requirement.id, threading.RLock()):
            known = self._judged.get(requirement.id)
            if known is None:
                known = self._judged.setdefault(requirement.id, self._first_verdict_on(requirement))
            return known

    def _weighed(self, judged: CaseJudged) -> CaseJudged:
        return apply_known_failures(judged, self.settings.known, datetime.fromtimestamp(self._started, UTC).date())

    def _first_verdict_on(self, requirement: Requirement) -> CaseJudged:
        checks = load_checks()
        reason = self._not_applicable(requirement) or self._unfounded
        if requirement.group != "ack":  # which sums up what has come so far
            reason = reason or self.lost
        if not reason and requirement.id not in checks:
            reason = "no check covers it in this version"
        if reason:
            return CaseJudged(requirement, Verdict.NOT_JUDGED, reason=reason)
        return self._judge(requirement, checks[requirement.id])

    def _reach(self) -> None:
        """Send the warm-up, which is judged only if nothing comes; an unreachable target is noted in the summary."""
        end = self._clock() + self.settings.wait_for_s
        give_up_ms = self.settings.give_up_ms
        case = Case(self, load_register()["ack.ok"])
        met: Exchange | None = None
        while True:
            patience_ms = max(_WARM_UP_MS, 2 * give_up_ms, (end - self._clock()) * 1000)
            exchange, *more = warm_up(
                lambda left_ms: self.line.attempt(case.build(CallbackDraft()), patience_ms=left_ms),
                patience_ms=patience_ms,
                give_up_ms=give_up_ms,
            )
            certificate = exchange.outcome is Ending.TLS and "CERTIFICATE" in exchange.detail.upper()
            away = not exchange.connected and not certificate
            starting = exchange.outcome in {Ending.RESET, Ending.CLOSED} or exchange.status in _GATEWAY_WAITS
            if not (away or starting) or self._clock() >= end:
                break
            met = exchange if exchange.connected else met
            self.pause(0.1)
        for one in (exchange, *more):
            self.line.record_hang(one)
        if self.line.broken:
            self._silence = (exchange, *more)
        if away:
            self.summary.outcome = RunOutcome.UNREACHABLE
            before = f"took a callback before and {met.judgement.breaches[0].actual}, then " if met else ""
            self.summary.detail = f"{self.settings.target} {before}{exchange.outcome.explained} ({exchange.detail})"

    def _judge(self, requirement: Requirement, check: Callable[[Case], None]) -> CaseJudged:
        case = Case(self, requirement)
        self._since.append(requirement.id)
        started = time.monotonic()
        reason = ""
        try:
            check(case)
        except NotJudgedError as error:
            reason = str(error)
        except TargetLostError as error:
            reason = "" if case.findings else str(error)
        duration_ms = (time.monotonic() - started) * 1000
        if case.findings:
            findings = group_findings(case.findings)
            return CaseJudged(requirement, self._verdict(requirement), findings, duration_ms=duration_ms)
        if reason:
            return CaseJudged(requirement, Verdict.NOT_JUDGED, reason=reason, duration_ms=duration_ms)
        return CaseJudged(requirement, Verdict.PASS, duration_ms=duration_ms)

    def _verdict(self, requirement: Requirement) -> Verdict:
        if requirement.level is Level.INFO:
            return Verdict.INFO
        failing = requirement.level is Level.MUST or self.settings.strict
        return Verdict.FAIL if failing else Verdict.WARN

    def _not_applicable(self, requirement: Requirement) -> str:
        if requirement.needs == "token" and self.settings.token is None:
            return "no token given (ROOMHOOK_TOKEN)"
        if requirement.needs == "https" and self.url.scheme != "https":
            return "the target is not https"
        if requirement.needs == "fuzz" and not self.settings.fuzz:
            return "not asked for (--fuzz N)"
        if requirement.needs == "probe":
            return "no probe given" if self.probe is None else self.setup_failure
        return ""

    # The baseline

    def _baseline(self) -> list[CaseJudged]:
        """Nothing if the baseline is acknowledged; else the verdicts on its cause, and all the rest is unfounded."""
        case = Case(self, load_register()["ack.ok"])
        if self._silence:
            return self._blamed_on_silence(case)
        exchange = case.acknowledges(CallbackDraft())
        try:
            if not exchange.late and not self._takes_long_rooms(case):
                self.short_rooms = True
                self.short_rooms = case.send(CallbackDraft()).acknowledged
                if self.short_rooms:
                    case = Case(self, load_register()["ack.ok"])
            if not case.findings:
                self.latency_ms = statistics.median(case.acknowledges(CallbackDraft()).elapsed_ms for _ in range(3))
        except TargetLostError:
            if not case.findings and self._last_words is not None:
                case.blame_unacknowledged(self._last_words, self.lost)
        if not case.findings:
            return []
        return self._blamed(case, case.findings[0].exchange or exchange)

    def _blamed_on_silence(self, case: Case) -> list[CaseJudged]:
        """The baseline has been sent three times in the warm-up and got no answer: nothing is asked again."""
        for exchange in self._silence:
            self.observe(exchange)
            self.count_valid(exchange)
        first, *_ = self._silence
        self._lose(first, self.line.broken)
        return self._blamed(case, first)

    def _blamed(self, case: Case, exchange: Exchange) -> list[CaseJudged]:
        """The verdicts on why *exchange*, of the baseline, is no acknowledgement."""
        blamed = diagnose(self, case, exchange)
        judged = [CaseJudged(one.requirement, self._verdict(one.requirement), (one,)) for one in blamed]
        ids = ", ".join(one.requirement.id for one in judged if one.verdict is not Verdict.INFO)
        self._unfounded = f"the baseline callback is not acknowledged ({ids})"
        return judged

    def _takes_long_rooms(self, case: Case) -> bool:
        longest = max(load_register(), key=len)
        return any(
            case.send(CallbackDraft(), room=self.settings.room or self.next_room(longest)).acknowledged
            for _ in range(2)
        )

    def _conclude(self, verdicts: set[Verdict], reasons: set[str]) -> None:
        if self.summary.outcome in {RunOutcome.UNREACHABLE, RunOutcome.INTERRUPTED}:
            return
        if Verdict.FAIL in verdicts:
            self.summary.outcome = RunOutcome.VIOLATES
        elif self.setup_failure:
            self.summary.outcome = RunOutcome.NOTHING_RAN
            self.summary.detail = self.setup_failure
        elif verdicts <= {Verdict.NOT_JUDGED}:
            self.summary.outcome = RunOutcome.NOTHING_RAN
            self.summary.detail = f"nothing could be judged: {'; '.join(sorted(reasons))}"
        self.summary.detail = self.summary.detail or self.lost


def run_suite(settings: Settings) -> Iterator[RunEvent]:
    """Hold the App backend at ``settings.target`` against the register, event by event."""
    return SuiteRun(settings).events()


def _probe_of(settings: Settings) -> Probe | None:
    if settings.probe:
        verify = not settings.insecure and (str(settings.cacert) if settings.cacert else True)
        return http_probe(settings.probe, pointer=settings.probe_pointer, headers=settings.headers, verify=verify)
    return command_probe(settings.probe_command, pointer=settings.probe_pointer) if settings.probe_command else None
