"""A requirement in one row: id, level and text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from rich.console import Console

    from roomhook.contract_tests.model.register import Requirement

__all__ = ["UNWRAPPED", "print_row"]

UNWRAPPED: Final = 1_000_000
"""Columns when the output is no terminal: a line for each requirement, as grep likes it."""
_NARROW: Final = 36
"""Below this many columns for the text it stands under the id instead of beside it."""


def print_row(stdout: Console, one: Requirement, ids: int, width: int, *, margin: int = 2) -> None:
    """Id (in a column *ids* wide), level and text, or the text below where *width* leaves it too few columns."""
    from rich.text import Text

    from roomhook.cli.shared.terminal import wrapped
    from roomhook.contract_tests.reports.labels import LEVEL_STYLES

    style = LEVEL_STYLES[one.level]
    name = f"{'':{margin}}{one.id:{ids}}  "
    indent = len(name) + len("SHOULD  ")
    if width - indent < _NARROW:
        stdout.print(Text.assemble(f"{'':{margin}}{one.id}  ", (one.level.value, style)))
        stdout.print(wrapped(one.text, width, start="    ", indent=4))
        return
    row = wrapped(one.text, width, start=f"{name}{one.level.value:8}", style=None, indent=indent)
    row.stylize(style, len(name), len(name) + len(one.level.value))
    stdout.print(row)
