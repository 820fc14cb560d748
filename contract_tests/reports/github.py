"""The findings as workflow commands, which GitHub Actions shows as annotations of the run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from roomhook.contract_tests.model.verdicts import Verdict
from roomhook.contract_tests.reports.labels import NO_VERDICT, OUTCOMES
from roomhook.contract_tests.reports.run_report import FindingRecord, RunReport

__all__ = ["commands"]

_COMMANDS: Final = {Verdict.FAIL: "error", Verdict.WARN: "warning"}

_MOST: Final = 10
"""GitHub shows that many errors and that many warnings of a step, and drops the rest silently."""


def commands(report: RunReport) -> Iterator[str]:
    """A command for each cause of failure or warning, or for a run without a verdict; notes are no annotations."""
    if report.verdict in NO_VERDICT:
        yield _command("error", f"Roomhook: {OUTCOMES[report.verdict]}", report.detail)
    for verdict, command in _COMMANDS.items():
        causes = [one for one in report.causes if one.verdict is verdict]
        shown = causes if len(causes) <= _MOST else causes[: _MOST - 1]
        for one in shown:
            yield _command(command, f"{one.id} ({one.level})", _message(one))
        left = causes[len(shown) :]
        if left:
            ids = ", ".join(one.id for one in left)
            yield _command(command, f"Roomhook: {len(left)} more", f"The step summary has them all: {ids}")


def _message(finding: FindingRecord) -> str:
    at = f" at {finding.actual.path}" if finding.actual.path else ""
    also = f"\nalso: {', '.join(finding.also)}" if finding.also else ""
    return (
        f"{finding.requirement}\nseen: {finding.message}\nexpected: {finding.expected}\n"
        f"actual: {finding.actual.text}{at}{also}\nfix: {finding.fix}"
    )


def _command(name: str, title: str, message: str) -> str:
    return f"::{name} title={_escaped(title).replace(':', '%3A').replace(',', '%2C')}::{_escaped(message)}"


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
