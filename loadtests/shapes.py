"""Load shapes: the number of users, and so the rate, over the time of a run.

In your own locustfile: ``from roomhook.loadtests import shapes`` and ``class Friday(shapes.Spike)``.
"""

from __future__ import annotations

import logging
from typing import Any, ClassVar, Final

from locust import LoadTestShape

from roomhook.loadtests import hooks  # noqa: F401  # pyright: ignore[reportUnusedImport]  # connects us to locust
from roomhook.loadtests.results.thresholds import check_thresholds, rate_of
from roomhook.loadtests.session.session import LoadSession, session_of
from roomhook.loadtests.session.shape_selection import register_shape

__all__ = ["OutageSweep", "Ramp", "Soak", "Spike", "Staircase"]

_log = logging.getLogger("roomhook")
_AT_ONCE: Final = 100
_USERS: Final = 10
_SECONDS: Final = 60
_TICK_S: Final = 1.0
"""Interval at which locust calls a shape; it may miss shorter changes."""


class _Shape(LoadTestShape):
    """Base of our shapes: ``peak`` users in ``duration`` s (default: locust's --users and --run-time)."""

    abstract = True
    use_common_options = True
    peak: ClassVar[int | None] = None
    duration: ClassVar[float | None] = None
    shortest: ClassVar[float] = 1.0
    """Shortest ``duration`` (s) in which each part of the shape lasts a second."""

    def passed(self) -> float:
        """Elapsed share of the duration (0 to 1, and more after the end)."""
        me: Any = self  # locust's own methods have no types
        return float(me.get_run_time()) / self.seconds

    @property
    def seconds(self) -> float:
        """Duration of the shape (s)."""
        return float(self.duration or self.session.options.run_time or _SECONDS)

    @property
    def session(self) -> LoadSession:
        """The load test."""
        runner: Any = self.runner
        return session_of(runner.environment)

    def tick(self) -> tuple[int, float] | None:
        """Called by locust each second: number of users, and users/s to reach it; None at the end."""
        passed = self.passed()
        if passed >= 1:
            return None
        peak = self.peak or self.session.options.num_users or _USERS
        level = self.level(passed)
        return max(1 if level else 0, round(peak * level)), max(_AT_ONCE, peak)

    def level(self, passed: float) -> float:
        """Share of the peak after the share *passed* (0 to 1) of the duration."""
        raise NotImplementedError


@register_shape("ramp")
class Ramp(_Shape):
    """Rises in the first third, then stays level."""

    def level(self, passed: float) -> float:
        """A straight line up."""
        return min(1.0, max(0.01, passed * 3))


@register_shape("soak")
class Soak(_Shape):
    """Rises in the first twentieth, then stays level."""

    def level(self, passed: float) -> float:
        """A short line up."""
        return min(1.0, max(0.01, passed * 20))


@register_shape("spike")
class Spike(_Shape):
    """A tenth of the peak, and the full peak at the end of each quarter, as when rooms are dissolved.

    The spike lasts a quarter of the quarter, but at least a second.
    """

    shortest = 8.0

    def level(self, passed: float) -> float:
        """The end of each quarter is the spike."""
        return 1.0 if passed * 4 % 1 >= 1 - max(0.25, _TICK_S / (self.seconds / 4)) else 0.1


@register_shape("outage")
class OutageSweep(_Shape):
    """A third of the peak, then silence during an outage, then the expiries of lost heartbeats at the full peak."""

    shortest = 5.0

    def level(self, passed: float) -> float:
        """Level, silence, a decreasing sweep, level."""
        if passed < 0.3:
            return 1 / 3
        if passed < 0.5:
            return 0.0
        return max(1 / 3, 1 - (passed - 0.5) * 2)


@register_shape("staircase")
class Staircase(_Shape):
    """Ten steps up to the peak; stops at the first that fails a threshold, and reports the last good rate."""

    steps: ClassVar[int] = 10
    shortest = 20.0  # two seconds a step, since locust looks once a second

    def __init__(self) -> None:
        parent: Any = super()
        parent.__init__()
        self._step = 0
        self._good: float | None = None

    def reset_time(self) -> None:
        """Start again at the first step."""
        parent: Any = super()
        parent.reset_time()
        self._step, self._good = 0, None

    def level(self, passed: float) -> float:
        """A step higher each time."""
        return (int(passed * self.steps) + 1) / self.steps

    def tick(self) -> tuple[int, float] | None:
        """Called by locust each second; judges each finished step."""
        step = min(self.steps, int(self.passed() * self.steps))
        if step > self._step:
            self._step = step
            if not self._held():
                return None
        return super().tick()

    def _held(self) -> bool:
        """Whether the finished step passed all thresholds."""
        session = self.session
        figures = session.drain_stats()
        session.run.verdicts = check_thresholds(session.thresholds, figures)
        rate, broken = rate_of(figures), [one for one in session.run.verdicts if one.broken]
        if broken:
            last = "none" if self._good is None else f"{self._good:,.0f}/s"
            session.run.notes.append(
                f"step {self._step} at {rate:,.0f}/s failed {', '.join(one.threshold.text for one in broken)}; "
                f"last good rate: {last}"
            )
        else:
            self._good = rate
            if self._step == self.steps:
                session.run.notes.append(f"every step passed; last good rate: {rate:,.0f}/s")
        if broken or self._step == self.steps:
            session.run.notes.append(
                f"the thresholds, p99 included, are those of step {self._step}; the latency covers all steps"
            )
        _log.info(
            "step %d of %d: %.0f/s, %s",
            self._step,
            self.steps,
            rate,
            "; ".join(f"{one.threshold.text} failed at {one.shown}" for one in broken) or "good",
        )
        return not broken
