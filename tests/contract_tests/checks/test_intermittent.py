"""Valid callbacks that fail now and then are summed up, so that the summary and the findings say the same."""

from __future__ import annotations

import asyncio

from starlette.responses import Response
from variant_server import SDKAPPID, HangUpError, Variant, listening

from roomhook.contract_tests.app_backends.reference.backend import IncomingCallback
from roomhook.contract_tests.engine.suite import run_suite
from roomhook.contract_tests.model.settings import Settings
from roomhook.contract_tests.model.verdicts import RunFinished

SOME = ("ack", "type", "members", "count", "reason", "id", "url")


def run(variant: Variant) -> RunFinished:
    with listening(variant) as url:
        finished = list(run_suite(Settings(url, SDKAPPID, only=SOME, exclude=("url.https",), deadline_ms=400)))[-1]
    assert isinstance(finished, RunFinished)
    return finished


class FailsNowAndThen(Variant):
    """Fails the 30th request in its own way."""

    async def fail(self) -> Response:
        raise NotImplementedError

    async def answer(self, callback: IncomingCallback, method: str, path: str) -> Response:
        return await (self.fail() if self.requests == 30 else super().answer(callback, method, path))


class LateOnce(FailsNowAndThen):
    async def fail(self) -> Response:
        await asyncio.sleep(0.6)
        return self.acknowledge()


class LostOnce(FailsNowAndThen):
    async def fail(self) -> Response:
        raise HangUpError


def test_a_callback_that_is_late_once_is_counted_and_shown() -> None:
    finished = run(LateOnce())
    (finding,) = [one for case in finished.cases for one in case.findings]
    assert finding.requirement.id == "ack.steady"
    assert finding.message == f"1 of {finished.summary.sent} valid callbacks failed, and others like them did not"
    assert finding.actual.startswith("ack.deadline once; here ")
    assert finding.exchange is not None


def test_a_connection_that_is_lost_once_is_counted() -> None:
    finished = run(LostOnce())
    assert [one.requirement.id for case in finished.cases for one in case.findings] == ["ack.steady"]
    assert finished.summary.delivered == finished.summary.sent - 1


def test_a_target_that_never_fails_has_no_such_finding() -> None:
    assert not [one for case in run(Variant()).cases for one in case.findings]
