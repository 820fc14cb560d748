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

import requests
import requests.adapters
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
    context: ssl.SSLContext = field(init=False, repr=False)
    _own: threading.local = field(default_factory=threading.local, init=False, repr=False, compare=False)
    """Each thread's connection, which is hung up after every callback: what is around it is costly to make."""

    def __post_init__(self) -> None:
        """Build the TLS context now, so that a bad file is refused before anything is sent."""
        object.__setattr__(self, "context", _context(self.cacert, insecure=self.insecure, cert=self.cert))

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
        self._adapter = _Adapter(client.context)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._adapter.close()

    def hang_up(self) -> None:
        """Close the connection, so that the next callback opens another."""
        self._adapter.hang_up()

    def send(self, callback: CallbackRequest, *, deadline_ms: float, give_up_ms: float) -> Exchange:
        """Send *callback* and read the answer to its last byte."""
        prepared = _prepare(callback, self._client.headers)
        proxy = self._client.proxy
        proxies = {"http": proxy, "https": proxy} if proxy else {}
        opened, connected = _opened.get(), _connected.get()
        started = time.monotonic()
        answer: Response | None = None
        outcome, detail = DeliveryOutcome.DELIVERED, ""
        breach: Violation | None = None
        with _patience(give_up_ms / 1000):
            try:
                response = self._adapter.send(
                    prepared,
                    stream=True,
                    timeout=(min(give_up_ms / 1000, _CONNECT_S), give_up_ms / 1000),
                    proxies=proxies,
                    verify=True,
                )
                body, complete = _read(response)
                elapsed_ms = (time.monotonic() - started) * 1000
                headers = tuple((name, value) for name, value in response.raw.headers.items())
                answer = Response(response.status_code, headers, body, elapsed_ms, complete)
            except _StalledError as error:
                outcome, detail, breach = DeliveryOutcome.TIMEOUT, str(error), error.breach
            except requests.ConnectTimeout:
                outcome, detail = DeliveryOutcome.REFUSED, "nobody takes connections there: a wrong host, or a firewall"
            except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
                outcome, detail = outcome_of_error(error), _innermost(error)
                if outcome is DeliveryOutcome.TIMEOUT:
                    detail = f"none within {give_up_ms / 1000:g} s"
                if isinstance(error, requests.exceptions.ProxyError) and proxy:
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


def _prepare(callback: CallbackRequest, extra: Sequence[tuple[str, str]]) -> requests.PreparedRequest:
    prepared = requests.PreparedRequest()
    prepared.method = callback.method
    prepared.url = callback.url  # set directly: requests' own preparation rewrites percent-encodings
    headers: dict[str, Any] = {"User-Agent": user_agent(), "Accept-Encoding": SKIP_HEADER}
    if callback.body is not None:
        headers["Content-Length"] = str(len(callback.body))
    headers.update(extra)
    headers.update(callback.headers)
    prepared.headers = headers  # type: ignore[assignment]
    prepared.body = callback.body
    prepared.hooks = {"response": []}
    prepared._cookies = requests.cookies.RequestsCookieJar()  # type: ignore[attr-defined]  # noqa: SLF001
    return prepared


class _StalledError(Exception):
    """No more of the body came; ``breach`` is set if what had come was whole, so that the announcement is at fault."""

    def __init__(self, body: bytes, response: requests.Response) -> None:
        length = response.raw.headers.get("Content-Length")
        super().__init__(f"{len(body)} bytes of the body had come by then")
        announced = f"{length} bytes announced by Content-Length" if length else "a last chunk, of no bytes"
        self.breach = Violation("ack.complete", announced, str(self)) if _is_json(body) else None


def _is_json(body: bytes) -> bool:
    try:
        parse_json(body)
    except ValueError:
        return False
    return True


def _read(response: requests.Response) -> tuple[bytes, bool]:
    """The body and whether it came whole; a coding that the target chose by itself is undone."""
    body = b""
    try:
        while piece := response.raw.read1(_PIECE, decode_content=True):
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
    """requests' timeout is per read; here every read gets only what is left of the whole."""

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


class _Adapter(requests.adapters.HTTPAdapter):
    """An adapter whose sockets know the deadline and whose TLS context is ours."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        super().__init__(pool_connections=1, pool_maxsize=1, max_retries=0)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, ssl_context=self._context, **kwargs)
        self._teach(self.poolmanager)

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(proxy, ssl_context=self._context, **kwargs)
        self._teach(manager)
        return manager

    def hang_up(self) -> None:
        """Close all connections and keep the pools that they came from."""
        for manager in (self.poolmanager, *self.proxy_manager.values()):
            for key in manager.pools.keys():  # noqa: SIM118 (it is no mapping)
                pool = manager.pools.get(key)
                for connection in tuple(pool.pool.queue) if pool is not None and pool.pool is not None else ():
                    if connection is not None:
                        connection.close()

    def build_response(self, req: Any, resp: Any) -> requests.Response:  # noqa: ARG002 (the base class's signature)
        """What came, and no more: nobody asks for its encoding, its cookies or a redirect."""
        response = requests.Response()
        response.status_code, response.raw = resp.status, resp
        return response

    def cert_verify(self, *_: Any, **__: Any) -> None:
        """Leave the context alone: requests would load the authorities again for every connection."""

    def build_connection_pool_key_attributes(self, request: Any, verify: Any, cert: Any = None) -> Any:
        host, ours = super().build_connection_pool_key_attributes(request, verify, cert)
        theirs = {"ca_certs", "ca_cert_dir", "cert_reqs"}
        kept: dict[str, Any] = {key: value for key, value in ours.items() if key not in theirs}
        return host, {**kept, "ssl_context": self._context, "cert_reqs": self._context.verify_mode}

    def _teach(self, manager: Any) -> None:
        manager.pool_classes_by_scheme = {"http": _HttpPool, "https": _HttpsPool}


def user_agent() -> str:
    """What every callback of the suite calls itself, however it is sent."""
    return f"roomhook/{_version()}"


def _version() -> str:
    global _known_version  # noqa: PLW0603 (read once from the package's metadata: a file access)
    if _known_version is None:
        _known_version = version("roomhook")
    return _known_version


_known_version: str | None = None
