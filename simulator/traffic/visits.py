"""Visits: the actions that can be planned, and templates that say how long a visit is and how it ends."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec

from roomhook.simulator.rooms.people import ADDRESSES, REASONS, address, weighted
from roomhook.simulator.traffic.profiles import Phase
from roomhook.simulator.util.random_stream import QUANTILES, RandomStream, exponential, log_normal

__all__ = ["ActionKind", "Texts", "VisitTemplate", "draw_visits"]

_SECOND: Final = 1000
_AWAY: Final = 30 * _SECOND
_GAPS: Final = 1 << 20
_PARTS: Final = 1 << 30
_PEOPLE_TO_AN_ADMIN: Final = 50


class ActionKind:
    """What can be planned. Plain constants, because enum members take longer to look up."""

    END: Final = 0
    NOTHING: Final = 1
    PHASE: Final = 2
    PERIOD: Final = 3
    FILL: Final = 4
    ARRIVE: Final = 5
    RETURN: Final = 6
    RECOVER: Final = 7
    LOSE: Final = 8
    SHOCK: Final = 9
    LEAVE: Final = 10
    LEAVE_AND_RETURN: Final = 11
    KICK: Final = 12
    EXPIRE: Final = 13
    OWNER_GONE: Final = 14
    WAVE: Final = 15
    EVICT: Final = 16


class Texts(NamedTuple):
    """The names and sentences of the people of a group of rooms.

    Accounts start with one of ``stems``. The others are reasons for leaving, kicks, expiries and dissolutions:
    ``REASONS`` each.
    """

    stems: Sequence[str]
    leave: Sequence[str]
    kicked: Sequence[str]
    expired: Sequence[str]
    dissolved: Sequence[str]


class VisitTemplate(msgspec.Struct, frozen=True, gc=False):
    """One pre-drawn visit: address, platform, duration, ending, reason.

    ``gap`` is the time to the next arrival in units of the mean gap; ``part`` (0 to 1) is for anything evenly
    distributed between two bounds. ``rest`` is what is left of the stay of someone who is already there, ``away`` how
    long someone who ``returns`` is gone; these and ``stay`` are in ms. ``text`` selects a reason in ``Texts``.
    """

    client_ip: str
    platform: str
    is_admin: bool
    gap: float
    part: float
    stay: int
    ending: int
    text: int
    rest: int
    recovers: bool
    returns: bool
    away: int


def draw_visits(phase: Phase, random: RandomStream) -> list[VisitTemplate]:
    """``INDEX_RANGE`` templates, so that one draw is enough for each visit.

    Times, platforms and endings have the same shares among them as among all people.
    """
    spread = random.stratified
    # People found in a room tend to be those who stay long, in the middle of their stay.
    found = log_normal(phase.stay * math.exp(phase.stay_sigma**2), phase.stay_sigma)
    numbers = zip(
        spread(exponential(_GAPS)),
        spread(log_normal(phase.stay, phase.stay_sigma)),
        spread(found),
        spread(exponential(_AWAY)),
        strict=True,
    )
    names = zip(
        spread(weighted(phase.platforms, QUANTILES)),
        spread(weighted(_endings(phase), QUANTILES)),
        spread(range(REASONS)),
        strict=True,
    )
    return [
        VisitTemplate(
            client_ip=address(random.below(ADDRESSES)),
            platform=platform,
            is_admin=random.below(_PEOPLE_TO_AN_ADMIN) == 0,
            gap=gap / _GAPS,
            part=random.below(_PARTS) / _PARTS,
            stay=max(_SECOND, stay),
            ending=ending,
            text=text,
            rest=max(_SECOND, whole * random.below(_PARTS) // _PARTS),
            recovers=random.hit(phase.recover),
            returns=random.hit(phase.reenter),
            away=_SECOND + away,
        )
        for (gap, stay, whole, away), (platform, ending, text) in zip(numbers, names, strict=True)
    ]


def _endings(phase: Phase) -> dict[int, float]:
    """Endings of a visit by weight; more heartbeats are lost than expire, since some recover."""
    mix = phase.mix
    return {
        ActionKind.LEAVE: mix.leave * (1 - phase.reenter),
        ActionKind.LEAVE_AND_RETURN: mix.leave * phase.reenter,
        ActionKind.KICK: mix.kicked,
        ActionKind.LOSE: mix.expired / (1 - phase.recover),
    }
