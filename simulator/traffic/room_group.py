"""A group of rooms that share people: its open rooms, who is free, and what is planned for whom."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from roomhook.simulator.protocol.packets import EnterPacket, LeavePacket
from roomhook.simulator.rooms.behaviour import BackendBehaviour
from roomhook.simulator.rooms.room import Member, Room
from roomhook.simulator.traffic.phases import ActivePhase
from roomhook.simulator.traffic.population import Participant, Population
from roomhook.simulator.traffic.visits import ActionKind, Texts
from roomhook.simulator.util.calendar_queue import CalendarQueue
from roomhook.simulator.util.random_stream import RandomStream

__all__ = ["ClientLocation", "Happen", "RoomGroup", "SharedWorld"]


class ClientLocation(Protocol):
    """Where a packet's cause is: the source of ClientIP and OptPlatform."""

    @property
    def client_ip(self) -> str:
        """An IPv4 address."""
        ...

    @property
    def platform(self) -> str:
        """An OptPlatform."""
        ...


Happen = Callable[[str, LeavePacket | EnterPacket, ClientLocation], None]
"""Takes a callback: its command, its packet, and the source of ClientIP and OptPlatform."""


@dataclass(frozen=True, slots=True)
class SharedWorld:
    """What all groups share.

    ``rest`` stands for the caller of the REST API. ``happen`` takes the next callback. Each group has one of the
    ``texts``.
    """

    queue: CalendarQueue[Participant]
    active_phases: Sequence[ActivePhase]
    population: Population
    behaviour: BackendBehaviour
    rest: Member
    texts: Sequence[Texts]
    with_enter: bool
    happen: Happen


class RoomGroup:
    """A few rooms, one after another in each slot: ``rooms`` has those that are open, None in between.

    Each group has randomness and people of its own, so groups are independent; within one, people share the rooms.
    ``active`` is the current phase, ``gap_ms`` the mean time between arrivals (0 if nobody comes), and ``free`` the
    existing people who are in no room (None if people are made up). Holds the state that ``Arrivals`` and
    ``Departures`` share, so that ``Room`` stays small.
    """

    def __init__(self, number: int, seed: int, world: SharedWorld) -> None:
        self.number = number
        self.world = world
        self.active = world.active_phases[0]
        self.gap_ms = 0.0
        self.random = RandomStream(seed, f"corner/{number}")
        self.texts = RandomStream(seed, f"language/{number}").choice(world.texts)
        self.numbers = world.population.rooms(number)
        self.rooms: list[Room[Participant] | None] = [None] * len(self.numbers)
        self.free = world.population.own_people(number, self.active.visits)
        self.plan_at = world.queue.plan

    def room_of(self, participant: Participant) -> Room[Participant]:
        """The room in which the participant is."""
        room = self.rooms[participant.slot]
        assert room is not None, "nothing is planned for people in a room that is gone"
        return room

    def close_if_empty(self, room: Room[Participant], slot: int) -> None:
        """Close the room if everyone has left."""
        if not room.members:
            self.rooms[slot] = None

    def release(self, participant: Participant) -> None:
        """Plan nothing more for the participant; existing people become free."""
        if self.free is not None:
            self.free.append(self._without_plan(participant) if participant.due >= 0 else participant)
        elif participant.due >= 0:
            participant.what = ActionKind.NOTHING

    def placeholder(self, what: int, slot: int = 0) -> Participant:
        """A participant without an account, for what is planned for a slot or for the whole group."""
        return Participant("", self.active.visits[0], self.number, slot, what=what)

    def plan_here(self, what: int, moment: int, slot: int = 0) -> None:
        """Plan *what* for a slot, or for the whole group, at *moment* (ms)."""
        self.plan_at(self.placeholder(what, slot), moment)

    def plan(self, participant: Participant, what: int, moment: int) -> None:
        """Plan *what* for the participant at *moment* (ms), in place of the earlier plan."""
        if participant.due >= 0:
            participant = self._without_plan(participant)
        participant.what = what
        self.plan_at(participant, moment)

    def plan_rest(self, participant: Participant, now: int) -> None:
        """Plan how and when the current visit of the participant ends."""
        if self.gap_ms:
            visit = self.active.visits[self.random.index()]
            self.plan(participant, visit.ending, now + visit.stay)

    def plan_return(self, participant: Participant, now: int) -> None:
        """Plan when the participant comes back."""
        self.plan(participant, ActionKind.RETURN, now + self.active.visits[self.random.index()].away)

    def _without_plan(self, participant: Participant) -> Participant:
        """A copy without a plan, which replaces the planned participant in its room.

        The queue cannot drop an item, so the planned one stays there and does nothing when it is due.
        """
        participant.what = ActionKind.NOTHING
        copy = Participant(participant.account, participant.visit, participant.group, participant.slot)
        room = self.rooms[participant.slot]
        if room is not None and participant.account in room.members:
            room.members[participant.account] = copy
        return copy
