"""Adds our statistics to locust's own, which feed its tables, charts, CSV and HTML."""

from __future__ import annotations

import time

from locust.env import Environment
from locust.stats import StatsEntry, StatsError

from roomhook.loadtests.results.stats import LoadStats

__all__ = ["merge_into_locust"]


def merge_into_locust(environment: Environment, figures: LoadStats) -> None:
    """Add *figures* to the statistics of *environment*, by name of the request."""
    stats, now = environment.stats, time.time()
    for name, series in figures.series.items():
        if not series.requests:
            continue
        entry = StatsEntry(stats, name, "POST")
        entry.num_requests, entry.num_failures = series.requests, series.failures
        # Locust rounds to two digits, but its dictionary takes our finer buckets, which gives finer percentiles.
        entry.response_times = {bound / 1000: count for bound, count in series.latency.buckets()}  # type: ignore[misc]
        entry.total_response_time = series.latency.total_us / 1000  # type: ignore[assignment]
        entry.min_response_time = min(entry.response_times)
        entry.max_response_time = series.latency.longest_us / 1000  # type: ignore[assignment]
        entry.total_content_length = series.answer_bytes
        entry.num_reqs_per_sec = {second: requests for second, (requests, _) in series.seconds.items()}
        entry.num_fail_per_sec = {second: failures for second, (_, failures) in series.seconds.items() if failures}
        entry.last_request_timestamp = min(now, max(series.seconds) + 1.0)
        stats.total.extend(entry)
        stats.entries[name, "POST"].extend(entry)
        for text, times in series.errors.items():
            key = StatsError.create_key("POST", name, text)
            error = stats.errors.setdefault(key, StatsError("POST", name, text, first_seen=now))
            error.occurrences += times
            error.last_seen = now
