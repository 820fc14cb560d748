"""What the first callbacks of a run tell of a target that starts cold, loses one, or never answers."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest
from starlette.responses import Response
from variant_server import SDKAPPID, Variant, listening

from roomhook.contract_tests.app_backends.reference.backend import IncomingCallback
from roomhook.contract_tests.engine import opening, parallel
from roomhook.contract_tests.engine.suite import run_suite
from roomhook.contract_tests.model.settings import Settings
from roomhook.contract_tests.model.verdicts import RunFinished, RunOutcome, RunStarted, Verdict
from roomhook.contract_tests.reports.run_report import report_of
from roomhook.contract_tests.reports.text import render

pytestmark = pytest.mark.long


class Starts(Variant):
    """Answers nothing for the first *cold_s*, and tells how many callbacks were under way at most after that."""

    def __init__(self, cold_s: float) -> None:
        super().__init__()
        self.cold_s = cold_s
        self.at_once = 0

    async def handle(self, callback: IncomingCallback) -> Response:
        if self.cold_s:
            await asyncio.sleep(self.cold_s)
            self.cold_s = 0
        else:
            self.at_once = max(self.at_once, self.in_flight)
        return await super().handle(callback)


class OneAtATime(Starts):
    alone = True


class Loses(Variant):
    """Never answers what comes first."""

    async def handle(self, callback: IncomingCallback) -> Response:
        if self.requests == 1:
            await asyncio.sleep(60)
        return await super().handle(callback)


@pytest.fixture(autouse=True)
def _starts_within_three_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "_WARM_UP_MS", 3000)


def against(variant: Variant, **options: Any) -> RunFinished:
    with listening(variant) as url:
        *_, finished = run_suite(Settings(url, SDKAPPID, deadline_ms=300, only=("ack", "type"), **options))
    assert isinstance(finished, RunFinished)
    return finished


def test_a_target_that_never_answers_gets_three_callbacks_and_no_more() -> None:
    variant = Starts(cold_s=60)
    finished = against(variant)
    assert variant.requests == 3
    assert finished.summary.undelivered == {"timeout": 3}
    assert finished.summary.detail == "3 callbacks in a row got no answer within 1.45 s"
    assert [one.requirement.id for one in finished.with_verdict(Verdict.FAIL)] == ["ack.deadline"]


@pytest.mark.parametrize("kind", [Starts, OneAtATime])
def test_a_cold_start_that_outlasts_the_patience_with_any_other_callback_is_no_finding(kind: type[Starts]) -> None:
    variant = kind(cold_s=2.2)
    finished = against(variant)
    assert finished.summary.outcome is RunOutcome.CONFORMS
    assert finished.summary.undelivered == {}


@pytest.mark.parametrize(("cold_s", "seen"), [(0.6, "none before 0.6 s"), (2.2, "none before 2.2 s")])
def test_a_cold_start_is_noted_and_counted_beside_what_was_judged(cold_s: float, seen: str) -> None:
    finished = against(Starts(cold_s))
    (noted,) = finished.with_verdict(Verdict.INFO)
    assert noted.requirement.id == "ack.cold-start"
    assert noted.findings[0].actual.startswith(seen)
    assert finished.summary.delivered == finished.summary.sent
    report = render(report_of(RunStarted(Settings("http://127.0.0.1:9/", SDKAPPID), 0.0, 1), finished))
    assert re.search(r"^delivered: yes, (\d+) of \1 .*\(first callback, not judged: \d\.\d s\)", report, re.MULTILINE)


def test_a_first_callback_in_time_is_not_mentioned() -> None:
    finished = against(Starts(cold_s=0.0))
    assert finished.summary.first_late_ms is None
    assert not finished.with_verdict(Verdict.INFO)


def test_nothing_is_judged_while_a_callback_of_the_warm_up_is_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "_SLOW_MS", 60_000)  # else a busy machine has the cases run side by side
    variant = OneAtATime(cold_s=1.9)
    variant.delay_s = 0.08
    against(variant)
    assert variant.at_once <= 2  # the two that followed the first while it waited


def test_a_lost_first_callback_is_nobodys_fault() -> None:
    finished = against(Loses())
    assert finished.summary.outcome is RunOutcome.CONFORMS
    assert finished.summary.undelivered == {}
