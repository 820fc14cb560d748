"""A calendar queue: what is planned, in the order of its time, at a cost that does not grow with how much it is."""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterator
from heapq import heappop, heappush
from operator import attrgetter, length_hint
from typing import Final, Generic, Protocol, TypeVar

__all__ = ["CalendarQueue", "Planned"]


class Planned(Protocol):
    """Something with a moment: ``due`` is a whole number, -1 while nothing is planned. It hashes by its identity."""

    due: int


Item = TypeVar("Item", bound=Planned)

_DUE: Final = attrgetter("due")


class CalendarQueue(Generic[Item]):
    """Items in the order of their moments; of those at one moment, the one planned first comes first.

    They wait in buckets of ``2 ** width_bits`` units of time, and a bucket is sorted when its time comes: a heap of a
    million items costs ten times as much for each. Buckets of a dozen items or two are the cheapest.
    """

    __slots__ = ("_buckets", "_width_bits")

    def __init__(self, width_bits: int) -> None:
        self._width_bits = width_bits
        self._buckets: _Buckets[Item] = _Buckets()

    def plan(self, item: Item, due: int) -> None:
        """Plan *item*, for which nothing is planned, for the moment *due*, which must not be past."""
        item.due = due
        self._buckets[due >> self._width_bits][item] = None

    def cancel(self, item: Item) -> None:
        """Plan nothing for *item*."""
        if item.due >= 0:
            del self._buckets[item.due >> self._width_bits][item]
            item.due = -1

    def buckets(self) -> Iterator[Iterator[Item]]:
        """Bucket after bucket, each as an iterator that meets what is planned meanwhile in its place.

        Whoever takes an item sets its ``due`` to -1 before anything else.
        """
        buckets, keys = self._buckets, self._buckets.heap
        while keys:
            key = heappop(keys)
            items = sorted(buckets[key], key=_DUE)
            left = iter(items)
            buckets[key] = _Current(items, left)
            yield left
            del buckets[key]


class _Current(Generic[Item]):
    """The bucket that is being emptied: *left* goes through its *items*, and what is behind it is out of order."""

    __slots__ = ("_items", "_left")

    def __init__(self, items: list[Item], left: Iterator[Item]) -> None:
        self._items = items
        self._left = left

    def __iter__(self) -> Iterator[Item]:
        return self._left

    def __setitem__(self, item: Item, _: None) -> None:
        insort(self._items, item, self._done, key=_DUE)

    def __delitem__(self, item: Item) -> None:
        del self._items[self._items.index(item, self._done)]

    @property
    def _done(self) -> int:
        return len(self._items) - length_hint(self._left)


class _Buckets(dict[int, "dict[Item, None] | _Current[Item]"], Generic[Item]):
    """Ordered sets of items by time, made when they are first asked for; ``heap`` has the keys of those to come."""

    def __init__(self) -> None:
        super().__init__()
        self.heap: list[int] = []

    def __missing__(self, key: int) -> dict[Item, None]:
        heappush(self.heap, key)
        bucket: dict[Item, None] = {}
        self[key] = bucket
        return bucket
