"""Simulated people in the rooms of a mock Room backend: a profile at a rate, until it is stopped."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from functools import partial
from random import Random
from typing import Final

from roomhook.simulator.room_backend.runtime.service import Service
from roomhook.simulator.room_backend.state.engine import BackendState
from roomhook.simulator.room_backend.state.error_codes import BackendError
from roomhook.simulator.room_backend.state.room_record import Actor, Origin, RoomEntry, RoomKey
from roomhook.simulator.room_backend.state.rooms import NewRoom
from roomhook.simulator.rooms.people import People
from roomhook.simulator.traffic.profiles import EVENING as DAY

__all__ = ["EVENING", "PROFILES", "RoomTraffic"]

EVENING: Final = "evening"
"""The profile whose rooms fill and empty with the time of day."""

PROFILES: Final[Mapping[str, Mapping[str, int]]] = {
    "steady": {"enter": 50, "leave": 36, "kick": 6, "lose": 8},
    "arrivals": {"enter": 90, "leave": 8, "kick": 1, "lose": 1},
    "departures": {"enter": 8, "leave": 80, "kick": 6, "lose": 6},
    "poor network": {"enter": 45, "leave": 15, "kick": 0, "lose": 40},
    EVENING: {},
}
"""Weights of what people do, by profile."""

_FILLING: Final = {"enter": 62, "leave": 16, "kick": 3, "lose": 7, "seat": 12}
_EMPTYING: Final = {"enter": 18, "leave": 62, "kick": 4, "lose": 8, "seat": 7, "destroy": 1}
_SIZES: Final = (26, 15, 10, 7, 5, 4)
"""Members of the rooms of an evening in its busiest hour."""

_MOST_MEMBERS: Final = 40
_SEATS: Final = 4
_TICK_S: Final = 0.05


class RoomTraffic:
    """Lets people enter, leave, be kicked and lose their heartbeat on *service*; deterministic by *seed*."""

    def __init__(self, service: Service, seed: int = 0) -> None:
        self.profile = ""
        self.rate = 0.0
        self._service = service
        self._seed = seed
        self._random = Random(seed)
        self._people: list[People] = []
        self._task: asyncio.Task[None] | None = None

    @property
    def running(self) -> bool:
        """Whether simulated people are active."""
        return self._task is not None and not self._task.done()

    def start(self, sdkappid: int, profile: str, rate: float, rooms: int) -> None:
        """Play *profile* at *rate* actions/s in *rooms* rooms of an app; replaces what is playing.

        The people of a room speak one language. An evening has *rate* in its busiest hour.
        """
        self.stop()
        self.profile, self.rate = profile, rate
        self._people = [People(self._seed + room) for room in range(rooms)]
        evening = profile == EVENING
        names = [one.room_id() if evening else f"console-{room}" for room, one in enumerate(self._people, 1)]
        self._task = asyncio.get_running_loop().create_task(self._play(sdkappid, names))

    def stop(self) -> None:
        """Stop the simulated people."""
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def _play(self, sdkappid: int, names: list[str]) -> None:
        owed = 0.0
        while True:
            await asyncio.sleep(_TICK_S)
            owed += self.rate * _TICK_S * self._busy(self._service.clock.now_ms())
            while owed >= 1:
                owed -= 1
                place = self._random.randrange(len(names))
                try:
                    self._service.act(partial(self._step, RoomKey(sdkappid, names[place]), place))
                except BackendError:
                    owed = 0  # the disk is full, or the room has just gone: the next turn tries again

    def _busy(self, now: int) -> float:
        """The level of activity, from 0 to 1."""
        if self.profile != EVENING:
            return 1.0
        return DAY.weight(now + time.localtime(now / 1000).tm_gmtoff * 1000)

    def _weights(self, place: int, inside: int, now: int) -> Mapping[str, int]:
        if self.profile != EVENING:
            return PROFILES[self.profile]
        return _FILLING if inside < _SIZES[place % len(_SIZES)] * self._busy(now) else _EMPTYING

    def _step(self, key: RoomKey, place: int, state: BackendState, now: int) -> None:
        people = self._people[place]
        entry = state.rooms.by_app[key.sdkappid].get(key.room_id)
        if entry is None:
            owner, evening = people.account(), self.profile == EVENING
            settings = {"seats_enabled": True, "seat_mode": "FreeToTake"} if evening else {}
            room = NewRoom(room_id=key.room_id, owner=owner, max_seats=_SEATS if evening else 0, settings=settings)
            state.rooms.create_room(key.sdkappid, room, Actor(owner, self._origin(people), now))
            return
        weights = self._weights(place, len(entry.room.members), now)
        (what,) = self._random.choices(list(weights), list(weights.values()))
        self._do(state, entry, people, what, now)

    def _do(self, state: BackendState, entry: RoomEntry, people: People, what: str, now: int) -> None:
        members, origin = list(entry.room.members), self._origin(people)
        full = len(members) >= min(_MOST_MEMBERS, entry.room.capacity)
        if not members or (what == "enter" and not full):
            state.members.enter(entry.key, people.account(), origin, now)
            return
        account = self._random.choice(members)
        administrator = state.rooms.options.behaviour.administrator
        if what == "kick":
            reason = people.reason("Kicked")
            state.members.kick(entry.key, [account], reason, Actor(administrator, origin, now))
        elif what == "lose" and account not in entry.room.lost:
            state.heartbeats.lose(entry.key, account, now)
        elif what == "seat":
            self._seat(state, entry, account, Actor(account, origin, now))
        elif what == "destroy":
            state.rooms.destroy_room(entry.key, Actor(administrator, origin, now))
        else:
            state.members.leave(entry.key, account, people.reason("Leave"), None, now)

    def _seat(self, state: BackendState, entry: RoomEntry, account: str, actor: Actor) -> None:
        if entry.seat_of(account) is not None:
            state.seats.leave_seat(entry.key, account, actor)
        elif sum(bool(seat.member_account) for seat in entry.seats.values()) < entry.settings.max_seats:
            state.seats.take_seat(entry.key, account, None, actor)

    def _origin(self, people: People) -> Origin:
        return Origin(people.client_ip(), people.platform())
