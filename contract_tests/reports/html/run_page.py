"""The report of one run as a page for people: the verdict on top, the findings, then every requirement."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from roomhook.contract_tests.model.register import Level
from roomhook.contract_tests.model.verdicts import RunOutcome, Verdict
from roomhook.contract_tests.reports.html.page import render_page
from roomhook.contract_tests.reports.labels import NO_ANSWERS, axes, remedy, undelivered
from roomhook.contract_tests.reports.run_report import FindingRecord, RunReport, shortened

__all__ = ["render"]

_AXIS_TONES: Final = {"yes": "pass", "no": "fail"}
_NOUNS: Final = {Verdict.FAIL: "Failure", Verdict.WARN: "Warning", Verdict.KNOWN: "Known failure"}


def render(report: RunReport) -> str:
    """One self-contained page; it reads without its script, by keyboard, on a phone and in the dark."""
    unreachable = report.verdict is RunOutcome.UNREACHABLE
    places: dict[str, int] = {}
    for number, finding in enumerate(report.causes, 1):
        for requirement in (finding.id, *finding.also):
            places.setdefault(requirement, number)
    return render_page(
        "run.html",
        report=report,
        detailed=unreachable or report.verdict in {RunOutcome.NOTHING_RAN, RunOutcome.SETUP_FAILED},
        lede=_lede(report),
        remedy=remedy(report) if unreachable else "",
        facts=list(_facts(report)),
        axes=list(_axes(report)),
        findings=[_shown(report, finding) for finding in report.causes],
        finding_of=places,
        again=f"roomhook check {shlex.quote(report.target)} --sdkappid {report.sdkappid} --seed {report.seed}",
    )


@dataclass(frozen=True)
class _Axis:
    question: str
    answer: str
    tone: str
    words: str
    share: float


@dataclass(frozen=True)
class _ShownFinding:
    """A finding and its texts; ``body`` is the response's body before, at and after the member in question."""

    found: FindingRecord
    noun: str
    reason: str
    request: str
    response_head: str
    body: tuple[str, str, str]
    rerun: str


def _lede(report: RunReport) -> str:
    if report.verdict in {RunOutcome.UNREACHABLE, RunOutcome.NOTHING_RAN, RunOutcome.SETUP_FAILED}:
        return report.detail
    judged = len(report.requirements) - report.count(Verdict.NOT_JUDGED)
    failed = report.count(Verdict.FAIL)
    must = report.count(Verdict.FAIL, Level.MUST)
    if report.verdict is RunOutcome.INTERRUPTED:
        return f"{judged} of {len(report.requirements)} requirements were judged: {report.detail}."
    known = ", or its failure is known" if report.count(Verdict.KNOWN) else ""
    kept = f"Every {'' if report.strict else 'MUST '}requirement that could be judged is met{known}."
    levels = f" ({must} MUST)" if failed != must else ""
    broken = f"{failed} of {judged} requirements judged {'is' if failed == 1 else 'are'} not met{levels}."
    ended = f" The run ended early: {report.detail}." if report.detail else ""
    return f"{broken if failed else kept}{ended}"


def _facts(report: RunReport) -> Iterator[tuple[str, str]]:
    utc = report.started.endswith("+00:00")
    yield "SDKAppID", str(report.sdkappid)
    yield "Started", f"{report.started[:19].replace('T', ' ')} UTC" if utc else report.started
    yield "Took", f"{report.duration_s:.1f} s"
    yield "Deadline", f"{report.deadline_ms / 1000:g} s"
    yield "Seed", str(report.seed)
    yield "Strict", "yes" if report.strict else "no"
    yield "Refusal", report.refusal
    yield "Roomhook", report.roomhook


def _axes(report: RunReport) -> Iterator[_Axis]:
    delivery, compliance = report.delivery, report.compliance
    delivered = f"{delivery.delivered} of {delivery.sent} valid callbacks{undelivered(report)}"
    compliant = f"{compliance.compliant} of {compliance.judged} answers to them" if compliance.judged else NO_ANSWERS
    for question, words, answer, part, whole in (
        (
            "Would the Room backend count the callbacks as delivered?",
            delivered,
            axes(report)[0],
            delivery.delivered,
            delivery.sent,
        ),
        (
            "Are the answers compliant response packets?",
            compliant,
            axes(report)[1],
            compliance.compliant,
            compliance.judged,
        ),
    ):
        yield _Axis(question, answer, _AXIS_TONES.get(answer, "warn"), words, part / whole if whole else 0)


def _shown(report: RunReport, finding: FindingRecord) -> _ShownFinding:
    actual, sent = finding.actual, finding.sent
    strict = " --strict" if report.strict else ""
    target = shlex.quote(report.target)
    request = ""
    if sent is not None:
        body = f"\n{shortened(sent.body)}" if sent.body is not None else ""
        request = f"{sent.method} {sent.url}\n{_lines(sent.headers)}{body}"
    return _ShownFinding(
        found=finding,
        noun=_NOUNS.get(finding.verdict, "Note"),
        reason=next((one.reason for one in report.requirements if one.id == finding.id), ""),
        request=request,
        response_head=f"HTTP {actual.status}\n{_lines(actual.headers or ())}\n",
        body=_split(actual.body or "", actual.path),
        rerun=finding.again or f"roomhook check {target} --sdkappid {report.sdkappid} --only {finding.id}{strict}",
    )


def _lines(headers: tuple[tuple[str, str], ...]) -> str:
    return "".join(f"{name}: {value}\n" for name, value in headers)


def _split(body: str, path: str) -> tuple[str, str, str]:
    """*body* before, at and after the member at *path* (``$.ErrorCode``); all of it is before where there is none."""
    name = path.removeprefix("$.")
    try:
        value = json.loads(body).get(name) if name != path else None
    except (ValueError, AttributeError):
        return body, "", ""
    found = re.search(rf'"{re.escape(name)}"\s*:\s*', body) if value is not None or f'"{name}"' in body else None
    if found is None or name == path:
        return body, "", ""
    _, end = json.JSONDecoder().raw_decode(body, found.end())
    return body[: found.start()], body[found.start() : end], body[end:]
