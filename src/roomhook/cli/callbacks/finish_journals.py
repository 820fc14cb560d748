"""Bring the tables of journals up to date when a run has ended, with a line of progress."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from pathlib import Path

from roomhook.cli.shared.terminal import progress_line

__all__ = ["finish_journals", "indexing_progress"]


@contextmanager
def indexing_progress(journal: Path) -> Generator[Callable[[float], None]]:
    """A function that shows which share of the log of *journal* is in its tables."""
    with progress_line() as show:
        yield lambda share: show(f"writing the tables of {journal}: {share:.0%}")


def finish_journals(journals: Iterable[Path]) -> None:
    """Index what is left in the logs of *journals*; raises ``ConfigurationError`` if there is no room for it."""
    from roomhook.simulator.journal.index import bring_up_to_date

    for journal in journals:
        if journal.exists():  # otherwise its process never began
            with indexing_progress(journal) as show:
                bring_up_to_date(journal, show)
