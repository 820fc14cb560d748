"""How much may be asked for, declared once: a slip of the keyboard is refused instead of filling the machine."""

from __future__ import annotations

from typing import Final

__all__ = ["LONGEST_WAIT_S", "MOST", "MOST_A_SECOND", "MOST_USERS"]

MOST: Final = 1_000_000
"""Rooms, people, users or connections: as many people as the generator was measured with (docs/performance.md)."""

MOST_USERS: Final = 10_000
"""Locust users on one machine: each takes a quarter of a MiB there."""

MOST_A_SECOND: Final = 1_000_000
"""Callbacks/s: many times what one machine sends (docs/performance.md)."""

LONGEST_WAIT_S: Final = 3600
"""Seconds for which an answer may be waited."""
