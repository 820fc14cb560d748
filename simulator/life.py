"""How visits and rooms end: leaves, kicks, lost heartbeats, owners who go, and the waves that hit whole rooms."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Final

from roomhook.simulator.crowd import Visitor
from roomhook.simulator.events import Event
from roomhook.simulator.packets import LEAVE_COMMAND, CheckOutMethod
from roomhook.simulator.place import NOTHING, Place, Surroundings
from roomhook.simulator.plans import Happening
from roomhook.simulator.profiles import Profile
from roomhook.simulator.rooms import KICK_LIMIT, Member, Room

__all__ = ["HANDLERS", "Life"]

_LEAVE: Final = CheckOutMethod.LEAVE


class Life(Place):
    """The whole life in one place. Handlers are called at the moments that were planned for them, as in ``Place``."""

    __slots__ = ("_closed_by", "_kick_pause", "_owner_deadline", "_to_kick")

    def __init__(self, number: int, seed: int, around: Surroundings) -> None:
        super().__init__(number, seed, around)
        self._closed_by: Member = around.rest
        self._owner_deadline = -1
        self._to_kick = self._kick_pause = 0

    # Going

    def leave(self, visitor: Visitor, now: int) -> Sequence[Event]:
        """The visitor goes by himself; an owner may end the room with that, or hands it over."""
        room = self.room
        assert room is not None
        account = visitor.account
        packet = room.check_out(_LEAVE, account, account, visitor.reason, now)
        if not room.members:
            self.room = None
        elif account == room.owner:
            self._owner_left(room, visitor, now)
        if self._free is not None:
            self._free.append(visitor)
        event = self._around.event
        return (event(LEAVE_COMMAND, packet, visitor.client_ip, visitor.platform),)

    def leave_and_return(self, visitor: Visitor, now: int) -> Sequence[Event]:
        """The visitor goes by himself and enters again soon."""
        room = self._open_room
        packet = room.leave(visitor.account, visitor.reason, now)
        if not room.members:
            self.room = None
        self._plan_return(visitor, now)
        return (self._around.event(LEAVE_COMMAND, packet, visitor.client_ip, visitor.platform),)

    def lose(self, visitor: Visitor, now: int) -> Sequence[Event]:
        """The visitor's heartbeat stops; it recovers in time, or expires."""
        soonest, latest = self._around.dialect.heartbeat_ms
        lot = self.stage.lots[self.lot()]
        self._open_room.lose(visitor.account, now)
        if lot.recovers:
            self._plan(visitor, Happening.RECOVER, now + int(soonest * lot.part))
        else:
            visitor.reason = lot.silence
            self._plan(visitor, Happening.EXPIRE, now + soonest + round((latest - soonest) * lot.part))
        return NOTHING

    def recover(self, visitor: Visitor, now: int) -> Sequence[Event]:
        """The visitor's heartbeat is back, and the visit goes on."""
        self._open_room.recover(visitor.account, now)
        self._plan_rest(visitor, now)
        return NOTHING

    def expire(self, visitor: Visitor, now: int) -> Sequence[Event]:
        """The visitor has been silent for too long; some come back, and an owner's room waits for him for a while."""
        room = self._open_room
        packet = room.expire(visitor.account, visitor.reason, now)
        if not room.members:
            self.room = None
        elif visitor.account == room.owner and self.stage.phase.owner_grace:
            self._owner_deadline = now + self.stage.phase.owner_grace
            self._plan_here(Happening.OWNER_GONE, self._owner_deadline)
        if self.stage.lots[self.lot()].returns:
            self._plan_return(visitor, now)
        else:
            self._release(visitor)
        return (self._around.event(LEAVE_COMMAND, packet, visitor.client_ip, visitor.platform),)

    def kick_out(self, visitor: Visitor, now: int) -> Sequence[Event]:
        """The visitor is kicked, at times with others; an owner can't be kicked, and leaves."""
        room = self._open_room
        if visitor.account == room.owner:
            visitor.reason = self.choice(self._around.reasons[Happening.LEAVE])
            return self.leave(visitor, now)
        bulk = self.between(1, KICK_LIMIT - 1) if self.hit(self.stage.phase.kick_bulk) else 0
        others = (one for one in _kickable(room) if one is not visitor)
        return self._kick(room, [visitor, *islice(others, bulk)], visitor.reason, now)

    def _kick(self, room: Room[Visitor], victims: Sequence[Visitor], reason: str, now: int) -> Sequence[Event]:
        accounts = tuple(victim.account for victim in victims)
        by = self._kicker(room, accounts)
        packets = room.kick(accounts, by.account, reason, now)
        if not room.members:
            self.room = None
        for victim in victims:
            self._release(victim)
        return [self._around.event(LEAVE_COMMAND, packet, by.client_ip, by.platform) for packet in packets]

    def _kicker(self, room: Room[Visitor], accounts: Sequence[str]) -> Member:
        """The owner or an admin, if it is his turn and he is there; else whoever calls REST."""
        who = self.choice(self.stage.kick_by)
        admin = min(room.admins.difference(accounts), default="")
        account = {"owner": room.owner, "admin": admin, "rest": ""}[who]
        return room.members.get(account, self._around.rest)

    # The end of a room

    def owner_stays_away(self, _: Visitor, now: int) -> Sequence[Event]:
        """The room has waited for its owner for long enough and is dissolved."""
        room = self.room
        if room is not None and now == self._owner_deadline and room.owner not in room.members and not room.closing:
            self._close(room, self._around.rest, now)
        return NOTHING

    def evict(self, visitor: Visitor, now: int) -> Sequence[Event]:
        """The room is being dissolved, and it is this visitor's turn to go."""
        room, by = self._open_room, self._closed_by
        packet = room.evict(visitor.account, by.account, visitor.reason, now)
        if not room.members:
            self.room = None
        self._release(visitor)
        if packet is None:
            return NOTHING
        client = by if packet.type is CheckOutMethod.KICKED else visitor
        return (self._around.event(LEAVE_COMMAND, packet, client.client_ip, client.platform),)

    def _owner_left(self, room: Room[Visitor], owner: Visitor, now: int) -> None:
        if room.closing:
            return
        if self.hit(self.stage.phase.owner_ends):
            self._close(room, owner, now)
        else:
            room.hand_over(next(iter(room.members)))

    def _close(self, room: Room[Visitor], by: Member, now: int) -> None:
        room.close()
        self._closed_by = by
        for visitor in room.members.values():
            lot = self.stage.lots[self.lot()]
            visitor.reason = lot.farewell
            self._plan(visitor, Happening.EVICT, now + 1 + int(self.stage.phase.sweep * lot.part))

    # Waves

    def shock(self, _: Visitor, now: int) -> Sequence[Event]:
        """The wave of the phase begins: the room ends, a region's network drops, or kicks come one upon another."""
        room = self.room
        if room is None or room.closing:
            return NOTHING
        match self.stage.phase.profile:
            case Profile.DISSOLVE:
                self._close(room, room.members.get(room.owner, self._around.rest), now)
            case Profile.OUTAGE:
                for visitor in room.members.values():
                    if visitor.account not in room.lost and self.stage.in_region(visitor.client_ip, now):
                        self.lose(visitor, now)
            case Profile.KICK_WAVE:
                self._to_kick = round(self.stage.phase.share * sum(1 for _ in _kickable(room)))
                self._kick_pause = max(1, self.stage.phase.sweep * KICK_LIMIT // max(1, self._to_kick))
                return self.kick_some(_, now)
            case _:
                pass
        return NOTHING

    def kick_some(self, _: Visitor, now: int) -> Sequence[Event]:
        """The next of a wave of kicks."""
        room = self.room
        victims = [] if room is None else list(islice(_kickable(room), min(KICK_LIMIT, self._to_kick)))
        if room is None or room.closing or not victims:
            return NOTHING
        self._to_kick -= len(victims)
        if self._to_kick:
            self._plan_here(Happening.WAVE, now + self._kick_pause)
        return self._kick(room, victims, self.choice(self._around.reasons[Happening.KICK]), now)

    @property
    def _open_room(self) -> Room[Visitor]:
        assert self.room is not None, "nothing is planned for people in a room that is gone"
        return self.room


def _kickable(room: Room[Visitor]) -> Iterator[Visitor]:
    """Everybody but the owner, who came last first."""
    return (visitor for visitor in reversed(room.members.values()) if visitor.account != room.owner)


HANDLERS: Final[Mapping[int, Callable[[Life, Visitor, int], Sequence[Event]]]] = {
    Happening.STAGE: Life.begin_stage,
    Happening.PERIOD: Life.begin_period,
    Happening.FILL: Life.fill,
    Happening.ARRIVE: Life.arrive,
    Happening.RETURN: Life.come_back,
    Happening.RECOVER: Life.recover,
    Happening.LOSE: Life.lose,
    Happening.SHOCK: Life.shock,
    Happening.LEAVE: Life.leave,
    Happening.LEAVE_AND_RETURN: Life.leave_and_return,
    Happening.KICK: Life.kick_out,
    Happening.EXPIRE: Life.expire,
    Happening.OWNER_GONE: Life.owner_stays_away,
    Happening.WAVE: Life.kick_some,
    Happening.EVICT: Life.evict,
}
"""What makes each happening happen."""
