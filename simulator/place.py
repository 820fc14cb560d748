"""A place where rooms open and fill: who comes, when the next one comes, and what will end each visit."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from roomhook.simulator.calendar_queue import CalendarQueue
from roomhook.simulator.chance import Chance, exponential
from roomhook.simulator.crowd import Crowd, Visitor
from roomhook.simulator.events import Event
from roomhook.simulator.packets import ENTER_COMMAND, EnterPacket, LeavePacket
from roomhook.simulator.plans import Happening, Lot
from roomhook.simulator.rooms import Dialect, Member, RefusedError, Room
from roomhook.simulator.stages import Stage

__all__ = ["NOTHING", "Entry", "Place", "Surroundings"]

Entry = tuple[int, int, int, Visitor | None]
"""What is to happen: when (ms since the epoch), in which place, which happening, and to whom."""

NOTHING: Final[Sequence[Event]] = ()

_ARRIVE: Final = Happening.ARRIVE
_SOON: Final = 1000
_AWAY: Final = exponential(30_000)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all places share.

    ``reasons`` has texts for each happening that ends a visit, ``rest`` is whoever calls REST, and ``event`` makes a
    packet ready to send, given its command and the ClientIP and OptPlatform that go with it.
    """

    queue: CalendarQueue[Entry]
    stages: Sequence[Stage]
    crowd: Crowd
    dialect: Dialect
    rest: Member
    reasons: Mapping[int, Sequence[str]]
    with_enter: bool
    event: Callable[[str, LeavePacket | EnterPacket, str, str], Event]


class Place:
    """One room after another: ``room`` is the one that is open, None between two.

    A place has randomness and people of its own, so that places live apart from one another. Its handlers take the
    moment ``now`` in ms and, where somebody is concerned, the visitor; they return the callbacks that follow.
    """

    __slots__ = (
        "_around",
        "_arrival",
        "_chance",
        "_clock",
        "_event",
        "_fill_count",
        "_fill_offset",
        "_fill_start",
        "_free",
        "_gap",
        "_lots",
        "_moment",
        "_next_person",
        "_queue",
        "_rooms",
        "_slots",
        "_to_fill",
        "_with_enter",
        "number",
        "room",
        "stage",
    )

    def __init__(self, number: int, seed: int, around: Surroundings) -> None:
        self.number = number
        self.room: Room[Visitor] | None = None
        self.stage = stage = around.stages[0]
        self._around = around
        # What is needed for every visit is kept at hand.
        self._queue, self._event, self._with_enter = around.queue, around.event, around.with_enter
        self._lots, self._moment, self._slots = stage.lots, stage.moment, around.crowd.slots
        self._chance = Chance(seed, f"room/{number}")
        self._free = around.crowd.own_people(number, stage.lots)
        self._next_person = number + 1 - self._slots
        self._rooms = 0
        self._arrival = -1
        self._clock = self._gap = self._fill_offset = 0.0
        self._fill_start = self._fill_count = self._to_fill = 0

    # Stretches of time

    def begin_stage(self, _: Visitor | None, now: int) -> Sequence[Event]:
        """Another phase begins: arrivals change their pace, and those who had no plans make some."""
        stages = self._around.stages
        self.stage = stage = next(one for one in reversed(stages) if one.start <= now)
        self._lots, self._moment = stage.lots, stage.moment
        self._gap = stage.gap_ms(self.number)
        following = stages.index(stage) + 1
        if following < len(stages):
            self._plan(stages[following].start, Happening.STAGE)
        for visitor in self.room.members.values() if self.room is not None else ():
            if visitor.due < 0:
                self._plan_rest(visitor, now)
        return self.begin_period(None, now)

    def begin_period(self, _: Visitor | None, now: int) -> Sequence[Event]:
        """People come until the room is as full as it should be; if the phase has waves, the next one is planned."""
        stage = self.stage
        present = len(self.room.members) if self.room is not None else 0
        self._fill_start = now
        self._fill_count = self._to_fill = max(0, stage.goal(self.number, now) - present)
        self._fill_offset = self._chance.below(1 << 30) / (1 << 30)
        filled = now + (stage.phase.fill if self._to_fill else 0)
        self._clock = stage.operational(filled) + self._gap * self._lots[self._chance.lot()].gap
        self._plan_fill()
        if stage.has_waves and stage.size(self.number):
            self._plan(stage.shock(now, self._chance), Happening.SHOCK)
            if now + 2 * stage.every <= stage.end:
                self._plan(now + stage.every, Happening.PERIOD)
        return NOTHING

    # Coming

    def fill(self, _: Visitor | None, now: int) -> Sequence[Event]:
        """Somebody enters a room that is to be filled, evenly spread over the time that takes."""
        if now != self._arrival:
            return NOTHING
        lot = self._lots[self._chance.lot()]
        self._to_fill -= 1
        self._plan_fill()
        return self._enter(None, lot, now, lot.rest)

    def arrive(self, _: Visitor | None, now: int) -> Sequence[Event]:
        """Somebody enters, as people do at any time, and the next one is planned."""
        if now != self._arrival:
            return NOTHING
        lot = self._lots[self._chance.lot()]
        self._clock = clock = self._clock + lot.gap * self._gap
        moment_of = self._moment
        self._arrival = moment = moment_of(clock)
        self._queue.push((moment, self.number, _ARRIVE, None))
        return self._enter(None, lot, now, lot.stay)

    def come_back(self, visitor: Visitor, now: int) -> Sequence[Event]:
        """Somebody who left or was lost enters again, if the room still exists."""
        visitor.due = -1
        if self.room is None or not self.stage.size(self.number):
            self._release(visitor)
            return NOTHING
        lot = self._lots[self._chance.lot()]
        return self._enter(visitor, lot, now, lot.stay)

    def _enter(self, visitor: Visitor | None, lot: Lot, now: int, stay: int) -> Sequence[Event]:
        """The visitor, or if that is None somebody new, enters for *stay* ms."""
        if visitor is None:
            if self._free is None:
                self._next_person = number = self._next_person + self._slots
                visitor = Visitor(f"{lot.stem}{number}", lot.client_ip, lot.platform)
            elif self._free:
                visitor = self._take(self._free)
            else:
                return NOTHING
        room = self.room
        if room is None:
            room = self.room = self._open(visitor.account)
        try:
            room.enter(visitor, now)
        except RefusedError:  # it is full, or about to close
            self._release(visitor)
            return NOTHING
        if lot.is_admin:
            room.promote(visitor.account)
        if self._gap:
            visitor.reason = lot.reason
            visitor.due = due = now + stay
            self._queue.push((due, self.number, lot.ending, visitor))
        if self._with_enter:
            packet = room.entered(visitor.account)
            return (self._around.event(ENTER_COMMAND, packet, visitor.client_ip, visitor.platform),)
        return NOTHING

    def _open(self, owner: str) -> Room[Visitor]:
        room_id = self._around.crowd.room_id(self.number, self._rooms)
        self._rooms += 1
        return Room(room_id, owner, self.stage.capacity(self.number), self._around.dialect)

    def _take(self, free: list[Visitor]) -> Visitor:
        index = self._chance.below(len(free))
        free[index], free[-1] = free[-1], free[index]
        return free.pop()

    def _release(self, visitor: Visitor) -> None:
        """Nothing more is planned for the visitor; one of the existing people may be drawn again."""
        visitor.due = -1
        if self._free is not None:
            self._free.append(visitor)

    # Plans

    def _plan(self, moment: int, what: int, visitor: Visitor | None = None) -> None:
        if visitor is not None:
            visitor.due = moment
        self._queue.push((moment, self.number, what, visitor))

    def _plan_fill(self) -> None:
        """The next of those who fill the room; after the last, people come as they will."""
        if self._to_fill:
            part = 1 - (self._to_fill - self._fill_offset) / self._fill_count
            self._arrival = self._fill_start + int(self.stage.phase.fill * part)
            self._plan(self._arrival, Happening.FILL)
        elif self._gap:
            self._arrival = self._moment(self._clock)
            self._plan(self._arrival, Happening.ARRIVE)
        else:
            self._arrival = -1

    def _plan_rest(self, visitor: Visitor, now: int) -> None:
        """What will end the visit of somebody who is in the room for whatever reason, and when."""
        visitor.due = -1
        if self._gap:
            lot = self._lots[self._chance.lot()]
            visitor.reason = lot.reason
            self._plan(now + lot.stay, lot.ending, visitor)

    def _plan_return(self, visitor: Visitor, now: int) -> None:
        self._plan(now + _SOON + _AWAY[self._chance.below(len(_AWAY))], Happening.RETURN, visitor)
