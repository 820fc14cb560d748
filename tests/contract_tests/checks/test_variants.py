"""Compliant App backends that answer in every form that the documents allow: none of them is blamed."""
# ruff: noqa: ARG002 (a variant ignores what the reference would look at)

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Final
from urllib.parse import parse_qsl

import pytest
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from variant_checks import SLOW_CHECKS, TOKEN, Chunked, ClosesALittleLater, ClosesEachTime, Gzipped, clean
from variant_server import OK_BODY, SDKAPPID, HangUpError, Variant

from roomhook.contract_tests.app_backends.reference.backend import (
    IncomingCallback,
    MemberEvent,
    RefusedCallback,
)
from roomhook.simulator.protocol.packets import ResponsePacket, encode

pytestmark = pytest.mark.long

# How a callback that is not for this app is refused

PACKET_OF_ANOTHER_CODE: Final = OK_BODY.replace(b":0", b":120001")


REFUSALS: Final[dict[str, Callable[[], Response]]] = {
    "403 with a page": lambda: HTMLResponse("<h1>Forbidden</h1>", 403),
    "401 with an empty body": lambda: Response(status_code=401),
    "404": lambda: PlainTextResponse("no such app", 404),
    "302 to a login page": lambda: Response(status_code=302, headers={"Location": "/login"}),
    "an empty 200": Response,
    "204": lambda: Response(status_code=204),
    "500": lambda: Response(status_code=500),
    "OK with a non-zero ErrorCode": lambda: Response(PACKET_OF_ANOTHER_CODE, media_type="application/json"),
    "the answer of another family": lambda: Response('{"code":1}', media_type="application/json"),
}


SHOULD_OF_REFUSALS: Final = {"OK with a non-zero ErrorCode": ("ack.consistent",)}


@pytest.fixture
def some_or_all(pytestconfig: pytest.Config) -> tuple[str, ...]:
    """The requirements to judge: some that get every kind of answer, or the whole register with --exhaustive."""
    some = ("ack", "app-id", "bad.empty", "bad.utf8", "bad.field-missing", "command", "duplicate", "http")
    return () if pytestconfig.getoption("--exhaustive") else some


@pytest.mark.parametrize("form", REFUSALS)
def test_refuses_a_foreign_callback_by(form: str, some_or_all: tuple[str, ...]) -> None:
    class Refuses(Variant):
        def refuse(self, refusal: RefusedCallback) -> Response:
            return REFUSALS[form]() if refusal.code == 1 else super().refuse(refusal)

    clean(
        Refuses(TOKEN),
        should=SHOULD_OF_REFUSALS.get(form, ()),
        token=TOKEN,
        only=some_or_all and (*some_or_all, "sign"),
    )


class HangsUp(Variant):
    def refuse(self, refusal: RefusedCallback) -> Response:
        raise HangUpError


class Resets(Variant):
    async def write(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        if b'"FAIL"' in data:
            writer.transport.get_extra_info("socket").setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, bytes([1, 0, 0, 0] + [0] * 4)
            )
            writer.transport.abort()
            raise HangUpError
        await super().write(writer, data)


class ForbidsBeforeTheBody(Variant):
    async def on_head(self, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        query = head.split(b" ")[1].partition(b"?")[2].decode()
        if dict(parse_qsl(query)).get("SdkAppid") != str(SDKAPPID):
            await self.write(writer, b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            raise HangUpError


class ClosesAfterARefusal(Variant):
    def frame(self, response: Response) -> bytes:
        if not self.stays_open(response):
            response.headers["Connection"] = "close"
        return super().frame(response)

    def stays_open(self, response: Response) -> bool:
        return b'"OK"' in response.body


class MalformedIsAPage(Variant):
    def refuse(self, refusal: RefusedCallback) -> Response:
        return HTMLResponse("<h1>Bad Request</h1>", 400) if refusal.code == 3 else super().refuse(refusal)


class KnowsItsCommandsOnly(Variant):
    def check_command(self, callback: IncomingCallback, command: str) -> None:
        super().check_command(callback, command)
        if not command.startswith("Room.CallbackAfterMember"):
            raise RefusedCallback(9, "unknown command")


class ClosesWithoutAWord(Variant):
    keep_alive = False


class Http10(Variant):
    version = "HTTP/1.0"
    keep_alive = False

    def framing(self, response: Response) -> list[tuple[bytes, bytes]]:
        return []


class Http10KeepsAlive(Variant):
    version = "HTTP/1.0"

    def framing(self, response: Response) -> list[tuple[bytes, bytes]]:
        return [*super().framing(response), (b"Connection", b"Keep-Alive")]


class Http11WithoutLength(Http10):
    version = "HTTP/1.1"


class ChunkedWithTrailers(Chunked):
    trailers = b"Server-Timing: db;dur=2\r\nX-Checksum: 0\r\n"


class ContinuesFirst(Variant):
    async def on_head(self, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self.write(writer, b"HTTP/1.1 100 Continue\r\n\r\n")


class InPieces(Variant):
    async def write(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        for start in range(0, len(data), 40):
            await super().write(writer, data[start : start + 40])
            await asyncio.sleep(0)


class FoldedInPieces(InPieces):
    """A folded header, which http.client reads and stricter parsers don't, in an answer that takes several reads."""

    def head(self, response: Response, extra: list[tuple[bytes, bytes]]) -> bytes:
        return super().head(response, [(b"X-Folded", b"a\r\n  b"), *extra])

    async def write(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        for start in range(0, len(data), 40):
            await Variant.write(self, writer, data[start : start + 40])
            await asyncio.sleep(0.002)


class BlankLineBehind(Variant):
    """Ends each answer with a line end that no header announces."""

    def frame(self, response: Response) -> bytes:
        return super().frame(response) + b"\r\n"


class MoreThanAnnouncedAndCloses(ClosesEachTime):
    def frame(self, response: Response) -> bytes:
        return super().frame(response) + b"<!-- served in 2 ms -->"


class TimesOutAtOnce(Variant):
    async def write(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        await super().write(writer, data)
        await asyncio.sleep(0.01)
        await super().write(writer, b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
        raise HangUpError


class CodedByNothing(Variant):
    def respond(self, packet: ResponsePacket) -> Response:
        return Response(encode(packet), media_type="application/json", headers={"Content-Encoding": "Identity"})


# The form of an answer


class Bodies(Variant):
    body = OK_BODY

    def acknowledge(self) -> Response:
        return Response(self.body, media_type="application/json")


class Pretty(Bodies):
    body = json.dumps(json.loads(OK_BODY), indent=4).encode() + b"\r\n"


class OtherOrder(Bodies):
    body = b'{"ErrorCode":0,"ErrorInfo":"","ActionStatus":"OK"}'


class Marked(Bodies):
    should = ("ack.bom",)
    body = b"\xef\xbb\xbf" + OK_BODY


class Newline(Bodies):
    body = b"\r\n\t " + OK_BODY + b"\n\n"


class ZeroWithAPoint(Bodies):
    body = b'{"ActionStatus":"OK","ErrorInfo":"","ErrorCode":0.0}'


class SaysItTwice(Bodies):
    body = b'{"ErrorCode":0,"ActionStatus":"OK","ErrorInfo":"","ErrorCode":0}'


class InChinese(Bodies):
    body = '{"ActionStatus":"OK","ErrorInfo":"已处理 👍","ErrorCode":0}'.encode()


class Escaped(Bodies):
    body = rb'{"Action\u0053tatus":"\u004fK","ErrorInfo":"\ud83d\udc4d","ErrorCode":-0}'


class Extra(Bodies):
    body = b'{"ActionStatus":"OK","ErrorInfo":"","ErrorCode":0,"RequestId":"a1","Data":{"n":[1,null]}}'


class Long(Bodies):
    body = b'{"ActionStatus":"OK","ErrorInfo":"' + b"x" * 200_000 + b'","ErrorCode":0}'


class OkWithAnErrorCode(Bodies):
    body = PACKET_OF_ANOTHER_CODE
    should = ("ack.consistent",)


class Labels(Variant):
    label: str | None = None
    should: tuple[str, ...] = ("ack.content-type",)

    def respond(self, packet: ResponsePacket) -> Response:
        return Response(encode(packet), headers={"Content-Type": self.label} if self.label else {})


class AsText(Labels):
    label = "text/plain; charset=utf-8"


class AsHtml(Labels):
    label = "text/html"


class WithCharset(Labels):
    label = "Application/JSON;charset=GBK"
    should = ()


class ManyHeaders(Variant):
    def head(self, response: Response, extra: list[tuple[bytes, bytes]]) -> bytes:
        more = [(b"set-cookie", b"session=%d; HttpOnly" % one) for one in range(3)]
        extra = [(name.lower(), value) for name, value in extra]
        return super().head(response, [*extra, *more, (b"X-Empty", b""), (b"X-Latin", "ü".encode("latin-1"))])


# Time


class RateLimited(Variant):
    """More than 300 callbacks in one second are too many."""

    def __init__(self) -> None:
        super().__init__()
        self.recent: deque[float] = deque(maxlen=300)

    async def handle(self, callback: IncomingCallback) -> Response:
        now = time.monotonic()
        if len(self.recent) == self.recent.maxlen and now - self.recent[0] < 1:
            return Response(status_code=429, headers={"Retry-After": "1"})
        self.recent.append(now)
        return await super().handle(callback)


class Overloaded(Variant):
    """More than 150 callbacks in flight are too many."""

    exclude = SLOW_CHECKS[:3]
    should = ("http.burst",)

    def __init__(self) -> None:
        super().__init__()
        self.full = asyncio.Event()

    async def handle(self, callback: IncomingCallback) -> Response:
        if self.in_flight > 150:
            self.full.set()
            return Response(status_code=503)
        if self.in_flight <= 20:
            self.full.clear()
        else:
            with suppress(TimeoutError):  # until the whole burst is there, on a slow machine too
                await asyncio.wait_for(self.full.wait(), 2)
        return await super().handle(callback)


# What a backend knows


class Deduplicating(Variant):
    """Acts on an event once and acknowledges it every time."""

    def __init__(self) -> None:
        super().__init__()
        self.had: set[tuple[object, ...]] = set()

    def leave(self, event: MemberEvent) -> None:
        key = (event.room_id, event.type, *sorted(event.member_list_account), event.event_time)
        if key not in self.had:
            self.had.add(key)
            super().leave(event)


VARIANTS: Final = {
    "hangs up on a foreign callback": HangsUp,
    "resets a foreign callback": Resets,
    "forbids before it has read the body": ForbidsBeforeTheBody,
    "closes after a refusal": ClosesAfterARefusal,
    "answers malformed JSON with a page": MalformedIsAPage,
    "answers FAIL to other commands": KnowsItsCommandsOnly,
    "says Connection: close": ClosesEachTime,
    "closes without a word": ClosesWithoutAWord,
    "keeps connections for 50 ms": ClosesALittleLater,
    "speaks HTTP/1.0": Http10,
    "speaks HTTP/1.0 and keeps connections": Http10KeepsAlive,
    "ends its answer by closing": Http11WithoutLength,
    "answers in chunks": Chunked,
    "answers in chunks with trailers": ChunkedWithTrailers,
    "sends 100 Continue first": ContinuesFirst,
    "sends its answer in pieces": InPieces,
    "sends its answer in pieces with a folded header": FoldedInPieces,
    "ends answers with a blank line": BlankLineBehind,
    "sends more than it announced and closes": MoreThanAnnouncedAndCloses,
    "says 408 and closes after each answer": TimesOutAtOnce,
    "names the coding that is none": CodedByNothing,
    "compresses unasked": Gzipped,
    "indents": Pretty,
    "orders members otherwise": OtherOrder,
    "begins with a byte order mark": Marked,
    "pads with white space": Newline,
    "writes ErrorCode 0.0": ZeroWithAPoint,
    "writes the same ErrorCode twice": SaysItTwice,
    "writes Chinese into ErrorInfo": InChinese,
    "escapes what it could write": Escaped,
    "adds members": Extra,
    "answers at length": Long,
    "acknowledges with an ErrorCode": OkWithAnErrorCode,
    "labels nothing": Labels,
    "labels text/plain": AsText,
    "labels text/html": AsHtml,
    "labels with a charset": WithCharset,
    "sends many headers": ManyHeaders,
    "limits the rate to 300/s": RateLimited,
    "limits the flight to 150": Overloaded,
    "acts once on an event": Deduplicating,
}


@pytest.mark.parametrize("name", VARIANTS)
def test_passes_an_app_backend_that(name: str, some_or_all: tuple[str, ...]) -> None:
    variant = VARIANTS[name]()
    should = getattr(variant, "should", ())
    clean(variant, should=should, exclude=getattr(variant, "exclude", SLOW_CHECKS), only=some_or_all)
