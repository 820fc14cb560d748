"""The append-only log beside a journal: what a run writes down, in segments ``run.db-log-1``, ``run.db-log-2``.

A segment begins with the mark that begins each of its frames; a frame is mark, length and CRC-32 of its payload, and
the payload. The mark is random, so that nothing that a callback or an answer holds can pass for a frame.
"""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path
from struct import Struct
from typing import Final, NamedTuple
from zlib import crc32

__all__ = ["Frames", "JournalError", "LogWriter", "read_frames", "segment_path", "segments"]

_MARK_BYTES: Final = 8
_HEAD: Final = Struct(f"<{_MARK_BYTES}sII")
_SEGMENT_BYTES: Final = 16 * 1024 * 1024
"""After so many bytes a new segment begins, and the one before can be removed once it is indexed."""


class JournalError(Exception):
    """A journal can't be written any more; the text says why."""


class Frames(NamedTuple):
    """What ``read_frames`` found: *payloads*, the offset behind them, and how many bytes before it are damaged."""

    payloads: list[bytes]
    end: int
    lost: int


class LogWriter:
    """Appends frames to the log of *journal*, from segment *number* on; with *durable*, each reaches the disk at once.

    Raises ``JournalError`` when the log can't be written. What has been appended survives ``kill -9``.
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
        """Is it time for ``next_segment``?"""
        return self._size >= _SEGMENT_BYTES

    def append(self, payload: bytes) -> None:
        """Write one frame."""
        self._write(_HEAD.pack(self._mark, len(payload), crc32(payload)), payload)
        if self._durable:
            try:
                os.fdatasync(self._descriptor)
            except OSError as error:
                raise JournalError(error.strerror) from None

    def next_segment(self) -> None:
        """Begin a new segment."""
        os.close(self._descriptor)
        self.number += 1
        self._size = 0
        self._descriptor = self._created()

    def close(self) -> None:
        """Write no more."""
        os.close(self._descriptor)

    def _created(self) -> int:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        try:
            self._descriptor = os.open(segment_path(self._journal, self.number), flags, 0o644)
        except OSError as error:
            raise JournalError(error.strerror) from None
        self._write(self._mark)
        return self._descriptor

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
    """Where segment *number* of the log of *journal* is."""
    return journal.with_name(f"{journal.name}-log-{number}")


def segments(journal: Path) -> list[int]:
    """The numbers of the segments that are there, in order."""
    named = re.compile(re.escape(journal.name) + r"-log-([0-9]{1,18})")
    return sorted(int(found[1]) for one in journal.parent.iterdir() if (found := named.fullmatch(one.name)))


def read_frames(descriptor: int, offset: int, most: int) -> Frames:
    """The frames of a segment from *offset* on in about *most* bytes (one at least, if there is one).

    What is damaged between two of them is skipped. A frame that is not all there (yet) ends them.
    """
    mark = _mark_of(descriptor)
    offset = max(offset, _MARK_BYTES)
    while True:
        data = os.pread(descriptor, most, offset)
        found = _frames_in(data, mark, whole=len(data) < most)
        if found.payloads or len(data) < most:
            return Frames(found.payloads, offset + found.end, found.lost)
        most *= 4


def _mark_of(descriptor: int) -> bytes:
    """The mark of a segment, also if one of its copies is damaged."""
    head = os.pread(descriptor, 2 * _MARK_BYTES, 0)
    first, second = head[:_MARK_BYTES], head[_MARK_BYTES:]
    if first == second or len(second) < _MARK_BYTES:
        return first
    return max(first, second, key=os.pread(descriptor, _SEGMENT_BYTES, 0).count)


def _frames_in(data: bytes, mark: bytes, *, whole: bool) -> Frames:
    """The frames in *data*; *whole* says that nothing follows it."""
    payloads: list[bytes] = []
    at = lost = 0
    while at < len(data):
        payload = _payload_at(data, at, mark)
        if payload is None:
            if not whole and _goes_on(data, at, mark):
                break
            found = _next_frame(data, at, mark)
            if found is None:
                break
            lost += found - at
            at = found
            continue
        payloads.append(payload)
        at += _HEAD.size + len(payload)
    return Frames(payloads, at, lost)


def _payload_at(data: bytes, at: int, mark: bytes) -> bytes | None:
    if len(data) - at < _HEAD.size:
        return None
    found, size, checksum = _HEAD.unpack_from(data, at)
    payload = data[at + _HEAD.size : at + _HEAD.size + size]
    return payload if found == mark and len(payload) == size and crc32(payload) == checksum else None


def _goes_on(data: bytes, at: int, mark: bytes) -> bool:
    """May a frame begin at *at* that ends behind *data*?"""
    if len(data) - at < _HEAD.size:
        return True
    found, size, _ = _HEAD.unpack_from(data, at)
    return bool(found == mark and at + _HEAD.size + size > len(data))


def _next_frame(data: bytes, at: int, mark: bytes) -> int | None:
    while (at := data.find(mark, at + 1)) >= 0:
        if _payload_at(data, at, mark) is not None:
            return at
    return None
