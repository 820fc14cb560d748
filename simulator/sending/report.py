"""Report of a sending run: as data, and as one self-contained page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from importlib.metadata import version
from typing import Any, Final

from roomhook.pages.charts import histogram, timeline
from roomhook.pages.rendering import render
from roomhook.simulator.protocol.callback_request import CallbackRequest, masked_url, recorded_request
from roomhook.simulator.protocol.curl import curl
from roomhook.simulator.sending.session import SendJob
from roomhook.simulator.sending.stats import LATE_MS, SampleExchange, SendStats, StatsInterval

__all__ = ["document", "html"]

_SHOWN_HEADERS: Final = frozenset({"host", "user-agent", "content-length"})


def document(tally: SendStats, order: SendJob, journals: Sequence[str] = ()) -> dict[str, Any]:
    """The report as data: target, options, counts, rates (1/s), times (ms), and sample callbacks as curl lines."""
    return {
        "roomhook": version("roomhook"),
        "target": masked_url(order.url.with_query("")),
        "sdkappid": order.sdkappid,
        "signed": order.token is not None,
        "deadline_ms": order.deadline_ms,
        "retry": order.retry,
        "seed": order.seed,
        "journals": list(journals),
        "all_well": tally.all_well,
        **tally.to_dict(),
        "failures": [_specimen(one, order) for one in tally.failures],
        "slowest": [_specimen(one, order) for one in tally.slowest],
    }


def html(tally: SendStats, order: SendJob, journals: Sequence[str] = ()) -> str:
    """The report as one self-contained page."""
    good = tally.all_well
    marks = [(f"p{percent:g}", tally.latency.percentile_ms(percent)) for percent in (50, 99)]
    buckets = [(bound / 1000, count) for bound, count in tally.latency.buckets()]
    content: dict[str, object] = {
        "title": f"{tally.scheduled:,} callbacks to {masked_url(order.url.with_query(''))}",
        "version": version("roomhook"),
        "tone": "pass" if good else "fail",
        "verdict": f"{'Every' if good else 'Not every'} callback was delivered and acknowledged",
        "facts": list(_facts(tally, order, journals)),
        "open_loop": tally.open_loop,
        "latency": histogram("How long attempts took", buckets, marks),
        "times": {"columns": list(tally.latency.times_ms()), "rows": list(_times(tally))},
        "outcomes": timeline("Outcomes over time", [_interval(one) for one in tally.seconds]),
        "parts": list(_parts(tally)),
        "exchanges": list(_exchanges(tally, order)),
    }
    return render("roomhook.simulator.sending", "report.html", content)


def _facts(tally: SendStats, order: SendJob, journals: Sequence[str]) -> Iterator[tuple[str, str]]:
    rate = tally.attempts / tally.elapsed_s if tally.elapsed_s else 0
    yield "Target", f"{masked_url(order.url.with_query(''))} (your App backend), SDKAppID {order.sdkappid}"
    yield "Model", f"{tally.mode}; deadline {order.deadline_ms:g} ms, retry {order.retry}, seed {order.seed}"
    yield "Took", f"{tally.elapsed_s:.1f} s, {rate:,.0f} attempts/s on {tally.connections:,} connections"
    ends = f"{tally.delivered:,} delivered + {tally.failed:,} failed + {tally.unsent:,} unsent"
    yield "Events", f"{tally.scheduled:,} scheduled = {ends}"
    kinds = f"{tally.retries:,} retries, {tally.copies:,} copies, {tally.resent:,} resent"
    yield "Attempts", f"{tally.attempts:,}, of which {kinds}"
    yield "Acknowledged", f"{tally.acknowledged:,} of {tally.attempts:,} attempts"
    if tally.open_loop:
        yield "Late", f"{tally.late:,} left more than {LATE_MS:g} ms after their time"
    for path in journals:
        yield "Journal", path


def _times(tally: SendStats) -> Iterator[tuple[str, list[str]]]:
    kinds = [
        ("latency", tally.latency),
        ("service, from the actual send time", tally.service),
        ("left late by", tally.lateness),
    ]
    kinds = kinds if tally.open_loop else kinds[:1]
    if tally.recovery.total:
        kinds.append((f"{tally.recovery.total:,} recovered by a retry, from the first attempt", tally.recovery))
    for name, times in kinds:
        yield name, [f"{one:.2f}" for one in times.times_ms().values()]


def _interval(one: StatsInterval) -> tuple[float, dict[str, tuple[str, float]]]:
    imperfect = min(max(0, one.breached - one.failed), one.delivered)
    return one.at_s, {
        "delivered": ("pass", one.delivered - imperfect),
        "delivered with a breach": ("warn", imperfect),
        "failed": ("fail", one.failed),
    }


def _parts(tally: SendStats) -> Iterator[tuple[str, list[tuple[str, int]], int]]:
    yield "Outcomes of attempts", list(tally.outcome_counts().items()), tally.attempts
    if tally.breaches:
        yield "Requirements not met", tally.breaches.most_common(), tally.attempts
    yield "Check-out methods of attempts", tally.check_outs.most_common(), tally.attempts


def _exchanges(tally: SendStats, order: SendJob) -> Iterator[tuple[str, list[dict[str, str]]]]:
    trouble = tally.attempts - tally.acknowledged
    some = f": {len(tally.failures):,} of {trouble:,}" if trouble > len(tally.failures) else ""
    yield f"Failed and imperfect attempts{some}", [_exchange(one, order) for one in tally.failures]
    yield "Slowest attempts", [_exchange(one, order) for one in tally.slowest]


def _exchange(one: SampleExchange, order: SendJob) -> dict[str, str]:
    shown = _specimen(one, order)
    words = (f"{one.latency_ms:.1f} ms", str(one.outcome), ", ".join(one.breaches), one.note)
    return {"summary": " · ".join(filter(None, words)), "curl": shown["curl"], "answer": shown["answer"]}


def _specimen(specimen: SampleExchange, order: SendJob) -> dict[str, Any]:
    return {
        "latency_ms": round(specimen.latency_ms, 3),
        "outcome": specimen.outcome,
        "requirements": list(specimen.breaches),
        "note": specimen.note,
        "curl": curl(_callback(specimen.request, order)),
        "answer": specimen.received.decode(errors="backslashreplace"),
    }


def _callback(request: bytes, order: SendJob) -> CallbackRequest:
    """The *request* as it was sent, for a curl line."""
    found = recorded_request(request, f"{order.url.scheme}://{order.url.netloc}")
    headers = tuple((name, value) for name, value in found.headers if name.lower() not in _SHOWN_HEADERS)
    return replace(found, headers=headers, signed=order.token is not None)
