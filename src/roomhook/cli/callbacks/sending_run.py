"""Carries out a run of ``traffic URL`` or ``replay``: a live line, a closing table, files, the exit code."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import typer

from roomhook.cli.callbacks.finish_journals import finish_journals
from roomhook.cli.callbacks.sending_options import SendingOptions
from roomhook.cli.shared.options import OutputFormat, own_app_id_hint
from roomhook.cli.shared.terminal import complaint, counts_text, marks, progress_line, row
from roomhook.errors import ConfigurationError, RoomhookError
from roomhook.palette import Style
from roomhook.simulator.protocol.callback_request import printable
from roomhook.simulator.protocol.outcomes import DeliveryOutcome
from roomhook.simulator.sending.report import document, html
from roomhook.simulator.util.html_words import readable

if TYPE_CHECKING:
    from roomhook.simulator.sending.session import EventSource, JobResult, ProgressSnapshot, SendJob
    from roomhook.simulator.sending.stats import SendStats
    from roomhook.simulator.util.histogram import Histogram

__all__ = ["send"]

_INTERRUPTED: Final = 130
_INTENDED: Final = "(from the intended moment)".replace(" ", "\N{NO-BREAK SPACE}")
_ACTUAL: Final = "(from the actual moment)".replace(" ", "\N{NO-BREAK SPACE}")
_FIRST: Final = "(from the first attempt)".replace(" ", "\N{NO-BREAK SPACE}")
_LONGEST_SAMPLE: Final = 160
_INDENT: Final = 14
"""Where the second column of the closing table begins."""
_FILES: Final = {"json": "roomhook-sending.json", "html": "roomhook-sending.html"}


def send(order: SendJob, sources: Sequence[EventSource], sending: SendingOptions) -> int:
    """Carry out *order* with a process for each of *sources*, show how it goes and what came of it; the exit code."""
    from roomhook.simulator.journal.part_names import journals_of
    from roomhook.simulator.sending.processes import carry_out_together
    from roomhook.simulator.sending.session import carry_out, seldom_collecting
    from roomhook.simulator.transport.sender import run_loop

    journals = journals_of(order.journal, len(sources)) if order.journal else []
    outcome = _Output(order, tuple(sending.report or ()), sending.report_dir, sending.output, journals)
    outcome.check_writable()
    ended: JobResult | None = None
    try:
        with _progress() as watch, seldom_collecting():
            if len(sources) == 1:
                ended = run_loop(carry_out(order, sources[0], watch))
            else:
                ended = carry_out_together(order, list(sources), watch)
        finish_journals(journals)
    except RoomhookError:
        with suppress(RoomhookError):  # the first error is the one to tell
            finish_journals(journals)
        raise
    except (asyncio.CancelledError, KeyboardInterrupt):
        if ended is not None:
            outcome.show(ended.tally)
            typer.echo(_interrupted(_how_to_finish(journals)), err=True)
            return _INTERRUPTED
        in_doubt = " at once, what was in flight is in doubt"
        typer.echo(_interrupted(in_doubt + _how_to_go_on(order)), err=True)
        return _INTERRUPTED
    tally = ended.tally
    if not tally.scheduled and not ended.interrupted and ended.error is None:
        return _nothing_to_send(order, only_failed=bool(sending.given.get("only_failed")))
    if tally.scheduled or ended.error is None:
        outcome.show(tally)
    if ended.error is not None:
        raise ended.error
    if ended.interrupted:
        typer.echo(_interrupted(_how_to_go_on(order)), err=True)
        return _INTERRUPTED
    return 0 if tally.all_well else 1


def _interrupted(how: str) -> str:
    return complaint(f"interrupted{how}", Style.WARNING)


def _how_to_finish(journals: Sequence[Path]) -> str:
    named = " ".join(map(str, journals))
    return f"; `roomhook journal {named}` writes the tables that are still missing" if journals else ""


def _how_to_go_on(order: SendJob) -> str:
    return f"; the same command with --resume --journal {order.journal} goes on" if order.journal else ""


def _nothing_to_send(order: SendJob, *, only_failed: bool) -> int:
    """A run that sent nothing has shown nothing, unless there was nothing left to do."""
    if order.resume:
        typer.echo(f"nothing was left to send: every callback in {order.journal} is finished", err=True)
    elif only_failed:
        typer.echo("nothing to replay: no failures", err=True)
    else:
        raise ConfigurationError("there was no callback to send; is the input empty, or the time too short for one?")
    return 0


@contextmanager
def _progress() -> Generator[Callable[[ProgressSnapshot], object] | None]:
    """What shows a run's progress on stderr, or None where nobody looks on."""
    with progress_line() as show:
        yield lambda watch: show(_line(watch))


def _line(watch: ProgressSnapshot) -> str:
    tally = watch.tally
    rate = tally.attempts / watch.elapsed_s if watch.elapsed_s else 0
    parts = [f"{tally.attempts:,} sent", f"{rate:,.0f}/s", f"{watch.in_flight} in flight"]
    if watch.stopping:
        parts.insert(0, f"ending when {watch.in_flight} in flight are answered (Ctrl-C again: at once)")
    parts += [f"{name} {count:,}" for name, count in tally.outcome_counts().items()]
    parts.append(f"p50 {tally.latency.percentile_ms(50):.1f} ms, p99 {tally.latency.percentile_ms(99):.1f} ms")
    if tally.open_loop and tally.late:
        parts.append(f"{tally.late:,} late")
    if watch.waiting:
        parts.append(f"{watch.waiting:,} waiting")
    if watch.alive is not None:
        parts.append(f"{watch.alive:,} rooms alive")
    return "  ".join(parts)


@dataclass(frozen=True)
class _Output:
    """Where the results of one run go."""

    order: SendJob
    reports: Sequence[str]
    folder: Path
    output: OutputFormat
    journals: Sequence[Path] = ()

    def check_writable(self) -> None:
        """Find out before the run, not after it, whether its reports can be written."""
        if not self.reports:
            return
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            for path in [self.folder / _FILES[kind] for kind in self.reports]:
                is_new = not path.exists()
                path.touch()
                if is_new:  # a run that breaks off leaves no empty report behind
                    path.unlink()
        except OSError as error:
            raise ConfigurationError(
                f"--report-dir {self.folder} can't be written: {error.strerror or error}"
            ) from None

    def show(self, tally: SendStats) -> None:
        """Print the closing table on stdout and write the reports."""
        found = document(tally, self.order, [str(path) for path in self.journals])
        if self.output is OutputFormat.JSON:
            typer.echo(json.dumps(found, ensure_ascii=False, indent=2))
        else:
            styles = _marks(found, tally)
            typer.echo("\n".join(row(line, _INDENT, styles) for line in _table(found, tally, self.order.sdkappid)))
        for kind in dict.fromkeys(self.reports):
            path = self.folder / _FILES[kind]
            text = json.dumps(found, ensure_ascii=False, indent=2) + "\n"
            if kind == "html":
                text = html(tally, self.order, found["journals"])
            path.write_text(text, encoding="utf-8")
            typer.echo(f"wrote {path}", err=True)


def _ends(tally: SendStats) -> dict[str, int]:
    return {"delivered": tally.delivered, "failed": tally.failed, "unsent": tally.unsent}


def _marks(found: dict[str, Any], tally: SendStats) -> dict[str, Style]:
    """What failed, in the counts of the table."""
    ends = {f"{count:,}\N{NO-BREAK SPACE}{name}" for name, count in _ends(tally).items() if count}
    bad = {one: Style.BAD for one in ends if not one.endswith("delivered")}
    failed = {name: count for name, count in found["outcomes"].items() if name != DeliveryOutcome.DELIVERED}
    return bad | marks({**failed, **found["requirements"]}, Style.BAD)


def _table(found: dict[str, Any], tally: SendStats, sdkappid: int | str) -> list[str]:
    """The closing table, line by line."""
    ends = " + ".join(f"{count:,}\N{NO-BREAK SPACE}{name}" for name, count in _ends(tally).items())
    rate = f"{found['rate_per_s']:,.0f} attempts/s on {tally.connections:,} connections"
    lines = [
        f"target        {found['target']}  (your App backend)",
        f"model         {tally.mode}",
        f"took          {tally.elapsed_s:.1f} s, {rate}",
        f"events        {tally.scheduled:,} scheduled = {ends}",
        f"attempts      {tally.attempts:,}: {counts_text(found['outcomes'])}",
    ]
    extra = {name: found[name] for name in ("retries", "copies", "resent") if found[name]}
    lines += [f"of these      {counts_text(extra)}"] if extra else []
    lines.append(f"acknowledged  {tally.acknowledged:,} of {tally.attempts:,}")
    lines += [f"breached      {counts_text(found['requirements'])}"] if found["requirements"] else []
    lines.append(f"latency       {_times(tally.latency)}{f'  {_INTENDED}' if tally.open_loop else ''}")
    if tally.open_loop:
        lines.append(f"service       {_times(tally.service)}  {_ACTUAL}")
        lines.append(f"left late     {_times(tally.lateness)}; {tally.late:,} by more than 2 ms")
    if tally.recovery.total:
        times = f"{_times(tally.recovery)}  {_FIRST}"
        lines.append(f"recovered     {tally.recovery.total:,} by a retry: {times}")
    lines += _samples(tally)
    if "ack.ok" in found["requirements"] and (hint := own_app_id_hint(sdkappid)):
        lines.append(f"hint          {hint}")
    lines += [f"journal       {path}" for path in found["journals"]]
    return lines


def _samples(tally: SendStats) -> Iterator[str]:
    """One response for each kind of failure."""
    kinds = {(one.outcome, one.breaches): one for one in reversed(tally.failures)}
    for (outcome, breaches), one in reversed(kinds.items()):
        head, _, body = one.received.decode(errors="backslashreplace").partition("\r\n\r\n")
        response = " ".join(f"{head.partition(chr(13))[0]}  {readable(body)}".split())
        kind = ", ".join((outcome, *breaches))
        yield f"e.g.          {kind}: {printable(response)[:_LONGEST_SAMPLE] or one.note or 'no response'}"


def _times(histogram: Histogram) -> str:
    """Percentiles and the longest time (ms), each on one line."""
    times = [*histogram.percentiles_ms().items(), ("max", histogram.longest_us / 1000)]
    return "  ".join(f"{name}\N{NO-BREAK SPACE}{ms:.2f}" for name, ms in times) + "\N{NO-BREAK SPACE}ms"
