"""The suite's HTTP client: requests, sending byte by byte what it is given, with the deadline on our own clock."""

from __future__ import annotations

import contextvars
import http.client
import io
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import unquote, urlsplit

import urllib3
import urllib3.connection
import urllib3.connectionpool
import urllib3.exceptions
from urllib3.util import SKIP_HEADER

from roomhook.contract_tests.model.exchange import Exchange
from roomhook.simulator.protocol.callback_request import CallbackRequest
from roomhook.simulator.protocol.outcomes import DeliveryOutcome, outcome_of_error
from roomhook.simulator.protocol.response_check import (
    Response,
    Violation,
    header,
    parse_json,
)
from roomhook.simulator.util.defaults import LARGEST_ANSWER
from roomhook.simulator.util.tls import client_context

__all__ = ["Client", "FinalResponse", "KeptConnection", "uncompressed", "user_agent"]

_PIECE: Final = 65536
"""Bytes that are read at once."""

_CONNECT_S: Final = 5.0
"""How long a connection may take to come about: in a full backlog two SYNs may get lost, sent again after 1 and 3 s."""

_give_up_at: contextvars.ContextVar[float] = contextvars.ContextVar("give_up_at", default=float("inf"))
"""When the current thread stops waiting, on the monotonic clock (s)."""

_opened: contextvars.ContextVar[int] = contextvars.ContextVar("opened", default=0)
"""How many connections the current thread has begun to open."""

_connected: contextvars.ContextVar[int] = contextvars.ContextVar("connected", default=0)
"""How many of them came about, with TLS where it is due."""


@dataclass(frozen=True)
class Client:
    """Where and how to send: *headers* for a gateway, TLS options, a *proxy* URL; the environment plays no part."""

    headers: Sequence[tuple[str, str]] = ()
    cacert: Path | None = None
    insecure: bool = False
    cert: Path | None = None
    proxy: str | None = None
    _own: threading.local = field(default_factory=threading.local, init=False, repr=False, compare=False)
    """Each thread's connection, which is hung up after every callback: what is around it is costly to make."""

    def __post_init__(self) -> None:
        """Read the certificates now, so that a bad file is refused before anything is sent."""
        if self.cacert or self.cert:
            _ = self.context

    @property
    def context(self) -> ssl.SSLContext:
        """The TLS context for these options."""
        return _context(self.cacert, insecure=self.insecure, cert=self.cert)

    def send(self, callback: CallbackRequest, *, deadline_ms: float, give_up_ms: float) -> Exchange:
        """Send *callback* on a fresh connection and close it; wait *give_up_ms* at most, judge by *deadline_ms*."""
        connection = getattr(self._own, "connection", None)
        if connection is None:
            connection = self._own.connection = self.connection()
        try:
            return connection.send(callback, deadline_ms=deadline_ms, give_up_ms=give_up_ms)
        finally:
            connection.hang_up()

    def connection(self) -> KeptConnection:
        """A connection that is kept open between callbacks for as long as the target keeps it."""
        return KeptConnection(self)


class KeptConnection:
    """One keep-alive connection; a closed one is opened again, which ``Exchange.reused`` tells."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._sent = 0
        self._pools: dict[str, urllib3.HTTPConnectionPool] = {}
        """By scheme and host; each holds one connection."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.hang_up()

    def hang_up(self) -> None:
        """Close the connection, so that the next callback opens another."""
        for pool in self._pools.values():
            for connection in tuple(pool.pool.queue) if pool.pool is not None else ():
                if connection is not None:
                    connection.close()

    def send(self, callback: CallbackRequest, *, deadline_ms: float, give_up_ms: float) -> Exchange:
        """Send *callback* and read the answer to its last byte."""
        pool, target = self._pool_and_target(callback.url)
        proxy = self._client.proxy
        opened, connected = _opened.get(), _connected.get()
        started = time.monotonic()
        answer: Response | None = None
        outcome, detail = DeliveryOutcome.DELIVERED, ""
        breach: Violation | None = None
        with _patience(give_up_ms / 1000):
            try:
                response = pool.urlopen(
                    callback.method,
                    target,
                    body=callback.body,
                    headers=_headers(callback, self._client.headers),
                    retries=False,
                    redirect=False,
                    assert_same_host=False,
                    timeout=urllib3.Timeout(connect=min(give_up_ms / 1000, _CONNECT_S), read=give_up_ms / 1000),
                    preload_content=False,
                    decode_content=False,
                )
                body, complete = _read(response)
                elapsed_ms = (time.monotonic() - started) * 1000
                headers = tuple((name, value) for name, value in response.headers.items())
                answer = Response(response.status, headers, body, elapsed_ms, complete)
            except _StalledError as error:
                outcome, detail, breach = DeliveryOutcome.TIMEOUT, str(error), error.breach
            except (urllib3.exceptions.HTTPError, OSError) as error:
                outcome, detail = outcome_of_error(error), _innermost(error)
                if type(error) is urllib3.exceptions.ConnectTimeoutError:
                    outcome, detail = (
                        DeliveryOutcome.REFUSED,
                        "nobody takes connections there: a wrong host, or a firewall",
                    )
                elif outcome is DeliveryOutcome.TIMEOUT:
                    detail = f"none within {give_up_ms / 1000:g} s"
                if isinstance(error, urllib3.exceptions.ProxyError) and proxy:
                    detail = f"at the proxy {proxy.rpartition('@')[2]}: {detail}"
        elapsed_ms = (time.monotonic() - started) * 1000
        exchange = Exchange(
            callback,
            answer,
            outcome,
            detail,
            elapsed_ms,
            deadline_ms,
            reused=self._sent > 0 and _opened.get() == opened,
            breach=breach,
            connected=_connected.get() - connected == _opened.get() - opened,
        )
        self._sent += 1
        return exchange if answer is None else replace(exchange, outcome=exchange.judgement.outcome)

    def _pool_and_target(self, url: str) -> tuple[urllib3.HTTPConnectionPool, str]:
        """Where the connection to *url* comes from, and what to ask for on it."""
        parts = urlsplit(url)
        origin = f"{parts.scheme}://{parts.netloc}"
        proxy = self._client.proxy
        if origin not in self._pools:
            self._pools[origin] = _manager(self._client, origin).connection_from_url(url)
        absolute = proxy and parts.scheme == "http"
        return self._pools[origin], url if absolute else url[len(origin) :].partition("#")[0] or "/"


def _manager(client: Client, origin: str) -> urllib3.PoolManager:
    """A maker of pools whose sockets know the deadline and whose TLS context is ours."""
    proxy = client.proxy
    secure = origin.startswith("https:") or (proxy or "").startswith("https:")
    options: dict[str, Any] = {"maxsize": 1, "ssl_context": client.context if secure else None}
    if proxy:
        user = unquote(urlsplit(proxy).netloc.rpartition("@")[0])
        options["proxy_headers"] = urllib3.make_headers(proxy_basic_auth=user) if user else None
    manager = urllib3.ProxyManager(proxy, **options) if proxy else urllib3.PoolManager(**options)
    manager.pool_classes_by_scheme = dict(_POOLS)
    return manager


def _headers(callback: CallbackRequest, extra: Sequence[tuple[str, str]]) -> dict[str, str]:
    headers = {"User-Agent": user_agent(), "Accept-Encoding": SKIP_HEADER}
    if callback.body is not None:
        headers["Content-Length"] = str(len(callback.body))
    headers.update(extra)
    headers.update(callback.headers)
    return headers


class _StalledError(Exception):
    """No more of the body came; ``breach`` is set if what had come was whole, so that the announcement is at fault."""

    def __init__(self, body: bytes, response: urllib3.BaseHTTPResponse) -> None:
        length = response.headers.get("Content-Length")
        super().__init__(f"{len(body)} bytes of the body had come by then")
        announced = f"{length} bytes announced by Content-Length" if length else "a last chunk, of no bytes"
        self.breach = Violation("ack.complete", announced, str(self)) if _is_json(body) else None


def _is_json(body: bytes) -> bool:
    try:
        parse_json(body)
    except ValueError:
        return False
    return True


def _read(response: urllib3.BaseHTTPResponse) -> tuple[bytes, bool]:
    """The body and whether it came whole; a coding that the target chose by itself is undone."""
    body = b""
    try:
        while piece := response.read1(_PIECE, decode_content=True):
            body += piece
            if len(body) > LARGEST_ANSWER:
                response.close()
                break
    except (urllib3.exceptions.HTTPError, OSError) as error:
        if outcome_of_error(error) is DeliveryOutcome.TIMEOUT:
            raise _StalledError(body, response) from error
        return body, False
    return body, True


def uncompressed(answer: Response) -> Response:
    """*answer* with a coding of its body undone, as far as it can be."""
    if header(answer, "Content-Encoding") is None:
        return answer
    coded = urllib3.HTTPResponse(io.BytesIO(answer.body), headers=dict(answer.headers), preload_content=False)
    try:
        return replace(answer, body=coded.read(decode_content=True))
    except urllib3.exceptions.HTTPError:
        return answer


def _innermost(error: BaseException) -> str:
    """The plainest text in a stack of wrapped exceptions."""
    text = str(error)
    inner: BaseException | None = error
    while inner is not None:
        text = str(inner) or type(inner).__name__
        arguments = [one for one in inner.args if isinstance(one, BaseException)]
        reason = getattr(inner, "reason", None)
        inner = reason if isinstance(reason, BaseException) else arguments[0] if arguments else inner.__cause__
    return text.splitlines()[0][:200]


@cache
def _context(cacert: Path | None, *, insecure: bool, cert: Path | None) -> ssl.SSLContext:
    """One context for all clients of the same options: loading the authorities takes as long as thirty callbacks."""
    context = client_context(cacert=cacert, insecure=insecure, cert=cert)
    context.sslsocket_class = _DeadlineTlsSocket
    return context


@contextmanager
def _patience(seconds: float) -> Iterator[None]:
    token = _give_up_at.set(time.monotonic() + seconds)
    try:
        yield
    finally:
        _give_up_at.reset(token)


def _remaining() -> float | None:
    left = _give_up_at.get() - time.monotonic()
    if left <= 0:
        raise TimeoutError("the deadline has passed")
    return None if left == float("inf") else left


def _heed_deadline(connection: socket.socket) -> None:
    """Whoever has set no deadline, as raw requests don't, has a time-out of his own on the socket."""
    left_s = _remaining()
    if left_s is not None:
        connection.settimeout(left_s)


class _DeadlineSocket(socket.socket):
    """urllib3's timeout is per read; here every read gets only what is left of the whole."""

    def recv_into(self, *args: Any, **kwargs: Any) -> int:
        _heed_deadline(self)
        return super().recv_into(*args, **kwargs)

    def sendall(self, *args: Any, **kwargs: Any) -> None:
        _heed_deadline(self)
        super().sendall(*args, **kwargs)


class _DeadlineTlsSocket(ssl.SSLSocket):
    def recv_into(self, *args: Any, **kwargs: Any) -> int:
        _heed_deadline(self)
        return super().recv_into(*args, **kwargs)

    def sendall(self, *args: Any, **kwargs: Any) -> None:
        _heed_deadline(self)
        super().sendall(*args, **kwargs)


class FinalResponse(http.client.HTTPResponse):
    """The final answer: interim ones (102, 103) are passed over as Python's own client passes over 100 only."""

    def _read_status(self) -> tuple[str, int, str]:
        version, status, reason = super()._read_status()  # type: ignore[misc]
        while 100 < status < 200 and status != http.HTTPStatus.SWITCHING_PROTOCOLS:
            while self.fp.readline(65537) not in {b"\r\n", b"\n", b""}:
                pass
            version, status, reason = super()._read_status()  # type: ignore[misc]
        return version, status, reason


class _HttpConnection(urllib3.connection.HTTPConnection):
    response_class = FinalResponse

    def connect(self) -> None:
        _opened.set(_opened.get() + 1)
        super().connect()
        _connected.set(_connected.get() + 1)

    def _new_conn(self) -> socket.socket:
        plain = super()._new_conn()
        return _DeadlineSocket(plain.family, plain.type, plain.proto, fileno=plain.detach())


class _HttpsConnection(urllib3.connection.HTTPSConnection):
    response_class = FinalResponse

    def connect(self) -> None:
        _opened.set(_opened.get() + 1)
        super().connect()
        _connected.set(_connected.get() + 1)
        self.is_verified = True  # or --insecure was given: whoever says so needs no warning about it each time

    def _new_conn(self) -> socket.socket:
        plain = super()._new_conn()
        plain.settimeout(min(_remaining() or _CONNECT_S, _CONNECT_S))  # for the handshake
        return plain


# urllib3 declares its connection classes by protocols that its own classes don't keep to in pyright's eyes.
class _HttpPool(urllib3.connectionpool.HTTPConnectionPool):
    ConnectionCls = _HttpConnection  # pyright: ignore[reportAssignmentType]


class _HttpsPool(urllib3.connectionpool.HTTPSConnectionPool):
    ConnectionCls = _HttpsConnection  # pyright: ignore[reportAssignmentType]


_POOLS: Final[dict[str, type[urllib3.HTTPConnectionPool | urllib3.HTTPSConnectionPool]]] = {
    "http": _HttpPool,
    "https": _HttpsPool,
}


def user_agent() -> str:
    """What every callback of the suite calls itself, however it is sent."""
    return f"roomhook/{_version()}"


def _version() -> str:
    global _known_version  # noqa: PLW0603 (read once from the package's metadata: a file access)
    if _known_version is None:
        _known_version = version("roomhook")
    return _known_version


_known_version: str | None = None
