"""Departures from a group of rooms: leaves, kicks, lost heartbeats, owners who go, waves that hit whole rooms."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice

from roomhook.simulator.protocol.packets import LEAVE_COMMAND
from roomhook.simulator.rooms.room import KICK_LIMIT, Room
from roomhook.simulator.traffic.population import Participant
from roomhook.simulator.traffic.profiles import Profile
from roomhook.simulator.traffic.room_group import ClientLocation, RoomGroup
from roomhook.simulator.traffic.visits import ActionKind

__all__ = ["Departures"]


class Departures:
    """Ends visits and rooms in *group*. Handlers are as in ``Arrivals``."""

    def __init__(self, group: RoomGroup) -> None:
        self._group = group
        self._happen, self._rooms, self._free = group.world.happen, group.rooms, group.free
        self._goodbyes = group.texts.leave
        self._closed_by: dict[int, tuple[str, ClientLocation]] = {}
        self._awaited: dict[int, Participant] = {}
        self._to_kick: dict[int, tuple[int, int]] = {}

    def handlers(self) -> Mapping[int, Callable[[Participant, int], None]]:
        """The handler of each kind of action."""
        return {
            ActionKind.RECOVER: self.recover,
            ActionKind.LOSE: self.lose,
            ActionKind.SHOCK: self.shock,
            ActionKind.LEAVE: self.leave,
            ActionKind.LEAVE_AND_RETURN: self.leave_and_return,
            ActionKind.KICK: self.kick_out,
            ActionKind.EXPIRE: self.expire,
            ActionKind.OWNER_GONE: self.owner_stays_away,
            ActionKind.WAVE: self.kick_some,
            ActionKind.EVICT: self.evict,
        }

    # Going

    def leave(self, participant: Participant, now: int) -> None:
        """The participant leaves; an owner either ends the room with that or hands it over."""
        room = self._rooms[participant.slot]
        assert room is not None
        account = participant.account
        visit = participant.visit
        packet = room.check_out("Leave", account, account, self._goodbyes[visit.text], now)
        if not room.members:
            self._rooms[participant.slot] = None
        elif account == room.owner:
            self._owner_left(room, participant, now)
        if self._free is not None:
            self._free.append(participant)
        self._happen(LEAVE_COMMAND, packet, visit)

    def leave_and_return(self, participant: Participant, now: int) -> None:
        """The participant leaves and enters again soon."""
        room = self._group.room_of(participant)
        packet = room.leave(participant.account, self._goodbyes[participant.visit.text], now)
        self._group.close_if_empty(room, participant.slot)
        self._group.plan_return(participant, now)
        self._happen(LEAVE_COMMAND, packet, participant.visit)

    def lose(self, participant: Participant, now: int) -> None:
        """The participant's heartbeat stops, then recovers in time or expires."""
        soonest, latest = self._group.world.behaviour.heartbeat_ms
        visit = self._group.active.visits[self._group.random.index()]
        self._group.room_of(participant).lose(participant.account, now)
        if visit.recovers:
            self._group.plan(participant, ActionKind.RECOVER, now + int(soonest * visit.part))
        else:
            self._group.plan(participant, ActionKind.EXPIRE, now + soonest + round((latest - soonest) * visit.part))

    def recover(self, participant: Participant, now: int) -> None:
        """The participant's heartbeat is back, and the visit goes on."""
        self._group.room_of(participant).recover(participant.account, now)
        self._group.plan_rest(participant, now)

    def expire(self, participant: Participant, now: int) -> None:
        """The participant has been silent for too long; some return, and a room waits for its owner for a while."""
        room, slot = self._group.room_of(participant), participant.slot
        packet = room.expire(participant.account, self._group.texts.expired[participant.visit.text], now)
        self._group.close_if_empty(room, slot)
        if participant.account == room.owner and self._group.active.phase.owner_grace:
            self._awaited[slot] = self._group.placeholder(ActionKind.OWNER_GONE, slot)
            self._group.plan_at(self._awaited[slot], now + self._group.active.phase.owner_grace)
        if self._group.active.visits[self._group.random.index()].returns:
            self._group.plan_return(participant, now)
        else:
            self._group.release(participant)
        self._happen(LEAVE_COMMAND, packet, participant.visit)

    def kick_out(self, participant: Participant, now: int) -> None:
        """The participant is kicked, sometimes with others; an owner cannot be kicked and leaves."""
        room = self._group.room_of(participant)
        if participant.account == room.owner:
            self.leave(participant, now)
            return
        random = self._group.random
        bulk = random.between(1, KICK_LIMIT - 1) if random.hit(self._group.active.phase.kick_bulk) else 0
        others = (one for one in _kickable(room) if one is not participant)
        self._kick(room, [participant, *islice(others, bulk)], now)

    def _kick(self, room: Room[Participant], victims: Sequence[Participant], now: int) -> None:
        accounts = tuple(victim.account for victim in victims)
        operator, client = self._kicker(room, accounts)
        packets = room.kick(accounts, operator, self._group.texts.kicked[victims[0].visit.text], now)
        self._group.close_if_empty(room, victims[0].slot)
        for victim in victims:
            self._group.release(victim)
        for packet in packets:
            self._happen(LEAVE_COMMAND, packet, client)

    def _kicker(self, room: Room[Participant], accounts: Sequence[str]) -> tuple[str, ClientLocation]:
        """The owner or an admin, as drawn and if present; otherwise the caller of the REST API."""
        who = self._group.random.choice(self._group.active.kick_by)
        admin = min(room.admins.difference(accounts), default="")
        account = {"owner": room.owner, "admin": admin, "rest": ""}[who]
        return self._acting(room, account)

    def _acting(self, room: Room[Participant], account: str) -> tuple[str, ClientLocation]:
        """The member with this account and their location, or the caller of the REST API if there is none."""
        member, rest = room.members.get(account), self._group.world.rest
        return (rest.account, rest) if member is None else (account, member.visit)

    # The end of a room

    def owner_stays_away(self, placeholder: Participant, now: int) -> None:
        """The owner did not return in time, and the room is dissolved."""
        slot = placeholder.slot
        room = self._group.rooms[slot]
        if self._awaited.get(slot) is placeholder:
            del self._awaited[slot]
            if room is not None and room.owner not in room.members and not room.closing:
                self._close(room, slot, self._acting(room, ""), now)

    def evict(self, participant: Participant, now: int) -> None:
        """The room is being dissolved, and this participant leaves it."""
        room, (operator, client) = self._group.room_of(participant), self._closed_by[participant.slot]
        packet = room.evict(participant.account, operator, self._group.texts.dissolved[participant.visit.text], now)
        self._group.close_if_empty(room, participant.slot)
        self._group.release(participant)
        if packet is not None:
            self._happen(LEAVE_COMMAND, packet, client if packet.type == "Kicked" else participant.visit)

    def _owner_left(self, room: Room[Participant], owner: Participant, now: int) -> None:
        if room.closing:
            return
        if self._group.random.hit(self._group.active.phase.owner_ends):
            self._close(room, owner.slot, (owner.account, owner.visit), now)
        else:
            room.hand_over(next(iter(room.members)))

    def _close(self, room: Room[Participant], slot: int, by: tuple[str, ClientLocation], now: int) -> None:
        room.close()
        self._closed_by[slot] = by
        for participant in room.members.values():
            visit = self._group.active.visits[self._group.random.index()]
            self._group.plan(participant, ActionKind.EVICT, now + 1 + int(self._group.active.phase.sweep * visit.part))

    # Waves

    def shock(self, placeholder: Participant, now: int) -> None:
        """Start the wave of the phase: dissolve the room, drop a region's network, or kick many in a row."""
        slot = placeholder.slot
        room = self._group.rooms[slot]
        if room is None or room.closing:
            return
        match self._group.active.phase.profile:
            case Profile.DISSOLVE:
                self._close(room, slot, self._acting(room, room.owner), now)
            case Profile.OUTAGE:
                in_region = self._group.active.in_region
                for participant in room.members.values():
                    if participant.account not in room.lost and in_region(participant.visit.client_ip, now):
                        self.lose(participant, now)
            case Profile.KICK_WAVE:
                count = round(self._group.active.phase.share * sum(1 for _ in _kickable(room)))
                self._to_kick[slot] = count, max(1, self._group.active.phase.sweep * KICK_LIMIT // max(1, count))
                self.kick_some(placeholder, now)
            case _:
                pass

    def kick_some(self, placeholder: Participant, now: int) -> None:
        """The next kicks of a wave."""
        slot = placeholder.slot
        room = self._group.rooms[slot]
        count, pause = self._to_kick[slot]
        victims = [] if room is None else list(islice(_kickable(room), min(KICK_LIMIT, count)))
        if room is None or room.closing or not victims:
            return
        self._to_kick[slot] = count - len(victims), pause
        if count > len(victims):
            self._group.plan_here(ActionKind.WAVE, now + pause, slot)
        self._kick(room, victims, now)


def _kickable(room: Room[Participant]) -> Iterator[Participant]:
    """Members except the owner, newest first."""
    return (participant for participant in reversed(room.members.values()) if participant.account != room.owner)
