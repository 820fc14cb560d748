"""Generates the callbacks of a traffic request lazily, in the order of their time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Final, Self

from roomhook.errors import ConfigurationError
from roomhook.simulator.protocol.callback_event import CallbackEvent
from roomhook.simulator.rooms.behaviour import Dissolution
from roomhook.simulator.rooms.people import REASONS, language, shipped_locales
from roomhook.simulator.traffic.phases import ActivePhase, PhaseContext, activate
from roomhook.simulator.traffic.population import Population
from roomhook.simulator.traffic.profiles import Profile
from roomhook.simulator.traffic.scenario import ReasonStyle, Scenario
from roomhook.simulator.traffic.visits import Texts
from roomhook.simulator.traffic.world import OTHER_SHARD, World

__all__ = ["FIXED_START_MS", "TrafficRequest", "TrafficSource", "events", "world"]

FIXED_START_MS: Final = 1_767_376_800_000
"""Friday, 2 January 2026, 18:00 UTC: default start time of the simulation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrafficRequest:
    """Which traffic to generate.

    ``start_ms`` is the start of the simulation in ms since the epoch, ``offset_ms`` how far the rooms' local time is
    ahead of UTC. ``limit`` is the number of callbacks after which it ends; the last phase goes on until then if it has
    no duration. ``rooms`` and ``people`` are existing ids. ``shard`` is (I, N): the I-th of N disjoint parts of the
    rooms. ``speed`` divides the time that passes. Each room has the language of one of the ``locales``, unless
    ``mixed_languages`` mixes them.
    """

    scenario: Scenario
    seed: int
    start_ms: int = FIXED_START_MS
    offset_ms: int = 0
    limit: int | None = None
    with_enter: bool = False
    rooms: tuple[str, ...] = ()
    people: tuple[str, ...] = ()
    locales: tuple[str, ...] = ()
    mixed_languages: bool = False
    shard: tuple[int, int] = (1, 1)
    speed: float = 1.0


def events(traffic: TrafficRequest, rooms: World | None = None) -> Iterator[CallbackEvent]:
    """The callbacks of *traffic*, lazily and in the order of their time; raises ``ConfigurationError`` at once.

    *rooms* is its ``world``, if that exists already.
    """
    events_in_time = (rooms or world(traffic)).events()
    if traffic.limit is None:
        return events_in_time
    return (event for event in islice(events_in_time, traffic.limit) if event is not OTHER_SHARD)


def world(traffic: TrafficRequest) -> World:
    """The rooms of *traffic* at the start; raises ``ConfigurationError`` for an impossible request."""
    _refuse_silence(traffic)
    backend, (part, parts) = traffic.scenario.backend, traffic.shard
    context = PhaseContext(traffic.seed, traffic.offset_ms, backend.behaviour.heartbeat_ms[1])
    active_phases = activate(traffic.scenario.phases, traffic.start_ms, context)
    population = _population(traffic, active_phases)
    return World(
        active_phases,
        population,
        backend,
        texts=_texts(traffic),
        seed=traffic.seed,
        mine=range(part - 1, population.groups, parts),
        others_live=traffic.limit is not None,
        with_enter=traffic.with_enter,
        speed=traffic.speed,
    )


@dataclass
class TrafficSource:
    """Source of the callbacks of ``traffic`` for the sender; builds the rooms when needed, so it can be pickled."""

    traffic: TrafficRequest
    _world: World | None = field(default=None, init=False, repr=False)

    @classmethod
    def part(cls, traffic: TrafficRequest, part: int, parts: int) -> Self:
        """Part *part* (from 1) of *parts* of the rooms that *traffic* asks for."""
        mine, shards = traffic.shard
        return cls(replace(traffic, shard=(mine + (part - 1) * shards, shards * parts)))

    def events(self) -> Iterator[CallbackEvent]:
        """All callbacks, from the first one."""
        self._world = world(self.traffic)
        return events(self.traffic, self._world)

    def alive(self) -> int | None:
        """How many rooms exist now; None before the first callback."""
        return None if self._world is None else self._world.rooms_alive


def _refuse_silence(traffic: TrafficRequest) -> None:
    """Raise ``ConfigurationError`` if no callback would ever occur and the run would never end."""
    last = traffic.scenario.phases[-1]
    if traffic.limit is None or last.duration is not None or traffic.with_enter or last.flow:
        return
    silent = {
        Profile.EVENING: True,
        Profile.STEADY: True,
        Profile.DISSOLVE: traffic.scenario.backend.behaviour.dissolution is Dissolution.NONE,
        Profile.OUTAGE: not last.share,
        Profile.KICK_WAVE: not last.share or last.members == last.rooms,
    }
    if silent[last.profile]:
        raise ConfigurationError(f"{last.profile}: no callback would ever occur; give a duration, or other parameters")


def _population(traffic: TrafficRequest, active_phases: list[ActivePhase]) -> Population:
    count = max(active.phase.rooms for active in active_phases)
    if traffic.rooms and count > len(traffic.rooms):
        raise ConfigurationError(f"{count} rooms are asked for and only {len(traffic.rooms)} exist; ask for fewer")
    sizes = [max(active.size(room) for active in active_phases) for room in range(count)]
    members = max(active.phase.members for active in active_phases)
    if traffic.people and members > len(traffic.people):
        raise ConfigurationError(
            f"{members} members are asked for and only {len(traffic.people)} people exist; ask for fewer"
        )
    return Population(traffic.seed, sizes, people=traffic.people, room_ids=traffic.rooms)


def _texts(traffic: TrafficRequest) -> list[Texts]:
    """Names and reasons of each language, or of all together; a kick always has a Reason, whatever the style."""
    locales = traffic.locales or shipped_locales()
    silent = ("",) * REASONS if traffic.scenario.backend.reason is not ReasonStyle.TEXT else None
    found: list[Texts] = []
    for one in [locales] if traffic.mixed_languages else [(locale,) for locale in locales]:
        said = language(one)
        leave, kicked, expired, dissolved = (said.reasons[kind] for kind in ("Leave", "Kicked", "Expired", "Dissolved"))
        found.append(Texts(said.stems, silent or leave, kicked, silent or expired, silent or dissolved))
    return found
