"""A calendar queue: what is planned, in the order of its time, at a cost that does not grow with how much it is."""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable, Iterator
from heapq import heappop, heappush
from operator import attrgetter, length_hint
from typing import Final, Generic, Protocol, TypeVar

__all__ = ["CalendarQueue", "Planned"]


class Planned(Protocol):
    """Something with a moment: ``due`` is a whole number, -1 while nothing is planned."""

    due: int


Item = TypeVar("Item", bound=Planned)

_DUE: Final = attrgetter("due")


class CalendarQueue(Generic[Item]):
    """Items in the order of their moments; of those at one moment, the one planned first comes first.

    They wait in buckets of ``2 ** width_bits`` units of time, and a bucket is sorted when its time comes: a heap of a
    million items costs ten times as much for each. Buckets of a dozen items or two are the cheapest.
    """

    __slots__ = ("_buckets", "_stale", "_width_bits")

    def __init__(self, width_bits: int) -> None:
        self._width_bits = width_bits
        self._buckets: _Buckets[Item] = _Buckets()
        self._stale: set[int] = set()

    def plan(self, item: Item, due: int) -> None:
        """Plan *item* for the moment *due*, which must not be past, in place of what was planned for it before."""
        if item.due >= 0:
            self._withdraw(item)
        item.due = due
        self._buckets[due >> self._width_bits].append(item)

    def cancel(self, item: Item) -> None:
        """Plan nothing for *item*."""
        if item.due >= 0:
            self._withdraw(item)
            item.due = -1

    def buckets(self) -> Iterator[Iterator[Item]]:
        """Bucket after bucket, each as an iterator that meets what is planned meanwhile in its place.

        Whoever takes an item sets its ``due`` to -1 before anything else.
        """
        buckets, keys = self._buckets, self._buckets.heap
        while keys:
            key = heappop(keys)
            waiting: Iterable[Item] = buckets[key]
            if key in self._stale:
                self._stale.remove(key)
                waiting = dict.fromkeys(item for item in waiting if item.due >> self._width_bits == key)
            items = sorted(waiting, key=_DUE)
            left = iter(items)
            buckets[key] = _Current(items, left)
            yield left
            del buckets[key]

    def _withdraw(self, item: Item) -> None:
        """Take back what was planned for *item*; in a bucket to come, it is left out when that bucket's time comes."""
        key = item.due >> self._width_bits
        bucket = self._buckets[key]
        if isinstance(bucket, list):
            self._stale.add(key)
        else:
            bucket.remove(item)


class _Current(Generic[Item]):
    """The bucket that is being emptied: *left* goes through its *items*, and what is behind it is out of order."""

    __slots__ = ("_items", "_left")

    def __init__(self, items: list[Item], left: Iterator[Item]) -> None:
        self._items = items
        self._left = left

    def __iter__(self) -> Iterator[Item]:
        return iter(self._items)

    def append(self, item: Item) -> None:
        insort(self._items, item, self._done, key=_DUE)

    def remove(self, item: Item) -> None:
        del self._items[self._items.index(item, self._done)]

    @property
    def _done(self) -> int:
        return len(self._items) - length_hint(self._left)


class _Buckets(dict[int, "list[Item] | _Current[Item]"], Generic[Item]):
    """Buckets by time, made when they are first asked for; ``heap`` has the keys of those to come."""

    def __init__(self) -> None:
        super().__init__()
        self.heap: list[int] = []

    def __missing__(self, key: int) -> list[Item]:
        heappush(self.heap, key)
        bucket: list[Item] = []
        self[key] = bucket
        return bucket
