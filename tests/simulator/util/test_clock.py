"""Times since the epoch keep their order, and follow a clock that is set."""

from __future__ import annotations

import time

import pytest

from roomhook.simulator.util.clock import WallClock


def test_the_offset_stays_as_it_is_until_the_clock_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    wall, monotonic = 1_700_000_000_000_000_000, 5_000_000_000
    monkeypatch.setattr(time, "time_ns", lambda: wall)
    monkeypatch.setattr(time, "monotonic_ns", lambda: monotonic)
    clock = WallClock()
    assert clock.at(monotonic) == wall
    wall += 900_000  # the two readings are not of the same moment
    clock.refresh()
    assert clock.at(monotonic) == wall - 900_000
    for step in (3_600_000_000_000, -7_200_000_000_000):
        wall += step
        clock.refresh()
        assert clock.at(monotonic) == wall
