"""A target that limits its rate gets no false failure, and a run that will take long says so early."""

from __future__ import annotations

import time
from collections import deque

import pytest
from starlette.responses import Response
from variant_server import SDKAPPID, Variant, listening

from roomhook.contract_tests.app_backends.reference.backend import IncomingCallback
from roomhook.contract_tests.engine.forecast import RunForecast
from roomhook.contract_tests.engine.suite import SuiteRun
from roomhook.contract_tests.model.settings import Settings
from roomhook.contract_tests.model.verdicts import RunFinished, Verdict
from roomhook.contract_tests.transport.patient_client import PatientClient


class SlowWorld:
    """A clock that runs only while somebody waits."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds


class Limited(Variant):
    """Takes *most* callbacks a second, by the clock of its world."""

    def __init__(self, world: SlowWorld, most: int, headers: dict[str, str]) -> None:
        super().__init__()
        self.world = world
        self.headers = headers
        self.recent: deque[float] = deque(maxlen=most)

    async def handle(self, callback: IncomingCallback) -> Response:
        now_s = self.world.now_s
        if len(self.recent) == self.recent.maxlen and now_s - self.recent[0] < 1:
            return Response(status_code=429, headers=self.headers)
        self.recent.append(now_s)
        return await super().handle(callback)


@pytest.mark.parametrize("most", [1, 4])
@pytest.mark.parametrize("headers", [{}, {"Retry-After": "2"}, {"Retry-After": "tomorrow"}], ids=["", "2", "text"])
def test_a_target_that_limits_its_rate_gets_no_false_failure(most: int, headers: dict[str, str]) -> None:
    world = SlowWorld()
    only = ("id.*", "url.extra", "ack.*", "http.parallel", "duplicate.*")
    said: list[str] = []
    with listening(Limited(world, most, headers)) as url:
        run = SuiteRun(Settings(url, SDKAPPID, only=only), sleep=world.sleep, on_forecast=said.append)
        finished = list(run.events())[-1]
    assert isinstance(finished, RunFinished)
    verdicts = {one.requirement.id: one.verdict for one in finished.cases}
    assert Verdict.FAIL not in verdicts.values()
    assert verdicts["id.numeric"] is verdicts["ack.status"] is Verdict.PASS
    parallel = next(one for one in finished.cases if one.requirement.id == "http.parallel")
    assert (parallel.verdict, parallel.reason) == (Verdict.NOT_JUDGED, "the target limits its rate (HTTP 429)")


@pytest.mark.parametrize(
    ("gap_s", "latency_ms", "lanes", "probed", "expected"),
    [
        (0.0, 100.0, 1, False, None),
        (0.0, 1700.0, 16, False, None),
        (0.0, 1900.0, 16, True, "the run takes about 70 s: a response takes 1.9 s; "),
        (0.0, 1900.0, 1, False, "the run takes about 9 minutes: a response takes 1.9 s; "),
        (0.32, 1.0, 1, False, "the run takes about 90 s: the target allows about 3 callbacks/s; "),
        (0.32, 1.0, 1, True, "the run takes about 3 minutes: the target allows about 3 callbacks/s; "),
        (2.5, 1.0, 1, False, "the run takes about 11 minutes: the target allows about one callback in 2.5 s; "),
    ],
)
def test_a_run_that_will_take_long_says_so_and_what_shortens_it(
    gap_s: float, latency_ms: float, lanes: int, probed: bool, expected: str | None
) -> None:
    line = PatientClient(Settings("http://127.0.0.1:9/", SDKAPPID), clock=time.time, pause=lambda _: None)
    line._rate.gap_s, line.latency_ms = gap_s, latency_ms
    said: list[str] = []
    forecast = RunForecast(line, said.append, probed=probed)
    forecast.look(100, lanes)
    forecast.look(99, lanes)
    assert said == ([] if expected is None else [f"{expected}a part of it is quicker, e.g. --only 'ack.*,type.*'"])
