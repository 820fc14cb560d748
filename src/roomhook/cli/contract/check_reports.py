"""Where the events of ``roomhook check`` go: a report on stdout, files for pipelines, annotations for GitHub."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self, TextIO

import typer

from roomhook.cli.shared.options import OutputFormat
from roomhook.cli.shared.terminal import complaint
from roomhook.errors import ConfigurationError

if TYPE_CHECKING:
    from roomhook.contract_tests.model.exchange import Exchange
    from roomhook.contract_tests.model.verdicts import RunEvent, RunStarted
    from roomhook.contract_tests.reports.har import ExchangeLog
    from roomhook.contract_tests.reports.ndjson import EventLines
    from roomhook.contract_tests.reports.run_report import RunReport

__all__ = ["FILES", "ReportKind", "Reporter"]


class ReportKind(StrEnum):
    """A file that people or pipelines read."""

    JSON = "json"
    JUNIT = "junit"
    NDJSON = "ndjson"
    HTML = "html"
    SARIF = "sarif"
    MARKDOWN = "markdown"
    HAR = "har"


FILES: Final = {
    ReportKind.JSON: ("roomhook.json", "json_report"),
    ReportKind.JUNIT: ("roomhook-junit.xml", "junit"),
    ReportKind.NDJSON: ("roomhook.ndjson", "ndjson"),
    ReportKind.HTML: ("roomhook.html", "html.run_page"),
    ReportKind.SARIF: ("roomhook.sarif", "sarif"),
    ReportKind.MARKDOWN: ("roomhook.md", "markdown"),
    ReportKind.HAR: ("roomhook.har", "har"),
}
"""The name of the file, and the module of ``contract_tests.reports`` that makes it."""

_DURING: Final = {ReportKind.NDJSON, ReportKind.HAR}
"""Written while the run goes on, the others at its end."""


class Reporter:
    """Takes the events of one run, as a context manager, and makes every report of them that was asked for.

    Raises ``ConfigurationError`` on entering if *folder* can't take the files of *kinds*.
    """

    def __init__(self, kinds: Sequence[ReportKind], folder: Path, stdout: OutputFormat) -> None:
        self._kinds = tuple(dict.fromkeys(kinds))
        self._folder = folder
        self._stdout = stdout
        self._open_files = ExitStack()
        self._events: tuple[EventLines, TextIO] | None = None
        self._started: RunStarted | None = None
        self._exchanges: ExchangeLog | None = None

    def __enter__(self) -> Self:
        """Find out before the run, not after it, whether its reports can be written."""
        if self._kinds:
            _ensure_writable(self._folder)
        if ReportKind.NDJSON in self._kinds:
            from roomhook.contract_tests.reports.ndjson import EventLines

            file = self._open_files.enter_context(self._path(ReportKind.NDJSON).open("w", encoding="utf-8"))
            self._events = EventLines(), file
        if ReportKind.HAR in self._kinds:
            from roomhook.contract_tests.reports.har import ExchangeLog

            file = self._open_files.enter_context(self._path(ReportKind.HAR).open("w", encoding="utf-8"))
            self._exchanges = self._open_files.enter_context(ExchangeLog(file))
        return self

    def __exit__(self, *_: object) -> None:
        self._open_files.close()

    @property
    def on_exchange(self) -> Callable[[Exchange], None]:
        """What takes every exchange as it ends: it writes them if a report wants them."""
        return self._exchanges.record if self._exchanges is not None else lambda _: None

    @property
    def started(self) -> bool:
        """Whether the run has begun."""
        return self._started is not None

    def feed(self, event: RunEvent) -> RunReport | None:
        """Take one *event*; the last one prints and writes all reports, and returns the data they are made from."""
        from roomhook.contract_tests.model.verdicts import RunFinished, RunStarted
        from roomhook.contract_tests.reports.run_report import report_of

        if self._events is not None:
            lines, file = self._events
            file.write(lines.feed(event))
            file.flush()
        if isinstance(event, RunStarted):
            self._started = event
        if not isinstance(event, RunFinished):
            return None
        assert self._started is not None
        report = report_of(self._started, event)
        self._write(report)  # before stdout, which may be a pipe that is closed halfway
        self._print(report)
        return report

    def _path(self, kind: ReportKind) -> Path:
        return self._folder / FILES[kind][0]

    def _print(self, report: RunReport) -> None:
        from roomhook.cli.shared.terminal import painter, text_width
        from roomhook.contract_tests.reports import text

        if self._stdout is OutputFormat.JSON:
            typer.echo(_renderer("json_report")(report), nl=False)
        else:
            typer.echo(text.render(report, painter(), width=text_width()), nl=False)
        if os.environ.get("GITHUB_ACTIONS"):
            self._annotate(report)

    def _write(self, report: RunReport) -> None:
        summary = os.environ.get("GITHUB_STEP_SUMMARY")
        if summary and os.environ.get("GITHUB_ACTIONS"):
            _append(Path(summary), _renderer("markdown")(report))
        for kind in self._kinds:
            path = self._path(kind)
            if kind not in _DURING:
                try:
                    path.write_text(_renderer(FILES[kind][1])(report), encoding="utf-8")
                except OSError as error:
                    raise ConfigurationError(f"{path} can't be written: {error.strerror or error}") from None
            typer.echo(f"wrote {path}", err=True)

    def _annotate(self, report: RunReport) -> None:
        """GitHub's runner reads commands from either stream, and stdout may be for JSON alone."""
        from roomhook.contract_tests.reports.github import commands

        for line in commands(report):
            typer.echo(line, err=self._stdout is OutputFormat.JSON)


def _renderer(module: str) -> Callable[[RunReport], str]:
    render: Callable[[RunReport], str] = importlib.import_module(f"roomhook.contract_tests.reports.{module}").render
    return render


def _append(summary: Path, text: str) -> None:
    """A summary that can't be written is no reason to hide the verdict."""
    try:
        with summary.open("a", encoding="utf-8") as file:
            file.write(f"{text}\n")
    except OSError as error:
        typer.echo(complaint(f"GITHUB_STEP_SUMMARY can't be written: {error.strerror or error}"), err=True)


def _ensure_writable(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / ".roomhook").touch()
        (folder / ".roomhook").unlink()
    except OSError as error:
        reason = error.strerror or str(error)
        raise ConfigurationError(f"--report-dir {folder} can't be written: {reason}; name another folder") from None
