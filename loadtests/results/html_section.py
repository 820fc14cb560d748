"""Our part of locust's HTML report: verdicts, latency, outcomes, requirements, rate asked and reached. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Final

from roomhook.loadtests.results.summary import LoadSummary
from roomhook.loadtests.results.thresholds import rate_of
from roomhook.simulator.util.histogram import Histogram

__all__ = ["insert_section"]

_WIDTH: Final = 900
_HEIGHT: Final = 180
_STYLE: Final = """
#roomhook{font:15px/1.5 system-ui,sans-serif;max-width:60em;margin:2em auto;padding:1.5em;background:#fff;color:#1d2430}
#roomhook table{border-collapse:collapse;margin:.5em 0 1.5em}
#roomhook td,#roomhook th{padding:.25em .9em;border-bottom:1px solid #d8dde5;text-align:right}
#roomhook td:first-child,#roomhook th:first-child{text-align:left}
#roomhook .failed{color:#b3261e;font-weight:600}#roomhook .passed{color:#1a6b35}
#roomhook svg{width:100%;height:auto;background:#f6f7f9}#roomhook svg text{font:12px system-ui,sans-serif;fill:#475063}
"""


def insert_section(page: str, conclusion: LoadSummary) -> str:
    """*page*, locust's report, with our section at its end."""
    body, end, rest = page.rpartition("</body>")
    return f"{body}{_section(conclusion)}{end}{rest}" if end else page + _section(conclusion)


def _section(conclusion: LoadSummary) -> str:
    figures, facts = conclusion.figures, conclusion.facts
    passed = conclusion.exit_code == 0
    said = {name: escape(str(facts.get(name, ""))) for name in ("target", "profile", "shape", "seed", "counted")}
    word = "passed" if passed else "FAILED"
    parts = [
        f"<style>{_STYLE}</style><section id='roomhook'>",
        f"<h2>Room callbacks: <span class='{word.lower()}'>{word}</span></h2>",
        f"<p>Target {said['target']}, profile {said['profile']}, shape {said['shape']}, seed {said['seed']}. ",
        f"Latency counts {said['counted']}.</p>",
    ]
    parts += [f"<p class='failed'>{escape(one)}</p>" for one in conclusion.lost]
    parts += [f"<p>{escape(one)}</p>" for one in conclusion.notes]
    if conclusion.verdicts:
        rows = [(one.threshold.text, one.shown, "failed" if one.broken else "passed") for one in conclusion.verdicts]
        parts.append(_table("Thresholds", ("fails if", "measured", "verdict"), rows))
    total = figures.requests
    parts += [
        _table(
            "By check-out method",
            ("callback", "requests", "not compliant", "p50 ms", "p99 ms", "p99.9 ms", "max ms"),
            [
                (name, f"{one.requests:,}", f"{one.failures:,}", *_times(one.latency))
                for name, one in sorted(figures.series.items())
            ],
        ),
        _table("Outcomes", ("outcome", "requests", "share"), _shares(figures.outcomes.most_common(), total)),
        _table("Requirements not met", ("id", "requests", "share"), _shares(figures.requirements.most_common(), total)),
        "<h3>Latency</h3>",
        _histogram(figures.latency),
        "<h3>Rate: asked (line) and reached (bars)</h3>",
        _rates(conclusion),
        f"<p>{rate_of(figures):,.1f} callbacks/s reached on average; ",
        f"{figures.unsent:,} were due and could not leave.</p>",
    ]
    if figures.lateness.total:
        p50, p99, p999, longest = _times(figures.lateness)
        parts.append(
            f"<p>Callbacks left behind their time (ms): p50 {p50}, p99 {p99}, p99.9 {p999}, max {longest}. "
            "If this is much of the latency, the sender or its bound of connections was the limit.</p>"
        )
    return "".join([*parts, "</section>"])


def _times(histogram: Histogram) -> tuple[str, str, str, str]:
    p50, p99, p999 = (f"{histogram.percentile_ms(one):.2f}" for one in (50, 99, 99.9))
    return p50, p99, p999, f"{histogram.longest_us / 1000:.2f}"


def _shares(counts: Iterable[tuple[str, int]], total: int) -> list[tuple[str, str, str]]:
    return [(name, f"{count:,}", f"{100 * count / total:.3f}%") for name, count in counts if count]


def _table(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    if not rows:
        return f"<h3>{escape(title)}</h3><p>None.</p>"
    header = "".join(f"<th>{escape(one)}</th>" for one in head)
    lines = "".join("<tr>" + "".join(_cell(one) for one in row) + "</tr>" for row in rows)
    return f"<h3>{escape(title)}</h3><table><tr>{header}</tr>{lines}</table>"


def _cell(text: str) -> str:
    kind = f" class='{text}'" if text in {"passed", "failed"} else ""
    return f"<td{kind}>{escape(text)}</td>"


def _histogram(latency: Histogram) -> str:
    """Bars on a logarithmic axis: an octave is as wide as any other."""
    octaves: dict[int, int] = {}
    for bound_us, count in latency.buckets():
        slot = max(0, (bound_us * bound_us).bit_length() - 1)  # half an octave
        octaves[slot] = octaves.get(slot, 0) + count
    if not octaves:
        return "<p>Nothing was answered.</p>"
    slots = range(min(octaves), max(octaves) + 1)
    bars = [(octaves.get(slot, 0), f"≤ {2 ** ((slot + 1) / 2) / 1000:.3g} ms") for slot in slots]
    return _bars(bars, labels=max(1, len(bars) // 8))


def _rates(conclusion: LoadSummary) -> str:
    reached = conclusion.figures.seconds
    if not reached:
        return "<p>Nothing was answered.</p>"
    first, last = min(reached), max(reached)
    step = max(1, (last - first + 1) // 300)
    starts = range(first, last + 1, step)
    bars = [
        (sum(reached.get(second, (0, 0))[0] for second in range(start, start + step)) / step, f"{start - first} s")
        for start in starts
    ]
    asked = [conclusion.asked.get(start) for start in starts] if conclusion.asked else []
    return _bars(bars, labels=max(1, len(bars) // 8), line=asked)


def _bars(bars: Sequence[tuple[float, str]], *, labels: int, line: Sequence[float | None] = ()) -> str:
    top = max([count for count, _ in bars] + [one or 0 for one in line]) or 1
    width = _WIDTH / len(bars)
    parts = [f"<svg viewBox='0 0 {_WIDTH} {_HEIGHT + 40}' role='img'>"]
    for index, (count, label) in enumerate(bars):
        height = count / top * _HEIGHT
        parts.append(
            f"<rect x='{index * width:.1f}' y='{20 + _HEIGHT - height:.1f}' width='{max(width - 1, 0.5):.1f}' "
            f"height='{height:.1f}' fill='#3b6fb6'><title>{label}: {count:,.0f}</title></rect>"
        )
        if index % labels == 0:
            parts.append(f"<text x='{index * width:.1f}' y='{_HEIGHT + 35}'>{label}</text>")
    points = " ".join(
        f"{(index + 0.5) * width:.1f},{20 + _HEIGHT - value / top * _HEIGHT:.1f}"
        for index, value in enumerate(line)
        if value is not None
    )
    if points:
        parts.append(f"<polyline points='{points}' fill='none' stroke='#d9822b' stroke-width='2'/>")
    return "".join([*parts, f"<text x='4' y='14'>{top:,.0f}</text></svg>"])
