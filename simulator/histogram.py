"""A histogram of times whose buckets grow with the time: one list, 1.6 % precision, 0.2 µs a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, Self

__all__ = ["Histogram"]

_LONGEST_US: Final = (1 << 36) - 1  # 19 hours
_SLOTS: Final = 36 * 64


class Histogram:
    """Counts times in whole microseconds: exact below 128 µs, in 64 buckets an octave above."""

    __slots__ = ("counts", "longest_us", "total", "total_us")

    def __init__(self) -> None:
        self.counts = [0] * _SLOTS
        self.total = 0
        self.total_us = 0
        self.longest_us = 0

    def record(self, us: int) -> None:
        """Count one time; below 0 counts as 0, beyond 19 hours as 19 hours."""
        self.record_all((us,))

    def record_all(self, times_us: Sequence[int]) -> None:
        """Count many times, as ``record`` would one by one, but faster."""
        if not times_us:
            return
        longest = max(times_us)
        if longest > _LONGEST_US or min(times_us) < 0:
            times_us = [min(max(us, 0), _LONGEST_US) for us in times_us]
            longest = max(times_us)
        counts = self.counts
        for us in times_us:
            if us < 128:
                counts[us] += 1
            else:
                shift = us.bit_length() - 7
                counts[(shift << 6) + (us >> shift)] += 1
        self.longest_us = max(self.longest_us, longest)
        self.total_us += sum(times_us)
        self.total += len(times_us)

    def percentile_ms(self, percent: float) -> float:
        """The time (ms) that *percent* of all stay within; 0 without any."""
        wanted = self.total * percent / 100
        seen = 0
        for bound_us, count in self.buckets():
            seen += count
            if seen >= wanted:
                return min(bound_us, self.longest_us) / 1000
        return 0.0

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
        """Count all that *other* has counted."""
        for slot, count in enumerate(other.counts):
            if count:
                self.counts[slot] += count
        self.total += other.total
        self.total_us += other.total_us
        self.longest_us = max(self.longest_us, other.longest_us)

    def to_dict(self) -> dict[str, object]:
        """As JSON can hold it: ``{"counts": {slot: count}, "total_us": …, "longest_us": …}``."""
        counts = {str(slot): count for slot, count in enumerate(self.counts) if count}
        return {"counts": counts, "total_us": self.total_us, "longest_us": self.longest_us}

    @classmethod
    def from_dict(cls, data: Mapping[str, object]) -> Self:
        """The histogram that ``to_dict`` wrote."""
        found = cls()
        counts = data["counts"]
        assert isinstance(counts, dict)
        for slot, count in counts.items():
            found.counts[int(slot)] = int(count)
        found.total = sum(found.counts)
        found.total_us = int(str(data["total_us"]))
        found.longest_us = int(str(data["longest_us"]))
        return found


def _longest_in(slot: int) -> int:
    if slot < 128:
        return slot
    shift = (slot >> 6) - 1
    return ((slot - (shift << 6) + 1) << shift) - 1
