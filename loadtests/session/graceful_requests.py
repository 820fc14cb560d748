"""Completes requests whose users locust kills when a shape lowers their number."""

from __future__ import annotations

from collections.abc import Callable

import gevent
from gevent.event import AsyncResult
from gevent.queue import SimpleQueue

__all__ = ["GracefulRequests"]

_Request = Callable[[], None]


class GracefulRequests:
    """Runs requests in greenlets that belong to no user; ``under_way`` is the number of requests in flight.

    The greenlets are reused, because spawning one for each request costs four times as much.
    """

    def __init__(self) -> None:
        self.under_way = 0
        self._hired = 0
        self._waiting: SimpleQueue[tuple[_Request, AsyncResult[None]]] = SimpleQueue()

    def carry(self, request: _Request) -> None:
        """Run *request* to its end, even if the calling greenlet is killed; raises what *request* raises."""
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
            except BaseException as error:  # noqa: BLE001 (the caller raises it)
                ended.set_exception(error)
            else:
                ended.set(None)
            self.under_way -= 1
