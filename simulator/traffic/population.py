"""Who comes to which room: made-up people without end, or the people and rooms that an App backend knows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate, count, cycle
from operator import add
from typing import Final

import msgspec

from roomhook.simulator.rooms.people import ROOM_PREFIXES
from roomhook.simulator.traffic.visits import VisitTemplate
from roomhook.simulator.util.random_stream import RandomStream

__all__ = ["CORNERS", "STRIDE", "Participant", "Population"]

STRIDE: Final = 7919
"""A prime: people who come one after another have names and addresses from all over the world."""

CORNERS = 256
"""Into how many corners the rooms are divided at the most."""


class Participant(msgspec.Struct, gc=False, eq=False):
    """Somebody in a room, or on the way to it: ``what`` is to happen to him when he is ``due`` (-1 for never).

    ``slot`` is where in his ``corner`` he is. ``index`` has his address and platform, which stay with the account, and
    what he says when he goes. Visitors without an account stand for what is to happen to a place itself.
    """

    account: str
    lot: VisitTemplate
    corner: int
    slot: int
    due: int = -1
    what: int = 0


class Population:
    """Rooms and people, divided into ``corners`` that have nothing to do with one another.

    A room with the number n is in the corner n modulo ``corners``: as long as there are not more than ``CORNERS``
    rooms, each has a corner for itself. ``people`` and ``room_ids``, where given, are the accounts and rooms that
    exist; the people are shared out by ``sizes``, the number of people each room is for.
    """

    def __init__(
        self, seed: int, sizes: Sequence[int], *, people: Sequence[str] = (), room_ids: Sequence[str] = ()
    ) -> None:
        self._seed = seed
        self._rooms = len(sizes)
        self._room_ids = room_ids
        self._people = people
        self.corners = min(self._rooms, CORNERS)
        whole = sum(sizes)
        reached = accumulate(sum(sizes[corner :: self.corners]) for corner in range(self.corners))
        self._bounds = [0, *(len(people) * upto // whole for upto in reached)] if people else []

    def rooms(self, corner: int) -> range:
        """The numbers of the rooms in a corner."""
        return range(corner, self._rooms, self.corners)

    def room_id(self, number: int, nth: int) -> str:
        """The id of the *nth* room in the place with this number; an existing room opens again under its own id."""
        if self._room_ids:
            return self._room_ids[number]
        return f"{ROOM_PREFIXES[number % len(ROOM_PREFIXES)]}{10_000 + nth * self._rooms + number}"

    def accounts(self, corner: int, stems: Sequence[str], first: int) -> Iterator[str]:
        """Accounts of made-up people in a corner, without end and each another; *first* says with which stem."""
        mine = [stems[(number * STRIDE + first) % len(stems)] for number in range(1, len(stems) + 1)]
        return map(add, cycle(mine), map(str, count(self.corners + corner, self.corners)))

    def own_people(self, corner: int, lots: Sequence[VisitTemplate]) -> list[Participant] | None:
        """The existing people of a corner, or None if people are made up; they keep their addresses and platforms."""
        if not self._people:
            return None
        chance = RandomStream(self._seed, f"people/{corner}")
        accounts = self._people[self._bounds[corner] : self._bounds[corner + 1]]
        return [Participant(account, lots[chance.index()], corner, 0) for account in accounts]
