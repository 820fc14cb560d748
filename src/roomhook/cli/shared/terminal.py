"""Text for people on stdout: wrapped to the terminal's width, with colour only where a terminal shows it."""

from __future__ import annotations

import os
import textwrap
from typing import Final

from rich.console import Console
from rich.text import Text

from roomhook.contract_tests.model.register import Level

__all__ = ["LEVEL_STYLES", "console", "page_width", "wrapped"]

LEVEL_STYLES: Final = {Level.MUST: "bold red", Level.SHOULD: "yellow", Level.INFO: "cyan"}
"""How a level is coloured; its word always stands there too."""

_LEAST: Final = 20
"""Columns that even the narrowest terminal is taken to have."""


def console() -> Console:
    """Stdout, which prints what it is given: no markup, no highlighting, no emoji codes; NO_COLOR is honoured."""
    return Console(markup=False, highlight=False, emoji=False, soft_wrap=True)


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
