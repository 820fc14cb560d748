"""A histogram of times whose buckets grow with the time: 1.6 % precision, 0.1 µs a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, Self

__all__ = ["Histogram"]

_LONGEST_US: Final = (1 << 36) - 1  # 19 hours
_SLOTS: Final = 36 * 64
_MOST_NEW: Final = 4096


class Histogram:
    """Counts times in whole microseconds: exact below 128 µs, in 64 buckets an octave above."""

    __slots__ = ("_counts", "_new", "longest_us", "total", "total_us")

    def __init__(self) -> None:
        self._counts = [0] * _SLOTS
        self._new: Counter[int] = Counter()
        self.total = 0
        self.total_us = 0
        self.longest_us = 0

    @property
    def counts(self) -> list[int]:
        """How many times each bucket holds."""
        counts = self._counts
        for us, count in self._new.items():
            if us < 128:
                counts[us] += count
            else:
                shift = us.bit_length() - 7
                counts[(shift << 6) + (us >> shift)] += count
        self._new.clear()
        return counts

    def record(self, us: int) -> None:
        """Count one time; below 0 counts as 0, beyond 19 hours as 19 hours."""
        self.record_all((us,))

    def record_all(self, times_us: Sequence[int]) -> None:
        """Count many times, faster than ``record`` one by one; they are put into buckets on the first query."""
        if not times_us:
            return
        longest = max(times_us)
        if longest > _LONGEST_US or min(times_us) < 0:
            times_us = [min(max(us, 0), _LONGEST_US) for us in times_us]
            longest = max(times_us)
        self._new.update(times_us)
        if len(self._new) > _MOST_NEW:
            _ = self.counts
        self.longest_us = max(self.longest_us, longest)
        self.total_us += sum(times_us)
        self.total += len(times_us)

    def percentile_ms(self, percent: float) -> float:
        """The time (ms) below which *percent* of all times are; 0 without any."""
        wanted = self.total * percent / 100
        seen = 0
        for bound_us, count in self.buckets():
            seen += count
            if seen >= wanted:
                return min(bound_us, self.longest_us) / 1000
        return 0.0

    def percentiles_ms(self) -> dict[str, float]:
        """The percentiles that reports show (ms), by name."""
        return {f"p{percent:g}": round(self.percentile_ms(percent), 3) for percent in (50, 90, 99, 99.9)}

    def times_ms(self) -> dict[str, float]:
        """As ``percentiles_ms``, with ``mean`` and ``max``."""
        return {"mean": round(self.mean_ms, 3), **self.percentiles_ms(), "max": self.longest_us / 1000}

    @property
    def mean_ms(self) -> float:
        """The mean (ms); 0 without any."""
        return self.total_us / self.total / 1000 if self.total else 0.0

    def buckets(self) -> Iterator[tuple[int, int]]:
        """The longest time (µs) of each bucket that holds any, and how many, the shortest first."""
        for slot, count in enumerate(self.counts):
            if count:
                yield _longest_in(slot), count

    def add(self, other: Histogram) -> None:
        """Add the counts of *other*."""
        counts = self.counts
        for slot, count in enumerate(other.counts):
            counts[slot] += count
        self.total += other.total
        self.total_us += other.total_us
        self.longest_us = max(self.longest_us, other.longest_us)

    def since(self, counts: Sequence[int]) -> Histogram:
        """What has been counted since ``counts`` was a copy of *counts*; its longest is the longest of all times."""
        found = Histogram()
        found._counts = [now - then for now, then in zip(self.counts, counts, strict=True)]
        found.total, found.longest_us = sum(found.counts), self.longest_us
        return found

    def to_dict(self) -> dict[str, object]:
        """The histogram as a JSON object: ``{"counts": {slot: count}, "total_us": …, "longest_us": …}``."""
        counts = {str(slot): count for slot, count in enumerate(self.counts) if count}
        return {"counts": counts, "total_us": self.total_us, "longest_us": self.longest_us}

    @classmethod
    def from_dict(cls, data: Mapping[str, object]) -> Self:
        """The histogram that ``to_dict`` wrote."""
        found = cls()
        counts = data["counts"]
        assert isinstance(counts, dict)
        for slot, count in counts.items():
            found._counts[int(slot)] = int(count)
        found.total = sum(found.counts)
        found.total_us = int(str(data["total_us"]))
        found.longest_us = int(str(data["longest_us"]))
        return found


def _longest_in(slot: int) -> int:
    if slot < 128:
        return slot
    shift = (slot >> 6) - 1
    return ((slot - (shift << 6) + 1) << shift) - 1
