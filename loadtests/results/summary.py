"""The verdict of a load test as table, JSON and JUnit. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from xml.etree import ElementTree as ET

import msgspec

from roomhook.loadtests.results.stats import LoadStats
from roomhook.loadtests.results.thresholds import ThresholdResult, rate_of
from roomhook.simulator.util.histogram import Histogram

__all__ = ["LoadSummary", "document", "junit", "table"]


@dataclass(frozen=True)
class LoadSummary:
    """Result of a load test: ``asked`` is the requested rate (1/s) by second since the epoch, ``facts`` the setup."""

    figures: LoadStats
    verdicts: tuple[ThresholdResult, ...]
    exit_code: int
    asked: Mapping[int, float] = field(default_factory=dict)
    lost: Sequence[str] = ()
    notes: Sequence[str] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)


def table(conclusion: LoadSummary) -> str:
    """Figures, thresholds with measured values, and notes, as lines of text."""
    figures = conclusion.figures
    lines = [
        "",
        f"Callbacks: {figures.requests:,} completed at {rate_of(figures):,.1f}/s",
        f"  {figures.delivered:,} delivered, {figures.noncompliant:,} not compliant, {figures.unsent:,} due but unsent",
    ]
    latency = figures.latency
    if latency.total:
        longest = f"max {latency.longest_us / 1000:.2f}"
        lines.append(f"Latency (ms): {_percentiles(latency)}  {longest}")
        if 0 < figures.delivered < figures.requests:
            lines.append(f"  delivered:  {_percentiles(figures.delivered_latency)}")
        lines.append(f"  measured {conclusion.facts.get('counted', '')}")
    lines += [f"  {count:>8,}  {text}" for text, count in figures.errors.most_common()]
    if conclusion.verdicts:
        lines += ["", f"{'fails if':<28} {'measured':>20}  verdict"]
        lines += [
            f"{one.threshold.text:<28} {one.shown:>20}  {'FAILED' if one.broken else 'passed'}"
            for one in conclusion.verdicts
        ]
    lines += [f"note: {one}" for one in conclusion.notes]
    lines += [f"error: {one}" for one in conclusion.lost]
    return "\n".join([*lines, ""])


def _percentiles(histogram: Histogram) -> str:
    return "  ".join(f"{name} {ms:.2f}" for name, ms in histogram.percentiles_ms().items())


def document(conclusion: LoadSummary) -> bytes:
    """All figures and verdicts as JSON; times in ms."""
    figures = conclusion.figures
    latency = figures.latency
    content = {
        **conclusion.facts,
        "exit_code": conclusion.exit_code,
        "thresholds": [
            {
                "fails_if": one.threshold.text,
                "metric": one.threshold.metric,
                "limit": one.threshold.limit,
                "unit": one.threshold.unit,
                "value": one.value,
                "verdict": "failed" if one.broken else "passed",
            }
            for one in conclusion.verdicts
        ],
        "requests": figures.requests,
        "delivered": figures.delivered,
        "noncompliant": figures.noncompliant,
        "unsent": figures.unsent,
        "rate_per_s": round(rate_of(figures), 1),
        "latency_ms": latency.times_ms(),
        "delivered_latency_ms": figures.delivered_latency.percentiles_ms(),
        "lateness_ms": figures.lateness.times_ms(),
        "outcomes": dict(figures.outcomes.most_common()),
        "requirements": dict(figures.requirements.most_common()),
        "check_outs": {
            name: {"requests": one.requests, "noncompliant": one.failures, "latency_ms": one.latency.times_ms()}
            for name, one in sorted(figures.series.items())
        },
        "histogram_ms": [[bound / 1000, count] for bound, count in latency.buckets()],
        "seconds": [
            {"second": second, "answered": counts[0], "noncompliant": counts[1], "asked": conclusion.asked.get(second)}
            for second, counts in figures.seconds.items()
        ],
        "notes": list(conclusion.notes),
        "lost": list(conclusion.lost),
    }
    return msgspec.json.format(msgspec.json.encode(content)) + b"\n"


def junit(conclusion: LoadSummary) -> bytes:
    """One test case per threshold, and one for the completeness of the run."""
    cases = [(one.threshold.text, f"measured {one.shown}" if one.broken else "") for one in conclusion.verdicts]
    broken = sum(1 for _, why in cases if why)
    suite = ET.Element(
        "testsuite",
        name="roomhook load",
        tests=str(len(cases) + 1),
        failures=str(broken),
        errors=str(int(bool(conclusion.lost))),
    )
    for name, why in cases:
        case = ET.SubElement(suite, "testcase", classname="roomhook.load", name=f"fails if {name}")
        if why:
            ET.SubElement(case, "failure", message=why)
    case = ET.SubElement(suite, "testcase", classname="roomhook.load", name="nothing of the load test was lost")
    if conclusion.lost:
        ET.SubElement(case, "error", message="; ".join(conclusion.lost))
    ET.indent(suite)
    written: bytes = ET.tostring(suite, encoding="utf-8", xml_declaration=True)
    return written + b"\n"
