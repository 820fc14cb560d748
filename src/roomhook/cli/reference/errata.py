"""``roomhook errata``: what the vendor's pages contradict or leave unknown, and what Roomhook chose."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Annotated, Final

import msgspec
import typer

from roomhook.cli.shared.options import Format, OutputFormat
from roomhook.palette import Style
from roomhook.schemas.errata import Errata, Erratum, select

__all__ = ["app"]

app = typer.Typer(add_completion=False, rich_markup_mode=None)

_WIDTH: Final = 100
"""Columns of an explanation when the output is no terminal."""
_UNWRAPPED: Final = 1_000_000
"""Columns of the list when the output is no terminal: a line for each entry, as grep likes it."""
_INDENT: Final = 10
_KIND: Final = len("contradiction")


@app.command()
def errata(
    ids: Annotated[
        list[str] | None, typer.Argument(metavar="ID", help="Explain these entries, e.g. platform-mac.")
    ] = None,
    *,
    output: Format = OutputFormat.TEXT,
) -> None:
    """List what the vendor's pages contradict or leave open, by area; with an ID, explain the entry.

    An explanation shows what the pages state, what Roomhook does and why, and what that affects.
    """
    found = select(ids or ())
    if output is OutputFormat.JSON:
        typer.echo(json.dumps(msgspec.to_builtins(found), ensure_ascii=False, indent=2))
    elif ids:
        _explain(found)
    else:
        _list(found)
    raise typer.Exit


def _list(found: Errata) -> None:
    from rich.text import Text

    from roomhook.cli.shared.terminal import beside, console, page_width, wrapped

    stdout = console()
    width = page_width(stdout, otherwise=_UNWRAPPED)
    ids = max(len(one.id) for one in found.errata)
    for area, heading in found.areas.items():
        stdout.print(Text(heading, Style.HEADING))
        for one in found.errata:
            if one.area == area:
                stdout.print(beside(f"  {one.id:{ids}}  {one.kind:{_KIND}}  ", one.title, width))
        stdout.print()
    summary = f"{len(found.errata)} entries: {_counts(found.errata)}. 'roomhook errata ID' explains one."
    stdout.print(wrapped(summary, width))


def _counts(entries: Sequence[Erratum]) -> str:
    return ", ".join(f"{number} {kind}s" for kind, number in Counter(one.kind for one in entries).most_common())


def _explain(found: Errata) -> None:
    from rich.text import Text

    from roomhook.cli.shared.terminal import console, page_width, wrapped

    stdout = console()
    width = page_width(stdout, otherwise=_WIDTH)
    for number, one in enumerate(found.errata):
        stdout.print(Text.assemble("\n" if number else "", (one.id, Style.HEADING), f"  {one.kind}"))
        stdout.print(wrapped(one.title, width), end="\n\n")
        for label, text in _sections(one):
            stdout.print(wrapped(text, width, start=f"{label:{_INDENT}}", indent=_INDENT))


def _sections(one: Erratum) -> Iterator[tuple[str, str]]:
    """Labels and texts; a line without a label continues the section above it."""
    for number, statement in enumerate(one.statements):
        yield "" if number else "Pages", statement.text
        yield "", f"  {statement.source}"
    yield "Chosen", one.chosen
    yield "Why", one.why
    if one.touches.requirements:
        yield "Touches", ", ".join(one.touches.requirements)
    for number, option in enumerate(one.touches.options):
        yield "" if number else "Options", option
    yield "Source", f"protocol.md {', '.join(one.protocol)}"
