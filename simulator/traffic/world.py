"""Many rooms at once, event by event in the order of time; pure, and the same for the same seed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import chain
from typing import Final

import msgspec

from roomhook.simulator.protocol.callback_event import CallbackEvent
from roomhook.simulator.protocol.packets import EnterPacket, LeavePacket, encode
from roomhook.simulator.rooms.room import Member, Room
from roomhook.simulator.traffic.arrivals import Arrivals
from roomhook.simulator.traffic.departures import Departures
from roomhook.simulator.traffic.phases import ActivePhase
from roomhook.simulator.traffic.population import Participant, Population
from roomhook.simulator.traffic.room_group import ClientLocation, Happen, RoomGroup, SharedWorld
from roomhook.simulator.traffic.scenario import Backend, ReasonStyle
from roomhook.simulator.traffic.visits import ActionKind, Texts
from roomhook.simulator.util.calendar_queue import CalendarQueue

__all__ = ["OTHER_SHARD", "World"]

_encode = msgspec.json.Encoder().encode  # one call less than packets.encode, which makes the same bytes
_Handler = Callable[[Participant, int], None]
_END: Final = ActionKind.END
_BUCKET: Final = 64
"""The maximum number of visits that should share a bucket of the calendar."""

_WIDEST_BITS: Final = 13
"""A bucket is at most 8 s wide; otherwise many plans would belong into the current one."""


OTHER_SHARD: Final = CallbackEvent(0, "", "", "", b"")
"""Stands for any callback about rooms outside this shard."""


class World:
    """The groups with the numbers in *mine*; *others_live* also runs the others, whose callbacks stay unseen.

    Each group has one of the *texts*. *speed* divides the time that has passed since the start: at 60, an hour of
    the simulation takes a minute.
    """

    def __init__(
        self,
        active_phases: Sequence[ActivePhase],
        population: Population,
        backend: Backend,
        *,
        texts: Sequence[Texts],
        seed: int,
        mine: range,
        others_live: bool = False,
        with_enter: bool = False,
        speed: float = 1.0,
    ) -> None:
        self._start = active_phases[0].start
        self._queue: CalendarQueue[Participant] = CalendarQueue(_width_bits(active_phases))
        self._happened: list[CallbackEvent] = []  # in the current bucket of the calendar
        self._speed = speed
        self._absent = backend.reason is ReasonStyle.ABSENT
        shared = SharedWorld(
            queue=self._queue,
            active_phases=active_phases,
            population=population,
            behaviour=backend.behaviour,
            rest=Member(backend.behaviour.administrator, "0.0.0.0", "RESTAPI"),  # noqa: S104 (protocol.md 1.1)
            texts=texts,
            with_enter=with_enter,
            happen=self._happen if self._absent or speed != 1 else _plainly(self._happened),
        )
        self._queue.plan(Participant("", active_phases[0].visits[0], 0, 0, what=ActionKind.END), active_phases[-1].end)
        elsewhere = replace(shared, happen=self._happen_elsewhere)
        everywhere = range(population.groups)
        self._groups = {
            number: RoomGroup(number, seed, shared if number in mine else elsewhere)
            for number in (everywhere if others_live else mine)
        }
        self._handlers = {number: _handlers(group) for number, group in self._groups.items()}

    def events(self) -> Iterator[CallbackEvent]:
        """The callbacks in the order of their EventTime, with ``OTHER_SHARD`` in place of each of the others'."""
        return chain.from_iterable(self._stretches())

    def _stretches(self) -> Iterator[list[CallbackEvent]]:
        """The callbacks, one bucket of the calendar after another."""
        handlers, happened = self._handlers, self._happened
        for beginning, bucket in self._queue.buckets():
            for participant in bucket:
                now, what = beginning + participant.due, participant.what
                participant.due = -1
                if what == _END:
                    yield happened
                    return
                handlers[participant.group][what](participant, now)
            if happened:
                yield happened
                happened.clear()

    @property
    def alive(self) -> int:
        """How many people are in rooms now."""
        return sum(len(room.members) for room in self._rooms())

    @property
    def rooms_alive(self) -> int:
        """How many rooms there are now."""
        return sum(1 for _ in self._rooms())

    def _rooms(self) -> Iterator[Room[Participant]]:
        return (room for group in self._groups.values() for room in group.rooms if room is not None)

    def _happen(self, command: str, packet: LeavePacket | EnterPacket, client: ClientLocation) -> None:
        """As ``_plainly``, with compressed time, and without a Reason where the backend sends none."""
        moment = self._start + int((packet.event_time - self._start) / self._speed)
        packet = msgspec.structs.replace(packet, event_time=moment)
        if self._absent and isinstance(packet, LeavePacket) and packet.type != "Kicked":
            fields = msgspec.to_builtins(packet)
            del fields["Reason"]
            body = msgspec.json.encode(fields)
        else:
            body = encode(packet)
        event = CallbackEvent(moment, command, client.client_ip, client.platform, body, packet.type)
        self._happened.append(event)

    def _happen_elsewhere(self, *_: object) -> None:
        self._happened.append(OTHER_SHARD)


def _handlers(group: RoomGroup) -> tuple[_Handler, ...]:
    """What each kind of action does in *group*, by its number; what a later plan has replaced does nothing."""
    by_kind = {**Arrivals(group).handlers(), **Departures(group).handlers()}
    return tuple(by_kind.get(what, _do_nothing) for what in range(max(by_kind) + 1))


def _do_nothing(_: Participant, __: int) -> None:
    pass


def _plainly(happened: list[CallbackEvent]) -> Happen:
    """Adds each callback to *happened*."""
    add = happened.append

    def happen(command: str, packet: LeavePacket | EnterPacket, client: ClientLocation) -> None:
        body = _encode(packet)
        add(CallbackEvent(packet.event_time, command, client.client_ip, client.platform, body, packet.type))

    return happen


def _width_bits(active_phases: Sequence[ActivePhase]) -> int:
    """The width of the calendar's buckets: narrow where much happens in a ms, as in a wave."""
    quickest = min(max(1, active.phase.sweep) if active.has_waves else active.mean_stay_ms for active in active_phases)
    densest = max(active.phase.members for active in active_phases) / quickest
    return min(_WIDEST_BITS, int(_BUCKET / densest).bit_length())
