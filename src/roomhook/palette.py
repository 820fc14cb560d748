"""The styles of everything that commands print: each has one meaning, and colour never says what no word says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Final

__all__ = ["CODES", "Painter", "Style", "plain"]


class Style(StrEnum):
    """What a piece of text means; the value is how rich names its look.

    Values to be read or copied (numbers, ids in a row, URLs, command lines) have no style.
    """

    GOOD = "green"
    """A pass: ``PASS``, ``yes``, ``ok``."""
    BAD = "red"
    """A failure, what failed in a count, or the start of an error line."""
    WARNING = "yellow"
    """A warning, or something cut short: ``WARN``, ``interrupted``."""
    KNOWN = "magenta"
    """A failure that is tolerated."""
    NOTE = "cyan"
    """A note that asks for nothing."""
    HEADING = "bold"
    """What a block is about: its title, or the id that it explains."""
    MUTED = "dim"
    """Labels, times, and what was not judged."""


CODES: Final[Mapping[Style, int]] = {
    Style.GOOD: 32,
    Style.BAD: 31,
    Style.WARNING: 33,
    Style.KNOWN: 35,
    Style.NOTE: 36,
    Style.HEADING: 1,
    Style.MUTED: 2,
}
"""The parameter of the escape sequence (SGR) that shows a style."""

Painter = Callable[[str, Style], str]
"""A text and its style to what is written."""


def plain(text: str, _style: Style) -> str:
    """The painter of files, pipes and terminals without colours."""
    return text
