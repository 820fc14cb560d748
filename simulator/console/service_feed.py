"""The callbacks that a mock Room backend sends, for the console; sends them again on demand."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

import msgspec

from roomhook.simulator.console.feed import Feed, FeedAttempt, FeedRow
from roomhook.simulator.room_backend.runtime.delivery_queue import DeliveryAttempt
from roomhook.simulator.room_backend.runtime.service import Service
from roomhook.simulator.room_backend.runtime.store import AttemptRow
from roomhook.simulator.room_backend.state.changes import PendingCallback
from roomhook.simulator.room_backend.state.error_codes import BackendError, Code

__all__ = ["ServiceFeed"]

_LOADED: Final = 1000
"""Callbacks of earlier runs that are shown."""

_LONGEST_ANSWER: Final = 65_536


class ServiceFeed:
    """Fills ``feed`` with what *service* sends."""

    def __init__(self, service: Service) -> None:
        self.feed = Feed()
        self._service = service
        for row in service.store.latest(_LOADED):
            attempts = [_entry(one, None) for one in service.store.attempts(row.id)]
            self.feed.add(FeedRow(row.id, row.time_ms * 1000, row.command, row.body, row.state, attempts))
        service.deliveries.listeners.append(self._ended)
        service.commit_listeners.append(self._committed)

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
        now_us = time.time_ns() // 1000
        for number, pending in callbacks:
            self.feed.add(FeedRow(number, now_us, pending.event.command, pending.event.body))
        self.feed.rooms_version += 1

    def _ended(self, row: AttemptRow, attempt: DeliveryAttempt | None) -> None:
        known = self.feed.row(row.callback)
        if known is not None:
            self.feed.add_attempt(known, _entry(row, attempt), row.final)


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
