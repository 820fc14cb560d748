"""What is planned for people: happenings in a room, and lots that say who comes, for how long, and what ends it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import msgspec

from roomhook.simulator.chance import LOTS, QUANTILES, Chance, exponential, log_normal
from roomhook.simulator.people import ADDRESSES, address, weighted
from roomhook.simulator.profiles import Phase

__all__ = ["TABLE", "Happening", "Lot", "Texts", "draw_lots"]

TABLE: Final = 256
"""Entries of a table of names, texts or choices."""

_SECOND: Final = 1000
_AWAY: Final = 30 * _SECOND
_GAPS: Final = 1 << 20
_PARTS: Final = 1 << 30


class Happening:
    """What can happen in a room. It is no enum because an enum's members take longer to look up."""

    END: Final = 0
    STAGE: Final = 1
    PERIOD: Final = 2
    FILL: Final = 3
    ARRIVE: Final = 4
    RETURN: Final = 5
    RECOVER: Final = 6
    LOSE: Final = 7
    SHOCK: Final = 8
    LEAVE: Final = 9
    LEAVE_AND_RETURN: Final = 10
    KICK: Final = 11
    EXPIRE: Final = 12
    OWNER_GONE: Final = 13
    WAVE: Final = 14
    EVICT: Final = 15


class Texts(NamedTuple):
    """What accounts begin with, and ``TABLE`` reasons for each happening that ends a visit."""

    stems: Sequence[str]
    reasons: Mapping[int, Sequence[str]]


class Lot(msgspec.Struct, frozen=True, gc=False):
    """What one draw decides about a visit: who comes and when the next one does, how long he stays and what ends it.

    ``gap`` is in units of the mean gap, and ``part`` (0 to 1) is for whatever lies evenly between two bounds. ``rest``
    is what is left of the stay of somebody who is there already, ``away`` how long somebody is gone who ``returns``;
    these and ``stay`` are in ms. ``farewell`` is the Reason of one whose room ends, ``silence`` that of one who
    expires.
    """

    stem: str
    client_ip: str
    platform: str
    is_admin: bool
    gap: float
    part: float
    stay: int
    rest: int
    ending: int
    reason: str
    recovers: bool
    silence: str
    returns: bool
    away: int
    farewell: str


def draw_lots(phase: Phase, texts: Texts, chance: Chance) -> list[Lot]:
    """``LOTS`` lots, so that in the rooms, one draw from them is enough for each visit."""
    endings = weighted(_endings(phase), QUANTILES)
    platforms = weighted(phase.platforms, TABLE)
    gaps, aways, stays = exponential(_GAPS), exponential(_AWAY), log_normal(phase.stay, phase.stay_sigma)
    # Whom one finds in a room tends to be somebody who stays long, in the middle of his stay.
    found = log_normal(phase.stay * math.exp(phase.stay_sigma**2), phase.stay_sigma)
    lots: list[Lot] = []
    for _ in range(LOTS):
        ending = chance.choice(endings)
        lots.append(
            Lot(
                stem=chance.choice(texts.stems),
                client_ip=address(chance.below(ADDRESSES)),
                platform=chance.choice(platforms),
                is_admin=chance.below(16) == 0,
                gap=chance.choice(gaps) / _GAPS,
                part=chance.below(_PARTS) / _PARTS,
                stay=max(_SECOND, chance.choice(stays)),
                rest=max(_SECOND, chance.choice(found) * chance.below(_PARTS) // _PARTS),
                ending=ending,
                reason=chance.choice(texts.reasons[ending]),
                recovers=chance.hit(phase.recover),
                silence=chance.choice(texts.reasons[Happening.LOSE]),
                returns=chance.hit(phase.reenter),
                away=_SECOND + chance.choice(aways),
                farewell=chance.choice(texts.reasons[Happening.EVICT]),
            )
        )
    return lots


def _endings(phase: Phase) -> dict[int, float]:
    """What ends a visit, by weight; heartbeats get lost more often than they expire, since some recover."""
    mix = phase.mix
    return {
        Happening.LEAVE: mix.leave * (1 - phase.reenter),
        Happening.LEAVE_AND_RETURN: mix.leave * phase.reenter,
        Happening.KICK: mix.kicked,
        Happening.LOSE: mix.expired / (1 - phase.recover),
    }
