"""Many rooms at once, event by event in the order of time: pure, and the same from the same seed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain
from typing import Final

import msgspec

from roomhook.simulator.protocol.callback_event import CallbackEvent
from roomhook.simulator.protocol.packets import EnterPacket, LeavePacket, encode
from roomhook.simulator.rooms.room import Member, Room
from roomhook.simulator.traffic.arrivals import ClientLocation, SharedWorld
from roomhook.simulator.traffic.departures import HANDLERS, RoomLifecycle
from roomhook.simulator.traffic.phases import ActivePhase
from roomhook.simulator.traffic.population import Participant, Population
from roomhook.simulator.traffic.scenario import Backend, ReasonStyle
from roomhook.simulator.traffic.visits import ActionKind
from roomhook.simulator.util.calendar_queue import CalendarQueue

__all__ = ["OTHER_SHARD", "World"]

_encode = msgspec.json.Encoder().encode  # one call less than packets.encode, which makes the same bytes
_END: Final = ActionKind.END
_BUCKET: Final = 16
"""Visits that should share a bucket of the calendar, at the most."""

_WIDEST_BITS: Final = 13
"""A bucket is 8 s wide at the most, lest much of what is planned belongs into the one at hand."""


OTHER_SHARD: Final = CallbackEvent(0, "", "", "", b"")
"""Stands for whatever is called back about the rooms of others."""


class World:
    """The corners with the numbers in *mine*, and if *others_live*, all others too, of which nothing is heard.

    Accounts begin with one of the *stems*. *speed* divides all time that has passed since the start: at 60, what
    happens in an hour is told as of a minute.
    """

    def __init__(
        self,
        stages: Sequence[ActivePhase],
        crowd: Population,
        backend: Backend,
        *,
        stems: Sequence[str],
        seed: int,
        mine: range,
        others_live: bool = False,
        with_enter: bool = False,
        speed: float = 1.0,
    ) -> None:
        self._start = stages[0].start
        self._queue: CalendarQueue[Participant] = CalendarQueue(_width_bits(stages))
        self._speed = speed
        self._absent = backend.reason is ReasonStyle.ABSENT
        around = SharedWorld(
            queue=self._queue,
            stages=stages,
            crowd=crowd,
            dialect=backend.dialect,
            rest=Member(backend.dialect.administrator, "0.0.0.0", "RESTAPI"),  # noqa: S104 (protocol.md 1.1)
            stems=stems,
            with_enter=with_enter,
            event=self._event if self._absent or speed != 1 else _plain_event,
        )
        self._queue.plan(Participant("", stages[0].lots[0], 0, 0, what=ActionKind.END), stages[-1].end)
        elsewhere = replace(around, event=_unheard)
        everywhere = range(crowd.corners)
        self._lives = {
            number: RoomLifecycle(number, seed, around if number in mine else elsewhere)
            for number in (everywhere if others_live else mine)
        }

    def events(self) -> Iterator[CallbackEvent]:
        """The callbacks in the order of their EventTime, with ``OTHER_SHARD`` in place of each of the others'."""
        return chain.from_iterable(self._stretches())

    def _stretches(self) -> Iterator[list[CallbackEvent]]:
        """The callbacks of one bucket of the calendar after another."""
        lives, handlers = self._lives, HANDLERS
        for beginning, bucket in self._queue.buckets():
            happened: list[CallbackEvent] = []
            for visitor in bucket:
                now, what = beginning + visitor.due, visitor.what
                visitor.due = -1
                if what == _END:
                    yield happened
                    return
                happened += handlers[what](lives[visitor.corner], visitor, now)
            if happened:
                yield happened

    @property
    def alive(self) -> int:
        """How many people are in rooms now."""
        return sum(len(room.members) for room in self._rooms())

    @property
    def rooms_alive(self) -> int:
        """How many rooms there are now."""
        return sum(1 for _ in self._rooms())

    def _rooms(self) -> Iterator[Room[Participant]]:
        return (room for life in self._lives.values() for room in life.rooms if room is not None)

    def _event(self, command: str, packet: LeavePacket | EnterPacket, client: ClientLocation) -> CallbackEvent:
        """As ``_plain_event``, with time compressed, and without a Reason where the backend would send none."""
        moment = self._start + int((packet.event_time - self._start) / self._speed)
        packet = msgspec.structs.replace(packet, event_time=moment)
        if self._absent and isinstance(packet, LeavePacket) and packet.type != "Kicked":
            fields = msgspec.to_builtins(packet)
            del fields["Reason"]
            body = msgspec.json.encode(fields)
        else:
            body = encode(packet)
        return CallbackEvent(moment, command, client.client_ip, client.platform, body, packet.type)


def _plain_event(command: str, packet: LeavePacket | EnterPacket, client: ClientLocation) -> CallbackEvent:
    return CallbackEvent(packet.event_time, command, client.client_ip, client.platform, _encode(packet), packet.type)


def _unheard(*_: object) -> CallbackEvent:
    return OTHER_SHARD


def _width_bits(stages: Sequence[ActivePhase]) -> int:
    """How wide the calendar's buckets should be: narrow where much happens in a ms, in a wave above all."""
    quickest = min(max(1, stage.phase.sweep) if stage.has_waves else stage.mean_stay_ms for stage in stages)
    densest = max(stage.phase.members for stage in stages) / quickest
    return min(_WIDEST_BITS, int(_BUCKET / densest).bit_length())
