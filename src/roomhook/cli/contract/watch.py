"""``roomhook check --watch``: judge again whenever a file changes, what failed first."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import typer

from roomhook.cli.shared.terminal import folded
from roomhook.errors import ConfigurationError

if TYPE_CHECKING:
    from watchfiles.main import FileChange

    from roomhook.contract_tests.reports.run_report import RunReport

__all__ = ["watch_and_judge"]


_WRITTEN_BY_APPS: Final = r"\.(db|sqlite3?|log|out|pid|tmp)(-\w+)?$"
"""Files that an app writes while it is judged: to judge again for them would never end."""


def watch_and_judge(
    judge: Callable[[Sequence[str] | None], RunReport], folders: Sequence[Path], *, ignored: Path, clear: bool
) -> int:
    """Judge, and again after each change in *folders*, until Ctrl-C; returns the exit code of the last run.

    *judge* gets the ids of the requirements to judge, or None for all: after a failure only what failed, until that
    passes; then all. Changes in the folder *ignored* do not count. *clear* keeps a terminal to one screen.
    """
    report: RunReport | None = None
    try:
        changes = _changes(folders, ignored)
        while True:
            report = _round(judge, report, clear=clear)
            if report.verdict == "interrupted":
                return report.exit_code
            _tell(f"watching {', '.join(map(str, folders))}; Ctrl-C ends")
            _tell(f"{next(changes)} changed")
    except KeyboardInterrupt:
        return report.exit_code if report is not None else 130


def _round(judge: Callable[[Sequence[str] | None], RunReport], last: RunReport | None, *, clear: bool) -> RunReport:
    """One round: what failed in the *last* one, and all if that passes."""
    failed = [] if last is None else [one.id for one in last.requirements if one.verdict == "fail"]
    if failed:
        _clear(clear=clear)
        _tell(f"judging what failed: {', '.join(failed)}")
        report = judge(failed)
        if not report.conforms:
            return report
    _clear(clear=clear)
    return judge(None)


def _changes(folders: Sequence[Path], ignored: Path) -> Iterator[str]:
    """The names of changed files, as they change from now on."""
    from watchfiles import DefaultFilter, watch

    missing = [str(one) for one in folders if not one.exists()]
    if missing:
        raise ConfigurationError(f"--watch-dir {missing[0]} does not exist; name the folder of your app's files")
    written = (*DefaultFilter.ignore_entity_patterns, _WRITTEN_BY_APPS)
    wanted = DefaultFilter(ignore_paths=[ignored.resolve()], ignore_entity_patterns=written)
    found = watch(*folders, watch_filter=wanted, yield_on_timeout=True, rust_timeout=100)
    next(found)  # starts to look, so that a change during the first run counts
    return (_names(each) for each in found if each)


def _names(changes: set[FileChange]) -> str:
    return ", ".join(sorted({Path(path).name for _, path in changes})[:3])


def _clear(*, clear: bool) -> None:
    if clear and sys.stdout.isatty() and os.environ.get("TERM") != "dumb":
        sys.stdout.write("\033[H\033[2J\033[3J")
        sys.stdout.flush()


def _tell(text: str) -> None:
    typer.echo(folded(text, sys.stderr, indent=2), err=True)
