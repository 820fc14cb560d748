"""Several runs as a page: requirements by backend, or one backend over time and what has changed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from roomhook.contract_tests.model.register import load_groups
from roomhook.contract_tests.reports.comparison import KINDS, Change, Comparison, Row, moment
from roomhook.contract_tests.reports.html.page import (
    TITLES,
    TONES,
    cell,
    copyable,
    definitions,
    escape,
    legend,
    page,
    prose,
    source_links,
)
from roomhook.contract_tests.reports.labels import DONE, axes, counts
from roomhook.contract_tests.reports.run_report import RunReport

__all__ = ["render"]

_GOOD = {"newly passing", "newly judged", "no longer noted"}


def render(comparison: Comparison) -> str:
    """One self-contained page; the cells of what was found wanting lead to what was seen."""
    title = _title(comparison)
    return page(
        f"{title} · Roomhook", (*_head(comparison, title), "<main>", *_main(comparison), "</main>", _foot(comparison))
    )


def _title(comparison: Comparison) -> str:
    runs = len(comparison.columns)
    if comparison.over_time:
        return f"{runs} runs over time"
    return f"{runs} App backends side by side"


def _head(comparison: Comparison, title: str) -> Iterator[str]:
    failing = sum(
        one.kind == "newly failing" and one.after == len(comparison.columns) - 1 for one in comparison.changes
    )
    tone = "fail" if failing else "info"
    yield '<p class="brand"><b>Roomhook</b> contract checks of App backends</p>'
    yield f'<header><div class="card verdict {tone}"><h1>{title}</h1>'
    if comparison.over_time:
        yield f'<p class="lede"><code>{escape(", ".join(comparison.targets))}</code></p>'
        yield f'<p class="lede">{_latest(comparison)}</p>'
    else:
        differing = sum(row.differs for row in comparison.rows)
        yield f'<p class="lede">They differ in {differing} of {len(comparison.rows)} requirements.</p>'
    yield "</div>"
    yield f'<div class="runs">{"".join(_run(comparison, number) for number in range(len(comparison.columns)))}</div>'
    yield "</header>"


def _latest(comparison: Comparison) -> str:
    last = len(comparison.columns) - 1
    numbers = {kind: sum(one.kind == kind and one.after == last for one in comparison.changes) for kind in KINDS}
    told = ", ".join(f"{number} {kind}" for kind, number in numbers.items() if number)
    return f"In the latest run: {told or 'nothing has changed'}."


def _run(comparison: Comparison, number: int) -> str:
    column = comparison.columns[number]
    report = column.report
    where = "" if comparison.over_time else f"<p><code>{escape(report.target)}</code></p>"
    facts = counts(report) if report.requirements else report.detail
    began = "" if comparison.over_time else f"{moment(report)}, "
    return (
        f'<section class="card run {TONES[report.verdict]}"><h3>{number + 1}. {escape(column.label)}</h3>'
        f'<p class="answer">{TITLES[report.verdict]}</p>{where}<p>{escape(facts)}</p><p>{_axes(report)}</p>'
        f'<p class="soft">{began}Roomhook {escape(report.roomhook)}</p></section>'
    )


def _axes(report: RunReport) -> str:
    delivered, compliant = ("<b>no</b>" if holds == "no" else holds for holds in axes(report))
    return f"delivered: {delivered}, compliant: {compliant}"


def _main(comparison: Comparison) -> Iterator[str]:
    if comparison.over_time:
        yield from _changes(comparison)
    told = [row for row in comparison.rows if row.differs or row.wanting]
    rest = [row for row in comparison.rows if row not in told]
    if told:
        yield "<h2>Where the runs differ or are wanting</h2>"
        yield _matrix(comparison, told)
        yield "<h2>What was seen</h2>"
        yield from (_seen(comparison, row) for row in told if row.wanting)
    if rest:
        yield f"<h2>Agreed on by all that judged them <small>{len(rest)} requirements</small></h2>"
        yield f'<details class="card"><summary>Show them</summary>{_matrix(comparison, rest)}</details>'


def _changes(comparison: Comparison) -> Iterator[str]:
    texts = {row.id: row.text for row in comparison.rows}
    yield "<h2>What has changed</h2>"
    for after in range(len(comparison.columns) - 1, 0, -1):
        changes = [one for one in comparison.changes if one.after == after]
        before, now = (comparison.columns[number].label for number in (after - 1, after))
        items = "".join(_item(one, texts[one.id]) for one in changes)
        inside = f'<ul class="changes">{items}</ul>' if changes else "<p>Nothing has changed.</p>"
        step = f"From {after} ({escape(before)}) to {after + 1} ({escape(now)})"
        yield f'<section class="card step"><h3>{step}</h3>{inside}</section>'


def _item(change: Change, text: str) -> str:
    badge = f'<span class="badge {_tone(change.kind)}">{change.kind}</span>'
    return f"<li>{badge} <code>{escape(change.id)}</code> {prose(text)}</li>"


def _tone(kind: str) -> str:
    if kind in _GOOD:
        return "pass"
    return {"newly failing": "fail", "newly warned about": "warn", "newly known": "known"}.get(kind, "info")


def _matrix(comparison: Comparison, rows: Sequence[Row]) -> str:
    about = load_groups()
    heads = "".join(
        f'<th scope="col" title="{escape(one.label)}">{number}</th>' for number, one in enumerate(comparison.columns, 1)
    )
    body: list[str] = []
    for group, members in groupby(rows, key=lambda row: row.group):
        words = f"{group}: {about[group]}" if group in about else group
        span = len(comparison.columns) + 1
        body.append(f'<tr class="head"><th colspan="{span}" scope="rowgroup">{escape(words)}</th></tr>')
        body += [_matrix_row(comparison, row) for row in members]
    signs = legend(one for row in rows for one in row.verdicts if one is not None)
    head = f'<thead><tr><th scope="col">Requirement</th>{heads}</tr></thead>'
    return (
        '<div class="card"><div class="wide" role="region" aria-label="Requirements by run" tabindex="0">'
        f'<table class="matrix">{head}<tbody>{"".join(body)}</tbody></table></div>{signs}</div>'
    )


def _matrix_row(comparison: Comparison, row: Row) -> str:
    cells: list[str] = []
    for column, verdict in zip(comparison.columns, row.verdicts, strict=True):
        if verdict is None:
            cells.append('<td><span class="unseen">not part of this run</span></td>')
            continue
        href = row.id if row.wanting and column.finding(row.id) else ""
        cells.append(f"<td>{cell(verdict, f'{column.label}: {DONE[verdict]}', href=href)}</td>")
    name = f'<code>{escape(row.id)}</code> <span class="level">{row.level}</span><small>{prose(row.text)}</small>'
    return f'<tr><th scope="row">{name}</th>{"".join(cells)}</tr>'


def _seen(comparison: Comparison, row: Row) -> str:
    """What each run found, folded up under its requirement."""
    parts: list[str] = []
    where: list[str] = []
    advice = ""
    for number, column in enumerate(comparison.columns, 1):
        finding = column.finding(row.id)
        if finding is None:
            continue
        at = f" at <code>{escape(finding.actual.path)}</code>" if finding.actual.path else ""
        rows = [("Seen", escape(finding.message)), ("Expected", escape(finding.expected))]
        rows.append(("Actual", escape(finding.actual.text) + at))
        curl = copyable("Send it again", finding.sent.curl) if finding.sent else ""
        where.append(f"{number}. {column.label}")
        parts.append(f'<h3 class="group">{escape(where[-1])}</h3>{definitions(rows)}{curl}')
        advice = definitions([("How to fix", prose(finding.fix)), ("Written in", source_links(finding.source))])
    gravest = min(row.judged, key=list(DONE).index)
    return (
        f'<details class="requirement" id="{escape(row.id)}"><summary>{cell(gravest, DONE[gravest])}'
        f'<code>{escape(row.id)}</code><span class="level">{row.level}</span>'
        f'<span class="text">{escape(", ".join(where))}</span></summary>'
        f'<div class="body">{"".join(parts)}{advice}</div></details>'
    )


def _foot(comparison: Comparison) -> str:
    return f"<footer>Made by Roomhook from {len(comparison.columns)} reports of roomhook check.</footer>"
