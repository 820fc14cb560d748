"""Many callbacks at one moment, by the simulator's sender: threads would arrive one after the other."""

from __future__ import annotations

import asyncio
import http.client
import io
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Final

from roomhook.contract_tests.model.exchange import Exchange
from roomhook.contract_tests.model.settings import Settings
from roomhook.contract_tests.transport.client import Client, uncompressed
from roomhook.simulator.protocol.callback_request import CallbackRequest
from roomhook.simulator.protocol.callback_url import CallbackUrl
from roomhook.simulator.protocol.outcomes import DeliveryOutcome
from roomhook.simulator.protocol.response_check import Response, check_response
from roomhook.simulator.transport.attempt import Attempt
from roomhook.simulator.transport.sender import Sender, run_loop
from roomhook.simulator.transport.target import Target

__all__ = ["send_by_threads", "send_together"]

_GRACE_S: Final = 30
"""Beyond what every attempt allows itself; it ends a run that our own mistake would hang."""


def send_together(
    client: Client, settings: Settings, callbacks: Sequence[CallbackRequest], *, give_up_ms: float
) -> list[Exchange]:
    """Send all *callbacks* at once, each on a fresh connection; the answers in the same order."""
    url = CallbackUrl.parse(settings.target)
    target = Target(
        url, settings.sdkappid, headers=settings.headers, tls=client.context if url.scheme == "https" else None
    )

    async def send_all() -> list[Attempt]:
        deadline_ms, at_once = settings.deadline_ms, len(callbacks)
        async with Sender(
            target, deadline_ms=deadline_ms, give_up_ms=give_up_ms, connections=at_once, keep_alive=False
        ) as sender:
            sending = asyncio.gather(*(sender.send(target.raw_request(one)) for one in callbacks))
            return await asyncio.wait_for(sending, give_up_ms / 1000 + _GRACE_S)

    with ThreadPoolExecutor(1) as elsewhere:  # the caller's thread may have a running loop of its own
        attempts = elsewhere.submit(lambda: run_loop(send_all())).result()
    return [_exchange(*pair, settings.deadline_ms) for pair in zip(callbacks, attempts, strict=True)]


def send_by_threads(
    client: Client, settings: Settings, callbacks: Sequence[CallbackRequest], *, give_up_ms: float
) -> list[Exchange]:
    """The same with the client that lone callbacks go through, for a target whose answers the sender can't read."""
    with ThreadPoolExecutor(len(callbacks)) as pool:
        return list(
            pool.map(lambda one: client.send(one, deadline_ms=settings.deadline_ms, give_up_ms=give_up_ms), callbacks)
        )


def _exchange(callback: CallbackRequest, attempt: Attempt, deadline_ms: float) -> Exchange:
    result = attempt.result
    whole = result.complete or result.outcome is DeliveryOutcome.INCOMPLETE
    found = attempt.answer if whole else None  # a part of an answer that we gave up on proves no more than none
    if result.outcome is DeliveryOutcome.NOT_HTTP:
        found = _lenient(attempt)
    if found is None:
        return Exchange(callback, None, result.outcome, result.note, attempt.elapsed_ms, deadline_ms)
    answer = uncompressed(found)
    outcome = check_response(answer, deadline_ms=deadline_ms).outcome
    return Exchange(callback, answer, outcome, result.note, attempt.elapsed_ms, deadline_ms)


def _lenient(attempt: Attempt) -> Response | None:
    """What the parser that lone callbacks use makes of an answer that the sender's own, a stricter one, has refused.

    None where it may not have come whole, since nothing is read after the refusal.
    """
    try:
        with closing(http.client.HTTPResponse(_Received(attempt.result.received))) as response:  # type: ignore[arg-type]
            response.begin()
            if response.length is None and not response.chunked:
                return None
            body = response.read()
            return Response(response.status, tuple(response.getheaders()), body, attempt.elapsed_ms)
    except (http.client.HTTPException, ValueError):
        return None


class _Received:
    """Bytes in the place of a socket."""

    def __init__(self, received: bytes) -> None:
        self._received = received

    def makefile(self, _mode: str) -> io.BytesIO:
        return io.BytesIO(self._received)
