"""What somebody may have meant by a name that does not exist."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = ["closest", "did_you_mean"]


def closest(given: str, known: Iterable[str], limit: int = 3) -> list[str]:
    """Up to *limit* of the *known* names that resemble *given*, best first and whatever their case."""
    by_lower = {name.lower(): name for name in known}
    wanted = given.lower()
    found = difflib.get_close_matches(wanted, by_lower, n=limit)
    found += [name for name in by_lower if wanted and wanted in name and name not in found]
    return [by_lower[name] for name in found[:limit]]


def did_you_mean(given: str, known: Iterable[str]) -> str:
    """``"; did you mean a or b?"``, or nothing if no *known* name resembles *given*."""
    names = closest(given, known)
    if not names:
        return ""
    head, last = names[:-1], names[-1]
    return f"; did you mean {', '.join(head)} or {last}?" if head else f"; did you mean {last}?"
