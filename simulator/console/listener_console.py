"""The console of ``roomhook listen``: the callbacks that arrived, judged, saved as examples and replayed."""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Callable, Collection, Sequence
from typing import Final

from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from roomhook.errors import ConfigurationError
from roomhook.simulator.console.callbacks_page import CallbacksPage, Explained
from roomhook.simulator.console.feed import Feed, FeedAttempt, FeedRow
from roomhook.simulator.console.site import Site
from roomhook.simulator.http_server.http_guard import is_loopback_name
from roomhook.simulator.journal.writer import ReceivedCallback
from roomhook.simulator.protocol.callback_url import CallbackUrl
from roomhook.simulator.room_backend.state.error_codes import BackendError, Code
from roomhook.simulator.transport.recorded import recorded_query
from roomhook.simulator.transport.sender import Sender
from roomhook.simulator.transport.target import Target

__all__ = ["ListenerConsole"]

_STATUS: Final = re.compile(rb"HTTP/1\.[01] ([0-9]{3})")
_LONGEST_ANSWER: Final = 65_536


class ListenerConsole:
    """Shows what a listener received: give its batches to ``show``. *hosts* may be replayed to, besides loopback."""

    def __init__(self, explain: Callable[[str], Explained], hosts: Collection[str] = ()) -> None:
        self.feed = Feed()
        self._hosts = {host.lower() for host in hosts}
        self._numbers = itertools.count(1)
        self._site = Site({"/console/callbacks": "Callbacks"})
        self._page = CallbacksPage(self._site, self, explain, title="Arrived callbacks", received=True)

    def routes(self) -> list[Route]:
        """All pages."""
        return [
            Route("/", _to_callbacks),
            Route("/console", _to_callbacks),
            Route("/console/callbacks/{number:int}/example", self._example),
            *self._site.routes(),
            *self._page.routes(),
        ]

    def close(self) -> None:
        """End streams."""
        self.feed.closed = True

    def show(self, batch: Sequence[ReceivedCallback]) -> None:
        """Add callbacks that arrived."""
        for one in batch:
            found = one.inspected
            status = _STATUS.match(one.answer)
            state = "ok" if found.problem is None else "refused"
            entry = FeedAttempt(
                1,
                "signed" if b"Sign=" in one.head.partition(b"\r\n")[0] else "not signed",
                one.received_us,
                0.0,
                state,
                int(status[1]) if status else None,
                (),
                found.problem or "",
                one.head + one.body,
                one.answer[:_LONGEST_ANSWER],
            )
            number = next(self._numbers)
            self.feed.add(FeedRow(number, one.received_us, found.command or "?", one.body, state, [entry]))

    async def resend(self, number: int, body: bytes | None = None, to: str = "") -> int:
        """Replay a callback to the URL *to*; returns the id of the new row. Raises ``BackendError`` if refused."""
        row = self.feed.row(number)
        if row is None or not row.attempts:
            raise BackendError(Code.CONFLICT, f"callback {number} is not remembered any more")
        try:
            url = CallbackUrl.parse(to)
        except ConfigurationError as error:
            raise BackendError(Code.BAD_PARAMETER, str(error)) from None
        if not is_loopback_name(url.host) and url.host.lower() not in self._hosts:
            raise BackendError(
                Code.BAD_PARAMETER, f"{url.host} is not this machine; start with --allow-host {url.host}"
            )
        if url.scheme == "https":
            raise BackendError(Code.BAD_PARAMETER, "replay to an http URL, or use roomhook replay")
        line = row.attempts[0].request.partition(b"\r\n")[0]
        sent = row.body if body is None else body
        request = Target(url, 0).request_of(recorded_query(line.split(b" ")[1] if b" " in line else b""), sent)
        async with Sender(Target(url, 0), connections=1) as sender:
            sent_us = time.time_ns() // 1000
            attempt = await sender.send(request)
        result = attempt.result
        entry = FeedAttempt(
            1,
            "replayed",
            sent_us,
            attempt.elapsed_ms,
            str(result.outcome),
            result.status or None,
            result.breaches,
            result.note,
            request,
            result.received[:_LONGEST_ANSWER],
        )
        state = "delivered" if attempt.delivered else "failed"
        new = next(self._numbers)
        self.feed.add(FeedRow(new, sent_us, row.command, sent, state, [entry]))
        return new

    async def _example(self, request: Request) -> Response:
        """The packet as a file."""
        row = self.feed.row(request.path_params["number"])
        if row is None:
            return PlainTextResponse("This callback is not remembered any more.", 404)
        name = f'attachment; filename="callback-{row.id}.json"'
        headers = {"Content-Disposition": name, "X-Content-Type-Options": "nosniff"}
        return Response(row.body, headers=headers, media_type="application/json")


async def _to_callbacks(_: Request) -> Response:
    return RedirectResponse("/console/callbacks", 307)
