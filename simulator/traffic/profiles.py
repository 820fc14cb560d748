"""Traffic profiles: the parameters of a phase, with a documented default for each."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from enum import StrEnum
from itertools import accumulate
from typing import Any, Final

import msgspec

from roomhook.errors import ConfigurationError
from roomhook.simulator.rooms.people import PLATFORM_SHARES
from roomhook.simulator.util.limits import MOST

__all__ = ["DEFAULTS", "EVENING", "CheckOutMix", "DayCurve", "KickedBy", "Phase", "Profile", "defaults"]

_MINUTE: Final = 60_000
_HOUR: Final = 60 * _MINUTE
_DAY: Final = 24 * _HOUR
_MINUTES_A_DAY: Final = 24 * 60


class Profile(StrEnum):
    """What kind of traffic it is."""

    EVENING = "evening"
    STEADY = "steady"
    DISSOLVE = "dissolve"
    OUTAGE = "outage"
    KICK_WAVE = "kick-wave"


class CheckOutMix(msgspec.Struct, frozen=True, kw_only=True):
    """How common each check-out method is among members whom no wave hits."""

    leave: float = 0
    kicked: float = 0
    expired: float = 0


class KickedBy(msgspec.Struct, frozen=True, kw_only=True):
    """How common each operator of a kick is; where the room has no such person, the REST administrator acts."""

    owner: float = 0
    admin: float = 0
    rest: float = 0


class Phase(msgspec.Struct, frozen=True, kw_only=True):
    """A stretch of time under one profile: durations in ms, shares from 0 to 1 (docs/reference-traffic.md)."""

    profile: Profile
    duration: int | None
    rooms: int
    members: int
    every: int
    fill: int
    sweep: int
    share: float
    flow: float
    size_tail: float
    stay: int
    stay_sigma: float
    mix: CheckOutMix
    platforms: Mapping[str, float]
    recover: float
    reenter: float
    kick_bulk: float
    kick_by: KickedBy
    owner_ends: float
    owner_grace: int
    capacity: int


DEFAULTS: Final[Mapping[str, Any]] = {
    "rooms": 1,
    "every": 5 * _MINUTE,
    "fill": 30_000,
    "sweep": 3_000,
    "share": 1,
    "flow": 0,
    "size_tail": 0,
    "stay": 12 * _MINUTE,
    "stay_sigma": 1,
    "mix": {"leave": 84, "kicked": 4, "expired": 12},
    "platforms": dict(PLATFORM_SHARES),
    "recover": 0.3,
    "reenter": 0.1,
    "kick_bulk": 0.2,
    "kick_by": {"owner": 2, "admin": 1, "rest": 1},
    "owner_ends": 0.3,
    "owner_grace": 10 * _MINUTE,
    "capacity": 0,
}
"""What a phase takes that does not say otherwise; rooms, members and duration depend on the profile (``defaults``)."""

_FLOWING: Final = {"rooms": 100, "fill": _MINUTE, "flow": 1, "size_tail": 1.5}
_OWN: Final[Mapping[Profile, Mapping[str, Any]]] = {
    Profile.EVENING: {**_FLOWING, "duration": _DAY},
    Profile.STEADY: {**_FLOWING, "duration": _HOUR},
    Profile.DISSOLVE: {},
    Profile.OUTAGE: {"share": 0.5, "recover": 0, "reenter": 0.8},
    Profile.KICK_WAVE: {"share": 0.5},
}
_ROOM_SIZE: Final = {Profile.EVENING: 10, Profile.STEADY: 10}
_WAVE_SIZE: Final = 200


def defaults(profile: Profile, given: Mapping[str, Any]) -> dict[str, Any]:
    """Every parameter of a phase under *profile*, with those that are *given* in their place.

    Of rooms and members, either follows from the other; a wave lasts for one period of itself. Raises
    ``ConfigurationError`` for more of either than ``limits.MOST``.
    """
    size = _ROOM_SIZE.get(profile, _WAVE_SIZE)
    if "members" in given and "rooms" not in given and profile in _ROOM_SIZE:
        given = {**given, "rooms": max(1, given["members"] // size)}
    found: dict[str, Any] = {**DEFAULTS, **_OWN[profile], **given, "profile": profile}
    found.setdefault("members", found["rooms"] * size)
    found.setdefault("duration", found["every"])
    if max(found["rooms"], found["members"]) > MOST:
        raise ConfigurationError(
            f"{found['rooms']:,} rooms with {found['members']:,} people are too many: "
            f"ask for at most {MOST:,} of either, as in {MOST // size:,} rooms of {size}"
        )
    return found


class DayCurve:
    """How busy each hour of a day is, and the clock that runs as fast as it is busy.

    ``hours`` are 24 weights, 1 for the busiest hour; between two hours the weight moves on a straight line. Arrivals
    that are evenly spaced on that clock are dense in the evening and rare at night.
    """

    def __init__(self, hours: tuple[float, ...]) -> None:
        self._weights = [
            hours[minute // 60] + (hours[(minute // 60 + 1) % 24] - hours[minute // 60]) * (minute % 60) / 60
            for minute in range(_MINUTES_A_DAY)
        ]
        self._until = [0.0, *accumulate(weight * _MINUTE for weight in self._weights)]

    def weight(self, local_ms: int) -> float:
        """How busy it is at *local_ms* (ms since the epoch, of the rooms' own time zone), from 0 to 1."""
        return self._weights[local_ms % _DAY // _MINUTE]

    def operational(self, local_ms: int) -> float:
        """What that clock shows, in operational ms, at *local_ms*."""
        day, time = divmod(local_ms, _DAY)
        minute, rest = divmod(time, _MINUTE)
        return day * self._until[-1] + self._until[minute] + rest * self._weights[minute]

    def local(self, operational_ms: float) -> int:
        """The moment in ms at which that clock shows *operational_ms*."""
        day, time = divmod(operational_ms, self._until[-1])
        minute = bisect_right(self._until, time) - 1
        return int(day) * _DAY + minute * _MINUTE + int((time - self._until[minute]) / self._weights[minute])


EVENING: Final = DayCurve(
    tuple(
        thousandths / 1000
        for twelve_hours in (
            (120, 70, 50, 40, 40, 50, 90, 160, 260, 340, 380, 400),
            (420, 400, 380, 400, 450, 550, 700, 880, 1000, 970, 720, 360),
        )
        for thousandths in twelve_hours
    )
)
"""A day whose busiest hour begins at 20:00 and which is nearly empty before dawn."""
