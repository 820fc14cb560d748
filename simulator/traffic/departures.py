"""How visits and rooms end: leaves, kicks, lost heartbeats, owners who go, and the waves that hit whole rooms."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Final

from roomhook.simulator.protocol.callback_event import CallbackEvent
from roomhook.simulator.protocol.packets import LEAVE_COMMAND
from roomhook.simulator.rooms.room import KICK_LIMIT, Room
from roomhook.simulator.traffic.arrivals import NOTHING, ClientLocation, RoomGroup, SharedWorld
from roomhook.simulator.traffic.population import Participant
from roomhook.simulator.traffic.profiles import Profile
from roomhook.simulator.traffic.visits import ActionKind

__all__ = ["HANDLERS", "RoomLifecycle"]


class RoomLifecycle(RoomGroup):
    """Everything that happens in a group of rooms. Handlers run at their planned times, as in ``RoomGroup``."""

    def __init__(self, number: int, seed: int, around: SharedWorld) -> None:
        super().__init__(number, seed, around)
        self._closed_by: dict[int, tuple[str, ClientLocation]] = {}
        self._awaited: dict[int, Participant] = {}
        self._to_kick: dict[int, tuple[int, int]] = {}

    # Going

    def leave(self, visitor: Participant, now: int) -> Sequence[CallbackEvent]:
        """The visitor goes by himself; an owner may end the room with that, or hands it over."""
        room = self.rooms[visitor.slot]
        assert room is not None
        account = visitor.account
        lot = visitor.lot
        packet = room.check_out("Leave", account, account, lot.goodbye, now)
        if not room.members:
            self.rooms[visitor.slot] = None
        elif account == room.owner:
            self._owner_left(room, visitor, now)
        if self._free is not None:
            self._free.append(visitor)
        return (self._event(LEAVE_COMMAND, packet, lot),)

    def leave_and_return(self, visitor: Participant, now: int) -> Sequence[CallbackEvent]:
        """The visitor goes by himself and enters again soon."""
        room = self._room_of(visitor)
        packet = room.leave(visitor.account, visitor.lot.goodbye, now)
        self._close_if_empty(room, visitor.slot)
        self._plan_return(visitor, now)
        return (self._event(LEAVE_COMMAND, packet, visitor.lot),)

    def lose(self, visitor: Participant, now: int) -> Sequence[CallbackEvent]:
        """The visitor's heartbeat stops; it recovers in time, or expires."""
        soonest, latest = self._around.dialect.heartbeat_ms
        lot = self.stage.lots[self._chance.index()]
        self._room_of(visitor).lose(visitor.account, now)
        if lot.recovers:
            self._plan(visitor, ActionKind.RECOVER, now + int(soonest * lot.part))
        else:
            self._plan(visitor, ActionKind.EXPIRE, now + soonest + round((latest - soonest) * lot.part))
        return NOTHING

    def recover(self, visitor: Participant, now: int) -> Sequence[CallbackEvent]:
        """The visitor's heartbeat is back, and the visit goes on."""
        self._room_of(visitor).recover(visitor.account, now)
        self._plan_rest(visitor, now)
        return NOTHING

    def expire(self, visitor: Participant, now: int) -> Sequence[CallbackEvent]:
        """The visitor has been silent for too long; some come back, and an owner's room waits for him for a while."""
        room, slot = self._room_of(visitor), visitor.slot
        packet = room.expire(visitor.account, visitor.lot.silence, now)
        self._close_if_empty(room, slot)
        if visitor.account == room.owner and self.stage.phase.owner_grace:
            self._awaited[slot] = self._nobody(ActionKind.OWNER_GONE, slot)
            self._plan_at(self._awaited[slot], now + self.stage.phase.owner_grace)
        if self.stage.lots[self._chance.index()].returns:
            self._plan_return(visitor, now)
        else:
            self._release(visitor)
        return (self._event(LEAVE_COMMAND, packet, visitor.lot),)

    def kick_out(self, visitor: Participant, now: int) -> Sequence[CallbackEvent]:
        """The visitor is kicked, at times with others; an owner can't be kicked, and leaves."""
        room = self._room_of(visitor)
        if visitor.account == room.owner:
            return self.leave(visitor, now)
        bulk = self._chance.between(1, KICK_LIMIT - 1) if self._chance.hit(self.stage.phase.kick_bulk) else 0
        others = (one for one in _kickable(room) if one is not visitor)
        return self._kick(room, [visitor, *islice(others, bulk)], now)

    def _kick(self, room: Room[Participant], victims: Sequence[Participant], now: int) -> Sequence[CallbackEvent]:
        accounts = tuple(victim.account for victim in victims)
        operator, client = self._kicker(room, accounts)
        packets = room.kick(accounts, operator, victims[0].lot.offence, now)
        self._close_if_empty(room, victims[0].slot)
        for victim in victims:
            self._release(victim)
        return [self._event(LEAVE_COMMAND, packet, client) for packet in packets]

    def _kicker(self, room: Room[Participant], accounts: Sequence[str]) -> tuple[str, ClientLocation]:
        """The owner or an admin, if it is his turn and he is there; else whoever calls REST."""
        who = self._chance.choice(self.stage.kick_by)
        admin = min(room.admins.difference(accounts), default="")
        account = {"owner": room.owner, "admin": admin, "rest": ""}[who]
        return self._acting(room, account)

    def _acting(self, room: Room[Participant], account: str) -> tuple[str, ClientLocation]:
        """The member with this account and where he sits, or if there is none, whoever calls REST."""
        member, rest = room.members.get(account), self._around.rest
        return (rest.account, rest) if member is None else (account, member.lot)

    # The end of a room

    def owner_stays_away(self, nobody: Participant, now: int) -> Sequence[CallbackEvent]:
        """The room has waited for its owner for long enough and is dissolved."""
        slot = nobody.slot
        room = self.rooms[slot]
        if self._awaited.get(slot) is nobody:
            del self._awaited[slot]
            if room is not None and room.owner not in room.members and not room.closing:
                self._close(room, slot, self._acting(room, ""), now)
        return NOTHING

    def evict(self, visitor: Participant, now: int) -> Sequence[CallbackEvent]:
        """The room is being dissolved, and it is this visitor's turn to go."""
        room, (operator, client) = self._room_of(visitor), self._closed_by[visitor.slot]
        packet = room.evict(visitor.account, operator, visitor.lot.farewell, now)
        self._close_if_empty(room, visitor.slot)
        self._release(visitor)
        if packet is None:
            return NOTHING
        cause = client if packet.type == "Kicked" else visitor.lot
        return (self._event(LEAVE_COMMAND, packet, cause),)

    def _owner_left(self, room: Room[Participant], owner: Participant, now: int) -> None:
        if room.closing:
            return
        if self._chance.hit(self.stage.phase.owner_ends):
            self._close(room, owner.slot, (owner.account, owner.lot), now)
        else:
            room.hand_over(next(iter(room.members)))

    def _close(self, room: Room[Participant], slot: int, by: tuple[str, ClientLocation], now: int) -> None:
        room.close()
        self._closed_by[slot] = by
        for visitor in room.members.values():
            lot = self.stage.lots[self._chance.index()]
            self._plan(visitor, ActionKind.EVICT, now + 1 + int(self.stage.phase.sweep * lot.part))

    def _close_if_empty(self, room: Room[Participant], slot: int) -> None:
        if not room.members:
            self.rooms[slot] = None

    # Waves

    def shock(self, nobody: Participant, now: int) -> Sequence[CallbackEvent]:
        """The wave of the phase begins: the room ends, a region's network drops, or kicks come one upon another."""
        slot = nobody.slot
        room = self.rooms[slot]
        if room is None or room.closing:
            return NOTHING
        match self.stage.phase.profile:
            case Profile.DISSOLVE:
                self._close(room, slot, self._acting(room, room.owner), now)
            case Profile.OUTAGE:
                for visitor in room.members.values():
                    if visitor.account not in room.lost and self.stage.in_region(visitor.lot.client_ip, now):
                        self.lose(visitor, now)
            case Profile.KICK_WAVE:
                count = round(self.stage.phase.share * sum(1 for _ in _kickable(room)))
                self._to_kick[slot] = count, max(1, self.stage.phase.sweep * KICK_LIMIT // max(1, count))
                return self.kick_some(nobody, now)
            case _:
                pass
        return NOTHING

    def kick_some(self, nobody: Participant, now: int) -> Sequence[CallbackEvent]:
        """The next of a wave of kicks."""
        slot = nobody.slot
        room = self.rooms[slot]
        count, pause = self._to_kick[slot]
        victims = [] if room is None else list(islice(_kickable(room), min(KICK_LIMIT, count)))
        if room is None or room.closing or not victims:
            return NOTHING
        self._to_kick[slot] = count - len(victims), pause
        if count > len(victims):
            self._plan_here(ActionKind.WAVE, now + pause, slot)
        return self._kick(room, victims, now)

    def nothing(self, _: Participant, __: int) -> Sequence[CallbackEvent]:
        """What was planned has been overtaken by something else."""
        return NOTHING

    def _room_of(self, visitor: Participant) -> Room[Participant]:
        room = self.rooms[visitor.slot]
        assert room is not None, "nothing is planned for people in a room that is gone"
        return room


def _kickable(room: Room[Participant]) -> Iterator[Participant]:
    """Everybody but the owner, who came last first."""
    return (visitor for visitor in reversed(room.members.values()) if visitor.account != room.owner)


_HANDLERS: Final[Mapping[int, Callable[[RoomLifecycle, Participant, int], Sequence[CallbackEvent]]]] = {
    ActionKind.NOTHING: RoomLifecycle.nothing,
    ActionKind.STAGE: RoomLifecycle.begin_stage,
    ActionKind.PERIOD: RoomLifecycle.begin_period,
    ActionKind.FILL: RoomLifecycle.fill,
    ActionKind.ARRIVE: RoomLifecycle.arrive,
    ActionKind.RETURN: RoomLifecycle.come_back,
    ActionKind.RECOVER: RoomLifecycle.recover,
    ActionKind.LOSE: RoomLifecycle.lose,
    ActionKind.SHOCK: RoomLifecycle.shock,
    ActionKind.LEAVE: RoomLifecycle.leave,
    ActionKind.LEAVE_AND_RETURN: RoomLifecycle.leave_and_return,
    ActionKind.KICK: RoomLifecycle.kick_out,
    ActionKind.EXPIRE: RoomLifecycle.expire,
    ActionKind.OWNER_GONE: RoomLifecycle.owner_stays_away,
    ActionKind.WAVE: RoomLifecycle.kick_some,
    ActionKind.EVICT: RoomLifecycle.evict,
}

HANDLERS: Final = tuple(_HANDLERS.get(what, RoomLifecycle.nothing) for what in range(max(_HANDLERS) + 1))
"""What makes each happening happen, by its number."""
