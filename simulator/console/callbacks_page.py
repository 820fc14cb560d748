"""The page of callbacks: live rows, each with its requests, responses and findings."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import replace
from typing import Any, Final, NamedTuple, Protocol
from urllib.parse import parse_qsl

from sse_starlette import EventSourceResponse
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from roomhook.simulator.console.feed import Feed, FeedAttempt, FeedFilter, FeedRow, settled_row
from roomhook.simulator.console.site import Fields, Site
from roomhook.simulator.protocol.callback_request import (
    CallbackRequest,
    masked,
    masked_answer,
    recorded_message,
    recorded_request,
)
from roomhook.simulator.protocol.curl import curl
from roomhook.simulator.room_backend.state.error_codes import BackendError
from roomhook.simulator.transport.recorded import recorded_query

__all__ = ["CallbackSource", "CallbacksPage", "Explained"]

_FIRST_ROWS: Final = 200
_MOST_ROWS: Final = 200
_PAUSE_S: Final = 0.25
_PATIENCE_S: Final = 3.0
_SIGNATURE: Final = re.compile(r"(?<=[?&]Sign=)[^&]+")
_OF_THE_CONNECTION: Final = frozenset({"host", "content-length", "connection", "user-agent", "accept-encoding"})


class Explained(NamedTuple):
    """A requirement in words, with its source."""

    text: str
    source: str


class CallbackSource(Protocol):
    """A source of callbacks for the page."""

    @property
    def feed(self) -> Feed:
        """The latest callbacks."""
        raise NotImplementedError

    async def resend(self, number: int, body: bytes | None = None, to: str = "") -> int:
        """Send a callback again, to the URL *to* if the page asks for one; returns the id of its new row."""
        raise NotImplementedError


class CallbacksPage:
    """Shows *source* under ``/console/callbacks``; *explain* puts requirement ids into words."""

    def __init__(
        self, site: Site, source: CallbackSource, explain: Callable[[str], Explained], *, title: str, received: bool
    ) -> None:
        self._site = site
        self._source = source
        self._explain = explain
        self._title = title
        self._received = received

    def routes(self) -> list[Route]:
        """The page, its rows, one callback, and the stream of changes."""
        return [
            Route("/console/callbacks", self._page),
            Route("/console/callbacks/rows", self._rows),
            Route("/console/events", self._events),
            Route("/console/callbacks/{number:int}", self._detail),
            Route("/console/callbacks/{number:int}/resend", self._site.writing(self._resend), methods=["POST"]),
        ]

    async def _page(self, request: Request) -> Response:
        chosen = FeedFilter.of(request.query_params)
        feed = self._source.feed
        rows = feed.select(chosen)
        content = {
            "title": self._title,
            "received": self._received,
            "chosen": chosen,
            "rows": rows[:_FIRST_ROWS],
            "total": len(rows),
            "newest": feed.newest,
            "seen": sorted({row.name for row in feed.select(FeedFilter())} | ({chosen.command} - {""})),
            "outcomes": self._outcomes(chosen),
            "clock": _clock,
        }
        return self._site.page(request, "callbacks.html", content)

    def _outcomes(self, chosen: FeedFilter) -> list[str]:
        known = {row.outcome for row in self._source.feed.select(FeedFilter())}
        return sorted((known | {chosen.outcome} | {"not compliant"}) - {""})

    async def _rows(self, request: Request) -> Response:
        """Rows ``start`` to ``start + count`` of those that match, as of the row ``as_of``."""
        query = request.query_params
        feed = self._source.feed
        as_of = _number(query.get("as_of"))
        rows = feed.select(FeedFilter.of(query), as_of)
        start, count = _number(query.get("start")) or 0, min(_number(query.get("count")) or 60, _MOST_ROWS)
        content = {"rows": rows[start : start + count], "clock": _clock, "received": self._received}
        response = self._site.page(request, "callback_rows.html", content)
        response.headers["X-Total"] = str(len(rows))
        response.headers["X-Newest"] = str(feed.newest)
        return response

    async def _detail(self, request: Request) -> Response:
        row = self._source.feed.row(request.path_params["number"])
        return self._shown(request, row, "")

    def _shown(self, request: Request, row: FeedRow | None, note: str) -> Response:
        if row is None:
            return self._site.page(request, "callback.html", {"row": None, "note": note, "title": self._title}, 404)
        attempts = [self._described(one) for one in row.attempts]
        last = row.last
        content = {
            "title": self._title,
            "row": row,
            "note": note,
            "received": self._received,
            "attempts": attempts,
            "pretty": _pretty(row.body),
            "raw": row.body.decode(errors="backslashreplace"),
            "curl_line": "" if last is None or not last.request else curl(_repeatable(last.request, row.origin)),
            "pytest_case": _pytest_case(row),
            "clock": _clock,
        }
        return self._site.page(request, "callback.html", content)

    def _described(self, attempt: FeedAttempt) -> dict[str, Any]:
        line, headers, body = recorded_message(attempt.answer)
        return {
            "attempt": attempt,
            "head": _shown_head(attempt.request),
            "answer_head": _head(line, masked_answer(headers)),
            "answer_body": body.decode(errors="backslashreplace"),
            "findings": [(one, self._explain(one)) for one in attempt.breaches],
        }

    async def _resend(self, request: Request, fields: Fields) -> Response:
        number = request.path_params["number"]
        edited = fields.get("body")
        try:
            body = None if edited is None else edited[0].encode(errors="surrogatepass")
            new = await self._source.resend(number, body, "".join(fields.get("to", [])))
        except BackendError as error:
            return self._shown(request, self._source.feed.row(number), error.info)
        await settled_row(self._source.feed, new, _PATIENCE_S)
        if request.headers.get("hx-request") != "true":
            return RedirectResponse(f"/console/callbacks/{new}", 303)
        return self._shown(request, self._source.feed.row(new), f"Sent again as number {new}.")

    async def _events(self, request: Request) -> Response:
        """Says at most four times a second what has changed: callbacks, or rooms."""
        feed = self._source.feed

        async def events() -> AsyncIterator[dict[str, str]]:
            known = (-1, -1)
            while not feed.closed and not await request.is_disconnected():
                now = (feed.version, feed.rooms_version)
                if now != known:
                    data = {"newest": feed.newest, "callbacks": now[0], "rooms": now[1]}
                    yield {"event": "changed", "data": json.dumps(data)}
                    known = now
                await asyncio.sleep(_PAUSE_S)

        return EventSourceResponse(events(), ping=15)


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isascii() and text.isdigit() and len(text) < 16 else None


def _clock(us: int) -> str:
    """The time of day to the ms."""
    return f"{time.strftime('%H:%M:%S', time.localtime(us // 1_000_000))}.{us // 1000 % 1000:03}"


def _pretty(body: bytes) -> str:
    try:
        return json.dumps(json.loads(body), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return body.decode(errors="backslashreplace")


def _shown_head(data: bytes) -> str:
    """Request line and headers as they travelled, without secrets."""
    if not data:
        return ""
    shown = masked(recorded_request(data, "origin"))
    line = f"{shown.method} {_SIGNATURE.sub('***', shown.url.removeprefix('origin'))} HTTP/1.1"
    return _head(line, shown.headers)


def _head(line: str, headers: Iterable[tuple[str, str]]) -> str:
    return "\n".join([line, *(f"{name}: {value}" for name, value in headers)])


def _repeatable(data: bytes, origin: str) -> CallbackRequest:
    """Recorded bytes as a request for curl: with a new signature, without the headers that curl adds."""
    found = recorded_request(data, origin)
    kept = tuple((name, value) for name, value in found.headers if name.lower() not in _OF_THE_CONNECTION)
    return replace(found, headers=kept, signed=_SIGNATURE.search(found.url) is not None)


def _pytest_case(row: FeedRow) -> str:
    """A test that sends the same packet to an App backend."""
    url = recorded_request(row.attempts[0].request if row.attempts else b"").url
    query = {
        name: value
        for name, value in parse_qsl(recorded_query(url.encode("latin-1")), keep_blank_values=True)
        if name not in {"Sign", "RequestTime"}
    }
    given = "".join(f"        {name!r}: {value!r},\n" for name, value in query.items())
    try:
        packet = f"{row.body.decode()!r}.encode()"
    except UnicodeDecodeError:
        packet = repr(row.body)
    return (
        "import requests\n\n"
        'URL = "http://127.0.0.1:8000/callback"\n\n\n'
        f"def test_callback_{row.id}_is_acknowledged():\n"
        f"    packet = {packet}\n"
        f"    query = {{\n{given}    }}\n"
        '    headers = {"Content-Type": "application/json"}\n'
        "    answer = requests.post(URL, params=query, data=packet, headers=headers, timeout=2)\n"
        "    assert answer.status_code == 200\n"
        '    assert answer.json()["ActionStatus"] == "OK"\n'
    )
