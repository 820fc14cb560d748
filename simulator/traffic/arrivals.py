"""Arrivals in a group of rooms: rooms open and fill, people come and return, phases change the pace."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping
from itertools import accumulate, chain, repeat
from typing import Final

from roomhook.simulator.protocol.packets import ENTER_COMMAND
from roomhook.simulator.rooms.room import RefusedError, Room
from roomhook.simulator.traffic.population import STRIDE, Participant
from roomhook.simulator.traffic.room_group import RoomGroup
from roomhook.simulator.traffic.visits import ActionKind, VisitTemplate
from roomhook.simulator.util.random_stream import INDEX_RANGE

__all__ = ["Arrivals"]

_VISIT_NUMBERS: Final = [person * STRIDE % INDEX_RANGE for person in range(INDEX_RANGE)]
_PERSON_OF_NUMBER: Final = {number: person for person, number in enumerate(_VISIT_NUMBERS)}


class Arrivals:
    """Lets people into the rooms of *group* and plans who comes next.

    A handler takes the participant concerned (a placeholder where it is about a slot) and the moment ``now`` in ms; the
    callbacks that follow go to ``SharedWorld.happen``.
    """

    def __init__(self, group: RoomGroup) -> None:
        world = group.world
        self._group = group
        self._happen, self._plan_at, self._rooms = world.happen, group.plan_at, group.rooms
        self._with_enter = world.with_enter
        self._random, self._active, self._gap_ms = group.random, group.active, group.gap_ms
        self._opened = [0] * len(group.numbers)
        self._next = group.placeholder(ActionKind.ARRIVE)
        first = group.random.below(INDEX_RANGE * len(group.texts.stems))
        self._accounts = world.population.accounts(group.number, group.texts.stems, first)
        self._visit_numbers = _visit_numbers(first)
        self._newcomer: Callable[[], Participant | None] = self._draw_free
        self._bounds = array("q")
        self._filling = _Filling([], 0, 0.0)
        group.plan_here(ActionKind.PHASE, group.active.start)

    def handlers(self) -> Mapping[int, Callable[[Participant, int], None]]:
        """The handler of each kind of action."""
        return {
            ActionKind.PHASE: self.begin_phase,
            ActionKind.PERIOD: self.begin_period,
            ActionKind.FILL: self.fill,
            ActionKind.ARRIVE: self.arrive,
            ActionKind.RETURN: self.come_back,
        }

    def begin_phase(self, placeholder: Participant, now: int) -> None:
        """Start the next phase: arrivals change their pace, and people without a plan get one."""
        group = self._group
        phases = group.world.active_phases
        group.active = active = next(one for one in reversed(phases) if one.start <= now)
        if group.free is None:
            visits = map(active.visits.__getitem__, self._visit_numbers)
            self._newcomer = map(Participant, self._accounts, visits, repeat(group.number), repeat(0)).__next__
        self._bounds = array("q", accumulate(active.size(number) for number in group.numbers))
        group.gap_ms = active.gap_ms(self._bounds[-1])
        self._active, self._gap_ms = active, group.gap_ms
        following = phases.index(active) + 1
        if following < len(phases):
            group.plan_here(ActionKind.PHASE, phases[following].start)
        for room in group.rooms:
            for participant in room.members.values() if room is not None else ():
                if participant.due < 0:
                    group.plan_rest(participant, now)
        self.begin_period(placeholder, now)

    def begin_period(self, _: Participant, now: int) -> None:
        """Fill the rooms to their size; if the phase has waves, plan the next one."""
        group = self._group
        active = group.active
        places: list[tuple[float, int]] = []
        for slot, number in enumerate(group.numbers):
            room = group.rooms[slot]
            missing = active.goal(number, now) - (len(room.members) if room is not None else 0)
            places += [((nth + 0.5) / missing, slot) for nth in range(missing)]
            if active.has_waves and active.size(number):
                group.plan_here(ActionKind.SHOCK, active.shock(now, group.random), slot)
        places.sort(reverse=True)
        self._filling = _Filling([slot for _, slot in places], now, group.random.below(1 << 30) / (1 << 30))
        if self._next.due >= 0:
            self._next.what = ActionKind.NOTHING
            self._next = group.placeholder(ActionKind.ARRIVE)
        self._plan_fill(now)
        if active.has_waves and now + 2 * active.every <= active.end:
            group.plan_here(ActionKind.PERIOD, now + active.every)

    def fill(self, _: Participant, now: int) -> None:
        """Let someone into a room that is being filled, evenly spread over the filling time."""
        visit = self._group.active.visits[self._group.random.index()]
        slot = self._filling.slots.pop()
        self._plan_fill(now)
        participant = self._newcomer()
        if participant is not None:
            self._enter(participant, slot, visit, now, visit.rest)

    def arrive(self, following: Participant, now: int) -> None:
        """Let someone in at a random time, and plan the next arrival."""
        active, bounds, random = self._active, self._bounds, self._random
        visit = active.visits[random.index()]
        wait = visit.gap * self._gap_ms + visit.part
        self._plan_at(following, now + int(wait) if active.is_even else active.after(now, wait))
        slot = bisect_right(bounds, random.below(bounds[-1])) if len(bounds) > 1 else 0
        participant = self._newcomer()
        if participant is not None:
            self._enter(participant, slot, visit, now, visit.stay)

    def come_back(self, participant: Participant, now: int) -> None:
        """Let someone in again who left or expired, if the room still exists."""
        group, slot = self._group, participant.slot
        if group.rooms[slot] is None or not group.active.size(group.numbers[slot]):
            group.release(participant)
            return
        visit = group.active.visits[group.random.index()]
        self._enter(participant, slot, visit, now, visit.stay)

    def _enter(self, participant: Participant, slot: int, visit: VisitTemplate, now: int, stay: int) -> None:
        """The participant enters for *stay* ms."""
        participant.slot = slot
        room = self._rooms[slot]
        if room is None:
            room = self._rooms[slot] = self._open(slot, participant.account)
        try:
            room.let_in(participant)
        except RefusedError:  # it is full, or about to close
            self._group.release(participant)
            return
        if visit.is_admin:
            room.promote(participant.account)
        if self._gap_ms:
            participant.what = visit.ending
            self._plan_at(participant, now + stay)
        if self._with_enter:
            self._happen(ENTER_COMMAND, room.entered(participant.account, now), participant.visit)

    def _open(self, slot: int, owner: str) -> Room[Participant]:
        group = self._group
        number = group.numbers[slot]
        room_id = group.world.population.room_id(number, self._opened[slot])
        self._opened[slot] += 1
        return Room(room_id, owner, group.active.capacity(number), group.world.behaviour)

    def _draw_free(self) -> Participant | None:
        """One of the existing people who are in no room, if there is any."""
        free = self._group.free
        if not free:
            return None
        index = self._group.random.below(len(free))
        free[index], free[-1] = free[-1], free[index]
        return free.pop()

    def _plan_fill(self, now: int) -> None:
        """Plan the next person who fills a room; once the rooms are full, the next arrival."""
        group, filling = self._group, self._filling
        if filling.slots:
            self._next.what = ActionKind.FILL
            group.plan_at(self._next, filling.next_ms(group.active.phase.fill))
        elif group.gap_ms:
            visit = group.active.visits[group.random.index()]
            self._next.what = ActionKind.ARRIVE
            group.plan_at(self._next, group.active.after(now, visit.gap * group.gap_ms))


def _visit_numbers(first: int) -> Iterator[int]:
    """``(person * STRIDE + first) % INDEX_RANGE`` for person 1, 2, …; all groups share one table of them."""
    begin = _PERSON_OF_NUMBER[first % INDEX_RANGE] + 1
    return chain(_VISIT_NUMBERS[begin:], chain.from_iterable(repeat(_VISIT_NUMBERS)))


class _Filling:
    """Filling rooms: ``slots`` has those still to enter, the next one last; *offset* (0 to 1) shifts all of them."""

    __slots__ = ("_count", "_offset", "_start", "slots")

    def __init__(self, slots: list[int], start: int, offset: float) -> None:
        self.slots = slots
        self._start = start
        self._count = len(slots)
        self._offset = offset

    def next_ms(self, length: int) -> int:
        """When the next person enters (ms), if filling takes *length* ms."""
        part = 1 - (len(self.slots) - self._offset) / self._count
        return self._start + int(length * part)
