"""The endless stream of callbacks of a load test: the simulator's rooms, each event stamped when it is sent."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

import msgspec

from roomhook.errors import ConfigurationError
from roomhook.loadtests.workload.settings import LoadSettings
from roomhook.simulator.protocol.callback_event import CallbackEvent
from roomhook.simulator.rooms.room_ids import room_id
from roomhook.simulator.traffic.generator import TrafficRequest, events
from roomhook.simulator.traffic.profiles import Phase, Profile, defaults
from roomhook.simulator.traffic.scenario import Scenario

__all__ = ["NAMES", "callbacks", "stamped"]

NAMES: Final = ("Leave", "Kicked", "Expired", "Enter")
"""The names under which requests are counted: ``check_out`` of their events, the enter callback among them."""

_ENDLESS: Final = frozenset({Profile.EVENING, Profile.STEADY})
_ROOMS: Final = 100
_WAVE_ROOMS: Final = 20
_NEXT_WORLD: Final = 1_000_003
_TIME: Final = b'"EventTime":'


def callbacks(settings: LoadSettings) -> Iterator[CallbackEvent]:
    """Callbacks without end, the same from the same settings; raises ``ConfigurationError`` at once.

    A wave (dissolve, outage, kick-wave) is followed by the next one, in new rooms.
    """
    ids, people, share = settings.room_ids(), settings.accounts(), settings.share
    phase = _phase(settings, len(ids), len(people))
    if share.parts > phase.rooms:
        raise ConfigurationError(
            f"{share.parts} workers need at least one room each: use --rooms {share.parts} or more"
        )
    room_ids = _annexed(phase.rooms, share.annex) if share.annex else ids

    def world(number: int) -> Iterator[CallbackEvent]:
        traffic = TrafficRequest(
            scenario=Scenario((phase,)),
            seed=settings.seed + share.annex + number * _NEXT_WORLD,
            with_enter=settings.with_enter,
            rooms=room_ids,
            people=people,
            shard=(share.part, share.parts),
        )
        return events(traffic)

    return _chained(world(0), world)


def _chained(
    first: Iterator[CallbackEvent], world: Callable[[int], Iterator[CallbackEvent]]
) -> Iterator[CallbackEvent]:
    number, stream, empty = 0, first, 0
    while True:
        sent = False
        for event in stream:
            sent = True
            yield event
        empty = 0 if sent else empty + 1
        if empty == 10:
            raise ConfigurationError("these rooms cause no callbacks: choose another profile or more --rooms")
        number += 1
        stream = world(number)


def _phase(settings: LoadSettings, rooms: int, people: int) -> Phase:
    profile = Profile(settings.profile)
    given: dict[str, object] = {"rooms": rooms or settings.rooms or (_ROOMS if profile in _ENDLESS else _WAVE_ROOMS)}
    if people:
        given["members"] = people
    if profile in _ENDLESS:
        given["duration"] = None
    return msgspec.convert(defaults(profile, given), Phase)


def _annexed(count: int, annex: int) -> tuple[str, ...]:
    """Ids with two numbers, which no other annex and no generated room has: generated ones have one number."""
    return tuple(room_id(one, f"{annex}-{10_000 + one}") for one in range(count))


def stamped(event: CallbackEvent, now_ms: int) -> CallbackEvent:
    """*event* with the EventTime *now_ms* (ms since the epoch): the rate does not follow the rooms' clock."""
    body, mark, time = event.body.rpartition(_TIME)
    if not mark or not time[:-1].isdigit():
        return event
    body = b"%b%b%d}" % (body, mark, now_ms)
    return CallbackEvent(now_ms, event.command, event.client_ip, event.platform, body, event.check_out)
