"""How long a target keeps idle connections, and what it keeps of those that ended."""

from __future__ import annotations

import asyncio

import pytest
from starlette.responses import Response
from variant_server import SDKAPPID, Variant, listening

from roomhook.contract_tests.app_backends.reference.backend import IncomingCallback
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


class KeepsChunks(Variant):
    """Collects the chunks of all connections in one list, and empties it at the end of a body."""

    def __init__(self) -> None:
        super().__init__()
        self.chunks: list[bytes] = []

    async def read_request(self, head: bytes, reader: asyncio.StreamReader) -> tuple[IncomingCallback, str, str]:
        if b"chunked" not in head:
            return await super().read_request(head, reader)
        while size := int(await reader.readuntil(b"\n"), 16):
            self.chunks.append((await reader.readexactly(size + 2))[:-2])
        await reader.readline()
        body = b"".join(self.chunks)
        self.chunks.clear()
        whole = asyncio.StreamReader()
        whole.feed_data(b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body))
        return await super().read_request(head, whole)


def test_chunks_of_a_client_that_hung_up_must_not_get_into_the_next_body() -> None:
    with listening(KeepsChunks()) as url:
        *_, finished = run_suite(Settings(url, SDKAPPID, only=("http.chunked", "http.half-request")))
    assert isinstance(finished, RunFinished)
    (finding,) = [one for case in finished.cases for one in case.findings]
    assert finding.requirement.id == "http.half-request"
    assert finding.message.startswith("a chunked callback after a client hung up between two chunks")
