"""A place where rooms open and fill: who comes, when the next one comes, and what will end each visit."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from roomhook.simulator.calendar_queue import CalendarQueue
from roomhook.simulator.chance import Chance
from roomhook.simulator.crowd import Crowd, Visitor
from roomhook.simulator.events import Event
from roomhook.simulator.packets import ENTER_COMMAND, EnterPacket, LeavePacket
from roomhook.simulator.plans import Happening, Lot
from roomhook.simulator.rooms import Dialect, Member, RefusedError, Room
from roomhook.simulator.stages import Stage

__all__ = ["NOTHING", "Place", "Surroundings"]

NOTHING: Final[Sequence[Event]] = ()


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all places share.

    ``reasons`` has texts for each happening that ends a visit, ``rest`` is whoever calls REST, ``slots`` is how many
    places there are, and ``event`` makes a packet ready to send, given its command, ClientIP and OptPlatform.
    """

    queue: CalendarQueue[Visitor]
    stages: Sequence[Stage]
    crowd: Crowd
    dialect: Dialect
    rest: Member
    reasons: Mapping[int, Sequence[str]]
    slots: int
    with_enter: bool
    event: Callable[[str, LeavePacket | EnterPacket, str, str], Event]


class _Filling(msgspec.Struct):
    """How a room fills from ``start`` (ms) on: ``done`` of ``count`` people have come, ``offset`` is the first step."""

    start: int
    count: int
    offset: float
    done: int = 0


class Place(Chance):
    """One room after another: ``room`` is the one that is open, None between two.

    ``number`` tells it from all others. A place has randomness and people of its own, so that places live apart from
    one another. Its handlers take who it is about (nobody, where it is about the place) and the moment ``now`` in ms,
    and return the callbacks that follow. Places and what hangs on them are small: there can be hundreds of thousands.
    """

    __slots__ = (
        "_around",
        "_filling",
        "_free",
        "_gap",
        "_made",
        "_next",
        "_rooms",
        "number",
        "room",
        "stage",
    )

    def __init__(self, number: int, seed: int, around: Surroundings) -> None:
        super().__init__(seed, f"room/{number}")
        self.number = number
        self.room: Room[Visitor] | None = None
        self.stage = around.stages[0]
        self._around = around
        self._free = around.crowd.own_people(number, self.stage.lots)
        self._next = self._nobody(Happening.ARRIVE)
        self._made = self._rooms = 0
        self._gap = 0.0
        self._filling = _Filling(0, 0, 0.0)
        self._plan_here(Happening.STAGE, self.stage.start)

    # Stretches of time

    def begin_stage(self, _: Visitor, now: int) -> Sequence[Event]:
        """Another phase begins: arrivals change their pace, and those who had no plans make some."""
        stages = self._around.stages
        self.stage = stage = next(one for one in reversed(stages) if one.start <= now)
        self._gap = stage.gap_ms(self.number)
        following = stages.index(stage) + 1
        if following < len(stages):
            self._plan_here(Happening.STAGE, stages[following].start)
        for visitor in self.room.members.values() if self.room is not None else ():
            if visitor.due < 0:
                self._plan_rest(visitor, now)
        return self.begin_period(_, now)

    def begin_period(self, _: Visitor, now: int) -> Sequence[Event]:
        """People come until the room is as full as it should be; if the phase has waves, the next one is planned."""
        stage = self.stage
        present = len(self.room.members) if self.room is not None else 0
        self._filling = _Filling(now, max(0, stage.goal(self.number, now) - present), self.below(1 << 30) / (1 << 30))
        self._plan_fill(now)
        if stage.has_waves and stage.size(self.number):
            self._plan_here(Happening.SHOCK, stage.shock(now, self))
            if now + 2 * stage.every <= stage.end:
                self._plan_here(Happening.PERIOD, now + stage.every)
        return NOTHING

    # Coming

    def fill(self, _: Visitor, now: int) -> Sequence[Event]:
        """Somebody enters a room that is to be filled, evenly spread over the time that takes."""
        lot = self.stage.lots[self.lot()]
        self._filling.done += 1
        self._plan_fill(now)
        return self._enter(self._somebody(lot), lot, now, lot.rest)

    def arrive(self, following: Visitor, now: int) -> Sequence[Event]:
        """Somebody enters, as people do at any time, and the next one is planned."""
        stage = self.stage
        lot = stage.lots[self.lot()]
        wait = lot.gap * self._gap + lot.part
        self._around.queue.plan(following, now + int(wait) if stage.is_even else stage.after(now, wait))
        return self._enter(self._somebody(lot), lot, now, lot.stay)

    def come_back(self, visitor: Visitor, now: int) -> Sequence[Event]:
        """Somebody who left or was lost enters again, if the room still exists."""
        if self.room is None or not self.stage.size(self.number):
            self._release(visitor)
            return NOTHING
        lot = self.stage.lots[self.lot()]
        return self._enter(visitor, lot, now, lot.stay)

    def _somebody(self, lot: Lot) -> Visitor | None:
        """Somebody new, or one of the existing people who is free; None if none is."""
        free = self._free
        if free is None:
            self._made = made = self._made + 1
            number = self.number
            account = f"{lot.stem}{made * self._around.slots + number}"
            return Visitor(account, lot.client_ip, lot.platform, number)
        if not free:
            return None
        index = self.below(len(free))
        free[index], free[-1] = free[-1], free[index]
        return free.pop()

    def _enter(self, visitor: Visitor | None, lot: Lot, now: int, stay: int) -> Sequence[Event]:
        """The visitor, if there is one, enters for *stay* ms."""
        if visitor is None:
            return NOTHING
        room, around = self.room, self._around
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
            visitor.what = lot.ending
            around.queue.plan(visitor, now + stay)
        if around.with_enter:
            packet = room.entered(visitor.account)
            return (around.event(ENTER_COMMAND, packet, visitor.client_ip, visitor.platform),)
        return NOTHING

    def _open(self, owner: str) -> Room[Visitor]:
        room_id = self._around.crowd.room_id(self.number, self._rooms)
        self._rooms += 1
        return Room(room_id, owner, self.stage.capacity(self.number), self._around.dialect)

    def _release(self, visitor: Visitor) -> None:
        """Nothing more is planned for the visitor; one of the existing people may be drawn again."""
        self._around.queue.cancel(visitor)
        if self._free is not None:
            self._free.append(visitor)

    # Plans

    def _nobody(self, what: int) -> Visitor:
        return Visitor("", "", "", self.number, what=what)

    def _plan_here(self, what: int, moment: int) -> None:
        self._around.queue.plan(self._nobody(what), moment)

    def _plan(self, visitor: Visitor, what: int, moment: int) -> None:
        """Plan this for the visitor, in place of what was planned for him before."""
        queue = self._around.queue
        queue.cancel(visitor)
        visitor.what = what
        queue.plan(visitor, moment)

    def _plan_fill(self, now: int) -> None:
        """The next of those who fill the room; after the last, people come as they will."""
        filling = self._filling
        if filling.done < filling.count:
            part = (filling.done + filling.offset) / filling.count
            self._plan(self._next, Happening.FILL, filling.start + int(self.stage.phase.fill * part))
        elif self._gap:
            lot = self.stage.lots[self.lot()]
            self._plan(self._next, Happening.ARRIVE, self.stage.after(now, lot.gap * self._gap))
        else:
            self._around.queue.cancel(self._next)

    def _plan_rest(self, visitor: Visitor, now: int) -> None:
        """What will end the visit of somebody who is in the room for whatever reason, and when."""
        if self._gap:
            lot = self.stage.lots[self.lot()]
            visitor.reason = lot.reason
            self._plan(visitor, lot.ending, now + lot.stay)

    def _plan_return(self, visitor: Visitor, now: int) -> None:
        self._plan(visitor, Happening.RETURN, now + self.stage.lots[self.lot()].away)
