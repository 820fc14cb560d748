"""A requirement in one row: id, level and text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from rich.console import Console

    from roomhook.contract_tests.model.register import Requirement

__all__ = ["UNWRAPPED", "print_row"]

UNWRAPPED: Final = 1_000_000
"""Columns when the output is no terminal: a line for each requirement, as grep likes it."""


def print_row(stdout: Console, one: Requirement, ids: int, width: int, *, margin: int = 2) -> None:
    """Id (in a column *ids* wide), level and text, or the text below where *width* leaves it too few columns."""
    from roomhook.cli.shared.terminal import beside
    from roomhook.contract_tests.reports.labels import LEVEL_STYLES

    name = f"{'':{margin}}{one.id:{ids}}  "
    row = beside(f"{name}{one.level.value:8}", one.text, width)
    row.stylize(LEVEL_STYLES[one.level], len(name), len(name) + len(one.level.value))
    stdout.print(row)
