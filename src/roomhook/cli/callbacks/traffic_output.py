"""What ``roomhook traffic`` writes without a URL: NDJSON or CSV on stdout, and a page about the traffic."""

from __future__ import annotations

import csv
import sys
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta, timezone
from io import TextIOWrapper
from pathlib import Path
from typing import Final

import typer

from roomhook.errors import ConfigurationError
from roomhook.simulator.protocol.callback_event import CallbackEvent, to_line
from roomhook.simulator.protocol.packets import LEAVE_COMMAND, LeavePacket, decode_enter, decode_leave
from roomhook.simulator.traffic.generator import TrafficRequest
from roomhook.simulator.traffic.report import TrafficStats, html

__all__ = ["CSV_COLUMNS", "in_real_time", "recorded", "report_path", "write_csv", "write_ndjson", "write_report"]

CSV_COLUMNS: Final = (
    "time",
    "command",
    "type",
    "room",
    "members",
    "operator",
    "member_count",
    "reason",
    "client_ip",
    "platform",
)
"""The header of the CSV; ``members`` holds the accounts, separated by spaces."""


def write_ndjson(events: Iterable[CallbackEvent]) -> None:
    """Write one JSON object per line to stdout."""
    write = sys.stdout.buffer.write
    for event in events:
        write(to_line(event))
    sys.stdout.buffer.flush()


def write_csv(events: Iterable[CallbackEvent]) -> None:
    """Write a table to stdout as RFC 4180 has it, in UTF-8, with times in ISO 8601 (UTC)."""
    stream = TextIOWrapper(sys.stdout.buffer, encoding="utf-8", newline="", write_through=True)
    try:
        rows = csv.writer(stream)
        rows.writerow(CSV_COLUMNS)
        rows.writerows(_row(event) for event in events)
    finally:
        stream.detach()
    sys.stdout.buffer.flush()


def _row(event: CallbackEvent) -> tuple[object, ...]:
    packet = decode_leave(event.body) if event.command == LEAVE_COMMAND else decode_enter(event.body)
    moment = datetime.fromtimestamp(packet.event_time / 1000, UTC)
    method, reason = (packet.type, packet.reason) if isinstance(packet, LeavePacket) else ("", "")
    return (
        f"{moment:%Y-%m-%dT%H:%M:%S}.{packet.event_time % 1000:03}Z",
        event.command,
        method,
        packet.room_id,
        " ".join(packet.member_list_account),
        packet.operator_account,
        packet.member_count,
        reason,
        event.client_ip,
        event.platform,
    )


def in_real_time(events: Iterable[CallbackEvent], start_ms: int) -> Iterable[CallbackEvent]:
    """*events*, each at its time after *start_ms*; stdout is flushed before each wait."""
    begun = time.monotonic()
    for event in events:
        wait = begun + (event.time_ms - start_ms) / 1000 - time.monotonic()
        if wait > 0:
            sys.stdout.buffer.flush()
            time.sleep(wait)
        yield event


def recorded(events: Iterable[CallbackEvent], record: Callable[[CallbackEvent], object]) -> Iterable[CallbackEvent]:
    """*events*, each passed to *record* first."""
    for event in events:
        record(event)
        yield event


def report_path(folder: Path) -> Path:
    """Where the page goes; creates *folder*, and raises ``ConfigurationError`` if that is impossible."""
    path = folder / "traffic.html"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with path.open("ab"):
            pass
    except OSError as error:
        raise ConfigurationError(f"--report-dir {folder}: {error.strerror}; choose a writable folder") from None
    return path


def write_report(stats: TrafficStats, request: TrafficRequest, path: Path) -> None:
    """Write the page about the traffic of *request* to *path*."""
    zone = timezone(timedelta(milliseconds=request.offset_ms))
    start = datetime.fromtimestamp(request.start_ms / 1000, zone)
    phases = ", then ".join(str(one.profile) for one in request.scenario.phases)
    facts = [
        ("Profile", phases),
        ("Start", start.isoformat(timespec="seconds")),
        ("Seed", f"{request.seed} (the same options and seed give the same callbacks)"),
    ]
    path.write_text(html(stats, facts), encoding="utf-8")
    typer.echo(f"wrote {path}", err=True)
