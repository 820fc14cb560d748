"""Several runs as a page: requirements by backend, or one backend over time and what has changed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from roomhook.contract_tests.model.verdicts import Verdict
from roomhook.contract_tests.reports.comparison import KINDS, Comparison, Row, moment
from roomhook.contract_tests.reports.html.page import render_page
from roomhook.contract_tests.reports.labels import DONE, axes, counts
from roomhook.contract_tests.reports.run_report import FindingRecord, RunReport

__all__ = ["render"]

_CHANGE_TONES: Final = {
    "newly failing": "fail",
    "newly warned about": "warn",
    "newly known": "known",
    "newly passing": "pass",
    "newly judged": "pass",
    "no longer noted": "pass",
}


def render(comparison: Comparison) -> str:
    """One self-contained page; the cells of failures lead to what was seen."""
    told = [row for row in comparison.rows if row.differs or row.wanting]
    rest = [row for row in comparison.rows if row not in told]
    last = len(comparison.columns) - 1
    failing = any(one.kind == "newly failing" and one.after == last for one in comparison.changes)
    return render_page(
        "comparison.html",
        comparison=comparison,
        title=_title(comparison),
        tone="fail" if failing else "info",
        lede=_latest(comparison) if comparison.over_time else _differing(comparison),
        runs=[_ShownRun.of(column.label, column.report) for column in comparison.columns],
        steps=list(_steps(comparison)),
        told=[_linked(comparison, row) for row in told],
        seen=[_seen(comparison, row) for row in told if row.wanting],
        rest=[_linked(comparison, row) for row in rest],
    )


@dataclass(frozen=True)
class _ShownRun:
    label: str
    report: RunReport
    facts: str
    axes: tuple[tuple[str, str], ...]
    began: str

    @classmethod
    def of(cls, label: str, report: RunReport) -> _ShownRun:
        delivered, compliant = axes(report)
        return cls(
            label=label,
            report=report,
            facts=counts(report) if report.requirements else report.detail,
            axes=(("delivered", delivered), ("compliant", compliant)),
            began=moment(report),
        )


@dataclass(frozen=True)
class _ShownChange:
    kind: str
    tone: str
    id: str
    text: str


@dataclass(frozen=True)
class _Step:
    title: str
    changes: Sequence[_ShownChange]


@dataclass(frozen=True)
class _LinkedRow:
    """A requirement; ``links`` holds for each run the id of what was seen, or an empty string."""

    row: Row
    links: Sequence[str]


@dataclass(frozen=True)
class _SeenBy:
    title: str
    finding: FindingRecord


@dataclass(frozen=True)
class _Seen:
    row: Row
    gravest: Verdict
    runs: Sequence[_SeenBy]


def _title(comparison: Comparison) -> str:
    runs = len(comparison.columns)
    return f"{runs} runs over time" if comparison.over_time else f"{runs} App backends side by side"


def _latest(comparison: Comparison) -> str:
    last = len(comparison.columns) - 1
    numbers = {kind: sum(one.kind == kind and one.after == last for one in comparison.changes) for kind in KINDS}
    told = ", ".join(f"{number} {kind}" for kind, number in numbers.items() if number)
    return f"In the latest run: {told or 'nothing has changed'}."


def _differing(comparison: Comparison) -> str:
    differing = sum(row.differs for row in comparison.rows)
    return f"They differ in {differing} of {len(comparison.rows)} requirements."


def _steps(comparison: Comparison) -> Iterator[_Step]:
    texts = {row.id: row.text for row in comparison.rows}
    for after in range(len(comparison.columns) - 1, 0, -1):
        before, now = (comparison.columns[number].label for number in (after - 1, after))
        changes = [
            _ShownChange(one.kind, _CHANGE_TONES.get(one.kind, "info"), one.id, texts[one.id])
            for one in comparison.changes
            if one.after == after
        ]
        yield _Step(f"From {after} ({before}) to {after + 1} ({now})", changes)


def _linked(comparison: Comparison, row: Row) -> _LinkedRow:
    return _LinkedRow(row, [row.id if row.wanting and column.finding(row.id) else "" for column in comparison.columns])


def _seen(comparison: Comparison, row: Row) -> _Seen:
    runs = [
        _SeenBy(f"{number}. {column.label}", finding)
        for number, column in enumerate(comparison.columns, 1)
        if (finding := column.finding(row.id)) is not None
    ]
    return _Seen(row, min(row.judged, key=list(DONE).index), runs)
