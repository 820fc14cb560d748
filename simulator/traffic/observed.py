"""Describes recorded callbacks as a scenario for ``traffic``: shares, stays and sizes."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from typing import Any, Final

import msgspec

from roomhook.simulator.protocol.callback_event import CallbackEvent
from roomhook.simulator.protocol.callback_url import PLATFORMS
from roomhook.simulator.protocol.packets import (
    ENTER_COMMAND,
    LEAVE_COMMAND,
    EnterPacket,
    LeavePacket,
    decode_enter,
    decode_leave,
)
from roomhook.simulator.util.durations import format_duration
from roomhook.simulator.util.limits import MOST

__all__ = ["ObservedTraffic"]

_SERVER: Final = "RESTAPI"
_AGAIN_MS: Final = 10 * 60_000
"""Longest time between a leave and an enter that counts as re-entering."""

_QUARTILE: Final = 0.6745
"""Standard deviations from the median of a normal distribution to its quartiles."""

_WIDEST_SPREAD: Final = 4.0


class ObservedTraffic:
    """Adds up callbacks, given in the order in which they happened, and describes them by ``document`` or ``toml``.

    ``leaves`` counts members who left. Packets that are not as documented are left out.
    """

    def __init__(self) -> None:
        self.leaves: Counter[str] = Counter()
        self._platforms: Counter[str] = Counter()
        self._kicks = _Kicks()
        self._stays = _Stays()
        self._crowd = _Crowd()
        self._entered: dict[tuple[str, str], int] = {}
        self._left: dict[tuple[str, str], int] = {}
        self._returned = 0
        self._span_ms: tuple[int, int] | None = None

    def add(self, events: Iterable[CallbackEvent]) -> None:
        """Add *events*."""
        for event in events:
            try:
                if event.command == LEAVE_COMMAND:
                    self._leave(decode_leave(event.body), event.platform)
                elif event.command == ENTER_COMMAND:
                    self._enter(decode_enter(event.body))
            except msgspec.DecodeError:
                continue

    def document(self) -> dict[str, Any]:
        """The scenario: one phase with the values seen; other values are left to the defaults."""
        first, last = self._span_ms or (0, 0)
        phase: dict[str, Any] = {
            "profile": "steady",
            "duration": format_duration(max(1000, round((last - first) / 1000) * 1000)),
            "rooms": min(MOST, max(1, self._crowd.most_rooms)),
            "members": min(MOST, max(1, self._crowd.most_people)),
            "recover": 0,  # whose heartbeat came back in time is in no callback
            "mix": {name: count for name, count in self._mix().items() if count},
        }
        if self._platforms:
            phase["platforms"] = dict(self._platforms.most_common())
        spread = self._stays.median_and_spread(self._entered.values(), last)
        if spread is not None:
            phase["stay"] = format_duration(max(1000, round(spread[0] / 1000) * 1000))
            phase["stay_sigma"] = round(min(_WIDEST_SPREAD, spread[1]), 3)
            phase["reenter"] = round(self._returned / max(1, self.leaves["Leave"] + self.leaves["Expired"]), 3)
        if self._kicks.count:
            phase["kick_bulk"] = round(self._kicks.of_several / self._kicks.count, 3)
        return {"phase": [phase]}

    def toml(self, source: str) -> str:
        """The scenario as a TOML document that names its source."""
        (phase,) = self.document()["phase"]
        known = len(self._stays)
        stays = f"{known:,} stays" if known else "no enters, so stays are the defaults"
        lines = [f"# {self.leaves.total():,} members left in {source}; {stays}.", "[[phase]]"]
        return "\n".join([*lines, *(f"{name} = {_toml(value)}" for name, value in phase.items())]) + "\n"

    def _leave(self, packet: LeavePacket, platform: str) -> None:
        people = packet.member_list_account
        self.leaves[packet.type] += len(people)
        self._crowd.note(packet.room_id, packet.member_count, len(people))
        self._note_time(packet.event_time)
        own_end = True
        if packet.type == "Kicked":
            own_end = self._kicks.note((packet.room_id, packet.operator_account, packet.event_time), len(people))
        if platform in PLATFORMS and platform != _SERVER:
            self._platforms[platform] += len(people)
        for place, account in enumerate(people):
            who = packet.room_id, account
            entered = self._entered.pop(who, None)
            if entered is not None and packet.event_time > entered:
                self._stays.add(packet.event_time - entered, whole=own_end and place == 0)
            if packet.type != "Kicked":
                self._left[who] = packet.event_time

    def _mix(self) -> dict[str, int]:
        """Decisions to leave: a kick of several is one."""
        return {"leave": self.leaves["Leave"], "kicked": self._kicks.count, "expired": self.leaves["Expired"]}

    def _enter(self, packet: EnterPacket) -> None:
        self._crowd.note(packet.room_id, packet.member_count, 0)
        self._note_time(packet.event_time)
        for account in packet.member_list_account:
            who = packet.room_id, account
            self._entered[who] = packet.event_time
            left = self._left.pop(who, None)
            self._returned += left is not None and packet.event_time - left <= _AGAIN_MS

    def _note_time(self, event_time: int) -> None:
        first, last = self._span_ms or (event_time, event_time)
        self._span_ms = min(first, event_time), max(last, event_time)


class _Kicks:
    """Counts kicks; ``of_several`` put out several people, whether one packet says so or one each."""

    def __init__(self) -> None:
        self.count = 0
        self.of_several = 0
        self._last: tuple[str, str, int] | None = None
        self._people = 0

    def note(self, kick: tuple[str, str, int], people: int) -> bool:
        """*people* were put out in the *kick*: its room, its operator and its time. Whether it is a new one."""
        again = kick == self._last
        self._people = self._people * again + people
        self.count += not again
        self.of_several += self._people > 1 >= self._people - people
        self._last = kick
        return not again


class _Stays:
    """Stays (ms) of which some are cut short: by a kick of others, or by the end of the record."""

    def __init__(self) -> None:
        self._seen: list[tuple[int, bool]] = []

    def __len__(self) -> int:
        return len(self._seen)

    def add(self, stay_ms: int, *, whole: bool) -> None:
        """A visit lasted *stay_ms*, or at least that long unless *whole*."""
        self._seen.append((stay_ms, whole))

    def median_and_spread(self, entered: Iterable[int], until: int) -> tuple[float, float] | None:
        """Median (ms) and standard deviation of the logarithm, from the quartiles of a Kaplan-Meier curve.

        Those who *entered* and have not left stay at least *until* then. None if nobody left after an enter.
        """
        if not self._seen:
            return None
        inside = [(max(0, until - one), False) for one in entered]
        stays = sorted([*self._seen, *inside])
        left, found = 1.0, {0.75: 0.0, 0.5: 0.0}
        for place, (stay_ms, whole) in enumerate(stays):
            left *= 1 - whole / (len(stays) - place)
            for share, reached in found.items():
                if not reached and left <= share:
                    found[share] = float(stay_ms)
        median = found[0.5] or float(stays[-1][0])
        quartile = found[0.75] or median
        return median, math.log(median / max(1.0, quartile)) / _QUARTILE


class _Crowd:
    """The most people and the most rooms that were there at once, from MemberCount of each room."""

    def __init__(self) -> None:
        self.most_people = 0
        self.most_rooms = 0
        self._inside: dict[str, int] = {}
        self._people = 0

    def note(self, room: str, count: int, left: int) -> None:
        """*count* people are in *room* after *left* have left."""
        self._set(room, count + left)
        self.most_people = max(self.most_people, self._people)
        self.most_rooms = max(self.most_rooms, len(self._inside))
        self._set(room, count)

    def _set(self, room: str, count: int) -> None:
        self._people += max(0, count) - self._inside.pop(room, 0)
        if count > 0:
            self._inside[room] = count


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{name} = {_toml(one)}" for name, one in value.items()) + " }"
    return f'"{value}"' if isinstance(value, str) else str(value)
