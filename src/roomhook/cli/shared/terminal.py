"""Text for people on stdout, and progress on stderr: wrapped and coloured only where a terminal shows it."""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from threading import Event, Thread
from typing import TYPE_CHECKING, Final

import typer
from rich.console import Console
from rich.text import Text

from roomhook.contract_tests.model.register import Level

if TYPE_CHECKING:
    from rich.console import RenderableType

__all__ = [
    "LEVEL_STYLES",
    "console",
    "counts_text",
    "fitted",
    "live_panel",
    "page_width",
    "progress_line",
    "style_for_stdout",
    "text_width",
    "ticking_line",
    "wrapped",
]

_WIDEST: Final = 100

LEVEL_STYLES: Final = {Level.MUST: "bold red", Level.SHOULD: "yellow", Level.INFO: "cyan"}
"""How a level is coloured; its word always stands there too."""

_LEAST: Final = 20
"""Columns that even the narrowest terminal is taken to have."""


class _Stdout(Console):
    def on_broken_pipe(self) -> None:
        """Let the command line end as others do; rich would end with 1."""
        raise BrokenPipeError


def console() -> Console:
    """Stdout, printed as given: no markup, no highlighting, no emoji codes; NO_COLOR is honoured."""
    return _Stdout(markup=False, highlight=False, emoji=False, soft_wrap=True)


def page_width(stdout: Console, *, otherwise: int) -> int:
    """The columns to fill: the terminal's, or $COLUMNS, or *otherwise* when the output goes to a file or a program."""
    return stdout.width if stdout.is_terminal or os.environ.get("COLUMNS", "").isdecimal() else otherwise


def wrapped(text: str, width: int, *, start: str = "", style: str = "bold", indent: int = 0) -> Text:
    """*start* in *style* and *text* after it, in lines of at most *width* columns, all but the first indented.

    Addresses and other long words are left whole.
    """
    lines = textwrap.wrap(
        text,
        max(width, indent + _LEAST),
        initial_indent=start,
        subsequent_indent=" " * indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
    shown = Text("\n".join(lines))
    shown.stylize(style, 0, len(start))
    return shown


def counts_text(counts: Mapping[str, int]) -> str:
    """*counts* as ``delivered 9, failed 1``, for ``fitted``; "none" if there are none."""
    return ", ".join(f"{name}\N{NO-BREAK SPACE}{count:,}" for name, count in counts.items()) or "none"


def fitted(line: str, indent: int) -> str:
    """*line* for stdout, folded between words where the terminal is narrower, with *indent* blanks before the rest."""
    folded = textwrap.wrap(
        line,
        max(text_width(), indent + _LEAST),
        subsequent_indent=" " * indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return "\n".join(folded).replace("\N{NO-BREAK SPACE}", " ") or line


@contextmanager
def progress_line() -> Iterator[Callable[[str], None]]:
    """A function that shows one line of progress on stderr, replacing the last; silent when stderr is no terminal."""
    if not _watched():
        yield lambda _: None
        return

    def show(text: str) -> None:
        width = shutil.get_terminal_size().columns - 1
        sys.stderr.write(f"\r\x1b[K{text[:width]}")
        sys.stderr.flush()

    try:
        yield show
    finally:
        sys.stderr.write("\r\x1b[K")
        sys.stderr.flush()


@contextmanager
def ticking_line(every_s: float = 1.0) -> Iterator[Callable[[str], None]]:
    """Like ``progress_line``, with the seconds since the start in front, redrawn while the caller is busy."""
    with progress_line() as show:
        started, ended, text = time.monotonic(), Event(), ""

        def redraw() -> None:
            show(f"{time.monotonic() - started:.0f} s  {text}")

        def update(new: str) -> None:
            nonlocal text
            text = new
            redraw()

        def tick() -> None:
            while not ended.wait(every_s):
                redraw()

        ticker = Thread(target=tick, daemon=True)
        ticker.start()
        try:
            yield update
        finally:
            ended.set()
            ticker.join()


@contextmanager
def live_panel() -> Iterator[Callable[[Callable[[int], RenderableType]], None]]:
    """A function that shows what it is given, made for the columns there are, in place of what it has shown before.

    Like ``progress_line`` for several lines: on stderr, silent when that is no terminal, gone at the end.
    """
    if not _watched():
        yield lambda _: None
        return
    from rich.live import Live

    console = Console(stderr=True, highlight=False)
    live = Live(console=console, auto_refresh=False, transient=True, redirect_stdout=False, redirect_stderr=False)
    with live:
        yield lambda made: live.update(made(console.width), refresh=True)


def _watched() -> bool:
    return sys.stderr.isatty() and os.environ.get("TERM") != "dumb" and not os.environ.get("CI")


def style_for_stdout() -> Callable[[str, str], str]:
    """Colours for a terminal (and never with NO_COLOR, in CI or on a dumb one); plain text for everything else."""
    plain = os.environ.get("NO_COLOR") or os.environ.get("CI") or os.environ.get("TERM") == "dumb"
    if plain or not sys.stdout.isatty():
        return lambda text, _colour: text
    return lambda text, colour: typer.style(text, fg=colour or None, bold=bool(colour), dim=not colour)


def text_width() -> int:
    """Columns for text on stdout: a terminal's, but never more than read well; the same 100 for everything else."""
    return min(shutil.get_terminal_size().columns, _WIDEST) if sys.stdout.isatty() else _WIDEST
