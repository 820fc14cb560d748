"""How long a target keeps idle connections, as it announces."""

from __future__ import annotations

import pytest
from starlette.responses import Response
from variant_server import SDKAPPID, Variant, listening

from roomhook.contract_tests.engine.suite import SuiteRun, run_suite
from roomhook.contract_tests.model.settings import Settings
from roomhook.contract_tests.model.verdicts import RunFinished, RunOutcome, Verdict

pytestmark = pytest.mark.long


@pytest.mark.parametrize(("announced", "noted"), [("timeout=5", 1), ("timeout=5, max=100", 1), ("timeout=75", 0)])
def test_a_short_keep_alive_timeout_that_a_target_announces_is_noted(announced: str, noted: int) -> None:
    class Announces(Variant):
        def framing(self, response: Response) -> list[tuple[bytes, bytes]]:
            return [*super().framing(response), (b"Keep-Alive", announced.encode())]

    with listening(Announces()) as url:
        *_, finished = run_suite(Settings(url, SDKAPPID, only=("http.reuse", "http.idle")))
    assert isinstance(finished, RunFinished)
    assert finished.count(Verdict.INFO) == noted
    assert finished.summary.outcome is RunOutcome.CONFORMS


def test_it_is_noted_by_the_run_beside_the_other_cases_and_not_waited_for_again() -> None:
    class Announces(Variant):
        def framing(self, response: Response) -> list[tuple[bytes, bytes]]:
            return [*super().framing(response), (b"Keep-Alive", b"timeout=5")]

    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)

    with listening(Announces()) as url:
        *_, finished = SuiteRun(Settings(url, SDKAPPID, only=("type", "http.idle")), sleep=pause).events()
    assert isinstance(finished, RunFinished)
    assert finished.count(Verdict.INFO) == 1
    assert pauses == [0.55]
