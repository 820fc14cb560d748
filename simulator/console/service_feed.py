"""The callbacks that a mock Room backend sends, for the console; can send them again."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from functools import lru_cache
from typing import Final
from urllib.parse import urlsplit

import msgspec

from roomhook.simulator.console.feed import Feed, FeedAttempt, FeedRow
from roomhook.simulator.room_backend.runtime.delivery_queue import DeliveryAttempt
from roomhook.simulator.room_backend.runtime.service import Service
from roomhook.simulator.room_backend.runtime.store import AttemptRow
from roomhook.simulator.room_backend.state.changes import PendingCallback
from roomhook.simulator.room_backend.state.error_codes import BackendError, Code

__all__ = ["ServiceFeed"]

_LOADED: Final = 10_000
"""Callbacks of the store that are shown at first."""

_KEPT_ASIDE: Final = 1000
"""Attempts whose request and response are kept before a browser opens the page."""

_LONGEST_ANSWER: Final = 65_536


class ServiceFeed:
    """Makes ``feed`` of what *service* sends.

    The feed is created when a browser opens a page. Until then only the latest attempts are kept, so the console costs
    nothing while it is not used.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self._feed: Feed | None = None
        self._aside: deque[DeliveryAttempt] = deque(maxlen=_KEPT_ASIDE)
        service.deliveries.listeners.append(self._ended)

    @property
    def feed(self) -> Feed:
        """The callbacks; at first the last 10,000 of the store."""
        if self._feed is None:
            self._service.deliveries.writer.flush()
            known = {(attempt.callback.id, attempt.number): attempt for attempt in self._aside}
            self._aside.clear()
            self._feed = Feed()
            self._service.commit_listeners.append(self._committed)
            store = self._service.store
            rows = store.latest(_LOADED)
            ended: dict[int, list[FeedAttempt]] = {}
            for one in store.attempts_since(rows[0].id) if rows else ():
                ended.setdefault(one.callback, []).append(_entry(one, known.get((one.callback, one.number))))
            for row in rows:
                attempts = ended.get(row.id, [])
                time_us = attempts[0].sent_us if attempts else row.time_ms * 1000
                self._feed.add(FeedRow(row.id, time_us, row.command, row.body, row.state, attempts, _origin(row.url)))
        return self._feed

    def touch(self) -> None:
        """Report a change that is not a callback."""
        if self._feed is not None:
            self._feed.touch()

    def touch_rooms(self) -> None:
        """Report a change of the rooms' clock or traffic."""
        if self._feed is not None:
            self._feed.rooms_version += 1

    def close(self) -> None:
        """End the streams of changes."""
        if self._feed is not None:
            self._feed.closed = True

    async def resend(self, number: int, body: bytes | None = None, to: str = "") -> int:
        """Send a callback again, with another *body* if given; returns the id of the new one.

        *to* is ignored: it goes to the configured callback URL.

        Raises ``BackendError`` if it is not stored any more or can't be stored.
        """
        del to
        found = self._service.store.callback(number)
        if found is None:
            raise BackendError(Code.CONFLICT, f"callback {number} is not stored any more")
        event = found.event if body is None else msgspec.structs.replace(found.event, body=body)
        config = self._service.state.rooms.configs.get(found.sdkappid)
        url = found.url if config is None else config.url
        return self._service.send_now(PendingCallback(found.sdkappid, url, found.room, event))

    def _committed(self, callbacks: Sequence[tuple[int, PendingCallback]]) -> None:
        if self._feed is None:
            return
        now_us = time.time_ns() // 1000
        for number, pending in callbacks:
            event, origin = pending.event, _origin(pending.url)
            self._feed.add(FeedRow(number, now_us, event.command, event.body, origin=origin))
        self._feed.rooms_version += 1

    def _ended(self, row: AttemptRow, attempt: DeliveryAttempt | None) -> None:
        if self._feed is None:
            if attempt is not None and len(attempt.result.received) < _LONGEST_ANSWER:
                self._aside.append(attempt)
            return
        known = self._feed.row(row.callback)
        if known is not None:
            self._feed.add_attempt(known, _entry(row, attempt), row.final)


@lru_cache(maxsize=64)
def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _entry(row: AttemptRow, attempt: DeliveryAttempt | None) -> FeedAttempt:
    return FeedAttempt(
        row.number,
        row.kind,
        row.sent_us,
        (row.done_us - row.sent_us) / 1000,
        str(row.outcome),
        row.status,
        tuple(row.breaches.split()),
        "" if attempt is None else attempt.result.note,
        b"" if attempt is None else attempt.request,
        b"" if attempt is None else attempt.result.received[:_LONGEST_ANSWER],
    )
