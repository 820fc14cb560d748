"""Assigns people to rooms: endless generated people, or existing people and rooms."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate, count, cycle
from operator import add
from typing import Final

import msgspec

from roomhook.simulator.rooms.room_ids import room_id
from roomhook.simulator.traffic.visits import VisitTemplate
from roomhook.simulator.util.random_stream import RandomStream

__all__ = ["MAX_GROUPS", "STRIDE", "Participant", "Population"]

STRIDE: Final = 7919
"""A prime: consecutive people get names and addresses from all over the world."""

MAX_GROUPS: Final = 256
"""The maximum number of groups that rooms are divided into."""


class Participant(msgspec.Struct, gc=False, eq=False):
    """Someone in a room, or on the way to it: action ``what`` is planned for ``due`` (-1 for never).

    ``slot`` is their place in their ``group``. ``visit`` has their address and platform, which stay with the account,
    and their reasons. A participant without an account stands for what is planned for a slot itself.
    """

    account: str
    visit: VisitTemplate
    group: int
    slot: int
    due: int = -1
    what: int = 0


class Population:
    """Rooms and people, divided into ``groups`` that are independent of one another.

    The room with number n is in group n modulo ``groups``: up to ``MAX_GROUPS`` rooms have a group each. ``people`` and
    ``room_ids``, if given, are existing accounts and rooms; people are distributed by ``sizes``, the number of people
    that each room is for.
    """

    def __init__(
        self, seed: int, sizes: Sequence[int], *, people: Sequence[str] = (), room_ids: Sequence[str] = ()
    ) -> None:
        self._seed = seed
        self._rooms = len(sizes)
        self._room_ids = room_ids
        self._people = people
        self.groups = min(self._rooms, MAX_GROUPS)
        whole = sum(sizes)
        reached = accumulate(sum(sizes[group :: self.groups]) for group in range(self.groups))
        self._bounds = [0, *(len(people) * upto // whole for upto in reached)] if people else []

    def rooms(self, group: int) -> range:
        """The numbers of the rooms in a group."""
        return range(group, self._rooms, self.groups)

    def room_id(self, number: int, nth: int) -> str:
        """The id of the *nth* room in the slot with this number; an existing room opens again under its own id."""
        if self._room_ids:
            return self._room_ids[number]
        return room_id(number, 10_000 + nth * self._rooms + number)

    def accounts(self, group: int, stems: Sequence[str], first: int) -> Iterator[str]:
        """Accounts of made-up people in a group: endless and all different, from stem number *first* on."""
        mine = [stems[(number * STRIDE + first) % len(stems)] for number in range(1, len(stems) + 1)]
        return map(add, cycle(mine), map(str, count(self.groups + group, self.groups)))

    def own_people(self, group: int, visits: Sequence[VisitTemplate]) -> list[Participant] | None:
        """The existing people of a group, or None if people are made up; they keep address and platform."""
        if not self._people:
            return None
        random = RandomStream(self._seed, f"people/{group}")
        accounts = self._people[self._bounds[group] : self._bounds[group + 1]]
        return [Participant(account, visits[random.index()], group, 0) for account in accounts]
