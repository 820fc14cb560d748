"""The words, signs and styles that every report uses for verdicts and outcomes."""

from __future__ import annotations

from typing import Final

from roomhook.contract_tests.model.register import Level
from roomhook.contract_tests.model.verdicts import RunOutcome, Verdict
from roomhook.contract_tests.reports.run_report import RunReport
from roomhook.palette import Style
from roomhook.simulator.protocol.outcomes import DeliveryOutcome as Ending

__all__ = [
    "DONE",
    "LABELS",
    "LEVEL_STYLES",
    "NO_ANSWERS",
    "NO_VERDICT",
    "OUTCOMES",
    "OUTCOME_STYLES",
    "STYLES",
    "SYMBOLS",
    "axes",
    "counts",
    "remedy",
    "undelivered",
]

LABELS: Final = {
    Verdict.PASS: "PASS",
    Verdict.FAIL: "FAIL",
    Verdict.WARN: "WARN",
    Verdict.KNOWN: "KNOWN",
    Verdict.INFO: "NOTE",
    Verdict.NOT_JUDGED: "----",
}
"""A verdict in front of what it is about."""

DONE: Final = {
    Verdict.FAIL: "failed",
    Verdict.WARN: "warned",
    Verdict.KNOWN: "known",
    Verdict.PASS: "passed",
    Verdict.INFO: "noted",
    Verdict.NOT_JUDGED: "not judged",
}
"""A verdict behind a number, in the order in which a summary has them."""

SYMBOLS: Final = {
    Verdict.PASS: ".",
    Verdict.FAIL: "F",
    Verdict.WARN: "W",
    Verdict.KNOWN: "k",
    Verdict.INFO: "n",
    Verdict.NOT_JUDGED: "-",
}
"""One character a requirement, for an overview in plain text."""

STYLES: Final = {
    Verdict.PASS: Style.GOOD,
    Verdict.FAIL: Style.BAD,
    Verdict.WARN: Style.WARNING,
    Verdict.KNOWN: Style.KNOWN,
    Verdict.INFO: Style.NOTE,
    Verdict.NOT_JUDGED: Style.MUTED,
}

LEVEL_STYLES: Final = {Level.MUST: Style.BAD, Level.SHOULD: Style.WARNING, Level.INFO: Style.NOTE}
"""A level looks like the verdict on what breaks it."""

OUTCOMES: Final = {
    RunOutcome.CONFORMS: "CONFORMS",
    RunOutcome.VIOLATES: "DOES NOT CONFORM",
    RunOutcome.UNREACHABLE: "UNREACHABLE",
    RunOutcome.NOTHING_RAN: "NOTHING JUDGED",
    RunOutcome.SETUP_FAILED: "SET-UP FAILED",
    RunOutcome.INTERRUPTED: "INTERRUPTED",
}
"""The verdict on the target."""

OUTCOME_STYLES: Final = {
    RunOutcome.CONFORMS: Style.GOOD,
    RunOutcome.VIOLATES: Style.BAD,
    RunOutcome.UNREACHABLE: Style.BAD,
    RunOutcome.NOTHING_RAN: Style.BAD,
    RunOutcome.SETUP_FAILED: Style.BAD,
    RunOutcome.INTERRUPTED: Style.WARNING,
}

NO_ANSWERS: Final = "nothing was answered"
"""In place of how many answers are compliant, where there was none."""

NO_VERDICT: Final = frozenset(
    {RunOutcome.UNREACHABLE, RunOutcome.NOTHING_RAN, RunOutcome.SETUP_FAILED, RunOutcome.INTERRUPTED}
)
"""Outcomes that say nothing about whether the target conforms."""

_START_IT: Final = "Start your App backend first, or let us: --exec 'CMD {port}'; --wait-for 30 waits for a slow start."
_NOT_TLS: Final = (
    "Something listens there, but TLS does not come about: if it speaks plain http on this port, say http://; "
    "otherwise look at its TLS versions, or give it the client certificate that it asks for (--cert FILE)."
)


def remedy(report: RunReport) -> str:
    """What to do about a target that is unreachable; empty where ``--exec`` has told by itself what happened."""
    if report.detail.startswith("--exec"):
        return ""
    if Ending.DNS.explained in report.detail:
        return "Check the host name in the target URL."
    if report.target.startswith("https:") and Ending.REFUSED.explained not in report.detail:
        return _NOT_TLS
    return _START_IT


def axes(report: RunReport) -> tuple[str, str]:
    """Whether every valid callback would count as delivered, and whether every answer to one is compliant.

    Each is "yes", "no", "unknown" (there was none), or "so far" for a yes of a run that was stopped before its end.
    """
    delivery, compliance = report.delivery, report.compliance
    stopped = report.verdict is RunOutcome.INTERRUPTED
    return (
        _every(delivery.delivered, delivery.sent, stopped=stopped),
        _every(compliance.compliant, compliance.judged, stopped=stopped),
    )


def undelivered(report: RunReport) -> str:
    """How many valid callbacks were not delivered, by outcome, and the first one if it was late; empty if none."""
    delivery = report.delivery
    parts = [f"{outcome}: {count}" for outcome, count in delivery.undelivered.items()]
    if delivery.first_late_ms is not None:
        parts.append(f"first callback, not judged: {delivery.first_late_ms / 1000:.1f} s")
    return f" ({', '.join(parts)})" if parts else ""


def _every(part: int, whole: int, *, stopped: bool) -> str:
    if not whole:
        return "unknown"
    if part < whole:
        return "no"
    return "so far" if stopped else "yes"


def counts(report: RunReport) -> str:
    """How many requirements came out in each way, as ``1 failed, 118 passed, 24 not judged``.

    Where failures or warnings are told in more or fewer findings, their number follows: ``5 warned (8 findings)``.
    """
    return ", ".join(filter(None, (_count(report, verdict) for verdict in DONE))) or "0 judged"


def _count(report: RunReport, verdict: Verdict) -> str:
    number, told = report.count(verdict), sum(one.verdict is verdict for one in report.causes)
    if not number:
        return ""
    if told == number or verdict not in {Verdict.FAIL, Verdict.WARN}:
        return f"{number} {DONE[verdict]}"
    return f"{number} {DONE[verdict]} ({told} {'finding' if told == 1 else 'findings'})"
