"""Assigns rooms to workers, also to late ones. Pure: the same workers in the same order get the same rooms."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import msgspec

__all__ = ["RoomShare", "RoomShareAllocator"]


class RoomShare(msgspec.Struct, frozen=True, kw_only=True):
    """One worker's share of a run: part ``part`` (from 1) of ``parts`` of its rooms, or added rooms.

    ``annex`` is 0 for the run's own rooms, else the number of the set of added rooms. ``number`` (from 1) is unique in
    the run.
    """

    number: int = 1
    part: int = 1
    parts: int = 1
    annex: int = 0


class RoomShareAllocator:
    """Shares of a run that started with *workers*, in ``held`` by worker: no two play the same rooms at the same time.

    A worker that joins later gets the share of one that has left, and starts those rooms again. If there is none, it
    gets added rooms, which is possible only if ids and people are generated (*extensible*).
    """

    def __init__(self, workers: Sequence[str], *, extensible: bool) -> None:
        self._extensible = extensible
        self._number = len(workers)
        self._annexes = 0
        self.held = {
            worker: RoomShare(number=number, part=number, parts=len(workers))
            for number, worker in enumerate(workers, 1)
        }

    def of(self, worker: str, present: Collection[str]) -> RoomShare | None:
        """The share of *worker*, while those in *present* keep theirs; None if no rooms are left."""
        held = self.held.get(worker)
        if held is not None:
            return held
        free = next((one for one in self.held if one not in present), None)
        if free is None and not self._extensible:
            return None
        self._number += 1
        if free is not None:
            share = msgspec.structs.replace(self.held.pop(free), number=self._number)
        else:
            self._annexes += 1
            share = RoomShare(number=self._number, annex=self._annexes)
        self.held[worker] = share
        return share
