# ruff: noqa: ARG002 (a variant ignores what the reference would look at)

from __future__ import annotations

import asyncio
import gzip
import json
import socket
import ssl
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, HTTPServer, ThreadingHTTPServer
from pathlib import Path
from threading import Lock, Thread
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

import pytest
import trustme
from starlette.datastructures import Headers
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from variant_server import OK_BODY, SDKAPPID, HangUpError, Variant, listening

from roomhook.contract_tests.app_backends.reference.backend import (
    IncomingCallback,
    MemberEvent,
    ReferenceBackend,
    RefusedCallback,
)
from roomhook.contract_tests.app_backends.reference.signature import verify_sign
from roomhook.contract_tests.engine.suite import run_suite
from roomhook.contract_tests.model.register import Level
from roomhook.contract_tests.model.settings import Settings
from roomhook.contract_tests.model.verdicts import RunFinished, Verdict
from roomhook.simulator.protocol.packets import ResponsePacket, encode

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


@pytest.mark.parametrize("form", REFUSALS)
def test_refuses_a_foreign_callback_by(form: str) -> None:
    class Refuses(Variant):
        def refuse(self, refusal: RefusedCallback) -> Response:
            return REFUSALS[form]() if refusal.code == 1 else super().refuse(refusal)

    clean(Refuses(TOKEN), should=SHOULD_OF_REFUSALS.get(form, ()), token=TOKEN)


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


# Connections and framing


class ClosesEachTime(Variant):
    keep_alive = False

    def framing(self, response: Response) -> list[tuple[bytes, bytes]]:
        return [*super().framing(response), (b"Connection", b"close")]


class ClosesWithoutAWord(Variant):
    keep_alive = False


class ClosesALittleLater(Variant):
    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(0.05):
                await super().serve(reader, writer)


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


class Chunked(Variant):
    trailers = b""

    def framing(self, response: Response) -> list[tuple[bytes, bytes]]:
        return [(b"Transfer-Encoding", b"chunked")]

    def frame(self, response: Response) -> bytes:
        body = bytes(response.body)
        parts = (body[:7], body[7:]) if len(body) > 7 else (body,) if body else ()
        coded = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts)
        return self.head(response, self.framing(response)) + coded + b"0\r\n" + self.trailers + b"\r\n"


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


class Gzipped(Variant):
    should = ("ack.coding",)

    def respond(self, packet: ResponsePacket) -> Response:
        body = gzip.compress(encode(packet))
        return Response(body, media_type="application/json", headers={"Content-Encoding": "gzip"})


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

    delay_s = 0.005
    exclude = SLOW_CHECKS[:3]
    should = ("http.burst",)

    async def handle(self, callback: IncomingCallback) -> Response:
        return Response(status_code=503) if self.in_flight > 150 else await super().handle(callback)


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
def test_passes_an_app_backend_that(name: str) -> None:
    variant = VARIANTS[name]()
    should = getattr(variant, "should", ())
    clean(variant, should=should, exclude=getattr(variant, "exclude", SLOW_CHECKS))


def test_a_coding_that_was_asked_for_is_nothing_to_report() -> None:
    clean(Gzipped(), only=("ack", "type"), headers=(("Accept-Encoding", "gzip"),))


class OneAtATime(Variant):
    alone = True
    delay_s = 0.15


class OneAtATimeAndCloses(ClosesEachTime):
    alone = True
    delay_s = 0.15


SEQUENTIAL: Final = ("ack", "type.kicked", "http.parallel", "app-id.wrong", "bad.empty")


@pytest.mark.parametrize("kind", [OneAtATime, OneAtATimeAndCloses])
def test_passes_a_single_worker_that_takes_150_ms(kind: type[Variant]) -> None:
    clean(kind(), only=SEQUENTIAL, exclude=())


@pytest.mark.long
def test_a_single_worker_that_is_too_late_for_sixteen_at_once_breaks_a_should_and_nothing_else() -> None:
    clean(
        OneAtATime(), only=("type.kicked", "http.parallel.deadline", "http.burst"), should=("http.parallel.deadline",)
    )


class ColdStart(Variant):
    delay_s = 3

    async def handle(self, callback: IncomingCallback) -> Response:
        self.delay_s = 0
        return await super().handle(callback)


def test_passes_an_app_backend_whose_first_answer_is_slow() -> None:
    clean(ColdStart(), only=("ack", "type", "app-id"))


def test_passes_the_whole_register() -> None:
    clean(Variant(TOKEN), token=TOKEN, exclude=())


class Deep(Variant):
    path = "/hooks/tencent%20rtc/room"


def test_passes_a_target_under_a_path_and_with_a_query_of_its_own() -> None:
    clean(Deep(), "?tenant=a%26b&empty=")


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.mark.parametrize("kind", [Variant, ClosesEachTime, Chunked, ClosesALittleLater])
def test_passes_https_with_a_private_authority(kind: type[Variant], authority: trustme.CA, tmp_path: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    with listening(kind(), tls=context) as url:
        assert check(url, cacert=tmp_path / "ca.pem", exclude=SLOW_CHECKS) == ([], [])


def test_passes_an_ipv6_address() -> None:
    with listening(Variant(), host="::1") as url:
        assert check(url, exclude=SLOW_CHECKS[:3]) == ([], [])


# What a backend knows


class KnowsItsMembers(Variant):
    """Answers FAIL to a leave of somebody who is not in the room."""

    def leave(self, event: MemberEvent) -> None:
        if not set(event.member_list_account) <= set(self.presence.members(event.room_id)):
            raise RefusedCallback(100005, "not a member of this room")


def test_passes_a_backend_that_knows_its_members_with_enter_first() -> None:
    clean(KnowsItsMembers(), enter_first=True)


def test_passes_a_backend_that_knows_its_members_with_a_room_and_members_of_its_own() -> None:
    variant = KnowsItsMembers()
    members = ("ann", "bob", "cleo", "dan")
    variant.presence.enter("standup", members, 1)
    clean(variant, room="standup", members=members)


class Silent(Variant):
    """Drops what is not for it and answers OK: the documents allow it."""

    def refuse(self, refusal: RefusedCallback) -> Response:
        return self.acknowledge() if refusal.code <= 2 else super().refuse(refusal)


def test_passes_a_backend_that_refuses_silently() -> None:
    clean(Silent(TOKEN), token=TOKEN, refusal="silent")


def test_passes_a_clock_that_is_20_s_off() -> None:
    clean(Variant(TOKEN, clock_ahead_s=-20), token=TOKEN)


class FiveMinutes(Variant):
    def check_sign(self, callback: IncomingCallback, token: str) -> None:
        try:
            verify_sign(callback.query, token, window_s=300)
        except ValueError as error:
            raise RefusedCallback(2, str(error)) from None


def test_a_window_of_five_minutes_is_a_matter_of_should() -> None:
    clean(FiveMinutes(TOKEN), token=TOKEN, only=("sign",), should=("sign.stale", "sign.ahead"))


# Servers of the standard library


_one_thread_at_a_time = Lock()  # for SQLite's sake


class Handler(BaseHTTPRequestHandler):
    backend: ReferenceBackend

    def do_POST(self) -> None:
        with _one_thread_at_a_time:
            self._answer()

    def _answer(self) -> None:
        query = urlsplit(self.path).query
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = Headers({name.lower(): value for name, value in self.headers.items()})
        callback = IncomingCallback(query, tuple(parse_qsl(query, keep_blank_values=True)), headers, body)
        response = asyncio.run(self.backend.handle(callback))
        self.send_response(response.status_code)
        for name, value in response.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(response.body)

    def log_message(self, *_: object) -> None:
        """Quiet."""


@contextmanager
def stdlib(kind: type[HTTPServer], version: str) -> Iterator[str]:
    backend = ReferenceBackend(str(SDKAPPID))
    handler = type("_Handler", (Handler,), {"backend": backend, "protocol_version": version})
    server = kind(("127.0.0.1", 0), handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        backend.close()


@pytest.mark.parametrize("version", ["HTTP/1.0", "HTTP/1.1"])
@pytest.mark.parametrize("kind", [HTTPServer, ThreadingHTTPServer])
def test_passes_the_servers_of_the_standard_library(kind: type[HTTPServer], version: str) -> None:
    with stdlib(kind, version) as url:
        assert check(url, exclude=SLOW_CHECKS) == ([], [])


@pytest.mark.parametrize("only", ["ack,type", "http.parallel,http.chunked"])
def test_interim_answers_before_the_final_one_pass(only: str) -> None:
    final = b'{"ActionStatus":"OK","ErrorInfo":"","ErrorCode":0}'
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(final)

    class Early(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            if self.headers.get("Transfer-Encoding") is None:
                self.rfile.read(int(self.headers["Content-Length"]))
            else:
                while size := int(self.rfile.readline(), 16):
                    self.rfile.read(size + 2)
            self.wfile.write(b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n" + head + final)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Early) as server:
        Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        finished = list(run_suite(Settings(f"http://127.0.0.1:{server.server_port}", only=(only,))))[-1]
        server.shutdown()

    assert isinstance(finished, RunFinished)
    assert not [case.requirement.id for case in finished.cases if case.findings]
