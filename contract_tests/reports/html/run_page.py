"""The report of one run as a page for people: the verdict on top, the findings, then every requirement."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from typing import Final

from roomhook.contract_tests.model.register import Level, load_groups, load_register
from roomhook.contract_tests.model.verdicts import RunOutcome, Verdict
from roomhook.contract_tests.reports.html.page import (
    TITLES,
    TONES,
    breakable,
    cell,
    copyable,
    definitions,
    escape,
    legend,
    page,
    prose,
    source_links,
)
from roomhook.contract_tests.reports.labels import DONE, NO_ANSWERS, axes, remedy
from roomhook.contract_tests.reports.run_report import FindingRecord, RequirementResult, RunReport, shortened

__all__ = ["render"]

_AXIS_TONES: Final = {"yes": "pass", "no": "fail"}


def render(report: RunReport) -> str:
    """One self-contained page; it reads without its script, by keyboard, on a phone and in the dark."""
    title = f"{TITLES[report.verdict]}: {report.target} · Roomhook"
    return page(title, (*_head(report), "<main>", *_main(report), "</main>", _foot(report)))


def _head(report: RunReport) -> Iterator[str]:
    yield '<a class="skip" href="#findings">Skip to the findings</a>'
    yield '<p class="brand"><b>Roomhook</b> contract check of an App backend</p>'
    yield "<header>"
    yield f'<div class="card verdict {TONES[report.verdict]}">'
    yield f"<h1>{TITLES[report.verdict]}</h1>"
    yield _lede(report)
    yield f'<dl class="facts">{"".join(_facts(report))}</dl>'
    yield "</div>"
    if report.delivery.sent:
        yield f'<div class="axes">{_delivered(report)}{_compliant(report)}</div>'
    if report.requirements:
        yield f'<ul class="totals" aria-label="Requirements">{"".join(_totals(report))}</ul>'
    yield "</header>"


def _lede(report: RunReport) -> str:
    if report.verdict is RunOutcome.UNREACHABLE:
        return f'<p class="lede detail">{escape(report.detail)}</p><p>{escape(remedy(report))}</p>'
    if report.verdict is RunOutcome.NOTHING_RAN:
        return f'<p class="lede detail">{escape(report.detail)}</p>'
    judged = len(report.requirements) - report.count(Verdict.NOT_JUDGED)
    failed = report.count(Verdict.FAIL)
    must = report.count(Verdict.FAIL, Level.MUST)
    if report.verdict is RunOutcome.INTERRUPTED:
        whole = len(report.requirements)
        return f'<p class="lede">{judged} of {whole} requirements were judged: {escape(report.detail)}.</p>'
    known = ", or its failure is known" if report.count(Verdict.KNOWN) else ""
    kept = f"Every {'' if report.strict else 'MUST '}requirement that could be judged is kept{known}."
    levels = f" ({must} MUST)" if failed != must else ""
    broken = f"{failed} of {judged} requirements judged {'is' if failed == 1 else 'are'} not kept{levels}."
    ended = f" The run ended early: {escape(report.detail)}." if report.detail else ""
    return f'<p class="lede">{broken if failed else kept}{ended}</p>'


def _facts(report: RunReport) -> Iterator[str]:
    yield f'<div class="wide"><dt>Target</dt><dd><code>{escape(report.target)}</code></dd></div>'
    facts = {
        "SDKAppID": str(report.sdkappid),
        "Started": f"{report.started[:19].replace('T', ' ')} UTC"
        if report.started.endswith("+00:00")
        else report.started,
        "Took": f"{report.duration_s:.1f} s",
        "Deadline": f"{report.deadline_ms / 1000:g} s",
        "Seed": str(report.seed),
        "Strict": "yes" if report.strict else "no",
        "Refusal": report.refusal,
        "Roomhook": report.roomhook,
    }
    for name, value in facts.items():
        yield f"<div><dt>{name}</dt><dd>{escape(value)}</dd></div>"


def _delivered(report: RunReport) -> str:
    delivery = report.delivery
    lost = "; ".join(f"{outcome}: {count}" for outcome, count in delivery.undelivered.items())
    words = f"{delivery.delivered} of {delivery.sent} valid callbacks{f' ({lost})' if lost else ''}"
    return _axis(
        "Would the Room backend count the callbacks as delivered?",
        words,
        axes(report)[0],
        delivery.delivered,
        delivery.sent,
    )


def _compliant(report: RunReport) -> str:
    compliance = report.compliance
    words = f"{compliance.compliant} of {compliance.judged} answers to them" if compliance.judged else NO_ANSWERS
    return _axis(
        "Are the answers compliant response packets?", words, axes(report)[1], compliance.compliant, compliance.judged
    )


def _axis(question: str, words: str, holds: str, part: int, whole: int) -> str:
    share = 100 * part // whole if whole else 0
    picture = f'<svg class="meter" width="100%" height="8" aria-hidden="true"><rect width="{share}%" height="8"/></svg>'
    return (
        f'<section class="card axis {_AXIS_TONES.get(holds, "warn")}"><h2>{question}</h2>'
        f'<p class="answer">{holds.capitalize()}</p><p>{escape(words)}</p>{picture}</section>'
    )


def _totals(report: RunReport) -> Iterator[str]:
    for verdict, done in DONE.items():
        number = report.count(verdict)
        if number:
            yield f'<li class="{verdict}" data-verdict="{verdict}"><b>{number}</b> {done}</li>'


def _main(report: RunReport) -> Iterator[str]:
    if not report.requirements:
        return
    yield "<h2>Requirements by group</h2>"
    yield '<div class="card">'
    yield from _overview(report)
    yield "</div>"
    yield '<h2 id="findings" tabindex="-1">Findings</h2>'
    causes = report.causes
    for number, finding in enumerate(causes):
        yield from _finding(report, finding, number + 1)
    if not causes:
        yield '<p class="card">None.</p>'
    yield "<h2>All requirements <small>what is sent, what passes, why it matters</small></h2>"
    yield "<div data-filtered>"
    yield from _requirements(report)
    yield "</div>"


def _overview(report: RunReport) -> Iterator[str]:
    about = load_groups()
    yield '<ul class="overview">'
    for name, members in report.groups().items():
        cells = "".join(cell(one.verdict, f"{one.id}: {DONE[one.verdict]}", href=one.id) for one in members)
        small = f"<small>{escape(about[name])}</small>" if name in about else ""
        yield f'<li><b>{escape(name)}</b>{small}<div class="cells">{cells}</div></li>'
    yield "</ul>"
    yield legend(one.verdict for one in report.requirements)


def _finding(report: RunReport, finding: FindingRecord, number: int) -> Iterator[str]:
    times = f" ({finding.count} times)" if finding.count > 1 else ""
    yield f'<article class="card finding {finding.verdict}" id="finding-{number}">'
    yield (
        f'<h3><span class="badge {finding.verdict}">{_noun(finding.verdict)}</span>'
        f'<code>{escape(finding.id)}</code><span class="level">{finding.level}</span></h3>'
    )
    yield f'<p class="duty">{prose(finding.requirement)}</p>'
    yield f'<p class="seen">Seen: {escape(finding.message)}{times}</p>'
    if finding.verdict is not Verdict.INFO:
        yield _difference(finding)
    elif finding.actual.text not in finding.message:
        yield f'<p class="seen">{escape(finding.actual.text)}</p>'
    if finding.sent is not None:
        yield f'<div class="pair"><div>{_request(finding)}</div><div>{_answer(finding)}</div></div>'
        yield copyable("Send it again", finding.sent.curl)
    if finding.verdict is not Verdict.INFO:
        yield copyable("Run this check alone", _rerun(report, finding.id))
    known = load_register().get(finding.id)
    reason = next((one.reason for one in report.requirements if one.id == finding.id), "")
    also = ", ".join(f'<a href="#{escape(one)}">{escape(one)}</a>' for one in finding.also)
    yield definitions(
        [
            ("Known", escape(reason)),
            ("How to fix", prose(finding.fix)),
            ("Why it matters", prose(known.why) if known else ""),
            ("Breaks", escape(finding.cause or "") if finding.cause != finding.id else ""),
            ("The same cause" if finding.cause else "The same answer", also),
            ("Written in", source_links(finding.source)),
        ]
    )
    yield "</article>"


def _difference(finding: FindingRecord) -> str:
    at = f" at <code>{escape(finding.actual.path)}</code>" if finding.actual.path else ""
    return (
        '<div class="pair difference">'
        f'<div class="expected"><div class="label">Expected</div><p>{escape(finding.expected)}</p></div>'
        f'<div class="actual"><div class="label">Actual</div><p>{escape(finding.actual.text)}{at}</p></div></div>'
    )


def _noun(verdict: Verdict) -> str:
    return {Verdict.FAIL: "Failure", Verdict.WARN: "Warning", Verdict.KNOWN: "Known failure"}.get(verdict, "Note")


def _rerun(report: RunReport, requirement: str) -> str:
    strict = " --strict" if report.strict else ""
    return f"roomhook check {shlex.quote(report.target)} --sdkappid {report.sdkappid} --only {requirement}{strict}"


def _request(finding: FindingRecord) -> str:
    sent = finding.sent
    assert sent is not None
    headers = "".join(f"{name}: {value}\n" for name, value in sent.headers)
    text = f"{sent.method} {sent.url}\n{headers}"
    body = f"\n{shortened(sent.body)}" if sent.body is not None else ""
    return f'<div class="label">Request</div><pre>{breakable(text + body)}</pre>'


def _answer(finding: FindingRecord) -> str:
    actual = finding.actual
    took = f" after {actual.elapsed_ms:g} ms" if actual.elapsed_ms is not None else ""
    label = f'<div class="label">Answer{took}</div>'
    if actual.status is None:
        return f"{label}<pre>none ({escape(actual.outcome or '')})</pre>"
    headers = "".join(f"{name}: {value}\n" for name, value in actual.headers or ())
    return f"{label}<pre>HTTP {actual.status}\n{escape(headers)}\n{_marked(actual.body or '', actual.path)}</pre>"


def _marked(body: str, path: str) -> str:
    """*body* escaped, with the member at *path* (``$.ErrorCode``) marked, if it is there."""
    name = path.removeprefix("$.")
    try:
        value = json.loads(body).get(name) if name != path else None
    except (ValueError, AttributeError):
        return escape(body)
    found = re.search(rf'"{re.escape(name)}"\s*:\s*', body) if value is not None or f'"{name}"' in body else None
    if found is None or name == path:
        return escape(body)
    _, end = json.JSONDecoder().raw_decode(body, found.end())
    return f"{escape(body[: found.start()])}<mark>{escape(body[found.start() : end])}</mark>{escape(body[end:])}"


def _requirements(report: RunReport) -> Iterator[str]:
    about = load_groups()
    places: dict[str, int] = {}
    for number, finding in enumerate(report.causes):
        for requirement in (finding.id, *finding.also):
            places.setdefault(requirement, number + 1)
    for name, members in report.groups().items():
        yield f'<section><h3 class="group">{escape(name)} <small>{escape(about.get(name, ""))}</small></h3>'
        for one in members:
            yield _requirement(one, places.get(one.id))
        yield "</section>"


def _requirement(one: RequirementResult, finding: int | None) -> str:
    known = load_register().get(one.id)
    link = f'<a href="#finding-{finding}">{DONE[one.verdict]}: see the finding</a>' if finding else ""
    reason = f'<span class="reason">{DONE[one.verdict]}: {escape(one.reason)}</span>' if one.reason else ""
    took = f"{DONE[one.verdict]} in {one.duration_ms:g} ms"
    rows = [
        ("Verdict", link or reason or took),
        ("Check", prose(known.case) if known else ""),
        ("Why", prose(known.why) if known else ""),
        ("Written in", source_links(one.source)),
    ]
    return (
        f'<details class="requirement {one.verdict}" id="{escape(one.id)}" data-verdict="{one.verdict}"><summary>'
        f"{cell(one.verdict, DONE[one.verdict])}<code>{escape(one.id)}</code>"
        f'<span class="level">{one.level}</span><span class="text">{prose(one.text)}</span></summary>'
        f'<div class="body">{definitions(rows)}</div></details>'
    )


def _foot(report: RunReport) -> str:
    again = f"roomhook check {shlex.quote(report.target)} --sdkappid {report.sdkappid} --seed {report.seed}"
    return (
        f"<footer>Made by Roomhook {escape(report.roomhook)}, which plays the Room backend. "
        f"The same run again: <code>{escape(again)}</code></footer>"
    )
