"""Who comes to which room: made-up people without end, or the people and rooms that an App backend knows."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

from roomhook.simulator.chance import Chance
from roomhook.simulator.people import ROOM_PREFIXES
from roomhook.simulator.plans import Lot
from roomhook.simulator.rooms import Member

__all__ = ["Crowd", "Visitor"]


class Visitor(Member, gc=False, eq=False):
    """A member with a plan: ``what`` is to happen to him at the moment ``due`` (ms, -1 for never) in his ``place``.

    Visitors without an account stand for what is to happen to a place itself.
    """

    place: int
    due: int = -1
    what: int = 0
    reason: str = ""


class Crowd:
    """The people of ``slots`` rooms; each room has its own, so that rooms can live apart from one another.

    ``people`` and ``room_ids``, where given, are the accounts and rooms that exist; ``weights`` says how large a part
    of the people each room gets.
    """

    def __init__(
        self,
        seed: int,
        slots: int,
        *,
        people: Sequence[str] = (),
        room_ids: Sequence[str] = (),
        weights: Sequence[int] = (),
    ) -> None:
        self._seed = seed
        self.slots = slots
        self._room_ids = room_ids
        self._people = people
        self._bounds = (
            [0, *(len(people) * reached // sum(weights) for reached in accumulate(weights))] if people else []
        )

    def room_id(self, slot: int, nth: int) -> str:
        """The id of the *nth* room in a slot; an existing room opens again under its own id."""
        if self._room_ids:
            return self._room_ids[slot]
        return f"{ROOM_PREFIXES[slot % len(ROOM_PREFIXES)]}{10_000 + nth * self.slots + slot}"

    def own_people(self, slot: int, lots: Sequence[Lot]) -> list[Visitor] | None:
        """The existing people of a slot, or None if people are made up; address and platform stay with the account."""
        if not self._people:
            return None
        chance = Chance(self._seed, f"people/{slot}")
        accounts = self._people[self._bounds[slot] : self._bounds[slot + 1]]
        return [
            Visitor(account, lot.client_ip, lot.platform, slot)
            for account, lot in ((account, lots[chance.lot()]) for account in accounts)
        ]
