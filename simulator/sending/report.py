"""The report of a sending run: as data, and as one page that needs no network."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from html import escape
from importlib.metadata import version
from typing import Any, Final

from roomhook.simulator.protocol.callback_request import CallbackRequest, curl
from roomhook.simulator.sending.session import SendJob
from roomhook.simulator.sending.stats import SampleExchange, SendStats
from roomhook.simulator.util import svg_charts as charts

__all__ = ["document", "html"]

_SHOWN_HEADERS: Final = frozenset({"host", "user-agent", "content-length"})

_STYLE: Final = """
:root { color-scheme: light dark; --ink: #1b2027; --soft: #586270; --line: #dde2e8; --paper: #f5f6f8; --card: #fff;
  --code: #f2f4f7; --good: #17744a; --fair: #b97d00; --bad: #b3261e; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ed; --soft: #a4aeba; --line: #2d353f; --paper: #10141a;
  --card: #191f27; --code: #11161c; --good: #67d498; --fair: #f2c463; --bad: #ff9389; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 62rem; padding: 1rem 1.25rem 3rem; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, "Segoe UI", Roboto, sans-serif; }
h1 { font-size: 1.7rem; margin: .4rem 0; } h2 { font-size: 1.2rem; margin: 2.2rem 0 .7rem; }
section, table { background: var(--card); border: 1px solid var(--line); border-radius: 10px; }
section { padding: 1rem 1.2rem; margin-bottom: .8rem; }
table { border-collapse: collapse; width: 100%; overflow: hidden; }
th, td { text-align: left; padding: .45rem .9rem; border-top: 1px solid var(--line); vertical-align: top; }
tr:first-child > * { border-top: 0; } th { color: var(--soft); font-weight: 400; width: 11rem; }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
code, pre { font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; font-size: .84em; }
pre { background: var(--code); border-radius: 6px; padding: .7rem .9rem; white-space: pre-wrap; overflow-wrap: anywhere;
  margin: .5rem 0; }
svg { width: 100%; height: auto; display: block; } .ground { stroke: var(--line); } .mark { stroke: var(--soft);
  stroke-dasharray: 3 3; } .axis { fill: var(--soft); font-size: 12px; } .end { text-anchor: end; }
.middle { text-anchor: middle; } .delivered { fill: var(--good); } .imperfect { fill: var(--fair); }
.failed { fill: var(--bad); } .good { color: var(--good); } .bad { color: var(--bad); } .soft { color: var(--soft); }
.shares { list-style: none; margin: 0; padding: 0; } .shares li { display: grid; gap: .8rem; align-items: center;
  grid-template-columns: 8rem 1fr 10rem; } .track { background: var(--code); border-radius: 4px; height: .8rem; }
.track span { display: block; height: 100%; border-radius: 4px; background: var(--good); }
details { border-top: 1px solid var(--line); padding: .5rem 0; } details:first-child { border-top: 0; }
summary { cursor: pointer; }
"""


def document(tally: SendStats, order: SendJob, journals: Sequence[str] = ()) -> dict[str, Any]:
    """The report as data: where to, how, counts, rates (1/s), times (ms), and telling callbacks as curl lines."""
    return {
        "roomhook": version("roomhook"),
        "target": order.url.with_query(""),
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
    title = f"{tally.scheduled:,} callbacks to {order.url.with_query('')} · Roomhook"
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{escape(title)}</title>'
    policy = "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
    head += f"{policy}<style>{_STYLE}</style>"
    body = "\n".join(_body(tally, order, journals))
    return f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body>\n{body}\n</body></html>\n'


def _body(tally: SendStats, order: SendJob, journals: Sequence[str]) -> Iterator[str]:
    good = tally.all_well
    verdict = (
        "Every callback was delivered and acknowledged" if good else "Not every callback was delivered and acknowledged"
    )
    yield f'<p class="soft"><b>Roomhook</b> {version("roomhook")}, playing the Room backend</p>'
    yield f'<h1 class="{"good" if good else "bad"}">{verdict}</h1>'
    yield _table(_facts(tally, order, journals))
    yield f"<h2>Latency{', from the intended moment of sending' if tally.open_loop else ''}</h2><section>"
    marks = [(f"p{percent:g}", tally.latency.percentile_ms(percent)) for percent in (50, 99)]
    yield charts.histogram([(bound / 1000, count) for bound, count in tally.latency.buckets()], marks)
    yield "</section>"
    yield _table(_times(tally))
    yield "<h2>Outcomes over time</h2><section>"
    yield charts.counts_over_time(
        [(one.at_s, one.delivered, max(0, one.breached - one.failed), one.failed) for one in tally.seconds]
    )
    yield "</section><h2>Outcomes of attempts</h2><section>"
    yield charts.shares(list(tally.outcome_counts().items()))
    yield "</section>"
    if tally.breaches:
        yield "<h2>Requirements breached</h2><section>"
        yield charts.shares(tally.breaches.most_common())
        yield "</section>"
    yield "<h2>Check-out methods of attempts</h2><section>"
    yield charts.shares(tally.check_outs.most_common())
    yield "</section>"
    trouble = tally.attempts - tally.acknowledged
    some = f": {len(tally.failures):,} of {trouble:,}" if trouble > len(tally.failures) else ""
    yield from _specimens(f"Failed and imperfect attempts{some}", tally.failures, order)
    yield from _specimens("Slowest attempts", tally.slowest, order)


def _facts(tally: SendStats, order: SendJob, journals: Sequence[str]) -> Iterator[tuple[str, str]]:
    rate = tally.attempts / tally.elapsed_s if tally.elapsed_s else 0
    yield "target", f"{order.url.with_query('')} (your App backend), SDKAppID {order.sdkappid}"
    yield "model", f"{tally.mode}; deadline {order.deadline_ms:g} ms, retry {order.retry}, seed {order.seed}"
    yield "took", f"{tally.elapsed_s:.1f} s, {rate:,.0f} attempts/s on {tally.connections:,} connections"
    ends = f"{tally.delivered:,} delivered + {tally.failed:,} failed + {tally.unsent:,} unsent"
    yield "events", f"{tally.scheduled:,} scheduled = {ends}"
    kinds = f"{tally.retries:,} retries, {tally.copies:,} copies, {tally.resent:,} resent"
    yield "attempts", f"{tally.attempts:,}, of which {kinds}"
    yield "acknowledged", f"{tally.acknowledged:,} of {tally.attempts:,} attempts"
    if tally.open_loop:
        yield "late", f"{tally.late:,} left more than 2 ms after their time"
    for path in journals:
        yield "journal", path


def _times(tally: SendStats) -> Iterator[tuple[str, str]]:
    kinds = [
        ("latency", tally.latency),
        ("service, from the actual moment", tally.service),
        ("left late by", tally.lateness),
    ]
    kinds = kinds if tally.open_loop else kinds[:1]
    if tally.recovery.total:
        kinds.append((f"{tally.recovery.total:,} recovered by a retry, from the first attempt", tally.recovery))
    for name, times in kinds:
        percentiles = ", ".join(f"p{percent:g} {times.percentile_ms(percent):.2f}" for percent in (50, 90, 99, 99.9))
        yield name, f"mean {times.mean_ms:.2f}, {percentiles}, max {times.longest_us / 1000:.2f} ms"


def _table(rows: Iterable[tuple[str, str]]) -> str:
    return (
        f"<table>{''.join(f'<tr><th>{escape(name)}</th><td>{escape(text)}</td></tr>' for name, text in rows)}</table>"
    )


def _specimens(title: str, specimens: Iterable[SampleExchange], order: SendJob) -> Iterator[str]:
    yield f"<h2>{title}</h2><section>"
    none = True
    for one in specimens:
        none = False
        shown = _specimen(one, order)
        breaches = f" · {', '.join(one.breaches)}" if one.breaches else ""
        note = f" · {one.note}" if one.note else ""
        yield f"<details><summary>{escape(f'{one.latency_ms:.1f} ms · {one.outcome}{breaches}{note}')}</summary>"
        yield f"<pre>{escape(shown['curl'])}</pre><pre>{escape(shown['answer'] or '(no answer)')}</pre></details>"
    yield "<p>None.</p></section>" if none else "</section>"


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
    """The *request* as it travelled, as a value that a curl line can be made of."""
    head, _, body = request.partition(b"\r\n\r\n")
    line, *lines = head.decode("latin-1").split("\r\n")
    target = re.sub(r"^\S+ (.*) HTTP/\S+$", r"\1", line)
    pairs = [(name, value.strip()) for name, _, value in (one.partition(":") for one in lines)]
    headers = tuple((name, value) for name, value in pairs if name.lower() not in _SHOWN_HEADERS)
    url = f"{order.url.scheme}://{order.url.netloc}{target}"
    return CallbackRequest(url, body, headers, signed=order.token is not None)
