"""The report that a person reads in a terminal or in a pipeline's log."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Final

from roomhook.contract_tests.model.register import load_groups
from roomhook.contract_tests.model.verdicts import RunOutcome, Verdict
from roomhook.contract_tests.reports.labels import (
    DONE,
    LABELS,
    NO_ANSWERS,
    OUTCOME_STYLES,
    OUTCOMES,
    STYLES,
    SYMBOLS,
    axes,
    counts,
    remedy,
    undelivered,
)
from roomhook.contract_tests.reports.run_report import FindingRecord, RequirementResult, RunReport, sources_of
from roomhook.palette import Painter, Style, plain
from roomhook.simulator.protocol.callback_request import printable
from roomhook.simulator.util.html_words import readable

__all__ = ["WIDTH", "axis_text", "finding_fields", "finding_lines", "fold", "ids_in_short", "render"]

WIDTH: Final = 100
"""Columns where no terminal says otherwise."""
_MARGIN: Final = 6
_LABEL: Final = 10
_LONGEST_ANSWER: Final = 160
_WANTING: Final = (Verdict.FAIL, Verdict.WARN)
_NAMED: Final = 4
"""Ids of one group that are still named one by one."""
_NO_FIX: Final = "Nothing to fix"
"""How the advice on a note begins that asks for nothing."""
_READ: Final = 24
"""Ids that a finding still names one by one."""
_FEW_GROUPS: Final = 6
"""Groups that are still named."""

_WORD: Final = re.compile(r"""(?:'[^']*'|"[^"]*"|\\.|[^\s'"\\])+""")
_OPENING: Final = ("-", "'http", "http")
"""What words of a command line begin with before which it may be folded: options and URLs."""


def render(report: RunReport, paint: Painter = plain, *, width: int = WIDTH) -> str:
    """The whole report: the target, the findings, the overview, and last, where a log ends, the summary."""
    return "\n".join(_lines(report, paint, width)) + "\n"


def _lines(report: RunReport, paint: Painter, width: int) -> Iterator[str]:
    yield f"{paint('target', Style.MUTED)}  {report.target}  (your App backend)"
    yield f"        {_settings(report)}"
    shown: dict[str, str] = {}
    for finding in report.causes:
        if finding.verdict is Verdict.KNOWN:
            continue
        yield ""
        yield from finding_lines(finding, paint, width=width, shown=shown)
    yield from _overview(report, paint, width)
    yield from _known(report, paint, width)
    yield from _not_judged(report, paint, width)
    yield ""
    yield from _summary(report, paint, width)


def _settings(report: RunReport) -> str:
    facts = [f"SDKAppID {report.sdkappid}", f"deadline {report.deadline_ms / 1000:g} s", f"seed {report.seed}"]
    if report.strict:
        facts.append("strict")
    if report.refusal != "explicit":
        facts.append(f"refusal {report.refusal}")
    return ", ".join(facts)


def finding_lines(
    finding: FindingRecord, paint: Painter = plain, *, width: int = WIDTH, shown: dict[str, str] | None = None
) -> Iterator[str]:
    """One finding as the report prints it; *shown* remembers by their curl lines the requests shown before."""
    label, noted = LABELS[finding.verdict], finding.verdict is Verdict.INFO
    title = f"{finding.id} ({finding.level})  {_noted(finding) if noted else finding.requirement}"
    first, *rest = fold(f"{label}  {title}", width, _MARGIN)
    yield paint(label, STYLES[finding.verdict]) + first.removeprefix(label)
    yield from rest
    if not noted:
        yield from finding_fields(finding, paint, width=width, shown=shown)
    elif not finding.fix.startswith(_NO_FIX):
        yield from _field("fix", finding.fix, paint, width, _MARGIN)


def finding_fields(
    finding: FindingRecord,
    paint: Painter = plain,
    *,
    width: int = WIDTH,
    margin: int = _MARGIN,
    shown: dict[str, str] | None = None,
) -> Iterator[str]:
    """What was seen, expected and sent, and how to fix it: a labelled paragraph each, *margin* columns in."""
    at = f" at {finding.actual.path}" if finding.actual.path else ""
    times = f" ({finding.count} times)" if finding.count > 1 else ""
    also = f"{_names(finding.also)} ({'the same cause' if finding.cause else 'the same answer'})"
    rows = (
        ("seen", finding.message + times),
        ("expected", finding.expected),
        ("actual", printable(finding.actual.text) + at),
        ("answer", _answer(finding)),
        ("breaks", finding.cause if finding.cause != finding.id else None),
        ("also", also if finding.also else None),
        ("sent", _sent(finding, {} if shown is None else shown)),
        ("again", finding.again),
        ("fix", finding.fix),
        ("source", _source(finding)),
    )
    for name, text in rows:
        command = name == "again" or (name == "sent" and finding.sent is not None and bool(finding.sent.curl))
        if text:
            yield from _field(name, text, paint, width, margin, command=command)


def _field(name: str, text: str, paint: Painter, width: int, margin: int, *, command: bool = False) -> Iterator[str]:
    """*text*, which may be a *command* to copy, beside its label."""
    start = f"{'':{margin}}{name:{_LABEL}}"
    first, *rest = _folded(start, text, width) if command else fold(start + text, width, len(start))
    yield first.replace(name, paint(name, Style.MUTED), 1)
    yield from rest


def _folded(start: str, command: str, width: int) -> list[str]:
    """*command* after *start*, in lines that end with a backslash where it is too long, so that it can be copied."""
    words = _WORD.findall(command)
    if len(start) + len(command) <= width or " ".join(words) != command:
        return [start + command]
    parts: list[str] = []
    for word in words:
        if not parts or word.startswith(_OPENING):
            parts.append(word)
        else:
            parts[-1] += f" {word}"
    indent = " " * (len(start) + 4)
    lines = [start + parts[0]]
    for part in parts[1:]:
        if len(lines[-1]) + len(part) + 3 > width:
            lines.append(indent + part)
        else:
            lines[-1] += f" {part}"
    return " \\\n".join(lines).split("\n")


def _sent(finding: FindingRecord, shown: dict[str, str]) -> str | None:
    if finding.sent is None:
        return None
    before = shown.setdefault(finding.sent.shown, finding.id)
    return finding.sent.shown if before == finding.id else f"as for {before}"


def _noted(finding: FindingRecord) -> str:
    actual = "" if finding.actual.text in finding.message else f": {finding.actual.text}"
    also = f" (also {_names(finding.also)})" if finding.also else ""
    return f"{finding.message}{actual}{also}"


def _answer(finding: FindingRecord) -> str | None:
    """The response where it is not ActionStatus OK and says more than the finding does already."""
    actual = finding.actual
    body = readable(actual.body or "")
    if actual.status is None or not body or body in actual.text or (finding.cause is None and actual.status == 200):
        return None
    shown = printable(body[:_LONGEST_ANSWER])
    return f"HTTP {actual.status}  {shown}{'…' if len(body) > _LONGEST_ANSWER else ''}"


def _source(finding: FindingRecord) -> str:
    address = next((link for one in sources_of(finding.source) for link in one.addresses if "://" in link), "")
    return f"{finding.source}  {address}".rstrip()


def fold(text: str, width: int, indent: int) -> list[str]:
    """*text* in lines of at most *width* columns; ids and addresses stay whole."""
    start = text[: len(text) - len(text.lstrip())]
    return textwrap.wrap(
        text.strip(),
        max(width, indent + 30),
        initial_indent=start,
        subsequent_indent=" " * indent,
        break_long_words=False,
        break_on_hyphens=False,
    ) or [text]


def _overview(report: RunReport, paint: Painter, width: int) -> Iterator[str]:
    """One character a requirement, a line for each group of which anything was judged."""
    groups = {
        name: members
        for name, members in report.groups().items()
        if any(one.verdict is not Verdict.NOT_JUDGED for one in members)
    }
    if len(groups) < 2:
        return
    about = load_groups()
    names, signs = max(map(len, groups)), max(map(len, groups.values()))
    used = [verdict for verdict in DONE if any(one.verdict is verdict for row in groups.values() for one in row)]
    yield ""
    yield f"{paint('requirements', Style.HEADING)}  " + "  ".join(
        f"{paint(SYMBOLS[one], STYLES[one])} {DONE[one]}" for one in used
    )
    for name, members in groups.items():
        row = "".join(
            paint(SYMBOLS[verdict] * len(list(run)), STYLES[verdict])
            for verdict, run in groupby(members, key=lambda one: one.verdict)
        )
        words = about.get(name, "")
        start = 2 + names + 2
        gap = min(signs - len(members), width - start - len(members) - 2 - len(words))
        if gap < 0:
            yield f"  {name:{names}}  {row}"
            yield from fold(f"{'':{start}}{words}", width, start)
        else:
            yield f"  {name:{names}}  {row}{'':{gap + 2}}{words}".rstrip()


def _known(report: RunReport, paint: Painter, width: int) -> Iterator[str]:
    known = [one for one in report.requirements if one.verdict is Verdict.KNOWN]
    if known:
        yield ""
        yield paint(f"known failures: {len(known)}", Style.HEADING)
    for one in known:
        yield from fold(f"  {one.id} ({one.level}): {one.reason}", width, 4)


def _not_judged(report: RunReport, paint: Painter, width: int) -> Iterator[str]:
    reasons: dict[str, list[RequirementResult]] = {}
    for one in report.requirements:
        if one.verdict is Verdict.NOT_JUDGED:
            reasons.setdefault(one.reason, []).append(one)
    if reasons:
        yield ""
        yield paint(f"not judged: {report.count(Verdict.NOT_JUDGED)}", Style.HEADING)
    sizes = {name: len(members) for name, members in report.groups().items()}
    for reason, members in reasons.items():
        yield from fold(f"  {reason}: {ids_in_short([one.id for one in members], sizes)}", width, 4)


def _names(ids: Sequence[str]) -> str:
    """*ids* in full, unless there are too many to be read."""
    return ", ".join(ids) if len(ids) <= _READ else ids_in_short(ids)


def ids_in_short(ids: Sequence[str], sizes: dict[str, int] | None = None) -> str:
    """*ids*, a group as ``sign.* (11)`` where all its members (as *sizes* has them) or too many to name are meant."""
    groups: dict[str, list[str]] = {}
    for one in ids:
        groups.setdefault(one.partition(".")[0], []).append(one)
    if len(groups) > _FEW_GROUPS:
        return f"{len(ids)} requirements in {len(groups)} groups"
    parts: list[str] = []
    for name, members in groups.items():
        if sizes is not None and len(members) == sizes.get(name) and len(members) > 1:
            parts.append(f"{name}.* ({len(members)})")
        elif len(members) > _NAMED:
            parts.append(f"{len(members)} of {name}.*")
        else:
            parts += members
    return ", ".join(parts)


def _summary(report: RunReport, paint: Painter, width: int) -> Iterator[str]:
    if report.delivery.sent:
        yield from _axes(report, paint, width)
    figures = f"{counts(report)} in {report.duration_s:.1f} s"
    if report.verdict in {RunOutcome.UNREACHABLE, RunOutcome.NOTHING_RAN, RunOutcome.SETUP_FAILED}:
        said = report.detail
    elif report.verdict is RunOutcome.INTERRUPTED:
        said = f"{figures}; {report.detail}"
    else:
        said = f"{figures}; the run ended early: {report.detail}" if report.detail else figures
    yield from _styled(OUTCOMES[report.verdict], f"  {said}", paint, OUTCOME_STYLES[report.verdict], width)
    if report.verdict is RunOutcome.UNREACHABLE:
        if remedy(report):
            yield from _styled("hint:", f" {remedy(report)}", paint, Style.MUTED, width)
    elif report.verdict in {RunOutcome.CONFORMS, RunOutcome.VIOLATES}:
        yield from _hint(report, paint, width)


def _hint(report: RunReport, paint: Painter, width: int) -> Iterator[str]:
    wanting = next((one.id for one in report.findings if one.verdict in _WANTING), None)
    if wanting is not None:
        alone = f"{wanting} --fuzz 500" if wanting.startswith("fuzz.") else wanting
        strict = "; --strict fails on warnings" if report.count(Verdict.WARN) else ""
        hint = f" roomhook explain {wanting} says why it matters, check --only {alone} runs it alone{strict}"
        yield from _styled("hint:", hint, paint, Style.MUTED, width)


def _axes(report: RunReport, paint: Painter, width: int) -> Iterator[str]:
    """A line for the callbacks delivered, and one for the responses that are compliant."""
    delivery, compliance = report.delivery, report.compliance
    delivered, compliant = axes(report)
    counted = f", {delivery.delivered} of {delivery.sent} as the Room backend would count it{undelivered(report)}"
    judged = f"{compliance.compliant} of {compliance.judged} responses" if compliance.judged else NO_ANSWERS
    yield from _axis("delivered", delivered, counted, paint, width)
    yield from _axis("compliant", compliant, f", {judged}", paint, width)


def axis_text(name: str, holds: str, paint: Painter = plain) -> str:
    """Whether *name* *holds*, as ``axes`` says it, e.g. ``delivered: NO``."""
    style = {"yes": Style.GOOD, "no": Style.BAD}.get(holds, Style.WARNING)
    return f"{paint(f'{name}:', Style.MUTED)} {paint('NO' if holds == 'no' else holds, style)}"


def _axis(name: str, holds: str, rest: str, paint: Painter, width: int) -> Iterator[str]:
    said = axis_text(name, holds)
    first, *more = fold(said + rest, width, _MARGIN)
    yield first.replace(said, axis_text(name, holds, paint), 1)
    yield from more


def _styled(start: str, rest: str, paint: Painter, style: Style, width: int) -> Iterator[str]:
    """*start* in *style* and *rest*, in lines of at most *width* columns; lines within *rest* are kept."""
    head, *tail = rest.split("\n")
    first, *more = fold(start + head, width, _MARGIN)
    yield paint(start, style) + first.removeprefix(start)
    yield from more
    yield from tail
