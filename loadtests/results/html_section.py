"""Roomhook's section of locust's HTML report: verdict, latency, outcomes, requirements and rates. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from roomhook.loadtests.results.progress import INTERRUPTED
from roomhook.loadtests.results.summary import LoadSummary
from roomhook.loadtests.results.thresholds import rate_of
from roomhook.pages.charts import BarChart, histogram, timeline
from roomhook.pages.rendering import render
from roomhook.simulator.protocol.callback_request import masked_url
from roomhook.simulator.util.histogram import Histogram

__all__ = ["insert_section"]

_BODY: Final = re.compile(r"(?:</head>|\A)\s*<body[^>]*>")
_THEME: Final = 'window.theme = "light"'
"""How locust fixes its colours; without it the page follows the reader's system, as ours does."""

_HOST: Final = re.compile(r'(?<="host": )"(?:[^"\\]|\\.)*"')
"""The target's URL, in JSON that is safe inside a script."""

_TIMES: Final = ("p50 ms", "p99 ms", "p99.9 ms", "max ms")


def insert_section(page: str, conclusion: LoadSummary) -> str:
    """*page*, locust's report, below our section: its URL without secrets, in the colours that the system prefers."""
    page = _HOST.sub(_without_secrets, page)
    start = _BODY.search(page)
    place = start.end() if start else 0
    rest = 'window.theme = ""'.join(page[place:].rsplit(_THEME, 1))
    return f"{page[:place]}\n{_section(conclusion)}{rest}"


def _without_secrets(host: re.Match[str]) -> str:
    shown = json.dumps(masked_url(json.loads(host[0])))
    return re.sub("[<>&']", lambda letter: f"\\u{ord(letter[0]):04x}", shown)


@dataclass(frozen=True)
class _Row:
    cells: Sequence[str]
    tone: str = ""


@dataclass(frozen=True)
class _Table:
    title: str
    columns: Sequence[str]
    rows: Sequence[_Row]


def _section(conclusion: LoadSummary) -> str:
    figures = conclusion.figures
    interrupted = conclusion.exit_code == INTERRUPTED
    marks = [(f"p{percent}", figures.latency.percentile_ms(percent)) for percent in (50, 99)]
    buckets = [(bound / 1000, count) for bound, count in figures.latency.buckets()]
    content: dict[str, object] = {
        "verdict": "Interrupted" if interrupted else "Failed" if conclusion.exit_code else "Passed",
        "tone": "warn" if interrupted else "fail" if conclusion.exit_code else "pass",
        "lede": f"{figures.requests:,} callbacks: {figures.delivered:,} delivered, {figures.noncompliant:,} not "
        f"compliant, {figures.unsent:,} due but unsent; {rate_of(figures):,.1f}/s on average.",
        "lost": conclusion.lost,
        "notes": conclusion.notes,
        "facts": list(_facts(conclusion)),
        "counted": conclusion.facts.get("counted", ""),
        "tables": [one for one in _tables(conclusion) if one.rows],
        "latency": histogram("How long responses took", buckets, marks),
        "rate": _rate(conclusion),
        "lateness": _lateness(figures.lateness),
        "parts": [
            ("Outcomes", figures.outcomes.most_common(), figures.requests),
            ("Requirements not met", figures.requirements.most_common(), figures.requests),
        ],
    }
    return render("roomhook.loadtests.results", "section.html", content)


def _facts(conclusion: LoadSummary) -> Iterator[tuple[str, str]]:
    for name, shown in (("target", "Target"), ("profile", "Profile"), ("shape", "Shape"), ("seed", "Seed")):
        if name in conclusion.facts:
            yield shown, str(conclusion.facts[name])


def _tables(conclusion: LoadSummary) -> Iterator[_Table]:
    yield _Table(
        "Thresholds",
        ("fails if", "measured", "verdict"),
        [
            _Row((one.threshold.text, one.shown, "failed" if one.broken else "passed"), "fail" if one.broken else "")
            for one in conclusion.verdicts
        ],
    )
    figures = conclusion.figures
    rows = [_Row(("all", f"{figures.requests:,}", *_times(figures.latency)))] if figures.requests else []
    if 0 < figures.delivered < figures.requests:
        delivered = _times(figures.delivered_latency)[:-1]
        rows.append(_Row(("delivered", f"{figures.delivered:,}", *delivered, "unknown")))
    yield _Table("Latency of all and of delivered callbacks", ("callbacks", "requests", *_TIMES), rows)
    yield _Table(
        "By check-out method",
        ("callback", "requests", "not compliant", *_TIMES),
        [
            _Row((name, f"{one.requests:,}", f"{one.failures:,}", *_times(one.latency)))
            for name, one in sorted(conclusion.figures.series.items())
        ],
    )


def _times(times: Histogram) -> list[str]:
    return [f"{one:.2f}" for one in (*map(times.percentile_ms, (50, 99, 99.9)), times.longest_us / 1000)]


def _lateness(times: Histogram) -> str:
    if not times.total:
        return ""
    names = (name.removesuffix(" ms") for name in _TIMES)
    shown = ", ".join(f"{name} {value} ms" for name, value in zip(names, _times(times), strict=True))
    return (
        f"Callbacks left late by {shown}. If this is much of the latency, the limit was the sender or its number of "
        "connections."
    )


def _rate(conclusion: LoadSummary) -> BarChart:
    reached = conclusion.figures.seconds
    seconds = range(min(reached), max(reached) + 1) if reached else ()
    rows: list[tuple[float, dict[str, tuple[str, float]]]] = []
    for at_s, second in enumerate(seconds, 1):
        answered, failed = reached.get(second, (0, 0))
        rows.append((at_s, {"compliant": ("pass", answered - failed), "not compliant": ("fail", failed)}))
    requested = [conclusion.asked.get(second) for second in seconds] if conclusion.asked else []
    return timeline("Answered callbacks over time", rows, requested)
