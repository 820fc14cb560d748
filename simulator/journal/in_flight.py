"""The note beside a journal that survives ``kill -9``: which attempts are under way, in memory shared with a file.

A journal is written in batches, so at any moment it lags a little. Each attempt therefore has a slot here from before
its first byte leaves until it ends; then its slot is another's, and how it ended stands below the slots until the
journal holds it. The file is also the lock that keeps two runs from writing one journal; a clean end removes it.
"""

from __future__ import annotations

import fcntl
import mmap
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from struct import Struct, pack_into
from typing import Final, Self

from roomhook.errors import ConfigurationError

__all__ = ["InFlightFile", "InterruptedAttempt", "is_locked", "note_of"]

_HEAD: Final = Struct("qqq")
"""What turns µs of the monotonic clock into µs since the epoch when added; how many slots follow; and how many ends
follow these: written after them, since it says that they are there."""

_COUNT: Final = 2  # its place among the words
_SLOT: Final = Struct("qqq")  # code, intended (ns), key: what says that the rest is there comes last
_END: Final = Struct("qqqq")  # key, code, intended (ns), done (ns)


@dataclass(frozen=True, slots=True)
class InterruptedAttempt:
    """An attempt that a dead sender has left; its ``code`` is what was noted last. The journal may hold it already."""

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


class InFlightFile:
    """The note of one journal, locked for as long as it is open."""

    def __init__(self, descriptor: int, path: Path) -> None:
        self._descriptor = descriptor
        self._path = path
        self._map = mmap.mmap(-1, mmap.PAGESIZE)
        self._words = memoryview(self._map).cast("q")
        self._free: list[int] = []
        self._slots: dict[int, int] = {}
        self._ends_at = self._count = 0

    @classmethod
    def lock(cls, journal: Path) -> Self:
        """Lock *journal*'s note, made if need be; raises ``ConfigurationError`` if another run holds it."""
        path = note_of(journal)
        while True:
            try:
                descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            except OSError as error:
                raise ConfigurationError(
                    f"{journal} can't be written: {error.strerror}; choose a file in a folder that can be"
                ) from None
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

    def left_behind(self) -> Iterator[InterruptedAttempt]:
        """The attempts of a run that died, if one has: how they ended, and then those whose end is not noted here."""
        content = os.pread(self._descriptor, os.fstat(self._descriptor).st_size, 0)
        if len(content) < _HEAD.size:
            return
        offset, slots, count = _HEAD.unpack_from(content)
        ends_at = _HEAD.size + slots * _SLOT.size
        ended: set[int] = set()
        for key, code, intended, done in _END.iter_unpack(content[ends_at : ends_at + count * _END.size]):
            ended.add(key)
            yield InterruptedAttempt(key, intended // 1000 + offset, done // 1000 + offset, code)
        for code, intended, key in _SLOT.iter_unpack(content[_HEAD.size : ends_at]):
            if key and key not in ended:
                yield InterruptedAttempt(key, intended // 1000 + offset, 0, code)

    def prepare(self, slots: int, ends: int, wall_offset_us: int) -> None:
        """Forget what was left behind; make room for *slots* attempts under way, and *ends* that are not written yet.

        *wall_offset_us* is what the time since the epoch is ahead of the monotonic clock. Raises ``ConfigurationError``
        on a full disk.
        """
        self._ends_at = _HEAD.size + slots * _SLOT.size
        size = self._ends_at + ends * _END.size
        os.ftruncate(self._descriptor, 0)
        try:
            written = os.pwrite(
                self._descriptor, bytes(size), 0
            )  # on a disk found full later, touching it would kill us
        except OSError:
            written = 0
        if written < size:
            raise ConfigurationError(f"{self._path} can't be written; make room, or choose another --journal")
        self._words.release()
        self._map = mmap.mmap(self._descriptor, size)
        self._words = memoryview(self._map).cast("q")
        _HEAD.pack_into(self._map, 0, wall_offset_us, slots, 0)
        self._free = list(range(_HEAD.size, self._ends_at, _SLOT.size))
        self._slots = {}
        self._count = 0

    def begin(self, begun: Iterable[tuple[int, int, int]]) -> None:
        """Note attempts that are about to start: key, intended time (ns), code. Raises ``IndexError`` if it is full."""
        memory, slots, free, put = self._map, self._slots, self._free, _SLOT.pack_into
        for key, intended_ns, code in begun:
            slots[key] = slot = free.pop()
            put(memory, slot, code, intended_ns, key)

    def end(self, ended: Sequence[tuple[int, int, int, int]]) -> None:
        """Note how attempts ended: key, code, intended time and end (ns). Raises ``IndexError`` if it is full."""
        words, at = list(chain.from_iterable(ended)), self._ends_at + self._count * _END.size
        if at + len(ended) * _END.size > len(self._map):
            raise IndexError(f"no room for {len(ended)} more ends")
        pack_into(f"{len(words)}q", self._map, at, *words)
        self._note_count(self._count + len(ended))
        slots = self._slots
        self._free += [slots.pop(key) for key, *_ in ended]

    def forget_ends(self) -> None:
        """The journal holds all that has ended."""
        self._note_count(0)

    def _note_count(self, count: int) -> None:
        self._count = count
        self._words[_COUNT] = count  # in one go, whereas struct would write a 0 first

    def close(self, *, clean: bool) -> None:
        """Unlock; a *clean* end removes the file."""
        self._words.release()
        self._map.close()
        if clean:
            self._path.unlink(missing_ok=True)
        os.close(self._descriptor)
