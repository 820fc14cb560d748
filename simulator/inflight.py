"""The note beside a journal that survives ``kill -9``: which attempts are under way, in memory shared with a file.

A journal is written in batches, so at any moment it lags a little. Each attempt therefore gets a slot here before its
first byte leaves, and its outcome when it ends; a slot is used again once the journal holds its attempt. The file
is also the lock that keeps two runs from writing one journal; a clean end removes it.
"""

from __future__ import annotations

import fcntl
import mmap
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from struct import Struct
from typing import Final, Self

from roomhook.schemas.errors import ConfigurationError

__all__ = ["Begun", "InFlight", "is_locked", "note_of"]

_SLOT: Final = Struct("qqqq")  # done (ns), code, intended (ns), key: what says that the rest is there comes last
_END: Final = Struct("qq")
"""In the first slot, ``done`` is what turns µs of the monotonic clock into µs since the epoch, when added."""


@dataclass(frozen=True, slots=True)
class Begun:
    """An attempt that a dead sender has left; its ``key`` is not 0, its ``code`` is what was noted last.

    If it has ended, the journal may hold it already.
    """

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
        self._map = mmap.mmap(-1, mmap.PAGESIZE)
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
        content = os.pread(self._descriptor, os.fstat(self._descriptor).st_size, 0)
        slots = _SLOT.iter_unpack(content[: len(content) // _SLOT.size * _SLOT.size])
        offset = next(slots, (0,))[0]
        for done, code, intended, key in slots:
            if key:
                yield Begun(key, intended // 1000 + offset, done // 1000 + offset if done else 0, code)

    def prepare(self, slots: int, wall_offset_us: int) -> None:
        """Forget what was left behind and make room for *slots* attempts.

        *wall_offset_us* is what the time since the epoch is ahead of the monotonic clock.
        """
        size = (1 + slots) * _SLOT.size
        os.ftruncate(self._descriptor, 0)
        os.ftruncate(self._descriptor, size)
        self._map = mmap.mmap(self._descriptor, size)
        _SLOT.pack_into(self._map, 0, wall_offset_us, 0, 0, 0)
        self._free = list(range(_SLOT.size, size, _SLOT.size))

    def begin(self, key: int, intended_ns: int, code: int) -> int:
        """Take a slot for an attempt that is about to start; raises ``IndexError`` if there is none."""
        slot = self._free.pop()
        _SLOT.pack_into(self._map, slot, 0, code, intended_ns, key)
        return slot

    def end(self, slot: int, done_ns: int, code: int) -> None:
        """Note how the attempt in *slot* ended."""
        _END.pack_into(self._map, slot, done_ns, code)

    def free(self, slots: Iterable[int]) -> None:
        """Use *slots* again: the journal holds their attempts, and knows them by their keys if they are left behind."""
        self._free.extend(slots)

    def close(self, *, clean: bool) -> None:
        """Unlock; a *clean* end removes the file."""
        self._map.close()
        if clean:
            self._path.unlink(missing_ok=True)
        os.close(self._descriptor)
