"""The live panel of ``roomhook load``: progress of a load test, redrawn each second. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.box import ROUNDED
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from roomhook.palette import Style

if TYPE_CHECKING:
    from collections.abc import Mapping

    from roomhook.loadtests.results.progress import LoadProgress

__all__ = ["panel"]

_WIDEST = 100
_BAR = 30
_MOST_REQUIREMENTS = 4


def panel(now: LoadProgress, title: str, seconds: float, width: int) -> Panel:
    """The panel for *now*, a moment in a test of *seconds*, at most *width* columns wide."""
    rows = Table.grid(padding=(0, 2))
    rows.add_column(style=Style.MUTED)
    rows.add_column()
    rows.add_row("time", _time(now, seconds))
    rows.add_row("rate", _rate(now))
    rows.add_row("users", _users(now))
    rows.add_row("callbacks", _counted(now.requests, now.outcomes, now.unsent))
    rows.add_row("latency", f"p50 {now.p50_ms:,.1f} ms   p99 {now.p99_ms:,.1f} ms" if now.requests else "-")
    rows.add_row("failures", _broken(now.noncompliant, now.requirements))
    return Panel(rows, title=Text(title), title_align="left", box=ROUNDED, width=min(width, _WIDEST))


def _time(now: LoadProgress, seconds: float) -> Table:
    elapsed = min(now.elapsed_s, seconds)
    line = Table.grid(padding=(0, 2))
    left = f"{seconds - elapsed:.0f} s left" if elapsed < seconds else "waiting for the last responses"
    line.add_row(f"{elapsed:.0f} of {seconds:.0f} s", _bar(seconds, elapsed), Text(left))
    return line


def _bar(seconds: float, elapsed: float) -> ProgressBar:
    return ProgressBar(
        total=seconds,
        completed=elapsed,
        width=_BAR,
        style=Style.MUTED,
        complete_style="none",
        finished_style="none",
    )


def _rate(now: LoadProgress) -> Text:
    asked = "closed loop" if now.asked is None else f"{now.asked:,.0f}/s requested"
    return Text(f"{asked}   {now.rate:,.0f}/s sent")


def _users(now: LoadProgress) -> Text:
    workers = f"   {now.workers} workers" if now.workers > 1 else ""
    return Text(f"{now.users:,}   at most {now.connections:,} at once{workers}")


def _counted(requests: int, outcomes: Mapping[str, int], unsent: int) -> Text:
    said = Text(f"{requests:,}")
    for name, count in outcomes.items():
        said.append(f"   {count:,} {name}", style="" if name == "delivered" else Style.BAD)
    if unsent:
        said.append(f"   {unsent:,} due but unsent", style=Style.BAD)
    return said


def _broken(noncompliant: int, requirements: Mapping[str, int]) -> Text:
    if not noncompliant:
        return Text("none", style=Style.GOOD)
    most = sorted(requirements.items(), key=lambda one: -one[1])
    named = [f"{name} {count:,}" for name, count in most[:_MOST_REQUIREMENTS]]
    if len(most) > _MOST_REQUIREMENTS:
        named.append(f"and {len(most) - _MOST_REQUIREMENTS} more")
    return Text(f"{noncompliant:,} not compliant: {', '.join(named)}", style=Style.BAD)
