"""The events of a run as NDJSON: one a line, each as soon as it happens."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from roomhook.contract_tests.model.verdicts import CaseJudged, RunEvent, RunFinished, RunStarted, Summary
from roomhook.contract_tests.reports.run_report import RunReport, found, judged, report_of

__all__ = ["EventLines"]

_KNOWN_AT_THE_START = (
    "roomhook",
    "kind",
    "target",
    "sdkappid",
    "started",
    "seed",
    "strict",
    "refusal",
    "deadline_ms",
)
_KNOWN_AT_THE_END = ("duration_s", "verdict", "exit_code", "detail", "delivery", "compliance", "totals")


class EventLines:
    """Turns each event into its lines; the names and values are those of the JSON report."""

    def __init__(self, *, version: str | None = None) -> None:
        self._version = version
        self._started: RunStarted | None = None
        self._told: dict[str, CaseJudged] = {}

    def feed(self, event: RunEvent) -> str:
        """The lines that *event* adds, each with a final line feed.

        What the end of a run changes about a requirement, or blames beyond the selected ones, is told before the end.
        """
        if isinstance(event, RunStarted):
            self._started = event
            return _line("run-started", {**self._head(event), "planned": event.planned})
        if isinstance(event, CaseJudged):
            self._told[event.requirement.id] = event
            return self._case(event)
        changed = [case for case in event.cases if self._told.get(case.requirement.id) != case]
        return "".join(map(self._case, changed)) + _line("run-finished", self._tail(event))

    def _head(self, event: RunStarted) -> dict[str, Any]:
        nothing_yet = RunFinished(Summary(), (), 0)
        return _some(report_of(event, nothing_yet, version=self._version), _KNOWN_AT_THE_START)

    def _tail(self, event: RunFinished) -> dict[str, Any]:
        assert self._started is not None
        return _some(report_of(self._started, event, version=self._version), _KNOWN_AT_THE_END)

    def _case(self, case: CaseJudged) -> str:
        assert self._started is not None
        findings = [found(one, case.verdict, settings=self._started.settings) for one in case.findings]
        return _line(
            "case-judged",
            {**msgspec.to_builtins(judged(case)), "findings": [msgspec.to_builtins(one) for one in findings]},
        )


def _some(report: RunReport, names: tuple[str, ...]) -> dict[str, Any]:
    document = msgspec.to_builtins(report)
    return {name: document[name] for name in names}


def _line(event: str, values: dict[str, Any]) -> str:
    return json.dumps({"event": event, **values}, ensure_ascii=False, separators=(",", ":")) + "\n"
