"""How a sending run goes and what came of it: a live line, a closing table, files."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import typer

from roomhook.cli.shared.options import OutputFormat
from roomhook.cli.shared.terminal import progress_line
from roomhook.errors import ConfigurationError
from roomhook.simulator.sending.report import document, html

if TYPE_CHECKING:
    from roomhook.simulator.sending.session import ProgressSnapshot, SendJob
    from roomhook.simulator.sending.stats import SendStats
    from roomhook.simulator.util.histogram import Histogram

__all__ = ["SendingOutput", "progress"]

_FILES: Final = {"json": "roomhook-sending.json", "html": "roomhook-sending.html"}


@contextmanager
def progress() -> Generator[Callable[[ProgressSnapshot], object] | None]:
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
class SendingOutput:
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
            typer.echo("\n".join(_table(found, tally)))
        for kind in dict.fromkeys(self.reports):
            path = self.folder / _FILES[kind]
            text = json.dumps(found, ensure_ascii=False, indent=2) + "\n"
            if kind == "html":
                text = html(tally, self.order, found["journals"])
            path.write_text(text, encoding="utf-8")
            typer.echo(f"wrote {path}", err=True)


def _table(found: dict[str, Any], tally: SendStats) -> list[str]:
    """The closing table, line by line."""
    ends = f"{tally.delivered:,} delivered + {tally.failed:,} failed + {tally.unsent:,} unsent"
    rate = f"{found['rate_per_s']:,.0f} attempts/s on {tally.connections:,} connections"
    lines = [
        f"target        {found['target']}  (your App backend)",
        f"model         {tally.mode}",
        f"took          {tally.elapsed_s:.1f} s, {rate}",
        f"events        {tally.scheduled:,} scheduled = {ends}",
        f"attempts      {tally.attempts:,}: {_counts(found['outcomes'])}",
    ]
    extra = {name: found[name] for name in ("retries", "copies", "resent") if found[name]}
    lines += [f"of these      {_counts(extra)}"] if extra else []
    lines.append(f"acknowledged  {tally.acknowledged:,} of {tally.attempts:,}")
    lines += [f"breached      {_counts(found['requirements'])}"] if found["requirements"] else []
    lines.append(f"latency       {_times(tally.latency)}{'  (from the intended moment)' if tally.open_loop else ''}")
    if tally.open_loop:
        lines.append(f"service       {_times(tally.service)}  (from the actual moment)")
        lines.append(f"left late     {_times(tally.lateness)}; {tally.late:,} by more than 2 ms")
    if tally.recovery.total:
        times = f"{_times(tally.recovery)}  (from the first attempt)"
        lines.append(f"recovered     {tally.recovery.total:,} by a retry: {times}")
    lines += [f"journal       {path}" for path in found["journals"]]
    return lines


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items()) or "none"


def _times(histogram: Histogram) -> str:
    percentiles = "  ".join(f"p{percent:g} {histogram.percentile_ms(percent):.2f}" for percent in (50, 90, 99, 99.9))
    return f"{percentiles}  max {histogram.longest_us / 1000:.2f} ms"
