"""Names accounts in a sentence: a few of many."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

__all__ = ["are", "listed"]

_MOST: Final = 6


def listed(accounts: Collection[str]) -> str:
    """*accounts* in alphabetical order, the first few of many, or ``nobody``."""
    shown = sorted(accounts)
    if len(shown) > _MOST + 1:
        return f"{', '.join(shown[:_MOST])} and {len(shown) - _MOST} others"
    return ", ".join(shown) or "nobody"


def are(accounts: Collection[str]) -> str:
    """*accounts* as the subject of a sentence, with its verb."""
    return f"{listed(accounts)} {'is' if len(accounts) == 1 else 'are'}"
