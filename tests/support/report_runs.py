"""The made-up runs that every format of a report is tried with, by name."""

from __future__ import annotations

from made_runs import ended_early, failing, interrupted, nothing_ran, passing, unreachable

__all__ = ["RUNS"]

RUNS = {
    "failing": failing,
    "passing": passing,
    "unreachable": unreachable,
    "nothing-ran": nothing_ran,
    "ended-early": ended_early,
    "interrupted": interrupted,
}
