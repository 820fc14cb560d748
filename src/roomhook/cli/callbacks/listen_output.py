"""Callbacks that arrived, one line each on stdout."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from typing import cast

from roomhook.cli.shared.line_printer import LinePrinter
from roomhook.cli.shared.terminal import painter
from roomhook.palette import Painter, Style, plain
from roomhook.simulator.journal.writer import ReceivedCallback

__all__ = ["ArrivalPrinter", "as_json", "as_line"]

_OTHER_BYTES = 1000
"""Memory of a waiting callback besides head and body."""


class ArrivalPrinter:
    """Prints batches of callbacks from a thread of its own; what can't be printed in time is counted, not kept."""

    def __init__(self, *, as_json: bool = False) -> None:
        self._as_json = as_json
        self._paint = painter()
        self._printer = LinePrinter(self._line, sys.stdout)

    def show(self, batch: Sequence[ReceivedCallback]) -> None:
        """Print *batch* soon."""
        self._printer.put((len(one.head) + len(one.body) + _OTHER_BYTES, one) for one in batch)

    def close(self) -> None:
        """Print what is left, unless nobody reads it."""
        self._printer.close()

    def _line(self, item: object) -> str:
        received = cast("ReceivedCallback", item)
        return as_json(received) if self._as_json else as_line(received, self._paint)


def as_line(received: ReceivedCallback, paint: Painter = plain) -> str:
    """Time, verdict, check-out method or command, room, who left, by whom, and how many are left."""
    found = received.inspected
    seconds, micros = divmod(received.received_us, 1_000_000)
    when = paint(f"{time.strftime('%H:%M:%S', time.localtime(seconds))}.{micros // 1000:03}", Style.MUTED)
    kind, room = _shown(found.type or _short(found.command)), _shown(found.room or "?")
    if found.problem is not None:
        return f"{when} {paint('refused', Style.BAD)}  {kind} {room}: {_shown(found.problem)}"
    members = "".join(f" {one}" for one in [",".join(_shown(member) for member in found.members)] if one)
    operator = "" if found.operator in {"", *found.members} else f" by {_shown(found.operator)}"
    count = "" if found.member_count is None else f", {found.member_count} in the room"
    return f"{when} {paint('ok', Style.GOOD)}  {kind:<7} {room}{members}{operator}{count}"


def as_json(received: ReceivedCallback) -> str:
    """The same for a program, in one line."""
    found = received.inspected
    return json.dumps(
        {
            "received_us": received.received_us,
            "peer": received.peer,
            "command": found.command,
            "type": found.type,
            "room": found.room,
            "members": found.members,
            "operator": found.operator,
            "member_count": found.member_count,
            "natural_key": found.natural_key,
            "problem": found.problem,
        },
        ensure_ascii=False,
    )


def _short(command: str | None) -> str:
    """The end of a command, e.g. CreateRoom of Room.CallbackAfterCreateRoom."""
    return (command or "?").rpartition("Callback")[2].removeprefix("After") or "?"


def _shown(text: str) -> str:
    """*text* as a terminal may show it: nothing in it can move the cursor or start a line."""
    return text if text.isprintable() else json.dumps(text)
