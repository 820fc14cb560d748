"""A callback that fails once: whether another case ran beside it is decided when it fails, not when it is repeated."""

from __future__ import annotations

from made_runs import exchange

from roomhook.contract_tests.harness.records.observations import FlakyAnswers

FAILED = exchange("Leave", 500, "oops")


class Clock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def test_a_failure_beside_a_case_that_ends_before_the_repeat_is_in_company() -> None:
    flaky = FlakyAnswers(clock=Clock())
    with flaky.company():
        flaky.look_at(FAILED)
    flaky.add(FAILED)
    assert (flaky.seen, flaky.in_company) == ([], [FAILED])


def test_a_failure_that_began_before_the_other_case_ended_is_in_company() -> None:
    clock = Clock()
    flaky = FlakyAnswers(clock=clock)
    with flaky.company():
        pass
    clock.now_s += FAILED.elapsed_ms / 1000 / 2
    flaky.look_at(FAILED)
    flaky.add(FAILED)
    assert flaky.in_company == [FAILED]


def test_a_failure_alone_is_not_in_company() -> None:
    clock = Clock()
    flaky = FlakyAnswers(clock=clock)
    with flaky.company():
        pass
    clock.now_s += 1
    flaky.look_at(FAILED)
    flaky.add(FAILED)
    assert (flaky.seen, flaky.in_company) == ([FAILED], [])
