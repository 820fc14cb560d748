"""Phases on the time line: start and end, room sizes, and tables to draw visits from."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

import msgspec

from roomhook.errors import ConfigurationError
from roomhook.simulator.rooms.people import NETWORKS, network, weighted
from roomhook.simulator.traffic.profiles import EVENING, DayCurve, Phase, Profile
from roomhook.simulator.traffic.visits import draw_visits
from roomhook.simulator.util.random_stream import QUANTILES, RandomStream, pareto

__all__ = ["ActivePhase", "PhaseContext", "activate"]


_WEIGHT_SCALE: Final = 1 << 20
_CAPACITY: Final = 300
"""MaxMemberCount in the documented samples (protocol.md 4)."""

_FOREVER: Final = 1 << 62
_LONGEST_GAP: Final = float(1 << 50)
_LEAST_WEIGHT: Final = 1e-9
_WAVES: Final = frozenset({Profile.DISSOLVE, Profile.OUTAGE, Profile.KICK_WAVE})


@dataclass(frozen=True, slots=True)
class PhaseContext:
    """What all phases share; ``offset`` is in ms, ``heartbeat_ms`` the longest time that a member can be silent."""

    seed: int
    offset: int
    heartbeat_ms: int


class ActivePhase:
    """A phase with its place in time: from ``start`` to ``end`` (ms since the epoch).

    ``visits`` has the templates to draw from, ``every`` is the length (ms) of a period, and ``is_even`` says that all
    hours are equally busy.
    """

    def __init__(self, phase: Phase, start: int, context: PhaseContext, number: int) -> None:
        self.phase = phase
        self.start = start
        self.end = _FOREVER if phase.duration is None else start + phase.duration
        self.every = min(phase.every, self.end - start)
        self._curve: DayCurve | None = EVENING if phase.profile is Profile.EVENING else None
        self._context = context
        self.is_even = self._curve is None
        self._stream = f"stage/{number}"
        self._check()
        self.kick_by = weighted(msgspec.structs.asdict(phase.kick_by), QUANTILES)
        self.visits = draw_visits(phase, RandomStream(context.seed, f"{self._stream}/lots"))
        self._sizes = _sizes(phase, context.seed)

    def size(self, room: int) -> int:
        """How many people the room is for, in the busiest hour."""
        return self._sizes[room] if room < len(self._sizes) else 0

    def goal(self, room: int, now: int) -> int:
        """How many people should be in the room at *now* (ms)."""
        size = self.size(room)
        return size if self._curve is None else round(size * self._curve.weight(now + self._context.offset))

    def capacity(self, room: int) -> int:
        """The maximum number of people in the room."""
        return self.phase.capacity or max(_CAPACITY, 2 * self.size(room))

    def gap_ms(self, people: int) -> float:
        """The mean time (ms, in the busiest hour) between arrivals that keep *people* there; 0 if nobody comes."""
        flow = people * self.phase.flow
        return min(self.mean_stay_ms / flow, _LONGEST_GAP) if flow else 0.0

    @property
    def mean_stay_ms(self) -> float:
        """How long people stay on average."""
        return self.phase.stay * math.exp(self.phase.stay_sigma**2 / 2)

    @property
    def has_waves(self) -> bool:
        """Whether everybody leaves at once, once each period."""
        return self.phase.profile in _WAVES

    @property
    def _aftermath(self) -> int:
        """How long (ms) a wave lasts at most."""
        return self._context.heartbeat_ms if self.phase.profile is Profile.OUTAGE else self.phase.sweep

    def after(self, now: int, wait: float) -> int:
        """When, from *now* on, *wait* ms of the busiest hour have passed; quiet hours count for less."""
        if self._curve is None:
            return now + int(wait)
        offset = self._context.offset
        return max(now, self._curve.local(self._curve.operational(now + offset) + wait) - offset)

    def shock(self, period: int, random: RandomStream) -> int:
        """When (ms) the wave begins in the period that begins at *period*: an outage hits all rooms at one moment.

        By then the rooms are full, and the wave ends within the period.
        """
        if self.phase.profile is Profile.OUTAGE:
            random = RandomStream(self._context.seed, f"{self._stream}/{period - self.start}")
        return random.between(period + self.phase.fill, period + self.every - self._aftermath)

    def in_region(self, client_ip: str, now: int) -> bool:
        """Whether an address belongs to the part of the network that the outage at *now* (ms) hits.

        Each outage hits another part: otherwise rooms would fill with people whom no outage ever hits.
        """
        width = self.phase.share * NETWORKS
        first = (now - self.start) // self.every * int(max(1, width))
        return (network(client_ip) - first) % NETWORKS < width

    def _check(self) -> None:
        """Raise ``ConfigurationError`` if the parameters contradict each other."""
        phase = self.phase
        if phase.members < phase.rooms:
            raise ConfigurationError(
                f"{phase.profile}: {phase.members} members can't fill {phase.rooms} rooms; give each room one at least"
            )
        shares = {name: msgspec.structs.astuple(getattr(phase, name)) for name in ("mix", "kick_by")}
        for what, weights in {**shares, "platforms": phase.platforms.values()}.items():
            if sum(weights) < _LEAST_WEIGHT:
                raise ConfigurationError(f"{phase.profile}: every share in {what} is 0; give one of them a weight")
        needed = phase.fill + self._aftermath
        if self.has_waves and self.every < needed:
            raise ConfigurationError(
                f"{phase.profile}: {self.every / 1000:g}s are too short to fill the rooms and let the wave pass; "
                f"make duration and every {needed / 1000:g}s at least, or fill shorter"
            )


def activate(phases: Sequence[Phase], start: int, context: PhaseContext) -> list[ActivePhase]:
    """*phases* one after another from *start* (ms since the epoch); only the last may be without an end.

    Raises ``ConfigurationError`` for contradictory parameters.
    """
    found: list[ActivePhase] = []
    for number, phase in enumerate(phases):
        found.append(ActivePhase(phase, start, context, number))
        start = found[-1].end
    return found


def _sizes(phase: Phase, seed: int) -> list[int]:
    """How many people each room is for: one at least, the rest by heavy-tailed weights; ``members`` in all."""
    if phase.size_tail:
        table = pareto(_WEIGHT_SCALE, phase.size_tail)
        random = RandomStream(seed, "sizes")
        weights = [random.choice(table) for _ in range(phase.rooms)]
    else:
        weights = [1] * phase.rooms
    spare, whole, before = phase.members - phase.rooms, sum(weights), 0
    sizes: list[int] = []
    for reached in accumulate(weights):
        upto = spare * reached // whole
        sizes.append(1 + upto - before)
        before = upto
    return sizes
