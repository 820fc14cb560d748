"""Prints lines from a thread, so that a slow or missing reader never holds up a server."""

from __future__ import annotations

import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable
from typing import Final, TextIO

from roomhook.simulator.util.threads import wait_for_end

__all__ = ["LinePrinter"]

_MOST_BYTES: Final = 8 * 1024 * 1024
_PATIENCE_S: Final = 2.0


class LinePrinter:
    """Prints what *make* makes of each item to *stream*; items beyond 8 MiB that wait are counted, not kept."""

    def __init__(self, make: Callable[[object], str], stream: TextIO, most_bytes: int = _MOST_BYTES) -> None:
        self._make = make
        self._stream = stream
        self._most = most_bytes
        self._items: deque[tuple[int, object]] = deque()
        self._bytes = 0
        self._skipped = 0
        self._closing = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._print, name="roomhook-lines", daemon=True)
        self._thread.start()

    def put(self, items: Iterable[tuple[int, object]]) -> None:
        """Print *items* soon; each comes with the bytes of memory that it holds."""
        with self._changed:
            for size, item in items:
                if self._bytes + size > self._most:
                    self._skipped += 1
                else:
                    self._bytes += size
                    self._items.append((size, item))
            self._changed.notify()

    def close(self) -> None:
        """Print what is left, unless nobody reads it."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        wait_for_end(self._thread, _PATIENCE_S)
        if self._skipped:
            print(f"{self._skipped} lines were not printed: nobody read them in time", file=sys.stderr)  # noqa: T201

    def _print(self) -> None:
        while True:
            with self._changed:
                while not self._items and not self._closing:
                    self._changed.wait()
                batch = list(self._items)
                self._items.clear()
            if not batch:
                return
            try:
                self._stream.write("".join(f"{self._line(item)}\n" for _, item in batch))
                self._stream.flush()
            except (OSError, ValueError):  # the reader is gone, or the disk is full
                return
            with self._changed:
                self._bytes -= sum(size for size, _ in batch)

    def _line(self, item: object) -> str:
        try:
            return self._make(item)
        except Exception as error:  # noqa: BLE001 (no item may end the output of the others)
            return f"(a line could not be made: {type(error).__name__})"
