"""Cache of prebuilt requests; only EventTime is filled in."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from roomhook.loadtests.workload.callback_stream import stamped
from roomhook.simulator.protocol.callback_event import CallbackEvent
from roomhook.simulator.transport.target import Target

__all__ = ["KEPT", "RequestCache"]

KEPT: Final = 20_000
"""Callbacks of the rooms' life that are played before they are played again."""

_TIME: Final = b'"EventTime":'
_MS: Final = 1_000_000
_S: Final = 1_000_000_000


class RequestCache:
    """Requests to *target* for *events*; after the first *kept*, those again, each with the time of its sending.

    So many bytes are held: about 600 a callback. With a token every request is signed, and so made, afresh.
    """

    def __init__(self, events: Iterator[CallbackEvent], target: Target, kept: int = KEPT) -> None:
        self._events = events
        self._request = target.request
        self._signed = target.token is not None
        self._most = kept
        self._kept: list[tuple[CallbackEvent, bytes, str]] = []
        self._at = -1

    def take(self, wall_ns: int) -> tuple[bytes, str]:
        """The next request, sent at *wall_ns* (ns since the epoch), and what it is counted as."""
        if self._at < 0:
            return self._made(wall_ns)
        event, before, name = self._kept[self._at]
        self._at += 1
        if self._at == len(self._kept):
            self._at = 0
        if before:
            return b"%b%d}" % (before, wall_ns // _MS), name
        return self._request(stamped(event, wall_ns // _MS), wall_ns // _S), name

    def _made(self, wall_ns: int) -> tuple[bytes, str]:
        event = next(self._events)
        name = event.check_out
        now = stamped(event, wall_ns // _MS)
        request = self._request(now, wall_ns // _S)
        fixed = b"" if self._signed or now is event else b"".join(request.rpartition(_TIME)[:2])
        self._kept.append((event, fixed, name))
        if len(self._kept) == self._most:
            self._at = 0
        return request, name
