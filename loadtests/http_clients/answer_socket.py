"""Makes locust's HTTP clients read each response through an ``AnswerReader``, by wrapping their sockets.

Both clients read as long as data comes, so an endless response would block every user and fill the memory.
"""

from __future__ import annotations

import io
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

import gevent
from geventhttpclient.client import HTTPClient, HTTPClientPool
from requests import Session
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from roomhook.loadtests.http_clients.answer_reader import AnswerReader
from roomhook.simulator.transport.result_cache import ResultCache
from roomhook.simulator.util.defaults import DEADLINE_MS

__all__ = ["BoundedClients", "bound_session", "reading_answer"]

_results: Final = ResultCache(DEADLINE_MS)
"""Results of responses by their bytes, on which alone they depend; limited in size."""


@contextmanager
def reading_answer(deadline_s: float) -> Iterator[AnswerReader]:
    """The reader of the next response in this greenlet, which must be complete within *deadline_s* (s) from now."""
    greenlet: Any = gevent.getcurrent()
    reader = AnswerReader(_results, time.monotonic() + deadline_s, time.monotonic, gevent.sleep)
    greenlet.answer_reader = reader
    try:
        yield reader
    finally:
        greenlet.answer_reader = None


def _current() -> AnswerReader | None:
    return getattr(gevent.getcurrent(), "answer_reader", None)


class _AnswerSocket:
    """Wraps a connected socket; outside ``reading_answer`` it passes every call to *plain*."""

    __slots__ = ("_plain", "_reader", "_unread", "fileno", "sendall")

    def __init__(self, plain: Any) -> None:
        self._plain = plain
        self._reader: AnswerReader | None = None
        self._unread = b""
        self.fileno, self.sendall = plain.fileno, plain.sendall

    def __getattr__(self, name: str) -> Any:
        return getattr(self._plain, name)

    def recv(self, size: int, *flags: int) -> bytes:
        """Up to *size* bytes, for geventhttpclient; raises ``OSError`` as ``AnswerReader.read`` does."""
        reader = _current()
        if reader is None:
            data: bytes = self._plain.recv(size, *flags)
            return data
        data = (self._unread if reader is self._reader else b"") or self._read(reader)
        self._reader, self._unread = reader, data[size:]
        return data[:size]

    def makefile(self, *args: Any, **options: Any) -> Any:
        """A file with the whole response, for http.client, which requests uses; raises ``OSError`` likewise."""
        reader = _current()
        if reader is None:
            return self._plain.makefile(*args, **options)
        whole = self._read(reader)
        while reader.result is None:
            whole += self._read(reader)
        return io.BytesIO(whole)

    def _read(self, reader: AnswerReader) -> bytes:
        data = reader.read(self._plain)
        if not reader.clean:  # bytes after a response must not be read as the next one
            with suppress(OSError):
                self._plain.shutdown(socket.SHUT_RDWR)
        return data


class BoundedClients:
    """The clients of *pool*, as locust's FastHttpUser uses them, with wrapped sockets."""

    def __init__(self, pool: HTTPClientPool) -> None:
        self._pool = pool

    def get_client(self, url: Any) -> HTTPClient:
        """The client for *url*; its sockets are wrapped."""
        client: Any = self._pool.get_client(url)
        sockets: Any = client._connection_pool  # noqa: SLF001 (whose _create_socket is meant to be overridden)
        if "_create_socket" not in vars(sockets):
            create = sockets._create_socket  # noqa: SLF001
            sockets._create_socket = lambda: _AnswerSocket(create())  # noqa: SLF001
        found: HTTPClient = client
        return found

    def close(self) -> None:
        """Close all connections."""
        self._pool.close()


class _PlainConnection(HTTPConnection):
    def connect(self) -> None:
        super().connect()
        self.sock: Any = _AnswerSocket(self.sock)


class _TlsConnection(HTTPSConnection):
    def connect(self) -> None:
        super().connect()
        self.sock: Any = _AnswerSocket(self.sock)


class _PlainPool(HTTPConnectionPool):
    ConnectionCls: Any = _PlainConnection


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls: Any = _TlsConnection


def bound_session(session: Session) -> None:
    """Wrap the sockets of *session*, as locust's HttpUser has it."""
    for adapter in session.adapters.values():
        manager: Any = adapter.poolmanager  # type: ignore[attr-defined]
        manager.pool_classes_by_scheme = {"http": _PlainPool, "https": _TlsPool}
