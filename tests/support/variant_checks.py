"""Checks of compliant variants: what is found wrong with them, which should be nothing."""
# ruff: noqa: ARG002 (a variant ignores what the reference would look at)

from __future__ import annotations

import asyncio
import gzip
from contextlib import suppress
from typing import Any, Final

from starlette.responses import Response
from variant_server import SDKAPPID, Variant, listening

from roomhook.contract_tests.engine.suite import run_suite
from roomhook.contract_tests.model.register import Level
from roomhook.contract_tests.model.settings import Settings
from roomhook.contract_tests.model.verdicts import RunFinished, Verdict
from roomhook.simulator.protocol.packets import ResponsePacket, encode

__all__ = ["SLOW_CHECKS", "TOKEN", "Chunked", "ClosesALittleLater", "ClosesEachTime", "Gzipped", "check", "clean"]

TOKEN: Final = "xxxxyyyy"


SLOW_CHECKS: Final = ("http.idle", "http.slow-body", "http.split-head", "http.burst")
"""What pauses or weighs, and tells nothing about most variants."""


def check(url: str, **options: Any) -> tuple[list[str], list[str]]:
    """The ids of the MUST and of the SHOULD findings of a run against *url*, which must have judged something."""
    finished = list(run_suite(Settings(url, SDKAPPID, **options)))[-1]
    assert isinstance(finished, RunFinished)
    assert finished.count(Verdict.PASS) > 0, finished.summary
    found = [finding for case in finished.cases for finding in case.findings]
    for finding in found:  # pytest shows this where a variant fails
        print(finding.requirement.id, "|", finding.message, "|", finding.actual)  # noqa: T201
    levels = Level.MUST, Level.SHOULD
    must, should = ([one.requirement.id for one in found if one.requirement.level is level] for level in levels)
    return must, should


def clean(variant: Variant, suffix: str = "", *, should: tuple[str, ...] = (), **options: Any) -> None:
    """A run against *variant* finds exactly *should*."""
    with listening(variant) as url:
        assert check(url + suffix, **{"exclude": SLOW_CHECKS, **options}) == ([], list(should))


class ClosesEachTime(Variant):
    keep_alive = False

    def framing(self, response: Response) -> list[tuple[bytes, bytes]]:
        return [*super().framing(response), (b"Connection", b"close")]


class ClosesALittleLater(Variant):
    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(0.05):
                await super().serve(reader, writer)


class Chunked(Variant):
    trailers = b""

    def framing(self, response: Response) -> list[tuple[bytes, bytes]]:
        return [(b"Transfer-Encoding", b"chunked")]

    def frame(self, response: Response) -> bytes:
        body = bytes(response.body)
        parts = (body[:7], body[7:]) if len(body) > 7 else (body,) if body else ()
        coded = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts)
        return self.head(response, self.framing(response)) + coded + b"0\r\n" + self.trailers + b"\r\n"


class Gzipped(Variant):
    should = ("ack.coding",)

    def respond(self, packet: ResponsePacket) -> Response:
        body = gzip.compress(encode(packet))
        return Response(body, media_type="application/json", headers={"Content-Encoding": "gzip"})
