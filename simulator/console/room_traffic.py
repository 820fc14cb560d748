"""Simulated people on the rooms of a mock Room backend: a profile at a rate, until it is stopped."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from random import Random
from typing import Final

from roomhook.simulator.protocol.callback_url import PLATFORMS
from roomhook.simulator.room_backend.runtime.service import Service
from roomhook.simulator.room_backend.state.engine import BackendState
from roomhook.simulator.room_backend.state.error_codes import BackendError
from roomhook.simulator.room_backend.state.room_record import Actor, Origin, RoomEntry, RoomKey
from roomhook.simulator.room_backend.state.rooms import NewRoom
from roomhook.simulator.rooms.people import People

__all__ = ["PROFILES", "RoomTraffic"]

PROFILES: Final[Mapping[str, Mapping[str, int]]] = {
    "steady": {"enter": 50, "leave": 36, "kick": 6, "lose": 8},
    "arrivals": {"enter": 90, "leave": 8, "kick": 1, "lose": 1},
    "departures": {"enter": 8, "leave": 80, "kick": 6, "lose": 6},
    "poor network": {"enter": 45, "leave": 15, "kick": 0, "lose": 40},
}
"""Weights of what people do, by profile."""

_MOST_MEMBERS: Final = 40
_TICK_S: Final = 0.05


class RoomTraffic:
    """Lets people enter, leave, be kicked and lose their heartbeat on *service*; deterministic by *seed*."""

    def __init__(self, service: Service, seed: int = 0) -> None:
        self.profile = ""
        self.rate = 0.0
        self.actions = 0
        self._service = service
        self._random = Random(seed)
        self._people = People(seed)
        self._task: asyncio.Task[None] | None = None

    @property
    def running(self) -> bool:
        """Whether people are at work."""
        return self._task is not None and not self._task.done()

    def start(self, sdkappid: int, profile: str, rate: float, rooms: int) -> None:
        """Play *profile* at *rate* actions/s in *rooms* rooms of an app; replaces what is playing."""
        self.stop()
        self.profile, self.rate = profile, rate
        names = [f"console-{number}" for number in range(1, rooms + 1)]
        self._task = asyncio.get_running_loop().create_task(self._play(sdkappid, names))

    def stop(self) -> None:
        """End it."""
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def _play(self, sdkappid: int, names: list[str]) -> None:
        owed = 0.0
        while True:
            await asyncio.sleep(_TICK_S)
            owed += self.rate * _TICK_S
            while owed >= 1:
                owed -= 1
                key = RoomKey(sdkappid, self._random.choice(names))
                try:
                    self._service.act(self._step(key))
                except BackendError:
                    owed = 0  # the disk is full, or the room has just gone: the next turn tries again
                self.actions += 1

    def _step(self, key: RoomKey) -> Callable[[BackendState, int], None]:
        weights = PROFILES[self.profile]
        (what,) = self._random.choices(list(weights), list(weights.values()))

        def change(state: BackendState, now: int) -> None:
            entry = state.rooms.by_app[key.sdkappid].get(key.room_id)
            if entry is None:
                owner = self._people.account()
                state.rooms.create_room(
                    key.sdkappid, NewRoom(room_id=key.room_id, owner=owner), Actor(owner, self._origin(), now)
                )
            else:
                self._do(state, entry, what, now)

        return change

    def _do(self, state: BackendState, entry: RoomEntry, what: str, now: int) -> None:
        members = list(entry.room.members)
        full = len(members) >= min(_MOST_MEMBERS, entry.room.capacity)
        if not members or (what == "enter" and not full):
            state.members.enter(entry.key, self._people.account(), self._origin(), now)
            return
        account = self._random.choice(members)
        if what == "kick":
            administrator = state.rooms.options.behaviour.administrator
            state.members.kick(entry.key, [account], "kicked", Actor(administrator, self._origin(), now))
        elif what == "lose" and account not in entry.room.lost:
            state.members.lose_heartbeat(entry.key, account, now)
        else:
            state.members.leave(entry.key, account, self._people.reason("Leave"), None, now)

    def _origin(self) -> Origin:
        return Origin(self._people.client_ip(), self._random.choice(PLATFORMS))
