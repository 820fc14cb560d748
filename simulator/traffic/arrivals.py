"""A corner of the world, where rooms open and fill: who comes, when the next one does, and what will end each visit."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate, cycle, repeat
from typing import Final, Protocol

from roomhook.simulator.protocol.callback_event import CallbackEvent
from roomhook.simulator.protocol.packets import ENTER_COMMAND, EnterPacket, LeavePacket
from roomhook.simulator.rooms.room import BackendBehaviour, Member, RefusedError, Room
from roomhook.simulator.traffic.phases import ActivePhase
from roomhook.simulator.traffic.population import STRIDE, Participant, Population
from roomhook.simulator.traffic.visits import ActionKind, VisitTemplate
from roomhook.simulator.util.calendar_queue import CalendarQueue
from roomhook.simulator.util.random_stream import INDEX_RANGE, RandomStream

__all__ = ["NOTHING", "ClientLocation", "RoomGroup", "SharedWorld"]

NOTHING: Final[Sequence[CallbackEvent]] = ()


class ClientLocation(Protocol):
    """Where a packet's cause sits: what becomes ClientIP and OptPlatform."""

    @property
    def client_ip(self) -> str:
        """An IPv4 address."""
        ...

    @property
    def platform(self) -> str:
        """An OptPlatform."""
        ...


@dataclass(frozen=True, slots=True)
class SharedWorld:
    """What all corners share.

    ``rest`` is whoever calls REST, and ``event`` makes a packet ready to send, given its command and whose ClientIP and
    OptPlatform go with it. Accounts begin with one of the ``stems``.
    """

    queue: CalendarQueue[Participant]
    stages: Sequence[ActivePhase]
    crowd: Population
    dialect: BackendBehaviour
    rest: Member
    stems: Sequence[str]
    with_enter: bool
    event: Callable[[str, LeavePacket | EnterPacket, ClientLocation], CallbackEvent]


class RoomGroup:
    """A few rooms, one after another in each slot: ``rooms`` has those that are open, None between two.

    A corner has randomness and people of its own, so that corners live apart from one another; within one, people share
    the rooms. It is what is at hand while anything happens in it, so that a room is no more than its members. Its
    handlers take who it is about (where it is about a place, nobody in particular) and the moment ``now`` in ms, and
    return the callbacks that follow.
    """

    def __init__(self, number: int, seed: int, around: SharedWorld) -> None:
        self.number = number
        self.stage = around.stages[0]
        self._numbers = around.crowd.rooms(number)
        self.rooms: list[Room[Participant] | None] = [None] * len(self._numbers)
        self._opened = [0] * len(self._numbers)
        self._around = around
        self._with_enter = around.with_enter
        self._event, self._plan_at = around.event, around.queue.plan
        self._chance = RandomStream(seed, f"corner/{number}")
        self._free = around.crowd.own_people(number, self.stage.lots)
        self._next = self._nobody(ActionKind.ARRIVE)
        first = self._chance.below(INDEX_RANGE * len(around.stems))
        self._accounts = around.crowd.accounts(number, around.stems, first)
        self._lot_numbers = cycle([(person * STRIDE + first) % INDEX_RANGE for person in range(1, INDEX_RANGE + 1)])
        self._newcomer: Callable[[], Participant | None] = self._take
        self._gap = 0.0
        self._bounds = array("q")
        self._to_fill: list[int] = []
        self._fill_start = self._fill_count = 0
        self._fill_offset = 0.0
        self._plan_here(ActionKind.STAGE, self.stage.start)

    # Stretches of time

    def begin_stage(self, nobody: Participant, now: int) -> Sequence[CallbackEvent]:
        """Another phase begins: arrivals change their pace, and those who had no plans make some."""
        stages = self._around.stages
        self.stage = stage = next(one for one in reversed(stages) if one.start <= now)
        if self._free is None:
            lots = map(stage.lots.__getitem__, self._lot_numbers)
            self._newcomer = map(Participant, self._accounts, lots, repeat(self.number), repeat(0)).__next__
        self._bounds = array("q", accumulate(stage.size(number) for number in self._numbers))
        self._gap = stage.gap_ms(self._bounds[-1])
        following = stages.index(stage) + 1
        if following < len(stages):
            self._plan_here(ActionKind.STAGE, stages[following].start)
        for room in self.rooms:
            for visitor in room.members.values() if room is not None else ():
                if visitor.due < 0:
                    self._plan_rest(visitor, now)
        return self.begin_period(nobody, now)

    def begin_period(self, _: Participant, now: int) -> Sequence[CallbackEvent]:
        """People come until the rooms are as full as they should be; if the phase has waves, the next is planned."""
        stage = self.stage
        places: list[tuple[float, int]] = []
        for slot, number in enumerate(self._numbers):
            room = self.rooms[slot]
            missing = stage.goal(number, now) - (len(room.members) if room is not None else 0)
            places += [((nth + 0.5) / missing, slot) for nth in range(missing)]
            if stage.has_waves and stage.size(number):
                self._plan_here(ActionKind.SHOCK, stage.shock(now, self._chance), slot)
        places.sort(reverse=True)
        self._to_fill = [slot for _, slot in places]
        self._fill_start, self._fill_count = now, len(places)
        self._fill_offset = self._chance.below(1 << 30) / (1 << 30)
        if self._next.due >= 0:
            self._next.what = ActionKind.NOTHING
            self._next = self._nobody(ActionKind.ARRIVE)
        self._plan_fill(now)
        if stage.has_waves and now + 2 * stage.every <= stage.end:
            self._plan_here(ActionKind.PERIOD, now + stage.every)
        return NOTHING

    # Coming

    def fill(self, _: Participant, now: int) -> Sequence[CallbackEvent]:
        """Somebody enters a room that is to be filled, evenly spread over the time that takes."""
        lot = self.stage.lots[self._chance.index()]
        slot = self._to_fill.pop()
        self._plan_fill(now)
        visitor = self._newcomer()
        return NOTHING if visitor is None else self._enter(visitor, slot, lot, now, lot.rest)

    def arrive(self, following: Participant, now: int) -> Sequence[CallbackEvent]:
        """Somebody enters, as people do at any time, and the next one is planned."""
        stage, chance, bounds = self.stage, self._chance, self._bounds
        lot = stage.lots[chance.index()]
        wait = lot.gap * self._gap + lot.part
        self._plan_at(following, now + int(wait) if stage.is_even else stage.after(now, wait))
        slot = bisect_right(bounds, chance.below(bounds[-1])) if len(bounds) > 1 else 0
        visitor = self._newcomer()
        return NOTHING if visitor is None else self._enter(visitor, slot, lot, now, lot.stay)

    def come_back(self, visitor: Participant, now: int) -> Sequence[CallbackEvent]:
        """Somebody who left or was lost enters again, if the room still exists."""
        slot = visitor.slot
        if self.rooms[slot] is None or not self.stage.size(self._numbers[slot]):
            self._release(visitor)
            return NOTHING
        lot = self.stage.lots[self._chance.index()]
        return self._enter(visitor, slot, lot, now, lot.stay)

    def _enter(
        self, visitor: Participant, slot: int, lot: VisitTemplate, now: int, stay: int
    ) -> Sequence[CallbackEvent]:
        """The visitor enters for *stay* ms."""
        visitor.slot = slot
        room = self.rooms[slot]
        if room is None:
            room = self.rooms[slot] = self._open(slot, visitor.account)
        try:
            room.let_in(visitor)
        except RefusedError:  # it is full, or about to close
            self._release(visitor)
            return NOTHING
        if lot.is_admin:
            room.promote(visitor.account)
        if self._gap:
            visitor.what = lot.ending
            self._plan_at(visitor, now + stay)
        if self._with_enter:
            return (self._event(ENTER_COMMAND, room.entered(visitor.account, now), visitor.lot),)
        return NOTHING

    def _open(self, slot: int, owner: str) -> Room[Participant]:
        number = self._numbers[slot]
        room_id = self._around.crowd.room_id(number, self._opened[slot])
        self._opened[slot] += 1
        return Room(room_id, owner, self.stage.capacity(number), self._around.dialect)

    def _take(self) -> Participant | None:
        """One of the existing people who are nowhere, if anybody is."""
        free = self._free
        if not free:
            return None
        index = self._chance.below(len(free))
        free[index], free[-1] = free[-1], free[index]
        return free.pop()

    def _release(self, visitor: Participant) -> None:
        """Nothing more is planned for the visitor; one of the existing people may be drawn again."""
        if self._free is not None:
            self._free.append(self._without_plan(visitor))
        elif visitor.due >= 0:
            visitor.what = ActionKind.NOTHING

    # Plans

    def _nobody(self, what: int, slot: int = 0) -> Participant:
        return Participant("", self.stage.lots[0], self.number, slot, what=what)

    def _plan_here(self, what: int, moment: int, slot: int = 0) -> None:
        self._plan_at(self._nobody(what, slot), moment)

    def _plan(self, visitor: Participant, what: int, moment: int) -> None:
        """Plan this for the visitor, in place of what was planned for him before."""
        visitor = self._without_plan(visitor)
        visitor.what = what
        self._plan_at(visitor, moment)

    def _without_plan(self, visitor: Participant) -> Participant:
        """The visitor without a plan: himself or, if there was one, a copy, which takes his place in the room."""
        if visitor.due < 0:
            return visitor
        visitor.what = ActionKind.NOTHING
        copy = Participant(visitor.account, visitor.lot, visitor.corner, visitor.slot)
        room = self.rooms[visitor.slot]
        if room is not None and visitor.account in room.members:
            room.members[visitor.account] = copy
        return copy

    def _plan_fill(self, now: int) -> None:
        """The next of those who fill the rooms; after the last, people come as they will."""
        if self._to_fill:
            part = 1 - (len(self._to_fill) - self._fill_offset) / self._fill_count
            self._next.what = ActionKind.FILL
            self._plan_at(self._next, self._fill_start + int(self.stage.phase.fill * part))
        elif self._gap:
            lot = self.stage.lots[self._chance.index()]
            self._next.what = ActionKind.ARRIVE
            self._plan_at(self._next, self.stage.after(now, lot.gap * self._gap))

    def _plan_rest(self, visitor: Participant, now: int) -> None:
        """What will end the visit of somebody who is in the room for whatever reason, and when."""
        if self._gap:
            lot = self.stage.lots[self._chance.index()]
            self._plan(visitor, lot.ending, now + lot.stay)

    def _plan_return(self, visitor: Participant, now: int) -> None:
        self._plan(visitor, ActionKind.RETURN, now + self.stage.lots[self._chance.index()].away)
