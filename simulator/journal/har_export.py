"""The rows of a journal as entries of a HAR log."""

from __future__ import annotations

import base64
import http.client
import io
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from roomhook.simulator.journal.reader import Filters, Reader
from roomhook.simulator.protocol.callback_request import recorded_request
from roomhook.simulator.protocol.har import har_entry
from roomhook.simulator.protocol.response_check import Response

__all__ = ["har_entries"]


def har_entries(reader: Reader, filters: Filters) -> Iterator[dict[str, Any]]:
    """One entry for each attempt, or each received callback, that matches *filters*; unsent events have none."""
    origins = {run["id"]: _origin(run["url"]) for run in reader.runs()}
    for row in reader.rows(filters):
        if row.get("attempt", 0) is None:
            continue
        started_us = row.get("sent_us", row.get("received_us"))
        if started_us is None:
            continue
        elapsed_ms = max(0, (row.get("done_us") or started_us) - started_us) / 1000
        told = (row.get("outcome"), row.get("problem"), *row.get("requirements", ()), row.get("note"))
        yield har_entry(
            recorded_request(_bytes_of(row, "request"), origins.get(row["run"], "")),
            _response(_bytes_of(row, "answer"), elapsed_ms),
            started_s=started_us / 1e6,
            elapsed_ms=elapsed_ms,
            comment="; ".join(str(one) for one in told if one),
        )


def _origin(url: str | None) -> str:
    parts = urlsplit(url or "")
    return f"{parts.scheme}://{parts.netloc}" if parts.netloc else ""


def _bytes_of(row: dict[str, Any], name: str) -> bytes:
    return base64.b64decode(row[f"{name}_base64"]) if f"{name}_base64" in row else str(row.get(name, "")).encode()


def _response(data: bytes, elapsed_ms: float) -> Response | None:
    """The HTTP response in *data*, or None if the bytes are not one."""
    response = http.client.HTTPResponse(_Received(data))  # type: ignore[arg-type]
    try:
        response.begin()
        body = response.read()
    except http.client.IncompleteRead as cut:
        body = cut.partial
    except (http.client.HTTPException, OSError, ValueError):
        return None
    return Response(response.status, tuple(response.getheaders()), body, elapsed_ms)


class _Received:
    """Received bytes with the interface of a socket, for ``http.client``."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def makefile(self, *_: object) -> io.BytesIO:
        return io.BytesIO(self._data)
