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
        self.number = number
        self._journal = journal
        self._durable = durable
        self._mark = os.urandom(_MARK_BYTES)
        self._size = 0
        self._descriptor = self._created()

    @property
    def is_full(self) -> bool:
        """Whether it is time for ``next_segment``."""
        return self._size >= _SEGMENT_BYTES

    def append(self, payload: bytes) -> None:
        """Write one frame."""
        self._write(_HEAD.pack(self._mark, len(payload), crc32(payload)), payload)
        if self._durable:
            self._sync(self._descriptor)

    def next_segment(self) -> None:
        """Start a new segment."""
        os.close(self._descriptor)
        self.number += 1
        self._size = 0
        self._descriptor = self._created()

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)

    def _created(self) -> int:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        try:
            self._descriptor = os.open(segment_path(self._journal, self.number), flags, 0o644)
        except OSError as error:
            raise JournalError(error.strerror) from None
        self._write(self._mark)
        if self._durable:  # the directory entry as well
            folder = os.open(self._journal.parent, os.O_RDONLY | os.O_CLOEXEC)
            try:
                self._sync(folder)
            finally:
                os.close(folder)
        return self._descriptor

    def _sync(self, descriptor: int) -> None:
        try:
            os.fsync(descriptor)
        except OSError as error:
            raise JournalError(error.strerror) from None

    def _write(self, *pieces: bytes) -> None:
        """Write all of it or nothing."""
        try:
            written = os.writev(self._descriptor, pieces)
            if is_cut := written < sum(map(len, pieces)):
                os.ftruncate(self._descriptor, self._size)
        except OSError as error:
            raise JournalError(error.strerror) from None
        if is_cut:
            raise JournalError(os.strerror(errno.ENOSPC))
        self._size += written


def segment_path(journal: Path, number: int) -> Path:
    """The path of segment *number* of the log of *journal*."""
    return journal.with_name(f"{journal.name}-log-{number}")


def segments(journal: Path) -> list[int]:
    """The numbers of the existing segments, in order."""
    named = re.compile(re.escape(journal.name) + r"-log-([0-9]{1,18})")
    return sorted(int(found[1]) for one in journal.parent.iterdir() if (found := named.fullmatch(one.name)))


def frames_in(segment: bytes) -> Iterator[Frame]:
    """The frames of *segment*, as far as it is written; damaged bytes between two frames are skipped."""
    first, second = segment[:_MARK_BYTES], segment[_MARK_BYTES : 2 * _MARK_BYTES]
    mark = max(first, second, key=segment.count)  # one of the copies may be damaged
    end = _MARK_BYTES
    while (at := _next_frame(segment, end, mark)) is not None:
        payload = _payload_at(segment, at)
        lost, end = at - end, at + _HEAD.size + len(payload)
        yield Frame(payload, end, lost)


def damaged_end(segment: bytes, end: int) -> int:
    """The number of bytes after the last frame (ending at *end*) that are a whole frame: a kill cuts a frame short."""
    rest = len(segment) - end
    return rest if rest >= _HEAD.size and rest >= _HEAD.size + _HEAD.unpack_from(segment, end)[1] else 0


def _next_frame(segment: bytes, at: int, mark: bytes) -> int | None:
    """The offset of the next whole frame."""
    while (at := segment.find(mark, at)) >= 0:
        if len(segment) - at >= _HEAD.size:
            _, size, checksum = _HEAD.unpack_from(segment, at)
            payload = _payload_at(segment, at)
            if len(payload) == size and crc32(payload) == checksum:
                return at
        at += 1
    return None


def _payload_at(segment: bytes, at: int) -> bytes:
    start = at + _HEAD.size
    return segment[start : start + _HEAD.unpack_from(segment, at)[1]]
