"""Carries requests to their end although locust kills users amid them when a shape lowers their number."""

from __future__ import annotations

from collections.abc import Callable

import gevent
from gevent.event import AsyncResult
from gevent.queue import SimpleQueue

__all__ = ["GracefulRequests"]

_Request = Callable[[], None]


class GracefulRequests:
    """Greenlets of no user; ``under_way`` counts the requests that they carry.

    They are kept for the next request: to spawn one for each costs four times what it costs to hand one over.
    """

    def __init__(self) -> None:
        self.under_way = 0
        self._hired = 0
        self._waiting: SimpleQueue[tuple[_Request, AsyncResult[None]]] = SimpleQueue()

    def carry(self, request: _Request) -> None:
        """Return when *request* has ended, and raise what it has raised; it ends even if who waits here is killed."""
        self.under_way += 1
        if self.under_way > self._hired:
            self._hired += 1
            gevent.spawn(self._work)
        ended: AsyncResult[None] = AsyncResult()
        self._waiting.put((request, ended))
        ended.get()

    def _work(self) -> None:
        while True:
            request, ended = self._waiting.get()
            try:
                request()
            except BaseException as error:  # noqa: BLE001 (it is raised again where it is waited for)
                ended.set_exception(error)
            else:
                ended.set(None)
            self.under_way -= 1
