"""The lines that serve prints: one for each REST call, /sim call and attempt of a callback, on stderr."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING, Any

from roomhook.cli.shared.line_printer import LinePrinter
from roomhook.cli.shared.terminal import painter
from roomhook.palette import Painter, Style, plain
from roomhook.simulator.room_backend.runtime.activity import ApiCall

if TYPE_CHECKING:
    from roomhook.simulator.room_backend.runtime.delivery_queue import DeliveryAttempt
    from roomhook.simulator.room_backend.runtime.service import Service
    from roomhook.simulator.room_backend.runtime.store import AttemptRow

__all__ = ["ServeOutput", "attempt_line", "call_line"]

_LINE_BYTES = 500
"""Memory of a waiting line besides the packet it tells of."""

_Attempt = tuple["AttemptRow", str, bytes, int | None]


class ServeOutput:
    """Prints what happens on a service from a thread of its own."""

    def __init__(self) -> None:
        paint = painter(sys.stderr)
        self._printer = LinePrinter(lambda item: _line(item, paint), sys.stderr)

    def watch(self, service: Service) -> None:
        """Print everything that happens on *service* from now on."""
        service.call_listeners.append(self._called)
        service.deliveries.listeners.append(self._attempted)

    def close(self) -> None:
        """Print what is left."""
        self._printer.close()

    def _called(self, call: ApiCall) -> None:
        self._printer.put([(_LINE_BYTES + len(call.body), call)])

    def _attempted(self, row: AttemptRow, attempt: DeliveryAttempt | None) -> None:
        if attempt is None:
            item: _Attempt = row, "", b"", None
        else:
            event = attempt.callback.event
            item = row, event.command, event.body, attempt.result.status or None
        self._printer.put([(_LINE_BYTES + len(item[2]), item)])


def _line(item: Any, paint: Painter) -> str:
    return call_line(item, paint) if isinstance(item, ApiCall) else attempt_line(*item, paint=paint)


def call_line(call: ApiCall, paint: Painter = plain) -> str:
    """A call: time, name, room and accounts, result, duration."""
    name = call.name.rpartition("/")[2] if call.name.startswith("/v4/") else call.name
    result = paint(str(call.code), Style.BAD) + f" {_printable(call.info)}" if call.code else paint("ok", Style.GOOD)
    elapsed_ms = call.elapsed_us / 1000
    return (
        f"{_time(call.time_us, paint)} call      {_printable(name)}{_subject(call.body)}: {result}, {elapsed_ms:.1f} ms"
    )


def attempt_line(row: AttemptRow, command: str, body: bytes, status: int | None, *, paint: Painter = plain) -> str:
    """An attempt of a callback: time, command, room and accounts, outcome, duration."""
    if row.outcome == "dropped":
        dropped = paint("dropped", Style.WARNING)
        return f"{_time(row.sent_us, paint)} callback  {row.callback} was {dropped}, as /sim/faults says"
    name = command.rpartition("Callback")[2].removeprefix("After")
    number = f" (attempt {row.number})" if row.number > 1 else ""
    outcome = paint(row.outcome, Style.GOOD if row.outcome == "delivered" else Style.BAD)
    outcome += f" {status}" if status else ""
    breaches = (
        "; " + paint(f"breaks {row.breaches.replace(' ', ', ')}", Style.BAD)
        if row.breaches and row.outcome == "delivered"
        else ""
    )
    elapsed_ms = (row.done_us - row.sent_us) / 1000
    when = _time(row.sent_us, paint)
    return f"{when} callback  {name}{_subject(body)}{number}: {outcome}, {elapsed_ms:.1f} ms{breaches}"


def _printable(text: str) -> str:
    """*text* as a terminal may show it: nothing in it can move the cursor or start a line."""
    return text if text.isprintable() else json.dumps(text)


def _subject(body: bytes) -> str:
    """Room and accounts that a packet is about."""
    try:
        packet = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    if not isinstance(packet, dict):
        return ""
    info = packet.get("RoomInfo")
    room = packet.get("room") or packet.get("RoomId") or (info.get("RoomId") if isinstance(info, dict) else None)
    accounts = packet.get("MemberList_Account") or packet.get("accounts") or packet.get("account") or []
    shown = [room, *(accounts if isinstance(accounts, list) else [accounts])][:6]
    kind = packet.get("Type")
    words = [*(one for one in shown if isinstance(one, str)), *([f"({kind})"] if isinstance(kind, str) else [])]
    return "".join(f" {_printable(word[:60])}" for word in words)


def _time(us: int, paint: Painter) -> str:
    return paint(f"{time.strftime('%H:%M:%S', time.localtime(us // 1_000_000))}.{us // 1000 % 1000:03}", Style.MUTED)
