"""Which rooms each worker plays, whenever it comes: pure, and the same for the same workers in the same order."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import msgspec

__all__ = ["RoomShare", "RoomShareAllocator"]


class RoomShare(msgspec.Struct, frozen=True, kw_only=True):
    """One worker's share of a run: the ``part`` of ``parts`` of its rooms, or an ``annex`` of rooms that are added.

    ``annex`` 0 is the run's own rooms. ``number`` (from 1) is no other worker's in this run.
    """

    number: int = 1
    part: int = 1
    parts: int = 1
    annex: int = 0


class RoomShareAllocator:
    """The shares of a run that began with *workers*, in ``held``: no two have the same rooms at the same time.

    Who comes later takes over the share of a worker that has left, and plays those rooms from their beginning; where
    none is free, and rooms can be added (*extensible*: their ids and people are made up), it has an annex of its own.
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
        """The share of *worker*, while those in *present* keep theirs; None if there is none to be had."""
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
