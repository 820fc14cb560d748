"""Answers that no decent server gives: bounded in time and memory, and judged by every engine as the fast lane does."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import trustme
from locust_runs import locust
from scripted_server import OK_ANSWER, OK_BODY
from sender_runs import answering, attempts

from roomhook.loadtests.http_clients.answer_reader import AnswerReader
from roomhook.simulator.protocol.outcomes import DeliveryOutcome
from roomhook.simulator.transport.attempt import AttemptResult
from roomhook.simulator.transport.result_cache import ResultCache
from roomhook.simulator.util.defaults import LARGEST_ANSWER

HEAD = b"HTTP/1.1 200 OK\r\n"
LENGTH = b"Content-Length: 50\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
CHUNKS = b"32\r\n" + OK_BODY + b"\r\n0\r\n\r\n"
INTERIM = b"HTTP/1.1 100 Continue\r\n\r\n"

ODD: dict[str, bytes] = {
    "two lengths": HEAD + LENGTH + b"Content-Length: 51\r\n\r\n" + OK_BODY,
    "the same length twice": HEAD + LENGTH + LENGTH + b"\r\n" + OK_BODY,
    "a list of lengths": HEAD + b"Content-Length: 50, 50\r\n\r\n" + OK_BODY,
    "a length and chunks": HEAD + LENGTH + CHUNKED + b"\r\n" + CHUNKS,
    "bare line feeds": (HEAD + LENGTH + b"\r\n").replace(b"\r\n", b"\n") + OK_BODY,
    "one bare line feed": HEAD + LENGTH.replace(b"\r", b"") + b"\r\n" + OK_BODY,
    "a negative length": HEAD + b"Content-Length: -1\r\n\r\n" + OK_BODY,
    "a folded header": HEAD + b"X-A: b\r\n c\r\n" + LENGTH + b"\r\n" + OK_BODY,
    "no version": b"200 OK\r\n\r\n" + OK_BODY,
    "garbage": b"\x16\x03\x01\x00" * 40,
    "a second answer": OK_ANSWER + OK_ANSWER.replace(b"200 OK", b"500 No"),
    "half a second answer": OK_ANSWER + OK_ANSWER[:40],
    "garbage after it": OK_ANSWER + b"\r\n\r\nrest",
    "interim answers first": INTERIM * 3 + OK_ANSWER,
    "an interim answer alone": INTERIM,
    "switched protocols": b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n" + OK_BODY,
    "a hundred headers": HEAD + b"X-A: b\r\n" * 200 + LENGTH + b"\r\n" + OK_BODY,
    "a long header": HEAD + b"X-A: " + b"b" * 70_000 + b"\r\n" + LENGTH + b"\r\n" + OK_BODY,
    "bad chunks": HEAD + CHUNKED + b"\r\nzz\r\n" + OK_BODY,
    "trailers": HEAD + CHUNKED + b"\r\n" + CHUNKS[:-2] + b"X-Sum: 1\r\n\r\n",
    "a body too large": HEAD + b"\r\n" + b"x" * (2 * LARGEST_ANSWER),
    "a status of two digits": b"HTTP/1.1 20 OK\r\n" + LENGTH + b"\r\n" + OK_BODY,
    "nothing": b"",
}
"""What a target writes before it closes the connection."""

ENDLESS: dict[str, tuple[bytes, bytes]] = {
    "body": (HEAD + b"\r\n", b"x" * 65_536),
    "interim answers": (b"", INTERIM * 500),
    "chunks": (HEAD + CHUNKED + b"\r\n", b"1000\r\n" + b"x" * 4096 + b"\r\n"),
    "trailers": (HEAD + CHUNKED + b"\r\n0\r\n", b"X-A: b\r\n" * 1000),
    "head": (HEAD, b"X-A: b\r\n" * 1000),
}
"""How an answer begins, and what follows without end."""


class _Bytes:
    """A socket that gives *data* in pieces of up to *size*."""

    def __init__(self, data: bytes, size: int = 1 << 20) -> None:
        self.data, self.size = data, size

    def recv(self, size: int, /) -> bytes:
        piece, self.data = self.data[: min(size, self.size)], self.data[min(size, self.size) :]
        return piece


def reader_of(deadline_s: float, clock: Any, pause: Any = lambda: None) -> AnswerReader:
    return AnswerReader(ResultCache(2000), deadline_s, clock, pause)


def result_of(source: Any, known: ResultCache | None = None) -> AttemptResult:
    reader = AnswerReader(known or ResultCache(2000), 60.0 + time.monotonic(), time.monotonic, lambda: None)
    with suppress(OSError):
        while reader.result is None:
            reader.read(source)
    assert reader.result is not None
    return reader.result


class TestAReader:
    @pytest.mark.parametrize("name", ODD)
    def test_judges_as_the_fast_lane_does(self, name: str) -> None:
        wanted = asyncio.run(attempts(answering(ODD[name]), deadline_ms=30_000))[0].result
        known = ResultCache(2000)
        for size in (1 << 20, 1 << 20, 1000):
            result = result_of(_Bytes(ODD[name], size), known)
            assert (result.outcome, result.status) == (wanted.outcome, wanted.status)
            assert result.breaches == (wanted.breaches or (() if wanted.complete else (wanted.outcome.missed,)))

    def test_ends_at_the_deadline_although_data_keeps_coming(self) -> None:
        moments = iter(range(100))
        reader = reader_of(5.0, lambda: float(next(moments)))
        with pytest.raises(TimeoutError):
            reader.read(_Bytes(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 1000, 10))
        assert reader.result is not None
        assert (reader.result.outcome, reader.result.breaches) == (DeliveryOutcome.TIMEOUT, ("ack.deadline",))

    def test_lets_others_work_while_an_answer_comes_in_pieces(self) -> None:
        paused: list[None] = []
        reader = reader_of(1.0, lambda: 0.0, lambda: paused.append(None))
        assert reader.read(_Bytes(OK_ANSWER, 50)) == OK_ANSWER
        assert len(paused) == len(OK_ANSWER) // 50

    def test_returns_a_first_continue_at_once_so_that_a_client_can_send_its_body(self) -> None:
        reader = reader_of(1.0, lambda: 0.0)
        source = _Bytes(INTERIM)
        assert (reader.read(source), reader.result) == (INTERIM, None)
        source.data = OK_ANSWER
        assert reader.read(source) == OK_ANSWER
        assert reader.result is not None
        assert (reader.result.complete, reader.result.status) == (True, 200)

    @pytest.mark.parametrize(("more", "clean"), [(b"", True), (OK_ANSWER, False), (b"rest", False)])
    def test_knows_a_connection_that_has_more_than_its_answer(self, more: bytes, clean: bool) -> None:
        known = ResultCache(2000)
        for _ in range(2):
            reader = AnswerReader(known, 1.0, lambda: 0.0, lambda: None)
            reader.read(_Bytes(OK_ANSWER + more))
            assert reader.clean is clean


@contextmanager
def flooding(name: str, tls: ssl.SSLContext | None = None) -> Iterator[int]:
    """A target that answers every request without end; its port."""
    begin, more = ENDLESS[name]

    def flood(plain: socket.socket) -> None:
        with suppress(OSError), plain, tls.wrap_socket(plain, server_side=True) if tls else plain as peer:
            peer.recv(65_536)
            peer.sendall(begin)
            while True:
                peer.sendall(more)

    def accept(server: socket.socket) -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=flood, args=[server.accept()[0]], daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=accept, args=[server], daemon=True).start()
        try:
            yield server.getsockname()[1]
        finally:
            server.shutdown(socket.SHUT_RDWR)


class TestAnAnswerWithoutEnd:
    @pytest.mark.parametrize("name", ENDLESS)
    def test_is_left_at_the_size_limit(self, name: str) -> None:
        with flooding(name) as port, socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(b"POST / HTTP/1.1\r\n\r\n")
            result = result_of(client)
        assert (result.outcome, result.complete) == (DeliveryOutcome.INCOMPLETE, False)

    @pytest.mark.exhaustive
    @pytest.mark.parametrize("engine", ["gevent", "requests"])
    @pytest.mark.parametrize(("name", "secure"), [("body", False), ("interim answers", False), ("head", True)])
    def test_neither_holds_up_the_run_nor_fills_the_memory(
        self, tmp_path: Path, engine: str, name: str, secure: bool
    ) -> None:
        authority = trustme.CA()
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER) if secure else None
        if tls is not None:
            authority.issue_cert("127.0.0.1").configure_cert(tls)
        authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
        with flooding(name, tls) as port:
            url = f"http{'s' if secure else ''}://127.0.0.1:{port}/callback"
            code, found, text = locust(
                url,
                tmp_path,
                *("--engine", engine, "-u", "4", "-r", "4", "-t", "2s", "--deadline", "1.5"),
                *("--cacert", str(tmp_path / "ca.pem"), "--fail-if", "noncompliant>0"),
            )
        assert code == 1, text
        assert found["requests"] == sum(found["outcomes"].values()) > 0
        assert set(found["outcomes"]) <= {"incomplete", "timeout"}
