"""Upper limits of options, each declared once: a typing error is refused instead of filling the machine."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Final

__all__ = ["LONGEST_WAIT_S", "MOST", "MOST_A_SECOND", "MOST_USERS", "read_bounded"]

MOST: Final = 1_000_000
"""Rooms, people, users or connections: as many people as the generator was measured with (docs/performance.md)."""

MOST_USERS: Final = 10_000
"""Locust users on one machine: each takes a quarter of a MiB there."""

MOST_A_SECOND: Final = 1_000_000
"""Callbacks/s: many times what one machine sends (docs/performance.md)."""

LONGEST_WAIT_S: Final = 3600
"""Seconds for which an answer may be waited."""

_MOST_BYTES: Final = 128 * 1024 * 1024
"""Of a file that is read whole: a million ids are a third of it."""


def read_bounded(path: Path) -> bytes:
    """The bytes of a file that people have written; raises ``OSError`` also for one without end, as /dev/zero is."""
    with path.open("rb") as file:
        found = file.read(_MOST_BYTES + 1)
    if len(found) > _MOST_BYTES:
        raise OSError(errno.EFBIG, f"it has more than {_MOST_BYTES >> 20} MiB")
    return found
