"""Many rooms at once, event by event in the order of time: pure, and the same from the same seed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final

import msgspec

from roomhook.simulator.calendar_queue import CalendarQueue
from roomhook.simulator.crowd import Crowd
from roomhook.simulator.events import Event
from roomhook.simulator.life import HANDLERS, Life
from roomhook.simulator.packets import CheckOutMethod, EnterPacket, LeavePacket, encode
from roomhook.simulator.place import Entry, Surroundings
from roomhook.simulator.plans import Happening
from roomhook.simulator.rooms import Member
from roomhook.simulator.scenario import Backend, ReasonStyle
from roomhook.simulator.stages import Stage

__all__ = ["UNHEARD", "World"]

_encode = msgspec.json.Encoder().encode  # one call less than packets.encode, which makes the same bytes
_END: Final = Happening.END
_BUCKET: Final = 16
"""Happenings that should share a bucket of the calendar."""


UNHEARD: Final = Event(0, "", "", "", b"")
"""Stands for whatever is called back about the rooms of others."""


class World:
    """The rooms with the numbers in *mine*, and those in *others*, which live along and of which nothing is heard.

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
        mine: Sequence[int],
        others: Sequence[int] = (),
        with_enter: bool = False,
        speed: float = 1.0,
    ) -> None:
        self._start = stages[0].start
        self._queue: CalendarQueue[Entry] = CalendarQueue(_width_bits(stages, len(mine) + len(others)))
        self._speed = speed
        self._absent = backend.reason is ReasonStyle.ABSENT
        around = Surroundings(
            queue=self._queue,
            stages=stages,
            crowd=crowd,
            dialect=backend.dialect,
            rest=Member(backend.dialect.administrator, "0.0.0.0", "RESTAPI"),  # noqa: S104 (protocol.md 1.1)
            reasons=reasons,
            with_enter=with_enter,
            event=self._event if self._absent or speed != 1 else _plain_event,
        )
        self._lives = {number: Life(number, seed, around) for number in mine}
        elsewhere = replace(around, event=_unheard)
        self._lives.update((number, Life(number, seed, elsewhere)) for number in others)
        self._queue.push((stages[-1].end, 0, Happening.END, None))
        for number in self._lives:
            self._queue.push((self._start, number, Happening.STAGE, None))

    def events(self) -> Iterator[Event]:
        """The callbacks in the order of their EventTime, with ``UNHEARD`` in place of each of the others'."""
        lives = self._lives
        for bucket in self._queue.buckets():
            for now, number, what, visitor in bucket:
                if visitor is not None and visitor.due != now:
                    continue  # something else has happened to him since this was planned
                if what == _END:
                    return
                happened = HANDLERS[what](lives[number], visitor, now)
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


def _width_bits(stages: Sequence[Stage], rooms: int) -> int:
    """How wide the calendar's buckets should be: narrow where much happens in a ms (every visit has two happenings)."""
    share = rooms / max(stage.phase.rooms for stage in stages)
    densest = max(2 * share * stage.phase.members / stage.mean_stay_ms for stage in stages)
    return min(16, max(3, int(_BUCKET / densest).bit_length()))
