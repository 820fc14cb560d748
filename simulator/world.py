"""Many rooms at once, event by event in the order of time: pure, and the same from the same seed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final, cast

import msgspec

from roomhook.simulator.calendar_queue import CalendarQueue
from roomhook.simulator.crowd import Crowd, Visitor
from roomhook.simulator.events import Event
from roomhook.simulator.life import HANDLERS, Life
from roomhook.simulator.packets import CheckOutMethod, EnterPacket, LeavePacket, encode
from roomhook.simulator.place import Surroundings
from roomhook.simulator.plans import Happening
from roomhook.simulator.rooms import Member
from roomhook.simulator.scenario import Backend, ReasonStyle
from roomhook.simulator.stages import Stage

__all__ = ["UNHEARD", "World"]

_encode = msgspec.json.Encoder().encode  # one call less than packets.encode, which makes the same bytes
_END: Final = Happening.END
_BUCKET: Final = 512
"""Visits that should share a bucket of the calendar, at the most."""

_WIDEST_BITS: Final = 13
"""A bucket is 8 s wide at the most, lest much of what is planned belongs into the one at hand."""


UNHEARD: Final = Event(0, "", "", "", b"")
"""Stands for whatever is called back about the rooms of others."""


class World:
    """The rooms with the numbers in *mine*, and if *others_live*, all others too, of which nothing is heard.

    *reasons* has texts for each happening that ends a visit. *speed* divides all time that has passed since the start:
    at 60, what happens in an hour is told as of a minute.
    """

    def __init__(
        self,
        stages: Sequence[Stage],
        crowd: Crowd,
        backend: Backend,
        reasons: Mapping[int, Sequence[str]],
        *,
        seed: int,
        mine: range,
        others_live: bool = False,
        with_enter: bool = False,
        speed: float = 1.0,
    ) -> None:
        self._start = stages[0].start
        self._queue: CalendarQueue[Visitor] = CalendarQueue(_width_bits(stages))
        self._speed = speed
        self._slots = crowd.slots
        self._absent = backend.reason is ReasonStyle.ABSENT
        around = Surroundings(
            queue=self._queue,
            stages=stages,
            crowd=crowd,
            dialect=backend.dialect,
            rest=Member(backend.dialect.administrator, "0.0.0.0", "RESTAPI"),  # noqa: S104 (protocol.md 1.1)
            reasons=reasons,
            slots=crowd.slots,
            with_enter=with_enter,
            event=self._event if self._absent or speed != 1 else _plain_event,
        )
        self._queue.plan(Visitor("", "", "", -1, what=Happening.END), stages[-1].end)
        elsewhere = replace(around, event=_unheard)
        self._lives = {
            number: Life(number, seed, around if number in mine else elsewhere)
            for number in (range(crowd.slots) if others_live else mine)
        }

    def events(self) -> Iterator[Event]:
        """The callbacks in the order of their EventTime, with ``UNHEARD`` in place of each of the others'."""
        lives = cast("list[Life]", [self._lives.get(number) for number in range(self._slots)])  # quicker than a dict
        for bucket in self._queue.buckets():
            for visitor in bucket:
                now, what = visitor.due, visitor.what
                visitor.due = -1
                if what == _END:
                    return
                happened = HANDLERS[what](lives[visitor.place], visitor, now)
                if happened:
                    yield from happened

    @property
    def alive(self) -> int:
        """How many people are in rooms now."""
        return sum(len(life.room.members) for life in self._lives.values() if life.room is not None)

    @property
    def rooms_alive(self) -> int:
        """How many rooms there are now."""
        return sum(life.room is not None for life in self._lives.values())

    def _event(self, command: str, packet: LeavePacket | EnterPacket, client_ip: str, platform: str) -> Event:
        """As ``_plain_event``, with time compressed, and without a Reason where the backend would send none."""
        moment = self._start + int((packet.event_time - self._start) / self._speed)
        packet = msgspec.structs.replace(packet, event_time=moment)
        if self._absent and isinstance(packet, LeavePacket) and packet.type is not CheckOutMethod.KICKED:
            fields = msgspec.to_builtins(packet)
            del fields["Reason"]
            return Event(moment, command, client_ip, platform, msgspec.json.encode(fields))
        return Event(moment, command, client_ip, platform, encode(packet))


def _plain_event(command: str, packet: LeavePacket | EnterPacket, client_ip: str, platform: str) -> Event:
    return Event(packet.event_time, command, client_ip, platform, _encode(packet))


def _unheard(*_: object) -> Event:
    return UNHEARD


def _width_bits(stages: Sequence[Stage]) -> int:
    """How wide the calendar's buckets should be: narrow where much happens in a ms, in a wave above all."""
    quickest = min(stage.phase.sweep if stage.has_waves else stage.mean_stay_ms for stage in stages)
    densest = max(stage.phase.members for stage in stages) / quickest
    return min(_WIDEST_BITS, int(_BUCKET / densest).bit_length())
