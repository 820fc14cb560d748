"""The report as Markdown: GitHub's step summary, or a comment on a merge request."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from roomhook.contract_tests.model.register import load_groups
from roomhook.contract_tests.model.verdicts import RunOutcome, Verdict
from roomhook.contract_tests.reports.labels import DONE, LABELS, NO_ANSWERS, OUTCOMES, axes, undelivered
from roomhook.contract_tests.reports.run_report import FindingRecord, RequirementResult, RunReport, sources_of
from roomhook.contract_tests.reports.text import finding_fields, ids_in_short

__all__ = ["render"]

_MARKS: Final = {
    RunOutcome.CONFORMS: "✅",
    RunOutcome.VIOLATES: "❌",
    RunOutcome.UNREACHABLE: "❌",
    RunOutcome.NOTHING_RAN: "⚠️",
    RunOutcome.SETUP_FAILED: "⚠️",
    RunOutcome.INTERRUPTED: "⚠️",
}
_MOST_FINDINGS: Final = 50
"""A step summary holds 1 MiB at most, and nobody reads more."""


def render(report: RunReport) -> str:
    """The verdict, both axes, the findings folded up, and the requirements by group."""
    return "\n".join(_lines(report)) + "\n"


def _lines(report: RunReport) -> Iterator[str]:
    yield f"## {_MARKS[report.verdict]} Roomhook: {OUTCOMES[report.verdict]}"
    yield ""
    yield f"Target (your App backend): {_code(report.target)}, SDKAppID {report.sdkappid}, seed {report.seed}"
    yield ""
    if report.detail:
        yield f"{_fenced(report.detail)}\n"
    if report.delivery.sent:
        yield from _axes(report)
    if report.requirements:
        yield from _groups(report)
    shown = report.causes[:_MOST_FINDINGS]
    reasons = {one.id: one.reason for one in report.requirements}
    for finding in shown:
        yield from _finding(finding, reasons[finding.id])
    left = len(report.causes) - len(shown)
    if left:
        yield f"… and {left} more findings: --report html or json holds them all.\n"
    yield from _not_judged(report)


def _axes(report: RunReport) -> Iterator[str]:
    delivery, compliance = report.delivery, report.compliance
    delivered, compliant = ("**no**" if holds == "no" else holds for holds in axes(report))
    yield "| | | |"
    yield "|---|---|---|"
    yield (
        f"| Would the Room backend count the callbacks as delivered? | {delivered} | "
        f"{delivery.delivered} of {delivery.sent}{undelivered(report)} |"
    )
    share = f"{compliance.compliant} of {compliance.judged}" if compliance.judged else NO_ANSWERS
    yield f"| Are the answers compliant? | {compliant} | {share} |"
    yield ""


def _groups(report: RunReport) -> Iterator[str]:
    used = [verdict for verdict in DONE if report.count(verdict)]
    about = load_groups()
    yield f"| requirements | | {' | '.join(DONE[verdict] for verdict in used)} |"
    yield f"|---|---|{'--:|' * len(used)}"
    for name, members in report.groups().items():
        numbers = [sum(one.verdict is verdict for one in members) for verdict in used]
        yield f"| **{name}** | {about.get(name, '')} | {' | '.join(str(number or '') for number in numbers)} |"
    totals = [str(report.count(verdict)) for verdict in used]
    yield f"| **all** | in {report.duration_s:.1f} s | {' | '.join(totals)} |"
    yield ""


def _finding(finding: FindingRecord, reason: str) -> Iterator[str]:
    """Folded up, in the words of the text report; a fence keeps what the target said from being markup."""
    folded = "<details open>" if finding.verdict in {Verdict.FAIL, Verdict.WARN} else "<details>"
    title = f"<b>{LABELS[finding.verdict]}</b> <code>{finding.id}</code> ({finding.level}) {_html(finding.requirement)}"
    yield f"{folded}<summary>{title}</summary>"
    yield ""
    if reason:
        yield f"Known: {_code(reason)}"
        yield ""
    yield _fenced("\n".join(finding_fields(finding, margin=0)))
    yield ""
    links = [(one, link) for one in sources_of(finding.source) for link in one.addresses[:1] if "://" in link]
    if links:
        yield f"Written in {', '.join(f'[{one.key}]({link})' for one, link in links)}"
        yield ""
    yield "</details>"
    yield ""


def _not_judged(report: RunReport) -> Iterator[str]:
    reasons: dict[str, list[RequirementResult]] = {}
    for one in report.requirements:
        if one.verdict is Verdict.NOT_JUDGED:
            reasons.setdefault(one.reason, []).append(one)
    if reasons:
        yield "Not judged:"
        yield ""
    sizes = {name: len(members) for name, members in report.groups().items()}
    for reason, members in reasons.items():
        yield f"- {_code(reason)}: {_html(ids_in_short([one.id for one in members], sizes)).replace('*', '&#42;')}"


def _fenced(text: str) -> str:
    fence = "`" * max(3, _longest_run(text) + 1)
    return f"{fence}text\n{text}\n{fence}"


def _code(text: str) -> str:
    ticks = "`" * (_longest_run(text) + 1)
    padding = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{ticks}{padding}{' '.join(text.split())}{padding}{ticks}"


def _longest_run(text: str) -> int:
    """Of backticks."""
    return max(map(len, re.findall("`+", text)), default=0)


def _html(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
