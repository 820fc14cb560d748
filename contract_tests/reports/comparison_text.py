"""Several runs side by side, in plain text or as JSON."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from roomhook.contract_tests.model.verdicts import Verdict
from roomhook.contract_tests.reports.comparison import Comparison, Row
from roomhook.contract_tests.reports.labels import COLOURS, DONE, OUTCOME_COLOURS, OUTCOMES, SYMBOLS, axes, counts
from roomhook.contract_tests.reports.run_report import RunReport
from roomhook.contract_tests.reports.text import Style, plain

__all__ = ["render", "render_json"]

_ABSENT = " "
"""The sign of a requirement that a run did not hold."""


def render(comparison: Comparison, style: Style = plain, *, every: bool = False) -> str:
    """The runs, then what has changed, or the requirements in which backends differ or are wanting (or *every* one)."""
    return "\n".join(_lines(comparison, style, every)) + "\n"


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


def _lines(comparison: Comparison, style: Style, every: bool) -> Iterator[str]:
    columns = comparison.columns
    backends = len(comparison.targets)
    if comparison.over_time:
        yield f"{len(columns)} runs against {' and '.join(comparison.targets)}  (your App backend)"
    else:
        yield f"{len(columns)} runs against {backends} target{'s' if backends > 1 else ''}  (App backends)"
    yield ""
    yield from _runs(comparison, style)
    yield ""
    if comparison.over_time:
        yield from _changes(comparison)
    else:
        yield from _matrix(comparison, style, every)


def _runs(comparison: Comparison, style: Style) -> Iterator[str]:
    labels = max(len(one.label) for one in comparison.columns)
    margin = len(f"{len(comparison.columns)}") + 2
    for number, one in enumerate(comparison.columns, 1):
        report = one.report
        verdict = style(OUTCOMES[report.verdict], OUTCOME_COLOURS[report.verdict])
        delivered, compliant = ("NO" if holds == "no" else holds for holds in axes(report))
        facts = counts(report) if report.requirements else report.detail.partition("\n")[0]
        yield f"{number:>{margin - 2}}  {one.label:{labels}}  {verdict}  {facts}"
        where = "" if comparison.over_time else f"{report.target}  "
        yield f"{'':{margin + labels + 2}}{where}delivered: {delivered}, compliant: {compliant}"


def _matrix(comparison: Comparison, style: Style, every: bool) -> Iterator[str]:
    rows = [row for row in comparison.rows if every or row.differs or row.wanting]
    if rows:
        used = [verdict for verdict in DONE if any(verdict in row.verdicts for row in rows)]
        yield "  ".join(f"{style(SYMBOLS[one], COLOURS[one])} {DONE[one]}" for one in used)
        ids = max(len(row.id) for row in rows)
        yield f"  {'':{ids}}          {''.join(f'{number:>3}' for number in range(1, len(comparison.columns) + 1))}"
        yield from (f"  {row.id:{ids}}  {row.level:<6}  {_signs(row, style)}".rstrip() for row in rows)
    left = [row for row in comparison.rows if row not in rows]
    if left:
        yield f"agreed on by all that judged them: {_totals(left)}  (--all lists them)"


def _signs(row: Row, style: Style) -> str:
    return "".join(f"  {_ABSENT if one is None else style(SYMBOLS[one], COLOURS[one])}" for one in row.verdicts)


def _totals(rows: Sequence[Row]) -> str:
    numbers = Counter(row.judged[0] if row.judged else Verdict.NOT_JUDGED for row in rows)
    return ", ".join(f"{numbers[verdict]} {done}" for verdict, done in DONE.items() if numbers[verdict])


def _changes(comparison: Comparison) -> Iterator[str]:
    """The latest step first; a step in which nothing changed says so."""
    rows = {row.id: row for row in comparison.rows}
    for after in range(len(comparison.columns) - 1, 0, -1):
        changes = [one for one in comparison.changes if one.after == after]
        step = f"from {after} to {after + 1}"
        yield f"{step}: {'' if changes else 'nothing has changed'}".rstrip()
        width = max((len(one.kind) for one in changes), default=0)
        for one in changes:
            finding = comparison.columns[after].finding(one.id)
            seen = f"  {finding.message}: {finding.actual.text}" if finding else ""
            yield f"  {one.kind:{width}}  {one.id} ({rows[one.id].level}){seen}"
    still = [row for row in comparison.rows if set(row.verdicts) == {Verdict.FAIL}]
    if still:
        yield f"failing all the time: {', '.join(row.id for row in still)}"
