"""Runs the contract suite for the console, whose package does not know the suite."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from roomhook.contract_tests.model.verdicts import RunEvent
    from roomhook.simulator.console.contract_page import CaseVerdict, ContractOptions, ContractReport

__all__ = ["run_contract"]


def run_contract(options: ContractOptions, judged: Callable[[CaseVerdict], None]) -> ContractReport:
    """The report of a run; *judged* gets each verdict as it comes. Raises ``RoomhookError`` for wrong options."""
    from roomhook.cli.shared.options import chosen_seed
    from roomhook.contract_tests.api.checking import check
    from roomhook.contract_tests.model.verdicts import CaseJudged
    from roomhook.contract_tests.reports import labels
    from roomhook.contract_tests.reports.html.run_page import render
    from roomhook.simulator.console.contract_page import CaseVerdict, ContractReport

    def heard(event: RunEvent) -> None:
        if isinstance(event, CaseJudged):
            requirement = event.requirement
            reason = event.reason or (event.findings[0].message if event.findings else "")
            judged(CaseVerdict(requirement.id, requirement.group, requirement.text, event.verdict.value, reason))

    report = check(
        options.target,
        probe=options.probe or None,
        on_event=heard,
        sdkappid=options.sdkappid,
        token=options.token or None,
        only=options.only,
        exclude=options.exclude,
        strict=options.strict,
        deadline_ms=options.deadline_s * 1000,
        seed=chosen_seed(options.seed),
    )
    return ContractReport(labels.counts(report), report.conforms, render(report))
