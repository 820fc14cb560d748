"""Several runs side by side: many backends by requirement, or one backend over time and what has changed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec

from roomhook.contract_tests.model.register import Level, load_register
from roomhook.contract_tests.model.verdicts import Verdict
from roomhook.contract_tests.reports.run_report import FindingRecord, RunReport

__all__ = ["KINDS", "Change", "Column", "Comparison", "Row", "compare", "moment"]

KINDS: Final = (
    "newly failing",
    "newly warned about",
    "newly passing",
    "newly known",
    "newly judged",
    "no longer judged",
    "newly noted",
    "no longer noted",
)
"""What can have become of a requirement from one run to the next, the gravest first."""


class Column(msgspec.Struct, frozen=True, kw_only=True):
    """One run: *label* tells it from the others."""

    label: str
    report: RunReport

    def finding(self, requirement: str) -> FindingRecord | None:
        """The first finding on *requirement* in this run."""
        return next((one for one in self.report.findings if one.id == requirement), None)


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One requirement: its verdict in each run, or None where the run did not hold it."""

    id: str
    level: Level
    text: str
    verdicts: tuple[Verdict | None, ...]

    @property
    def group(self) -> str:
        """The part of the id before the first dot."""
        return self.id.partition(".")[0]

    @property
    def judged(self) -> tuple[Verdict, ...]:
        """The verdicts of the runs that judged it."""
        return tuple(one for one in self.verdicts if one is not None and one is not Verdict.NOT_JUDGED)

    @property
    def differs(self) -> bool:
        """Whether the runs that judged it do not agree."""
        return len(set(self.judged)) > 1

    @property
    def wanting(self) -> bool:
        """Whether any run found it wanting."""
        return any(one in {Verdict.FAIL, Verdict.WARN, Verdict.KNOWN} for one in self.verdicts)


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one requirement from the run *before* to the run *after* (positions, from 0)."""

    before: int
    after: int
    id: str
    kind: str


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """The runs, every requirement of any of them, and for one backend over time what has changed."""

    over_time: bool
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    changes: tuple[Change, ...]

    @property
    def targets(self) -> tuple[str, ...]:
        """The targets, each once."""
        return tuple(dict.fromkeys(one.report.target for one in self.columns))


def compare(runs: Sequence[tuple[Path, RunReport]], *, over_time: bool | None = None) -> Comparison:
    """*runs*, each with its file, side by side in the given order, or *over_time* in the order of their start.

    Without a word on that, runs against one and the same target are taken as one backend over time.
    """
    if over_time is None:
        over_time = len(runs) > 1 and len({report.target for _, report in runs}) == 1
    if over_time:
        runs = sorted(runs, key=lambda run: datetime.fromisoformat(run[1].started))
        labels = [moment(report) for _, report in runs]
    else:
        labels = _labels([path for path, _ in runs])
    columns = tuple(Column(label=label, report=report) for label, (_, report) in zip(labels, runs, strict=True))
    rows = _rows([report for _, report in runs])
    return Comparison(over_time=over_time, columns=columns, rows=rows, changes=_changes(rows) if over_time else ())


def moment(report: RunReport) -> str:
    """When the run began, to the minute, in the time zone in which its report has it."""
    began = datetime.fromisoformat(report.started)
    return f"{began:%Y-%m-%d %H:%M} {f'{began:%z}' if began.utcoffset() else 'UTC'}"


def _labels(paths: Sequence[Path]) -> list[str]:
    """What tells the files apart: their paths without the parts that all of them share."""
    parts = [[*path.parent.parts, path.stem] for path in paths]
    while len(parts) > 1 and min(map(len, parts)) > 1 and len({tuple(one[:1]) for one in parts}) == 1:
        parts = [one[1:] for one in parts]
    while len(parts) > 1 and min(map(len, parts)) > 1 and len({tuple(one[-1:]) for one in parts}) == 1:
        parts = [one[:-1] for one in parts]
    return ["/".join(one) for one in parts]


def _rows(reports: Sequence[RunReport]) -> tuple[Row, ...]:
    """In the register's order; ids that this version does not know come last."""
    about = {one.id: one for report in reports for one in report.requirements}
    verdicts = [{one.id: one.verdict for one in report.requirements} for report in reports]
    known = [one for one in load_register() if one in about]
    return tuple(
        Row(id=one, level=about[one].level, text=about[one].text, verdicts=tuple(run.get(one) for run in verdicts))
        for one in dict.fromkeys([*known, *about])
    )


def _changes(rows: Sequence[Row]) -> tuple[Change, ...]:
    found: list[Change] = []
    for row in rows:
        for after in range(1, len(row.verdicts)):
            kind = _kind(row.verdicts[after - 1], row.verdicts[after])
            if kind:
                found.append(Change(before=after - 1, after=after, id=row.id, kind=kind))
    return tuple(sorted(found, key=lambda one: (-one.after, KINDS.index(one.kind))))


def _kind(before: Verdict | None, after: Verdict | None) -> str:
    """What the step from one verdict to the next is called; empty for none."""
    unjudged = {None, Verdict.NOT_JUDGED}
    if before is after or {before, after} <= unjudged:
        return ""
    named = {Verdict.FAIL: "newly failing", Verdict.WARN: "newly warned about", Verdict.KNOWN: "newly known"}
    if after is not None and after in named:
        return named[after]
    if after in unjudged:
        return "no longer judged"
    if before in unjudged:
        return "newly judged"
    if before in named:
        return "newly passing"
    return "newly noted" if after is Verdict.INFO else "no longer noted"
