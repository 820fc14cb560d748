"""Statistics of a sending run: an outcome per attempt, a state per event, times, and sample callbacks."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from operator import sub
from typing import Any, Final

from roomhook.simulator.protocol.callback_event import check_out_in
from roomhook.simulator.protocol.outcomes import DeliveryOutcome
from roomhook.simulator.transport.attempt import Attempt
from roomhook.simulator.util.histogram import Histogram

__all__ = ["LATE_MS", "SampleExchange", "SendStats", "StatsInterval"]

LATE_MS: Final = 2.0
"""An open-loop callback counts as late if it leaves this much after its time."""

_MOST_SPECIMENS: Final = 10
_LONGEST_SHOWN: Final = 2048
_DELIVERED: Final = DeliveryOutcome.DELIVERED


@dataclass(frozen=True, slots=True)
class SampleExchange:
    """A sample callback: request, response (cut at 2 KiB) and outcome."""

    latency_ms: float
    outcome: str
    breaches: tuple[str, ...]
    request: bytes
    received: bytes
    note: str


@dataclass(slots=True)
class StatsInterval:
    """Counts of the interval that ends ``at_s`` seconds after the start."""

    at_s: float
    delivered: int
    failed: int
    breached: int
    p50_ms: float
    p99_ms: float


@dataclass
class SendStats:
    """Counts of one run, or of several added up.

    Events: ``scheduled`` = ``delivered`` + ``failed`` + ``unsent``. Attempts: each has one outcome and counts in one of
    ``check_outs``. ``latency`` counts from the scheduled time of sending, ``service`` from the actual one; ``lateness``
    is the difference. In the closed loop nothing is scheduled, and ``latency`` equals ``service``. ``recovery`` is the
    time from the first attempt to the delivery by a retry.
    """

    mode: str = ""
    open_loop: bool = True
    scheduled: int = 0
    delivered: int = 0
    failed: int = 0
    acknowledged: int = 0
    retries: int = 0
    copies: int = 0
    resent: int = 0
    late: int = 0
    connections: int = 0
    elapsed_s: float = 0.0
    outcomes: Counter[str] = field(default_factory=Counter)
    breaches: Counter[str] = field(default_factory=Counter)
    check_outs: Counter[str] = field(default_factory=Counter)
    latency: Histogram = field(default_factory=Histogram)
    service: Histogram = field(default_factory=Histogram)
    lateness: Histogram = field(default_factory=Histogram)
    recovery: Histogram = field(default_factory=Histogram)
    seconds: list[StatsInterval] = field(default_factory=list)
    failures: list[SampleExchange] = field(default_factory=list)
    _slowest: list[tuple[int, int, SampleExchange]] = field(default_factory=list)
    _slow_us: int = 0
    _serial: int = 0
    _shown: Counter[str] = field(default_factory=Counter)
    _last: tuple[int, int, int, list[int]] | None = None

    @property
    def unsent(self) -> int:
        """Unfinished events: not started, in flight, or waiting for a retry when the run ended."""
        return self.scheduled - self.delivered - self.failed

    @property
    def all_well(self) -> bool:
        """Whether every callback and duplicate was delivered and acknowledged, possibly by a retry."""
        return self.acknowledged + self.retries == self.attempts and not self.unsent

    @property
    def attempts(self) -> int:
        """Number of attempts with an outcome."""
        return self.acknowledged + sum(self.outcomes.values())

    @property
    def slowest(self) -> list[SampleExchange]:
        """The slowest callbacks, the slowest first."""
        return [specimen for _, _, specimen in sorted(self._slowest, key=lambda one: -one[0])]

    def record(self, attempts: Sequence[Attempt]) -> None:
        """Count finished *attempts*; counting many at once costs half."""
        if self.open_loop:
            latencies = [(one.done_ns - one.intended_ns) // 1000 for one in attempts]
            self._record_lateness(attempts, latencies)
        else:
            latencies = [(one.done_ns - one.sent_ns) // 1000 for one in attempts]
        self.latency.record_all(latencies)
        check_outs = Counter([one.check_out for one in attempts])
        if check_outs.pop("", 0):
            check_outs.update(check_out_in(one.request) for one in attempts if not one.check_out)
        self.check_outs.update(check_outs)
        results = {one.result for one in attempts}
        troubles = {one for one in results if one.breaches or one.outcome is not _DELIVERED}
        troubled = [one for one in attempts if one.result in troubles] if troubles else []
        self.acknowledged += len(attempts) - len(troubled)
        for attempt in troubled:
            self._record_trouble(attempt)
        self.resent += len([one for one in attempts if one.resent])
        if max(latencies, default=0) > self._slow_us:
            for attempt, latency in zip(attempts, latencies, strict=True):
                if latency > self._slow_us:
                    self._record_slow(attempt, latency)

    def outcome_counts(self) -> dict[str, int]:
        """All outcomes by name, delivered first."""
        found = Counter(self.outcomes)
        found[str(_DELIVERED)] += self.acknowledged
        return {name: found[name] for name in (str(one) for one in DeliveryOutcome) if found[name]}

    def mark(self, at_s: float) -> None:
        """Close the second that ends at *at_s*; called about once a second."""
        delivered = self.acknowledged + self.outcomes[str(_DELIVERED)]
        failed = self.attempts - delivered
        breached = self.attempts - self.acknowledged
        before = self._last or (0, 0, 0, [0] * len(self.latency.counts))
        since = self.latency.since(before[3])
        p50, p99 = since.percentile_ms(50), since.percentile_ms(99)
        self.seconds.append(
            StatsInterval(
                at_s, delivered - before[0], failed - before[1], breached - before[2], round(p50, 3), round(p99, 3)
            )
        )
        self._last = delivered, failed, breached, list(self.latency.counts)

    def add(self, others: Iterable[SendStats]) -> None:
        """Add what *others* counted at the same time (the processes of one run)."""
        for other in others:
            self.mode, self.open_loop = other.mode, other.open_loop
            for name in ("scheduled", "delivered", "failed", "acknowledged", "retries", "copies", "resent", "late"):
                setattr(self, name, getattr(self, name) + getattr(other, name))
            self.connections += other.connections
            self.elapsed_s = max(self.elapsed_s, other.elapsed_s)
            for mine, theirs in ((self.outcomes, other.outcomes), (self.breaches, other.breaches)):
                mine.update(theirs)
            self.check_outs.update(other.check_outs)
            self.latency.add(other.latency)
            self.service.add(other.service)
            self.lateness.add(other.lateness)
            self.recovery.add(other.recovery)
            self.failures = (self.failures + other.failures)[: 4 * _MOST_SPECIMENS]
            self._slowest = heapq.nlargest(_MOST_SPECIMENS, self._slowest + other._slowest, key=lambda one: one[0])  # noqa: SLF001
            self.seconds = _side_by_side(self.seconds, other.seconds)

    def to_dict(self) -> dict[str, Any]:
        """For ``--report json``: counts, rates (1/s) and times (ms)."""
        return {
            "mode": self.mode,
            "scheduled": self.scheduled,
            "delivered": self.delivered,
            "failed": self.failed,
            "unsent": self.unsent,
            **({"late": self.late} if self.open_loop else {}),
            "attempts": self.attempts,
            "acknowledged": self.acknowledged,
            "retries": self.retries,
            "copies": self.copies,
            "resent": self.resent,
            "connections": self.connections,
            "elapsed_s": round(self.elapsed_s, 3),
            "rate_per_s": round(self.attempts / self.elapsed_s, 1) if self.elapsed_s else 0.0,
            "outcomes": self.outcome_counts(),
            "requirements": dict(self.breaches.most_common()),
            "check_outs": dict(self.check_outs.most_common()),
            "latency_ms": self.latency.times_ms(),
            **({name: times.times_ms() for name, times in self._more_times()}),
            "histogram_ms": [[bound / 1000, count] for bound, count in self.latency.buckets()],
            "seconds": [
                {
                    name: getattr(second, name)
                    for name in ("at_s", "delivered", "failed", "breached", "p50_ms", "p99_ms")
                }
                for second in self.seconds
            ],
        }

    def _more_times(self) -> list[tuple[str, Histogram]]:
        found = [("service_ms", self.service), ("lateness_ms", self.lateness)] if self.open_loop else []
        return [*found, ("recovery_ms", self.recovery)] if self.recovery.total else found

    def _record_lateness(self, attempts: Sequence[Attempt], latencies: Sequence[int]) -> None:
        latenesses = [(one.sent_ns - one.intended_ns) // 1000 for one in attempts]
        self.lateness.record_all(latenesses)
        self.service.record_all(list(map(sub, latencies, latenesses)))
        self.late += sum(lateness > LATE_MS * 1000 for lateness in latenesses)

    def _record_trouble(self, attempt: Attempt) -> None:
        result = attempt.result
        outcome = str(result.outcome)
        self.outcomes[outcome] += 1
        self.breaches.update(result.breaches)
        kind = f"{outcome} {' '.join(result.breaches)}"
        if self._shown[kind] < _MOST_SPECIMENS // 3 and len(self.failures) < 4 * _MOST_SPECIMENS:
            self._shown[kind] += 1
            self.failures.append(_specimen(attempt))

    def _record_slow(self, attempt: Attempt, latency: int) -> None:
        self._serial += 1
        entry = latency, self._serial, _specimen(attempt)
        if len(self._slowest) < _MOST_SPECIMENS:
            heapq.heappush(self._slowest, entry)
        else:
            heapq.heapreplace(self._slowest, entry)
            self._slow_us = self._slowest[0][0]


def _specimen(attempt: Attempt) -> SampleExchange:
    result = attempt.result
    cut = result.received[:_LONGEST_SHOWN]
    return SampleExchange(attempt.latency_ms, str(result.outcome), result.breaches, attempt.request, cut, result.note)


def _side_by_side(mine: list[StatsInterval], theirs: list[StatsInterval]) -> list[StatsInterval]:
    both = [
        StatsInterval(
            max(one.at_s, two.at_s),
            one.delivered + two.delivered,
            one.failed + two.failed,
            one.breached + two.breached,
            max(one.p50_ms, two.p50_ms),
            max(one.p99_ms, two.p99_ms),
        )
        for one, two in zip(mine, theirs, strict=False)
    ]
    return both + (mine if len(mine) > len(theirs) else theirs)[len(both) :]
