"""Several runs side by side, in plain text or as JSON."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from roomhook.contract_tests.model.register import Level
from roomhook.contract_tests.model.verdicts import Verdict
from roomhook.contract_tests.reports.comparison import Comparison, Row
from roomhook.contract_tests.reports.labels import (
    DONE,
    LEVEL_STYLES,
    OUTCOME_STYLES,
    OUTCOMES,
    STYLES,
    SYMBOLS,
    axes,
    counts,
)
from roomhook.contract_tests.reports.run_report import RunReport
from roomhook.contract_tests.reports.text import axis_text, fold
from roomhook.palette import Painter, Style, plain

__all__ = ["render", "render_json"]

_ABSENT = " "
"""The sign of a requirement that a run did not hold."""
_UNWRAPPED = 1_000_000
_LEVEL = len(Level.SHOULD)
_KIND_STYLES = {
    "newly failing": Style.BAD,
    "newly warned about": Style.WARNING,
    "newly passing": Style.GOOD,
    "newly known": Style.KNOWN,
    "newly noted": Style.NOTE,
}
"""What has become of a requirement looks like its new verdict."""


def render(comparison: Comparison, paint: Painter = plain, *, every: bool = False, width: int = _UNWRAPPED) -> str:
    """The runs, then what has changed, or the requirements in which backends differ or are wanting (or *every* one)."""
    return "\n".join(_lines(comparison, paint, every, width)) + "\n"


def render_json(comparison: Comparison) -> str:
    """The same as one JSON document, with a final line feed; runs are counted from 0."""
    runs = [{"label": one.label, **_facts(one.report)} for one in comparison.columns]
    document = {
        "kind": "comparison",
        "over_time": comparison.over_time,
        "runs": runs,
        "requirements": [
            {"id": row.id, "level": row.level.value, "text": row.text, "verdicts": list(row.verdicts)}
            for row in comparison.rows
        ],
        "changes": [
            {"before": one.before, "after": one.after, "id": one.id, "kind": one.kind} for one in comparison.changes
        ],
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _facts(report: RunReport) -> dict[str, Any]:
    delivered, compliant = ({"yes": True, "no": False}.get(holds) for holds in axes(report))
    return {
        "target": report.target,
        "started": report.started,
        "verdict": report.verdict.value,
        "exit_code": report.exit_code,
        "delivered": delivered,
        "compliant": compliant,
        "totals": report.totals,
    }


def _lines(comparison: Comparison, paint: Painter, every: bool, width: int) -> Iterator[str]:
    columns = comparison.columns
    backends = len(comparison.targets)
    if comparison.over_time:
        yield f"{len(columns)} runs against {' and '.join(comparison.targets)}  (your App backend)"
    else:
        yield f"{len(columns)} runs against {backends} target{'s' if backends > 1 else ''}  (App backends)"
    yield ""
    yield from _runs(comparison, paint, width)
    yield ""
    if comparison.over_time:
        yield from _changes(comparison, paint, width)
    else:
        yield from _matrix(comparison, paint, every, width)


def _runs(comparison: Comparison, paint: Painter, width: int) -> Iterator[str]:
    labels = max(len(one.label) for one in comparison.columns)
    margin = len(f"{len(comparison.columns)}") + 2
    for number, one in enumerate(comparison.columns, 1):
        report = one.report
        verdict = OUTCOMES[report.verdict]
        facts = counts(report) if report.requirements else report.detail.partition("\n")[0]
        indent = margin + labels + 2
        start = f"{number:>{margin - 2}}  {one.label:{labels}}  "
        first, *more = fold(f"{start}{verdict}  {facts}", width, indent)
        yield first.replace(f"  {verdict}", f"  {paint(verdict, OUTCOME_STYLES[report.verdict])}", 1)
        yield from more
        yield from _where_and_axes(report, indent, paint, width, named=not comparison.over_time)


def _where_and_axes(report: RunReport, indent: int, paint: Painter, width: int, *, named: bool) -> Iterator[str]:
    """The target, if it is *named*, and both axes: in one line where that fits."""

    def said(paint: Painter) -> str:
        delivered, compliant = axes(report)
        return f"{axis_text('delivered', delivered, paint)}, {axis_text('compliant', compliant, paint)}"

    start = f"{'':{indent}}{f'{report.target}  ' if named else ''}"
    if named and len(start) + len(said(plain)) > width:
        yield start.rstrip()
        start = " " * indent
    yield start + said(paint)


def _matrix(comparison: Comparison, paint: Painter, every: bool, width: int) -> Iterator[str]:
    rows = [row for row in comparison.rows if every or row.differs or row.wanting]
    if rows:
        used = [verdict for verdict in DONE if any(verdict in row.verdicts for row in rows)]
        yield "  ".join(f"{paint(SYMBOLS[one], STYLES[one])} {DONE[one]}" for one in used)
        ids = max(len(row.id) for row in rows)
        yield f"  {'':{ids}}          {''.join(f'{number:>3}' for number in range(1, len(comparison.columns) + 1))}"
        yield from (f"  {row.id:{ids}}  {_level(row.level, paint)}  {_signs(row, paint)}".rstrip() for row in rows)
    left = [row for row in comparison.rows if row not in rows]
    if left:
        yield from fold(f"agreed on by all that judged them: {_totals(left)}  (--all lists them)", width, 4)


def _level(level: Level, paint: Painter) -> str:
    return paint(level, LEVEL_STYLES[level]) + " " * (_LEVEL - len(level))


def _signs(row: Row, paint: Painter) -> str:
    return "".join(f"  {_ABSENT if one is None else paint(SYMBOLS[one], STYLES[one])}" for one in row.verdicts)


def _totals(rows: Sequence[Row]) -> str:
    numbers = Counter(row.judged[0] if row.judged else Verdict.NOT_JUDGED for row in rows)
    return ", ".join(f"{numbers[verdict]} {done}" for verdict, done in DONE.items() if numbers[verdict])


def _changes(comparison: Comparison, paint: Painter, width: int) -> Iterator[str]:
    """The latest step first; a step in which nothing changed says so."""
    rows = {row.id: row for row in comparison.rows}
    for after in range(len(comparison.columns) - 1, 0, -1):
        changes = [one for one in comparison.changes if one.after == after]
        step = f"from {after} to {after + 1}"
        yield f"{paint(f'{step}:', Style.HEADING)} {'' if changes else 'nothing has changed'}".rstrip()
        kinds = max((len(one.kind) for one in changes), default=0)
        for one in changes:
            finding = comparison.columns[after].finding(one.id)
            seen = f"  {finding.message}: {finding.actual.text}" if finding else ""
            start = f"  {one.kind:{kinds}}  "
            first, *more = fold(f"{start}{one.id} ({rows[one.id].level}){seen}", width, len(start))
            yield first.replace(one.kind, paint(one.kind, _KIND_STYLES.get(one.kind, Style.MUTED)), 1)
            yield from more
    still = [row for row in comparison.rows if set(row.verdicts) == {Verdict.FAIL}]
    if still:
        start = "failing all the time:"
        first, *more = fold(f"{start} {', '.join(row.id for row in still)}", width, 4)
        yield first.replace(start, paint(start, Style.BAD))
        yield from more
