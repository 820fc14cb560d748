"""Callbacks that arrived, one line each on stdout; a reader that is slow, or gone, never holds up the listener."""

from __future__ import annotations

import json
import queue
import sys
import threading
import time
from collections.abc import Sequence
from typing import Final

from roomhook.simulator.journal.received import ReceivedCallback

__all__ = ["ArrivalPrinter", "as_json", "as_line"]

_MOST_WAITING: Final = 1000
_PATIENCE_S: Final = 2.0


class ArrivalPrinter:
    """Prints batches of receipts from a thread of its own; what can't be printed in time is counted, not kept."""

    def __init__(self, *, as_json: bool = False, quiet: bool = False) -> None:
        self._as_json = as_json
        self._batches: queue.Queue[Sequence[ReceivedCallback] | None] = queue.Queue(_MOST_WAITING)
        self._skipped = 0
        self._thread = threading.Thread(target=self._print, name="roomhook-arrivals", daemon=True)
        if not quiet:
            self._thread.start()

    def show(self, receipts: Sequence[ReceivedCallback]) -> None:
        """Print *receipts* soon."""
        try:
            self._batches.put_nowait(receipts)
        except queue.Full:
            self._skipped += len(receipts)

    def close(self) -> None:
        """Print what is left, unless nobody reads it."""
        if not self._thread.is_alive():
            return
        try:
            self._batches.put(None, timeout=_PATIENCE_S)
            self._thread.join(_PATIENCE_S)
        except queue.Full:
            pass
        if self._skipped:
            print(f"{self._skipped} lines were not printed: nobody read them in time", file=sys.stderr)  # noqa: T201

    def _print(self) -> None:
        while (batch := self._batches.get()) is not None:
            lines = [as_json(one) if self._as_json else as_line(one) for one in batch]
            try:
                sys.stdout.write("\n".join(lines) + "\n")
                sys.stdout.flush()
            except (BrokenPipeError, ValueError):
                return


def as_line(receipt: ReceivedCallback) -> str:
    """The moment, the verdict, the check-out method, the room, who left, by whom, and how many are left."""
    one = receipt.inspected
    seconds, micros = divmod(receipt.received_us, 1_000_000)
    moment = f"{time.strftime('%H:%M:%S', time.localtime(seconds))}.{micros // 1000:03}"
    if one.problem is not None:
        return f"{moment} refused  {_shown(one.type or '?')} {_shown(one.room or '?')}: {_shown(one.problem)}"
    members = ",".join(_shown(member) for member in one.members)
    by = "" if one.operator in one.members else f" by {_shown(one.operator)}"
    return f"{moment} ok  {one.type:<7} {_shown(one.room or '')} {members}{by}, {one.member_count} in the room"


def as_json(receipt: ReceivedCallback) -> str:
    """The same for a program, in one line."""
    one = receipt.inspected
    return json.dumps(
        {
            "received_us": receipt.received_us,
            "peer": receipt.peer,
            "command": one.command,
            "type": one.type,
            "room": one.room,
            "members": one.members,
            "operator": one.operator,
            "member_count": one.member_count,
            "natural_key": one.natural_key,
            "problem": one.problem,
        },
        ensure_ascii=False,
    )


def _shown(text: str) -> str:
    """*text* as a terminal may show it: nothing in it can move the cursor or start a line of its own."""
    return text if text.isprintable() else json.dumps(text)
