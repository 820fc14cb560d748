"""``roomhook requirements``: what an App backend must do, as a list."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Annotated

import typer

from roomhook.cli.contract.selection import refuse_unknown
from roomhook.cli.shared.options import Format, OutputFormat
from roomhook.contract_tests.model.register import Level, Requirement, load_groups, select
from roomhook.errors import ConfigurationError

__all__ = ["app"]

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def requirements(
    *,
    level: Annotated[
        list[Level] | None,
        typer.Option("--level", case_sensitive=False, help="List only these levels, e.g. MUST,SHOULD."),
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option("--only", metavar="IDS", help="List only these ids, groups or globs, e.g. 'ack,url.client-*'."),
    ] = None,
    exclude: Annotated[
        list[str] | None,
        typer.Option("--exclude", metavar="IDS", help="Skip these ids, groups or globs, e.g. http.burst,bad."),
    ] = None,
    output: Format = OutputFormat.TEXT,
) -> None:
    """List what an App backend must do, by group, with id and level. 'roomhook explain ID' shows the details."""
    refuse_unknown(only, exclude)
    found = [one for one in select(only or (), exclude or ()) if not level or one.level in level]
    if not found:
        raise ConfigurationError(f"none of these requirements is {' or '.join(level or ())}; drop --level")
    if output is OutputFormat.JSON:
        typer.echo(json.dumps(_document(found), ensure_ascii=False, indent=2))
    else:
        _print(found)
    raise typer.Exit


def _document(found: Sequence[Requirement]) -> dict[str, object]:
    return {"requirements": [one.to_dict() for one in found], "counts": _counts(found)}


def _counts(found: Sequence[Requirement]) -> dict[str, int]:
    counts = Counter(one.level for one in found)
    return {level.value: counts[level] for level in Level}


def _print(found: Sequence[Requirement]) -> None:
    from rich.text import Text

    from roomhook.cli.contract.requirement_rows import UNWRAPPED, print_row
    from roomhook.cli.shared.terminal import console, page_width
    from roomhook.palette import Style

    stdout = console()
    width = page_width(stdout, otherwise=UNWRAPPED)
    for group, about in load_groups().items():
        members = [one for one in found if one.group == group]
        if not members:
            continue
        stdout.print(Text.assemble((group, Style.HEADING), f" · {about}"))
        ids = max(len(one.id) for one in members)
        for one in members:
            print_row(stdout, one, ids, width)
        stdout.print()
    counts = ", ".join(f"{number} {level}" for level, number in _counts(found).items() if number)
    stdout.print(f"{len(found)} requirement{'s' if len(found) > 1 else ''}: {counts}")
