"""Progress on stderr, colour and width on stdout, each for whoever is watching."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import typer

if TYPE_CHECKING:
    from rich.console import RenderableType

__all__ = ["live_panel", "progress_line", "style_for_stdout", "text_width"]

_WIDEST: Final = 100


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
def live_panel() -> Iterator[Callable[[Callable[[int], RenderableType]], None]]:
    """A function that shows what it is given, made for the columns there are, in place of what it has shown before.

    Like ``progress_line`` for several lines: on stderr, silent when that is no terminal, gone at the end.
    """
    if not _watched():
        yield lambda _: None
        return
    from rich.console import Console
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
