"""Opens connections to a target: to the first of its addresses that accepts one, with TLS for https."""

from __future__ import annotations

import asyncio
import socket
import ssl

from roomhook.errors import UnreachableError
from roomhook.simulator.protocol.outcomes import outcome_of_error
from roomhook.simulator.transport.connection import BufferedConnection, Connection, Owner, PlainConnection
from roomhook.simulator.transport.target import Target

__all__ = ["Connector", "first_line"]


class Connector:
    """Opens connections of *owner* to *target* within *timeout_s*; ``opened`` counts them, ``open`` holds them."""

    def __init__(self, owner: Owner, target: Target, timeout_s: float) -> None:
        self.open: set[Connection] = set()
        self.opened = 0
        self._owner = owner
        self._target = target
        self._timeout_s = timeout_s
        self._loop = asyncio.get_running_loop()
        self._addresses: list[tuple[str, int]] = []

    async def connect_or_raise(self) -> Connection:
        """As ``connect``; raises ``UnreachableError`` with a remedy."""
        host, port = self._target.address
        try:
            return await self.connect()
        except OSError as error:
            outcome = outcome_of_error(error)
            remedy = _remedy(error, tls=self._target.tls is not None)
            raise UnreachableError(f"{host}:{port} {outcome.explained} ({first_line(error)}); {remedy}") from None

    async def connect(self) -> Connection:
        """Open a connection to the first address that accepts one; raises ``OSError`` (timeouts included)."""
        host, port = self._target.address
        async with asyncio.timeout(self._timeout_s):
            if not self._addresses:
                found = await self._loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
                self._addresses = list(dict.fromkeys((str(one[4][0]), port) for one in found))
            failure: OSError | None = None
            for address in tuple(self._addresses):
                try:
                    connection = await self._connect_to(address, host)
                except OSError as error:
                    failure = failure or error
                else:
                    if address != self._addresses[0]:
                        self._addresses = [address]
                    return connection
            self._addresses = []
            assert failure is not None
            raise failure

    async def _connect_to(self, address: tuple[str, int], host: str) -> Connection:
        tls = self._target.tls if self._target.url.scheme == "https" else None
        plain_uvloop = tls is None and type(self._loop).__module__.startswith("uvloop")
        kind = PlainConnection if plain_uvloop else BufferedConnection
        _, connection = await self._loop.create_connection(
            lambda: kind(self._owner), *address, ssl=tls, server_hostname=host if tls else None
        )
        self.open.add(connection)
        self.opened += 1
        return connection


def first_line(error: BaseException) -> str:
    """The first line of the message of *error*."""
    return (str(error) or type(error).__name__).splitlines()[0]


def _remedy(error: OSError, *, tls: bool) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return "name its own authority by --cacert FILE, or accept any certificate by --insecure"
    if isinstance(error, ssl.SSLError) or (tls and isinstance(error, TimeoutError)):
        return "is it http in place of https?"
    return "is your App backend running?"
