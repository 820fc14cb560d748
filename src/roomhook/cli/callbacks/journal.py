"""``roomhook journal``: what is in a journal, as a summary or line by line."""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar

import typer

from roomhook.cli.shared.terminal import counts_text, marks, painter, row
from roomhook.errors import ConfigurationError
from roomhook.palette import Painter, Style
from roomhook.suggestions import did_you_mean

if TYPE_CHECKING:
    from roomhook.simulator.journal.reader import Filters, Reader

__all__ = ["ExportFormat", "JournalFormat", "app"]

T = TypeVar("T")

_FOLLOWED_EVERY_S: Final = 1.0
_INDENT: Final = 13
"""Where the second column of the summary begins."""
_OUTCOME: Final = 11
"""Columns of an outcome in a row."""

app = typer.Typer(add_completion=False, rich_markup_mode=None)


class JournalFormat(StrEnum):
    """What is printed: a summary for people or programs, rows, or lines that replay reads."""

    TEXT = "text"
    JSON = "json"
    NDJSON = "ndjson"
    EVENTS = "events"


class ExportFormat(StrEnum):
    """A format of other tools."""

    HAR = "har"


@app.command()
def journal(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="Journals written by --journal; several are added up.")
    ],
    *,
    state: Annotated[
        str | None,
        typer.Option("--state", metavar="STATE", help="List only events that are delivered, failed or unsent."),
    ] = None,
    outcome: Annotated[
        str | None,
        typer.Option(
            "--outcome", metavar="NAME", help="List only attempts with this outcome, e.g. timeout or in-doubt."
        ),
    ] = None,
    requirement: Annotated[
        str | None,
        typer.Option("--requirement", metavar="ID", help="List only responses that violate it, e.g. ack.json."),
    ] = None,
    room: Annotated[
        str | None, typer.Option("--room", metavar="ID", help="List only callbacks of this room, e.g. standup.")
    ] = None,
    member: Annotated[
        str | None, typer.Option("--member", metavar="ID", help="List only callbacks of this member, e.g. ann.")
    ] = None,
    limit: Annotated[
        int | None, typer.Option("--limit", metavar="N", min=1, help="List at most N rows, e.g. 20.")
    ] = None,
    follow: Annotated[
        bool, typer.Option("--follow", help="Repeat the summary each second until the run ends.")
    ] = False,
    format_: Annotated[
        JournalFormat,
        typer.Option("--format", help="ndjson: one row per attempt, with all bytes; events: input for replay and jq."),
    ] = JournalFormat.TEXT,
    export: Annotated[
        ExportFormat | None,
        typer.Option("--export", help="Export attempts as HAR 1.2, for browsers and HTTP viewers."),
    ] = None,
    drift: Annotated[
        bool, typer.Option("--drift", help="Show where recorded callbacks differ from the documents, grouped.")
    ] = False,
    export_scenario: Annotated[
        bool, typer.Option("--export-scenario", help="Write a scenario for traffic of the shares and stays seen.")
    ] = False,
) -> None:
    """Summarise journals, or with a filter, or --format ndjson or events, list what is in them.

    The tables, for queries of your own with sqlite3, are in docs/reference-journal.md.
    """
    from roomhook.simulator.journal.part_names import parts_there
    from roomhook.simulator.journal.reader import Filters

    filters = Filters(state, outcome, requirement, room, member, limit)
    _refuse_unknown(filters)
    if format_ is JournalFormat.JSON and not drift and (option := _first_of(filters)):
        raise ConfigurationError(
            f"--format json is the summary of all that is in a journal: with {option}, ask for --format ndjson"
        )
    named = [one for file in files for one in (file.exists() and [file]) or parts_there(file) or [file]]
    each = list({file.resolve(): file for file in named}.values())
    if follow:
        _follow(each, filters, format_)
    elif export is ExportFormat.HAR:
        _har(each, filters)
    elif export_scenario:
        _scenario(each, filters)
    elif drift:
        _drift(each, filters, as_json=format_ is JournalFormat.JSON)
    elif format_ is JournalFormat.EVENTS:
        _events(each, filters)
    elif format_ is JournalFormat.NDJSON or filters != Filters():
        _rows(each, filters, as_text=format_ is JournalFormat.TEXT)
    else:
        _summary(each, as_json=format_ is JournalFormat.JSON)
    raise typer.Exit


def _refuse_unknown(filters: Filters) -> None:
    """A name that nothing can have is a misspelling: it must not look like a journal without such rows."""
    from roomhook.simulator.journal.reader import STATES
    from roomhook.simulator.journal.schema import OUTCOMES
    from roomhook.simulator.protocol.response_check import ACK_MUST

    _refuse_other_than("--state", filters.state, STATES)
    _refuse_other_than("--outcome", filters.outcome, [str(one) for one in OUTCOMES])
    _refuse_other_than("--requirement", filters.requirement, ACK_MUST)


def _refuse_other_than(option: str, given: str | None, known: Iterable[str]) -> None:
    if given is not None and given not in known:
        raise ConfigurationError(f"{option} {given!r} is none of {', '.join(known)}{did_you_mean(given, known)}")


def _first_of(filters: Filters) -> str | None:
    """The first filter that was given, as an option."""
    return next((f"--{name}" for name, value in vars(filters).items() if value is not None), None)


def _follow(files: list[Path], filters: Filters, format_: JournalFormat) -> None:
    """Print the summary again and again, less often the longer it takes, until no run writes any of *files*."""
    if filters != type(filters)() or format_ in {JournalFormat.NDJSON, JournalFormat.EVENTS}:
        raise ConfigurationError("--follow shows the summary: leave out filters, and --format but for text and json")
    while True:
        begun = time.monotonic()
        total = _total(files)
        as_json = format_ is JournalFormat.JSON
        typer.echo(json.dumps(total, ensure_ascii=False) if as_json else _summary_text(total) + "\n")
        sys.stdout.flush()
        if not total["live"]:
            return
        time.sleep(max(_FOLLOWED_EVERY_S, 5 * (time.monotonic() - begun)))


def _total(files: list[Path]) -> dict[str, Any]:
    """The summary of all *files* together."""
    from roomhook.cli.callbacks.finish_journals import indexing_progress
    from roomhook.simulator.journal.reader import reading

    found: list[dict[str, Any]] = []
    for file in files:
        with indexing_progress(file) as show, reading(file, show) as reader:
            found.append(reader.summary())
    return found[0] if len(found) == 1 else _added_up(found)


def _added_up(summaries: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The sum of *summaries* of journals of one kind; raises ``ConfigurationError`` if their kinds differ."""
    if len({one["kind"] for one in summaries}) > 1:
        raise ConfigurationError("a sender's and a listener's journal can't be added up; give them one at a time")
    return {name: _sum([one[name] for one in summaries]) for name in summaries[0]}


def _sum(values: Sequence[Any]) -> Any:
    match values[0]:
        case bool():
            return any(values)
        case int():
            return sum(values)
        case list():
            return [one for value in values for one in value]
        case dict():
            return dict(sum(map(Counter, values), Counter()).most_common())
        case _:
            return ", ".join(dict.fromkeys(values))


def _summary(files: list[Path], *, as_json: bool) -> None:
    total = _total(files)
    typer.echo(json.dumps(total, ensure_ascii=False, indent=2) if as_json else _summary_text(total))


def _summary_text(total: dict[str, Any]) -> str:
    """The summary for stdout: labels muted, and what failed in its style."""
    failed = {name: count for name, count in total.get("outcomes", {}).items() if name != "delivered"}
    styles = marks({**failed, **total.get("requirements", {})}, Style.BAD)
    for name in ("failed", "unsent", "invalid"):
        styles |= {f"{total[name]:,}\N{NO-BREAK SPACE}{name}": Style.BAD} if total.get(name) else {}
    return "\n".join(row(one, _INDENT, styles) for one in _text(total))


def _text(total: dict[str, Any]) -> list[str]:
    lines = [f"journal      {total['journal']}{' (a run is writing it)' if total['live'] else ''}"]
    for run in total["runs"]:
        began = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(run["started_us"] / 1e6))
        ended = "still open" if total["live"] else "died"
        if run["ended_us"] is not None:
            ended = f"took {(run['ended_us'] - run['started_us']) / 1e6:.1f} s"
        about = " · ".join(one for one in (run["url"], run["mode"]) if one)
        lines.append(f"run {run['id']:<8} {began}, {ended}{f' · {about}' if about else ''}")
    if total["lost_bytes"]:
        lost = f"{total['lost_bytes']:,} bytes of the log can't be read; the events in them are sent by --resume"
        lines.append(f"damaged      {lost}")
    if total["kind"] == "listener":
        lines.append(
            f"received     {total['received']:,} = {total['distinct']:,} distinct"
            f" + {total['duplicates']:,} duplicates + {total['invalid']:,}\N{NO-BREAK SPACE}invalid"
        )
        lines.append(f"types        {counts_text(total['types'])}")
        return lines
    ends = " + ".join(f"{total[state]:,}\N{NO-BREAK SPACE}{state}" for state in ("delivered", "failed", "unsent"))
    lines.append(f"events       {total['scheduled']:,} scheduled = {ends}")
    lines.append(f"attempts     {total['attempts']:,}: {counts_text(total['outcomes'])}")
    extra = {name: total[name] for name in ("retries", "copies", "resent", "in_doubt") if total[name]}
    lines += [f"of these     {counts_text(extra)}"] if extra else []
    lines += [f"breached     {counts_text(total['requirements'])}"] if total["requirements"] else []
    return lines


def _rows(files: list[Path], filters: Filters, *, as_text: bool) -> None:
    paint = painter()
    for found in _found(files, filters, lambda reader, limited: reader.rows(limited)):
        line = _row(found, paint) if as_text else json.dumps(found, ensure_ascii=False)
        sys.stdout.write(f"{line}\n")


def _found(files: list[Path], filters: Filters, take: Callable[[Reader, Filters], Iterator[T]]) -> Iterator[T]:
    """What *take* finds in all *files* together, which the limit holds for."""
    from roomhook.simulator.journal.reader import reading

    left = filters.limit
    for file in files:
        if left == 0:
            return
        with reading(file) as reader:
            if reader.kind == "listener" and (filters.outcome or filters.requirement):
                raise ConfigurationError(
                    f"{file} is a listener's journal, which knows no attempts: ask it for --state failed"
                )
            for one in take(reader, replace(filters, limit=left)):
                left = None if left is None else left - 1
                yield one


def _row(attempt: dict[str, Any], paint: Painter) -> str:
    """A row for people: who, how it ended, how long it took, and the packet."""
    request = attempt.get("request") or attempt.get("body") or ""
    packet = request.rpartition("\r\n\r\n")[2] if "\r\n\r\n" in request else request
    shown = packet if packet.isprintable() else json.dumps(packet)
    if "peer" in attempt:
        ending = paint(attempt["problem"], Style.BAD) if attempt["problem"] else paint("ok", Style.GOOD)
        return f"{attempt['id']:>8}  {ending}  {shown}"
    took = ""
    if attempt.get("done_us") and attempt.get("sent_us"):
        took = f"{(attempt['done_us'] - attempt['sent_us']) / 1000:.1f} ms"
    breached = f"  {' '.join(attempt['requirements'])}" if attempt.get("requirements") else ""
    end = attempt.get("outcome", "unsent")
    ending = paint(end, Style.GOOD if end == "delivered" else Style.BAD) + " " * (_OUTCOME - len(end))
    return f"{attempt['event']:>8}.{attempt['attempt'] or 0}  {ending} {took:>10}{breached}  {shown}"


def _events(files: list[Path], filters: Filters) -> None:
    from roomhook.simulator.protocol.callback_event import to_line

    for event in _found(files, filters, lambda reader, limited: reader.events(limited)):
        sys.stdout.buffer.write(to_line(event))
    sys.stdout.buffer.flush()


def _drift(files: list[Path], filters: Filters, *, as_json: bool) -> None:
    from roomhook.simulator.protocol.callback_request import printable
    from roomhook.simulator.protocol.drift import find_drift

    seen = 0

    def callbacks() -> Iterator[tuple[str, bytes]]:
        nonlocal seen
        for event in _found(files, filters, lambda reader, limited: reader.events(limited)):
            seen += 1
            yield event.query, event.body

    drifts = find_drift(callbacks())
    if as_json:
        typer.echo(json.dumps({"callbacks": seen, "differences": [vars(one) for one in drifts]}, ensure_ascii=False))
        return
    typer.echo(f"{seen:,} callbacks, {len(drifts)} differences from the documents")
    for one in drifts:
        example = f", e.g. {printable(one.example)}" if one.example else ""
        erratum = f"; see roomhook errata {one.erratum}" if one.erratum else ""
        where = f"{printable(one.command)} {one.place} {printable(one.field)}"
        typer.echo(f"{one.count:>8,}  {one.kind}: {where}{example}{erratum}")


def _scenario(files: list[Path], filters: Filters) -> None:
    from roomhook.simulator.traffic.observed import ObservedTraffic

    seen = ObservedTraffic()
    seen.add(_found(files, filters, lambda reader, limited: reader.events(limited)))
    names = ", ".join(file.name for file in files)
    if not seen.leaves:
        raise ConfigurationError(f"{names} has no documented leave callback to make a scenario of; choose another FILE")
    typer.echo(seen.toml(json.dumps(names)), nl=False)


def _har(files: list[Path], filters: Filters) -> None:
    from importlib.metadata import version

    from roomhook.simulator.journal.har_export import har_entries
    from roomhook.simulator.protocol.har import HarWriter

    with HarWriter(sys.stdout, version=version("roomhook")) as log:
        for entry in _found(files, filters, har_entries):
            log.add(entry)
