"""The append-only log beside a journal, in segments ``run.db-log-1``, ``run.db-log-2``.

A segment starts with the mark of its frames. A frame is that mark, length and CRC-32 of its payload, and the payload.
The mark is random, so no content of a callback or a response can be taken for a frame.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from pathlib import Path
from struct import Struct
from typing import Final, NamedTuple
from zlib import crc32

__all__ = ["Frame", "JournalError", "LogWriter", "damaged_end", "frames_in", "segment_path", "segments"]

_MARK_BYTES: Final = 8
_HEAD: Final = Struct(f"<{_MARK_BYTES}sII")
_SEGMENT_BYTES: Final = 4 * 1024 * 1024
"""Size of a segment; a finished one can be deleted once it is indexed."""


class JournalError(Exception):
    """A journal can no longer be written; the message says why."""


class Frame(NamedTuple):
    """A *payload*, the offset after its frame, and the number of damaged bytes before it."""

    payload: bytes
    end: int
    lost: int


class LogWriter:
    """Appends frames to the log of *journal*, from segment *number* on; with *durable*, each is on the disk at once.

    Raises ``JournalError`` when the log can't be written. Appended frames survive ``kill -9``.
    """

    def __init__(self, journal: Path, number: int, *, durable: bool = False) -> None:
        self._journal = journal
        self._durable = durable
        self._mark = os.urandom(_MARK_BYTES)
        try:
            self._create(number)
        except OSError as error:
            raise JournalError(error.strerror) from None

    def append(self, payload: bytes) -> bool:
        """Write one frame; returns whether the next one starts a new segment."""
        try:
            mark = b"" if self._size else self._mark
            self._write(mark + _HEAD.pack(self._mark, len(payload), crc32(payload)), payload)
            if self._durable:
                os.fsync(self._descriptor)
            if is_full := self._size >= _SEGMENT_BYTES:
                full = self._descriptor
                self._create(self._number + 1)
                os.close(full)
        except OSError as error:
            raise JournalError(error.strerror) from None
        return is_full

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)

    def _create(self, number: int) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        self._descriptor = os.open(segment_path(self._journal, number), flags, 0o644)
        self._number = number
        self._size = 0
        if self._durable:  # the directory entry as well
            folder = os.open(self._journal.parent, os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)

    def _write(self, *pieces: bytes) -> None:
        """Write all of it or nothing."""
        written = os.writev(self._descriptor, pieces)
        if written < sum(map(len, pieces)):
            os.ftruncate(self._descriptor, self._size)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._size += written


def segment_path(journal: Path, number: int) -> Path:
    """The path of segment *number* of the log of *journal*."""
    return journal.with_name(f"{journal.name}-log-{number}")


def segments(journal: Path) -> list[int]:
    """The numbers of the existing segments, in order."""
    named = re.compile(re.escape(journal.name) + r"-log-([0-9]{1,18})")
    return sorted(int(found[1]) for one in journal.parent.iterdir() if (found := named.fullmatch(one.name)))


def frames_in(segment: bytes, offset: int = 0) -> Iterator[Frame]:
    """The frames of *segment* after *offset*, as far as it is written; damaged bytes between two frames are skipped."""
    first, second = segment[:_MARK_BYTES], segment[_MARK_BYTES : 2 * _MARK_BYTES]
    mark = first if first == second else max(first, second, key=segment.count)  # one of the copies may be damaged
    at = end = max(offset, _MARK_BYTES)
    while 0 <= (at := segment.find(mark, at)) <= len(segment) - _HEAD.size:
        _, size, checksum = _HEAD.unpack_from(segment, at)
        start = at + _HEAD.size
        payload = segment[start : start + size]
        if len(payload) < size or crc32(payload) != checksum:
            at += 1
            continue
        lost, at, end = at - end, start + size, start + size
        yield Frame(payload, end, lost)


def damaged_end(segment: bytes, end: int) -> int:
    """The number of bytes after the last frame (ending at *end*) that are a whole frame: a kill cuts a frame short."""
    end = max(end, _MARK_BYTES)
    rest = len(segment) - end
    return rest if rest >= _HEAD.size and rest >= _HEAD.size + _HEAD.unpack_from(segment, end)[1] else 0
