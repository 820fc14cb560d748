"""Traffic: from what a user asks for to the stream of callbacks, in the order of time, made as they are taken."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final

from roomhook.errors import ConfigurationError
from roomhook.simulator.protocol.callback_event import CallbackEvent
from roomhook.simulator.rooms.people import reasons, shipped_locales, stems
from roomhook.simulator.rooms.room import Dissolution
from roomhook.simulator.traffic.phases import ActivePhase, PhaseContext, stages
from roomhook.simulator.traffic.population import Population
from roomhook.simulator.traffic.profiles import Profile
from roomhook.simulator.traffic.scenario import ReasonStyle, Scenario
from roomhook.simulator.traffic.visits import Texts
from roomhook.simulator.traffic.world import OTHER_SHARD, World

__all__ = ["FIXED_START_MS", "TrafficRequest", "events", "world"]

FIXED_START_MS: Final = 1_767_376_800_000
"""Friday, 2 January 2026, 18:00 UTC: the world's first moment where no other is asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrafficRequest:
    """What is asked for.

    ``start_ms`` is the world's first moment in ms since the epoch, ``offset_ms`` what the rooms' own time is ahead of
    UTC. ``limit`` is the number of callbacks after which it ends; with it and no duration of one's own, the last phase
    goes on until then. ``rooms`` and ``people`` are existing ids. ``shard`` is (I, N): the I-th of N disjoint parts of
    the rooms. ``speed`` divides the time that passes.
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
    shard: tuple[int, int] = (1, 1)
    speed: float = 1.0


def events(traffic: TrafficRequest, rooms: World | None = None) -> Iterator[CallbackEvent]:
    """The callbacks of *traffic*, lazily and in the order of their time; raises ``ConfigurationError`` at once.

    *rooms* is its ``world``, if that has been made already.
    """
    happening = (rooms or world(traffic)).events()
    if traffic.limit is None:
        return happening
    return (event for event in islice(happening, traffic.limit) if event is not OTHER_SHARD)


def world(traffic: TrafficRequest) -> World:
    """The rooms of *traffic* in their first moment; raises ``ConfigurationError`` for what can't be."""
    _refuse_silence(traffic)
    backend, (part, parts) = traffic.scenario.backend, traffic.shard
    texts = _texts(traffic.locales or shipped_locales(), backend.reason)
    setting = PhaseContext(traffic.seed, traffic.offset_ms, backend.dialect.heartbeat_ms[1], texts)
    acts = stages(traffic.scenario.phases, traffic.start_ms, setting)
    crowd = _crowd(traffic, acts)
    return World(
        acts,
        crowd,
        backend,
        stems=texts.stems,
        seed=traffic.seed,
        mine=range(part - 1, crowd.corners, parts),
        others_live=traffic.limit is not None,
        with_enter=traffic.with_enter,
        speed=traffic.speed,
    )


def _refuse_silence(traffic: TrafficRequest) -> None:
    """Raise ``ConfigurationError`` if nothing would ever be called back and the wait for it would not end."""
    last = traffic.scenario.phases[-1]
    if traffic.limit is None or last.duration is not None or traffic.with_enter or last.flow:
        return
    silent = {
        Profile.EVENING: True,
        Profile.STEADY: True,
        Profile.DISSOLVE: traffic.scenario.backend.dialect.dissolution is Dissolution.NONE,
        Profile.OUTAGE: not last.share,
        Profile.KICK_WAVE: not last.share or last.members == last.rooms,
    }
    if silent[last.profile]:
        raise ConfigurationError(
            f"{last.profile}: nothing would ever be called back; give a duration, or other parameters"
        )


def _crowd(traffic: TrafficRequest, acts: list[ActivePhase]) -> Population:
    count = max(stage.phase.rooms for stage in acts)
    if traffic.rooms and count > len(traffic.rooms):
        raise ConfigurationError(f"{count} rooms are asked for and only {len(traffic.rooms)} exist; ask for fewer")
    sizes = [max(stage.size(room) for stage in acts) for room in range(count)]
    members = max(stage.phase.members for stage in acts)
    if traffic.people and members > len(traffic.people):
        raise ConfigurationError(
            f"{members} members are asked for and only {len(traffic.people)} people exist; ask for fewer"
        )
    return Population(traffic.seed, sizes, people=traffic.people, room_ids=traffic.rooms)


def _texts(locales: tuple[str, ...], style: ReasonStyle) -> Texts:
    """What is said: a kick always has its Reason, whatever the *style* of the others."""
    kinds = ("Leave", "Expired", "Dissolved")
    said = {kind: reasons(kind, locales) if style is ReasonStyle.TEXT else ("",) for kind in kinds}
    return Texts(stems(locales), {**said, "Kicked": reasons("Kicked", locales)})
