"""``roomhook explain``: everything about a requirement."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from roomhook.cli.shared.options import Format, OutputFormat
from roomhook.contract_tests.model.register import Level, Requirement, load_glossary, load_options, select

if TYPE_CHECKING:
    from roomhook.schemas.errata import Erratum

__all__ = ["app"]

app = typer.Typer(add_completion=False, rich_markup_mode=None)

_WIDTH: Final = 100
"""Columns when the output is no terminal."""
_INDENT: Final = 10


@app.command()
def explain(
    ids: Annotated[list[str], typer.Argument(metavar="ID...", help="Ids, groups or globs, e.g. ack.ok or 'sign.*'.")],
    *,
    output: Format = OutputFormat.TEXT,
) -> None:
    """Explain requirements: why they matter, what is sent, what passes, how to fix a failure, and the source."""
    found = select(ids)
    if output is OutputFormat.JSON:
        typer.echo(json.dumps(_document(found), ensure_ascii=False, indent=2))
    else:
        _print(found)
    raise typer.Exit


def _document(found: Sequence[Requirement]) -> dict[str, Any]:
    return {
        "requirements": [_about(one) for one in found],
        "levels": {level.value: level.meaning for level in _levels(found)},
        "terms": dict(_terms(found)),
    }


def _about(one: Requirement) -> dict[str, Any]:
    errata = {erratum.id: erratum.title for erratum in _errata(one)}
    return {**one.to_dict(), "errata": errata, "command": _command(one) if _has_check(one) else None}


def _print(found: Sequence[Requirement]) -> None:
    from rich.text import Text

    from roomhook.cli.shared.terminal import console, page_width, wrapped
    from roomhook.contract_tests.reports.labels import LEVEL_STYLES
    from roomhook.palette import Style

    stdout = console()
    width = page_width(stdout, otherwise=_WIDTH)
    for one in found:
        stdout.print(Text.assemble((one.id, Style.HEADING), "  ", (one.level.value, LEVEL_STYLES[one.level])))
        stdout.print(wrapped(one.text, width), end="\n\n")
        for label, text in _sections(one):
            stdout.print(wrapped(text, width, start=f"{label:{_INDENT}}", indent=_INDENT))
        stdout.print()
    for term, meaning in [*((level.value, level.meaning) for level in _levels(found)), *_terms(found).items()]:
        stdout.print(wrapped(meaning, width, start=f"{term}: ", style=Style.HEADING, indent=2))


def _sections(one: Requirement) -> Iterator[tuple[str, str]]:
    """Labels and texts in the order in which a reader with a red pipeline wants them."""
    yield "Why", one.why
    yield "Check", one.case
    yield "Fix", one.fix
    if one.condition:
        yield "Needs", one.condition
    if not _has_check(one):
        yield "Note", "this version has no check for it"
    about = load_options()
    for number, option in enumerate(one.options):
        yield "" if number else "Options", f"{option}: {about[option]}"
    for number, source in enumerate(one.sources):
        dated = f"{source.title} ({source.date})" if source.date else source.title
        yield "" if number else "Source", f"{source.key}: {dated}"
        for address in source.addresses:
            yield "", f"  {address}"
    for number, erratum in enumerate(_errata(one)):
        yield "" if number else "Errata", f"{erratum.id}: {erratum.title}"
    if _has_check(one):
        yield "Run", _command(one)


def _errata(one: Requirement) -> list[Erratum]:
    """What the pages contradict or leave unknown about it; 'roomhook errata ID' tells the rest."""
    from roomhook.schemas.errata import load

    return [each for each in load().errata if any(fnmatchcase(one.id, name) for name in each.touches.requirements)]


def _has_check(one: Requirement) -> bool:
    from roomhook.contract_tests.checks.registry import load_checks

    return one.id in load_checks()


def _command(one: Requirement) -> str:
    """The command line that checks this requirement alone."""
    fuzz = " --fuzz 500" if one.needs == "fuzz" else ""
    return f"roomhook check URL --sdkappid N --only {one.id}{fuzz}"


def _levels(found: Sequence[Requirement]) -> list[Level]:
    return [level for level in Level if any(one.level is level for one in found)]


def _terms(found: Sequence[Requirement]) -> Mapping[str, str]:
    """The terms that the texts use, with their meanings."""
    used = " ".join(f"{one.case} {one.condition}" for one in found)
    return {term: meaning for term, meaning in load_glossary().items() if term in used}
