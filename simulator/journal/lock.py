"""The lock that prevents two runs from writing one journal; it is on the file itself, not on its name."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path
from typing import Final

from roomhook.errors import ConfigurationError

__all__ = ["lock_for_writing", "try_to_share"]

_PATIENCE_S: Final = 1.0
"""How long a writer waits for processes that only index."""


def lock_for_writing(journal: Path, *, create: bool) -> int:
    """A descriptor that holds the lock until it is closed; raises ``ConfigurationError`` if another run has it."""
    flags = os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT | os.O_EXCL if create else 0)
    try:
        descriptor = os.open(journal, flags, 0o644)
    except OSError as error:
        raise ConfigurationError(
            f"{journal} can't be written: {error.strerror}; choose a file in a folder that can be"
        ) from None
    until = time.monotonic() + _PATIENCE_S
    while not _locked(descriptor, fcntl.LOCK_EX):
        if time.monotonic() > until:
            os.close(descriptor)
            raise ConfigurationError(
                f"{journal} is being written by another run; wait for it to end or choose another --journal"
            )
        time.sleep(0.02)
    if os.fstat(descriptor).st_nlink > 1:
        os.close(descriptor)
        raise ConfigurationError(
            f"{journal} has several names (hard links), and its log is beside one of them only: write to a copy of it"
        )
    return descriptor


def try_to_share(journal: Path) -> int | None:
    """A descriptor that excludes writers until it is closed, or None if a run is writing *journal*."""
    descriptor = os.open(journal, os.O_RDONLY | os.O_CLOEXEC)
    if _locked(descriptor, fcntl.LOCK_SH):
        return descriptor
    os.close(descriptor)
    return None


def _locked(descriptor: int, how: int) -> bool:
    try:
        fcntl.flock(descriptor, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
