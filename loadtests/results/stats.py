"""Statistics of a load test, per process and added up. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import msgspec

from roomhook.simulator.protocol.outcomes import DeliveryOutcome
from roomhook.simulator.util.histogram import Histogram

__all__ = ["LoadStats", "Series", "failure_line"]


def failure_line(outcome: DeliveryOutcome, breaches: tuple[str, ...], status: int) -> str:
    """Text for the table of failures: requirement ids and what happened, with few different values."""
    if outcome is DeliveryOutcome.HTTP_STATUS:
        what = f"answered HTTP {status}"
    elif breaches == ("ack.ok",):
        what = "delivered, but answered with an ActionStatus that is not OK"
    elif outcome is DeliveryOutcome.DELIVERED:
        what = "delivered, but its response packet is not compliant"
    else:
        what = outcome.explained
    return f"{', '.join(breaches)}: {what}"


@dataclass
class Series:
    """The requests of one name: ``seconds`` holds how many were answered, and failed, by second since the epoch.

    ``errors`` counts failures by their text in locust's table.
    """

    requests: int = 0
    failures: int = 0
    answer_bytes: int = 0
    seconds: dict[int, list[int]] = field(default_factory=dict)
    latency: Histogram = field(default_factory=Histogram)
    errors: Counter[str] = field(default_factory=Counter)

    def add(self, other: Series) -> None:
        """Add the counts of *other*."""
        self.requests += other.requests
        self.failures += other.failures
        self.answer_bytes += other.answer_bytes
        self.latency.add(other.latency)
        self.errors.update(other.errors)
        for second, (requests, failures) in other.seconds.items():
            cell = self.seconds.setdefault(second, [0, 0])
            cell[0] += requests
            cell[1] += failures


@dataclass
class LoadStats:
    """Requests by name, their outcomes, and the requirements that they did not meet.

    ``latency`` (µs) counts from the intended moment of sending, ``undelivered`` is the same for callbacks that were not
    delivered, and ``lateness`` (µs) is the time from that moment to the actual sending; only the fast sender has
    intended moments. ``unsent`` callbacks were due and could not leave before the end. ``first_us`` and ``last_us`` are
    the ends of the first and the last request (µs since the epoch; 0 without any).
    """

    series: dict[str, Series] = field(default_factory=dict)
    outcomes: Counter[str] = field(default_factory=Counter)
    requirements: Counter[str] = field(default_factory=Counter)
    lateness: Histogram = field(default_factory=Histogram)
    undelivered: Histogram = field(default_factory=Histogram)
    unsent: int = 0
    first_us: int = 0
    last_us: int = 0

    @property
    def requests(self) -> int:
        """Number of completed requests."""
        return sum(one.requests for one in self.series.values())

    @property
    def noncompliant(self) -> int:
        """Number of requests whose response violates a requirement."""
        return sum(one.failures for one in self.series.values())

    @property
    def delivered(self) -> int:
        """Number of requests that the Room backend would count as delivered."""
        return self.outcomes[DeliveryOutcome.DELIVERED]

    @property
    def latency(self) -> Histogram:
        """Latencies of all requests."""
        found = Histogram()
        for one in self.series.values():
            found.add(one.latency)
        return found

    @property
    def errors(self) -> Counter[str]:
        """All failures, by their text in the table."""
        return sum((one.errors for one in self.series.values()), Counter())

    @property
    def delivered_latency(self) -> Histogram:
        """Latencies of delivered callbacks; mean and maximum are unknown."""
        return self.latency.since(self.undelivered.counts)

    @property
    def seconds(self) -> dict[int, tuple[int, int]]:
        """How many were answered, and failed, by second since the epoch, in order."""
        found: Counter[int] = Counter()
        failed: Counter[int] = Counter()
        for one in self.series.values():
            for second, (requests, failures) in one.seconds.items():
                found[second] += requests
                failed[second] += failures
        return {second: (found[second], failed[second]) for second in sorted(found)}

    def record(
        self,
        name: str,
        latency_us: int,
        ended_us: int,
        outcome: DeliveryOutcome,
        breaches: tuple[str, ...],
        *,
        status: int,
        size: int,
    ) -> None:
        """Count one request that ended at *ended_us* (µs since the epoch) with *size* bytes of an answer."""
        second = ended_us // 1_000_000
        self.span(ended_us, ended_us)
        series = self.series.get(name) or self.series.setdefault(name, Series())
        series.requests += 1
        series.answer_bytes += size
        series.latency.record(latency_us)
        cell = series.seconds.setdefault(second, [0, 0])
        cell[0] += 1
        self.outcomes[outcome.value] += 1
        if breaches:
            self.fail(name, second, latency_us, outcome, breaches, status=status)

    def span(self, first_us: int, last_us: int) -> None:
        """Note that requests ended from *first_us* to *last_us*."""
        self.first_us = min(self.first_us or first_us, first_us)
        self.last_us = max(self.last_us, last_us)

    def fail(
        self,
        name: str,
        second: int,
        latency_us: int,
        outcome: DeliveryOutcome,
        breaches: tuple[str, ...],
        *,
        status: int,
    ) -> None:
        """Count as failed a request that is already counted."""
        if outcome is not DeliveryOutcome.DELIVERED:
            self.undelivered.record(latency_us)
        series = self.series[name]
        series.failures += 1
        series.seconds[second][1] += 1
        self.requirements.update(breaches)
        series.errors[failure_line(outcome, breaches, status)] += 1

    def add(self, other: LoadStats) -> None:
        """Add the counts of *other*."""
        for name, series in other.series.items():
            self.series.setdefault(name, Series()).add(series)
        self.outcomes.update(other.outcomes)
        self.requirements.update(other.requirements)
        self.lateness.add(other.lateness)
        self.undelivered.add(other.undelivered)
        self.unsent += other.unsent
        if other.first_us:
            self.span(other.first_us, other.last_us)

    def to_dict(self) -> dict[str, Any]:
        """The statistics as values of JSON and msgpack."""
        found: dict[str, Any] = msgspec.to_builtins(self, str_keys=True, enc_hook=Histogram.to_dict)
        return found

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """The statistics that ``to_dict`` wrote."""
        return msgspec.convert(data, cls, str_keys=True, dec_hook=_decoded)


def _decoded(kind: type[Any], value: Any) -> Any:
    return Histogram.from_dict(value) if kind is Histogram else Counter(value)
