"""Text for people on stdout, and progress on stderr: wrapped and coloured only where a terminal shows it."""

from __future__ import annotations

import os
import re
import shutil
import sys
import textwrap
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from threading import Event, Thread
from typing import TYPE_CHECKING, Final, TextIO

from roomhook.palette import CODES, Painter, Style, plain
from roomhook.simulator.util.threads import wait_for_end

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.text import Text

__all__ = [
    "beside",
    "clear_progress",
    "complaint",
    "console",
    "counts_text",
    "fitted",
    "folded",
    "is_coloured",
    "list_width",
    "live_panel",
    "marks",
    "page_width",
    "painter",
    "progress_line",
    "repainted",
    "row",
    "table",
    "text_width",
    "ticking_line",
    "wrapped",
]

_WIDEST: Final = 100

_UNWRAPPED: Final = 1_000_000
"""Columns of a list that no terminal shows."""
_NARROW: Final = 36
"""Below this many columns for a text it stands under its name instead of beside it."""
_LEAST: Final = 20
"""Columns that even the narrowest terminal is taken to have."""


def is_coloured(stream: TextIO) -> bool:
    """Whether *stream* is a terminal that wants colours.

    Never with NO_COLOR or on a dumb terminal; else always with FORCE_COLOR; else on a terminal, but not in CI.
    """
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    return bool(os.environ.get("FORCE_COLOR")) or (stream.isatty() and not os.environ.get("CI"))


def painter(stream: TextIO | None = None) -> Painter:
    """What paints text for *stream* (default: stdout); it leaves text as it is where no colours are wanted."""
    return _painted if is_coloured(stream or sys.stdout) else plain


def _painted(text: str, style: Style) -> str:
    return f"\x1b[{CODES[style]}m{text}\x1b[0m" if text else text


def complaint(text: str, style: Style = Style.BAD) -> str:
    """``roomhook: `` and *text* for stderr, painted, and folded between words if that is a terminal."""
    start = "roomhook:"
    return folded(f"{start} {text}", sys.stderr, indent=2).replace(start, painter(sys.stderr)(start, style), 1)


def folded(text: str, stream: TextIO, *, indent: int) -> str:
    """*text* in lines that fit if *stream* is a terminal, all but the first of each *indent* columns in."""
    if not stream.isatty():
        return text
    width = max(shutil.get_terminal_size().columns, indent + _LEAST)
    return "\n".join(
        textwrap.fill(line, width, subsequent_indent=" " * indent, break_long_words=False, break_on_hyphens=False)
        for line in text.split("\n")
    )


def console() -> Console:
    """Stdout, printed as given: no markup, no highlighting, no emoji codes; with colours where ``painter`` has them."""
    from rich.console import Console

    class Stdout(Console):
        def on_broken_pipe(self) -> None:
            """Let the command line end as others do; rich would end with 1."""
            raise BrokenPipeError

    return Stdout(
        markup=False,
        highlight=False,
        emoji=False,
        soft_wrap=True,
        color_system="standard" if is_coloured(sys.stdout) else None,
        force_terminal=sys.stdout.isatty(),
    )


def beside(start: str, text: str, width: int) -> Text:
    """*text* beside *start*, or below it where *width* leaves it too few columns."""
    from rich.text import Text

    if width - len(start) >= _NARROW:
        return wrapped(text, width, start=start, style=None, indent=len(start))
    return Text(f"{start.rstrip()}\n").append_text(wrapped(text, width, start="    ", style=None, indent=4))


def table(rows: Mapping[str, str]) -> None:
    """Print *rows*, a name and a text each, on stdout, the texts wrapped where a terminal is too narrow."""
    stdout = console()
    width = list_width()
    names = max(map(len, rows))
    for name, text in rows.items():
        stdout.print(beside(f"{name:{names}}  ", text, width))


def page_width(stdout: Console, *, otherwise: int) -> int:
    """The columns to fill: the terminal's, or $COLUMNS, or *otherwise* when the output goes to a file or a program."""
    return stdout.width if stdout.is_terminal or os.environ.get("COLUMNS", "").isdecimal() else otherwise


def wrapped(text: str, width: int, *, start: str = "", style: Style | None = Style.MUTED, indent: int = 0) -> Text:
    """*start* in *style* and *text* after it, in lines of at most *width* columns, all but the first indented.

    Addresses and other long words are left whole.
    """
    from rich.text import Text

    lines = textwrap.wrap(
        text,
        max(width, indent + _LEAST),
        initial_indent=start,
        subsequent_indent=" " * indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
    shown = Text("\n".join(lines))
    if style is not None:
        shown.stylize(style, 0, len(start.rstrip()))
    return shown


def counts_text(counts: Mapping[str, int]) -> str:
    """*counts* as ``delivered 9, failed 1``, for ``fitted``; "none" if there are none."""
    return ", ".join(f"{name}\N{NO-BREAK SPACE}{count:,}" for name, count in counts.items()) or "none"


def marks(counts: Mapping[str, int], style: Style) -> dict[str, Style]:
    """The entries of ``counts_text`` that are not zero, each in *style*, for ``row``."""
    return {f"{name}\N{NO-BREAK SPACE}{count:,}": style for name, count in counts.items() if count}


def row(line: str, indent: int, styles: Mapping[str, Style] | None = None) -> str:
    """*line* for stdout as ``fitted`` has it, its label (what stands before column *indent*) muted.

    *styles* has phrases of the line whose words are joined by no-break spaces.
    """
    label = line[:indent].strip()
    lines = _lines(line, indent)
    lines[0] = lines[0].replace(label, painter()(label, Style.MUTED), 1)
    text = "\n".join(lines)
    for phrase, style in (styles or {}).items():
        text = repainted(text, rf"(?<![\w,.]){re.escape(phrase)}(?!\w)", style)
    return text.replace("\N{NO-BREAK SPACE}", " ")


def repainted(text: str, pattern: str, style: Style) -> str:
    """*text* for stdout with the first match of *pattern* in *style*."""
    paint = painter()
    return re.sub(pattern, lambda found: paint(found[0], style), text, count=1)


def fitted(line: str, indent: int) -> str:
    """*line* for stdout, folded between words where the terminal is narrower, with *indent* blanks before the rest."""
    return "\n".join(_lines(line, indent)).replace("\N{NO-BREAK SPACE}", " ")


def _lines(line: str, indent: int) -> list[str]:
    found = textwrap.wrap(
        line,
        max(text_width(), indent + _LEAST),
        subsequent_indent=" " * indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return found or [line]


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


def clear_progress() -> None:
    """Take away the line of progress, so that another line can be written in its place."""
    if _watched():
        sys.stderr.write("\r\x1b[K")


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
            wait_for_end(ticker)


@contextmanager
def live_panel() -> Iterator[Callable[[Callable[[int], RenderableType]], None]]:
    """A function that shows what it is given, made for the columns there are, in place of what it has shown before.

    Like ``progress_line`` for several lines: on stderr, silent when that is no terminal, gone at the end.
    """
    if not _watched():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.live import Live

    console = Console(stderr=True, highlight=False, color_system="standard" if is_coloured(sys.stderr) else None)
    live = Live(console=console, auto_refresh=False, transient=True, redirect_stdout=False, redirect_stderr=False)
    with live:
        yield lambda made: live.update(made(console.width), refresh=True)


def _watched() -> bool:
    return sys.stderr.isatty() and os.environ.get("TERM") != "dumb" and not os.environ.get("CI")


def list_width() -> int:
    """Columns for a list on stdout: a terminal's, and no limit for a file or a program, which wants a line an entry."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else _UNWRAPPED


def text_width() -> int:
    """Columns for text on stdout: a terminal's, but never more than read well; the same 100 for everything else."""
    return min(shutil.get_terminal_size().columns, _WIDEST) if sys.stdout.isatty() else _WIDEST
