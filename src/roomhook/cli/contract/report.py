"""``roomhook report``: JSON reports of earlier runs, one to read again or several side by side."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from roomhook.cli.shared.options import Format, OutputFormat
from roomhook.errors import ConfigurationError

if TYPE_CHECKING:
    from roomhook.contract_tests.reports.run_report import RunReport

__all__ = ["app"]

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def report(
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILE...", help="JSON reports from 'roomhook check --report json'."),
    ],
    *,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Also write an HTML page, e.g. matrix.html.")
    ] = None,
    over_time: Annotated[
        bool | None,
        typer.Option(
            "--over-time/--side-by-side",
            help="Show one backend over time, or several backends (default: over time if all targets are equal).",
        ),
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", help="Also list the requirements on which all reports agree.")
    ] = False,
    format_: Format = OutputFormat.TEXT,
) -> None:
    """Compare JSON reports of several runs: what differs between backends, or has changed in one.

    Shows a single report as its run did. The exit code says whether the reports could be read, not what they say.

    \b
    Examples:
      roomhook report flask.json django.json --html matrix.html
      roomhook report yesterday.json today.json
    """  # noqa: D301 (\\b keeps the lines of the examples apart)
    from roomhook.contract_tests.reports import json_report

    runs = [(path, json_report.load(path)) for path in files]
    text, page = _single(runs[0][1], format_) if len(runs) == 1 else _several(runs, over_time, format_, every=every)
    if html is not None:
        _write(html, page)
    typer.echo(text, nl=False)
    raise typer.Exit


def _single(one: RunReport, format_: OutputFormat) -> tuple[str, str]:
    from roomhook.cli.shared.terminal import painter, text_width
    from roomhook.contract_tests.reports import json_report, text
    from roomhook.contract_tests.reports.html import run_page as html_report

    if format_ is OutputFormat.JSON:
        return json_report.render(one), html_report.render(one)
    return text.render(one, painter(), width=text_width()), html_report.render(one)


def _several(
    runs: list[tuple[Path, RunReport]], over_time: bool | None, format_: OutputFormat, *, every: bool
) -> tuple[str, str]:
    from roomhook.cli.shared.terminal import list_width, painter
    from roomhook.contract_tests.reports import comparison_text
    from roomhook.contract_tests.reports.comparison import compare
    from roomhook.contract_tests.reports.html import comparison_page as html_matrix

    comparison = compare(runs, over_time=over_time)
    if format_ is OutputFormat.JSON:
        return comparison_text.render_json(comparison), html_matrix.render(comparison)
    shown = comparison_text.render(comparison, painter(), every=every, width=list_width())
    return shown, html_matrix.render(comparison)


def _write(path: Path, page: str) -> None:
    try:
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(
            f"--html {path} can't be written: {error.strerror or error}; name another file"
        ) from None
    typer.echo(f"wrote {path}", err=True)
