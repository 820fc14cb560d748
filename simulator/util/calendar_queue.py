"""A calendar queue: planned items in the order of their time, at a cost that does not grow with their number."""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterator
from heapq import heappop, heappush
from operator import attrgetter, length_hint
from typing import Final, Generic, Protocol, TypeVar

__all__ = ["CalendarQueue", "Planned"]


class Planned(Protocol):
    """An item with a time: ``due`` counts from the start of its bucket, and is -1 while the item is not planned."""

    due: int


Item = TypeVar("Item", bound=Planned)

_DUE: Final = attrgetter("due")


class CalendarQueue(Generic[Item]):
    """Items in the order of their times; items of the same time keep the order of planning.

    They wait in buckets of ``2 ** width_bits`` units of time, and a bucket is sorted when its time comes: a heap of a
    million items costs ten times as much per item. Items cannot be cancelled; make the item do nothing instead.
    """

    __slots__ = ("_buckets", "_keys", "_mask", "_width_bits")

    def __init__(self, width_bits: int) -> None:
        self._width_bits = width_bits
        self._mask = (1 << width_bits) - 1
        self._buckets: dict[int, list[Item] | _Current[Item]] = {}
        self._keys: list[int] = []  # a heap of those in the future

    def plan(self, item: Item, moment: int) -> None:
        """Plan *item*, which must not be planned already, for *moment*, which must not be past."""
        item.due = moment & self._mask  # small, where there is much: Python shares small numbers
        key = moment >> self._width_bits
        bucket = self._buckets.get(key)
        if bucket is None:
            self._buckets[key] = [item]
            heappush(self._keys, key)
        else:
            bucket.append(item)

    def buckets(self) -> Iterator[tuple[int, Iterator[Item]]]:
        """Each bucket: its start, and an iterator over its items, which includes items planned during the iteration.

        The time of an item is the start plus its ``due``. Set ``due`` to -1 when you take an item, before anything
        else.
        """
        buckets, keys = self._buckets, self._keys
        while keys:
            key = heappop(keys)
            items = sorted(buckets[key], key=_DUE)
            left = iter(items)
            buckets[key] = _Current(items, left)
            yield key << self._width_bits, left
            del buckets[key]


class _Current(Generic[Item]):
    """The bucket that is being emptied: *left* iterates over its *items*, and those behind it are out of order."""

    __slots__ = ("_items", "_left")

    def __init__(self, items: list[Item], left: Iterator[Item]) -> None:
        self._items = items
        self._left = left

    def __iter__(self) -> Iterator[Item]:
        return self._left

    def append(self, item: Item) -> None:
        insort(self._items, item, len(self._items) - length_hint(self._left), key=_DUE)
