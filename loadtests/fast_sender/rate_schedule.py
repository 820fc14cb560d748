"""Due times of callbacks in an open loop, at a rate that may change at any time. Pure."""

from __future__ import annotations

from collections import deque
from itertools import pairwise

__all__ = ["RateSchedule"]

_SECOND = 1e9


class RateSchedule:
    """Moments (ns) at which callbacks are due; what has not been taken keeps its moment, however late it gets.

    After a change of the rate, the part of a callback that was already due under the old rate counts.
    """

    def __init__(self, start_ns: int) -> None:
        self._changes: deque[tuple[int, float]] = deque()
        self._from = float(start_ns)
        self._rate = 0.0
        self._missing = 0.0  # of the callback that is due next, counted from _from

    def change(self, now_ns: int, rate: float) -> None:
        """From *now_ns* on, *rate* callbacks are due a second."""
        self._changes.append((now_ns, rate))
        self.due_ns()

    def due_ns(self) -> int | None:
        """When the next callback is due; None while the rate is 0."""
        while True:
            due = self._from + self._missing / self._rate * _SECOND if self._rate else None
            if not self._changes or (due is not None and due < self._changes[0][0]):
                return None if due is None else int(due)
            at, rate = self._changes.popleft()
            self._missing = max(0.0, self._missing - (at - self._from) / _SECOND * self._rate)
            self._from, self._rate = float(at), rate

    def take(self) -> None:
        """The callback that was due has left; the next one follows a whole interval later."""
        due = self.due_ns()
        assert due is not None
        self._from, self._missing = self._from + self._missing / self._rate * _SECOND, 1.0

    def backlog(self, now_ns: int) -> int:
        """How many are due at *now_ns* and have not been taken."""
        count = 0
        steps = [(self._from, self._rate), *self._changes, (float(now_ns), 0.0)]
        missing = self._missing
        for (begin, rate), (end, _) in pairwise(steps):
            covered = (min(end, now_ns) - begin) / _SECOND * rate
            if covered < missing or rate == 0:
                missing -= max(0.0, covered)
                continue
            whole = int(covered - missing)
            count += whole + 1
            missing = 1.0 - (covered - missing - whole)
        return count
