"""Who is suspected of having harmed the target, one case after the other and side by side."""

from __future__ import annotations

from roomhook.contract_tests.harness.records.trail import Trail


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_an_acknowledgement_clears_the_cases_before_it_but_not_the_one_that_goes_on() -> None:
    clock = Clock()
    trail = Trail(clock)
    trail.began("bad.null")
    trail.ended("bad.null", failed=False)
    clock.now += 1
    trail.began("bad.array")
    clock.now += 1
    trail.acknowledged(elapsed_ms=10)
    assert trail.suspects == ("bad.array",)


def test_a_neighbour_that_goes_on_well_does_not_clear_the_case_that_does_the_harm() -> None:
    trail = Trail(Clock())
    trail.began("bad.null")
    trail.began("bad.array")
    trail.acknowledged(elapsed_ms=10)
    assert trail.suspects == ("bad.null", "bad.array")


def test_an_answer_to_a_callback_sent_before_a_case_ended_does_not_clear_the_case() -> None:
    clock = Clock()
    trail = Trail(clock)
    trail.began("bad.null")
    trail.began("bad.array")
    trail.ended("bad.null", failed=True)
    clock.now += 0.1
    trail.acknowledged(elapsed_ms=500)
    before = trail.suspects, trail.explained
    clock.now += 1
    trail.acknowledged(elapsed_ms=500)
    after = trail.suspects, trail.explained
    assert before == (("bad.null", "bad.array"), True)
    assert after == (("bad.array",), False)
