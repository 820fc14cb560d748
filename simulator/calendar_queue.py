"""A calendar queue: what is to happen, in the order of its time, at a cost that does not grow with how much it is."""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterator
from heapq import heappop, heappush
from operator import itemgetter
from typing import Any, Final, Generic, TypeVar

__all__ = ["CalendarQueue"]

Entry = TypeVar("Entry", bound=tuple[Any, ...])

_TIME: Final = itemgetter(0)


class CalendarQueue(Generic[Entry]):
    """Tuples whose first item is their time (a whole number); of those at one time, the first pushed is the first out.

    They wait in buckets of ``2 ** width_bits`` units of time, and a bucket is sorted when its time comes: a heap of a
    million entries costs ten times as much for each. Buckets of a dozen entries or two are the cheapest.
    """

    __slots__ = ("_buckets", "_width_bits")

    def __init__(self, width_bits: int) -> None:
        self._width_bits = width_bits
        self._buckets: _Buckets[Entry] = _Buckets()

    def push(self, entry: Entry) -> None:
        """Add *entry*, whose time must not be before that of the one that the loop over the queue is at."""
        self._buckets[entry[0] >> self._width_bits].append(entry)

    def buckets(self) -> Iterator[list[Entry]]:
        """Take out bucket after bucket, until none is left; in the one at hand, later pushes take their places."""
        buckets, keys = self._buckets, self._buckets.heap
        while keys:
            key = heappop(keys)
            current = buckets[key] = _Current(buckets[key])
            current.sort(key=_TIME)
            yield current
            del buckets[key]


class _Buckets(dict[int, list[Entry]]):
    """Buckets by time, made when they are first asked for; ``heap`` has the keys of those to come."""

    def __init__(self) -> None:
        super().__init__()
        self.heap: list[int] = []

    def __missing__(self, key: int) -> list[Entry]:
        heappush(self.heap, key)
        bucket = self[key] = []
        return bucket


class _Current(list[Entry]):
    """The bucket that is being emptied: what is added takes its place in the order."""

    def append(self, entry: Entry) -> None:
        insort(self, entry, key=_TIME)
