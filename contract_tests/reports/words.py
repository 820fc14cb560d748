"""The words, signs and colours that every report uses for verdicts and outcomes."""

from __future__ import annotations

from typing import Final

from roomhook.contract_tests.reports.document import RunReport
from roomhook.contract_tests.verdicts import Outcome, Verdict

__all__ = ["COLOURS", "DONE", "LABELS", "OUTCOMES", "OUTCOME_COLOURS", "SIGNS", "START_IT", "axes", "counts"]

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

SIGNS: Final = {
    Verdict.PASS: ".",
    Verdict.FAIL: "F",
    Verdict.WARN: "W",
    Verdict.KNOWN: "k",
    Verdict.INFO: "n",
    Verdict.NOT_JUDGED: "-",
}
"""One character a requirement, for an overview in plain text."""

COLOURS: Final = {
    Verdict.PASS: "green",
    Verdict.FAIL: "red",
    Verdict.WARN: "yellow",
    Verdict.KNOWN: "magenta",
    Verdict.INFO: "cyan",
    Verdict.NOT_JUDGED: "",
}
"""The colour of a verdict; empty for none."""

OUTCOMES: Final = {
    Outcome.CONFORMS: "CONFORMS",
    Outcome.VIOLATES: "DOES NOT CONFORM",
    Outcome.UNREACHABLE: "UNREACHABLE",
    Outcome.NOTHING_RAN: "NOTHING JUDGED",
}
"""The verdict on the target."""

OUTCOME_COLOURS: Final = {
    Outcome.CONFORMS: "green",
    Outcome.VIOLATES: "red",
    Outcome.UNREACHABLE: "red",
    Outcome.NOTHING_RAN: "red",
}


START_IT: Final = "Start your App backend first, or let us: --exec 'CMD {port}'; --wait-for 30 waits for a slow start."
"""What to do about a target that is unreachable."""


def axes(report: RunReport) -> tuple[bool, bool]:
    """Whether every valid callback would count as delivered, and whether every answer to one is compliant."""
    delivery, compliance = report.delivery, report.compliance
    return 0 < delivery.delivered == delivery.sent, 0 < compliance.judged == compliance.compliant


def counts(report: RunReport) -> str:
    """How many requirements came out in each way, as ``1 failed, 118 passed, 24 not judged``."""
    numbers = [(report.count(verdict), done) for verdict, done in DONE.items()]
    return ", ".join(f"{number} {done}" for number, done in numbers if number) or "0 judged"
