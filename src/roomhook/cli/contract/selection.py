"""The options that select requirements, ``--only`` and ``--exclude``."""

from __future__ import annotations

from collections.abc import Sequence

from roomhook.cli.shared.options import naming
from roomhook.contract_tests.model.register import select

__all__ = ["refuse_unknown"]


def refuse_unknown(only: Sequence[str] | None, exclude: Sequence[str] | None) -> None:
    """Raise ``ConfigurationError``, with the option's name, for an entry that matches no requirement."""
    for option, entries in (("--only", only), ("--exclude", exclude)):
        if entries:
            with naming(option):
                select(entries)
