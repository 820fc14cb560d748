"""Compliant App backends that are slow, single, restarted, far away, or on another kind of server: none is blamed."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer, ThreadingHTTPServer
from pathlib import Path
from threading import Lock, Thread
from typing import Final
from urllib.parse import parse_qsl, urlsplit

import pytest
import trustme
from starlette.datastructures import Headers
from starlette.responses import Response
from variant_checks import SLOW_CHECKS, TOKEN, Chunked, ClosesALittleLater, ClosesEachTime, Gzipped, check, clean
from variant_server import SDKAPPID, Variant, listening

from roomhook.contract_tests.app_backends.reference.backend import (
    IncomingCallback,
    MemberEvent,
    ReferenceBackend,
    RefusedCallback,
)
from roomhook.contract_tests.app_backends.reference.signature import verify_sign
from roomhook.contract_tests.engine.suite import run_suite
from roomhook.contract_tests.model.settings import Settings
from roomhook.contract_tests.model.verdicts import RunFinished

pytestmark = pytest.mark.long


def test_a_coding_that_was_asked_for_is_nothing_to_report() -> None:
    clean(Gzipped(), only=("ack", "type"), headers=(("Accept-Encoding", "gzip"),))


class OneAtATime(Variant):
    alone = True
    delay_s = 0.15


class OneAtATimeAndCloses(ClosesEachTime):
    alone = True
    delay_s = 0.15


SEQUENTIAL: Final = ("ack", "type.kicked", "http.parallel", "app-id.wrong", "bad.empty")


@pytest.mark.exhaustive
@pytest.mark.parametrize("kind", [OneAtATime, OneAtATimeAndCloses])
def test_passes_a_single_worker_that_takes_150_ms(kind: type[Variant]) -> None:
    clean(kind(), only=SEQUENTIAL, exclude=())


@pytest.mark.exhaustive
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
