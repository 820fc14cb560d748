"""The report that a person reads in a terminal or in a pipeline's log."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator
from typing import Final

from roomhook.contract_tests.register import Level
from roomhook.contract_tests.reports.grouping import Group, grouped
from roomhook.contract_tests.verdicts import Outcome, RunFinished, RunStarted, Verdict
from roomhook.simulator.callbacks import curl

__all__ = ["Style", "finding_lines", "plain", "render"]

Style = Callable[[str, str], str]
"""Text and the name of a colour to the text in that colour."""

_WIDTH: Final = 100
_COLOURS: Final = {Verdict.FAIL: "red", Verdict.WARN: "yellow", Verdict.INFO: "cyan"}
_LABELS: Final = {Verdict.FAIL: "FAIL", Verdict.WARN: "WARN", Verdict.INFO: "INFO"}


def plain(text: str, _colour: str) -> str:
    """The style without colours."""
    return text


def render(started: RunStarted, finished: RunFinished, style: Style = plain) -> str:
    """The whole report: the two axes, the findings, what was not judged, the verdict."""
    return "\n".join(_lines(started, finished, style)) + "\n"


def _lines(started: RunStarted, finished: RunFinished, style: Style) -> Iterator[str]:
    settings = started.settings
    yield (
        f"target {settings.target} (your App backend), SDKAppID {settings.sdkappid}, "
        f"deadline {settings.deadline_ms / 1000:g} s, seed {settings.seed}"
    )
    summary = finished.summary
    if summary.outcome is Outcome.UNREACHABLE:
        yield ""
        yield style(f"UNREACHABLE  {summary.detail}", "red")
        yield "hint: start your App backend first, or let us: --exec 'CMD {port}'; --wait-for 30 waits for a slow start"
        return
    yield from _axes(finished, style)
    for group in grouped(finished.cases):
        yield ""
        yield from finding_lines(group, style)
    yield from _not_judged(finished)
    yield ""
    yield _verdict(finished, style)


def _axes(finished: RunFinished, style: Style) -> Iterator[str]:
    summary = finished.summary
    if not summary.sent:
        return
    all_delivered = summary.delivered == summary.sent
    lost = ", ".join(f"{count} × {outcome}" for outcome, count in sorted(summary.undelivered.items()))
    delivered = style("delivered: yes", "green") if all_delivered else style("delivered: NO", "red")
    compliant_all = summary.compliant == summary.judged_answers and summary.judged_answers > 0
    compliant = style("compliant: yes", "green") if compliant_all else style("compliant: NO", "red")
    yield (
        f"{delivered} (the Room backend would count {summary.delivered} of {summary.sent} valid callbacks as delivered"
        f"{'; ' + lost if lost else ''})   "
        f"{compliant} ({summary.compliant} of {summary.judged_answers} answers to them are compliant response packets)"
    )


def finding_lines(group: Group, style: Style = plain) -> Iterator[str]:
    """One finding as the report prints it."""
    finding = group.finding
    requirement = finding.requirement
    label = style(_LABELS[group.verdict], _COLOURS[group.verdict])
    yield f"{label}  {requirement.id} ({requirement.level})  {requirement.text}"
    times = f" ({group.count} times)" if group.count > 1 else ""
    yield from _field("seen", finding.message + times)
    yield from _field("expected", finding.expected)
    where = f" at {finding.path}" if finding.path else ""
    yield from _field("actual", finding.actual + where)
    if finding.cause and finding.cause != requirement.id:
        yield from _field("breaks", finding.cause)
    if group.also:
        yield from _field("also", f"{', '.join(group.also)} (the same cause)")
    if group.verdict is not Verdict.INFO:
        if finding.exchange is not None:
            yield f"      {'sent':<9} {curl(finding.exchange.callback)}"
        yield from _field("fix", finding.fix)
        yield from _field("source", ", ".join(requirement.source) + f"   (roomhook explain {requirement.id})")


def _field(name: str, text: str) -> list[str]:
    first, *rest = textwrap.wrap(text, _WIDTH - 16, break_long_words=False, break_on_hyphens=False) or [""]
    return [f"      {name:<9} {first}", *(f"{'':<16}{line}" for line in rest)]


def _not_judged(finished: RunFinished) -> Iterator[str]:
    reasons: dict[str, list[str]] = {}
    for case in finished.with_verdict(Verdict.NOT_JUDGED):
        reasons.setdefault(case.reason, []).append(case.requirement.id)
    if reasons:
        yield ""
        yield f"not judged: {sum(map(len, reasons.values()))}"
    for reason, ids in reasons.items():
        yield from _field(str(len(ids)), f"{_abbreviated(ids)}: {reason}")


def _abbreviated(ids: list[str]) -> str:
    groups: dict[str, list[str]] = {}
    for one in ids:
        groups.setdefault(one.partition(".")[0], []).append(one)
    if len(ids) > 12:
        return ", ".join(f"{group}.* ({len(members)})" for group, members in groups.items())
    return ", ".join(members[0] if len(members) == 1 else f"{group}.*" for group, members in groups.items())


def _verdict(finished: RunFinished, style: Style) -> str:
    must, should = finished.count(Verdict.PASS, Level.MUST), finished.count(Verdict.PASS, Level.SHOULD)
    failed, warned = finished.count(Verdict.FAIL), finished.count(Verdict.WARN)
    counts = (
        f"{failed} failed, {warned} warned, {finished.count(Verdict.PASS)} passed ({must} MUST, {should} SHOULD), "
        f"{finished.count(Verdict.INFO)} noted, {finished.count(Verdict.NOT_JUDGED)} not judged "
        f"in {finished.duration_s:.1f} s"
    )
    outcome = finished.summary.outcome
    if outcome is Outcome.NOTHING_RAN:
        return f"{style('NOTHING JUDGED', 'red')}  {finished.summary.detail}"
    if outcome is Outcome.VIOLATES:
        ended = f"; the run ended early: {finished.summary.detail}" if finished.summary.detail else ""
        return f"{style('DOES NOT CONFORM', 'red')}  {counts}{ended}"
    hint = "  (--strict fails on warnings)" if warned else ""
    return f"{style('CONFORMS', 'green')}  {counts}{hint}"
