"""The report of simulated traffic: one page that shows callbacks over time, room sizes, stays and platforms."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import pairwise
from typing import Final

from roomhook.pages.charts import timeline
from roomhook.pages.rendering import render
from roomhook.simulator.protocol.callback_event import CallbackEvent
from roomhook.simulator.protocol.packets import LEAVE_COMMAND, LeavePacket, decode_enter, decode_leave

__all__ = ["TrafficStats", "html"]

_TONES: Final = {"Enter": "info", "Leave": "pass", "Kicked": "fail", "Expired": "warn"}
_SIZES: Final = (2, 5, 10, 20, 50, 100, 300)
_STAYS_MIN: Final = (1, 5, 15, 30, 60, 120)
_MINUTE_MS: Final = 60_000


class TrafficStats:
    """Statistics of a stream of callbacks; ``record`` takes one after the other.

    ``minutes`` counts callbacks by minute since the epoch and check-out method ("Enter" for those who enter), ``sizes``
    holds the largest size of each room, ``stays`` counts those that began and ended in the stream by their length.
    """

    def __init__(self) -> None:
        self.total = 0
        self.minutes: defaultdict[int, Counter[str]] = defaultdict(Counter)
        self.platforms: Counter[str] = Counter()
        self.sizes: Counter[str] = Counter()
        self.stays: Counter[int] = Counter()
        self._entered: dict[tuple[str, str], int] = {}

    def record(self, event: CallbackEvent) -> None:
        """Count one callback."""
        self.total += 1
        self.platforms[event.platform] += 1
        leaves = event.command == LEAVE_COMMAND
        packet = decode_leave(event.body) if leaves else decode_enter(event.body)
        method = packet.type if isinstance(packet, LeavePacket) else "Enter"
        self.minutes[event.time_ms // _MINUTE_MS][method] += 1
        members = packet.member_list_account
        size = packet.member_count + (len(members) if leaves else 0)
        self.sizes[packet.room_id] = max(self.sizes[packet.room_id], size)
        for account in members:
            if not leaves:
                self._entered[packet.room_id, account] = packet.event_time
            elif (begun := self._entered.pop((packet.room_id, account), None)) is not None:
                self.stays[bisect_left(_STAYS_MIN, (packet.event_time - begun) / _MINUTE_MS)] += 1


def html(stats: TrafficStats, facts: Sequence[tuple[str, str]]) -> str:
    """The report as one self-contained page; *facts* are (name, text) about the request."""
    minutes = sorted(stats.minutes)
    first, last = (minutes[0], minutes[-1]) if minutes else (0, -1)
    methods = [one for one in _TONES if any(one in counts for counts in stats.minutes.values())]
    rows = [
        ((minute - first + 1) * 60.0, {one: (_TONES[one], float(stats.minutes[minute][one])) for one in methods})
        for minute in range(first, last + 1)
    ]
    sizes = Counter(bisect_left(_SIZES, size) for size in stats.sizes.values())
    totals = {one: sum(counts[one] for counts in stats.minutes.values()) for one in methods}
    content: dict[str, object] = {
        "title": f"{stats.total:,} callbacks in {len(stats.sizes):,} rooms",
        "version": version("roomhook"),
        "facts": facts,
        "tones": _TONES,
        "callbacks": timeline("Callbacks per minute", rows, moment=lambda at_s: _clock(first * 60 + at_s)),
        "parts": [
            ("Check-out methods", list(totals.items()), stats.total),
            ("Platforms", stats.platforms.most_common(), stats.total),
            ("Largest size of each room", _ranges(sizes, _SIZES, "people"), len(stats.sizes)),
            ("Stays", _ranges(stats.stays, _STAYS_MIN, "min"), sum(stats.stays.values())),
        ],
    }
    return render("roomhook.simulator.traffic", "report.html", content)


def _clock(at_s: float) -> str:
    return f"{datetime.fromtimestamp(at_s, UTC):%H:%M}"


def _ranges(counts: Counter[int], bounds: Sequence[int], unit: str) -> list[tuple[str, int]]:
    """(range, count) pairs, from the lowest range to the highest that occurs."""
    if not counts:
        return []
    names = [f"up to {bounds[0]} {unit}"]
    names += [f"more than {low}, up to {high} {unit}" for low, high in pairwise(bounds)]
    names.append(f"more than {bounds[-1]} {unit}")
    return [(names[index], counts[index]) for index in range(min(counts), max(counts) + 1)]
