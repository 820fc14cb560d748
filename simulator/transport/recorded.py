"""Recorded callbacks, to be sent again byte for byte: body and URL parameters as they were."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import parse_qsl

from roomhook.simulator.protocol.callback_event import CallbackEvent, with_type
from roomhook.simulator.transport.target import Target

__all__ = ["ReplayTarget", "from_request", "recorded_query", "refreshed"]

_EVENT_TIME = re.compile(rb'("EventTime"[ \t\r\n]*:[ \t\r\n]*)-?\d+')


@dataclass(frozen=True)
class ReplayTarget(Target):
    """A target for recorded events, which keep their query."""

    def request(self, event: CallbackEvent, request_time: int) -> bytes:
        """The whole request; a recorded event keeps its Sign, however old."""
        return self.request_of(event.query, event.body) if event.query else super().request(event, request_time)

    def requests(self, events: Sequence[CallbackEvent], request_time: int) -> list[bytes]:
        """As ``request`` for each of *events*."""
        return [self.request(event, request_time) for event in events]


def recorded_query(target: bytes) -> str:
    """The query of a request *target* from SdkAppid on; what stands before it is the configured URL's own."""
    query = target.partition(b"?")[2].partition(b"#")[0].decode("latin-1")
    start = re.search(r"(?i)(?:^|&)(sdkappid=)", query)
    return query[start.start(1) :] if start else query


def from_request(time_ms: int, head: bytes, body: bytes) -> CallbackEvent:
    """The event in a request as it arrived."""
    query = recorded_query(head.split(b" ", 2)[1] if head.count(b" ") > 1 else b"")
    get = dict(parse_qsl(query, keep_blank_values=True)).get
    return with_type(
        time_ms, get("CallbackCommand", ""), get("ClientIP", ""), get("OptPlatform", ""), body, query=query
    )


def refreshed(events: Iterable[CallbackEvent], start_ms: int, speed: float | None) -> Iterator[CallbackEvent]:
    """*events* as if they happened from *start_ms* on, *speed* times as fast (None: at once), with new EventTimes.

    Every other byte of the body stays; so does a body without an EventTime. Nothing recorded of the URL is kept.
    """
    first_ms: int | None = None
    for event in events:
        first_ms = event.time_ms if first_ms is None else first_ms
        passed_ms = 0 if speed is None else max(0, int((event.time_ms - first_ms) / speed))
        now_ms = start_ms + passed_ms
        body = _EVENT_TIME.sub(rb"\g<1>%d" % now_ms, event.body, count=1)
        yield CallbackEvent(event.time_ms, event.command, event.client_ip, event.platform, body, event.check_out)
