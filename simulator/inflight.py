"""The note beside a journal that survives ``kill -9``: which attempts are under way, in memory shared with a file.

A journal is written in batches, so at any moment it lags a little. Each attempt therefore gets a slot here before its
first byte leaves, and its outcome when it ends; slots are freed once the journal itself holds the attempt. The file is
also the lock that keeps two runs from writing one journal; a clean end removes it.
"""

from __future__ import annotations

import fcntl
import mmap
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from roomhook.schemas.errors import ConfigurationError

__all__ = ["Begun", "InFlight", "is_locked", "note_of"]

_FIELDS: Final = 4  # key, intended (µs), done (µs), code: 8 bytes each
_SLOT: Final = _FIELDS * 8


@dataclass(frozen=True, slots=True)
class Begun:
    """An attempt that a dead sender has left; its ``key`` is not 0, its ``code`` is what was noted last."""

    key: int
    intended_us: int
    done_us: int
    code: int


def note_of(journal: Path) -> Path:
    """Where the note beside *journal* is."""
    return journal.with_name(f"{journal.name}-inflight")


def is_locked(journal: Path) -> bool:
    """Is a run writing *journal* right now?"""
    try:
        descriptor = os.open(note_of(journal), os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        return False
    finally:
        os.close(descriptor)


class InFlight:
    """The note of one journal, locked for as long as it is open."""

    def __init__(self, descriptor: int, path: Path) -> None:
        self._descriptor = descriptor
        self._path = path
        self._map: mmap.mmap | None = None
        self._cells: memoryview = memoryview(b"")
        self._free: list[int] = []

    @classmethod
    def lock(cls, journal: Path) -> Self:
        """Lock *journal*'s note, made if need be; raises ``ConfigurationError`` if another run holds it."""
        path = note_of(journal)
        while True:
            try:
                descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            except OSError as error:
                raise ConfigurationError(f"{path} can't be written: {error.strerror}") from None
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
                raise ConfigurationError(
                    f"{journal} is being written by another run; wait for it to end or choose another --journal"
                ) from None
            if path.exists() and os.fstat(descriptor).st_ino == path.stat().st_ino:
                return cls(descriptor, path)
            os.close(descriptor)  # the run before has just removed it

    def left_behind(self) -> Iterator[Begun]:
        """The attempts of a run that died, if one has."""
        content = memoryview(os.pread(self._descriptor, os.fstat(self._descriptor).st_size, 0))
        cells = content[: len(content) // _SLOT * _SLOT].cast("q")
        for at in range(0, len(cells), _FIELDS):
            if cells[at]:
                yield Begun(*cells[at : at + _FIELDS])

    def prepare(self, slots: int) -> None:
        """Forget what was left behind and make room for *slots* attempts."""
        os.ftruncate(self._descriptor, 0)
        os.ftruncate(self._descriptor, slots * _SLOT)
        self._map = mmap.mmap(self._descriptor, slots * _SLOT)
        self._cells = memoryview(self._map).cast("q")
        self._free = list(range(0, slots * _FIELDS, _FIELDS))

    def begin(self, key: int, intended_us: int, code: int) -> int:
        """Take a slot for an attempt that is about to start; raises ``IndexError`` if there is none."""
        slot = self._free.pop()
        cells = self._cells
        cells[slot + 3] = code
        cells[slot + 1] = intended_us
        cells[slot] = key  # last: a slot without a key is free
        return slot

    def end(self, slot: int, done_us: int, code: int) -> None:
        """Note how the attempt in *slot* ended."""
        self._cells[slot + 2] = done_us
        self._cells[slot + 3] = code

    def free(self, slots: Sequence[int]) -> None:
        """Free *slots*, whose attempts the journal holds."""
        cells = self._cells
        for slot in slots:
            cells[slot] = 0
        self._free.extend(slots)

    def close(self, *, clean: bool) -> None:
        """Unlock; a *clean* end removes the file."""
        if self._map is not None:
            self._cells.release()
            self._map.close()
            self._map = None
        if clean:
            self._path.unlink(missing_ok=True)
        os.close(self._descriptor)
