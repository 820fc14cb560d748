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
_GAPS: Final = 1 << 20


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
    """What one draw decides about a visit: the person, the time to the next one's coming, the stay (ms) and its end.

    ``gap`` is in units of the mean gap; ``rest`` is what is left (ms) of the stay of somebody who is there already.
    """

    stem: str
    client_ip: str
    platform: str
    is_admin: bool
    gap: float
    stay: int
    rest: int
    ending: int
    reason: str


def draw_lots(phase: Phase, texts: Texts, chance: Chance) -> list[Lot]:
    """``LOTS`` lots, so that in the rooms, one draw from them is enough for each visit.

    Raises ``ValueError`` if all shares of platforms or of the mix are 0.
    """
    endings = weighted(_endings(phase), QUANTILES)
    platforms = weighted(phase.platforms, TABLE)
    if not endings or not platforms:
        raise ValueError("there is nothing to draw from")
    gaps, stays = exponential(_GAPS), log_normal(phase.stay, phase.stay_sigma)
    # Whom one finds in a room tends to be somebody who stays long, in the middle of his stay.
    found = log_normal(phase.stay * math.exp(phase.stay_sigma**2), phase.stay_sigma)
    lots: list[Lot] = []
    for _ in range(LOTS):
        who, what = chance.bits(), chance.bits()
        ending = endings[what & 4095]
        lots.append(
            Lot(
                stem=texts.stems[(who >> 48) * len(texts.stems) >> 16],
                client_ip=address(who & ADDRESSES - 1),
                platform=platforms[who >> 16 & 255],
                is_admin=who >> 24 & 15 == 0,
                gap=gaps[who >> 28 & 4095] / _GAPS,
                stay=max(_SECOND, stays[what >> 12 & 4095]),
                rest=max(_SECOND, found[what >> 24 & 4095] * (what >> 48) >> 16),
                ending=ending,
                reason=texts.reasons[ending][what >> 36 & 255],
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
