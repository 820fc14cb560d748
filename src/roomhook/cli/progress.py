"""Progress on stderr, colour and width on stdout, each for whoever is watching."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import typer

__all__ = ["progress_line", "style_for_stdout", "text_width"]

_WIDEST: Final = 100


@contextmanager
def progress_line() -> Iterator[Callable[[str], None]]:
    """A function that shows one line of progress on stderr, replacing the last; silent when stderr is no terminal."""
    if not sys.stderr.isatty() or os.environ.get("TERM") == "dumb" or os.environ.get("CI"):
        yield lambda _: None
        return
    width = shutil.get_terminal_size().columns - 1

    def show(text: str) -> None:
        sys.stderr.write(f"\r\x1b[K{text[:width]}")
        sys.stderr.flush()

    try:
        yield show
    finally:
        sys.stderr.write("\r\x1b[K")
        sys.stderr.flush()


def style_for_stdout() -> Callable[[str, str], str]:
    """Colours for a terminal (and never with NO_COLOR, in CI or on a dumb one); plain text for everything else."""
    plain = os.environ.get("NO_COLOR") or os.environ.get("CI") or os.environ.get("TERM") == "dumb"
    if plain or not sys.stdout.isatty():
        return lambda text, _colour: text
    return lambda text, colour: typer.style(text, fg=colour or None, bold=bool(colour), dim=not colour)


def text_width() -> int:
    """Columns for text on stdout: a terminal's, but never more than read well; the same 100 for everything else."""
    return min(shutil.get_terminal_size().columns, _WIDEST) if sys.stdout.isatty() else _WIDEST
